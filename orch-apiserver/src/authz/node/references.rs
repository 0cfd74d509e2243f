//! What a pod mentions: secrets, config maps, claims and its service account.

use serde_json::Value;
use std::collections::HashSet;

/// An object that a node may be related to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    pub(super) resource: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Reference {
    pub(super) fn new(resource: &'static str, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The reference to an object of a kind that the authorizer is fed with.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let resource = match text("/kind")? {
            "Pod" => "pods",
            "PersistentVolume" => "persistentvolumes",
            "VolumeAttachment" => "volumeattachments",
            _ => return None,
        };
        Some(Self::new(resource, text("/metadata/namespace").unwrap_or_default(), text("/metadata/name")?))
    }
}

/// Every object that the pod mentions (`pkg/api/v1/pod/util.go`: VisitPodSecretNames and its siblings).
pub(super) fn in_pod(pod: &Value) -> HashSet<Reference> {
    let mut found = Found { pod, out: HashSet::new() };
    found.name("serviceaccounts", pod.pointer("/spec/serviceAccountName"));
    found.each(pod.pointer("/spec/imagePullSecrets"), |f, secret| f.name("secrets", secret.get("name")));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        found.each(pod.pointer(&format!("/spec/{list}")), Found::container);
    }
    found.each(pod.pointer("/spec/volumes"), Found::volume);
    found.each(pod.pointer("/status/resourceClaimStatuses"), |f, s| {
        f.name("resourceclaims", s.get("resourceClaimName"))
    });
    found
        .each(pod.pointer("/spec/resourceClaims"), |f, claim| f.name("resourceclaims", claim.get("resourceClaimName")));
    found.out
}

struct Found<'a> {
    pod: &'a Value,
    out: HashSet<Reference>,
}

impl Found<'_> {
    fn name(&mut self, resource: &'static str, name: Option<&Value>) {
        let namespace = self.pod.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            self.out.insert(Reference::new(resource, namespace, name));
        }
    }

    fn each(&mut self, list: Option<&Value>, mut visit: impl FnMut(&mut Self, &Value)) {
        for item in list.and_then(Value::as_array).into_iter().flatten() {
            visit(self, item);
        }
    }

    fn container(&mut self, container: &Value) {
        self.each(container.get("env"), |f, env| {
            f.name("secrets", env.pointer("/valueFrom/secretKeyRef/name"));
            f.name("configmaps", env.pointer("/valueFrom/configMapKeyRef/name"));
        });
        self.each(container.get("envFrom"), |f, source| {
            f.name("secrets", source.pointer("/secretRef/name"));
            f.name("configmaps", source.pointer("/configMapRef/name"));
        });
    }

    fn volume(&mut self, volume: &Value) {
        self.name("secrets", volume.pointer("/secret/secretName"));
        self.name("configmaps", volume.pointer("/configMap/name"));
        self.name("persistentvolumeclaims", volume.pointer("/persistentVolumeClaim/claimName"));
        for source in [
            "csi/nodePublishSecretRef",
            "cephfs/secretRef",
            "flexVolume/secretRef",
            "iscsi/secretRef",
            "rbd/secretRef",
            "scaleIO/secretRef",
            "storageos/secretRef",
        ] {
            self.name("secrets", volume.pointer(&format!("/{source}/name")));
        }
        self.name("secrets", volume.pointer("/azureFile/secretName"));
        if volume.get("ephemeral").is_some() {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            let claim = format!("{}-{}", text(self.pod.pointer("/metadata/name")), text(volume.get("name")));
            self.name("persistentvolumeclaims", Some(&Value::String(claim)));
        }
        self.each(volume.pointer("/projected/sources"), |f, source| {
            f.name("secrets", source.pointer("/secret/name"));
            f.name("configmaps", source.pointer("/configMap/name"));
        });
    }
}
