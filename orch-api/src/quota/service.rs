//! What a Service uses (`pkg/quota/v1/evaluator/core/services.go`).

use super::amounts::Amounts;
use crate::{
    access::{get, integer, list, text},
    quantity::{Format, Quantity},
};
use serde_json::Value;

const NAMED: [&str; 4] = ["count/services", "services", "services.nodeports", "services.loadbalancers"];

pub(super) fn usage(service: &Value) -> Amounts {
    let ports = list(service, "spec.ports");
    let allocates = get(service, "spec.allocateLoadBalancerNodePorts").and_then(Value::as_bool) != Some(false);
    let (node_ports, balancers) = match text(service, "spec.type") {
        "NodePort" => (ports.len(), 0),
        "LoadBalancer" if allocates => (ports.len(), 1),
        "LoadBalancer" => (ports.iter().filter(|port| integer(port, "nodePort") != 0).count(), 1),
        _ => (0, 0),
    };
    let number = |n: usize| Quantity::new(i64::try_from(n).unwrap_or(i64::MAX), Format::DecimalSi);
    NAMED.into_iter().zip([number(1), number(1), number(node_ports), number(balancers)]).collect()
}

pub(super) fn is_counted(name: &str) -> bool {
    NAMED.contains(&name)
}
