//! Cluster IPs and node ports of Services: one commit for a Service and what it holds, and several servers over one store.

use crate::support::{Answer, Server};
use futures::future::join_all;
use http::{Method, StatusCode};
use orch_apiserver::{ApiServer, alloc::ServiceCidr};
use orch_store::{
    Ambient, Backend,
    backend::{Condition, Durability, Range, Txn, Write, memory::MemoryBackend},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const NETWORKS: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const PORTS: &str = "/registry/ranges/servicenodeports/";

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    if service["spec"].get("ports").is_none() {
        service["spec"]["ports"] = json!([{"port": 80}]);
    }
    service
}

fn cidr(text: &str) -> ServiceCidr {
    ServiceCidr::parse(text).unwrap()
}

/// A server over a store. All have one seed, so that two of them draw the same.
async fn over(store: &Arc<MemoryBackend>, network: &str) -> Server {
    Server::of(ApiServer::builder(Ambient::seeded(1), store.clone()).service_cidr(cidr(network))).await
}

/// A server of a cluster of two families.
async fn dual() -> Server {
    let builder = ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()));
    Server::of(builder.service_cidr(cidr("10.9.0.0/24")).secondary_service_cidr(cidr("fd00:9::/112"))).await
}

async fn addresses(server: &Server) -> Vec<String> {
    let list = server.get(ADDRESSES).await.ok();
    let mut all: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| {
            let text = |pointer: &str| address.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}", text("/spec/parentRef/name"), text("/metadata/name"))
        })
        .filter(|line| !line.starts_with("kubernetes "))
        .collect();
    all.sort_unstable();
    all
}

async fn ports(store: &MemoryBackend) -> Vec<String> {
    let all = store.range(Range { prefix: PORTS.into(), ..Range::default() }).await.unwrap().entries;
    all.iter().map(|entry| entry.key[PORTS.len()..].to_owned()).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value["spec"][field].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_address_is_written_with_its_service_and_goes_with_it() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    let made = server.post(SERVICES, service("web", json!({"type": "NodePort"}))).await.ok();
    let ip = text(&made, "clusterIP").to_owned();
    let address = server.get(&format!("{ADDRESSES}/{ip}")).await.ok();
    assert_eq!(
        address["spec"]["parentRef"],
        json!({"group": "", "resource": "services", "namespace": "default", "name": "web"})
    );
    let labels = json!({"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"});
    assert_eq!(address["metadata"]["labels"], labels);
    assert_eq!(address["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"], "one commit wrote both");
    assert_eq!(ports(&store).await, [made["spec"]["ports"][0]["nodePort"].to_string()]);
    let first = server.get(&format!("{ADDRESSES}/10.9.0.1")).await.ok();
    assert_eq!(first["spec"]["parentRef"]["name"], "kubernetes");

    server.delete(&format!("{SERVICES}/web")).await.ok();
    assert_eq!((addresses(&server).await, ports(&store).await), (vec![], vec![]));
}

#[allow(clippy::disallowed_methods)] // The requests race on threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_over_one_store_give_no_address_and_no_port_twice() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/27").await, over(&store, "10.9.0.0/27").await];
    // Room for 29 beside the `kubernetes` Service.
    let requests = servers.iter().enumerate().flat_map(|(i, server)| {
        (0..20).map(move |n| {
            let (service, name) = (server.service.clone(), format!("s{i}-{n}"));
            let server = Server { api: server.api.clone(), service };
            tokio::spawn(async move { server.post(SERVICES, self::service(&name, json!({"type": "NodePort"}))).await })
        })
    });
    let answers: Vec<Answer> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.code == StatusCode::CREATED);
    for answer in &refused {
        assert!(answer.status().ends_with("range is full"), "{}", answer.status());
    }
    let made: Vec<Value> = made.into_iter().map(Answer::ok).collect();
    assert_eq!((made.len(), refused.len()), (29, 11));
    let ips: BTreeSet<&str> = made.iter().map(|service| text(service, "clusterIP")).collect();
    let nodes: BTreeSet<i64> = made.iter().filter_map(|s| s["spec"]["ports"][0]["nodePort"].as_i64()).collect();
    assert_eq!((ips.len(), nodes.len()), (29, 29));
    for server in &servers {
        assert_eq!(addresses(server).await.len(), 29);
    }
    assert_eq!(ports(&store).await.len(), 29);
}

