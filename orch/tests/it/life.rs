//! Cluster life in process: autoscaling by real measurements of simulated containers, evictions, certificates, tokens.

use crate::world::{becomes, key};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    certificates::v1::CertificateSigningRequest,
    core::v1::{ConfigMap, Node, Pod, Secret, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use orch::{
    Cluster,
    api::{Gvr, Key, Object},
    controllers::node_ipam::NodeNetwork,
    runtime::autoscaling::{FixedMetrics, MetricValue},
    store::{
        ClientExt,
        client::{DeleteOptions, ListOptions, Patch, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

async fn add<K: Object>(cluster: &Cluster, object: Value) {
    cluster.client().add::<K>(&serde_json::from_value(object).unwrap()).await.unwrap();
}

fn web(replicas: i32, cpu: &str) -> Value {
    json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"simulated.orch.dev/cpu": cpu, "simulated.orch.dev/memory": "64Mi"}},
            "spec": {"containers": [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "500m"}}}]}}}})
}

fn autoscaler(metrics: Value) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"minReplicas": 1, "maxReplicas": 5,
        "scaleTargetRef": target, "metrics": metrics}})
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn what_pods_and_nodes_use_is_served_as_metrics() {
    let cluster = Cluster::builder().seed(1).simulated_nodes(2).build().await.unwrap();
    add::<Deployment>(&cluster, web(2, "250m")).await;
    becomes::<Deployment>(&cluster, &key("web"), |d| replicas(d) == 2).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let client = cluster.client();
    let pods = Gvr::of("metrics.k8s.io", "v1beta1", "pods");
    let list = ListOptions { namespace: "default".into(), labels: "app=web".into(), ..ListOptions::default() };
    let found = client.list(&pods, &list).await.unwrap();
    assert_eq!(found.items.len(), 2);
    let first: Value = found.items[0].parse().unwrap();
    assert_eq!(first["containers"][0]["usage"], json!({"cpu": "250000000n", "memory": "65536Ki"}), "{first}");
    assert_eq!(first["kind"], "PodMetrics");
    let none = ListOptions { labels: "app=other".into(), ..list.clone() };
    assert!(client.list(&pods, &none).await.unwrap().items.is_empty());
    let nodes = Gvr::of("metrics.k8s.io", "v1beta1", "nodes");
    let found = client.list(&nodes, &ListOptions::default()).await.unwrap();
    let total: i64 = found
        .items
        .iter()
        .map(|node| {
            node.parse::<Value>().unwrap()["usage"]["cpu"]
                .as_str()
                .unwrap()
                .trim_end_matches('n')
                .parse::<i64>()
                .unwrap()
        })
        .sum();
    assert_eq!((found.items.len(), total), (2, 500_000_000));
    let missing = client.get(&pods, &key("nobody"), None).await.unwrap_err();
    assert_eq!(missing.message(), "podmetrics.metrics.k8s.io \"default/nobody\" not found");
}

