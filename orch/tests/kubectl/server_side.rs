//! apply --server-side.

use crate::{cluster::simulated, run::with_each};

fn map(fields: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m"}},"data":{{{fields}}}}}"#)
}

#[test]
fn server_side_apply_reports_conflicts_and_can_be_forced() {
    with_each(simulated, "ssa", |k| {
        let apply = |more: &str, fields: &str| k.with_input(&format!("apply --server-side {more} -f -"), &map(fields));
        apply("--field-manager=kubectl", r#""a":"1","b":"1""#).prints("configmap/m serverside-applied\n");
        apply("--field-manager=other", r#""a":"2""#)
            .fails("Apply failed with 1 conflict: conflict with \"kubectl\": .data.a");
        apply("--field-manager=other", r#""a":"1""#).prints("configmap/m serverside-applied\n");
        apply("--field-manager=other --force-conflicts", r#""a":"2""#).prints("configmap/m serverside-applied\n");
        // What its last owner no longer applies goes away; what another one holds stays.
        apply("--field-manager=kubectl", r#""c":"3""#).prints("configmap/m serverside-applied\n");
        k.run("get configmap m -o jsonpath={.data}").prints(r#"{"a":"2","c":"3"}"#);
        k.run("get configmap m --show-managed-fields -o jsonpath={.metadata.managedFields[*].operation}")
            .prints("Apply Apply");
        apply("--dry-run=server", r#""d":"4""#).prints("configmap/m serverside-applied (server dry run)\n");
        apply("--field-manager=kubectl", r#""d":4"#).fails(&format!(
            "failed to create typed patch object ({}/m; /v1, Kind=ConfigMap): .data.d: expected string, got &{{4}}",
            k.namespace
        ));
        k.with_input(
            "apply --server-side -f -",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"dat":{}}"#,
        )
        .fails(".dat: field not declared in schema");
    });
}

#[test]
fn what_was_applied_by_the_client_is_taken_over() {
    with_each(simulated, "migrate", |k| {
        k.apply(&map(r#""a":"1","b":"1""#)).prints("configmap/m created\n");
        k.with_input("apply --server-side -f -", &map(r#""b":"1""#)).prints("configmap/m serverside-applied\n");
        k.run("get configmap m -o jsonpath={.data}").prints(r#"{"b":"1"}"#);
    });
}