#[tokio::test(start_paused = true)]
async fn who_draws_what_another_server_has_just_taken_draws_again() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/16").await, over(&store, "10.9.0.0/16").await];
    let [one, two] = &servers;
    let (one, two) = tokio::join!(
        one.post(SERVICES, service("one", json!({"type": "NodePort"}))),
        two.post(SERVICES, service("two", json!({"type": "NodePort"}))),
    );
    let (one, two) = (one.ok(), two.ok());
    assert_ne!(text(&one, "clusterIP"), text(&two, "clusterIP"));
    assert_ne!(one["spec"]["ports"][0]["nodePort"], two["spec"]["ports"][0]["nodePort"]);
    assert_eq!((addresses(&servers[0]).await.len(), ports(&store).await.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_named_address_or_port_goes_to_one_of_two_who_ask_two_servers_for_it() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/24").await, over(&store, "10.9.0.0/24").await];
    let race = async |spec: Value| {
        let [one, two] = &servers;
        let (one, two) = tokio::join!(
            one.post(SERVICES, service("one", spec.clone())),
            two.post(SERVICES, service("two", spec.clone())),
        );
        let answers = [one, two];
        let refused = answers.into_iter().filter(|answer| !answer.code.is_success()).map(|answer| answer.status());
        refused.collect::<Vec<_>>()
    };
    assert_eq!(
        race(json!({"clusterIP": "10.9.0.7"})).await,
        [
            "422 Invalid: Service \"two\" is invalid: spec.clusterIPs: Invalid value: [\"10.9.0.7\"]: failed to allocate IP \
         10.9.0.7: provided IP is already allocated"
        ]
    );
    servers[1].delete(&format!("{SERVICES}/one")).await.ok();
    assert_eq!(
        race(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]})).await,
        [
            "422 Invalid: Service \"two\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already \
         allocated"
        ]
    );
    assert_eq!((addresses(&servers[0]).await.len(), ports(&store).await), (1, vec!["30080".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_two_servers_create_at_once_is_one_service_with_one_address() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/24").await, over(&store, "10.9.0.0/24").await];
    let [one, two] = &servers;
    let (one, two) = tokio::join!(
        one.post(SERVICES, service("web", json!({"type": "NodePort"}))),
        two.post(SERVICES, service("web", json!({"type": "NodePort"}))),
    );
    assert_eq!(one.code, StatusCode::CREATED);
    assert_eq!(two.status(), "409 AlreadyExists: services \"web\" already exists");
    assert_eq!((addresses(&servers[0]).await.len(), ports(&store).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_names_its_revision_draws_again_as_a_whole() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/24").await, over(&store, "10.9.0.0/24").await];
    let mut services = Vec::new();
    for name in ["one", "two"] {
        let mut made = servers[0].post(SERVICES, service(name, json!({"selector": {"app": name}}))).await.ok();
        made["spec"]["type"] = json!("NodePort");
        services.push(made);
    }
    // Both draw from the same point of one seed: the second server has drawn nothing yet.
    let (two, one) = (services.pop().unwrap(), services.pop().unwrap());
    let fresh = over(&store, "10.9.0.0/24").await;
    let uris = ["one", "two"].map(|name| format!("{SERVICES}/{name}"));
    let (one, two) = tokio::join!(servers[1].put(&uris[0], one), fresh.put(&uris[1], two));
    let (one, two) = (one.ok(), two.ok());
    assert_ne!(one["spec"]["ports"][0]["nodePort"], two["spec"]["ports"][0]["nodePort"]);
    assert_eq!(two["spec"]["selector"], json!({"app": "two"}));
    assert_eq!(ports(&store).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_service_no_longer_is_it_lets_go_of() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    let uri = format!("{SERVICES}/web");
    let balancer = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "clusterIP": "10.9.0.7",
        "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}],
        "healthCheckNodePort": 30082});
    server.post(SERVICES, service("web", balancer)).await.ok();
    assert_eq!(ports(&store).await, ["30080", "30081", "30082"]);
    let patch = async |spec: Value| server.patch(&uri, "merge-patch+json", json!({"spec": spec})).await.ok();
    patch(json!({"type": "NodePort"})).await;
    assert_eq!(ports(&store).await, ["30080", "30081"]);
    patch(json!({"ports": [{"name": "a", "port": 80, "nodePort": 30080}]})).await;
    assert_eq!(ports(&store).await, ["30080"]);
    patch(json!({"type": "ClusterIP"})).await;
    assert_eq!((ports(&store).await, addresses(&server).await), (vec![], vec!["web 10.9.0.7".to_owned()]));
    let external = patch(json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": ""})).await;
    assert_eq!((external["spec"].get("clusterIP"), external["spec"].get("clusterIPs")), (None, None));
    assert_eq!(addresses(&server).await, Vec::<String>::new());
    let back = patch(json!({"type": "ClusterIP", "externalName": null, "clusterIP": "10.9.0.8"})).await;
    assert_eq!(back["spec"]["clusterIPs"], json!(["10.9.0.8"]));
    assert_eq!(addresses(&server).await, ["web 10.9.0.8"]);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_leaves_addresses_and_ports_out_keeps_them() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    let made = server.post(SERVICES, service("web", json!({"type": "NodePort"}))).await.ok();
    let replaced = server
        .put(&format!("{SERVICES}/web"), service("web", json!({"type": "NodePort", "selector": {"app": "web"}})))
        .await
        .ok();
    assert_eq!(text(&replaced, "clusterIP"), text(&made, "clusterIP"));
    assert_eq!(replaced["spec"]["ports"], made["spec"]["ports"]);
    assert_eq!((addresses(&server).await.len(), ports(&store).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_for_its_finalizer_keeps_its_address_until_it_goes() {
    let server = over(&Arc::new(MemoryBackend::new()), "10.9.0.0/24").await;
    let mut held = service("web", json!({"clusterIP": "10.9.0.7"}));
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    server.post(SERVICES, held).await.ok();
    server.delete(&format!("{SERVICES}/web")).await.ok();
    assert_eq!(addresses(&server).await, ["web 10.9.0.7"]);
    let free = json!({"metadata": {"finalizers": null}});
    server.patch(&format!("{SERVICES}/web"), "merge-patch+json", free).await.ok();
    assert_eq!(addresses(&server).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_takes_nothing_and_lets_go_of_nothing() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    let dry = format!("{SERVICES}?dryRun=All");
    let shown = server.post(&dry, service("dry", json!({"type": "NodePort"}))).await.ok();
    assert!(text(&shown, "clusterIP").starts_with("10.9.0."));
    assert_eq!((addresses(&server).await, ports(&store).await), (vec![], vec![]));
    server.post(SERVICES, service("web", json!({"type": "NodePort"}))).await.ok();
    let gone = server.call(Method::DELETE, &format!("{SERVICES}/web?dryRun=All"), "", "").await;
    assert!(gone.code.is_success());
    let patch = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    server.patch(&format!("{SERVICES}/web?dryRun=All"), "merge-patch+json", patch).await.ok();
    assert_eq!((addresses(&server).await.len(), ports(&store).await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_address_of_something_else_is_not_for_services_and_is_not_taken_from_it() {
    let server = over(&Arc::new(MemoryBackend::new()), "10.9.0.0/24").await;
    let parent =
        json!({"group": "gateway.networking.k8s.io", "resource": "gateways", "namespace": "default", "name": "g"});
    let address = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "10.9.0.7"},
        "spec": {"parentRef": parent}});
    server.post(ADDRESSES, address).await.ok();
    let refused = server.post(SERVICES, service("web", json!({"clusterIP": "10.9.0.7"}))).await.status();
    assert!(refused.ends_with("failed to allocate IP 10.9.0.7: provided IP is already allocated"), "{refused}");
    let refused = server.post(SERVICES, service("web", json!({"clusterIP": "10.8.0.7"}))).await.status();
    assert!(
        refused.ends_with("failed to allocate IP 10.8.0.7: the provided network does not match the current range"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_network_counts_from_the_answer_to_its_write_on_whichever_server_is_asked() {
    let store = Arc::new(MemoryBackend::new());
    let servers = [over(&store, "10.9.0.0/24").await, over(&store, "10.9.0.0/24").await];
    let more = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more",
        "finalizers": ["networking.k8s.io/service-cidr-finalizer"]}, "spec": {"cidrs": ["10.8.0.0/24"]}});
    servers[0].post(NETWORKS, more).await.ok();
    servers[1].post(SERVICES, service("web", json!({"clusterIP": "10.8.0.7"}))).await.ok();
    servers[0].delete(&format!("{NETWORKS}/more")).await.ok();
    let refused = servers[1].post(SERVICES, service("late", json!({"clusterIP": "10.8.0.8"}))).await.status();
    assert!(refused.ends_with("the provided network does not match the current range"), "{refused}");
    servers[1].delete(&format!("{SERVICES}/web")).await.ok();
    assert_eq!(addresses(&servers[0]).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_two_families_gives_addresses_of_both() {
    let server = dual().await;
    let one = server.post(SERVICES, service("one", json!({}))).await.ok();
    assert_eq!((text(&one, "ipFamilyPolicy"), &one["spec"]["ipFamilies"]), ("SingleStack", &json!(["IPv4"])));
    let six = server.post(SERVICES, service("six", json!({"ipFamilies": ["IPv6"]}))).await.ok();
    let ip = text(&six, "clusterIP").to_owned();
    assert!(ip.starts_with("fd00:9::"), "{ip}");
    let address = server.get(&format!("{ADDRESSES}/{ip}")).await.ok();
    assert_eq!(address["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"], "IPv6");

    let both =
        json!({"ipFamilyPolicy": "PreferDualStack", "clusterIPs": ["10.9.0.7", "fd00:9::7"], "clusterIP": "10.9.0.7"});
    let both = server.post(SERVICES, service("both", both)).await.ok();
    assert_eq!(both["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    let patch = json!({"spec": {"ipFamilyPolicy": "SingleStack"}});
    let less = server.patch(&format!("{SERVICES}/both"), "merge-patch+json", patch).await.ok();
    assert_eq!((&less["spec"]["clusterIPs"], &less["spec"]["ipFamilies"]), (&json!(["10.9.0.7"]), &json!(["IPv4"])));
    assert!(!addresses(&server).await.contains(&"both fd00:9::7".to_owned()));
    let patch = json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}});
    let more = server.patch(&format!("{SERVICES}/both"), "merge-patch+json", patch).await.ok();
    assert_eq!((more["spec"]["clusterIPs"].as_array().unwrap().len(), text(&more, "clusterIP")), (2, "10.9.0.7"));
    assert_eq!(addresses(&server).await.iter().filter(|line| line.starts_with("both ")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_one_family_refuses_what_needs_two() {
    let server = Server::start().await;
    assert_eq!(
        server.post(SERVICES, service("web", json!({"ipFamilyPolicy": "RequireDualStack"}))).await.status(),
        "422 Invalid: Service \"web\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is \
         not configured for dual-stack services"
    );
    let headless = server.post(SERVICES, service("none", json!({"clusterIP": "None"}))).await.ok();
    assert_eq!(headless["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
}

#[tokio::test(start_paused = true)]
async fn a_server_writes_down_what_services_hold_and_forgets_ports_that_nobody_has() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    let spec = json!({"type": "NodePort", "clusterIP": "10.9.0.7", "ports": [{"port": 80, "nodePort": 30080}]});
    server.post(SERVICES, service("web", spec)).await.ok();
    // As a server leaves it that knows of neither.
    let write = |key: &str, json: Option<Value>| Write {
        key: key.into(),
        condition: Condition::Any,
        value: json.map(|json| orch_store::backend::Value { json: json.to_string().into(), slot: None }),
        durability: Durability::Synced,
    };
    let orphan = json!({"metadata": {"name": "30090"}, "service": {"namespace": "default", "name": "gone"}});
    let writes = vec![
        write("/registry/networking.k8s.io/ipaddresses/10.9.0.7", None),
        write(&format!("{PORTS}30080"), None),
        write(&format!("{PORTS}30090"), Some(orphan)),
    ];
    store.commit(Txn { writes }).await.unwrap();
    let next = over(&store, "10.9.0.0/24").await;
    assert_eq!((addresses(&next).await, ports(&store).await), (vec!["web 10.9.0.7".into()], vec!["30080".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_default_network_comes_back_and_learns_of_a_second_family() {
    let store = Arc::new(MemoryBackend::new());
    let server = over(&store, "10.9.0.0/24").await;
    server.delete(&format!("{NETWORKS}/kubernetes")).await.ok();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let made = server.get(&format!("{NETWORKS}/kubernetes")).await.ok();
    assert_eq!(made["spec"]["cidrs"], json!(["10.9.0.0/24"]));
    let builder = ApiServer::builder(Ambient::seeded(1), store.clone());
    let next = Server::of(builder.service_cidr(cidr("10.9.0.0/24")).secondary_service_cidr(cidr("fd00:9::/112"))).await;
    let wider = next.get(&format!("{NETWORKS}/kubernetes")).await.ok();
    assert_eq!(wider["spec"]["cidrs"], json!(["10.9.0.0/24", "fd00:9::/112"]));
}
