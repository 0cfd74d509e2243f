//! `test/e2e/common/node/podtemplates.go`.

use super::*;

const TEMPLATES: Gvr = Gvr::of("", "v1", "podtemplates");

fn template(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {label: "true"}},
        "template": {"spec": {"containers": [{"name": "nginx", "image": "nginx"}]}}})
}

/// [sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]
#[tokio::test(start_paused = true)]
async fn a_template_is_created_patched_and_deleted() {
    let here = World::without_controllers().await;
    let templates = here.of(&TEMPLATES);
    let listed = async || templates.everywhere().list("podtemplate-static=true").await;
    assert!(listed().await.is_empty());
    templates.create(template("nginx-pod-template", "podtemplate-static")).await;
    let read = templates.get("nginx-pod-template").await;
    assert_eq!(name(&read), "nginx-pod-template");
    let patch = json!({"metadata": {"labels": {"podtemplate": "patched"}}});
    let patched = templates.patch("nginx-pod-template", patch).await;
    assert!(revision(&patched) > revision(&read));
    assert_eq!(templates.get("nginx-pod-template").await["metadata"]["labels"]["podtemplate"], "patched");
    templates.delete("nginx-pod-template").await;
    assert!(listed().await.is_empty());
}

/// [sig-node] PodTemplates should delete a collection of pod templates [Conformance]
#[tokio::test(start_paused = true)]
async fn templates_are_deleted_together() {
    let here = World::without_controllers().await;
    let templates = here.of(&TEMPLATES);
    for name in ["test-podtemplate-1", "test-podtemplate-2", "test-podtemplate-3"] {
        templates.create(template(name, "podtemplate-set")).await;
    }
    assert_eq!(templates.list("podtemplate-set=true").await.len(), 3);
    templates.end_all("podtemplate-set=true").await;
}

/// [sig-node] PodTemplates should replace a pod template [Conformance]
#[tokio::test(start_paused = true)]
async fn a_template_is_replaced() {
    let here = World::without_controllers().await;
    let templates = here.of(&TEMPLATES);
    templates.create(template("podtemplate", "any")).await;
    let annotations = json!({"updated": "true"});
    let updated = templates.update("podtemplate", |t| t["metadata"]["annotations"] = annotations.clone()).await;
    assert_eq!(updated["metadata"]["annotations"]["updated"], "true");
}
