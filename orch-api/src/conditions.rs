//! Conditions of a status: finding and setting them, the same for every kind's own type.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A condition of any kind.
pub trait Condition: Clone + PartialEq {
    /// What it is about, such as `Ready`.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// A word for machines, may be empty.
    fn reason(&self) -> &str;
    /// Words for people, may be empty.
    fn message(&self) -> &str;
    /// When the status last changed.
    fn last_transition(&self) -> Option<Timestamp>;
    /// Sets when the status last changed.
    fn set_last_transition(&mut self, at: Option<Timestamp>);
}

/// The condition of that type.
pub fn find<'a, C: Condition>(conditions: impl IntoIterator<Item = &'a C>, kind: &str) -> Option<&'a C> {
    conditions.into_iter().find(|c| c.kind() == kind)
}

/// Whether the condition of that type is there and `True`.
pub fn is_true<'a, C: Condition + 'a>(conditions: impl IntoIterator<Item = &'a C>, kind: &str) -> bool {
    find(conditions, kind).is_some_and(|c| c.status() == "True")
}

/// Puts a condition in place of that of its type, or adds it. `lastTransitionTime` becomes `now` where the status
/// changes and stays where it does not. Answers whether anything changed.
pub fn set<C: Condition>(conditions: &mut Vec<C>, mut condition: C, now: Timestamp) -> bool {
    let Some(old) = conditions.iter_mut().find(|c| c.kind() == condition.kind()) else {
        condition.set_last_transition(condition.last_transition().or(Some(now)));
        conditions.push(condition);
        return true;
    };
    let since = if old.status() == condition.status() { old.last_transition() } else { Some(now) };
    condition.set_last_transition(since);
    let changed = *old != condition;
    *old = condition;
    changed
}

/// Removes the condition of that type. Answers whether it was there.
pub fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.kind() != kind);
    conditions.len() < before
}

/// A text that some types require and others leave out.
trait Text {
    fn text(&self) -> &str;
}

impl Text for String {
    fn text(&self) -> &str {
        self
    }
}

impl Text for Option<String> {
    fn text(&self) -> &str {
        self.as_deref().unwrap_or_default()
    }
}

macro_rules! condition {
    ($($kind:ty,)*) => {$(
        impl Condition for $kind {
            fn kind(&self) -> &str {
                self.type_.text()
            }
            fn status(&self) -> &str {
                self.status.text()
            }
            fn reason(&self) -> &str {
                self.reason.text()
            }
            fn message(&self) -> &str {
                self.message.text()
            }
            fn last_transition(&self) -> Option<Timestamp> {
                self.last_transition_time.as_ref().map(|time| time.0)
            }
            fn set_last_transition(&mut self, at: Option<Timestamp>) {
                self.last_transition_time = at.map(Time);
            }
        }
    )*};
}

condition! {
    k8s_openapi::api::apps::v1::DaemonSetCondition,
    k8s_openapi::api::apps::v1::DeploymentCondition,
    k8s_openapi::api::apps::v1::ReplicaSetCondition,
    k8s_openapi::api::apps::v1::StatefulSetCondition,
    k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition,
    k8s_openapi::api::batch::v1::JobCondition,
    k8s_openapi::api::certificates::v1::CertificateSigningRequestCondition,
    k8s_openapi::api::core::v1::NamespaceCondition,
    k8s_openapi::api::core::v1::NodeCondition,
    k8s_openapi::api::core::v1::PersistentVolumeClaimCondition,
    k8s_openapi::api::core::v1::PodCondition,
    k8s_openapi::api::core::v1::ReplicationControllerCondition,
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionCondition,
    k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIServiceCondition,
}

impl Condition for k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    fn kind(&self) -> &str {
        self.type_.text()
    }
    fn status(&self) -> &str {
        self.status.text()
    }
    fn reason(&self) -> &str {
        &self.reason
    }
    fn message(&self) -> &str {
        &self.message
    }
    /// The field is required: the epoch stands for a time that is not known yet.
    fn last_transition(&self) -> Option<Timestamp> {
        (self.last_transition_time.0 != Timestamp::UNIX_EPOCH).then_some(self.last_transition_time.0)
    }
    fn set_last_transition(&mut self, at: Option<Timestamp>) {
        self.last_transition_time = Time(at.unwrap_or(Timestamp::UNIX_EPOCH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodCondition;

    fn ready(status: &str, reason: &str) -> PodCondition {
        PodCondition {
            type_: "Ready".into(),
            status: status.into(),
            reason: Some(reason.into()),
            ..PodCondition::default()
        }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, ready("False", "a"), at(1)));
        assert!(set(&mut conditions, ready("False", "b"), at(2)));
        assert_eq!(find(&conditions, "Ready").unwrap().last_transition(), Some(at(1)));
        assert!(!set(&mut conditions, ready("False", "b"), at(3)));
        assert!(set(&mut conditions, ready("True", "b"), at(4)));
        assert_eq!(find(&conditions, "Ready").unwrap().last_transition(), Some(at(4)));
        assert!(is_true(&conditions, "Ready"));
        assert!(remove(&mut conditions, "Ready") && conditions.is_empty());
    }
}
