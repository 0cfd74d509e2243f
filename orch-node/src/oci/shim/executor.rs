use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::unistd;
use oci_spec::runtime::Spec;
use std::{ffi::CString, fs, io::ErrorKind, os::unix::fs::PermissionsExt};

/// Starts programs, with runc's words when that fails.
#[derive(Clone)]
pub(super) struct Exec;

impl Executor for Exec {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let args = args(spec);
        let words: Result<Vec<CString>, _> = args.iter().map(|arg| CString::new(arg.as_str())).collect();
        let (Ok(words), Some(program)) = (words, args.first()) else { return Err(ExecutorError::InvalidArg) };
        let name = words.first().ok_or(ExecutorError::InvalidArg)?;
        let errno = unistd::execvp(name, &words).map_or_else(|errno| errno, |never| match never {});
        // Nobody waits for an answer any more: the words go where the program's own would have gone.
        eprintln!("exec {program}: {}", errno.desc().to_lowercase());
        std::process::exit(255);
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let refuse = |why: String| Err(ExecutorValidationError::ArgValidationError(why));
        let Some(program) = args(spec).first() else { return refuse("no command specified".into()) };
        let env = spec.process().as_ref().and_then(|process| process.env().as_deref()).unwrap_or_default();
        let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
        if program.contains('/') {
            return match check(program) {
                Ok(()) => Ok(()),
                Err(why) => refuse(format!("exec: {program:?}: stat {program}: {why}")),
            };
        }
        match path.split(':').any(|dir| check(&format!("{dir}/{program}")).is_ok()) {
            true => Ok(()),
            false => refuse(format!("exec: {program:?}: executable file not found in $PATH")),
        }
    }
}

fn args(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default()
}

fn check(path: &str) -> Result<(), &'static str> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err("is a directory"),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Err("permission denied"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err("permission denied"),
        Err(_) => Err("no such file or directory"),
    }
}
