//! What one Service holds and what it still needs.

use super::{Claim, Held, NODE_PORTS, ServiceAllocators, needs_ip};
use crate::core::json;
use orch_api::{FieldError, Path, StatusError};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Everything that a stored Service holds.
pub(super) fn claims(service: &Value) -> Vec<Claim> {
    let ip = json::text(service, &["spec", "clusterIP"]).parse().ok().map(Claim::Ip);
    let mut all: Vec<Claim> = ip.into_iter().collect();
    let ports = json::items(service, &["spec", "ports"]).iter();
    let health = json::integer(service, &["spec", "healthCheckNodePort"]);
    let numbers = ports.filter_map(|p| json::integer(p, &["nodePort"])).chain(health);
    for port in numbers.filter_map(|n| u32::try_from(n).ok()).filter(|n| *n > 0).map(Claim::Port) {
        if !all.contains(&port) {
            all.push(port);
        }
    }
    all
}

impl ServiceAllocators {
    /// Gives a Service what it needs and does not hold yet.
    pub(super) fn complete(&self, held: &mut Held, service: &mut Value, before: &[Claim]) -> Result<(), StatusError> {
        self.complete_ip(held, service, before)?;
        self.complete_ports(held, service, before)?;
        self.complete_health_port(held, service, before)
    }

    fn complete_ip(&self, held: &mut Held, service: &mut Value, before: &[Claim]) -> Result<(), StatusError> {
        if json::text(service, &["spec", "type"]) == "ExternalName" {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                json::remove(service, &["spec", field]);
            }
            return Ok(());
        }
        complete_families(service);
        let asked = json::text(service, &["spec", "clusterIP"]).to_owned();
        if !needs_ip(service) {
            fill(service, "clusterIPs", json!([asked]));
            return Ok(());
        }
        let ip = match asked.parse::<Ipv4Addr>() {
            Ok(ip) if before.contains(&Claim::Ip(ip)) => ip,
            Ok(ip) => self.take_ip(held, service, ip)?,
            Err(_) if !asked.is_empty() => return Ok(()), // Validation says what is wrong with it.
            Err(_) => self.take_any_ip(held)?,
        };
        json::set(service, &["spec", "clusterIP"], ip.to_string());
        fill(service, "clusterIPs", json!([ip.to_string()]));
        Ok(())
    }

    fn take_ip(&self, held: &mut Held, service: &Value, ip: Ipv4Addr) -> Result<Ipv4Addr, StatusError> {
        let mut pools = self.0.pools.lock();
        if pools.ips.take(ip.into()) {
            held.taken.push(Claim::Ip(ip));
            return Ok(ip);
        }
        let why = if pools.ips.contains(ip.into()) {
            "provided IP is already allocated".to_owned()
        } else {
            "the provided network does not match the current range".to_owned()
        };
        let path = Path::new("spec").child("clusterIPs");
        let why = format!("failed to allocate IP {ip}: {why}");
        Err(invalid(service, FieldError::invalid(&path, json!([ip.to_string()]), why)))
    }

    fn take_any_ip(&self, held: &mut Held) -> Result<Ipv4Addr, StatusError> {
        match self.0.pools.lock().ips.take_any(&self.0.chance) {
            Some(number) => {
                let ip = Ipv4Addr::from(number);
                held.taken.push(Claim::Ip(ip));
                Ok(ip)
            }
            None => Err(StatusError::internal("failed to allocate a serviceIP: range is full")),
        }
    }

    fn complete_ports(&self, held: &mut Held, service: &mut Value, before: &[Claim]) -> Result<(), StatusError> {
        let kind = json::text(service, &["spec", "type"]).to_owned();
        let wanted = match kind.as_str() {
            "NodePort" => true,
            "LoadBalancer" => {
                json::at(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false))
            }
            _ => return Ok(()),
        };
        let mut seen: Vec<(i64, u32)> = Vec::new();
        for i in 0..json::items(service, &["spec", "ports"]).len() {
            let Some(port) = json::items(service, &["spec", "ports"]).get(i) else { break };
            let number = json::integer(port, &["port"]).unwrap_or(0);
            let asked = json::integer(port, &["nodePort"]).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            let shared = seen.iter().find(|(n, p)| *n == number && (asked == 0 || asked == *p)).map(|(_, p)| *p);
            let node_port = match (asked, shared) {
                (_, Some(shared)) => shared,
                (0, None) if !wanted => continue,
                (0, None) => self.take_any_port(held, "nodePort")?,
                (asked, None) if before.contains(&Claim::Port(asked)) => asked,
                (asked, None) => {
                    let path = Path::new("spec").child("ports").index(i).child("nodePort");
                    self.take_port(held, service, asked, &path)?
                }
            };
            seen.push((number, node_port));
            if let Some(port) = json::list_mut(service, &["spec"], "ports").get_mut(i) {
                json::set(port, &["nodePort"], node_port);
            }
        }
        Ok(())
    }

    fn complete_health_port(&self, held: &mut Held, service: &mut Value, before: &[Claim]) -> Result<(), StatusError> {
        let needed = json::text(service, &["spec", "type"]) == "LoadBalancer"
            && json::text(service, &["spec", "externalTrafficPolicy"]) == "Local";
        let asked = json::integer(service, &["spec", "healthCheckNodePort"]).and_then(|n| u32::try_from(n).ok());
        match asked.unwrap_or(0) {
            _ if !needed => {}
            0 => {
                let port = self.take_any_port(held, "HealthCheck NodePort")?;
                json::set(service, &["spec", "healthCheckNodePort"], port);
            }
            asked if before.contains(&Claim::Port(asked)) => {}
            asked => {
                self.take_port(held, service, asked, &Path::new("spec").child("healthCheckNodePort"))?;
            }
        }
        Ok(())
    }

    fn take_port(&self, held: &mut Held, service: &Value, port: u32, path: &Path) -> Result<u32, StatusError> {
        let mut pools = self.0.pools.lock();
        if pools.ports.take(port) {
            held.taken.push(Claim::Port(port));
            return Ok(port);
        }
        let why = if pools.ports.contains(port) {
            "provided port is already allocated".to_owned()
        } else {
            let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
            format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")
        };
        Err(invalid(service, FieldError::invalid(path, port, why)))
    }

    fn take_any_port(&self, held: &mut Held, what: &str) -> Result<u32, StatusError> {
        match self.0.pools.lock().ports.take_any(&self.0.chance) {
            Some(port) => {
                held.taken.push(Claim::Port(port));
                Ok(port)
            }
            None => Err(StatusError::internal(format_args!("failed to allocate a {what}: range is full"))),
        }
    }
}

/// This cluster speaks IPv4 alone.
fn complete_families(service: &mut Value) {
    fill(service, "ipFamilies", json!(["IPv4"]));
    fill(service, "ipFamilyPolicy", json!("SingleStack"));
}

fn fill(service: &mut Value, field: &str, value: Value) {
    let missing = match json::at(service, &["spec", field]) {
        None => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing {
        json::set(service, &["spec", field], value);
    }
}

fn invalid(service: &Value, error: FieldError) -> StatusError {
    StatusError::invalid("", "Service", json::meta(service, "name"), &[error])
}