#[tokio::test(start_paused = true)]
async fn a_busy_deployment_is_scaled_up_and_an_idle_one_down_again() {
    let cluster = Cluster::builder().seed(1).simulated_nodes(3).build().await.unwrap();
    add::<Deployment>(&cluster, web(1, "900m")).await;
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]);
    add::<HorizontalPodAutoscaler>(&cluster, autoscaler(cpu)).await;
    becomes::<Deployment>(&cluster, &key("web"), |d| replicas(d) == 5).await;
    let status = becomes::<HorizontalPodAutoscaler>(&cluster, &key("web"), |a| {
        a.status.as_ref().is_some_and(|s| s.desired_replicas == 5 && s.last_scale_time.is_some())
    })
    .await;
    let metric = status.status.as_ref().unwrap().current_metrics.as_ref().unwrap()[0].resource.as_ref().unwrap();
    assert_eq!(metric.current.average_utilization, Some(180));
    let idle = json!({"spec": {"template": {"metadata": {"annotations": {"simulated.orch.dev/cpu": "100m"}}}}});
    cluster.client().merge::<Deployment>(&key("web"), idle).await.unwrap();
    let begun = tokio::time::Instant::now();
    becomes::<Deployment>(&cluster, &key("web"), |d| d.spec.replicas == Some(2)).await;
    assert!(
        begun.elapsed() > Duration::from_secs(290),
        "it shrinks after five minutes, not after {:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_follows_a_queue_that_is_measured_elsewhere() {
    let metrics = Arc::new(FixedMetrics::default());
    let cluster = Cluster::builder().seed(1).simulated_nodes(2).metrics(metrics.clone()).build().await.unwrap();
    let queue = |length: i64| {
        let at = cluster.ambient().clock.now();
        metrics.set(
            "default",
            "queue",
            vec![MetricValue { object: String::new(), millis: length * 1000, at, window: Duration::ZERO }],
        );
    };
    queue(25);
    add::<Deployment>(&cluster, web(1, "10m")).await;
    let external = json!([{"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}}}]);
    add::<HorizontalPodAutoscaler>(&cluster, autoscaler(external)).await;
    becomes::<Deployment>(&cluster, &key("web"), |d| replicas(d) == 3).await;
    queue(500);
    becomes::<Deployment>(&cluster, &key("web"), |d| replicas(d) == 5).await;
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_pod_goes_by_the_policy_of_its_budget_and_a_dry_run_takes_nothing() {
    let cluster = Cluster::builder().seed(1).simulated_nodes(1).build().await.unwrap();
    let pod = |name: &str, unhealthy: &str| {
        json!({"metadata": {"name": name, "namespace": "default", "labels": {"app": "web"},
            "annotations": {"simulated.orch.dev/ready-after": unhealthy}},
            "spec": {"containers": [{"name": "main", "image": "app:1", "readinessProbe": {"httpGet": {"port": 80}}}]}})
    };
    add::<Pod>(&cluster, pod("well", "0")).await;
    add::<Pod>(&cluster, pod("sick", "86400")).await;
    let budget = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"minAvailable": 2,
        "selector": {"matchLabels": {"app": "web"}}}});
    add::<PodDisruptionBudget>(&cluster, budget).await;
    let counted = |healthy: i32| {
        move |b: &PodDisruptionBudget| b.status.as_ref().is_some_and(|s| s.current_healthy == Some(healthy))
    };
    becomes::<PodDisruptionBudget>(&cluster, &key("web"), counted(1)).await;
    becomes::<Pod>(&cluster, &key("sick"), |p| {
        p.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"))
    })
    .await;
    let client = cluster.client();
    let evict = async |name: &str, dry_run: bool| {
        let body =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}});
        let options = WriteOptions { dry_run, ..WriteOptions::default() };
        client.create(&Pod::gvr(), &key(name), Some("eviction"), body, &options).await
    };
    let refused = evict("sick", false).await.unwrap_err();
    assert_eq!(refused.code(), 429);
    assert_eq!(refused.message(), "Cannot evict pod as it would violate the pod's disruption budget.");
    let policy = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
    client.merge::<PodDisruptionBudget>(&key("web"), policy).await.unwrap();
    evict("sick", true).await.unwrap();
    assert!(client.read::<Pod>(&key("sick")).await.unwrap().metadata.deletion_timestamp.is_none());
    evict("sick", false).await.unwrap();
    let allows = json!({"spec": {"minAvailable": 0}});
    client.merge::<PodDisruptionBudget>(&key("web"), allows).await.unwrap();
    becomes::<PodDisruptionBudget>(&cluster, &key("web"), |b| {
        b.status.as_ref().is_some_and(|s| s.disruptions_allowed == Some(1))
    })
    .await;
    evict("well", true).await.unwrap();
    let budget = client.read::<PodDisruptionBudget>(&key("web")).await.unwrap();
    assert_eq!(budget.status.as_ref().unwrap().disruptions_allowed, Some(1), "a dry run takes nothing");
    evict("well", false).await.unwrap();
    let budget = client.read::<PodDisruptionBudget>(&key("web")).await.unwrap();
    let conditions = budget.status.as_ref().unwrap().conditions.clone().unwrap();
    assert_eq!((conditions[0].status.as_str(), conditions[0].reason.as_str()), ("False", "InsufficientPods"));
}

