//! Which families of addresses a Service has: what it asks for, what the cluster has, and what is filled in
//! (`initIPFamilyFields` of `pkg/registry/core/service/storage/alloc.go`).

use super::{network::Family, spec::Spec};
use orch_api::{FieldError, FieldErrors, Path, validation};
use serde_json::{Value, json};

const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";

/// Completes families and policy of a new or changed Service; `cluster` are the families that the cluster has, its default
/// first.
///
/// # Errors
/// What cannot be had.
pub(super) fn complete(
    service: &mut Value,
    new: &mut Spec,
    old: Option<&Spec>,
    cluster: &[Family],
) -> Result<(), FieldErrors> {
    if new.is_external() || old.is_some_and(|old| is_preferred_still(new, old)) {
        return Ok(());
    }
    if new.policy.is_none() {
        let before = old.and_then(|old| old.policy.clone());
        let default = if new.is_headless_without_selector() { REQUIRE } else { SINGLE };
        new.policy = Some(before.unwrap_or_else(|| default.into()));
    }
    new.write(service);
    sound(validation::service_addresses(service))?;

    let mut errors = FieldErrors::new();
    if let Some(old) = old {
        release(new, old, &mut errors);
    }
    check_single(new, &mut errors);
    infer(new, cluster, &mut errors);
    sound(errors)?;

    if new.is_headless_without_selector() {
        fill(new, cluster, true);
        return Ok(());
    }
    sound(configured(new, cluster))?;
    fill(new, cluster, cluster.len() == 2);
    Ok(())
}

fn sound(errors: FieldErrors) -> Result<(), FieldErrors> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A Service that prefers two families stays as it is when the cluster changes, until somebody changes what it asks for.
pub(super) fn is_preferred_still(new: &Spec, old: &Spec) -> bool {
    let prefers = new.has_policy(PREFER) && old.policy.as_deref().is_none_or(|policy| policy == PREFER);
    let has_addresses = matches!(&*new.kind, "ClusterIP" | "NodePort" | "LoadBalancer");
    prefers
        && has_addresses
        && new.kind == old.kind
        && new.cluster_ips == old.cluster_ips
        && new.families == old.families
}

/// A policy of one family lets go of the second; any other must not lose it by the way.
fn release(new: &mut Spec, old: &Spec, errors: &mut FieldErrors) {
    if new.has_policy(SINGLE) {
        if new.cluster_ips == old.cluster_ips {
            new.cluster_ips.truncate(1);
        }
        if new.families == old.families {
            new.families.truncate(1);
        }
        return;
    }
    let is_less = |new: &[String], old: &[String]| !new.is_empty() && new.len() < old.len();
    if is_less(&new.cluster_ips, &old.cluster_ips) {
        errors.push(policy(new, "must be 'SingleStack' to release the secondary cluster IP"));
    }
    if is_less(&new.families, &old.families) {
        errors.push(policy(new, "must be 'SingleStack' to release the secondary IP family"));
    }
}

fn check_single(new: &Spec, errors: &mut FieldErrors) {
    if !new.has_policy(SINGLE) {
        return;
    }
    for (list, what) in [(&new.cluster_ips, "cluster IPs"), (&new.families, "IP families")] {
        if list.len() == 2 {
            let words = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.push(policy(new, &words));
        }
    }
}

/// An address that is named says its family.
fn infer(new: &mut Spec, cluster: &[Family], errors: &mut FieldErrors) {
    for i in new.families.len()..new.cluster_ips.len() {
        let Some(ip) = new.cluster_ips.get(i).filter(|ip| *ip != "None") else { break };
        let Ok(family) = ip.parse().map(Family::of) else { continue };
        if cluster.contains(&family) {
            new.families.push(family.as_str().into());
        } else {
            let path = Path::new("spec").child("clusterIPs").index(i);
            let words = format!("{} is not configured on this cluster", family.as_str());
            errors.push(FieldError::invalid(&path, json!(new.cluster_ips), words));
        }
    }
}

/// The cluster must have what is asked for.
fn configured(new: &Spec, cluster: &[Family]) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if new.has_policy(REQUIRE) && cluster.len() < 2 {
        errors.push(policy(new, "this cluster is not configured for dual-stack services"));
    }
    for (i, name) in new.families.iter().enumerate() {
        if Family::parse(name).is_none_or(|family| !cluster.contains(&family)) {
            let path = Path::new("spec").child("ipFamilies").index(i);
            errors.push(FieldError::invalid(&path, name.as_str(), "not configured on this cluster"));
        }
    }
    errors
}

fn fill(new: &mut Spec, cluster: &[Family], may_have_two: bool) {
    if new.families.is_empty() {
        new.families = cluster.first().map(|family| family.as_str().into()).into_iter().collect();
    }
    if may_have_two && !new.has_policy(SINGLE) && new.families.len() == 1 {
        let second = new.family(0).map(|family| family.other().as_str().into());
        new.families.extend(second);
    }
}

