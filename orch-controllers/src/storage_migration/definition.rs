//! What a migration says on the definition of its custom resource: that it runs, and in the end in which versions objects
//! may be stored.

use jiff::Timestamp;
use k8s_openapi::{
    api::storagemigration::v1::StorageVersionMigration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionCondition,
    },
};
use orch_api::{Object, conditions};
use orch_runtime::{Plan, Target};
use serde_json::{Value, json};

/// The field manager (`MigrationRunnerControllerName`).
const MANAGER: &str = "migration-runner-controller";
const MIGRATING: &str = "StorageMigrating";

/// Marks the definition; true when it is marked already, for its present generation.
pub(super) fn begin(
    definition: &CustomResourceDefinition,
    migration: &StorageVersionMigration,
    now: Timestamp,
    plan: &mut Plan,
) -> bool {
    let message = format!("Migration {} is running", migration.key().name);
    let marked = migrating(definition).is_some_and(|c| {
        let same = c.observed_generation == definition.metadata.generation;
        c.status == "True" && c.message.as_ref() == Some(&message) && same
    });
    if !marked {
        apply(definition, ("True", "MigrationRunning", &message), None, now, plan);
    }
    marked
}

/// Takes the mark away; true when it is gone. Where nothing about the definition has changed meanwhile, what is stored is
/// stored in its storage version alone.
pub(super) fn finish(definition: &CustomResourceDefinition, succeeded: bool, now: Timestamp, plan: &mut Plan) -> bool {
    let Some(mark) = migrating(definition).filter(|mark| mark.status == "True") else { return true };
    let unchanged = mark.observed_generation == definition.metadata.generation;
    let (reason, message) = match (succeeded, unchanged) {
        (true, true) => ("MigrationSucceeded", "The migration has succeeded and the stored versions have been updated"),
        (true, false) => (
            "MigrationSucceeded",
            "The migration has succeeded but the stored versions have not been updated due to a generation mismatch",
        ),
        (false, _) => ("MigrationFailed", "The migration has failed"),
    };
    let storage = definition.spec.versions.iter().find(|version| version.storage).map(|version| &*version.name);
    apply(definition, ("False", reason, message), storage.filter(|_| succeeded && unchanged), now, plan);
    false
}

fn migrating(definition: &CustomResourceDefinition) -> Option<&CustomResourceDefinitionCondition> {
    conditions::find(definition.status.iter().flat_map(|s| s.conditions.iter().flatten()), MIGRATING)
}

fn apply(
    definition: &CustomResourceDefinition,
    (status, reason, message): (&str, &str, &str),
    stored: Option<&str>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let (meta, target) = (&definition.metadata, Target::of(definition));
    let since = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&now);
    let mut status = json!({"conditions": [{
        "type": MIGRATING, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since, "observedGeneration": meta.generation,
    }]});
    // They stay this manager's in any case: what an apply leaves out it takes away.
    let before = definition.status.as_ref().and_then(|status| status.stored_versions.as_ref());
    status["storedVersions"] = stored.map_or_else(|| json!(before), |version| json!([version]));
    let mut body = json!({
        "apiVersion": target.gvr.api_version(), "kind": target.kind,
        "metadata": {"name": meta.name, "resourceVersion": meta.resource_version},
    });
    body["status"] = Value::take(&mut status);
    plan.apply_status(target, MANAGER, body);
}
