use super::{
    gather::{Reading, Sample, Samples},
    *,
};
use crate::fixtures::{self, minutes_ago, now};
use expect_test::{Expect, expect};
use jiff::SignedDuration;
use k8s_openapi::{
    api::{autoscaling::v2::HorizontalPodAutoscalerSpec, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_runtime::autoscaling::NoMetrics;
use serde_json::{Value, json};

/// A workload `web` of ready pods that request a whole CPU each, and an autoscaler of it.
struct Case {
    controller: Autoscaler,
    spec: Value,
    replicas: i32,
    pods: Vec<Pod>,
    readings: Vec<Reading>,
    status: Option<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerStatus>,
    now: Timestamp,
}

impl Case {
    fn new(replicas: i32, metrics: Value) -> Self {
        let controller = Autoscaler::new(Arc::new(Vec::new()), Arc::new(NoMetrics));
        let spec = json!({"minReplicas": 1, "maxReplicas": 10, "metrics": metrics,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}});
        let pods = (0..replicas).map(|i| running(&format!("web-{i}"))).collect();
        Self { controller, spec, replicas, pods, readings: Vec::new(), status: None, now: now() }
    }

    fn cpu(replicas: i32, percent: i32, millis: &[i64]) -> Self {
        Self::new(replicas, json!([cpu(percent)])).reading(Reading::Pods(Ok(samples(millis))))
    }

    fn reading(mut self, reading: Reading) -> Self {
        self.readings.push(reading);
        self
    }

    fn spec(mut self, field: &str, value: Value) -> Self {
        self.spec[field] = value;
        self
    }

    fn autoscaler(&self) -> HorizontalPodAutoscaler {
        let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(self.spec.clone()).unwrap();
        let metadata = fixtures::meta("default", "web", "");
        HorizontalPodAutoscaler { metadata, spec, status: self.status.clone() }
    }

    fn world(&self) -> World {
        let body = json!({"spec": {"replicas": self.replicas}, "status": {"replicas": self.replicas}});
        let deployment = orch_api::Gvr::of("apps", "v1", "deployments");
        let target = Target { gvr: deployment, kind: "Deployment".into(), key: Key::new("default", "web") };
        let (wanted, selector) = (self.replicas, "app=web".to_owned());
        let readings = self.readings.iter().map(|reading| match reading {
            Reading::Pods(found) => Reading::Pods(found.clone()),
            Reading::Object(found) => Reading::Object(found.clone()),
            Reading::External(found) => Reading::External(found.clone()),
            Reading::Unknown => Reading::Unknown,
        });
        World {
            autoscaler: Arc::new(self.autoscaler()),
            past: self.controller.memory.of(&Key::new("default", "web")),
            others: Vec::new(),
            observed: Some(Observed {
                scale: Ok(Scale { target, body, wanted, there: wanted, selector }),
                selector: Selector::parse("app=web").ok(),
                bad_selector: None,
                pods: Ok(self.pods.iter().cloned().map(Arc::new).collect()),
                readings: readings.collect(),
            }),
        }
    }

    /// Plans, does what was planned, and answers with the number of replicas.
    fn step(&mut self) -> i32 {
        let world = self.world();
        let plan = self.controller.plan(&world, self.now);
        self.controller.remember(&world, self.now, None);
        for action in &plan.actions {
            match action {
                Action::Update { subresource: Some("scale"), body, .. } => {
                    self.replicas = i32::try_from(body["spec"]["replicas"].as_i64().unwrap()).unwrap();
                }
                Action::Update { body, .. } => self.status = serde_json::from_value(body["status"].clone()).unwrap(),
                _ => {}
            }
        }
        self.replicas
    }

    /// The same after so many seconds, with another load for every pod.
    fn later(&mut self, seconds: i64, millis: i64) -> i32 {
        self.now += SignedDuration::from_secs(seconds);
        self.pods = (0..self.replicas).map(|i| running(&format!("web-{i}"))).collect();
        let all = vec![millis; self.replicas as usize];
        let mut all = samples(&all);
        all.values_mut().for_each(|sample| sample.at = self.now);
        self.readings = vec![Reading::Pods(Ok(all))];
        self.step();
        self.step()
    }

    fn condition(&self, kind: &str) -> String {
        let all = self.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let found = all.filter(|c| c.type_ == kind);
        let text = |c: &k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition| {
            format!("{} {}: {}", c.status, c.reason.as_deref().unwrap_or(""), c.message.as_deref().unwrap_or(""))
        };
        found.map(text).collect()
    }

    #[track_caller]
    fn check(&self, expect: Expect) {
        expect.assert_eq(&self.controller.plan(&self.world(), self.now).to_string());
    }
}

fn cpu(percent: i32) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}})
}

