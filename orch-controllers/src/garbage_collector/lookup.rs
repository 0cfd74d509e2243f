//! Asks the API server whether owners exist. A cache may lag; nothing is deleted on its word alone.

use super::{
    Uid,
    decide::{Answers, Presence, Question},
};
use orch_api::{Gvk, Key};
use orch_runtime::{Discovery, discovery::Served};
use orch_store::Client;
use parking_lot::Mutex;
use std::collections::HashSet;

/// How many absent owners are remembered.
const MEMORY: usize = 500;

/// Owners that the API server said do not exist.
#[derive(Debug, Default)]
pub(super) struct Absent {
    known: HashSet<Uid>,
}

impl Absent {
    fn insert(&mut self, uid: Uid) {
        if self.known.len() >= MEMORY {
            self.known.clear();
        }
        self.known.insert(uid);
    }
}

pub(super) async fn ask(
    client: &dyn Client,
    discovery: &dyn Discovery,
    absent: &Mutex<Absent>,
    questions: Vec<Question>,
) -> Result<Answers, String> {
    let mut answers = Answers::new();
    if questions.is_empty() {
        return Ok(answers);
    }
    let served = discovery.served();
    for question in questions {
        let uid = question.owner.uid.clone();
        let known = absent.lock().known.contains(&uid);
        let presence = if known { Presence::Absent } else { presence(client, &served, &question).await? };
        if presence == Presence::Absent && !known {
            absent.lock().insert(uid.clone());
        }
        answers.insert(uid, presence);
    }
    Ok(answers)
}

async fn presence(client: &dyn Client, served: &[Served], question: &Question) -> Result<Presence, String> {
    let owner = &question.owner;
    let kind = Gvk::parse(&owner.api_version, &owner.kind);
    let found = served.iter().find(|s| s.kind.group == kind.group && s.kind.kind == kind.kind);
    let Some(found) = found else { return Ok(Presence::Unknown) };
    if found.namespaced && question.namespace.is_empty() {
        // A cluster-scoped object cannot be owned by one in a namespace: which one would be meant?
        return Ok(Presence::Unknown);
    }
    let namespace = if found.namespaced { question.namespace.clone() } else { "".into() };
    match client.get(&found.gvr, &Key { namespace, name: owner.name.clone() }, None).await {
        Ok(live) if live.meta.uid == owner.uid => Ok(Presence::Present),
        Ok(_) => Ok(Presence::Absent),
        Err(error) if error.is_not_found() => Ok(Presence::Absent),
        Err(error) => Err(error.to_string()),
    }
}
