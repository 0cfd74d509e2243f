//! [`Served`]: which rows of the kinds table belong to which definition.

use crate::{core::Core, crd::status::is_true};
use orch_api::{Gvr, Kind, StatusError, crd::rows};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

/// The resources that each definition, by name, is served under.
#[derive(Default)]
pub(super) struct Served(HashMap<String, Vec<Gvr>>);

impl Served {
    /// Serves the versions of a definition as it is now, or none of them while it is not established.
    pub(super) async fn put(&mut self, core: &Core, name: &str, definition: &Value) -> Result<(), StatusError> {
        let wanted: Vec<Arc<Kind>> = match is_true(definition, "Established") {
            true => rows(definition, true).into_iter().filter(|row| row.served).map(|row| row.kind).collect(),
            false => Vec::new(),
        };
        // A definition cannot take the place of a built-in kind.
        let free = |kind: &Arc<Kind>| core.registry.find(&kind.gvr()).is_none_or(|known| known.custom.is_some());
        let wanted: Vec<Arc<Kind>> = wanted.into_iter().filter(free).collect();
        for kind in &wanted {
            core.storage.load(kind).await?;
        }
        let now: Vec<Gvr> = wanted.iter().map(|kind| kind.gvr()).collect();
        let before = self.0.insert(name.to_owned(), now).unwrap_or_default();
        core.registry.replace(&before, wanted);
        Ok(())
    }

    /// Serves a definition no longer.
    pub(super) fn remove(&mut self, core: &Core, name: &str) {
        let before = self.0.remove(name).unwrap_or_default();
        core.registry.replace(&before, Vec::new());
    }
}
