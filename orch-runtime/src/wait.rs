//! Conditions to wait for, as `kube::runtime::wait::conditions`: functions of an object or its absence, for
//! [`ClientExt::wait_for`](orch_store::ClientExt::wait_for), which sees the state first and then every change.
//!
//! ```no_run
//! # use orch_runtime::wait::{self, Condition};
//! # use orch_store::{Client, ClientExt};
//! # use k8s_openapi::api::batch::v1::Job;
//! # async fn example(client: &dyn Client, key: &orch_api::Key) -> orch_store::client::Result<()> {
//! client.wait_for::<Job, _>(key, wait::job_completed.or(wait::job_failed)).await?;
//! # Ok(())
//! # }
//! ```

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{Pod, Service},
        networking::v1::Ingress,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use orch_api::{Object, conditions};

/// A function of an object or its absence, with the words to combine it.
pub trait Condition<K>: Fn(Option<&K>) -> bool + Sized {
    /// Both must hold at once.
    fn and(self, other: impl Fn(Option<&K>) -> bool) -> impl Fn(Option<&K>) -> bool {
        move |object: Option<&K>| self(object) && other(object)
    }

    /// One must hold.
    fn or(self, other: impl Fn(Option<&K>) -> bool) -> impl Fn(Option<&K>) -> bool {
        move |object: Option<&K>| self(object) || other(object)
    }

    /// It must not hold.
    fn not(self) -> impl Fn(Option<&K>) -> bool {
        move |object: Option<&K>| !self(object)
    }
}

impl<K, F: Fn(Option<&K>) -> bool> Condition<K> for F {}

/// The object exists.
pub fn exists<K>(object: Option<&K>) -> bool {
    object.is_some()
}

/// The object of that UID is gone; another one of the same name does not count as it.
pub fn deleted<K: Object>(uid: impl Into<String>) -> impl Fn(Option<&K>) -> bool {
    let uid = uid.into();
    move |object: Option<&K>| object.is_none_or(|object| object.uid() != uid)
}

/// The condition of that type in `status.conditions` is `True`, and not older than the object's generation where it says
/// so. For any kind, by its JSON.
pub fn condition_true<K: Object>(kind: impl Into<String>) -> impl Fn(Option<&K>) -> bool {
    let kind = kind.into();
    move |object: Option<&K>| {
        let Some(object) = object else { return false };
        let generation = object.meta().generation;
        let tree = orch_store::client::encode(object).unwrap_or_default();
        let all = tree.pointer("/status/conditions").and_then(|c| c.as_array());
        all.into_iter().flatten().any(|condition| {
            let seen = condition["observedGeneration"].as_i64();
            condition["type"] == *kind
                && condition["status"] == "True"
                && seen.is_none_or(|seen| Some(seen) >= generation)
        })
    }
}

/// The kind that the definition defines is served.
pub fn crd_established(crd: Option<&CustomResourceDefinition>) -> bool {
    let all = crd.and_then(|crd| crd.status.as_ref()?.conditions.as_ref());
    all.is_some_and(|all| conditions::is_true(all, "Established"))
}

/// The pod runs.
pub fn pod_running(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Running")
}

/// The pod is ready.
pub fn pod_ready(pod: Option<&Pod>) -> bool {
    let all = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
    all.is_some_and(|all| conditions::is_true(all, "Ready"))
}

/// The job has done its work.
pub fn job_completed(job: Option<&Job>) -> bool {
    job_is(job, "Complete")
}

/// The job has given up.
pub fn job_failed(job: Option<&Job>) -> bool {
    job_is(job, "Failed")
}

fn job_is(job: Option<&Job>, kind: &str) -> bool {
    let all = job.and_then(|job| job.status.as_ref()?.conditions.as_ref());
    all.is_some_and(|all| conditions::is_true(all, kind))
}

/// The deployment has as many replicas available as it must, of its present generation.
pub fn deployment_available(deployment: Option<&Deployment>) -> bool {
    let Some(deployment) = deployment else { return false };
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= deployment.metadata.generation
        && status.conditions.as_ref().is_some_and(|all| conditions::is_true(all, "Available"))
}

/// All replicas of the deployment are of its present template and available (`kubectl rollout status`).
pub fn deployment_completed(deployment: Option<&Deployment>) -> bool {
    let Some(deployment) = deployment else { return false };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= deployment.metadata.generation
        && [status.updated_replicas, status.replicas, status.available_replicas]
            .into_iter()
            .all(|count| count.unwrap_or(0) == wanted)
}

/// The load balancer of a service has an address.
pub fn service_provisioned(service: Option<&Service>) -> bool {
    let status = service.and_then(|service| service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref());
    status.is_some_and(|ingress| ingress.iter().any(|i| i.ip.is_some() || i.hostname.is_some()))
}

/// The ingress has an address.
pub fn ingress_provisioned(ingress: Option<&Ingress>) -> bool {
    let status = ingress.and_then(|ingress| ingress.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref());
    status.is_some_and(|ingress| ingress.iter().any(|i| i.ip.is_some() || i.hostname.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check<K: Object>(condition: impl Fn(Option<&K>) -> bool, object: Value, expect: bool) {
        let mut object = object;
        object["metadata"] = json!({"name": "a", "uid": "u", "generation": 2});
        let object: K = serde_json::from_value(object).unwrap();
        assert_eq!(condition(Some(&object)), expect);
    }

    fn conditions(kind: &str, status: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": status}]})
    }

    #[test]
    fn each_condition_reads_the_status_of_its_kind() {
        check(pod_running, json!({"status": {"phase": "Running"}}), true);
        check(pod_running, json!({"status": {"phase": "Pending"}}), false);
        check(pod_ready, json!({"status": conditions("Ready", "True")}), true);
        check(job_completed, json!({"status": conditions("Complete", "True")}), true);
        check(job_completed.or(job_failed), json!({"status": conditions("Failed", "True")}), true);
        check(job_completed.and(Condition::not(job_failed)), json!({"status": conditions("Failed", "True")}), false);
        check(condition_true::<Pod>("Ready"), json!({"status": conditions("Ready", "False")}), false);
        let balanced = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
        check(service_provisioned, balanced.clone(), true);
        check(ingress_provisioned, balanced, true);
    }

    #[test]
    fn a_status_of_an_older_generation_does_not_count() {
        let status = |seen| {
            json!({"spec": {"replicas": 2, "selector": {}, "template": {}}, "status": {
            "observedGeneration": seen, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Available", "status": "True"}]}})
        };
        check(deployment_available, status(2), true);
        check(deployment_completed, status(2), true);
        check(deployment_available, status(1), false);
        check(deployment_completed, status(1), false);
    }

    #[test]
    fn another_object_of_the_same_name_is_not_the_one_that_was_deleted() {
        check(deleted::<Pod>("u"), json!({}), false);
        check(deleted::<Pod>("older"), json!({}), true);
        assert!(deleted::<Pod>("u")(None));
    }
}
