//! The node ports of a Service (`initNodePorts`, `updateNodePorts`, `updateHealthCheckNodePort` of
//! `pkg/registry/core/service/storage/alloc.go`).

use super::claims::Claims;
use crate::core::json;
use orch_api::{FieldError, Path, StatusError};
use serde_json::Value;

/// One of a Service's ports, as far as node ports are concerned.
struct Port {
    name: String,
    protocol: String,
    number: i64,
    node_port: u32,
}

/// The ports of a Service.
fn read(service: &Value) -> Vec<Port> {
    let ports = json::items(service, &["spec", "ports"]).iter();
    let port = |port: &Value| Port {
        name: json::text(port, &["name"]).to_owned(),
        protocol: json::text(port, &["protocol"]).to_owned(),
        number: json::integer(port, &["port"]).unwrap_or(0),
        node_port: number(port, &["nodePort"]),
    };
    ports.map(port).collect()
}

fn number(value: &Value, path: &[&str]) -> u32 {
    json::integer(value, path).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn set(service: &mut Value, i: usize, node_port: u32) {
    if let Some(port) = json::list_mut(service, &["spec"], "ports").get_mut(i) {
        json::set(port, &["nodePort"], node_port);
    }
}

/// Whether a Service of this type may have node ports.
fn may_have(service: &Value) -> bool {
    matches!(json::text(service, &["spec", "type"]), "NodePort" | "LoadBalancer")
}

/// Whether one gets node ports that it does not name.
fn gets(service: &Value) -> bool {
    match json::text(service, &["spec", "type"]) {
        "NodePort" => true,
        "LoadBalancer" => json::at(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false)),
        _ => false,
    }
}

fn needs_health_check(service: &Value) -> bool {
    json::text(service, &["spec", "type"]) == "LoadBalancer"
        && json::text(service, &["spec", "externalTrafficPolicy"]) == "Local"
}

/// Every node port that a Service has, each once.
pub(super) fn held(service: &Value) -> Vec<u32> {
    let mut all: Vec<u32> = read(service).into_iter().map(|port| port.node_port).collect();
    if needs_health_check(service) {
        all.push(number(service, &["spec", "healthCheckNodePort"]));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|port| *port > 0);
    all
}

/// Gives a new Service its node ports. Ports that differ in their protocol alone share one.
pub(super) fn allocate(claims: &mut Claims<'_>, service: &mut Value) -> Result<(), StatusError> {
    if may_have(service) {
        allocate_named_and_drawn(claims, service)?;
    }
    if needs_health_check(service) { allocate_health_check(claims, service) } else { Ok(()) }
}

fn allocate_named_and_drawn(claims: &mut Claims<'_>, service: &mut Value) -> Result<(), StatusError> {
    let (ports, gets) = (read(service), gets(service));
    let mut shared: Vec<(i64, u32)> = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        if port.node_port == 0 && !gets {
            continue;
        }
        let known = shared.iter().find(|(number, _)| *number == port.number).map(|(_, node_port)| *node_port);
        let named = ports.iter().find(|other| other.number == port.number && other.node_port != 0);
        let node_port = match (known, named) {
            (Some(known), _) if port.node_port == 0 || port.node_port == known => known,
            (Some(_), _) => take(claims, service, i, port.node_port)?,
            (None, Some(named)) => take(claims, service, i, named.node_port)?,
            (None, None) => draw(claims)?,
        };
        if known.is_none() {
            shared.push((port.number, node_port));
        }
        set(service, i, node_port);
    }
    Ok(())
}

fn allocate_health_check(claims: &mut Claims<'_>, service: &mut Value) -> Result<(), StatusError> {
    let internal = |words: String| StatusError::internal(words);
    match number(service, &["spec", "healthCheckNodePort"]) {
        0 => match claims.draw_port()? {
            Some(port) => json::set(service, &["spec", "healthCheckNodePort"], port),
            None => return Err(internal("failed to allocate a HealthCheck NodePort 0: range is full".into())),
        },
        asked => claims
            .take_port(asked)?
            .map_err(|why| internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {why}")))?,
    }
    Ok(())
}

/// What a changed Service leaves out stays as it was: each port is known by its name (`patchAllocatedValues`).
pub(super) fn align(service: &mut Value, old: &Value) {
    if gets(old) && gets(service) {
        let (before, now) = (read(old), read(service));
        for (i, port) in now.iter().enumerate().filter(|(_, port)| port.node_port == 0) {
            let last = before.iter().rev().find(|other| other.name == port.name);
            let free =
                |known: &&Port| known.node_port > 0 && !now.iter().any(|other| other.node_port == known.node_port);
            if let Some(known) = last.filter(free) {
                set(service, i, known.node_port);
            }
        }
    }
    if needs_health_check(old) && needs_health_check(service) && number(service, &["spec", "healthCheckNodePort"]) == 0
    {
        json::set(service, &["spec", "healthCheckNodePort"], number(old, &["spec", "healthCheckNodePort"]));
    }
}

/// Takes what a changed Service has got and lets go of what it has lost.
pub(super) fn update(claims: &mut Claims<'_>, service: &mut Value, old: &Value) -> Result<(), StatusError> {
    let before: Vec<u32> = read(old).into_iter().map(|port| port.node_port).filter(|port| *port > 0).collect();
    if may_have(service) {
        update_named_and_drawn(claims, service, &before)?;
        let after = read(service);
        let lost = before.iter().filter(|port| !after.iter().any(|other| other.node_port == **port));
        lost.for_each(|port| claims.drop_port(*port));
    } else if may_have(old) {
        before.iter().for_each(|port| claims.drop_port(*port));
    }
    match (needs_health_check(old), needs_health_check(service)) {
        (false, true) => allocate_health_check(claims, service)?,
        (true, false) => claims.drop_port(number(old, &["spec", "healthCheckNodePort"])),
        _ => {}
    }
    Ok(())
}

fn update_named_and_drawn(claims: &mut Claims<'_>, service: &mut Value, before: &[u32]) -> Result<(), StatusError> {
    let (ports, gets) = (read(service), gets(service));
    let mut taken: Vec<u32> = Vec::new();
    let mut seen: Vec<(&str, u32)> = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let node_port = match port.node_port {
            0 if !gets => continue,
            0 => draw(claims)?,
            asked if before.contains(&asked) || taken.contains(&asked) => asked,
            asked => {
                taken.push(asked);
                take(claims, service, i, asked)?
            }
        };
        set(service, i, node_port);
        if seen.contains(&(&port.protocol, node_port)) {
            return Err(StatusError::internal_bare(format!("duplicate nodePort: {{{} {node_port}}}", port.protocol)));
        }
        seen.push((&port.protocol, node_port));
    }
    Ok(())
}

fn take(claims: &mut Claims<'_>, service: &Value, i: usize, port: u32) -> Result<u32, StatusError> {
    claims.take_port(port)?.map_err(|why| {
        let path = Path::new("spec").child("ports").index(i).child("nodePort");
        StatusError::invalid("", "Service", json::meta(service, "name"), &[FieldError::invalid(&path, port, why)])
    })?;
    Ok(port)
}

fn draw(claims: &mut Claims<'_>) -> Result<u32, StatusError> {
    claims.draw_port()?.ok_or_else(|| StatusError::internal("failed to allocate a nodePort: range is full"))
}
