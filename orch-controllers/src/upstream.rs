//! The loops of upstream by name, and why some are not here: a part of `docs/controllers.md`.

use orch_runtime::ControlLoop;
use std::sync::Arc;

/// The names in `cmd/kube-controller-manager/names/controller_names.go` without `-controller`, and the three of the cloud.
const NAMES: [&str; 52] = [
    "deployment",
    "replicaset",
    "replicationcontroller",
    "statefulset",
    "daemonset",
    "job",
    "cronjob",
    "horizontal-pod-autoscaler",
    "disruption",
    "ttl-after-finished",
    "pod-garbage-collector",
    "garbage-collector",
    "namespace",
    "resourcequota",
    "ttl",
    "endpoints",
    "endpointslice",
    "endpointslice-mirroring",
    "service-cidr",
    "node-ipam",
    "node-lifecycle",
    "taint-eviction",
    "device-taint-eviction",
    "resourceclaim",
    "resourcepoolstatusrequest",
    "podgroup-protection",
    "persistentvolume-binder",
    "persistentvolume-attach-detach",
    "persistentvolume-expander",
    "persistentvolumeclaim-protection",
    "persistentvolume-protection",
    "volumeattributesclass-protection",
    "ephemeral-volume",
    "selinux-warning",
    "serviceaccount",
    "serviceaccount-token",
    "legacy-serviceaccount-token-cleaner",
    "root-ca-certificate-publisher",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "certificatesigningrequest-signing",
    "certificatesigningrequest-approving",
    "certificatesigningrequest-cleaner",
    "podcertificaterequest-cleaner",
    "clusterrole-aggregation",
    "bootstrap-signer",
    "token-cleaner",
    "storageversion-garbage-collector",
    "storage-version-migrator",
    "validatingadmissionpolicy-status",
    "service-lb",
    "node-route",
    "cloud-node-lifecycle",
];

/// Why loops are missing.
const REASONS: [(&str, &str); 13] = [
    ("device-taint-eviction", "needs devices (dynamic resource allocation), which nodes do not have yet"),
    ("resourceclaim", "needs devices (dynamic resource allocation), which nodes do not have yet"),
    ("resourcepoolstatusrequest", "needs devices; its API is alpha and not served"),
    ("podgroup-protection", "its API (scheduling.k8s.io PodGroup) is alpha and not served"),
    ("storageversion-garbage-collector", "its API (internal.apiserver.k8s.io StorageVersion) is alpha and not served"),
    ("selinux-warning", "nodes label no volumes for SELinux; off by default upstream"),
    ("volumeattributesclass-protection", "needs volumes whose attributes can be changed"),
    ("persistentvolume-attach-detach", "needs volumes that are attached to nodes from elsewhere (CSI)"),
    ("bootstrap-signer", "off unless `Config::bootstrap_tokens` is set, as upstream"),
    ("token-cleaner", "off unless `Config::bootstrap_tokens` is set, as upstream"),
    ("service-lb", "needs a cloud"),
    ("node-route", "needs a cloud"),
    ("cloud-node-lifecycle", "needs a cloud"),
];

/// The loops of upstream that are not in the list, as a section of the table.
pub(crate) fn missing(loops: &[Arc<dyn ControlLoop>]) -> String {
    let short = |name: &str| name.strip_suffix("-controller").unwrap_or(name).to_owned();
    let here: Vec<String> = loops.iter().map(|each| short(each.describe().name)).collect();
    let absent: Vec<&str> = NAMES.into_iter().filter(|name| !here.iter().any(|own| own == name)).collect();
    let mut out = format!(
        "\n## Missing\n\nOf the {} loops of kube-controller-manager and the cloud controller manager {} are here.\n\n\
         | name | why it is not here |\n| --- | --- |\n",
        NAMES.len(),
        NAMES.len() - absent.len(),
    );
    for name in absent {
        let reason = REASONS.iter().find(|(of, _)| *of == name).map_or("not written yet", |(_, reason)| reason);
        out += &format!("| `{name}` | {reason} |\n");
    }
    out
}
