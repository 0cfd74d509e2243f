//! Cluster life: budgets, autoscalers, quotas, endpoints, roles, tokens, certificates, networks.

use super::core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set};
use crate::sim::{Change, Edit, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

/// The scenarios of the controllers that keep a cluster going.
pub(super) fn all() -> Vec<Scenario> {
    [budgets(), scaling(), network(), accounts()].concat()
}

pub(super) const BUDGET: &str = "policy/v1 PodDisruptionBudget";
const IP_ADDRESS: &str = "networking.k8s.io/v1 IPAddress";
const SERVICE: &str = "v1 Service";
pub(super) const QUOTA: &str = "v1 ResourceQuota";
pub(super) const ENDPOINTS: &str = "v1 Endpoints";

fn budgets() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    let evict = |at, nth| Change::at(at, Edit::Evict { app: "web".into(), nth });
    vec![
        Scenario::new(
            "budget",
            "Pods of a ReplicaSet are evicted as far as a budget allows, and the budget changes.",
            &["disruption-controller", "stale-pod-disruption"],
        )
        .with([
            Change::given(replica_set(3)),
            Change::given(object(
                "policy/v1",
                "PodDisruptionBudget",
                "web",
                json!({"spec": {"minAvailable": 2,
                "selector": {"matchLabels": {"app": "web"}}}}),
            )),
            evict(5_000, 0),
            evict(5_010, 1),
            Change::patch(9_000, BUDGET, &web, json!({"spec": {"minAvailable": null, "maxUnavailable": "50%"}})),
            evict(11_000, 0),
            evict(11_500, 1),
            Change::patch(15_000, REPLICA_SET, &web, json!({"spec": {"replicas": 2}})),
        ]),
        Scenario::new("drain", "A Pod is said to be disrupted, and nobody ever deletes it.", &["stale-pod-disruption"])
            .with([
                Change::given(pod("alone")),
                Change::patch(
                    3_000,
                    "v1 Pod",
                    &Key::new("default", "alone"),
                    json!({"metadata": {"labels": {"seen": "yes"}}}),
                ),
            ]),
        Scenario::new(
            "quota",
            "Pods come and go within a quota, which shrinks and grows.",
            &["resourcequota-controller", "replicaset"],
        )
        .with([
            Change::given(object(
                "v1",
                "ResourceQuota",
                "few",
                json!({"spec": {"hard": {"pods": "4", "configmaps": "3"}}}),
            )),
            Change::given(replica_set(2)),
            Change::at(2_000, Edit::Put { object: object("v1", "ConfigMap", "menu", json!({"data": {"a": "1"}})) }),
            Change::at(4_000, Edit::Kill { app: "web".into(), nth: 0 }),
            Change::delete(5_000, "v1 ConfigMap", &Key::new("default", "menu"), None),
            Change::patch(7_000, QUOTA, &Key::new("default", "few"), json!({"spec": {"hard": {"pods": "6"}}})),
            Change::patch(8_000, REPLICA_SET, &web, json!({"spec": {"replicas": 3}})),
        ]),
    ]
}

fn scaling() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    vec![
        Scenario::new(
            "autoscale",
            "A busy Deployment is scaled up, and becomes as busy as it should be.",
            &["horizontal-pod-autoscaler-controller", "deployment"],
        )
        .with([
            Change::given(busy(1)),
            Change::given(autoscaler(4)),
            Change::patch(60_000, DEPLOYMENT, &web, uses("250m")),
            Change::patch(100_000, DEPLOYMENT, &web, json!({"metadata": {"labels": {"seen": "yes"}}})),
        ]),
    ]
}

/// A Deployment `default/web` whose Pods use almost twice the CPU that they ask for.
pub(super) fn busy(replicas: u32) -> Value {
    let mut busy = deployment(replicas, "app:1");
    busy["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
    busy["spec"]["template"]["metadata"]["annotations"] = json!({"simulated.orch.dev/cpu": "900m"});
    busy
}

/// How much CPU each Pod uses from now on.
pub(super) fn uses(cpu: &str) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"simulated.orch.dev/cpu": cpu}}}}})
}

