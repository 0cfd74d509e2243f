//! What is empty in a body and would not outlive the Go types of Kubernetes is not stored, whichever way it came.

use crate::{custom, support::*};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A template as charts render it.
fn rendered(name: &str) -> Value {
    let mut object = deployment(name);
    let spec = &mut object["spec"]["template"]["spec"];
    for (field, value) in blanks().as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec["containers"][0]["env"] = json!([{"name": "A", "value": ""}]);
    object
}

fn blanks() -> Value {
    json!({"tolerations": [], "nodeSelector": {}, "hostNetwork": false, "nodeName": ""})
}

fn check_clean(object: &Value) {
    let spec = &object["spec"]["template"]["spec"];
    for field in blanks().as_object().unwrap().keys() {
        assert_eq!(spec.get(field), None, "{field}");
    }
    assert_eq!(spec["containers"][0]["env"], json!([{"name": "A"}]));
    assert_eq!(spec["securityContext"], json!({}));
}

/// The same configuration as a client with Go types sends it.
fn without_blanks(mut object: Value) -> Value {
    let spec = object["spec"]["template"]["spec"].as_object_mut().unwrap();
    spec.retain(|field, _| blanks().get(field).is_none());
    spec["containers"][0]["env"] = json!([{"name": "A"}]);
    object
}

#[tokio::test(start_paused = true)]
async fn empty_fields_are_stored_by_no_way_and_their_absence_changes_nothing() {
    let server = Server::start().await;
    let made = server.post(DEPLOYMENTS, rendered("web")).await.ok();
    check_clean(&made);
    let uri = &format!("{DEPLOYMENTS}/web");
    check_clean(&server.get(uri).await.ok());
    let operations: Vec<Value> = blanks()
        .as_object()
        .unwrap()
        .iter()
        .map(|(field, value)| json!({"op": "add", "path": format!("/spec/template/spec/{field}"), "value": value}))
        .collect();
    let merge = json!({"spec": {"template": {"spec": blanks()}}});
    for again in [
        server.put(uri, rendered("web")).await,
        server.put(uri, without_blanks(rendered("web"))).await,
        server.patch(uri, "merge-patch+json", merge.clone()).await,
        server.patch(uri, "strategic-merge-patch+json", merge).await,
        server.patch(uri, "json-patch+json", operations.into()).await,
    ] {
        let again = again.ok();
        check_clean(&again);
        assert_eq!(again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_field_that_is_applied_has_an_owner_and_is_not_there() {
    let server = Server::start().await;
    let uri = &format!("{DEPLOYMENTS}/web?fieldManager=chart");
    let made = server.patch(uri, "apply-patch+yaml", rendered("web")).await.ok();
    check_clean(&made);
    let owner = &made["metadata"]["managedFields"][0];
    let owned = &owner["fieldsV1"]["f:spec"]["f:template"]["f:spec"];
    assert_eq!(owned["f:tolerations"], json!({}));
    assert_eq!(owned["f:containers"]["k:{\"name\":\"main\"}"]["f:env"]["k:{\"name\":\"A\"}"]["f:value"], json!({}));
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let again = server.patch(uri, "apply-patch+yaml", rendered("web")).await.ok();
    assert_eq!(again["metadata"], made["metadata"]);
    let fuller = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"tolerations": [{"operator": "Exists"}]}}}});
    let other = format!("{DEPLOYMENTS}/web?fieldManager=other");
    let refused = server.patch(&other, "apply-patch+yaml", fuller).await;
    let words = "Apply failed with 1 conflict: conflict with \"chart\": .spec.template.spec.tolerations";
    assert_eq!(refused.status(), format!("409 Conflict: {words}"));
}

#[tokio::test(start_paused = true)]
async fn a_service_with_an_empty_selector_has_none() {
    let server = Server::start().await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
        "spec": {"selector": {}, "ports": [{"port": 5432, "nodePort": 0}], "externalIPs": [], "externalName": ""}});
    let made = server.post("/api/v1/namespaces/default/services", service).await.ok();
    for field in ["selector", "externalIPs", "externalName"] {
        assert_eq!(made["spec"].get(field), None, "{field}");
    }
    assert_eq!(made["spec"]["ports"], json!([{"port": 5432, "protocol": "TCP", "targetPort": 5432}]));
}

#[tokio::test(start_paused = true)]
async fn the_empty_fields_of_a_custom_object_are_its_own_business() {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let server = custom::serve(custom::definition(open)).await;
    let spec = json!({"list": [], "map": {}, "text": "", "flag": false, "number": 0});
    let made = server.post(custom::WIDGETS, custom::widget("a", spec.clone())).await.ok();
    assert_eq!(made["spec"], spec);
}
