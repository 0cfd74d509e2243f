//! Delete: preconditions, grace, finalizers, propagation
//! (`registry/generic/registry/store.go`, `registry/rest/delete.go`).

use super::{Answer, Call, Core, json, meta, storage::Written};
use crate::{
    admission::{Operation, Options, Review},
    crd::cleanup::FINALIZER,
};
use jiff::{SignedDuration, Timestamp};
use orch_api::{Gvr, StatusError, strategy};
use orch_store::{
    Stored,
    client::{DeleteOptions, Propagation},
};
use serde_json::Value;
use std::sync::Arc;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of an object that shall be deleted.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It goes at once.
    Now,
    /// It stays as it is: its deletion is under way already.
    Pending,
    /// It is marked and waits for its grace period or its finalizers.
    Marked(Value),
    /// It is marked, and nothing holds it any longer.
    MarkedAndGone,
}

impl Core {
    pub(crate) async fn delete(&self, call: &Call, options: &DeleteOptions) -> Result<Answer, StatusError> {
        self.delete_object(call, options, true).await
    }

    /// Deletes what another request was admitted to delete, such as an eviction.
    pub(crate) async fn delete_admitted(&self, call: &Call, options: &DeleteOptions) -> Result<Answer, StatusError> {
        self.delete_object(call, options, false).await
    }

    async fn delete_object(&self, call: &Call, options: &DeleteOptions, admits: bool) -> Result<Answer, StatusError> {
        if call.key.name.is_empty() {
            return Err(StatusError::bad_request("Name parameter required."));
        }
        loop {
            let Some(stored) = self.storage.find(&call.kind, &call.key).await? else {
                return Err(StatusError::not_found(&call.kind.gvr(), &call.key.name));
            };
            if let Some(answer) = self.delete_once(call, options, admits, &stored).await? {
                return Ok(answer);
            }
        }
    }

    /// One attempt; `None` when the object changed meanwhile.
    async fn delete_once(
        &self,
        call: &Call,
        options: &DeleteOptions,
        admits: bool,
        stored: &Arc<Stored>,
    ) -> Result<Option<Answer>, StatusError> {
        check_preconditions(call, options, stored)?;
        let old: Value = stored.parse()?;
        if admits {
            let review = Review {
                call,
                key: &call.key,
                operation: Operation::Delete,
                old: Some(&old),
                options: Options::Delete(options),
                dry_run: options.dry_run,
            };
            self.admission.admit(self, &review, &mut Value::Null).await?;
        }
        let written = match decide(call, &old, options, self.ambient.clock.now()) {
            Outcome::Pending => {
                return Ok(Some(Answer::Deleted { object: stored.clone(), gone: false }));
            }
            Outcome::Marked(new) => {
                let value = self.storage.encode(&call.kind, &new).await?;
                return Ok(match self.storage.replace(&call.kind, stored, value, options.dry_run).await? {
                    Written::Done(object) => Some(Answer::Deleted { object, gone: false }),
                    Written::Stale => None,
                });
            }
            Outcome::Now | Outcome::MarkedAndGone => {
                let beside = self.services.delete(self, call, &old).await?;
                self.storage.remove_with(&call.kind, stored, beside, options.dry_run).await?
            }
        };
        Ok(match written {
            Written::Done(object) => Some(Answer::Deleted { object, gone: true }),
            Written::Stale => None,
        })
    }
}

