//! Debian's nginx, from a registry, rolled to a second version and back, and nobody who asks the Service notices.

use crate::{
    cluster::{Orch, connect},
    hammer::Hammer,
    image::Image,
    namespaces::{inside, need},
    registry::Registry,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{Api, api::PostParams};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

const NGINX: &str = "/usr/sbin/nginx";

/// Connections last a second at most. So who holds one is asked to come anew while the pod still drains, and
/// none is cut off.
const CONFIGURATION: &str = "
daemon off;
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
    access_log off;
    keepalive_time 1s;
    default_type text/plain;
    server {
        listen 8080 backlog=511;
        root /usr/share/nginx/html;
        location = /healthz { return 200 'ok'; }
    }
}
";

#[test]
fn nginx_is_rolled_out_and_back_without_a_failed_request() {
    if inside("rollout::nginx_is_rolled_out_and_back_without_a_failed_request")
        && need(&["skopeo", "docker-registry", "nginx", "kubectl", "ldd"])
    {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(story());
    }
}

async fn story() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::Builder::new().prefix("orch-rollout-").tempdir().unwrap();
    let registry = Registry::start(dir.path()).await;
    let [one, two] = ["one", "two"].map(|v| registry.push(&nginx(dir.path(), v), &format!("shop/nginx:{v}")));

    let mut orch = Orch::up(&dir.path().join("data"));
    let client = connect(&dir.path().join("data")).await;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    deployments.create(&PostParams::default(), &deployment(&one)).await.unwrap();
    let service = Api::default_namespaced(client).create(&PostParams::default(), &service()).await.unwrap();
    let address = service.spec.as_ref().and_then(|s| s.cluster_ip.as_ref()).unwrap().parse().unwrap();
    let rolled_out = "deployment \"web\" successfully rolled out";
    assert!(orch.kubectl("rollout status deployment/web --timeout=60s").contains(rolled_out));

    let hammer = Hammer::start(SocketAddr::new(address, 80), 4, 4, str::to_owned);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    orch.kubectl(&format!("set image deployment/web nginx={two}"));
    assert!(orch.kubectl("rollout status deployment/web --timeout=90s").contains(rolled_out));
    settled(&hammer, "two").await;
    let history = orch.kubectl("rollout history deployment/web");
    assert!(history.contains("\n1 ") && history.contains("\n2 "), "{history}");
    assert_eq!(orch.kubectl("rollout undo deployment/web"), "deployment.apps/web rolled back\n");
    assert!(orch.kubectl("rollout status deployment/web --timeout=90s").contains(rolled_out));
    settled(&hammer, "one").await;

    let tally = hammer.stop().await;
    println!("{} requests, {} connections, {} failures", tally.requests, tally.connections, tally.failures.len());
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    orch.down();
}

/// Waits until the old version is gone with its last pod, and then sees that none but the new one answers.
async fn settled(hammer: &Hammer, version: &str) {
    let seen = hammer.tally().answers;
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["one", "two"], "both versions answered meanwhile: {seen:?}");
    // Connections that are kept last as long as nginx lets them, at most the preStop hook's time.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    hammer.forget_answers();
    crate::cluster::until("a hundred answers", async || hammer.tally().answered() > 100).await;
    let seen = hammer.tally().answers;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [version], "{seen:?}");
}

/// An image of this machine's nginx whose page is its version.
fn nginx(dir: &Path, version: &str) -> PathBuf {
    let files = [
        ("/etc/nginx/nginx.conf", CONFIGURATION),
        ("/usr/share/nginx/html/index.html", version),
        ("/etc/passwd", "root:x:0:0::/:\nwww-data:x:33:33::/:\n"),
        ("/etc/group", "root:x:0:\nwww-data:x:33:\n"),
    ];
    let image = Image {
        programs: &[NGINX],
        files: &files,
        directories: &["/run", "/tmp", "/var/lib/nginx", "/var/log/nginx"],
        entrypoint: &[NGINX],
        stop_signal: Some("SIGQUIT"),
    };
    image.write(dir, version)
}

fn deployment(image: &str) -> Deployment {
    let container = json!({
        "name": "nginx", "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        // Proxies and clients need a moment to turn away before the server closes its door.
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    });
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}},
    }))
    .unwrap()
}

fn service() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }))
    .unwrap()
}
