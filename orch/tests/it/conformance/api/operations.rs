//! The kinds of which the suite asks for all operations of the API.

use super::*;

/// A patch of a status with an annotation.
fn annotated(mut patch: Value) -> Value {
    patch["metadata"] = json!({"annotations": {"patchedstatus": "true"}});
    patch
}

/// [sig-network] Ingress API should support creating Ingress API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn ingresses() {
    let here = World::without_controllers().await;
    let backend = json!({"service": {"name": "default-backend", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "ImplementationSpecific", "backend":
        {"service": {"name": "test-backend", "port": {"number": 8080}}}});
    let body = json!({"spec": {"defaultBackend": backend,
        "rules": [{"host": "foo.bar.com", "http": {"paths": [path]}}]}});
    let address = |ip: &str| json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
    Operations::of(&Gvr::of("networking.k8s.io", "v1", "ingresses"), body)
        .with_status(annotated(address("169.1.1.1")), address("169.1.1.2"))
        .run(&here)
        .await;
}

/// [sig-network] IngressClass API should support creating IngressClass API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn ingress_classes() {
    let here = World::without_controllers().await;
    let body = json!({"spec": {"controller": "example.com/controller"}});
    Operations::of(&Gvr::of("networking.k8s.io", "v1", "ingressclasses"), body).run(&here).await;
}

/// [sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn endpoint_slices() {
    let here = World::without_controllers().await;
    let body = json!({"addressType": "IPv4",
        "endpoints": [{"addresses": ["1.2.3.4", "5.6.7.8"]}, {"addresses": ["2.2.3.4", "6.6.7.8"]}]});
    Operations::of(&Gvr::of("discovery.k8s.io", "v1", "endpointslices"), body).run(&here).await;
}

/// [sig-node] RuntimeClass should support RuntimeClasses API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn runtime_classes() {
    let here = World::without_controllers().await;
    let body = json!({"handler": "conformance-runtime-class"});
    Operations::of(&Gvr::of("node.k8s.io", "v1", "runtimeclasses"), body).run(&here).await;
}