#[tokio::test(start_paused = true)]
async fn an_approved_request_is_signed_for_as_long_as_was_asked() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let request = json!({"metadata": {"name": "me"}, "spec": {"request": CSR, "expirationSeconds": 3600,
        "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}});
    add::<CertificateSigningRequest>(&cluster, request).await;
    let approval =
        json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Me", "message": "yes"}]}});
    let patch = orch::store::client::Patch::Merge(approval);
    let (gvr, name) = (CertificateSigningRequest::gvr(), Key::cluster("me"));
    cluster.client().patch(&gvr, &name, Some("approval"), patch, &WriteOptions::default()).await.unwrap();
    let signed = becomes::<CertificateSigningRequest>(&cluster, &name, |r| {
        r.status.as_ref().is_some_and(|s| s.certificate.as_ref().is_some_and(|c| !c.0.is_empty()))
    })
    .await;
    let pem = String::from_utf8(signed.status.as_ref().unwrap().certificate.as_ref().unwrap().0.clone()).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    // An hour after it was approved nobody needs the request any more.
    let client = cluster.client();
    let gone = client.wait_for::<CertificateSigningRequest, _>(&name, |found| found.is_none());
    tokio::time::timeout(Duration::from_secs(2 * 3600), gone).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_asks_for_a_token_gets_one_that_works_and_goes_with_its_account() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let secret = json!({"metadata": {"name": "token", "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": "kubernetes.io/service-account-token"});
    add::<Secret>(&cluster, secret).await;
    let filled =
        becomes::<Secret>(&cluster, &key("token"), |s| s.data.as_ref().is_some_and(|d| d.contains_key("token"))).await;
    let data = filled.data.as_ref().unwrap();
    assert_eq!(data["namespace"].0, b"default");
    assert!(data["ca.crt"].0.starts_with(b"-----BEGIN CERTIFICATE-----"));
    let token = String::from_utf8(data["token"].0.clone()).unwrap();
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let gvr = Gvr::of("authentication.k8s.io", "v1", "tokenreviews");
    let review = cluster.client().create(&gvr, &Key::cluster(""), None, body, &WriteOptions::default()).await.unwrap();
    assert_eq!(review.parse::<Value>().unwrap()["status"]["user"]["username"], "system:serviceaccount:default:default");
}

#[tokio::test(start_paused = true)]
async fn the_use_of_a_token_that_a_secret_keeps_is_noted_by_the_day_and_an_invalid_one_is_refused() {
    const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let client = cluster.client();
    let tracking = Key::new("kube-system", "kube-apiserver-legacy-service-account-token-tracking");
    let since = client.read::<ConfigMap>(&tracking).await.unwrap().data.clone().unwrap()["since"].clone();
    let today = || cluster.ambient().clock.now().to_string()[..10].to_owned();
    assert_eq!(since, today());
    let secret = json!({"metadata": {"name": "token", "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": "kubernetes.io/service-account-token"});
    add::<Secret>(&cluster, secret).await;
    let filled =
        becomes::<Secret>(&cluster, &key("token"), |s| s.data.as_ref().is_some_and(|d| d.contains_key("token"))).await;
    let token = String::from_utf8(filled.data.as_ref().unwrap()["token"].0.clone()).unwrap();
    let review = async || {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let gvr = Gvr::of("authentication.k8s.io", "v1", "tokenreviews");
        let answer = client.create(&gvr, &Key::cluster(""), None, body, &WriteOptions::default()).await.unwrap();
        answer.parse::<Value>().unwrap()["status"].clone()
    };
    let secret = async || client.read::<Secret>(&key("token")).await.unwrap();
    let used = |secret: &Secret| secret.metadata.labels.as_ref().and_then(|l| l.get(LAST_USED).cloned());
    assert_eq!(used(&filled), None);
    for _ in 0..2 {
        assert_eq!(review().await["authenticated"], true);
    }
    let first = secret().await;
    assert_eq!(used(&first), Some(today()));
    tokio::time::sleep(Duration::from_secs(3 * 86400)).await;
    assert_eq!(secret().await.metadata.resource_version, first.metadata.resource_version);
    review().await;
    assert_eq!(used(&*secret().await), Some(today()));
    let mut invalid = Secret::clone(&*secret().await);
    let labels = invalid.metadata.labels.get_or_insert_default();
    labels.insert("kubernetes.io/legacy-token-invalid-since".into(), today());
    client.replace(&invalid).await.unwrap();
    let refused = review().await;
    assert_eq!(refused["authenticated"], false);
    let why = refused["error"].as_str().unwrap();
    assert!(
        why.contains("the token in secret default/token for service account default/default has been marked invalid"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_is_good_no_longer_once_its_secret_keeps_another() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let client = cluster.client();
    let secret = json!({"metadata": {"name": "token", "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": "kubernetes.io/service-account-token"});
    add::<Secret>(&cluster, secret).await;
    let kept = |secret: &Secret| Some(String::from_utf8(secret.data.as_ref()?.get("token")?.0.clone()).unwrap());
    let leaked = kept(&*becomes::<Secret>(&cluster, &key("token"), |s| kept(s).is_some()).await).unwrap();
    let review = async |token: &str| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let gvr = Gvr::of("authentication.k8s.io", "v1", "tokenreviews");
        let answer = client.create(&gvr, &Key::cluster(""), None, body, &WriteOptions::default()).await.unwrap();
        answer.parse::<Value>().unwrap()["status"].clone()
    };
    assert_eq!(review(&leaked).await["authenticated"], true);
    let none = json!({"data": {"token": null}});
    client.patch(&Secret::gvr(), &key("token"), None, Patch::Merge(none), &WriteOptions::default()).await.unwrap();
    let another = |secret: &Secret| kept(secret).is_some_and(|token| token != leaked);
    let new = kept(&*becomes::<Secret>(&cluster, &key("token"), another).await).unwrap();
    assert_eq!(review(&new).await["authenticated"], true);
    let refused = review(&leaked).await;
    assert_eq!(
        (&refused["authenticated"], &refused["error"]),
        (&false.into(), &"Token does not match server's copy".into())
    );
    // What somebody asks for and binds to the secret is good without being kept there.
    let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": "token"});
    let body = json!({"spec": {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound}});
    let options = WriteOptions::default();
    let asked = client.create(&ServiceAccount::gvr(), &key("default"), Some("token"), body, &options).await.unwrap();
    let asked = asked.parse::<Value>().unwrap()["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(review(&asked).await["authenticated"], true);
}

#[tokio::test(start_paused = true)]
async fn an_account_does_not_list_a_token_secret_that_is_gone() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let client = cluster.client();
    let secret = json!({"metadata": {"name": "token", "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": "kubernetes.io/service-account-token"});
    add::<Secret>(&cluster, secret).await;
    let listed = json!({"secrets": [{"name": "token"}, {"name": "other"}]});
    let options = WriteOptions::default();
    client.patch(&ServiceAccount::gvr(), &key("default"), None, Patch::Merge(listed), &options).await.unwrap();
    client.delete(&Secret::gvr(), &key("token"), &DeleteOptions::default()).await.unwrap();
    let one = |account: &ServiceAccount| account.secrets.as_ref().is_some_and(|all| all.len() == 1);
    let account = becomes::<ServiceAccount>(&cluster, &key("default"), one).await;
    assert_eq!(account.secrets.as_ref().unwrap()[0].name.as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn nodes_get_parts_of_the_network_and_tell_how_long_things_may_be_kept() {
    let network = NodeNetwork::parse("10.200.0.0/16", 24).unwrap();
    let cluster = Cluster::builder().seed(1).simulated_nodes(3).node_network(network).build().await.unwrap();
    let mut parts = Vec::new();
    for number in 0..3 {
        let name = Key::cluster(format!("node-{number}"));
        let node = becomes::<Node>(&cluster, &name, |n| n.spec.as_ref().is_some_and(|s| s.pod_cidr.is_some())).await;
        parts.push(node.spec.as_ref().unwrap().pod_cidr.clone().unwrap());
        let ttl = |n: &Node| {
            n.metadata
                .annotations
                .as_ref()
                .is_some_and(|a| a.get("node.alpha.kubernetes.io/ttl").is_some_and(|t| t == "0"))
        };
        becomes::<Node>(&cluster, &name, ttl).await;
    }
    parts.sort();
    assert_eq!(parts, ["10.200.0.0/24", "10.200.1.0/24", "10.200.2.0/24"]);
}

/// A certificate request of `jane` in the group `team`, in PEM, in base64.
const CSR: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIWU1JR0FBZ0VBTUI0eERUQUxCZ05WQkFvTUJIUmxZVzB4RFRBTEJnTlZCQU1NQkdwaGJtVXdXVEFUQmdjcQpoa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVQ0MDBDZjBHK3hDdTlvUnFyb05PVVJ0RFZkcVFEQVRwR2VTd2lyCnJ1ZUl3SzJ2a0dEMVlJSkxIYWVvVU0yaWlGYjA4VnVxVmI0dlhYNWQwSUd4UnQ3eW9BQXdDZ1lJS29aSXpqMEUKQXdJRFJ3QXdSQUlnSzdhYWN3TnI2a3FlMlNLSzhkMXE1S1Z6SzBXSVYxV1dEa1pOOEhqQVBpRUNJRDdneDQyNgpxOWpNcUpBYUhNdThwUzNXRGoveTdCbzdoazR0WDdLTUdKSFYKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
