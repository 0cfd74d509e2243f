//! `storage-version-migrator-controller`: writes every object of a resource anew, so that all of them are stored in the
//! version in which the server stores now (KEP-4192, `pkg/controller/storageversionmigrator`).
//!
//! ```text
//! waits its turn ─► Running (definition: StorageMigrating) ─► status.resourceVersion ─► an empty apply for each older object
//!   ─► Succeeded | Failed ─► definition: storedVersions ─► Running is False
//! ```

mod definition;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::storagemigration::v1::StorageVersionMigration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use orch_api::{Key, Object, Reason, conditions};
use orch_runtime::{Controller, Discovery, Error, Plan, Target, View, Watches, discovery::Served};
use orch_store::{
    Client, Revision, Stored,
    client::{ListOptions, Patch},
    informer::Delta,
};
use parking_lot::Mutex;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A resource that is not served may be a custom one that is about to be.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);

/// Migrates what is stored.
pub struct StorageMigration {
    /// Which resources are served.
    pub discovery: Arc<dyn Discovery>,
    ends: Mutex<BTreeMap<Key, End>>,
}

/// A migration, and what it is about.
pub struct World {
    migration: Arc<StorageVersionMigration>,
    /// Whether no other migration of the resource runs, or is to run before.
    is_next: bool,
    served: Option<Served>,
    definition: Option<Arc<CustomResourceDefinition>>,
    end: Option<End>,
    found: Option<Found>,
}

/// What became of the writes of a migration. It is lost with the process, and then they are done again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    uid: Arc<str>,
    result: Result<(), String>,
}

/// What the API tells of the resource.
struct Found {
    revision: Revision,
    /// What nobody has written since the migration began.
    older: Vec<Arc<Stored>>,
}

impl StorageMigration {
    /// Migrates the resources that are served.
    pub fn new(discovery: Arc<dyn Discovery>) -> Self {
        Self { discovery, ends: Mutex::default() }
    }
}

impl Controller for StorageMigration {
    const NAME: &'static str = "storage-version-migrator-controller";
    const ABOUT: &'static str =
        "Writes the objects of a StorageVersionMigration's resource anew, in the version in which they are stored now.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<StorageVersionMigration>()
            .maps::<StorageVersionMigration>(rivals)
            .maps::<CustomResourceDefinition>(of_definition)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let Some(migration) = view.get::<StorageVersionMigration>(key) else {
            self.ends.lock().remove(key);
            return None;
        };
        let (group, resource) = resource(&migration);
        let served = self.discovery.served().into_iter();
        let served = served.into_iter().find(|s| s.gvr.group == group && s.gvr.resource == resource);
        let all = view.list::<StorageVersionMigration>("");
        let mut others = all.iter().filter(|o| o.key() != *key && is_of(o, group, resource) && !has_ended(o));
        let is_next = !others.any(|other| is_running(other) || order(other) < order(&migration));
        let end = self.ends.lock().get(key).filter(|end| *end.uid == *migration.uid()).cloned();
        let definition = view.get(&Key::cluster(format!("{resource}.{group}")));
        Some(World { migration, is_next, served, definition, end, found: None })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let working = is_running(&world.migration) && !has_ended(&world.migration) && world.end.is_none();
            let (true, Some(served)) = (working, &world.served) else { return Ok(world) };
            let since = checkpoint(&world.migration);
            // What the checkpoint will be does not depend on what there is.
            let limit = usize::from(since.is_none());
            let options = ListOptions { metadata_only: true, limit, ..ListOptions::default() };
            let page = client.list(&served.gvr, &options).await?;
            let is_older = |object: &Arc<Stored>| since.is_some_and(|since| object.revision <= since);
            let older = page.items.into_iter().filter(is_older).collect();
            world.found = Some(Found { revision: page.revision, older });
            Ok(world)
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let old = &*world.migration;
        match (is_running(old), has_ended(old)) {
            (false, true) => {}
            (true, true) => finish(world, now, &mut plan),
            (false, false) if world.is_next => begin(world, now, &mut plan),
            (false, false) => {}
            (true, false) => migrate(world, now, &mut plan),
        }
        plan
    }

    fn remember(&self, world: &World, _: Timestamp, error: Option<&Error>) {
        let working = is_running(&world.migration) && !has_ended(&world.migration);
        if !working || world.found.is_none() || checkpoint(&world.migration).is_none() {
            return;
        }
        let result = match error {
            None => Ok(()),
            Some(Error::Refused(refusal)) if !passes(refusal.reason()) => {
                Err(format!("migration encountered unhandled error: {refusal}"))
            }
            // Somebody else wrote first, or the server is busy: what is left is found by the next try.
            Some(_) => return,
        };
        self.ends.lock().insert(world.migration.key(), End { uid: world.migration.uid().into(), result });
    }
}

/// Tells everybody that the migration runs, the definition of a custom resource first.
fn begin(world: &World, now: Timestamp, plan: &mut Plan) {
    let marked = world.definition.as_ref().is_none_or(|d| definition::begin(d, &world.migration, now, plan));
    if marked {
        let mut new = (*world.migration).clone();
        set(&mut new, "Running", "MigrationRunning", "The migration is running", now);
        plan.update_status(&*world.migration, &new);
    }
}

