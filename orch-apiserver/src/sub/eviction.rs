//! Evicting a pod within its disruption budget (`pkg/registry/core/pod/storage/eviction.go`).

use super::{binding::set_condition, success};
use crate::{
    core::{
        Answer, Call, Core,
        decode::{self, Expected},
        json, meta,
        selection::LabelsOf,
        update::{Admits, Mode, Part},
    },
    http::input::delete_options_value,
};
use orch_api::{
    FieldError, Gvr, Key, Kind, Path, Reason, StatusError,
    decode::Parsed,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails},
    label_selector::Selector,
};
use orch_store::{
    Revision, Stored,
    client::{DeleteOptions, WriteOptions},
};
use serde_json::{Value, json};
use std::sync::Arc;

const EVICTION: Expected<'_> =
    Expected { api_version: "policy/v1", kind: "Eviction", definition: "io.k8s.api.policy.v1.Eviction" };
/// What clients of old send, which is the same (`AcceptsGroupVersion`).
const BEFORE: &str = "policy/v1beta1";
const BUDGETS: Gvr = Gvr::of("policy", "v1", "poddisruptionbudgets");
/// An option that makes no sense for evictions.
const UNSAFE: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
/// A budget that has this many unconfirmed evictions takes no more.
const MAX_DISRUPTED_PODS: usize = 2000;
/// How often a budget that others change meanwhile is tried.
const CONFLICT_RETRIES: usize = 20;