/// Decides what a deletion does to an object.
fn decide(call: &Call, old: &Value, options: &DeleteOptions, now: Timestamp) -> Outcome {
    let mut new = old.clone();
    let graceful = match grace(call, &mut new, options, now) {
        Grace::Pending => return Outcome::Pending,
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    set_propagation(call, &mut new, options);
    if call.kind.plural == "namespaces" && call.kind.group.is_empty() {
        return namespace(new, now);
    }
    if call.kind.kind == "CustomResourceDefinition" && call.kind.custom.is_none() {
        return definition(old, new, now);
    }
    let waits = !json::items(&new, &["metadata", "finalizers"]).is_empty();
    match graceful {
        None if waits => {
            mark(&mut new, now);
            if new == *old { Outcome::Pending } else { Outcome::Marked(new) }
        }
        None => Outcome::Now,
        Some(seconds) if waits || seconds > 0 => Outcome::Marked(new),
        Some(_) => Outcome::MarkedAndGone,
    }
}

/// A namespace first terminates, and goes when its finalizers have run (`registry/core/namespace/storage`).
fn namespace(mut new: Value, now: Timestamp) -> Outcome {
    let free = json::items(&new, &["spec", "finalizers"]).is_empty()
        && json::items(&new, &["metadata", "finalizers"]).is_empty();
    if !json::meta(&new, "deletionTimestamp").is_empty() {
        return if free { Outcome::Now } else { Outcome::Pending };
    }
    if free {
        return Outcome::Now;
    }
    json::set(&mut new, &["metadata", "deletionTimestamp"], meta::time(now));
    json::set(&mut new, &["status", "phase"], "Terminating");
    Outcome::Marked(new)
}

/// A definition terminates first: its objects go before it (`customresourcedefinition/etcd.go`).
fn definition(old: &Value, mut new: Value, now: Timestamp) -> Outcome {
    let waits = !json::items(&new, &["metadata", "finalizers"]).is_empty();
    if !json::meta(&new, "deletionTimestamp").is_empty() {
        return match (waits, new == *old) {
            (false, _) => Outcome::Now,
            (true, true) => Outcome::Pending,
            (true, false) => Outcome::Marked(new),
        };
    }
    mark(&mut new, now);
    let finalizers = json::list_mut(&mut new, &["metadata"], "finalizers");
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    crate::crd::terminating(&mut new, now);
    Outcome::Marked(new)
}

/// Whether and how long a deletion waits for the object to end by itself.
enum Grace {
    None,
    Pending,
    Seconds(i64),
}

/// `rest.BeforeDelete`: sets the deletion timestamp where the kind ends gracefully.
fn grace(call: &Call, object: &mut Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    let asked = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    if !json::meta(object, "deletionTimestamp").is_empty() {
        return shorten(object, asked, now);
    }
    let Some(seconds) = strategy::graceful_delete(&call.kind, object, asked) else { return Grace::None };
    set_deletion(object, later(now, seconds), seconds);
    bump_generation(object);
    Grace::Seconds(seconds)
}

/// The grace period of an object that is being deleted already may only become shorter.
fn shorten(object: &mut Value, asked: Option<i64>, now: Timestamp) -> Grace {
    let current = json::integer(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    if current == 0 {
        return Grace::None;
    }
    let Some(mut period) = asked.filter(|seconds| *seconds < current) else { return Grace::Pending };
    let deadline: Timestamp = json::meta(object, "deletionTimestamp").parse().unwrap_or(now);
    let mut deadline = later(deadline, period - current);
    if deadline < now {
        deadline = now;
        period = if period == 0 { 0 } else { 1 };
    }
    set_deletion(object, deadline, period);
    Grace::Seconds(period)
}

/// Sets the finalizers that make the garbage collector orphan or delete the dependents first.
fn set_propagation(call: &Call, object: &mut Value, options: &DeleteOptions) {
    let Some(default) = strategy::default_propagation(&call.kind) else { return };
    let has = |name: &str| json::items(object, &["metadata", "finalizers"]).iter().any(|f| f == name);
    let wanted = match options.propagation {
        Some(Propagation::Orphan) => Some(ORPHAN),
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Background) => None,
        None if has(ORPHAN) => Some(ORPHAN),
        None if has(FOREGROUND) => Some(FOREGROUND),
        None => (default == strategy::Propagation::Orphan).then_some(ORPHAN),
    };
    let mut finalizers: Vec<Value> = json::items(object, &["metadata", "finalizers"]).to_vec();
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    finalizers.extend(wanted.map(Value::from));
    match finalizers.is_empty() {
        true => drop(json::meta_mut(object).remove("finalizers")),
        false => drop(json::meta_mut(object).insert("finalizers".into(), finalizers.into())),
    }
}

/// Marks an object that does not end gracefully and has finalizers to wait for.
pub(crate) fn mark(object: &mut Value, now: Timestamp) {
    let deadline = json::meta(object, "deletionTimestamp").parse::<Timestamp>().ok();
    if deadline.is_none() {
        bump_generation(object);
    }
    let at = deadline.filter(|t| *t <= now).unwrap_or(now);
    set_deletion(object, at, 0);
}

fn set_deletion(object: &mut Value, at: Timestamp, seconds: i64) {
    let meta = json::meta_mut(object);
    meta.insert("deletionTimestamp".into(), meta::time(at).into());
    meta.insert("deletionGracePeriodSeconds".into(), seconds.into());
}

fn bump_generation(object: &mut Value) {
    if let Some(generation) = json::integer(object, &["metadata", "generation"]).filter(|g| *g > 0) {
        json::meta_mut(object).insert("generation".into(), (generation + 1).into());
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// A deletion that names a UID or a revision is meant for that object alone.
fn check_preconditions(call: &Call, options: &DeleteOptions, stored: &Stored) -> Result<(), StatusError> {
    let about = Gvr { resource: call.kind.kind.clone(), ..call.kind.gvr() };
    if let Some(uid) = options.uid.as_deref().filter(|uid| **uid != *stored.meta.uid) {
        return Err(StatusError::conflict(
            &about,
            &call.key.name,
            format_args!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). \
                 The object might have been deleted and then recreated",
                stored.meta.uid
            ),
        ));
    }
    if let Some(revision) = options.revision.filter(|r| *r != stored.revision) {
        return Err(StatusError::conflict(
            &about,
            &call.key.name,
            format_args!(
                "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record \
                 ({}). The object might have been modified",
                stored.revision
            ),
        ));
    }
    Ok(())
}
