//! [`Spec`]: the fields of a Service that allocation is about, and how those that hang together are kept in step
//! (`normalizeClusterIPs`, `patchAllocatedValues` of `pkg/registry/core/service/storage/storage.go`).

use super::network::Family;
use crate::core::json;
use serde_json::Value;

/// What a Service says of its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) kind: String,
    pub(super) cluster_ip: String,
    pub(super) cluster_ips: Vec<String>,
    pub(super) families: Vec<String>,
    pub(super) policy: Option<String>,
    pub(super) has_selector: bool,
}

impl Spec {
    pub(super) fn read(service: &Value) -> Self {
        let text = |field| json::text(service, &["spec", field]).to_owned();
        let list = |field| {
            json::items(service, &["spec", field]).iter().map(|item| item.as_str().unwrap_or_default().to_owned())
        };
        Self {
            kind: text("type"),
            cluster_ip: text("clusterIP"),
            cluster_ips: list("clusterIPs").collect(),
            families: list("ipFamilies").collect(),
            policy: json::at(service, &["spec", "ipFamilyPolicy"]).and_then(Value::as_str).map(str::to_owned),
            has_selector: json::at(service, &["spec", "selector"])
                .and_then(Value::as_object)
                .is_some_and(|selector| !selector.is_empty()),
        }
    }

    /// Writes back what differs from what the Service says. What is empty is left out, as Kubernetes does.
    pub(super) fn write(&self, service: &mut Value) {
        let now = Self::read(service);
        let mut set = |field: &str, is_empty: bool, value: Value| match is_empty {
            true => drop(json::remove(service, &["spec", field])),
            false => json::set(service, &["spec", field], value),
        };
        if now.cluster_ip != self.cluster_ip || self.cluster_ip.is_empty() {
            set("clusterIP", self.cluster_ip.is_empty(), self.cluster_ip.clone().into());
        }
        if now.cluster_ips != self.cluster_ips || self.cluster_ips.is_empty() {
            set("clusterIPs", self.cluster_ips.is_empty(), self.cluster_ips.clone().into());
        }
        if now.families != self.families || self.families.is_empty() {
            set("ipFamilies", self.families.is_empty(), self.families.clone().into());
        }
        if now.policy != self.policy {
            set("ipFamilyPolicy", self.policy.is_none(), self.policy.clone().into());
        }
    }

    /// Whether it leads somewhere by name alone, and so has no addresses.
    pub(super) fn is_external(&self) -> bool {
        self.kind == "ExternalName"
    }

    /// Whether it has no address of its own by its own word.
    pub(super) fn is_headless(&self) -> bool {
        self.cluster_ips.first().is_some_and(|ip| ip == "None")
    }

    /// Whether it says neither an address nor which Pods it leads to.
    pub(super) fn is_headless_without_selector(&self) -> bool {
        self.cluster_ip == "None" && !self.has_selector
    }

    /// The addresses that are its own.
    pub(super) fn addresses(&self) -> &[String] {
        if self.is_external() || self.is_headless() { &[] } else { &self.cluster_ips }
    }

    /// The family that it asks for at a place.
    pub(super) fn family(&self, i: usize) -> Option<Family> {
        self.families.get(i).and_then(|name| Family::parse(name))
    }

    pub(super) fn has_policy(&self, policy: &str) -> bool {
        self.policy.as_deref() == Some(policy)
    }

    /// A new Service may say its address in the old way alone.
    pub(super) fn align(&mut self) {
        if !self.cluster_ip.is_empty() && self.cluster_ips.is_empty() {
            self.cluster_ips = vec![self.cluster_ip.clone()];
        }
    }

    /// What an update leaves out stays as it was; what it changes in the old way or the new alone counts for both.
    pub(super) fn align_with(&mut self, old: &Self) {
        if !old.is_external() && !self.is_external() {
            if self.cluster_ip.is_empty() {
                self.cluster_ip.clone_from(&old.cluster_ip);
            }
            if self.cluster_ips.is_empty() {
                self.cluster_ips.clone_from(&old.cluster_ips);
            }
        }
        if self.cluster_ip == old.cluster_ip {
            if self.cluster_ips.is_empty() {
                self.cluster_ips.clone_from(&old.cluster_ips);
            }
        } else if self.cluster_ips == old.cluster_ips {
            self.cluster_ips = if self.cluster_ip.is_empty() { Vec::new() } else { vec![self.cluster_ip.clone()] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn aligned(mut new: Value, old: Option<Value>) -> Value {
        let mut spec = Spec::read(&json!({"spec": new}));
        match old {
            Some(old) => spec.align_with(&Spec::read(&json!({"spec": old}))),
            None => spec.align(),
        }
        let mut service = json!({"spec": new.take()});
        spec.write(&mut service);
        service["spec"].take()
    }

    #[test]
    fn the_address_is_said_in_both_ways() {
        let both = json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(aligned(json!({"clusterIP": "10.0.0.1"}), None), both);
        assert_eq!(aligned(json!({}), Some(both.clone())), both);
        assert_eq!(aligned(json!({"clusterIP": "10.0.0.1"}), Some(both.clone())), both);
        let changed = json!({"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(aligned(changed, Some(both.clone())), json!({"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}));
        let external = json!({"type": "ExternalName", "clusterIP": "", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(aligned(external, Some(both)), json!({"type": "ExternalName"}));
    }
}