fn policy(new: &Spec, words: &str) -> FieldError {
    FieldError::invalid(&Path::new("spec").child("ipFamilyPolicy"), new.policy.clone().unwrap_or_default(), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[Family] = &[Family::V4];
    const BOTH: &[Family] = &[Family::V4, Family::V6];

    /// The policy and the families that a Service gets, or what is wrong with it.
    fn complete_spec(new: Value, old: Option<Value>, cluster: &[Family]) -> String {
        let mut service = json!({"spec": new});
        if service["spec"].get("type").is_none() {
            service["spec"]["type"] = "ClusterIP".into();
        }
        let old = old.map(|mut spec| {
            spec["type"] = "ClusterIP".into();
            Spec::read(&json!({"spec": spec}))
        });
        let mut spec = Spec::read(&service);
        match &old {
            Some(old) => spec.align_with(old),
            None => spec.align(),
        }
        match complete(&mut service, &mut spec, old.as_ref(), cluster) {
            Ok(()) => format!("{} {}", spec.policy.unwrap_or_default(), spec.families.join(",")),
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    #[track_caller]
    fn created(new: Value, cluster: &[Family], expected: &str) {
        assert_eq!(complete_spec(new, None, cluster), expected);
    }

    #[track_caller]
    fn updated(new: Value, old: Value, expected: &str) {
        assert_eq!(complete_spec(new, Some(old), BOTH), expected);
    }

    #[test]
    fn a_service_has_one_family_unless_it_asks_for_two() {
        let selector = json!({"app": "web"});
        created(json!({}), V4, "SingleStack IPv4");
        created(json!({"selector": selector}), BOTH, "SingleStack IPv4");
        created(json!({"ipFamilies": ["IPv6"]}), BOTH, "SingleStack IPv6");
        created(json!({"ipFamilyPolicy": "PreferDualStack"}), V4, "PreferDualStack IPv4");
        created(json!({"ipFamilyPolicy": "PreferDualStack"}), BOTH, "PreferDualStack IPv4,IPv6");
        created(
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            BOTH,
            "RequireDualStack IPv6,IPv4",
        );
        created(json!({"clusterIP": "fd00::7"}), BOTH, "SingleStack IPv6");
        created(json!({"type": "ExternalName"}), BOTH, " ");
    }

    #[test]
    fn a_headless_service_without_a_selector_has_both_families_whatever_the_cluster_has() {
        created(json!({"clusterIP": "None"}), V4, "RequireDualStack IPv4,IPv6");
        created(json!({"clusterIP": "None", "selector": {"a": "b"}}), V4, "SingleStack IPv4");
        created(json!({"clusterIP": "None", "ipFamilyPolicy": "SingleStack"}), V4, "SingleStack IPv4");
    }

    #[test]
    fn what_the_cluster_does_not_have_is_refused() {
        created(
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            V4,
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
        );
        created(
            json!({"ipFamilies": ["IPv6"]}),
            V4,
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        );
        created(
            json!({"clusterIP": "fd00::7"}),
            V4,
            "spec.clusterIPs[0]: Invalid value: [\"fd00::7\"]: IPv6 is not configured on this cluster",
        );
    }

    #[test]
    fn what_is_asked_for_must_agree_with_itself() {
        created(
            json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4", "IPv6"]}),
            BOTH,
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when \
             multiple IP families are specified",
        );
        created(
            json!({"clusterIP": "10.0.0.7", "ipFamilies": ["IPv6"]}),
            BOTH,
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.7\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        );
    }

    #[test]
    fn an_update_adds_the_second_family_and_lets_go_of_it_by_its_policy_alone() {
        let one = json!({"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"});
        let two = json!({"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7", "fd00::7"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack"});
        let with = |base: &Value, field: &str, value: Value| {
            let mut changed = base.clone();
            changed[field] = value;
            changed
        };
        updated(json!({}), one.clone(), "SingleStack IPv4");
        updated(with(&one, "ipFamilyPolicy", json!("PreferDualStack")), one, "PreferDualStack IPv4,IPv6");
        updated(with(&two, "ipFamilyPolicy", json!("SingleStack")), two.clone(), "SingleStack IPv4");
        updated(
            with(&two, "clusterIPs", json!(["10.0.0.7"])),
            two.clone(),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary cluster IP",
        );
        updated(
            with(&two, "ipFamilies", json!(["IPv4"])),
            two,
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to release the secondary IP family",
        );
        let preferred = json!({"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "PreferDualStack"});
        updated(preferred.clone(), preferred, "PreferDualStack IPv4");
    }
}
