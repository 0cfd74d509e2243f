//! [`AccessModes`]: a set of access modes.

use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A set of access modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessModes(u8);

/// In the order in which they are printed.
const NAMES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

impl AccessModes {
    /// The set of the named modes; other names are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let bit = |name: &str| NAMES.iter().position(|known| *known == name).map_or(0, |at| 1 << at);
        Self(names.into_iter().fold(0, |set, name| set | bit(name)))
    }

    /// Whether all of the other set are in this one.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one pod alone may use the volume.
    pub fn is_for_one_pod(self) -> bool {
        self.contains(Self::of(["ReadWriteOncePod"]))
    }

    /// How many there are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<'de> Deserialize<'de> for AccessModes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names: Option<Vec<Cow<'de, str>>> = Deserialize::deserialize(deserializer)?;
        Ok(Self::of(names.iter().flatten().map(|name| &**name)))
    }
}
