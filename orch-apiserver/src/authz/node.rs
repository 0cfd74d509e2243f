//! [`NodeAuthorizer`]: a kubelet reads what the pods on its node mention, and nothing else
//! (`plugin/pkg/auth/authorizer/node`).

use super::{Attributes, Authorizer, Decision, Rule, Rules, bootstrap::rules_of};
use crate::authn::User;
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

mod references;

use references::{Reference, in_pod};

/// Decides requests of users `system:node:NAME` in the group `system:nodes`. Pods, persistent volumes and
/// volume attachments are fed as they change; a decision costs one look-up.
pub struct NodeAuthorizer {
    graph: RwLock<Graph>,
    rules: Vec<Rule>,
}

#[derive(Default)]
struct Graph {
    /// Which nodes each object belongs to, and by how many pods (or by itself).
    nodes: HashMap<Reference, HashMap<String, usize>>,
    /// What each source object contributed: its node and what it mentions.
    sources: HashMap<Reference, (String, HashSet<Reference>)>,
    /// The claim that each persistent volume is bound to.
    volumes: HashMap<String, Reference>,
}

impl Default for NodeAuthorizer {
    fn default() -> Self {
        Self { graph: RwLock::default(), rules: rules_of("system:node") }
    }
}

impl NodeAuthorizer {
    /// An authorizer that knows no pod yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A Pod, PersistentVolume or VolumeAttachment was created or changed. Other kinds are ignored.
    pub fn upsert(&self, object: &Value) {
        let Some(source) = Reference::of(object) else { return };
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut graph = self.graph.write();
        match source.resource {
            "pods" => graph.link(source, text("/spec/nodeName"), in_pod(object)),
            "volumeattachments" => graph.link(source, text("/spec/nodeName"), HashSet::new()),
            "persistentvolumes" => {
                let (namespace, name) = (text("/spec/claimRef/namespace"), text("/spec/claimRef/name"));
                graph.volumes.insert(source.name, Reference::new("persistentvolumeclaims", namespace, name));
            }
            _ => {}
        }
    }

    /// A Pod, PersistentVolume or VolumeAttachment is gone.
    pub fn remove(&self, object: &Value) {
        let Some(source) = Reference::of(object) else { return };
        let mut graph = self.graph.write();
        match source.resource {
            "persistentvolumes" => drop(graph.volumes.remove(&source.name)),
            _ => graph.unlink(&source),
        }
    }

    fn related(&self, node: &str, a: &Attributes<'_>, resource: &'static str) -> Decision {
        if a.name.is_empty() {
            return Decision::no_opinion("No Object name found");
        }
        if self.graph.read().relates(&Reference::new(resource, a.namespace, a.name), node) {
            return Decision::allow("");
        }
        Decision::no_opinion(format!("no relationship found between node '{node}' and this object"))
    }

    fn get_only(&self, node: &str, a: &Attributes<'_>, resource: &'static str) -> Decision {
        match (a.verb, a.subresource) {
            ("get", "") => self.related(node, a, resource),
            ("get", _) => Decision::no_opinion("cannot get subresource"),
            _ => Decision::no_opinion("can only get individual resources of this type"),
        }
    }

    fn read_namespaced(&self, node: &str, a: &Attributes<'_>, resource: &'static str) -> Decision {
        if !a.is_read() {
            return Decision::no_opinion("can only read resources of this type");
        }
        if !a.subresource.is_empty() {
            return Decision::no_opinion("cannot read subresource");
        }
        if a.namespace.is_empty() {
            return Decision::no_opinion("can only read namespaced object of this type");
        }
        self.related(node, a, resource)
    }

    fn pods(&self, node: &str, a: &Attributes<'_>) -> Decision {
        match (a.subresource, a.verb) {
            ("", "get") => self.related(node, a, "pods"),
            ("", "list" | "watch") if a.selects_field("spec.nodeName", node) => Decision::allow(""),
            ("", "list" | "watch") if !a.name.is_empty() => self.related(node, a, "pods"),
            ("", "list" | "watch") => {
                Decision::no_opinion("can only list/watch pods with spec.nodeName field selector")
            }
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Decision::allow(""),
            _ => Decision::no_opinion(""),
        }
    }

