//! [`Parts`]: an object's JSON, as far as somebody asks.

use super::Stored;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// The three parts of most objects. Each is read into a type that has the fields which are asked for; one that nobody asks
/// for is [`IgnoredAny`].
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(
    default,
    bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default, M: Deserialize<'de> + Default")
)]
pub struct Parts<S = IgnoredAny, T = IgnoredAny, M = IgnoredAny> {
    /// What is wanted.
    pub spec: S,
    /// What is.
    pub status: T,
    /// What it is known by.
    pub metadata: M,
}

impl<S, T, M> Parts<S, T, M>
where
    S: DeserializeOwned + Default,
    T: DeserializeOwned + Default,
    M: DeserializeOwned + Default,
{
    /// Reads the stored JSON. Of what cannot be read nothing is known.
    pub fn of(stored: &Stored) -> Self {
        stored.parse().unwrap_or_default()
    }
}
