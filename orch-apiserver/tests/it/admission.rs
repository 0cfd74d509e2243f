//! The built-in admission plugins and functions of this process, through the server.

use crate::support::{MAPS, PODS, Server, map, pod};
use orch_api::{
    k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, RuleWithOperations, ValidatingWebhook},
    review::{AdmissionRequest, AdmissionResponse},
};
use orch_apiserver::{
    ApiServer,
    admission::{Chain, StorageObjectInUseProtection},
    authn::User,
};
use orch_store::{AdmissionHook, Ambient, backend::memory::MemoryBackend};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn asking(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    pod
}

async fn with_quota(hard: Value, used: Value) -> Server {
    let server = Server::start().await.with_account().await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
    server.post(QUOTAS, quota).await.ok();
    let counted = json!({"status": {"hard": hard, "used": used}});
    server.patch(&format!("{QUOTAS}/q/status"), "merge-patch+json", counted).await.ok();
    server
}

#[tokio::test]
async fn pods_are_charged_to_the_quota_of_their_namespace() {
    let server = with_quota(json!({"cpu": "2", "pods": "9"}), json!({"cpu": "0", "pods": "0"})).await;
    server.post(PODS, asking("a", "1500m")).await.ok();
    let used = server.get(&format!("{QUOTAS}/q")).await.ok()["status"]["used"].clone();
    assert_eq!(used, json!({"cpu": "1500m", "pods": "1"}));
    assert_eq!(
        server.post(PODS, asking("b", "1")).await.status(),
        "403 Forbidden: pods \"b\" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=1500m, limited: cpu=2"
    );
    let status = server.post(PODS, pod("c")).await.status();
    assert_eq!(status, "403 Forbidden: pods \"c\" is forbidden: failed quota: q: must specify cpu for: main");
}

#[tokio::test]
async fn a_dry_run_is_checked_and_not_charged() {
    let server = with_quota(json!({"configmaps": "1"}), json!({"configmaps": "0"})).await;
    server.post(&format!("{MAPS}?dryRun=All"), map("a")).await.ok();
    server.post(MAPS, map("a")).await.ok();
    let status = server.post(&format!("{MAPS}?dryRun=All"), map("b")).await.status();
    let words = "exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1";
    assert_eq!(status, format!("403 Forbidden: configmaps \"b\" is forbidden: {words}"));
}

#[tokio::test]
async fn many_who_create_at_once_get_no_more_than_there_is() {
    let server = with_quota(json!({"count/configmaps": "7"}), json!({"count/configmaps": "0"})).await;
    let all = futures::future::join_all((0..20).map(|i| server.post(MAPS, map(&format!("m{i}"))))).await;
    assert_eq!(all.iter().filter(|answer| answer.code.as_u16() == 201).count(), 7);
    assert_eq!(all.iter().filter(|answer| answer.code.as_u16() == 403).count(), 13);
}

#[tokio::test]
async fn a_limit_range_fills_in_and_then_limits() {
    let server = Server::start().await.with_account().await;
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}]}});
    server.post("/api/v1/namespaces/default/limitranges", range).await.ok();
    let made = server.post(PODS, pod("a")).await.ok();
    let expected = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], expected);
    let mut greedy = pod("b");
    greedy["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    assert_eq!(
        server.post(PODS, greedy).await.status(),
        "403 Forbidden: pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
    let words = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
    let status = server.post(CLAIMS, claim("c", "2Gi")).await.status();
    assert_eq!(status, format!("403 Forbidden: persistentvolumeclaims \"c\" is forbidden: {words}"));
}

fn claim(name: &str, size: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
}

