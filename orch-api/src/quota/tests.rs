use super::*;
use crate::Gvr;
use jiff::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn container(requests: Value, limits: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

fn usage(resource: &str, object: &Value) -> String {
    let evaluator =
        Evaluator::of(&Gvr { group: "".into(), version: "v1".into(), resource: resource.to_owned().into() });
    evaluator.unwrap().usage(object, NOW).to_string()
}

#[test]
fn a_pod_asks_for_its_containers_together_or_for_its_hungriest_init_container() {
    let cpu = |cpu: &str| container(json!({"cpu": cpu}), json!({}));
    let mut sidecar = cpu("200m");
    sidecar["restartPolicy"] = "Always".into();
    let check = |spec: Value, expected: &str| {
        assert_eq!(pod_requests(&json!({"spec": spec}), false).to_string(), expected);
    };
    check(json!({"containers": [cpu("1"), cpu("500m")]}), "cpu=1500m");
    check(json!({"containers": [cpu("1")], "initContainers": [cpu("3"), cpu("2")]}), "cpu=3");
    check(json!({"containers": [cpu("1")], "initContainers": [sidecar, cpu("2")]}), "cpu=2200m");
    check(json!({"containers": [cpu("1")], "initContainers": [cpu("500m"), sidecar]}), "cpu=1200m");
    check(json!({"containers": [cpu("1")], "overhead": {"cpu": "100m", "memory": "1Mi"}}), "cpu=1100m,memory=1Mi");
    check(json!({"containers": [cpu("1")], "resources": {"requests": {"cpu": "4", "x.io/y": "1"}}}), "cpu=4");
}

#[test]
fn overhead_adds_to_limits_only_where_there_is_one() {
    let pod = json!({"spec": {"containers": [container(json!({}), json!({"cpu": "1"}))],
        "overhead": {"cpu": "100m", "memory": "1Mi"}}});
    assert_eq!(pod_limits(&pod, false).to_string(), "cpu=1100m");
}

#[test]
fn a_pod_that_is_resized_counts_what_it_still_has() {
    let mut pod = json!({"spec": {"containers": [container(json!({"cpu": "1"}), json!({}))]}, "status": {
        "containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}]}});
    assert_eq!(pod_requests(&pod, true).to_string(), "cpu=3");
    assert_eq!(pod_requests(&pod, false).to_string(), "cpu=1");
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "9".into();
    pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
    assert_eq!(pod_requests(&pod, true).to_string(), "cpu=3");
}

#[test]
fn a_pod_is_counted_under_every_name_that_quotas_have_for_what_it_uses() {
    let resources = json!({"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "example.com/gpu": "2"});
    let pod = json!({"spec": {"containers": [container(resources, json!({"cpu": "2"}))]}});
    let expected = "count/pods=1,cpu=1,hugepages-2Mi=4Mi,limits.cpu=2,memory=1Gi,pods=1,requests.cpu=1,\
                    requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi,requests.memory=1Gi";
    assert_eq!(usage("pods", &pod), expected);
    assert_eq!(usage("pods", &json!({"status": {"phase": "Succeeded"}})), "count/pods=1");
    let overdue = json!({"metadata": {"deletionTimestamp": "1969-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30}});
    assert_eq!(usage("pods", &overdue), "count/pods=1");
}

#[test]
fn services_and_claims_and_everything_else_are_counted_in_their_own_ways() {
    let balancer = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2, "nodePort": 30000}]}});
    assert_eq!(
        usage("services", &balancer),
        "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
    );
    let mut without = balancer.clone();
    without["spec"]["allocateLoadBalancerNodePorts"] = false.into();
    assert!(usage("services", &without).ends_with("services.nodeports=1"));
    let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1.5Gi"}}}});
    assert_eq!(
        usage("persistentvolumeclaims", &claim),
        "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
         fast.storageclass.storage.k8s.io/requests.storage=1536Mi,persistentvolumeclaims=1,requests.storage=1536Mi"
    );
    assert_eq!(usage("configmaps", &json!({})), "configmaps=1,count/configmaps=1");
    assert_eq!(usage("widgets", &json!({})), "count/widgets=1");
    assert_eq!(Evaluator::of(&Gvr::of("", "v1", "events")), None);
    assert_eq!(Evaluator::of(&Gvr::of("authorization.k8s.io", "v1", "localsubjectaccessreviews")), None);
}

fn quota(hard: Value, used: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
}

fn charge(quota: Value, new: Value, old: Option<Value>) -> String {
    let request = Request { creates: old.is_none(), subresource: "", new: &new, old: old.as_ref(), now: NOW };
    match check(&Evaluator::Pods, &[quota], &request) {
        Err(why) => why.to_string(),
        Ok(charged) => charged.iter().map(|(_, used)| used.to_string()).collect::<Vec<_>>().join(" "),
    }
}

fn pod(cpu: &str) -> Value {
    json!({"spec": {"containers": [container(json!({"cpu": cpu}), json!({}))]}})
}

#[test]
fn a_write_is_charged_to_what_the_quota_counts() {
    let hard = json!({"cpu": "4", "pods": "10"});
    let used = json!({"cpu": "1", "pods": "2"});
    assert_eq!(charge(quota(hard.clone(), used.clone()), pod("3"), None), "cpu=4,pods=3");
    assert_eq!(
        charge(quota(hard, used), pod("4"), None),
        "exceeded quota: q, requested: cpu=4, used: cpu=1, limited: cpu=4"
    );
}

#[test]
fn only_growth_is_charged_and_what_shrinks_is_left_to_the_controller() {
    let q = || quota(json!({"cpu": "4"}), json!({"cpu": "4"}));
    assert_eq!(charge(q(), pod("1"), Some(pod("3"))), "");
    assert_eq!(
        charge(q(), pod("3"), Some(pod("1"))),
        "exceeded quota: q, requested: cpu=2, used: cpu=4, limited: cpu=4"
    );
}

#[test]
fn a_quota_of_cpu_demands_that_every_container_says_what_it_wants() {
    let hard = json!({"limits.cpu": "4", "requests.memory": "1Gi"});
    let words = "failed quota: q: must specify limits.cpu for: c; requests.memory for: c";
    assert_eq!(charge(quota(hard.clone(), json!({"limits.cpu": "0", "requests.memory": "0"})), pod("1"), None), words);
    let mut whole = pod("1");
    whole["spec"]["resources"] = json!({"limits": {"cpu": "1"}, "requests": {"memory": "1Mi"}});
    assert_eq!(
        charge(quota(hard, json!({"limits.cpu": "0", "requests.memory": "0"})), whole, None),
        "limits.cpu=1,requests.memory=1Mi"
    );
}

#[test]
fn a_quota_that_nobody_has_counted_refuses_and_one_that_nobody_has_seen_does_not() {
    let words = "status unknown for quota: q, resources: pods";
    assert_eq!(charge(quota(json!({"pods": "1"}), json!({})), pod("1"), None), words);
    assert_eq!(charge(json!({"spec": {"hard": {"pods": "0"}}}), pod("1"), None), "");
}

#[test]
fn a_quota_counts_what_is_in_all_of_its_scopes() {
    let scoped = |spec: Value| {
        let mut quota = quota(json!({"pods": "1"}), json!({"pods": "1"}));
        quota["spec"] = spec;
        quota
    };
    let check = |quota: Value, pod: Value, counted: bool| {
        assert_eq!(matches(&Evaluator::Pods, &quota, &pod), counted, "{quota} {pod}");
    };
    let idle = json!({"spec": {"containers": [{"name": "c"}]}});
    let mut ending = idle.clone();
    ending["spec"]["activeDeadlineSeconds"] = 3.into();
    let scopes = |scopes: &[&str]| scoped(json!({"scopes": scopes}));
    check(scopes(&["Terminating"]), ending.clone(), true);
    check(scopes(&["Terminating"]), idle.clone(), false);
    check(scopes(&["NotTerminating", "BestEffort"]), idle.clone(), true);
    check(scopes(&["NotTerminating", "NotBestEffort"]), idle.clone(), false);
    check(scopes(&["NotBestEffort"]), pod("1"), true);
    let class = |operator: &str, values: &[&str]| {
        scoped(json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": operator, "values": values}]}}))
    };
    let mut high = idle.clone();
    high["spec"]["priorityClassName"] = "high".into();
    check(class("In", &["high"]), high.clone(), true);
    check(class("In", &["high"]), idle.clone(), false);
    check(class("NotIn", &["high"]), idle.clone(), true);
    check(class("Exists", &[]), high, true);
    let mut across = idle;
    across["spec"]["affinity"] = json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"namespaceSelector": {}}}]}});
    check(scopes(&["CrossNamespacePodAffinity"]), across, true);
}

#[test]
fn a_controller_counts_a_namespace_from_nothing() {
    let quota = json!({"spec": {"hard": {"pods": "5", "cpu": "2", "secrets": "1"}}});
    let pods = [pod("1"), pod("500m"), json!({"status": {"phase": "Failed"}})];
    assert_eq!(usage_of(&Evaluator::Pods, &quota, &pods, NOW).to_string(), "cpu=1500m,pods=2");
}
