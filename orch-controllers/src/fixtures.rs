//! Objects that read like the situation, for the tests of this crate.

mod volumes;
pub(crate) use volumes::*;

use crate::common::owner::controller_ref;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        apps::v1::{
            DaemonSet, DaemonSetSpec, Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec, StatefulSet,
            StatefulSetSpec,
        },
        batch::v1::{CronJob, CronJobSpec, Job, JobSpec},
        core::v1::{Container, Namespace, Pod, PodCondition, PodSpec, PodStatus, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time},
};
use kube_core::Resource;
use orch_api::Object;
use std::collections::BTreeMap;

/// The time of all tests.
pub(crate) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

pub(crate) fn minutes_ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub(crate) fn meta(namespace: &str, name: &str, uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        uid: (!uid.is_empty()).then(|| uid.into()),
        generation: Some(1),
        creation_timestamp: Some(Time(minutes_ago(120))),
        ..ObjectMeta::default()
    }
}

pub(crate) fn template(image: &str, app: &str) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(&[("app", app)])), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            containers: vec![Container { name: "main".into(), image: Some(image.into()), ..Container::default() }],
            ..PodSpec::default()
        }),
    }
}

fn selector(app: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(&[("app", app)])), match_expressions: None }
}

pub(crate) fn deployment(name: &str, replicas: i32) -> Deployment {
    Deployment {
        metadata: meta("default", name, &format!("deployment-{name}")),
        spec: DeploymentSpec {
            replicas: Some(replicas),
            selector: selector(name),
            template: template("app:1", name),
            revision_history_limit: Some(10),
            progress_deadline_seconds: Some(600),
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

pub(crate) fn replica_set(name: &str, replicas: i32) -> ReplicaSet {
    ReplicaSet {
        metadata: meta("default", name, &format!("set-{name}")),
        spec: ReplicaSetSpec {
            replicas: Some(replicas),
            selector: selector(name),
            template: Some(template("app:1", name)),
            ..ReplicaSetSpec::default()
        },
        status: None,
    }
}

pub(crate) fn job(name: &str, completions: i32) -> Job {
    let spec = JobSpec {
        completions: Some(completions),
        parallelism: Some(2),
        selector: Some(selector(name)),
        template: template("app:1", name),
        ttl_seconds_after_finished: Some(60),
        ..JobSpec::default()
    };
    Job { metadata: meta("default", name, &format!("job-{name}")), spec: Some(spec), status: None }
}

pub(crate) fn cron_job(name: &str, schedule: &str) -> CronJob {
    let spec = CronJobSpec { schedule: schedule.into(), ..CronJobSpec::default() };
    CronJob { metadata: meta("default", name, &format!("cron-{name}")), spec, status: None }
}

pub(crate) fn pod_of_job(name: &str, job: &Job) -> Pod {
    let mut pod = pod(name, job.metadata.name.as_deref().unwrap());
    pod.metadata.owner_references = Some(vec![controller_ref(job)]);
    pod.metadata.finalizers = Some(vec![crate::job::TRACKING.into()]);
    pod
}

pub(crate) fn stateful_set(name: &str, replicas: i32) -> StatefulSet {
    StatefulSet {
        metadata: meta("default", name, &format!("stateful-{name}")),
        spec: StatefulSetSpec {
            replicas: Some(replicas),
            selector: selector(name),
            template: template("app:1", name),
            revision_history_limit: Some(10),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

pub(crate) fn daemon_set(name: &str) -> DaemonSet {
    DaemonSet {
        metadata: meta("default", name, &format!("daemon-{name}")),
        spec: DaemonSetSpec {
            selector: selector(name),
            template: template("app:1", name),
            revision_history_limit: Some(10),
            ..DaemonSetSpec::default()
        },
        status: None,
    }
}

pub(crate) fn pod(name: &str, app: &str) -> Pod {
    let PodTemplateSpec { metadata, spec } = template("app:1", app);
    let labels = metadata.and_then(|m| m.labels);
    Pod { metadata: ObjectMeta { labels, ..meta("default", name, "") }, spec, status: None }
}

pub(crate) fn pod_of_set(name: &str, set: &ReplicaSet) -> Pod {
    let mut pod = pod(name, set.metadata.name.as_deref().unwrap());
    pod.metadata.owner_references = Some(vec![controller_ref(set)]);
    pod
}

pub(crate) fn on_node(mut pod: Pod, node: &str) -> Pod {
    pod.spec.as_mut().unwrap().node_name = Some(node.into());
    phase(pod, "Running")
}

pub(crate) fn phase(mut pod: Pod, phase: &str) -> Pod {
    pod.status.get_or_insert_default().phase = Some(phase.into());
    pod
}

pub(crate) fn ready(pod: Pod, since: Timestamp) -> Pod {
    let mut pod = if pod.spec.as_ref().unwrap().node_name.is_some() { pod } else { on_node(pod, "n1") };
    pod.status.get_or_insert_default().conditions = Some(vec![PodCondition {
        type_: "Ready".into(),
        status: "True".into(),
        last_transition_time: Some(Time(since)),
        ..PodCondition::default()
    }]);
    phase(pod, "Running")
}

pub(crate) fn with_ip(mut pod: Pod, ip: &str) -> Pod {
    let status: &mut PodStatus = pod.status.get_or_insert_default();
    status.pod_ip = Some(ip.into());
    status.pod_ips = Some(vec![k8s_openapi::api::core::v1::PodIP { ip: ip.into() }]);
    pod
}

pub(crate) fn deleting<K: Object + Resource>(mut object: K) -> K {
    object.meta_mut().deletion_timestamp = Some(Time(now()));
    object
}

pub(crate) fn annotated<K: Object>(mut object: K, key: &str, value: &str) -> K {
    object.meta_mut().annotations.get_or_insert_default().insert(key.into(), value.into());
    object
}

pub(crate) fn labelled<K: Object>(mut object: K, pairs: &[(&str, &str)]) -> K {
    object.meta_mut().labels = Some(labels(pairs));
    object
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace { metadata: meta("", name, &format!("namespace-{name}")), ..Namespace::default() }
}

/// The plan's text against the snapshot.
#[track_caller]
pub(crate) fn expect_plan(plan: &orch_runtime::Plan, expect: &expect_test::Expect) {
    expect.assert_eq(&plan.to_string());
}
