use super::*;
use crate::fixtures::{expect_plan, minutes_ago, now};
use expect_test::{Expect, expect};
use orch_api::{Gvk, Gvr, StatusError};
use orch_runtime::testing::Objects;
use serde_json::Value;

/// A migration of widgets with some conditions that are true.
fn migration(name: &str, minutes: i64, conditions: &[&str]) -> StorageVersionMigration {
    let since = minutes_ago(minutes).to_string();
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "reason": "r", "message": "", "lastTransitionTime": since}))
        .collect();
    let migration = json!({
        "metadata": {"name": name, "uid": name, "generation": 1, "creationTimestamp": since},
        "spec": {"resource": {"group": "example.com", "resource": "widgets"}},
        "status": {"conditions": conditions},
    });
    serde_json::from_value(migration).unwrap()
}

fn since(mut migration: StorageVersionMigration, revision: u64) -> StorageVersionMigration {
    migration.status.get_or_insert_default().resource_version = Some(revision.to_string());
    migration
}

/// The definition of widgets: stored as `v2`, and before as `v1`.
fn definition(migrating: Option<(&str, &str, i64)>) -> CustomResourceDefinition {
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage});
    let condition = migrating.map(|(status, message, generation)| {
        json!({"type": "StorageMigrating", "status": status, "message": message, "observedGeneration": generation})
    });
    let definition = json!({
        "metadata": {"name": "widgets.example.com", "generation": 3, "resourceVersion": "7"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1", false), version("v2", true)]},
        "status": {"storedVersions": ["v1", "v2"], "conditions": condition.into_iter().collect::<Vec<_>>()},
    });
    serde_json::from_value(definition).unwrap()
}

fn widgets() -> Vec<Served> {
    let gvr = Gvr { group: "example.com".into(), version: "v2".into(), resource: "widgets".into() };
    let kind = Gvk { group: "example.com".into(), version: "v2".into(), kind: "Widget".into() };
    vec![Served { gvr, kind, namespaced: true }]
}

struct Case {
    loops: StorageMigration,
    objects: Objects,
}

impl Case {
    fn new(served: Vec<Served>) -> Self {
        let loops = StorageMigration::new(Arc::new(served));
        Self { objects: Objects::new(&loops.watches()), loops }
    }

    fn with<K: Object>(mut self, object: &K) -> Self {
        self.objects.insert(object);
        self
    }

    fn world(&self, name: &str) -> World {
        self.loops.observe(&Key::cluster(name), &View::fixed(&self.objects)).unwrap()
    }

    #[track_caller]
    fn check(&self, name: &str, expect: &Expect) {
        expect_plan(&self.loops.plan(&self.world(name), now()), expect);
    }

    /// What is planned when the API has these objects, by revision.
    fn gathered(&self, revisions: &[u64]) -> World {
        let mut world = self.world("m");
        let checkpoint = checkpoint(&world.migration);
        let older = revisions.iter().filter(|revision| checkpoint.is_some_and(|since| **revision <= since.0));
        let object = |revision: &u64| {
            let object = json!({"metadata": {"namespace": "default", "name": format!("w{revision}"),
                "uid": format!("u{revision}"), "resourceVersion": revision.to_string()}});
            Arc::new(Stored::from_json(object.to_string().into()).unwrap())
        };
        world.found = Some(Found { revision: Revision(9), older: older.map(object).collect() });
        world
    }
}