/// [sig-apps] CronJob should support CronJob API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn cron_jobs() {
    let here = World::without_controllers().await;
    let body = json!({"spec": {"schedule": "*/1 * * * ?", "concurrencyPolicy": "Replace", "jobTemplate": {"spec": {
        "template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "busybox"}]}}}}}});
    let scheduled = |at: &str| json!({"status": {"lastScheduleTime": at}});
    Operations::of(&Gvr::of("batch", "v1", "cronjobs"), body)
        .with_status(annotated(scheduled("2026-01-01T00:00:00Z")), scheduled("2026-01-01T00:00:01Z"))
        .run(&here)
        .await;
}

/// What the suite patches and updates into a status with conditions; merge patches replace lists.
fn conditions() -> (Value, Value) {
    let patched = json!({"type": "PatchStatusFailed", "status": "False", "reason": "e2e",
        "message": "Set from an e2e test", "lastTransitionTime": "2024-01-01T00:00:00Z"});
    let updated = json!({"type": "StatusUpdateFailed", "status": "False", "reason": "E2E",
        "message": "Set from an e2e test", "lastTransitionTime": "2024-01-02T00:00:00Z"});
    (json!({"status": {"conditions": [patched]}}), json!({"status": {"conditions": [patched, updated]}}))
}

/// [sig-api-machinery] API priority and fairness should support FlowSchema API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn flow_schemas() {
    let here = World::without_controllers().await;
    let rule = json!({"subjects": [{"kind": "User", "user": {"name": "example-e2e-non-existent-user"}}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]});
    let body = json!({"spec": {"matchingPrecedence": 10000, "priorityLevelConfiguration": {"name": "global-default"},
        "distinguisherMethod": {"type": "ByUser"}, "rules": [rule]}});
    let precedence = |precedence: u32| json!({"spec": {"matchingPrecedence": precedence}});
    let (patch, update) = conditions();
    Operations::of(&Gvr::of("flowcontrol.apiserver.k8s.io", "v1", "flowschemas"), body)
        .changing(precedence(9999), precedence(9000))
        .with_status(patch, update)
        .run(&here)
        .await;
}

/// [sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn priority_levels() {
    let here = World::without_controllers().await;
    let shares = |shares: u32| json!({"spec": {"limited": {"nominalConcurrencyShares": shares}}});
    let mut body = shares(2);
    merge(&mut body, &json!({"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}}));
    let (patch, update) = conditions();
    Operations::of(&Gvr::of("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations"), body)
        .changing(shares(4), shares(6))
        .with_status(patch, update)
        .run(&here)
        .await;
}

fn admission(resource: &'static str) -> Gvr {
    Gvr::of("admissionregistration.k8s.io", "v1", resource)
}

/// The Deployments that are created.
fn deployments() -> Value {
    json!({"resourceRules": [{"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
        "resources": ["deployments"]}]})
}

fn failing(policy: &str) -> Value {
    json!({"spec": {"failurePolicy": policy}})
}

/// [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn validating_policies() {
    let here = World::without_controllers().await;
    let body = json!({"spec": {"matchConstraints": deployments(),
        "validations": [{"expression": "object.spec.replicas <= 100"}]}});
    let (patch, update) = conditions();
    Operations::of(&admission("validatingadmissionpolicies"), body)
        .changing(failing("Ignore"), failing("Fail"))
        .with_status(patch, update)
        .run(&here)
        .await;
}

/// [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn bindings_of_validating_policies() {
    let here = World::without_controllers().await;
    let body = json!({"spec": {"policyName": "replicalimit-policy.example.com", "validationActions": ["Deny"]}});
    let actions = |action: &str| json!({"spec": {"validationActions": [action]}});
    Operations::of(&admission("validatingadmissionpolicybindings"), body)
        .changing(actions("Warn"), actions("Deny"))
        .run(&here)
        .await;
}

/// [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicy API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn mutating_policies() {
    let here = World::without_controllers().await;
    let mutation = json!({"patchType": "ApplyConfiguration", "applyConfiguration":
        {"expression": "Object{ metadata: Object.metadata{ labels: {'e2e': 'mutated'} } }"}});
    let body = json!({"spec": {"reinvocationPolicy": "Never", "matchConstraints": deployments(),
        "mutations": [mutation]}});
    Operations::of(&admission("mutatingadmissionpolicies"), body)
        .changing(failing("Ignore"), failing("Fail"))
        .run(&here)
        .await;
}

/// [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should support MutatingAdmissionPolicyBinding API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn bindings_of_mutating_policies() {
    let here = World::without_controllers().await;
    let policy = |name: &str| json!({"spec": {"policyName": name}});
    Operations::of(&admission("mutatingadmissionpolicybindings"), policy("replicalimit-policy.example.com"))
        .changing(policy("new-policy.example.com"), policy("updated-policy.example.com"))
        .run(&here)
        .await;
}

/// A request without a subject, signed with an Ed25519 key, in base64.
const STUB: &str = "MH8wMwIBADAAMCowBQYDK2VwAyEAU1UdGzNIkgQNcONSiThYVvv5ji94u93n3D5uGoCCNsugADAFBgMrZXADQQA3/DhE/fa+CDrN0p6+sjOHl1WUzXnjWx9kWrn6Q/aEgT10JVoCcTLHb07j+8UPhIK9OS6NHg/PxSRnMM1bZV0C";

/// [sig-auth] PodCertificateRequest API [Privileged:ClusterAdmin] should support PodCertificateRequest API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn pod_certificate_requests() {
    let here = World::without_controllers().await;
    let body = json!({"spec": {"signerName": "example.com/e2e", "podName": "pod", "podUID": "1",
        "serviceAccountName": "default", "serviceAccountUID": "2", "nodeName": "node", "nodeUID": "3",
        "maxExpirationSeconds": 86400, "stubPKCS10Request": STUB}});
    let denied = json!({"status": {"conditions": [{"type": "Denied", "status": "True", "reason": "E2E",
        "message": "Set from an e2e test", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    Operations::of(&Gvr::of("certificates.k8s.io", "v1", "podcertificaterequests"), body)
        .with_status(denied.clone(), denied)
        .run(&here)
        .await;
}
