//! [`Absent`]: owners that are gone.

use super::{Uid, graph::Identity};
use std::collections::{HashMap, HashSet};

/// Owners of which somebody saw the end, or of which the API server said that they do not exist, for as long as anybody
/// names them. What was seen outlives the kind: where its definition is gone, nobody could be asked. Remembered is the whole
/// identity, so that a wrong reference condemns nobody who means another object by the same UID.
#[derive(Debug, Default)]
pub(super) struct Absent(HashMap<Uid, HashSet<Identity>>);

impl Absent {
    pub(super) fn insert(&mut self, identity: Identity) {
        self.0.entry(identity.uid.clone()).or_default().insert(identity);
    }

    /// Whether what a reference means is gone, be its kind namespaced or not.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        let Some(known) = self.0.get(&identity.uid) else { return false };
        known.contains(identity) || known.contains(&Identity { namespace: "".into(), ..identity.clone() })
    }

    /// Nobody names it any more.
    pub(super) fn forget(&mut self, uid: &Uid) {
        self.0.remove(uid);
    }
}