/// An autoscaler of that Deployment, which is to use half of the CPU that it asks for.
pub(super) fn autoscaler(most: u32) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let spec = json!({"spec": {"minReplicas": 1, "maxReplicas": most, "scaleTargetRef": target, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
    object("autoscaling/v2", "HorizontalPodAutoscaler", "web", spec)
}

fn network() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    let service = |name: &str, selector: Value| {
        object("v1", "Service", name, json!({"spec": {"selector": selector, "ports": [{"port": 80}]}}))
    };
    let service_at = |name: &str, ip: &str| {
        object("v1", "Service", name, json!({"spec": {"clusterIP": ip, "ports": [{"port": 80}]}}))
    };
    let by_hand = |ip: &str| json!({"subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 80}]}]});
    let hand = Key::new("default", "hand");
    vec![
        Scenario::new(
            "endpoints",
            "A Service leads to Pods that come and go, and is deleted.",
            &["endpoints-controller"],
        )
        .with([
            Change::given(replica_set(2)),
            Change::given(service("web", json!({"app": "web"}))),
            Change::given(service("gone", json!({"app": "web"}))),
            Change::patch(5_000, REPLICA_SET, &web, json!({"spec": {"replicas": 1}})),
            Change::delete(6_000, "v1 Service", &Key::new("default", "gone"), None),
        ]),
        Scenario::new(
            "mirror",
            "Endpoints that somebody keeps by hand change, and their Service begins to select Pods.",
            &["endpointslice-mirroring-controller"],
        )
        .with([
            Change::given(service("hand", Value::Null)),
            Change::given(service("more", Value::Null)),
            Change::at(1_000, Edit::Put { object: object("v1", "Endpoints", "hand", by_hand("10.1.2.3")) }),
            Change::at(1_000, Edit::Put { object: object("v1", "Endpoints", "more", by_hand("10.1.2.4")) }),
            Change::patch(4_000, ENDPOINTS, &hand, by_hand("10.1.2.5")),
            Change::delete(7_000, ENDPOINTS, &hand, None),
        ]),
        Scenario::new(
            "addresses",
            "Services with addresses come and go, and somebody deletes an IPAddress of one and makes one of his own.",
            &["service-ip-repair"],
        )
        .with([
            Change::given(service_at("hand", "10.96.9.1")),
            Change::given(service_at("more", "10.96.9.2")),
            Change::delete(4_000, IP_ADDRESS, &Key::cluster("10.96.9.1"), None),
            Change::at(5_000, Edit::Put { object: leaked("10.96.9.3") }),
            Change::delete(6_000, "v1 Service", &Key::new("default", "more"), None),
            Change::patch(8_000, SERVICE, &Key::new("default", "hand"), json!({"spec": {"type": "NodePort"}})),
            Change::patch(90_000, SERVICE, &Key::new("default", "hand"), json!({"spec": {"type": "ClusterIP"}})),
        ]),
        Scenario::new("networks", "A network of Services comes and goes.", &["service-cidr-controller"]).with([
            Change::given(cluster(
                "networking.k8s.io/v1",
                "ServiceCIDR",
                "more",
                json!({"spec": {"cidrs": ["10.10.0.0/24"]}}),
            )),
            Change::delete(4_000, "networking.k8s.io/v1 ServiceCIDR", &Key::cluster("more"), None),
            Change::at(20_000, Edit::Put { object: object("v1", "ConfigMap", "after", json!({"data": {"a": "1"}})) }),
        ]),
        Scenario::new(
            "node-facts",
            "Somebody meddles with what controllers say of a node.",
            &["ttl-controller", "node-ipam-controller"],
        )
        .with([Change::patch(
            2_000,
            "v1 Node",
            &Key::cluster("node-0"),
            json!({"metadata": {"annotations": {"node.alpha.kubernetes.io/ttl": "7"}}}),
        )]),
    ]
}

fn accounts() -> Vec<Scenario> {
    let role = |name: &str, body: Value| cluster("rbac.authorization.k8s.io/v1", "ClusterRole", name, body);
    let reader = |verb: &str| json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]});
    let mut part = role("part", reader("get"));
    part["metadata"]["labels"] = json!({"aggregate-to-whole": "yes"});
    let whole = json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"aggregate-to-whole": "yes"}}]}, "rules": []});
    let mut token = object("v1", "Secret", "token", json!({"type": "kubernetes.io/service-account-token"}));
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "nobody"});
    let request = json!({"spec": {"request": "QQ==", "signerName": "example.com/none", "usages": ["client auth"]}});
    vec![
        Scenario::new(
            "roles",
            "A role that is made of others, of which one changes.",
            &["clusterrole-aggregation-controller"],
        )
        .with([
            Change::given(part),
            Change::given(role("whole", whole)),
            Change::patch(3_000, "rbac.authorization.k8s.io/v1 ClusterRole", &Key::cluster("part"), reader("list")),
        ]),
        Scenario::new(
            "tokens",
            "A Secret asks for a token of an account that there is not.",
            &["serviceaccount-token-controller", "legacy-serviceaccount-token-cleaner-controller"],
        )
        .with([Change::at(1_000, Edit::Put { object: token })]),
        Scenario::new(
            "certificates",
            "A certificate is asked for of a signer that nobody is, and denied.",
            &[
                "certificatesigningrequest-signing-controller",
                "certificatesigningrequest-approving-controller",
                "certificatesigningrequest-cleaner-controller",
                "kube-apiserver-serving-clustertrustbundle-publisher-controller",
            ],
        )
        .with([
            Change::given(cluster("certificates.k8s.io/v1", "CertificateSigningRequest", "me", request)),
            Change::patch(
                2_000,
                "certificates.k8s.io/v1 CertificateSigningRequest",
                &Key::cluster("me"),
                json!({"metadata": {"labels": {"seen": "yes"}}}),
            ),
        ]),
        Scenario::new(
            "pod-certificates",
            "A Pod's certificate is asked for, and nobody signs it.",
            &["podcertificaterequest-cleaner-controller"],
        )
        .with([
            Change::given(object(
                "certificates.k8s.io/v1",
                "PodCertificateRequest",
                "web",
                json!({"spec": {
                "signerName": "example.com/none", "podName": "web", "podUID": "1", "serviceAccountName": "default",
                "serviceAccountUID": "2", "nodeName": "node-0", "nodeUID": "3", "maxExpirationSeconds": 3600,
                "stubPKCS10Request": "QQ=="}}),
            )),
            Change::at(920_000, Edit::Put { object: object("v1", "ConfigMap", "after", json!({"data": {"a": "1"}})) }),
        ]),
    ]
}

/// An IPAddress as the API server makes them, of a Service that there is not.
fn leaked(ip: &str) -> Value {
    let mut address = cluster(
        "networking.k8s.io/v1",
        "IPAddress",
        ip,
        json!({"spec": {"parentRef": {"group": "",
        "resource": "services", "namespace": "default", "name": "none"}}}),
    );
    address["metadata"]["labels"] = json!({"ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"});
    address
}

fn pod(name: &str) -> Value {
    object("v1", "Pod", name, json!({"spec": {"containers": [{"name": "main", "image": "app:1"}]}}))
}

/// An object in the namespace `default`.
pub(super) fn object(version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = cluster(version, kind, name, rest);
    object["metadata"]["namespace"] = "default".into();
    object
}

/// An object without a namespace.
pub(super) fn cluster(version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    for (field, value) in rest.as_object().into_iter().flatten() {
        object[field.as_str()] = value.clone();
    }
    object
}
