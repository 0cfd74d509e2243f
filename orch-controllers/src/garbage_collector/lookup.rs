//! Asks the API server whether owners exist. A cache may lag; nothing is deleted on its word alone.

use super::{
    decide::{Answers, Presence},
    graph::Identity,
};
use orch_api::Key;
use orch_runtime::{Discovery, discovery::Served};
use orch_store::Client;

pub(super) async fn ask(
    client: &dyn Client,
    discovery: &dyn Discovery,
    questions: Vec<Identity>,
) -> Result<Answers, String> {
    let mut answers = Answers::new();
    if questions.is_empty() {
        return Ok(answers);
    }
    let served = discovery.served();
    for question in questions {
        let presence = presence(client, &served, &question).await?;
        answers.insert(question, presence);
    }
    Ok(answers)
}

async fn presence(client: &dyn Client, served: &[Served], owner: &Identity) -> Result<Presence, String> {
    let found = served.iter().find(|s| s.kind.group == owner.group && s.kind.kind == owner.kind);
    let Some(found) = found else { return Ok(Presence::Unknown) };
    if found.namespaced && owner.namespace.is_empty() {
        return Ok(Presence::CannotOwn);
    }
    let namespace = if found.namespaced { owner.namespace.clone() } else { "".into() };
    match client.get(&found.gvr, &Key { namespace, name: owner.name.clone() }, None).await {
        Ok(live) if live.meta.uid == owner.uid => Ok(Presence::Present),
        Ok(_) => Ok(Presence::Absent),
        Err(error) if error.is_not_found() => Ok(Presence::Absent),
        Err(error) => Err(error.to_string()),
    }
}
