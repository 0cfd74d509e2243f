//! Debian's Redis as a StatefulSet with volumes: killed pod by pod, scaled down and up, rolled, across a restart of orch,
//! and every member finds what it wrote.

use crate::{
    cluster::{Orch, connect, until},
    image::Image,
    namespaces::{inside, need},
    registry::Registry,
};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Service};
use kube::{Api, api::PostParams};
use serde_json::json;
use std::path::{Path, PathBuf};

const SERVER: &str = "/usr/bin/redis-server";
const CLIENT: &str = "/usr/bin/redis-cli";
const MEMBERS: u32 = 3;

#[test]
fn a_database_keeps_its_data_whatever_becomes_of_its_pods() {
    if inside("database::a_database_keeps_its_data_whatever_becomes_of_its_pods")
        && need(&["skopeo", "docker-registry", "redis-server", "redis-cli", "kubectl", "ldd"])
    {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(story());
    }
}

async fn story() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::Builder::new().prefix("orch-database-").tempdir().unwrap();
    let registry = Registry::start(dir.path()).await;
    let image = registry.push(&redis(dir.path()), "shop/redis:7");
    let data = dir.path().join("data");
    let mut orch = Orch::up(&data);
    let client = connect(&data).await;
    Api::<Service>::default_namespaced(client.clone()).create(&PostParams::default(), &service()).await.unwrap();
    Api::<StatefulSet>::default_namespaced(client).create(&PostParams::default(), &members(&image)).await.unwrap();
    let status = "rollout status statefulset/db --timeout=120s";
    assert!(orch.kubectl(status).contains("roll out complete: 3 new pods have been updated"));
    for member in 0..MEMBERS {
        assert_eq!(redis_cli(&orch, member, "set who member-{}"), "OK");
    }

    // Killed pod by pod: under the same name and with the same volume it comes back.
    for member in 0..MEMBERS {
        let uid = format!("get pod db-{member} -o jsonpath={{.metadata.uid}}");
        let before = orch.kubectl(&uid);
        orch.kubectl(&format!("delete pod db-{member} --wait=false --grace-period=1"));
        until("another pod of the name", async || {
            let now = orch.try_kubectl(&uid);
            now.status.success() && String::from_utf8_lossy(&now.stdout) != before
        })
        .await;
        orch.kubectl(status);
        remembers(&orch, member);
    }

    // Scaled down and up: claims stay, so the members come back with what they knew.
    orch.kubectl("scale statefulset/db --replicas=1");
    until("the others to go", async || orch.kubectl("get pods -l app=db -o name").lines().count() == 1).await;
    assert_eq!(orch.kubectl("get pvc -o name").lines().count(), MEMBERS as usize);
    orch.kubectl(&format!("scale statefulset/db --replicas={MEMBERS}"));
    orch.kubectl(status);
    (0..MEMBERS).for_each(|member| remembers(&orch, member));

    // Rolled to another template and back, one after the other from the last.
    orch.kubectl("rollout restart statefulset/db");
    orch.kubectl(status);
    let history = orch.kubectl("rollout history statefulset/db");
    assert!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
    assert_eq!(orch.kubectl("rollout undo statefulset/db"), "statefulset.apps/db rolled back\n");
    orch.kubectl(status);
    (0..MEMBERS).for_each(|member| remembers(&orch, member));

    // orch is killed and starts again: the database ran on.
    orch.kill();
    let mut orch = Orch::up(&data);
    orch.kubectl(status);
    (0..MEMBERS).for_each(|member| remembers(&orch, member));
    orch.kubectl("delete statefulset/db --wait=true");
    orch.kubectl("delete pvc --all --wait=true");
    until("the volumes to be reclaimed", async || orch.kubectl("get pv -o name").is_empty()).await;
    orch.down();
}

#[track_caller]
fn remembers(orch: &Orch, member: u32) {
    assert_eq!(redis_cli(orch, member, "get who"), format!("member-{member}"), "of db-{member}");
}

/// What the database of a member says; `{}` stands for the member.
fn redis_cli(orch: &Orch, member: u32, command: &str) -> String {
    let command = command.replace("{}", &member.to_string());
    orch.kubectl(&format!("exec db-{member} -- {CLIENT} {command}")).trim().to_owned()
}

fn redis(dir: &Path) -> PathBuf {
    let files = [("/etc/passwd", "root:x:0:0::/:\n"), ("/etc/group", "root:x:0:\n")];
    let entrypoint = [SERVER, "--dir", "/data", "--appendonly", "yes", "--appendfsync", "always"];
    let image = Image {
        programs: &[SERVER, CLIENT],
        files: &files,
        directories: &["/data", "/tmp"],
        entrypoint: &entrypoint,
        stop_signal: None,
    };
    image.write(dir, "redis")
}

fn members(image: &str) -> StatefulSet {
    let ping = json!({"exec": {"command": [CLIENT, "ping"]}, "periodSeconds": 1});
    let container = json!({
        "name": "redis", "image": image, "ports": [{"name": "redis", "containerPort": 6379}],
        "readinessProbe": ping, "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db", "replicas": MEMBERS, "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
            }],
        },
    });
    serde_json::from_value(set).unwrap()
}

fn service() -> Service {
    let ports = json!([{"name": "redis", "port": 6379}]);
    let spec = json!({"clusterIP": "None", "selector": {"app": "db"}, "ports": ports});
    serde_json::from_value(json!({"metadata": {"name": "db"}, "spec": spec})).unwrap()
}
