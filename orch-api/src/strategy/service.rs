//! Services that change their type leave behind what the new type cannot have
//! (`pkg/registry/core/service/strategy.go`, `dropTypeDependentFields`).

use crate::{
    validation::same,
    value::{self, Object},
};
use serde_json::{Map, Value, json};

/// Drops what belongs to the old type and was not changed on purpose.
pub(super) fn updated(new: &mut Object, old: &Object) {
    let empty = Map::new();
    let old = old.get("spec").and_then(Value::as_object).unwrap_or(&empty);
    let is_balancer = {
        let Some(spec) = value::part(new, "spec") else { return };
        cluster_ip(spec, old);
        node_ports(spec, old);
        if is(old, "LoadBalancer") && !is(spec, "LoadBalancer") {
            drop_unchanged(spec, old, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
        }
        if is_external(old) && !is_external(spec) {
            drop_unchanged(spec, old, &["externalTrafficPolicy"]);
        }
        is(spec, "LoadBalancer")
    };
    if !is_balancer && let Some(status) = value::part(new, "status") {
        status.insert("loadBalancer".into(), json!({}));
    }
}

fn cluster_ip(new: &mut Object, old: &Object) {
    if is(old, "ExternalName") || !is(new, "ExternalName") {
        return;
    }
    if ["clusterIP", "clusterIPs"].iter().all(|field| same(new.get(*field), old.get(*field))) {
        new.remove("clusterIP");
        new.remove("clusterIPs");
    }
    drop_unchanged(new, old, &["ipFamilies", "ipFamilyPolicy"]);
}

fn node_ports(new: &mut Object, old: &Object) {
    let needs = |spec: &Object| is(spec, "NodePort") || is(spec, "LoadBalancer");
    let checked = |spec: &Object| is(spec, "LoadBalancer") && value::text(spec, "externalTrafficPolicy") == "Local";
    if checked(old) && !checked(new) {
        drop_unchanged(new, old, &["healthCheckNodePort"]);
    }
    if needs(old) && !needs(new) {
        let before = numbers(old);
        if numbers(new).iter().all(|port| before.contains(port)) {
            value::each(new, "ports").for_each(|port| {
                port.remove("nodePort");
            });
        }
    }
}

fn numbers(spec: &Object) -> Vec<i64> {
    let ports = spec.get("ports").and_then(Value::as_array).into_iter().flatten();
    ports.filter_map(|p| p.get("nodePort")?.as_i64()).filter(|n| *n != 0).collect()
}

fn is(spec: &Object, kind: &str) -> bool {
    value::text(spec, "type") == kind
}

/// Whether traffic from outside of the cluster reaches the service.
fn is_external(spec: &Object) -> bool {
    let has_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    is(spec, "LoadBalancer") || is(spec, "NodePort") || (is(spec, "ClusterIP") && has_ips)
}

fn drop_unchanged(new: &mut Object, old: &Object, fields: &[&str]) {
    for field in fields {
        if same(new.get(*field), old.get(*field)) {
            new.remove(*field);
        }
    }
}