#[tokio::test]
async fn claims_get_the_newest_default_class_and_a_finalizer() {
    let mut plugins = Chain::default_plugins();
    plugins.push(Arc::new(StorageObjectInUseProtection));
    let builder = ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()));
    let api = builder.admission(plugins).build().await.unwrap();
    let server = Server { service: api.service(), api };
    let class = |name: &str, default: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "x", "metadata": {"name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
    };
    for (name, default) in [("b", "true"), ("a", "true"), ("z", "false")] {
        server.post("/apis/storage.k8s.io/v1/storageclasses", class(name, default)).await.ok();
    }
    let made = server.post(CLAIMS, claim("c", "1Gi")).await.ok();
    // Equally new ones go by their names.
    assert_eq!(made["spec"]["storageClassName"], "a");
    assert_eq!(made["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let mut none = claim("d", "1Gi");
    none["spec"]["storageClassName"] = "".into();
    assert_eq!(server.post(CLAIMS, none).await.ok()["spec"]["storageClassName"], "");

    let path = format!("{CLAIMS}/c");
    let grow = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    let status = server.patch(&path, "merge-patch+json", grow.clone()).await.status();
    assert!(
        status.contains("Only bound persistent volume claims can be expanded") || status.starts_with("422"),
        "{status}"
    );
}

#[tokio::test]
async fn ingresses_get_the_default_class() {
    let server = Server::start().await;
    let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": "x.io/y"},
        "metadata": {"name": "c", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}});
    server.post("/apis/networking.k8s.io/v1/ingressclasses", class).await.ok();
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    let made = server.post("/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress).await.ok();
    assert_eq!(made["spec"]["ingressClassName"], "c");
}

#[tokio::test]
async fn a_runtime_class_adds_its_overhead_and_its_place() {
    let server = Server::start().await.with_account().await;
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "vm"},
        "handler": "vm", "overhead": {"podFixed": {"memory": "64Mi"}},
        "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}});
    server.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.ok();
    let mut asked = pod("a");
    asked["spec"]["runtimeClassName"] = "vm".into();
    let made = server.post(PODS, asked.clone()).await.ok();
    assert_eq!(made["spec"]["overhead"], json!({"memory": "64Mi"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"vm": "yes"}));
    assert!(made["spec"]["tolerations"].as_array().unwrap().iter().any(|t| t["key"] == "vm"));
    asked["metadata"]["name"] = "b".into();
    asked["spec"]["nodeSelector"] = json!({"vm": "no"});
    let words = "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no";
    assert_eq!(server.post(PODS, asked).await.status(), format!("403 Forbidden: pods \"b\" is forbidden: {words}"));
    let mut missing = pod("c");
    missing["spec"]["runtimeClassName"] = "none".into();
    let words = "pod rejected: RuntimeClass \"none\" not found";
    assert_eq!(server.post(PODS, missing).await.status(), format!("403 Forbidden: pods \"c\" is forbidden: {words}"));
}

#[tokio::test]
async fn a_namespace_enforces_and_warns_by_its_labels() {
    let server = Server::start().await.with_account().await;
    let mut hostile = pod("a");
    hostile["spec"]["hostPID"] = true.into();
    server.post(PODS, hostile.clone()).await.ok();
    let labels = |enforce: &str| json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": enforce}}});
    let path = "/api/v1/namespaces/default";
    let answer = server.patch(path, "merge-patch+json", labels("baseline")).await;
    let words =
        "existing pods in namespace \\\"default\\\" violate the new PodSecurity enforce level \\\"baseline:latest\\\"";
    assert_eq!(answer.warnings(), [format!("299 - \"{words}\""), "299 - \"a: host namespaces\"".into()]);
    hostile["metadata"]["name"] = "b".into();
    assert_eq!(
        server.post(PODS, hostile.clone()).await.status(),
        "403 Forbidden: pods \"b\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"
    );
    let mut deployment = crate::support::deployment("d");
    deployment["spec"]["template"]["spec"]["hostPID"] = true.into();
    let answer = server.post("/apis/apps/v1/namespaces/default/deployments", deployment).await;
    let words = "would violate PodSecurity \\\"baseline:latest\\\": host namespaces (hostPID=true)";
    assert_eq!((answer.code.as_u16(), answer.warnings()), (201, vec![&*format!("299 - \"{words}\"")]));
    let status = server.patch(path, "merge-patch+json", labels("lax")).await.status();
    assert_eq!(
        status,
        "422 Invalid: Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
         \"lax\": must be one of privileged, baseline, restricted"
    );
}

