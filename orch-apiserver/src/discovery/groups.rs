//! Kinds sorted into groups and versions, in the order in which clients prefer them.

use super::priority;
use orch_api::Kind;
use std::collections::BTreeMap;

/// A group with its versions, the preferred one first.
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) versions: Vec<Version<'a>>,
}

/// A version with its kinds, sorted by plural.
pub(super) struct Version<'a> {
    pub(super) name: &'a str,
    pub(super) kinds: Vec<&'a Kind>,
}

impl Group<'_> {
    /// `apps/v1`, or `v1` in the core group.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.name.is_empty() { version.to_owned() } else { format!("{}/{version}", self.name) }
    }
}

pub(super) fn group<'a>(kinds: impl IntoIterator<Item = &'a Kind>) -> Vec<Group<'a>> {
    let mut sorted: BTreeMap<&str, BTreeMap<&str, Vec<&Kind>>> = BTreeMap::new();
    for kind in kinds {
        sorted.entry(&kind.group).or_default().entry(&kind.version).or_default().push(kind);
    }
    let mut groups: Vec<Group<'a>> = sorted
        .into_iter()
        .map(|(name, versions)| {
            let mut versions: Vec<Version<'a>> =
                versions.into_iter().map(|(name, kinds)| Version { name, kinds }).collect();
            versions.iter_mut().for_each(|v| v.kinds.sort_by(|a, b| a.plural.cmp(&b.plural)));
            versions.sort_by(|a, b| priority::by_version(a.name, b.name));
            Group { name, versions }
        })
        .collect();
    groups.sort_by_key(|g| (std::cmp::Reverse(priority::of_group(g.name)), g.name));
    groups
}