/// Tells that it is over, the definition of a custom resource first.
fn finish(world: &World, now: Timestamp, plan: &mut Plan) {
    let succeeded = is(&world.migration, "Succeeded");
    if !world.definition.as_ref().is_none_or(|d| definition::finish(d, succeeded, now, plan)) {
        return;
    }
    let mut new = (*world.migration).clone();
    let condition = Condition {
        status: "False".into(),
        observed_generation: new.metadata.generation,
        ..condition("Running", "MigrationCompleted", "Migration completed")
    };
    conditions::set(new.status.get_or_insert_default().conditions.get_or_insert_default(), condition, now);
    plan.update_status(&*world.migration, &new);
}

fn migrate(world: &World, now: Timestamp, plan: &mut Plan) {
    let mut new = (*world.migration).clone();
    let failed = "StorageVersionMigrationFailed";
    match (&world.served, &world.end, &world.found) {
        (_, Some(End { result: Ok(()), .. }), _) => {
            set(&mut new, "Succeeded", "StorageVersionMigrationSucceeded", "", now);
        }
        (_, Some(End { result: Err(why), .. }), _) => set(&mut new, "Failed", failed, why, now),
        (None, ..) => {
            let age = now.duration_since(new.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0));
            if age < PATIENCE {
                return plan.requeue_within(Duration::try_from(PATIENCE - age).unwrap_or_default());
            }
            let words = match checkpoint(&new) {
                None => "resource does not exist in discovery",
                Some(_) => "migration encountered unhandled error: unable to obtain GVR from discovery",
            };
            set(&mut new, "Failed", failed, words, now);
        }
        (Some(_), None, None) => return,
        (Some(served), None, Some(found)) if checkpoint(&new).is_some() => {
            found.older.iter().for_each(|object| rewrite(served, object, plan));
            // What has become of that is known next time.
            return plan.requeue_within(Duration::ZERO);
        }
        (Some(_), None, Some(found)) => {
            new.status.get_or_insert_default().resource_version = Some(found.revision.0.to_string());
        }
    }
    plan.update_status(&*world.migration, &new);
}

/// An apply that changes nothing. The server stores the object anew where it is stored otherwise than it would be now. With
/// UID and revision it hits what was found or nothing: who writes meanwhile has done the same.
fn rewrite(served: &Served, object: &Stored, plan: &mut Plan) {
    let body = json!({
        "apiVersion": served.kind.api_version(), "kind": served.kind.kind,
        "metadata": {"uid": object.meta.uid, "resourceVersion": object.revision.0.to_string()},
    });
    let target = Target { gvr: served.gvr.clone(), kind: served.kind.kind.clone(), key: object.key.clone() };
    plan.patch(target, None, Patch::Apply(body));
}

/// Whether a refusal says nothing about the object (`isRetriableError`, and conflicts).
fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Conflict
            | Reason::ServerTimeout
            | Reason::TooManyRequests
            | Reason::ServiceUnavailable
            | Reason::InternalError
            | Reason::Timeout
    )
}

/// The revision up to which objects are written anew.
fn checkpoint(migration: &StorageVersionMigration) -> Option<Revision> {
    let text = migration.status.as_ref()?.resource_version.as_deref()?;
    text.parse().ok().map(Revision)
}

/// Group and plural of what is migrated.
fn resource(migration: &StorageVersionMigration) -> (&str, &str) {
    let resource = migration.spec.as_ref().map(|spec| &spec.resource);
    resource.map_or(("", ""), |of| (of.group.as_str(), of.resource.as_str()))
}

fn is_of(migration: &StorageVersionMigration, group: &str, plural: &str) -> bool {
    resource(migration) == (group, plural)
}

fn is(migration: &StorageVersionMigration, kind: &str) -> bool {
    conditions::is_true(migration.status.iter().flat_map(|s| s.conditions.iter().flatten()), kind)
}

fn is_running(migration: &StorageVersionMigration) -> bool {
    is(migration, "Running")
}

fn has_ended(migration: &StorageVersionMigration) -> bool {
    is(migration, "Succeeded") || is(migration, "Failed")
}

/// The oldest goes first.
fn order(migration: &StorageVersionMigration) -> (Option<Timestamp>, Key) {
    (migration.metadata.creation_timestamp.as_ref().map(|t| t.0), migration.key())
}

fn set(migration: &mut StorageVersionMigration, kind: &str, reason: &str, message: &str, now: Timestamp) {
    let all = migration.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions::set(all, condition(kind, reason, message), now);
}

fn condition(kind: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.into(),
        status: "True".into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// The other migrations of the resource: one of them may be next.
fn rivals(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let changed = delta.new.as_ref().or(delta.old.as_ref()).and_then(|s| s.decode::<StorageVersionMigration>().ok());
    let Some(changed) = changed else { return Vec::new() };
    let (group, plural) = resource(&changed);
    of_resource(group, plural, view)
}

fn of_definition(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(key) = delta.key() else { return Vec::new() };
    let Some((plural, group)) = key.name.split_once('.') else { return Vec::new() };
    of_resource(group, plural, view)
}

fn of_resource(group: &str, plural: &str, view: &View<'_>) -> Vec<Key> {
    let all = view.list::<StorageVersionMigration>("");
    all.iter().filter(|migration| is_of(migration, group, plural)).map(|migration| migration.key()).collect()
}