#[tokio::test]
async fn a_bound_pod_carries_the_topology_of_its_node() {
    let server = Server::start().await.with_account().await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n",
        "labels": {"topology.kubernetes.io/zone": "z1", "other": "x"}}});
    server.post("/api/v1/nodes", node).await.ok();
    server.post(PODS, pod("a")).await.ok();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"},
        "target": {"kind": "Node", "name": "n"}});
    server.post(&format!("{PODS}/a/binding"), binding).await.ok();
    let labels = server.get(&format!("{PODS}/a")).await.ok()["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"topology.kubernetes.io/zone": "z1"}));
}

fn rules() -> Option<Vec<RuleWithOperations>> {
    let list = |text: &str| Some(vec![text.to_owned()]);
    Some(vec![RuleWithOperations {
        api_groups: list(""),
        api_versions: list("v1"),
        operations: list("CREATE"),
        resources: list("configmaps"),
        scope: None,
    }])
}

#[tokio::test]
async fn functions_of_this_process_are_webhooks_without_https() {
    let mutating = MutatingWebhook {
        name: "stamp.example.com".into(),
        rules: rules(),
        side_effects: "None".into(),
        ..MutatingWebhook::default()
    };
    let validating = ValidatingWebhook {
        name: "check.example.com".into(),
        rules: rules(),
        side_effects: "None".into(),
        ..ValidatingWebhook::default()
    };
    let stamp = |request: AdmissionRequest| async move {
        let mut new = request.object.clone();
        new["data"]["stamp"] = "yes".into();
        AdmissionResponse::mutate(&request, &new)
    };
    let check = |request: AdmissionRequest| async move {
        match request.object["data"]["stamp"] == "yes" && request.name != "bad" {
            true => AdmissionResponse::allow(),
            false => AdmissionResponse::deny("bad"),
        }
    };
    let api = ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()))
        .admission_hook(AdmissionHook::mutating(mutating, stamp))
        .admission_hook(AdmissionHook::validating(validating, check))
        .build()
        .await
        .unwrap();
    let server = Server { service: api.service(), api };
    assert_eq!(server.post(MAPS, map("good")).await.ok()["data"]["stamp"], "yes");
    assert_eq!(
        server.post(MAPS, map("bad")).await.json()["message"],
        "admission webhook \"check.example.com\" denied the request: bad"
    );
}

fn acting(server: &Server, name: &str, groups: &[&str]) -> Server {
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let user = User { name: name.into(), groups, ..User::default() };
    Server { service: server.api.service_as(user), api: server.api.clone() }
}

#[tokio::test]
async fn a_kubelet_changes_its_own_node_and_its_own_pods() {
    let server = Server::start().await.with_account().await;
    // The authorizer would stop most of it before: here it lets everything through.
    let kubelet = acting(&server, "system:node:n", &["system:nodes", "system:masters"]);
    let node = |name: &str, label: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {label: "x"}}});
    let status = async |path: &str, body: Value| kubelet.post(path, body).await.status();
    let nodes = "/api/v1/nodes";
    let words = "node \"n\" is not allowed to modify node \"m\"";
    assert_eq!(status(nodes, node("m", "a")).await, format!("403 Forbidden: nodes \"m\" is forbidden: {words}"));
    let label = "node-restriction.kubernetes.io/fips";
    let words = format!("node \"n\" is not allowed to set the following labels: {label}");
    assert_eq!(status(nodes, node("n", label)).await, format!("403 Forbidden: nodes \"n\" is forbidden: {words}"));
    kubelet.post(nodes, node("n", "kubernetes.io/hostname")).await.ok();
    let taints = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    let answer = kubelet.patch("/api/v1/nodes/n", "merge-patch+json", taints).await.status();
    let words = "node \"n\" is not allowed to modify taints";
    assert_eq!(answer, format!("403 Forbidden: nodes \"n\" is forbidden: {words}"));

    let words = "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n\" can only create mirror pods";
    assert_eq!(status(PODS, pod("p")).await, format!("403 Forbidden: pods \"p\" is forbidden: {words}"));
    server.post(PODS, pod("other")).await.ok();
    let words = "node \"n\" can only delete pods with spec.nodeName set to itself";
    assert_eq!(
        kubelet.delete(&format!("{PODS}/other")).await.status(),
        format!("403 Forbidden: pods \"other\" is forbidden: {words}")
    );
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "m"}});
    let words = "can only access leases in the \"kube-node-lease\" system namespace";
    assert_eq!(
        status("/apis/coordination.k8s.io/v1/namespaces/default/leases", lease).await,
        format!("403 Forbidden: leases.coordination.k8s.io \"m\" is forbidden: {words}")
    );
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let answer = status("/api/v1/namespaces/default/serviceaccounts/default/token", token).await;
    assert!(answer.contains("node requested token not bound to a pod"), "{answer}");
}

