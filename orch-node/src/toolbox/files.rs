use super::{Failure, args::Args};
use nix::unistd;
use std::{
    fs::{self, File},
    io::{self, Write},
};

pub(super) fn env() -> Result<i32, Failure> {
    let mut out = io::stdout().lock();
    for (name, value) in std::env::vars_os() {
        writeln!(out, "{}={}", name.display(), value.display())?;
    }
    Ok(0)
}

pub(super) fn cat(args: &mut Args) -> Result<i32, Failure> {
    let mut out = io::stdout().lock();
    let files = args.rest();
    if files.is_empty() {
        io::copy(&mut io::stdin().lock(), &mut out)?;
    }
    for path in files {
        let mut file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        io::copy(&mut file, &mut out).map_err(|error| format!("{path}: {error}"))?;
    }
    out.flush()?;
    Ok(0)
}

pub(super) fn ls(args: &mut Args) -> Result<i32, Failure> {
    let dir = args.next().unwrap_or_else(|| ".".to_owned());
    let mut names = fs::read_dir(&dir)
        .map_err(|error| format!("{dir}: {error}"))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    let mut out = io::stdout().lock();
    names.iter().try_for_each(|name| writeln!(out, "{}", name.display()))?;
    Ok(0)
}

pub(super) fn write(args: &mut Args) -> Result<i32, Failure> {
    let path = args.need("the file")?;
    let text = args.rest().join(" ");
    fs::write(&path, text + "\n").map_err(|error| format!("{path}: {error}"))?;
    Ok(0)
}

pub(super) fn echo(args: &mut Args) -> Result<i32, Failure> {
    writeln!(io::stdout(), "{}", args.rest().join(" "))?;
    Ok(0)
}

pub(super) fn hostname() -> Result<i32, Failure> {
    writeln!(io::stdout(), "{}", unistd::gethostname()?.display())?;
    Ok(0)
}

pub(super) fn id() -> Result<i32, Failure> {
    let groups: Vec<String> = unistd::getgroups()?.iter().map(ToString::to_string).collect();
    writeln!(io::stdout(), "uid={} gid={} groups={}", unistd::getuid(), unistd::getgid(), groups.join(","))?;
    Ok(0)
}
