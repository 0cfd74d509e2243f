//! What the server serves, for clients that ask: `/api`, `/apis` and below, plain and aggregated.
//!
//! ```text
//! kinds ──► Groups (by upstream's priorities) ──► plain:      APIVersions, APIGroupList, APIGroup, APIResourceList
//!                                             └─► aggregated: APIGroupDiscoveryList v2 with an ETag
//! ```

mod aggregated;
mod document;
mod groups;
mod plain;
mod priority;
#[cfg(test)]
mod tests;

pub use document::{AGGREGATED, Document, Form, wants_aggregated};

use groups::{Group, group};
use orch_api::Kind;
use std::{collections::HashMap, sync::Arc};

/// All discovery documents of a set of kinds. Built whole and swapped whole when the kinds change.
pub struct Discovery {
    versions: Arc<Document>,
    groups: Arc<Document>,
    core_aggregated: Arc<Document>,
    groups_aggregated: Arc<Document>,
    by_group: HashMap<String, Arc<Document>>,
    by_version: HashMap<(String, String), Arc<Document>>,
}

impl Discovery {
    /// The documents of these kinds. The same kind may come in several versions.
    pub fn new<'a>(kinds: impl IntoIterator<Item = &'a Kind>) -> Self {
        let groups = group(kinds);
        let (core, named): (Vec<&Group<'_>>, Vec<&Group<'_>>) = groups.iter().partition(|g| g.name.is_empty());
        let by_version = groups.iter().flat_map(|group| {
            group.versions.iter().map(|version| {
                let document = Document::new(&plain::resources(group.name, version));
                ((group.name.to_owned(), version.name.to_owned()), document)
            })
        });
        Self {
            versions: Document::new(&plain::versions(&core)),
            groups: Document::new(&plain::groups(&named)),
            core_aggregated: Document::aggregated(&aggregated::list(&core)),
            groups_aggregated: Document::aggregated(&aggregated::list(&named)),
            by_group: named.iter().map(|g| (g.name.to_owned(), Document::new(&plain::group(g)))).collect(),
            by_version: by_version.collect(),
        }
    }

    /// `/api`
    pub fn api(&self, form: Form) -> &Arc<Document> {
        if form == Form::Aggregated { &self.core_aggregated } else { &self.versions }
    }

    /// `/apis`
    pub fn apis(&self, form: Form) -> &Arc<Document> {
        if form == Form::Aggregated { &self.groups_aggregated } else { &self.groups }
    }

    /// `/apis/GROUP`
    pub fn group(&self, group: &str) -> Option<&Arc<Document>> {
        self.by_group.get(group)
    }

    /// `/apis/GROUP/VERSION`, and `/api/v1` for the empty group.
    pub fn resources(&self, group: &str, version: &str) -> Option<&Arc<Document>> {
        self.by_version.get(&(group.to_owned(), version.to_owned()))
    }
}
