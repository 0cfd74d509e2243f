use super::Failure;
use std::{collections::VecDeque, time::Duration};

/// The arguments of a command.
pub(super) struct Args(VecDeque<String>);

impl Args {
    pub(super) fn new(args: impl Iterator<Item = String>) -> Self {
        Self(args.collect())
    }

    /// The next argument.
    pub(super) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The next argument, which must be there.
    pub(super) fn need(&mut self, what: &str) -> Result<String, Failure> {
        self.next().ok_or_else(|| format!("{what} is missing").into())
    }

    /// What follows `--name`, taken out.
    pub(super) fn option(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(at) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        self.0.remove(at);
        match self.0.remove(at) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{name} needs a value").into()),
        }
    }

    /// What follows `--name`, in seconds.
    pub(super) fn seconds(&mut self, name: &str) -> Result<Option<Duration>, Failure> {
        self.option(name)?.map(|text| seconds(&text)).transpose()
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Vec<String> {
        self.0.drain(..).collect()
    }
}

/// `1.5` or `1.5s`.
pub(super) fn seconds(text: &str) -> Result<Duration, Failure> {
    let number: f64 = text.trim_end_matches('s').parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| format!("{text:?}: {error}").into())
}
