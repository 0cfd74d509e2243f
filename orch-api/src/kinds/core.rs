//! The core group.

use super::{
    cells::{self, NONE, containers, images, joined},
    event, node, pod,
    row::{Group, Row, integer, named, text, wide},
    volume,
};
use crate::{
    access::{get, integer as number, list, map, text as field, texts},
    key::Gvk,
    kind::{Kind, Verbs},
};
use serde_json::Value;

pub(super) const CORE: Group = Group { group: "", version: "v1", package: "io.k8s.api.core.v1" };

const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

pub(super) fn kinds() -> Vec<Kind> {
    let binding = CORE.namespaced("Binding", "bindings").verbs(Verbs::CreateOnly);
    let mut kinds = vec![binding, component_status()];
    kinds.extend([config_map(), endpoints(), event::core(), limit_range(), namespace(), node::kind()]);
    kinds.extend([volume::claim(), volume::kind(), pod::kind(), pod_template(), replication_controller()]);
    kinds.extend([resource_quota(), secret(), service_account(), service()]);
    kinds
}

fn component_status() -> Kind {
    CORE.cluster("ComponentStatus", "componentstatuses").short(&["cs"]).verbs(Verbs::ReadOnly).columns(vec![
        cells::name(),
        text("Status", "Status of the component conditions", |o, _| {
            Value::from(match component_health(o).map(|c| field(c, "status")) {
                None => "Unknown",
                Some("True") => "Healthy",
                Some(_) => "Unhealthy",
            })
        }),
        text("Message", "Message of the component conditions", |o, _| {
            Value::from(component_health(o).map(|c| field(c, "message")).unwrap_or_default())
        }),
        text("Error", "Error of the component conditions", |o, _| {
            Value::from(component_health(o).map(|c| field(c, "error")).unwrap_or_default())
        }),
    ])
}

fn component_health(object: &Value) -> Option<&Value> {
    list(object, "conditions").iter().find(|c| field(c, "type") == "Healthy")
}

fn config_map() -> Kind {
    CORE.namespaced("ConfigMap", "configmaps").short(&["cm"]).columns(named([text(
        "Data",
        "Number of entries, text and binary.",
        |o, _| Value::from(size(o, "data") + size(o, "binaryData")),
    )]))
}

fn endpoints() -> Kind {
    CORE.namespaced("Endpoints", "endpoints").short(&["ep"]).columns(named([text(
        "Endpoints",
        "The ready addresses with their ports.",
        |o, _| endpoint_addresses(o),
    )]))
}

