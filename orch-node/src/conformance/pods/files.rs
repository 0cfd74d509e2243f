//! Environment, logs and volumes.

use super::{
    Case, World,
    world::{container, main},
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use orch_api::Key;
use orch_runtime::node::container::Ability::{Mounts, Processes};
use orch_store::ClientExt;
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "the environment has values, references and expansions",
            needs: &[Processes],
            run: |w| Box::pin(env(w)),
        },
        Case {
            name: "an emptyDir is shared by the containers of a pod",
            needs: &[Processes, Mounts],
            run: |w| Box::pin(shared(w)),
        },
        Case { name: "an emptyDir may be in memory", needs: &[Processes, Mounts], run: |w| Box::pin(memory(w)) },
        Case { name: "volumes follow their objects", needs: &[Processes, Mounts], run: |w| Box::pin(follow(w)) },
        Case {
            name: "a postStart hook writes before readiness is told",
            needs: &[Processes, Mounts],
            run: |w| Box::pin(hook(w)),
        },
    ]
}

async fn env(w: &World) {
    w.config_map("settings", json!({"colour": "blue", "SIZE": "9"})).await;
    w.secret("keys", json!({"key": "s3cret"})).await;
    let mut printer = main(&["env"]);
    printer["envFrom"] = json!([{"prefix": "ALL_", "configMapRef": {"name": "settings"}}]);
    printer["env"] = json!([
        {"name": "PLAIN", "value": "one"},
        {"name": "NESTED", "value": "$(PLAIN) two $$(PLAIN) $(NONE)"},
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
        {"name": "OPTIONAL", "valueFrom": {"secretKeyRef": {"name": "none", "key": "key", "optional": true}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
    ]);
    printer["resources"] = json!({"requests": {"cpu": "250m"}});
    w.pod("printer", json!({}), json!({"restartPolicy": "Never", "containers": [printer]})).await;
    w.phase("printer", "Succeeded").await;
    let log = w.log("printer", "main").await;
    let lines: Vec<_> = log.lines().collect();
    for wanted in [
        "PLAIN=one",
        "NESTED=one two $(PLAIN) $(NONE)",
        "COLOUR=blue",
        "KEY=s3cret",
        "NAME=printer",
        "CPU=250",
        "ALL_SIZE=9",
        "ALL_colour=blue",
        "KUBERNETES_SERVICE_HOST=10.96.0.1",
    ] {
        assert!(lines.contains(&wanted), "{wanted} is missing in {log}");
    }
    assert!(!log.contains("OPTIONAL="));
    w.delete("printer").await;
}

async fn shared(w: &World) {
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    let (mut writer, mut reader) =
        (container("writer", &["write", "/data/note", "hello"]), main(&["cat", "/data/note"]));
    (writer["volumeMounts"], reader["volumeMounts"]) = (mounts.clone(), mounts);
    let spec = json!({"restartPolicy": "Never", "initContainers": [writer], "containers": [reader],
        "volumes": [{"name": "data", "emptyDir": {}}]});
    w.pod("shared", json!({}), spec).await;
    w.phase("shared", "Succeeded").await;
    assert_eq!(w.log("shared", "main").await, "hello\n");
    w.delete("shared").await;
}

async fn memory(w: &World) {
    let mut reader = main(&["sleep", "1000"]);
    reader["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let volume = json!({"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}});
    w.pod("in-memory", json!({}), json!({"containers": [reader], "volumes": [volume]})).await;
    w.ready("in-memory").await;
    let (_, mounts) = w.exec("in-memory", &["cat", "/proc/self/mounts"]).await;
    let line = mounts.lines().find(|l| l.contains(" /data ")).unwrap();
    assert!(line.contains("tmpfs") && line.contains("size=1024k"), "{line}");
    w.delete("in-memory").await;
}

async fn follow(w: &World) {
    w.config_map("live", json!({"key": "1"})).await;
    w.secret("hidden", json!({"key": "2"})).await;
    let mut reader = main(&["sleep", "1000"]);
    reader["volumeMounts"] = json!([
        {"name": "map", "mountPath": "/map"},
        {"name": "secret", "mountPath": "/secret", "readOnly": true},
        {"name": "all", "mountPath": "/all"},
    ]);
    let label = json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}});
    let spec = json!({"containers": [reader], "volumes": [
        {"name": "map", "configMap": {"name": "live"}},
        {"name": "secret", "secret": {"secretName": "hidden"}},
        {"name": "all", "projected": {"sources": [
            {"downwardAPI": {"items": [label]}},
            {"configMap": {"name": "live", "items": [{"key": "key", "path": "deep/key"}]}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        ]}},
    ]});
    w.pod("reader", json!({}), spec).await;
    w.ready("reader").await;
    let cat = async |path: &str| w.exec("reader", &["cat", path]).await.1;
    assert_eq!(
        (cat("/map/key").await, cat("/secret/key").await, cat("/all/deep/key").await),
        ("1".into(), "2".into(), "1".into())
    );
    assert_eq!(cat("/all/token").await.split('.').count(), 3, "a token in three parts");
    w.client
        .modify::<ConfigMap, _>(&Key::new("default", "live"), |map| {
            map.data = Some([("key".to_owned(), "new".to_owned())].into());
        })
        .await
        .unwrap();
    w.until_true("the new value", async || cat("/map/key").await == "new" && cat("/all/deep/key").await == "new").await;
    w.client
        .modify::<Pod, _>(&Key::new("default", "reader"), |pod| {
            pod.metadata.labels = Some([("tier".to_owned(), "gold".to_owned())].into());
        })
        .await
        .unwrap();
    w.until_true("the new label", async || cat("/all/labels").await.contains("tier=\"gold\"")).await;
    w.delete("reader").await;
}

async fn hook(w: &World) {
    let mut hooked = main(&["sleep", "1000"]);
    hooked["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    hooked["lifecycle"] = json!({"postStart": {"exec": {"command": ["write", "/data/hook", "done"]}}});
    w.pod("hooks", json!({}), json!({"containers": [hooked], "volumes": [{"name": "data", "emptyDir": {}}]})).await;
    w.ready("hooks").await;
    assert_eq!(w.exec("hooks", &["cat", "/data/hook"]).await, (0, "done\n".to_owned()));
    w.delete("hooks").await;
}
