//! [`Watch`]: what is seen of the objects of a kind.

use super::world::PATIENCE;
use futures::StreamExt;
use orch::store::client::{WatchEvent, WatchStream};
use serde_json::Value;

/// Events in the order in which they happened.
pub(super) struct Watch(WatchStream);

impl Watch {
    pub(super) fn new(events: WatchStream) -> Self {
        Self(events)
    }

    /// The next event: its type in upper case, and the object.
    pub(super) async fn next(&mut self) -> (&'static str, Value) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("an event");
            return match event.unwrap().unwrap() {
                WatchEvent::Added(object) => ("ADDED", object.parse().unwrap()),
                WatchEvent::Modified(object) => ("MODIFIED", object.parse().unwrap()),
                WatchEvent::Deleted(object) => ("DELETED", object.parse().unwrap()),
                WatchEvent::Bookmark { .. } => continue,
            };
        }
    }

    /// Reads on to the first event of a type of which something holds.
    pub(super) async fn until(&mut self, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next().await {
                (this, object) if this == kind && holds(&object) => return object,
                _ => {}
            }
        }
    }
}
