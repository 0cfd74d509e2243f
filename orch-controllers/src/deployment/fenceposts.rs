//! How many pods a rollout may add and take away.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::util::intstr::IntOrString};
use orch_api::int_or_percent::{Round, scaled};

/// How many pods more than asked for may exist; zero unless the strategy is `RollingUpdate`.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    if super::is_recreate(deployment) { 0 } else { resolve(deployment).0 }
}

/// How many pods fewer than asked for may be available; zero unless the strategy is `RollingUpdate`.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    let wanted = super::rollout::wanted(deployment);
    if super::is_recreate(deployment) || wanted == 0 { 0 } else { resolve(deployment).1.min(wanted) }
}

/// Surge is rounded up and unavailability down; if both come to nothing one pod may be unavailable,
/// since otherwise the rollout could never begin.
fn resolve(deployment: &Deployment) -> (i32, i32) {
    let wanted = super::rollout::wanted(deployment);
    let rolling = deployment.spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".into());
    let surge = rolling.and_then(|r| r.max_surge.as_ref()).unwrap_or(&quarter);
    let unavailable = rolling.and_then(|r| r.max_unavailable.as_ref()).unwrap_or(&quarter);
    // What is neither a number nor a percentage counts as zero; validation refuses it.
    let resolve = |value, round| scaled(value, wanted, round).unwrap_or(0);
    match (resolve(surge, Round::Up), resolve(unavailable, Round::Down)) {
        (0, 0) => (0, 1),
        fenceposts => fenceposts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};

    #[track_caller]
    fn check(replicas: i32, surge: &str, unavailable: &str, expect: (i32, i32)) {
        let parse = |text: &str| Some(text.parse().map_or_else(|_| IntOrString::String(text.into()), IntOrString::Int));
        let mut deployment = fixtures::deployment("web", replicas);
        let rolling = RollingUpdateDeployment { max_surge: parse(surge), max_unavailable: parse(unavailable) };
        deployment.spec.strategy = Some(DeploymentStrategy { rolling_update: Some(rolling), type_: None });
        assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), expect);
    }

    #[test]
    fn surge_is_rounded_up_and_unavailability_down() {
        check(10, "25%", "25%", (3, 2));
        check(3, "25%", "25%", (1, 0));
        check(10, "3", "2", (3, 2));
    }

    #[test]
    fn one_of_the_two_is_never_zero() {
        check(1, "0", "25%", (0, 1));
        check(10, "0", "0", (0, 1));
    }

    #[test]
    fn no_more_can_be_unavailable_than_are_asked_for() {
        check(2, "0", "5", (0, 2));
        check(0, "1", "1", (1, 0));
    }
}
