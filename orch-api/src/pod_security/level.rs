//! [`Policy`]: the levels that a namespace's labels ask for.

use crate::{FieldError, Path};
use std::fmt;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How much pods may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    #[default]
    Privileged,
    /// Nothing that is known to lead out of the container.
    Baseline,
    /// What hardened pods need.
    Restricted,
}

impl Level {
    /// The level as labels spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted].into_iter().find(|level| level.as_str() == text)
    }
}

/// The version of Kubernetes whose reading of a level counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// The newest.
    #[default]
    Latest,
    /// That of `v1.N`.
    Minor(u32),
}

impl Version {
    /// The minor version; `None` for the newest.
    pub fn minor(self) -> Option<u32> {
        match self {
            Self::Latest => None,
            Self::Minor(minor) => Some(minor),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let digits = text.strip_prefix("v1.")?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
        plain.then(|| digits.parse().ok().map(Self::Minor)).flatten()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

/// A level in a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelVersion {
    /// The level.
    pub level: Level,
    /// Its version.
    pub version: Version,
}

/// `restricted:latest`
impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level.as_str(), self.version)
    }
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Pods beyond this are refused.
    pub enforce: LevelVersion,
    /// Pods beyond this are noted in the audit log.
    pub audit: LevelVersion,
    /// Who makes pods beyond this is warned.
    pub warn: LevelVersion,
}

impl Policy {
    /// Reads the labels of a namespace. A level that cannot be read enforces the strictest and audits and warns of nothing.
    pub fn of<'a>(label: impl Fn(&str) -> Option<&'a str>) -> (Self, Vec<FieldError>) {
        let mut policy = Self::default();
        let mut errors = Vec::new();
        let mut refuse = |name: &str, value: &str, why: &str| {
            errors.push(FieldError::invalid(&Path::new("metadata").child("labels").key(name), value, why));
        };
        let mut warns = [false; 2];
        let mut enforces = false;
        let modes = [("enforce", &mut policy.enforce), ("audit", &mut policy.audit), ("warn", &mut policy.warn)];
        for (mode, into) in modes {
            let names = [format!("{PREFIX}{mode}"), format!("{PREFIX}{mode}-version")];
            if let Some(value) = label(&names[0]) {
                let level = Level::parse(value);
                if level.is_none() {
                    refuse(&names[0], value, "must be one of privileged, baseline, restricted");
                }
                enforces |= mode == "enforce" && level.is_some();
                warns[0] |= mode == "warn";
                let unread = if mode == "enforce" { Level::Restricted } else { Level::Privileged };
                into.level = level.unwrap_or(unread);
            }
            if let Some(value) = label(&names[1]) {
                let version = Version::parse(value);
                if version.is_none() {
                    refuse(&names[1], value, "must be \"latest\" or \"v1.x\"");
                }
                warns[1] |= mode == "warn";
                into.version = version.unwrap_or_default();
            }
        }
        // Who enforces wants to be warned as well, unless the labels say otherwise.
        if !warns[0] && enforces && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !warns[1] {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    /// Whether it asks for nothing.
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|mode| mode.level == Level::Privileged)
    }
}
