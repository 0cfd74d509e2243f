//! Addresses: no two Services have the same cluster IP or node port, and none is written down without its Service.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, State, Verb, Write};

/// Two Services never have the same cluster IP or node port, and an address is made with its Service.
pub struct OneHolder;

/// The loop that makes addresses for Services that it found without them, from a cache.
const REPAIR: &str = "service-ip-repair";

impl Oracle for OneHolder {
    fn name(&self) -> &'static str {
        "one holder"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(new) = &write.new else { return Ok(()) };
        if matches!(&*new.kind, "IPAddress" | "RangeAllocation") && write.verb == Verb::Create {
            let with_service = judge.state.of_kind("Service").any(|service| service.revision == write.revision);
            let holder = holder(new).filter(|_| *write.who != *REPAIR && (with_service || new.kind != "IPAddress"));
            let is_held = |path: String| judge.state.at(&path).is_some_and(|service| held(service).contains(&new.name));
            return match holder {
                Some(path) if !is_held(path.clone()) => Err(format!("{new} was made, and {path} does not have it")),
                _ => Ok(()),
            };
        }
        if new.kind != "Service" {
            return Ok(());
        }
        let before = write.old.as_deref().map(held).unwrap_or_default();
        let fresh: Vec<String> = held(new).into_iter().filter(|each| !before.contains(each)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        for other in judge.state.of_kind("Service").filter(|other| other.path != new.path) {
            if let Some(both) = held(other).into_iter().find(|each| fresh.contains(each)) {
                return Err(format!("{new} got {both}, which {other} has"));
            }
        }
        Ok(())
    }
}

/// Whether an object says who has an address or a port, and its Service has gone in the same commit.
pub(super) fn goes_with_its_service(object: &Seen, state: &State) -> bool {
    holder(object).is_some_and(|path| state.at(&path).is_none_or(|service| !held(service).contains(&object.name)))
}

/// The key of the Service that has an address or a port.
fn holder(object: &Seen) -> Option<String> {
    let (namespace, name) = match &*object.kind {
        "IPAddress" if object.text("/spec/parentRef/resource") == "services" => {
            (object.text("/spec/parentRef/namespace"), object.text("/spec/parentRef/name"))
        }
        "RangeAllocation" => (object.text("/service/namespace"), object.text("/service/name")),
        _ => return None,
    };
    Some(format!("/registry/services/{namespace}/{name}"))
}

/// The cluster IPs and node ports of a Service, by the names of what says who has them.
fn held(service: &Seen) -> Vec<String> {
    let items = |pointer: &str| service.at(pointer).as_array().cloned().unwrap_or_default();
    let ips =
        items("/spec/clusterIPs").into_iter().filter_map(|ip| Some(ip.as_str()?.to_owned())).filter(|ip| ip != "None");
    let ports = items("/spec/ports").into_iter().filter_map(|port| port["nodePort"].as_u64());
    let health = service.at("/spec/healthCheckNodePort").as_u64();
    let mut all: Vec<String> =
        ips.chain(ports.chain(health).filter(|port| *port > 0).map(|port| port.to_string())).collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::knowledge::Knowledge;
    use orch_store::Revision;
    use serde_json::{Value, json};
    use std::{sync::Arc, time::Duration};

    fn seen(path: &str, value: &Value) -> Arc<Seen> {
        Arc::new(Seen::read(&path.into(), value.to_string().as_bytes(), Revision(1)).unwrap())
    }

    fn service(name: &str, ip: &str, port: u32) -> Arc<Seen> {
        let spec = json!({"clusterIPs": [ip], "ports": [{"nodePort": port}]});
        let metadata = json!({"namespace": "default", "name": name, "uid": name});
        seen(
            &format!("/registry/services/default/{name}"),
            &json!({"kind": "Service", "metadata": metadata, "spec": spec}),
        )
    }

    /// What the oracle says of a new object beside a Service with 10.96.0.7 and 30080.
    fn judged(new: Arc<Seen>) -> Result<(), String> {
        let mut state = State::default();
        state.put(service("web", "10.96.0.7", 30080));
        state.put(new.clone());
        let knowledge = Knowledge::default();
        let write = Write {
            revision: Revision(2),
            at: Duration::ZERO,
            who: "user".into(),
            subresource: String::new(),
            repeated: false,
            verb: Verb::Create,
            old: None,
            new: Some(new),
        };
        OneHolder.judge(&write, &Judge { state: &state, knowledge: &knowledge })
    }

    #[test]
    fn what_one_service_has_another_does_not_get() {
        assert_eq!(judged(service("other", "10.96.0.8", 30081)), Ok(()));
        let words = "Service default/other got 10.96.0.7, which Service default/web has";
        assert_eq!(judged(service("other", "10.96.0.7", 30081)), Err(words.into()));
        let words = "Service default/other got 30080, which Service default/web has";
        assert_eq!(judged(service("other", "10.96.0.8", 30080)), Err(words.into()));
    }

    #[test]
    fn what_says_who_has_a_port_comes_with_who_has_it() {
        let entry = |port: &str| {
            let entry = json!({"kind": "RangeAllocation", "metadata": {"name": port, "uid": port},
                "service": {"namespace": "default", "name": "web"}});
            seen(&format!("/registry/ranges/servicenodeports/{port}"), &entry)
        };
        assert_eq!(judged(entry("30080")), Ok(()));
        let words = "RangeAllocation 30081 was made, and /registry/services/default/web does not have it";
        assert_eq!(judged(entry("30081")), Err(words.into()));
    }
}
