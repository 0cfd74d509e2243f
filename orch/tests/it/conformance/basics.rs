//! What every cluster has: two nodes that take pods, the Service of the API, and endpoints soon after a Service
//! (`test/e2e/architecture/conformance.go`, `test/e2e/network/{apiserver,service_latency}.go`).

use super::world::*;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// [sig-architecture] Conformance Tests should have at least two untainted nodes [Conformance]
#[tokio::test(start_paused = true)]
async fn two_nodes_take_pods() {
    let here = World::start().await;
    here.nodes_are_ready().await;
}

/// [sig-network] API Server should provide secure master service [Conformance]
#[tokio::test(start_paused = true)]
async fn the_api_has_a_service() {
    let here = World::start().await;
    let service = here.kind::<Service>().get("kubernetes").await;
    assert_eq!(service["spec"]["ports"][0]["name"], "https");
}

/// [sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server [Conformance]
#[tokio::test(start_paused = true)]
async fn the_service_of_the_api_leads_to_the_server() {
    let here = World::start().await;
    let server: SocketAddr = "192.0.2.1:6443".parse().unwrap();
    here.0.advertise(server).await.unwrap();
    here.kind::<Service>().get("kubernetes").await;
    let endpoints = here.kind::<Endpoints>().get("kubernetes").await;
    let all = |object: &Value, pointer: &str, field: &str| -> BTreeSet<String> {
        let list = object.pointer(pointer).and_then(Value::as_array).unwrap();
        list.iter().map(|item| item[field].to_string()).collect()
    };
    let addresses = all(&endpoints, "/subsets/0/addresses", "ip");
    let ports = all(&endpoints, "/subsets/0/ports", "port");
    assert_eq!((addresses, ports), (["\"192.0.2.1\"".into()].into(), ["6443".into()].into()));
    let slices = here.kind::<EndpointSlice>().list("kubernetes.io/service-name=kubernetes").await;
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["addressType"], "IPv4");
    assert_eq!(slices[0]["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
    assert_eq!(all(&slices[0], "/ports", "port"), ["6443".into()].into());

    // Nothing here takes them away or mirrors them once more; a server that comes back elsewhere is found there.
    tokio::time::sleep(Duration::from_secs(120)).await;
    here.0.advertise("192.0.2.7:443".parse().unwrap()).await.unwrap();
    let slices = here.kind::<EndpointSlice>().list("kubernetes.io/service-name=kubernetes").await;
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0]["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
}

/// [sig-network] Service endpoints latency should not be very high [Conformance]
///
/// On the virtual clock it measures what waits, not how fast the machine is: no Service's endpoints are put off to a later
/// round or behind those of others. The limits are those of the suite.
#[tokio::test(start_paused = true)]
async fn endpoints_come_soon_after_their_service() {
    const TRIALS: usize = 200;
    const AT_ONCE: usize = 15;
    let here = World::start().await;
    let label = json!({"name": "svc-latency-rc"});
    let deployment = json!({"metadata": {"name": "svc-latency-rc"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": label}, "template": template("svc-latency-rc", "app:1")}});
    here.kind::<Deployment>().create(deployment).await;
    let complete = |deployment: &Value| deployment["status"]["availableReplicas"] == 1;
    here.kind::<Deployment>().until_one("a pod", "svc-latency-rc", complete).await;

    let trial = async |number: usize| {
        let name = format!("latency-svc-{number}");
        let spec = json!({"selector": label, "ports": [{"protocol": "TCP", "port": 80}]});
        let begun = tokio::time::Instant::now();
        let made = here.kind::<Service>().create(json!({"metadata": {"name": name}, "spec": spec})).await;
        let of = format!("kubernetes.io/service-name={name}");
        let mut slices = here.kind::<EndpointSlice>().watch(&of, revision(&made)).await;
        let filled = |slice: &Value| slice["endpoints"].as_array().is_some_and(|all| !all.is_empty());
        loop {
            let (kind, slice) = slices.next().await;
            if kind != "DELETED" && filled(&slice) {
                return begun.elapsed();
            }
        }
    };
    let mut latencies = Vec::new();
    for first in (0..TRIALS).step_by(AT_ONCE) {
        let batch = (first..TRIALS.min(first + AT_ONCE)).map(&trial);
        latencies.extend(futures::future::join_all(batch).await);
    }
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[TRIALS * p / 100];
    assert_eq!(latencies.len(), TRIALS);
    assert!(percentile(50) <= Duration::from_secs(20), "median {:?}", percentile(50));
    assert!(percentile(99) <= Duration::from_secs(50), "99 % {:?}", percentile(99));
}