    fn service_accounts(&self, node: &str, a: &Attributes<'_>) -> Decision {
        match (a.verb, a.subresource, a.name) {
            ("get", "", _) => self.read_namespaced(node, a, "serviceaccounts"),
            ("create", "token", name) if !name.is_empty() => self.related(node, a, "serviceaccounts"),
            ("create", _, name) if !name.is_empty() => {
                Decision::no_opinion("can only create token subresource of serviceaccount")
            }
            _ => Decision::no_opinion("can only create tokens for individual service accounts"),
        }
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, a: &Attributes<'_>) -> Decision {
        if !a.user.in_group(User::NODES) || !a.user.name.starts_with("system:node:") {
            return Decision::no_opinion("");
        }
        let Some(node) = a.user.node_name() else {
            return Decision::no_opinion(format!("unknown node for user {:?}", a.user.name));
        };
        match (a.group, a.resource) {
            ("", "secrets") => self.read_namespaced(node, a, "secrets"),
            ("", "configmaps") => self.read_namespaced(node, a, "configmaps"),
            ("", "persistentvolumeclaims") if a.subresource == "status" => match a.verb {
                "update" | "patch" => self.related(node, a, "persistentvolumeclaims"),
                _ => Decision::no_opinion("can only get/update/patch this type"),
            },
            ("", "persistentvolumeclaims") => self.get_only(node, a, "persistentvolumeclaims"),
            ("", "persistentvolumes") => self.get_only(node, a, "persistentvolumes"),
            ("resource.k8s.io", "resourceclaims") => self.get_only(node, a, "resourceclaims"),
            ("storage.k8s.io", "volumeattachments") => self.get_only(node, a, "volumeattachments"),
            ("", "serviceaccounts") => self.service_accounts(node, a),
            ("", "pods") => self.pods(node, a),
            ("", "nodes") => nodes(node, a),
            ("coordination.k8s.io", "leases") => lease(node, a),
            ("storage.k8s.io", "csinodes") => csi_node(node, a),
            _ if self.rules.iter().any(|rule| rule.allows(a)) => Decision::allow(""),
            _ => Decision::no_opinion(""),
        }
    }

    fn rules(&self, user: &User, _: &str) -> Rules {
        match user.node_name() {
            Some(_) => Rules {
                incomplete: true,
                error: "node authorizer does not support user rule resolution".into(),
                ..Rules::default()
            },
            None => Rules::default(),
        }
    }
}

fn nodes(node: &str, a: &Attributes<'_>) -> Decision {
    match (a.subresource, a.verb, a.name) {
        ("", "create" | "update" | "patch", _) | ("status", "update" | "patch", _) => Decision::allow(""),
        ("", "get" | "list" | "watch", name) if name == node => Decision::allow(""),
        ("", "get" | "list" | "watch", "") => {
            Decision::no_opinion(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch", name) => {
            Decision::no_opinion(format!("node '{node}' cannot read '{name}', only its own Node object"))
        }
        _ => Decision::no_opinion(""),
    }
}

fn lease(node: &str, a: &Attributes<'_>) -> Decision {
    if !matches!(a.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Decision::no_opinion("can only get, create, update, patch, or delete a node lease");
    }
    if a.namespace != "kube-node-lease" {
        return Decision::no_opinion("can only access leases in the \"kube-node-lease\" system namespace");
    }
    if a.verb != "create" && a.name != node {
        return Decision::no_opinion("can only access node lease with the same name as the requesting node");
    }
    Decision::allow("")
}

fn csi_node(node: &str, a: &Attributes<'_>) -> Decision {
    if !matches!(a.verb, "get" | "create" | "update" | "patch" | "delete") {
        return Decision::no_opinion("can only get, create, update, patch, or delete a CSINode");
    }
    if !a.subresource.is_empty() {
        return Decision::no_opinion("cannot authorize CSINode subresources");
    }
    if a.verb != "create" && a.name != node {
        return Decision::no_opinion("can only access CSINode with the same name as the requesting node");
    }
    Decision::allow("")
}

impl Graph {
    fn link(&mut self, source: Reference, node: &str, mentions: HashSet<Reference>) {
        self.unlink(&source);
        if node.is_empty() {
            return;
        }
        for object in mentions.iter().chain([&source]) {
            *self.nodes.entry(object.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        self.sources.insert(source, (node.to_owned(), mentions));
    }

    fn unlink(&mut self, source: &Reference) {
        let Some((node, mentions)) = self.sources.remove(source) else { return };
        for object in mentions.iter().chain([source]) {
            let Some(nodes) = self.nodes.get_mut(object) else { continue };
            if let Some(count) = nodes.get_mut(&node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&node);
                }
            }
            if nodes.is_empty() {
                self.nodes.remove(object);
            }
        }
    }

    fn relates(&self, object: &Reference, node: &str) -> bool {
        let direct = |object: &Reference| self.nodes.get(object).is_some_and(|nodes| nodes.contains_key(node));
        match object.resource {
            "persistentvolumes" => self.volumes.get(&object.name).is_some_and(direct),
            _ => direct(object),
        }
    }
}