#[tokio::test]
async fn who_approves_certificates_must_be_allowed_to_speak_for_the_signer() {
    let server = Server::start().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"},
        "rules": [{"apiGroups": ["certificates.k8s.io"], "verbs": ["*"],
            "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"]}]});
    server.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.ok();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    server.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.ok();
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap().pem().unwrap();
    let encoded = serde_json::to_value(orch_api::k8s_openapi::ByteString(pem.into_bytes())).unwrap();
    let request = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": "c"}, "spec": {"signerName": "example.com/signer", "usages": ["client auth"],
            "request": encoded}});
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    server.post(path, request).await.ok();
    let jane = acting(&server, "jane", &["system:authenticated"]);
    let approval = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}});
    let answer = jane.patch(&format!("{path}/c/approval"), "merge-patch+json", approval).await;
    let words = "user not permitted to approve requests with signerName \"example.com/signer\"";
    assert_eq!(
        answer.status(),
        format!("403 Forbidden: certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: {words}")
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_a_moment_for_the_default_account_of_its_namespace() {
    let server = Server::start().await;
    let account = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        server.post("/api/v1/namespaces/default/serviceaccounts", account).await.ok();
    };
    let (made, ()) = tokio::join!(server.post(PODS, pod("early")), account);
    assert_eq!(made.ok()["spec"]["serviceAccountName"], "default");
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_an_account_is_refused_after_a_second_and_without_one_of_its_own_at_once() {
    let server = Server::start().await;
    let begun = Instant::now();
    let missing = |name: &str, account: &str| {
        format!(
            "403 Forbidden: pods \"{name}\" is forbidden: error looking up service account default/{account}: \
             serviceaccount \"{account}\" not found"
        )
    };
    let mut named = pod("named");
    named["spec"]["serviceAccountName"] = "robot".into();
    assert_eq!(server.post(PODS, named).await.status(), missing("named", "robot"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(server.post(PODS, pod("plain")).await.status(), missing("plain", "default"));
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&begun.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_an_account_that_asks_for_it_see_its_secrets_alone() {
    let server = Server::start().await.with_account().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "a"}], "metadata": {
        "name": "robot", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}});
    server.post("/api/v1/namespaces/default/serviceaccounts", account).await.ok();
    let mounting = |name: &str, account: &str, secret: &str| {
        let mut pod = pod(name);
        pod["spec"]["serviceAccountName"] = account.into();
        pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": secret}}]);
        pod
    };
    server.post(PODS, mounting("good", "robot", "a")).await.ok();
    server.post(PODS, mounting("free", "default", "b")).await.ok();
    let because = "is not allowed because service account robot does not reference that secret";
    assert_eq!(
        server.post(PODS, mounting("bad", "robot", "b")).await.status(),
        format!("403 Forbidden: pods \"bad\" is forbidden: volume with secret.secretName=\"b\" {because}")
    );
    let debug = |secret: &str| {
        let container = json!({"name": "e", "image": "i", "envFrom": [{"secretRef": {"name": secret}}]});
        json!({"spec": {"ephemeralContainers": [container]}})
    };
    let uri = format!("{PODS}/good/ephemeralcontainers");
    let what = "ephemeral container e with envFrom referencing secret.secretName=\"b\"";
    assert_eq!(
        server.patch(&uri, "strategic-merge-patch+json", debug("b")).await.status(),
        format!("403 Forbidden: pods \"good\" is forbidden: {what} {because}")
    );
    server.patch(&uri, "strategic-merge-patch+json", debug("a")).await.ok();
}
