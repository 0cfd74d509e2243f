//! Writes are charged to the quotas of their namespace before they happen
//! (`apiserver/pkg/admission/plugin/resourcequota`). What is given back is counted by the quota's controller.

use super::{Operation, Plugin, RESOURCE_QUOTAS, Review, View};
use crate::core::{Core, encode, json, storage::Written};
use async_trait::async_trait;
use dashmap::DashMap;
use orch_api::{
    Kind, StatusError,
    quota::{Amounts, Evaluator, Request, check},
};
use orch_store::Stored;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Mutex;

/// How often a quota is charged again that somebody else changed meanwhile.
const RETRIES: usize = 3;

/// The plugin `ResourceQuota`. It is the last to run: what it charges, nobody may refuse any more.
#[derive(Default)]
pub struct ResourceQuota {
    /// Who charges the quotas of a namespace takes turns, so that only others' writes can be in the way.
    turns: DashMap<String, Arc<Mutex<()>>>,
}

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        matches!(review.operation, Operation::Create | Operation::Update) && !review.key.namespace.is_empty()
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let Some(evaluator) = Evaluator::of(&review.call.kind.gvr()) else { return Ok(()) };
        let namespace = &*review.key.namespace;
        if !evaluator.handles(review.operation.as_str(), review.subresource(), object, review.old)
            || view.known(&RESOURCE_QUOTAS, namespace).await?.is_empty()
        {
            return Ok(());
        }
        let Some(kind) = view.core.registry.find(&RESOURCE_QUOTAS) else { return Ok(()) };
        let turn = self.turns.entry(namespace.to_owned()).or_default().clone();
        let taken = turn.lock().await;
        let charged = charge(view, review, &kind, &evaluator, object).await;
        drop(taken);
        // Nobody else waits: the namespace need not be remembered.
        self.turns.remove_if(namespace, |_, turn| Arc::strong_count(turn) <= 2);
        charged
    }
}

async fn charge(
    view: &View<'_>,
    review: &Review<'_>,
    kind: &Kind,
    evaluator: &Evaluator,
    object: &Value,
) -> Result<(), StatusError> {
    let request = Request {
        creates: review.operation == Operation::Create,
        subresource: review.subresource(),
        new: object,
        old: review.old,
        now: view.now(),
    };
    let mut left: Option<Vec<Arc<Stored>>> = None;
    for _ in 0..=RETRIES {
        let stored = fresh(view, review, left.as_deref()).await?;
        let quotas: Vec<Value> = stored.iter().map(|quota| quota.parse()).collect::<Result<_, _>>()?;
        let charges = check(evaluator, &quotas, &request).map_err(|why| review.forbidden(object, why))?;
        if review.dry_run {
            return Ok(());
        }
        let mut stale = Vec::new();
        for (index, used) in charges {
            let (Some(old), Some(quota)) = (stored.get(index), quotas.get(index)) else { continue };
            if !write(view.core, kind, old, quota, &used).await? {
                stale.push(old.clone());
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        left = Some(stale);
    }
    let name = left.iter().flatten().map(|quota| quota.key.name.to_string()).next().unwrap_or_default();
    Err(StatusError::stale(&kind.gvr(), &name))
}

/// The quotas of the namespace or, when some were charged already, what the others are now.
async fn fresh(
    view: &View<'_>,
    review: &Review<'_>,
    left: Option<&[Arc<Stored>]>,
) -> Result<Vec<Arc<Stored>>, StatusError> {
    let Some(left) = left else { return view.known(&RESOURCE_QUOTAS, &review.key.namespace).await };
    let mut all = view.all(&RESOURCE_QUOTAS, &review.key.namespace).await?;
    all.retain(|quota| left.iter().any(|other| other.key == quota.key));
    Ok(all)
}

/// Writes what is used; false when the quota changed meanwhile.
async fn write(core: &Core, kind: &Kind, old: &Stored, quota: &Value, used: &Amounts) -> Result<bool, StatusError> {
    let mut new = quota.clone();
    json::set(&mut new, &["status", "used"], used.write());
    let written = core.storage.replace(kind, old, encode::encode(&new)?, false).await?;
    Ok(matches!(written, Written::Done(_)))
}
