//! Which files a dynamically linked program needs: the loader and, transitively, the libraries.

use super::ImageError;
use object::{
    Endianness,
    elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, FileHeader64},
    read::elf::{Dyn, FileHeader, ProgramHeader},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The loader and the libraries of a program, as paths on this machine. Empty for a static program.
pub(crate) fn needed_files(program: &Path) -> Result<BTreeSet<PathBuf>, ImageError> {
    let system = system_dirs();
    let mut files = BTreeSet::new();
    let mut todo = vec![program.to_owned()];
    while let Some(file) = todo.pop() {
        let Dynamic { interpreter, needed, run_paths } = read(&file)?;
        files.extend(interpreter);
        for name in needed {
            let found = run_paths.iter().chain(&system).map(|dir| dir.join(&name)).find(|path| path.is_file());
            let Some(path) = found else {
                return Err(ImageError::Malformed(format!("{}: library {name} not found", file.display())));
            };
            if files.insert(path.clone()) {
                todo.push(path);
            }
        }
    }
    // glibc loads these by name when it looks up a host.
    let beside: BTreeSet<PathBuf> = files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
    for name in ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"] {
        files.extend(beside.iter().map(|dir| dir.join(name)).find(|path| path.is_file()));
    }
    Ok(files)
}

#[derive(Default)]
struct Dynamic {
    interpreter: Option<PathBuf>,
    needed: Vec<String>,
    run_paths: Vec<PathBuf>,
}

fn read(path: &Path) -> Result<Dynamic, ImageError> {
    let data = fs::read(path).map_err(ImageError::io(path))?;
    parse(&data, path.parent().unwrap_or(Path::new("/")))
        .map_err(|error| ImageError::Malformed(format!("{}: {error}", path.display())))
}

fn parse(data: &[u8], origin: &Path) -> object::read::Result<Dynamic> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut found = Dynamic::default();
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            found.interpreter = Some(PathBuf::from(String::from_utf8_lossy(interpreter).into_owned()));
        }
        let Some(entries) = segment.dynamic(endian, data)? else { continue };
        let value = |tag: i64| entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.d_val(endian));
        let (Some(address), Some(len)) = (value(DT_STRTAB), value(DT_STRSZ)) else { continue };
        let strings = segments.iter().find_map(|s| s.data_range(endian, data, address, len).ok().flatten());
        let text = |offset: u64| {
            let rest = strings?.get(usize::try_from(offset).ok()?..)?;
            Some(String::from_utf8_lossy(rest.split(|byte| *byte == 0).next()?).into_owned())
        };
        for entry in entries {
            let Some(text) = text(entry.d_val(endian)) else { continue };
            let tag = entry.tag(endian);
            if tag == DT_NEEDED {
                found.needed.push(text);
            } else if tag == DT_RPATH || tag == DT_RUNPATH {
                let origin = origin.to_string_lossy();
                let dirs = text.split(':').map(|dir| dir.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin));
                found.run_paths.extend(dirs.map(PathBuf::from));
            }
        }
    }
    Ok(found)
}

/// Where the loader looks: what ld.so.conf says, then its built-in directories.
fn system_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(more) = fs::read_dir("/etc/ld.so.conf.d") {
        files.extend(more.flatten().map(|entry| entry.path()));
    }
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        dirs.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    let arch = std::env::consts::ARCH;
    for dir in ["/lib", "/usr/lib"] {
        dirs.push(PathBuf::from(format!("{dir}/{arch}-linux-gnu")));
        dirs.push(PathBuf::from(format!("{dir}64")));
        dirs.push(PathBuf::from(dir));
    }
    dirs
}