fn running(name: &str) -> Pod {
    let mut pod = fixtures::ready(fixtures::on_node(fixtures::pod(name, "web"), "n1"), minutes_ago(60));
    pod.status.as_mut().unwrap().start_time = Some(Time(minutes_ago(61)));
    let resources = json!({"requests": {"cpu": "1"}});
    pod.spec.as_mut().unwrap().containers[0].resources = serde_json::from_value(resources).unwrap();
    pod
}

fn samples(millis: &[i64]) -> Samples {
    let sample = |millis: &i64| Sample { millis: *millis, at: now(), window: Duration::from_secs(15) };
    millis.iter().enumerate().map(|(i, m)| (format!("web-{i}"), sample(m))).collect()
}

#[track_caller]
fn replicas(mut case: Case, expected: i32) {
    assert_eq!(case.step(), expected);
}

#[test]
fn usage_above_the_target_asks_for_more_replicas_and_the_status_tells_when_it_is_done() {
    let mut case = Case::cpu(3, 30, &[300, 500, 700]);
    case.check(expect![[r#"
        scale Deployment default/web spec.replicas=5
        event Normal SuccessfulRescale: New size: 5; reason: cpu resource utilization (percentage of request) above target
        requeue after 0ns
    "#]]);
    assert_eq!(case.step(), 5);
    case.check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to update the target scale to 5" conditions[AbleToScale].reason=SucceededRescale conditions[AbleToScale].status=True conditions[ScalingActive].message="the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)" conditions[ScalingActive].reason=ValidMetricFound conditions[ScalingActive].status=True conditions[ScalingLimited].message="the desired count is within the acceptable range" conditions[ScalingLimited].reason=DesiredWithinRange conditions[ScalingLimited].status=False currentMetrics[Resource].resource.current.averageUtilization=50 currentMetrics[Resource].resource.current.averageValue=500m currentMetrics[Resource].resource.name=cpu currentReplicas=5 desiredReplicas=5 lastScaleTime=2025-12-18T00:00:00Z
        requeue after 15s
    "#]]);
}

#[test]
fn small_differences_from_the_target_change_nothing() {
    replicas(Case::cpu(3, 50, &[500, 540, 550]), 3);
    replicas(Case::cpu(3, 50, &[500, 560, 620]), 4);
    let behavior = |tolerance: &str| {
        json!({"scaleUp": {"tolerance": tolerance, "selectPolicy": "Max", "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 9, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}})
    };
    replicas(Case::cpu(3, 50, &[500, 560, 620]).spec("behavior", behavior("0.3")), 3);
    replicas(Case::cpu(3, 50, &[500, 540, 550]).spec("behavior", behavior("0.01")), 4);
}

#[test]
fn nothing_leaves_the_range_and_nothing_more_than_doubles() {
    replicas(Case::cpu(3, 10, &[900, 900, 900]), 6);
    replicas(Case::cpu(6, 10, &[900; 6]), 10);
    replicas(Case::cpu(1, 10, &[900]), 4);
    replicas(Case::cpu(3, 10, &[0, 0, 0]), 3);
    replicas(Case::cpu(12, 10, &[]), 10);
    replicas(Case::cpu(1, 10, &[]).spec("minReplicas", json!(2)), 2);
}

#[test]
fn a_rescale_is_told_before_the_next_is_decided() {
    let mut case = Case::cpu(4, 10, &[900; 4]).spec("maxReplicas", json!(100));
    assert_eq!((case.step(), case.step()), (8, 8));
    assert_eq!(case.status.as_ref().unwrap().desired_replicas, 8);
    assert_eq!(case.later(15, 900), 16);
}

#[test]
fn pods_that_start_count_as_idle_when_more_are_asked_for() {
    let mut case = Case::cpu(3, 30, &[300, 500, 700]);
    case.pods[0].status.as_mut().unwrap().phase = Some("Pending".into());
    replicas(case, 4);
    let mut case = Case::cpu(3, 30, &[400, 500, 700]);
    let status = case.pods[0].status.as_mut().unwrap();
    status.start_time = Some(Time(minutes_ago(1)));
    status.conditions.as_mut().unwrap()[0].last_transition_time = Some(Time(now()));
    replicas(case, 4);
}

#[test]
fn pods_without_metrics_hold_back_in_both_directions() {
    replicas(Case::cpu(4, 50, &[1000, 1000]), 4);
    let mut case = Case::cpu(4, 100, &[100, 100, 100]);
    assert_eq!(case.step(), 4);
    let decision = decide(&case.world(), case.world().observed.as_ref().unwrap(), now());
    assert_eq!(decision.recommendation, Some(2));
}

#[test]
fn pods_that_go_are_not_counted() {
    let mut case = Case::cpu(3, 50, &[500, 500, 5000]);
    case.pods[2] = fixtures::deleting(case.pods[2].clone());
    replicas(case, 3);
}

#[test]
fn an_average_value_is_one_of_all_pods() {
    let memory = json!([{"type": "Resource", "resource": {"name": "memory",
        "target": {"type": "AverageValue", "averageValue": "100Mi"}}}]);
    let bytes = 150_i64 << 20;
    let mut case = Case::new(2, memory).reading(Reading::Pods(Ok(samples(&[bytes * 1000, bytes * 1000]))));
    assert_eq!(case.step(), 3);
    case.step();
    let status = case.status.unwrap();
    let current = status.current_metrics.unwrap().remove(0).resource.unwrap().current;
    assert_eq!(current.average_value.unwrap().0, "150Mi");
}

#[test]
fn one_container_can_be_meant() {
    let metric = json!([{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main",
        "target": {"type": "Utilization", "averageUtilization": 50}}}]);
    replicas(Case::new(2, metric).reading(Reading::Pods(Ok(samples(&[1000, 1000])))), 4);
    let other = json!([{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "other",
        "target": {"type": "Utilization", "averageUtilization": 50}}}]);
    Case::new(2, other).reading(Reading::Pods(Ok(samples(&[1000, 1000])))).check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to get the target's current scale" conditions[AbleToScale].reason=SucceededGetScale conditions[AbleToScale].status=True conditions[ScalingActive].message="the HPA was unable to compute the replica count: failed to get cpu utilization: container other not found in Pod web-0" conditions[ScalingActive].reason=FailedGetContainerResourceMetric conditions[ScalingActive].status=False currentReplicas=2 desiredReplicas=0
        event Warning FailedGetContainerResourceMetric: failed to get cpu utilization: container other not found in Pod web-0
        event Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get other container metric value: failed to get cpu utilization: container other not found in Pod web-0
        requeue after 15s
    "#]]);
}

#[test]
fn metrics_of_pods_objects_and_the_outside() {
    let pods = json!([{"type": "Pods", "pods": {"metric": {"name": "qps"},
        "target": {"type": "AverageValue", "averageValue": "10"}}}]);
    replicas(Case::new(2, pods).reading(Reading::Pods(Ok(samples(&[20_000, 20_000])))), 4);
    let described = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    let value = |target: Value| json!([{"type": "Object", "object": {"describedObject": described, "metric": {"name": "qps"}, "target": target}}]);
    let by_value = value(json!({"type": "Value", "value": "20"}));
    replicas(Case::new(2, by_value).reading(Reading::Object(Ok(40_000))), 4);
    let per_pod = value(json!({"type": "AverageValue", "averageValue": "10"}));
    replicas(Case::new(2, per_pod).reading(Reading::Object(Ok(35_000))), 4);
    let queue = json!([{"type": "External", "external": {"metric": {"name": "queue"},
        "target": {"type": "AverageValue", "averageValue": "30"}}}]);
    replicas(Case::new(2, queue).reading(Reading::External(Ok(vec![60_000, 30_000]))), 3);
}

#[test]
fn the_highest_of_several_metrics_counts_and_missing_ones_forbid_to_shrink() {
    let two = json!([cpu(50), {"type": "Pods", "pods": {"metric": {"name": "qps"},
        "target": {"type": "AverageValue", "averageValue": "10"}}}]);
    let failed = || Reading::Pods(Err("no metrics returned from custom metrics API".into()));
    let case = Case::new(2, two.clone()).reading(Reading::Pods(Ok(samples(&[1000, 1000])))).reading(failed());
    replicas(case, 4);
    let case = Case::new(2, two).reading(Reading::Pods(Ok(samples(&[10, 10])))).reading(failed());
    case.check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to get the target's current scale" conditions[AbleToScale].reason=SucceededGetScale conditions[AbleToScale].status=True conditions[ScalingActive].message="the HPA was unable to compute the replica count: unable to get metric qps: no metrics returned from custom metrics API" conditions[ScalingActive].reason=FailedGetPodsMetric conditions[ScalingActive].status=False currentMetrics[Resource].resource.current.averageUtilization=1 currentMetrics[Resource].resource.current.averageValue=10m currentMetrics[Resource].resource.name=cpu currentReplicas=2 desiredReplicas=0
        event Warning FailedGetPodsMetric: unable to get metric qps: no metrics returned from custom metrics API
        event Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: failed to get pods metric value: unable to get metric qps: no metrics returned from custom metrics API
        requeue after 15s
    "#]]);
}

#[test]
fn what_is_missing_is_said_once_and_in_the_words_of_upstream() {
    let why = "unable to fetch metrics from resource metrics API: the server could not find the requested resource";
    let mut case = Case::new(2, json!([cpu(50)])).reading(Reading::Pods(Err(why.into())));
    case.check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to get the target's current scale" conditions[AbleToScale].reason=SucceededGetScale conditions[AbleToScale].status=True conditions[ScalingActive].message="the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource" conditions[ScalingActive].reason=FailedGetResourceMetric conditions[ScalingActive].status=False currentReplicas=2 desiredReplicas=0
        event Warning FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource
        event Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource
        requeue after 15s
    "#]]);
    case.step();
    case.check(expect![[r#"
        requeue after 15s
    "#]]);
    let mut unasked = Case::cpu(1, 50, &[10]);
    unasked.pods[0].spec.as_mut().unwrap().containers[0].resources = None;
    unasked.check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to get the target's current scale" conditions[AbleToScale].reason=SucceededGetScale conditions[AbleToScale].status=True conditions[ScalingActive].message="the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container main of Pod web-0" conditions[ScalingActive].reason=FailedGetResourceMetric conditions[ScalingActive].status=False currentReplicas=1 desiredReplicas=0
        event Warning FailedGetResourceMetric: failed to get cpu utilization: missing request for cpu in container main of Pod web-0
        event Warning FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: missing request for cpu in container main of Pod web-0
        requeue after 15s
    "#]]);
}

#[test]
fn five_minutes_pass_before_it_shrinks() {
    let mut case = Case::cpu(4, 50, &[500; 4]);
    case.step();
    assert_eq!(case.later(60, 100), 4);
    assert_eq!(
        case.condition("AbleToScale"),
        "True ScaleDownStabilized: recent recommendations were higher than current one, applying the highest recent recommendation"
    );
    assert_eq!(case.later(200, 100), 4);
    assert_eq!(case.later(60, 100), 1);
    assert_eq!(
        case.condition("AbleToScale"),
        "True SucceededRescale: the HPA controller was able to update the target scale to 1"
    );
}

#[test]
fn policies_limit_what_a_period_may_change() {
    let rules = |kind: &str, value: i32, policy: &str| {
        json!({"selectPolicy": policy, "stabilizationWindowSeconds": 0,
            "policies": [{"type": kind, "value": value, "periodSeconds": 60}]})
    };
    let behavior = json!({"scaleUp": rules("Pods", 1, "Max"), "scaleDown": rules("Percent", 50, "Max")});
    let mut case = Case::cpu(2, 50, &[900, 900]).spec("behavior", behavior);
    assert_eq!(case.step(), 3);
    assert_eq!(case.later(15, 900), 3);
    assert_eq!(
        case.condition("ScalingLimited"),
        "True ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate"
    );
    assert_eq!(case.later(60, 900), 4);
    assert_eq!(case.later(70, 0), 2);
    assert_eq!(case.later(15, 0), 2);
    assert_eq!(case.later(60, 0), 1);
    let behavior = json!({"scaleUp": rules("Pods", 1, "Max"), "scaleDown": rules("Percent", 50, "Disabled")});
    replicas(Case::cpu(2, 50, &[0, 0]).spec("behavior", behavior), 2);
}

#[test]
fn a_window_of_going_up_waits_for_the_lowest_recommendation() {
    let up = json!({"selectPolicy": "Max", "stabilizationWindowSeconds": 60,
        "policies": [{"type": "Pods", "value": 9, "periodSeconds": 15}]});
    let down = json!({"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]});
    let mut case = Case::cpu(2, 50, &[500, 500]).spec("behavior", json!({"scaleUp": up, "scaleDown": down}));
    case.step();
    assert_eq!(case.later(30, 1000), 2);
    assert!(case.condition("AbleToScale").starts_with("True ScaleUpStabilized"));
    assert_eq!(case.later(45, 1000), 4);
}

#[test]
fn it_scales_to_zero_and_back_by_what_others_measure() {
    let queue = json!([{"type": "External", "external": {"metric": {"name": "queue"},
        "target": {"type": "Value", "value": "10"}}}]);
    let mut case = Case::new(1, queue).spec("minReplicas", json!(0)).reading(Reading::External(Ok(vec![0])));
    case.step();
    case.now += SignedDuration::from_mins(6);
    assert_eq!(case.step(), 0);
    case.step();
    assert_eq!(case.condition("ScaledToZero"), "True ScaledToZero: the HPA controller scaled the workload to zero");
    case.readings = vec![Reading::External(Ok(vec![25_000]))];
    assert_eq!(case.step(), 3);
    case.step();
    assert!(case.condition("ScaledToZero").starts_with("False NotScaledToZero"));
}

#[test]
fn who_scaled_to_zero_by_hand_is_left_alone() {
    let mut case = Case::cpu(0, 50, &[]);
    assert_eq!(case.step(), 0);
    assert_eq!(
        case.condition("ScalingActive"),
        "False ScalingDisabled: scaling is disabled since the replica count of the target is zero"
    );
}

#[test]
fn a_target_that_is_not_there_is_reported() {
    let case = Case::cpu(1, 50, &[10]);
    let mut world = case.world();
    world.observed.as_mut().unwrap().scale = Err("deployments.apps \"web\" not found".into());
    expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found" conditions[AbleToScale].reason=FailedGetScale conditions[AbleToScale].status=False desiredReplicas=0
        event Warning FailedGetScale: deployments.apps "web" not found
        requeue after 15s
    "#]].assert_eq(&case.controller.plan(&world, now()).to_string());
}

#[test]
fn two_autoscalers_of_the_same_pods_do_nothing() {
    let case = Case::cpu(1, 50, &[900]);
    let mut world = case.world();
    world.others = vec![(Key::new("default", "rival"), Selector::parse("app=web").unwrap())];
    expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was able to get the target's current scale" conditions[AbleToScale].reason=SucceededGetScale conditions[AbleToScale].status=True conditions[ScalingActive].message="pods by selector app=web are controlled by multiple HPAs: [{rival default} {web default}]" conditions[ScalingActive].reason=AmbiguousSelector conditions[ScalingActive].status=False currentReplicas=1 desiredReplicas=0
        event Warning AmbiguousSelector: pods by selector app=web are controlled by multiple HPAs: [{rival default} {web default}]
        event Warning FailedComputeMetricsReplicas: pods by selector app=web are controlled by multiple HPAs: [{rival default} {web default}]
        requeue after 15s
    "#]].assert_eq(&case.controller.plan(&world, now()).to_string());
}

#[test]
fn a_refused_rescale_is_told_and_tried_again() {
    let case = Case::cpu(2, 50, &[1000, 1000]);
    let refusal = orch_api::StatusError::new(orch_api::Reason::Forbidden, "no");
    case.controller.remember(&case.world(), now(), Some(&refusal.into()));
    case.check(expect![[r#"
        status HorizontalPodAutoscaler default/web conditions[AbleToScale].message="the HPA controller was unable to update the target scale: no" conditions[AbleToScale].reason=FailedUpdateScale conditions[AbleToScale].status=False conditions[ScalingActive].message="the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)" conditions[ScalingActive].reason=ValidMetricFound conditions[ScalingActive].status=True conditions[ScalingLimited].message="the desired count is within the acceptable range" conditions[ScalingLimited].reason=DesiredWithinRange conditions[ScalingLimited].status=False currentMetrics[Resource].resource.current.averageUtilization=100 currentMetrics[Resource].resource.current.averageValue=1 currentMetrics[Resource].resource.name=cpu currentReplicas=2 desiredReplicas=4
        event Warning FailedRescale: New size: 4; reason: cpu resource utilization (percentage of request) above target; error: no
        scale Deployment default/web spec.replicas=4
        event Normal SuccessfulRescale: New size: 4; reason: cpu resource utilization (percentage of request) above target
        requeue after 0ns
    "#]]);
}