#[test]
fn the_definition_is_marked_before_the_migration_runs() {
    let new = migration("m", 5, &[]);
    Case::new(widgets()).with(&new).with(&definition(None)).check("m", &expect![[r#"
        apply status of CustomResourceDefinition widgets.example.com as migration-runner-controller {"conditions":[{"lastTransitionTime":"2025-12-18T00:00:00Z","message":"Migration m is running","observedGeneration":3,"reason":"MigrationRunning","status":"True","type":"StorageMigrating"}],"storedVersions":["v1","v2"]}
    "#]]);
    let marked = definition(Some(("True", "Migration m is running", 3)));
    Case::new(widgets()).with(&new).with(&marked).check("m", &expect![[r#"
        status StorageVersionMigration m conditions[Running].message="The migration is running" conditions[Running].reason=MigrationRunning conditions[Running].status=True
    "#]]);
}

#[test]
fn one_migration_of_a_resource_runs_at_a_time_and_the_oldest_is_first() {
    let case = Case::new(widgets()).with(&migration("m", 5, &[])).with(&migration("older", 6, &[]));
    case.check("m", &expect![[""]]);
    let case = Case::new(widgets()).with(&migration("m", 5, &[])).with(&migration("younger", 1, &["Running"]));
    case.check("m", &expect![[""]]);
    let ended = migration("older", 6, &["Running", "Succeeded"]);
    let world = Case::new(widgets()).with(&migration("m", 5, &[])).with(&ended).world("m");
    assert!(world.is_next);
}

#[test]
fn what_is_written_anew_is_what_there_was_at_the_checkpoint() {
    let case = Case::new(widgets()).with(&migration("m", 5, &["Running"]));
    expect_plan(
        &case.loops.plan(&case.gathered(&[3]), now()),
        &expect![[r#"
            status StorageVersionMigration m resourceVersion=9
        "#]],
    );
    let case = Case::new(widgets()).with(&since(migration("m", 5, &["Running"]), 9));
    expect_plan(
        &case.loops.plan(&case.gathered(&[3, 9, 10]), now()),
        &expect![[r#"
        patch Widget default/w3 {"apiVersion":"example.com/v2","kind":"Widget","metadata":{"resourceVersion":"3","uid":"u3"}}
        patch Widget default/w9 {"apiVersion":"example.com/v2","kind":"Widget","metadata":{"resourceVersion":"9","uid":"u9"}}
        requeue after 0ns
    "#]],
    );
}

#[test]
fn it_has_succeeded_when_all_writes_have_and_failed_when_one_cannot() {
    let case = Case::new(widgets()).with(&since(migration("m", 5, &["Running"]), 9));
    let world = case.gathered(&[3]);
    let conflict = Error::Refused(StatusError::stale(&widgets()[0].gvr, "w3"));
    let busy = Error::Refused(StatusError::new(Reason::TooManyRequests, "later"));
    for passing in [conflict, busy, Error::Retry("again".into())] {
        case.loops.remember(&world, now(), Some(&passing));
        case.check("m", &expect![[""]]);
    }
    case.loops.remember(&world, now(), None);
    case.check("m", &expect![[r#"
        status StorageVersionMigration m conditions[Succeeded].message="" conditions[Succeeded].reason=StorageVersionMigrationSucceeded conditions[Succeeded].status=True
    "#]]);
    let refused = Error::Refused(StatusError::new(Reason::Invalid, "Widget \"w3\" is invalid"));
    case.loops.remember(&world, now(), Some(&refused));
    case.check("m", &expect![[r#"
        status StorageVersionMigration m conditions[Failed].message="migration encountered unhandled error: Widget \"w3\" is invalid" conditions[Failed].reason=StorageVersionMigrationFailed conditions[Failed].status=True
    "#]]);
}

#[test]
fn another_migration_of_that_name_begins_from_nothing() {
    let case = Case::new(widgets()).with(&since(migration("m", 5, &["Running"]), 9));
    case.loops.remember(&case.gathered(&[]), now(), None);
    let mut other = since(migration("m", 5, &["Running"]), 9);
    other.metadata.uid = Some("other".into());
    assert_eq!(case.with(&other).world("m").end, None);
}

#[test]
fn a_resource_that_is_not_served_may_come_within_a_minute() {
    let young = migration("m", 0, &["Running"]);
    Case::new(Vec::new()).with(&young).check(
        "m",
        &expect![[r#"
        requeue after 60s
    "#]],
    );
    Case::new(Vec::new()).with(&migration("m", 1, &["Running"])).check("m", &expect![[r#"
        status StorageVersionMigration m conditions[Failed].message="resource does not exist in discovery" conditions[Failed].reason=StorageVersionMigrationFailed conditions[Failed].status=True
    "#]]);
}

#[test]
fn in_the_end_the_definition_tells_in_which_version_all_is_stored_unless_it_has_changed() {
    let ended = since(migration("m", 5, &["Running", "Succeeded"]), 9);
    let marked = |generation| definition(Some(("True", "Migration m is running", generation)));
    Case::new(widgets()).with(&ended).with(&marked(3)).check("m", &expect![[r#"
        apply status of CustomResourceDefinition widgets.example.com as migration-runner-controller {"conditions":[{"lastTransitionTime":"2025-12-18T00:00:00Z","message":"The migration has succeeded and the stored versions have been updated","observedGeneration":3,"reason":"MigrationSucceeded","status":"False","type":"StorageMigrating"}],"storedVersions":["v2"]}
    "#]]);
    Case::new(widgets()).with(&ended).with(&marked(2)).check("m", &expect![[r#"
        apply status of CustomResourceDefinition widgets.example.com as migration-runner-controller {"conditions":[{"lastTransitionTime":"2025-12-18T00:00:00Z","message":"The migration has succeeded but the stored versions have not been updated due to a generation mismatch","observedGeneration":3,"reason":"MigrationSucceeded","status":"False","type":"StorageMigrating"}],"storedVersions":["v1","v2"]}
    "#]]);
    let failed = since(migration("m", 5, &["Running", "Failed"]), 9);
    Case::new(widgets()).with(&failed).with(&marked(3)).check("m", &expect![[r#"
        apply status of CustomResourceDefinition widgets.example.com as migration-runner-controller {"conditions":[{"lastTransitionTime":"2025-12-18T00:00:00Z","message":"The migration has failed","observedGeneration":3,"reason":"MigrationFailed","status":"False","type":"StorageMigrating"}],"storedVersions":["v1","v2"]}
    "#]]);
    let told = definition(Some(("False", "over", 3)));
    Case::new(widgets()).with(&ended).with(&told).check(
        "m",
        &expect![[r#"
            status StorageVersionMigration m conditions[Running].message="Migration completed" conditions[Running].observedGeneration=1 conditions[Running].reason=MigrationCompleted conditions[Running].status=False
        "#]],
    );
}