/// `POST pods/NAME/eviction`.
pub(crate) async fn evict(
    core: &Core,
    call: &Call,
    mut body: Parsed,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    if json::text(&body.value, &["apiVersion"]) == BEFORE {
        json::set(&mut body.value, &["apiVersion"], EVICTION.api_version);
    }
    let mut eviction = decode::typed(call, EVICTION, body, options)?;
    if json::meta(&eviction, "name") != &*call.key.name {
        return Err(StatusError::bad_request("name in URL does not match name in Eviction object"));
    }
    if json::at(&eviction, &["deleteOptions", UNSAFE]).and_then(Value::as_bool) == Some(true) {
        let path = Path::new("deleteOptions").child(UNSAFE);
        let error = FieldError::invalid(&path, true, "can not be set for pod eviction, try after removing the option");
        return Err(StatusError::invalid("policy", "Eviction", &call.key.name, &[error]));
    }
    core.admit_unstored(call, &mut eviction, options).await?;
    let mut errors = Vec::new();
    let empty = json!({});
    let asked = delete_options_value(eviction.get("deleteOptions").unwrap_or(&empty), &mut errors)?;
    if !errors.is_empty() {
        return Err(StatusError::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    let asked = DeleteOptions { dry_run: asked.dry_run || options.dry_run, ..asked };
    let Some((stored, pod)) = guarded(core, call, &asked).await? else { return success() };
    match spend(core, call, &stored, &pod, asked.dry_run).await? {
        Spend::Free | Spend::Spent => remove(core, call, &asked).await?,
        Spend::Pinned(budget) => {
            let pinned = DeleteOptions { revision: asked.revision.or(Some(stored.revision)), ..asked.clone() };
            match remove(core, call, &pinned).await {
                // The pod may have become healthy: the budget has to be asked again.
                Err(error) if error.is_conflict() && asked.revision.is_none() => return Err(try_later(&budget)),
                result => result?,
            }
        }
    }
    success()
}

/// The pod, if budgets have to be asked about it; else it is deleted. One that is not yet running is deleted only as it
/// was seen, and looked at again when it has changed meanwhile.
async fn guarded(core: &Core, call: &Call, asked: &DeleteOptions) -> Result<Option<(Arc<Stored>, Value)>, StatusError> {
    let mut tries = CONFLICT_RETRIES;
    loop {
        let stored = core.storage.get(&call.kind, &call.key).await?;
        let pod: Value = stored.parse()?;
        if !ignores_budgets(&pod) {
            return Ok(Some((stored, pod)));
        }
        let pinned = asked.revision.is_none() && is_pending_alive(&pod);
        let options = DeleteOptions { revision: asked.revision.or(pinned.then_some(stored.revision)), ..asked.clone() };
        tries -= 1;
        match remove(core, call, &options).await {
            Err(error) if error.is_conflict() && asked.revision.is_none() && tries > 0 => {}
            result => return result.map(|()| None),
        }
    }
}

/// What an eviction cost its budget.
enum Spend {
    /// There is no budget.
    Free,
    /// One disruption of it.
    Spent,
    /// Nothing, as long as the pod is still unhealthy at the deletion. The name of the budget.
    Pinned(String),
}

async fn spend(core: &Core, call: &Call, stored: &Stored, pod: &Value, dry_run: bool) -> Result<Spend, StatusError> {
    let Some(kind) = core.registry.find(&BUDGETS) else { return Ok(Spend::Free) };
    let mut budgets = Vec::new();
    for budget in core.storage.all(&kind, &stored.key.namespace).await? {
        if covers(&budget, stored)? {
            budgets.push(budget);
        }
    }
    let budget = match budgets.as_slice() {
        [] => return Ok(Spend::Free),
        [one] => one,
        _ => {
            let words =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(StatusError::new(Reason::Unknown, words));
        }
    };
    let value: Value = budget.parse()?;
    if !is_ready(pod) && may_evict_unready(&value) {
        return Ok(Spend::Pinned(budget.key.name.to_string()));
    }
    let call = call.on(kind.clone(), Key::new(budget.key.namespace.clone(), budget.key.name.clone()));
    take_from(core, &call, &kind, &stored.key.name, dry_run).await.map(|()| Spend::Spent)
}

/// Takes one disruption from the budget, or refuses.
async fn take_from(core: &Core, call: &Call, kind: &Arc<Kind>, pod: &str, dry_run: bool) -> Result<(), StatusError> {
    let now = meta::time(core.ambient.clock.now());
    for _ in 0..CONFLICT_RETRIES {
        let budget = core.storage.get(kind, &call.key).await?;
        let change = decrement(&budget.parse()?, pod, &now)?;
        if dry_run {
            return Ok(());
        }
        let mode = Mode { part: Part::Checked, applied: false, admits: Admits::Nothing };
        match core.write(call, mode, &WriteOptions::default(), &|_| Ok(change.clone())).await {
            Err(error) if error.is_conflict() => {}
            result => return result.map(drop),
        }
    }
    let words = format!("Timeout: couldn't update PodDisruptionBudget {:?} due to conflicts", call.key.name);
    Err(StatusError::new(Reason::Timeout, words).retry_after(10))
}

/// The budget after one more disruption, or why there can be none.
fn decrement(budget: &Value, pod: &str, now: &str) -> Result<Value, StatusError> {
    let name = json::meta(budget, "name");
    let number = |field: &str| json::integer(budget, &["status", field]).unwrap_or(0);
    if number("observedGeneration") < json::integer(budget, &["metadata", "generation"]).unwrap_or(0) {
        return Err(try_later(name));
    }
    let about = Gvr::of("policy", "v1", "poddisruptionbudget");
    let allowed = number("disruptionsAllowed");
    if allowed < 0 {
        return Err(StatusError::forbidden(&about, name, "pdb disruptions allowed is negative"));
    }
    let disrupted = json::at(budget, &["status", "disruptedPods"]).and_then(Value::as_object).map_or(0, |m| m.len());
    if disrupted > MAX_DISRUPTED_PODS {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(StatusError::forbidden(&about, name, why));
    }
    if allowed == 0 {
        return Err(exhausted(budget, name));
    }
    let mut budget = budget.clone();
    json::set(&mut budget, &["status", "disruptionsAllowed"], allowed - 1);
    if allowed == 1 {
        used_up(&mut budget, now);
    }
    json::set(&mut budget, &["status", "disruptedPods", pod], now);
    Ok(budget)
}

/// The last disruption was taken: the condition says so before the controller does.
fn used_up(budget: &mut Value, now: &str) {
    let generation = json::integer(budget, &["status", "observedGeneration"]).unwrap_or(0);
    let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": generation});
    set_condition(budget, &condition, now);
}

fn exhausted(budget: &Value, name: &str) -> StatusError {
    let number = |field: &str| json::integer(budget, &["status", field]).unwrap_or(0);
    let (desired, current) = (number("desiredHealthy"), number("currentHealthy"));
    let refused = json::items(budget, &["status", "conditions"]).iter().find(|c| {
        json::text(c, &["type"]) == "DisruptionAllowed"
            && json::text(c, &["status"]) == "False"
            && !json::text(c, &["message"]).is_empty()
    });
    let part = |field: &str| refused.map(|c| json::text(c, &[field])).unwrap_or_default();
    let why = match refused {
        Some(_) if part("reason") == "SyncFailed" => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
            part("message")
        ),
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some(_) => format!(
            "The disruption budget {name} does not allow evicting pods currently ({}): {}",
            part("reason"),
            part("message")
        ),
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    };
    too_many(why, None)
}

fn try_later(name: &str) -> StatusError {
    too_many(format!("The disruption budget {name} is still being processed by the server."), Some(10))
}

fn too_many(why: String, retry_after_seconds: Option<i32>) -> StatusError {
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    let cause = StatusCause { reason: Some("DisruptionBudget".into()), message: Some(why), field: None };
    StatusError::new(Reason::TooManyRequests, words).with_details(StatusDetails {
        causes: Some(vec![cause]),
        retry_after_seconds,
        ..StatusDetails::default()
    })
}

/// Says why the pod goes, and deletes it.
async fn remove(core: &Core, call: &Call, options: &DeleteOptions) -> Result<(), StatusError> {
    let call = Call { subresource: None, ..call.clone() };
    let mut options = options.clone();
    if !options.dry_run {
        let revision: Revision = disrupted(core, &call, &options).await?;
        options.revision = options.revision.map(|_| revision);
    }
    core.delete_admitted(&call, &options).await.map(drop)
}

async fn disrupted(core: &Core, call: &Call, options: &DeleteOptions) -> Result<Revision, StatusError> {
    let now = meta::time(core.ambient.clock.now());
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting"});
    let change = |live: &Value| {
        let mut pod = live.clone();
        set_condition(&mut pod, &condition, &now);
        if let Some(revision) = options.revision {
            json::meta_mut(&mut pod).insert("resourceVersion".into(), revision.to_string().into());
        }
        if let Some(uid) = &options.uid {
            json::meta_mut(&mut pod).insert("uid".into(), (&**uid).into());
        }
        Ok(pod)
    };
    let mode = Mode { part: Part::Checked, applied: false, admits: Admits::Nothing };
    Ok(core.write(call, mode, &WriteOptions::default(), &change).await?.revision)
}

fn covers(budget: &Stored, pod: &Stored) -> Result<bool, StatusError> {
    let budget: Value = budget.parse()?;
    let selector = json::at(&budget, &["spec", "selector"]).unwrap_or(&Value::Null);
    // A selector that cannot be read covers nothing.
    Ok(Selector::from_json(selector).is_ok_and(|s| s.matches(&LabelsOf(pod))))
}

/// A pod that is over, not yet running, or going anyway disrupts nobody.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(json::text(pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending")
        || !json::meta(pod, "deletionTimestamp").is_empty()
}

/// A pending pod may start to run before it is deleted.
fn is_pending_alive(pod: &Value) -> bool {
    json::text(pod, &["status", "phase"]) == "Pending" && json::meta(pod, "deletionTimestamp").is_empty()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = json::items(pod, &["status", "conditions"]);
    conditions.iter().any(|c| json::text(c, &["type"]) == "Ready" && json::text(c, &["status"]) == "True")
}

fn may_evict_unready(budget: &Value) -> bool {
    let number = |field: &str| json::integer(budget, &["status", field]).unwrap_or(0);
    json::text(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow"
        || (number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0)
}
