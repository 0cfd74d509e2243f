//! The groups `networking.k8s.io` and `discovery.k8s.io`.

use super::{
    cells::{NONE, first_few, marked_default, name, name_or_default, scalar_or, selector},
    core::load_balancer,
    row::{Group, Row, named, text},
};
use crate::{
    access::{get, list, text as field, texts},
    kind::Kind,
};
use serde_json::Value;

const NETWORKING: Group = Group { group: "networking.k8s.io", version: "v1", package: "io.k8s.api.networking.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![ingress_class(), ingress(), ip_address(), network_policy(), service_cidr()]
}

pub(super) fn discovery() -> Vec<Kind> {
    let group = Group { group: "discovery.k8s.io", version: "v1", package: "io.k8s.api.discovery.v1" };
    vec![group.namespaced("EndpointSlice", "endpointslices").columns(named([
        text("AddressType", "IPv4, IPv6 or FQDN.", |o, _| field(o, "addressType").into()),
        text("Ports", "The ports of each endpoint.", |o, _| slice_ports(o)),
        text("Endpoints", "The addresses of the endpoints.", |o, _| {
            let endpoints = list(o, "endpoints").iter();
            first_few(&endpoints.flat_map(|e| texts(e, "addresses")).collect::<Vec<_>>(), 3)
        }),
    ]))]
}

fn slice_ports(slice: &Value) -> Value {
    let port = |port: &Value| match (get(port, "port"), get(port, "name").and_then(Value::as_str)) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    first_few(&list(slice, "ports").iter().map(port).collect::<Vec<_>>(), 3)
}

fn ingress_class() -> Kind {
    let mut columns = named([
        text("Controller", "Controller that is responsible for handling this class", |o, _| {
            field(o, "spec.controller").into()
        }),
        text("Parameters", "A reference to a resource with additional parameters", |o, _| parameters(o).into()),
    ]);
    if let Some(first) = columns.first_mut() {
        *first = name_or_default(|o, _| marked_default(o, "ingressclass.kubernetes.io/is-default-class"));
    }
    NETWORKING.cluster("IngressClass", "ingressclasses").columns(columns)
}

fn parameters(class: &Value) -> String {
    let Some(parameters) = get(class, "spec.parameters") else { return NONE.into() };
    let group = match get(parameters, "apiGroup").and_then(Value::as_str) {
        Some(group) => format!(".{group}"),
        None => String::new(),
    };
    format!("{}{group}/{}", field(parameters, "kind"), field(parameters, "name"))
}

fn ingress() -> Kind {
    let hosts_words = "Hosts that incoming requests are matched against before the ingress rule";
    let class = "The name of the IngressClass resource that should be used for additional configuration";
    NETWORKING.namespaced("Ingress", "ingresses").short(&["ing"]).status().columns(named([
        text("Class", class, |o, _| scalar_or(o, "spec.ingressClassName", NONE)),
        text("Hosts", hosts_words, |o, _| hosts(o).into()),
        text("Address", "Address is a list containing ingress points for the load-balancer", |o, _| {
            load_balancer(o).join(",").into()
        }),
        text("Ports", "Ports of TLS configurations that open", |o, _| {
            Value::from(if list(o, "spec.tls").is_empty() { "80" } else { "80, 443" })
        }),
    ]))
}

fn hosts(ingress: &Value) -> String {
    let rules = list(ingress, "spec.rules");
    let named: Vec<&str> = rules.iter().map(|rule| field(rule, "host")).filter(|host| !host.is_empty()).collect();
    match (named.len(), named.get(..3)) {
        (0, _) => "*".into(),
        (4.., Some(few)) => format!("{} + {} more...", few.join(","), rules.len() - 3),
        _ => named.join(","),
    }
}

fn ip_address() -> Kind {
    let parent = text("ParentRef", "What the address belongs to.", |o, _| parent(o).into());
    NETWORKING.cluster("IPAddress", "ipaddresses").short(&["ip"]).columns(vec![name(), parent])
}

fn parent(address: &Value) -> String {
    let Some(parent) = get(address, "spec.parentRef") else { return NONE.into() };
    let part = |name, before: &str| match field(parent, name) {
        "" => String::new(),
        text => format!("{before}{text}"),
    };
    let resource = part("resource", "") + &part("group", ".");
    resource.to_lowercase() + &part("namespace", "/") + &part("name", "/")
}

fn network_policy() -> Kind {
    let pods =
        text("Pod-Selector", "The pods that the policy applies to.", |o, _| selector(get(o, "spec.podSelector")));
    NETWORKING.namespaced("NetworkPolicy", "networkpolicies").short(&["netpol"]).columns(named([pods]))
}

fn service_cidr() -> Kind {
    let cidrs = text("CIDRs", "Ranges of Service addresses.", |o, _| {
        texts(o, "spec.cidrs").collect::<Vec<_>>().join(",").into()
    });
    NETWORKING.cluster("ServiceCIDR", "servicecidrs").status().columns(named([cidrs]))
}