/// The first three addresses of all subsets.
fn endpoint_addresses(object: &Value) -> Value {
    let mut addresses = Vec::new();
    for subset in list(object, "subsets") {
        let ips = || list(subset, "addresses").iter().map(|a| field(a, "ip"));
        match list(subset, "ports") {
            [] => addresses.extend(ips().map(str::to_owned)),
            ports => {
                let with = |port| ips().map(move |ip| host_port(ip, port));
                addresses.extend(ports.iter().flat_map(|port| with(number(port, "port"))));
            }
        }
    }
    match (list(object, "subsets"), addresses.is_empty()) {
        ([], _) => Value::from(NONE),
        (_, true) => Value::from(""),
        _ => cells::first_few(&addresses, 3),
    }
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn limit_range() -> Kind {
    CORE.namespaced("LimitRange", "limitranges").short(&["limits"])
}

fn namespace() -> Kind {
    let kind = CORE.cluster("Namespace", "namespaces").short(&["ns"]).verbs(Verbs::NoCollection);
    let finalize = kind.gvk();
    kind.sub("finalize", finalize, &["update"])
        .status()
        .columns(named([text("Status", "The status of the namespace", |o, _| field(o, "status.phase").into())]))
        .selectable(&["status.phase"])
}

fn pod_template() -> Kind {
    CORE.namespaced("PodTemplate", "podtemplates").columns(vec![
        cells::name(),
        text("Containers", "Names of each container in the template.", |o, _| {
            joined(o, "template.spec.containers", "name")
        }),
        text("Images", "Images referenced by each container in the template.", |o, _| {
            joined(o, "template.spec.containers", "image")
        }),
        text("Pod Labels", "The labels for the pod template.", |o, _| {
            cells::labels(map(o, "template.metadata.labels"))
        }),
    ])
}

fn replication_controller() -> Kind {
    let mut columns = named([
        integer("Desired", "Number of replicas that are wanted.", |o, _| number(o, "spec.replicas").into()),
        integer("Current", "Number of replicas that exist.", |o, _| number(o, "status.replicas").into()),
        integer("Ready", "Number of replicas that are ready.", |o, _| number(o, "status.readyReplicas").into()),
    ]);
    columns.extend([
        containers(|o, _| joined(o, "spec.template.spec.containers", "name")),
        images(|o, _| joined(o, "spec.template.spec.containers", "image")),
        wide(text("Selector", "Labels that a pod must have.", |o, _| cells::labels(map(o, "spec.selector")))),
    ]);
    CORE.namespaced("ReplicationController", "replicationcontrollers")
        .short(&["rc"])
        .categories(&["all"])
        .scale()
        .status()
        .columns(columns)
        .selectable_by("status.replicas", |o| number(o, "status.replicas").to_string())
}

fn resource_quota() -> Kind {
    let limits = "Limits control the maximum amount of cpu/memory that a container may use independent of contention \
         on the node.";
    let request = "Request represents a minimum amount of cpu/memory that a container may consume.";
    CORE.namespaced("ResourceQuota", "resourcequotas").short(&["quota"]).status().columns(named([
        text("Request", request, |o, _| quota(o, |resource| !resource.starts_with("limits."))),
        text("Limit", limits, |o, _| quota(o, |resource| resource.starts_with("limits."))),
    ]))
}

fn quota(object: &Value, wanted: fn(&str) -> bool) -> Value {
    let hard = map(object, "status.hard").into_iter().flatten().filter(|(resource, _)| wanted(resource));
    let used = |resource: &str| get(object, "status.used").and_then(|u| u.get(resource)).and_then(Value::as_str);
    let of = |(resource, hard): (&String, &Value)| {
        format!("{resource}: {}/{}", used(resource).unwrap_or("0"), hard.as_str().unwrap_or_default())
    };
    Value::from(hard.map(of).collect::<Vec<_>>().join(", "))
}

fn secret() -> Kind {
    CORE.namespaced("Secret", "secrets")
        .columns(named([
            text("Type", "Used to facilitate programmatic handling of secret data.", |o, _| field(o, "type").into()),
            text("Data", "Number of entries.", |o, _| size(o, "data").into()),
        ]))
        .selectable(&["type"])
}

fn service_account() -> Kind {
    let token = Gvk::of("authentication.k8s.io", "v1", "TokenRequest");
    CORE.namespaced("ServiceAccount", "serviceaccounts")
        .short(&["sa"])
        .sub("token", token, &["create"])
        .columns(named([]))
}

fn service() -> Kind {
    let mut columns = named([
        text("Type", "How the Service is exposed.", |o, _| field(o, "spec.type").into()),
        text("Cluster-IP", "The address of the Service inside of the cluster.", |o, _| {
            Value::from(texts(o, "spec.clusterIPs").next().unwrap_or(NONE))
        }),
        text("External-IP", "The addresses of the Service outside of the cluster.", |o, _| external_ip(o)),
        text("Port(s)", "The ports that the Service exposes.", |o, _| service_ports(o)),
    ]);
    let selector = "Labels of the pods that the Service sends traffic to.";
    columns.push(wide(text("Selector", selector, |o, _| cells::labels(map(o, "spec.selector")))));
    CORE.namespaced("Service", "services")
        .short(&["svc"])
        .categories(&["all"])
        .sub("proxy", Gvk::of("", "v1", "ServiceProxyOptions"), PROXY)
        .status()
        .columns(columns)
        .selectable(&["spec.clusterIP", "spec.type"])
}

fn external_ip(service: &Value) -> Value {
    let external = || texts(service, "spec.externalIPs").map(str::to_owned).collect::<Vec<_>>();
    let or = |ips: Vec<String>, words: &str| if ips.is_empty() { words.to_owned() } else { ips.join(",") };
    Value::from(match field(service, "spec.type") {
        "ClusterIP" | "NodePort" => or(external(), NONE),
        "LoadBalancer" => or([load_balancer(service), external()].concat(), "<pending>"),
        "ExternalName" => field(service, "spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    })
}

/// The sorted addresses or names of a load balancer.
pub(super) fn load_balancer(object: &Value) -> Vec<String> {
    let address = |ingress| match field(ingress, "ip") {
        "" => field(ingress, "hostname"),
        ip => ip,
    };
    let ingress = list(object, "status.loadBalancer.ingress").iter().map(address);
    let mut addresses: Vec<String> = ingress.filter(|a| !a.is_empty()).map(str::to_owned).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn service_ports(service: &Value) -> Value {
    let port = |port| match number(port, "nodePort") {
        0 => format!("{}/{}", number(port, "port"), field(port, "protocol")),
        node_port => format!("{}:{node_port}/{}", number(port, "port"), field(port, "protocol")),
    };
    let ports: Vec<String> = list(service, "spec.ports").iter().map(port).collect();
    Value::from(if ports.is_empty() { NONE.to_owned() } else { ports.join(",") })
}

fn size(object: &Value, path: &str) -> usize {
    map(object, path).map_or(0, serde_json::Map::len)
}
