//! Which nodes there are, as far as events have told it (`classifyNodes`), and what was heard of each.

use super::health::Heard;
use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use orch_api::{Key, Object};
use orch_runtime::{Plan, plan::Notice};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The nodes that were told of.
#[derive(Default)]
pub(super) struct Registry(Mutex<BTreeMap<Key, Known>>);

#[derive(Clone)]
struct Known {
    uid: Arc<str>,
    heard: Heard,
}

/// What is told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there for the first time.
    New,
    /// It is there, as before.
    Here,
    /// It was there, and is gone.
    Gone,
}

impl Registry {
    /// What was heard of a node until now; `None` if it is not known yet.
    pub(super) fn heard(&self, key: &Key) -> Option<Heard> {
        self.0.lock().get(key).map(|known| known.heard)
    }

    /// A node that is known, as far as events name it.
    pub(super) fn remnant(&self, key: &Key) -> Option<Node> {
        let uid = self.0.lock().get(key)?.uid.to_string();
        let metadata = ObjectMeta { name: Some(key.name.to_string()), uid: Some(uid), ..ObjectMeta::default() };
        Some(Node { metadata, ..Node::default() })
    }

    /// Remembers what was told of a node.
    pub(super) fn remember(&self, node: &Node, presence: Presence, heard: Heard) {
        let mut all = self.0.lock();
        match presence {
            Presence::Gone => drop(all.remove(&node.key())),
            Presence::New | Presence::Here => drop(all.insert(node.key(), Known { uid: node.uid().into(), heard })),
        }
    }
}

/// Tells that a node came, or that it went.
pub(super) fn tell(node: &Node, presence: Presence, plan: &mut Plan) {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let (reason, words) = match presence {
        Presence::New => ("RegisteredNode", format!("Registered Node {name} in Controller")),
        Presence::Gone => ("RemovingNode", format!("Removing Node {name} from Controller")),
        Presence::Here => return,
    };
    plan.event(Notice::normal(node, reason, format!("Node {name} event: {words}")));
}
