//! What a LimitRange forbids.

use crate::core::json;
use orch_api::{
    quantity::Quantity,
    quota::{Amounts, pod_in_limit_range, requests_and_limits},
};
use serde_json::Value;

/// The largest quantity that is compared by its thousandths.
const MAX_BY_MILLIS: i64 = i64::MAX / 1000;

/// What is wrong with a pod and its containers.
pub(super) fn of_pod(range: &Value, pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for limit in json::items(range, &["spec", "limits"]) {
        match json::text(limit, &["type"]) {
            "Container" => {
                let containers = json::items(pod, &["spec", "containers"]).iter();
                for container in containers.chain(json::items(pod, &["spec", "initContainers"])) {
                    let (requests, limits) = requests_and_limits(container);
                    faults.extend(check(limit, "Container", &requests, &limits));
                }
            }
            "Pod" => {
                let (requests, limits) = (pod_in_limit_range(pod, "requests"), pod_in_limit_range(pod, "limits"));
                faults.extend(check(limit, "Pod", &requests, &limits));
            }
            _ => {}
        }
    }
    faults
}

/// What is wrong with the size of a claim. Claims have no limits, so the maximum is one of what they request.
pub(super) fn of_claim(range: &Value, claim: &Value) -> Vec<String> {
    let requests = Amounts::read(json::at(claim, &["spec", "resources", "requests"]));
    let mut faults = Vec::new();
    for limit in json::items(range, &["spec", "limits"]) {
        let kind = "PersistentVolumeClaim";
        if json::text(limit, &["type"]) == kind {
            let (least, most) = (Amounts::read(limit.get("min")), Amounts::read(limit.get("max")));
            faults.extend(least.iter().filter_map(|(name, e)| min(kind, name, e, &requests, &Amounts::default())));
            faults.extend(most.iter().filter_map(|(name, e)| max_request(kind, name, e, requests.get(name))));
        }
    }
    faults
}

fn check(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let part = |field: &str| Amounts::read(limit.get(field));
    let (least, most, ratio) = (part("min"), part("max"), part("maxLimitRequestRatio"));
    let too_small = least.iter().filter_map(|(name, enforced)| min(kind, name, enforced, requests, limits));
    let too_large = most.iter().filter_map(|(name, enforced)| max(kind, name, enforced, requests, limits));
    let elastic = ratio.iter().filter_map(|(name, e)| too_elastic(kind, name, e, requests.get(name), limits.get(name)));
    too_small.chain(too_large).chain(elastic).collect()
}

fn min(kind: &str, name: &str, enforced: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let words = format!("minimum {name} usage per {kind} is {enforced}");
    match (requests.get(name), limits.get(name)) {
        (None, _) => Some(format!("{words}.  No request is specified")),
        (Some(request), _) if request < enforced => Some(format!("{words}, but request is {request}")),
        (_, Some(limit)) if limit < enforced => Some(format!("{words}, but limit is {limit}")),
        _ => None,
    }
}

fn max(kind: &str, name: &str, enforced: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let words = format!("maximum {name} usage per {kind} is {enforced}");
    match (requests.get(name), limits.get(name)) {
        (_, None) => Some(format!("{words}.  No limit is specified")),
        (_, Some(limit)) if limit > enforced => Some(format!("{words}, but limit is {limit}")),
        (Some(request), _) if request > enforced => Some(format!("{words}, but request is {request}")),
        _ => None,
    }
}

fn max_request(kind: &str, name: &str, enforced: Quantity, request: Option<Quantity>) -> Option<String> {
    let words = format!("maximum {name} usage per {kind} is {enforced}");
    match request {
        None => Some(format!("{words}.  No request is specified")),
        Some(request) if request > enforced => Some(format!("{words}, but request is {request}")),
        Some(_) => None,
    }
}

fn too_elastic(
    kind: &str,
    name: &str,
    enforced: Quantity,
    request: Option<Quantity>,
    limit: Option<Quantity>,
) -> Option<String> {
    let words = format!("{name} max limit to request ratio per {kind} is {enforced}");
    let is_set = |quantity: &Quantity| !quantity.is_zero();
    let Some(request) = request.filter(is_set) else {
        return Some(format!("{words}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(is_set) else {
        return Some(format!("{words}, but no limit is specified or limit is 0"));
    };
    let ratio = ratio(limit, request);
    let allowed = if enforced.value() <= MAX_BY_MILLIS { enforced.as_f64() } else { enforced.value() as f64 };
    (ratio > allowed).then(|| format!("{words}, but provided ratio is {ratio:.6}"))
}

/// In thousandths where those fit, in whole numbers otherwise.
fn ratio(limit: Quantity, request: Quantity) -> f64 {
    let fits = |quantity: Quantity| quantity.value() <= MAX_BY_MILLIS;
    match fits(limit) && fits(request) {
        true => limit.millis() as f64 / request.millis() as f64,
        false => limit.value() as f64 / request.value() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn range(kind: &str, fields: Value) -> Value {
        let mut limit = fields;
        limit["type"] = kind.into();
        json!({"spec": {"limits": [limit]}})
    }

    fn pod(requests: Value, limits: Value) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}})
    }

    fn check(range: &Value, pod: &Value, expected: &[&str]) {
        assert_eq!(of_pod(range, pod), expected);
    }

    #[test]
    fn a_container_must_not_be_smaller_or_larger_than_allowed() {
        let least = range("Container", json!({"min": {"cpu": "100m"}}));
        let words = "minimum cpu usage per Container is 100m";
        check(&least, &pod(json!({}), json!({})), &[&format!("{words}.  No request is specified")]);
        check(&least, &pod(json!({"cpu": "50m"}), json!({})), &[&format!("{words}, but request is 50m")]);
        check(&least, &pod(json!({"cpu": "1"}), json!({"cpu": "50m"})), &[&format!("{words}, but limit is 50m")]);
        check(&least, &pod(json!({"cpu": "100m"}), json!({})), &[]);

        let most = range("Container", json!({"max": {"memory": "1Gi"}}));
        let words = "maximum memory usage per Container is 1Gi";
        check(&most, &pod(json!({}), json!({})), &[&format!("{words}.  No limit is specified")]);
        check(&most, &pod(json!({}), json!({"memory": "2Gi"})), &[&format!("{words}, but limit is 2Gi")]);
        check(
            &most,
            &pod(json!({"memory": "2Gi"}), json!({"memory": "1Gi"})),
            &[&format!("{words}, but request is 2Gi")],
        );
    }

    #[test]
    fn a_container_must_not_stretch_more_than_allowed() {
        let ratio = range("Container", json!({"maxLimitRequestRatio": {"cpu": "2"}}));
        let words = "cpu max limit to request ratio per Container is 2";
        check(&ratio, &pod(json!({"cpu": "1"}), json!({"cpu": "2"})), &[]);
        check(
            &ratio,
            &pod(json!({"cpu": "1"}), json!({"cpu": "2500m"})),
            &[&format!("{words}, but provided ratio is 2.500000")],
        );
        check(
            &ratio,
            &pod(json!({}), json!({"cpu": "1"})),
            &[&format!("{words}, but no request is specified or request is 0")],
        );
        check(
            &ratio,
            &pod(json!({"cpu": "1"}), json!({})),
            &[&format!("{words}, but no limit is specified or limit is 0")],
        );
    }

    #[test]
    fn a_pod_is_limited_as_a_whole() {
        let most = range("Pod", json!({"max": {"cpu": "1"}}));
        let mut two = pod(json!({"cpu": "1"}), json!({"cpu": "800m"}));
        let one = two["spec"]["containers"][0].clone();
        two["spec"]["containers"].as_array_mut().unwrap().push(one);
        check(&most, &two, &["maximum cpu usage per Pod is 1, but limit is 1600m"]);
    }

    #[test]
    fn the_overhead_of_a_pod_and_its_own_hugepages_are_not_limited() {
        let most = range("Pod", json!({"max": {"cpu": "1", "hugepages-2Mi": "4Mi"}}));
        let amounts = json!({"cpu": "1", "hugepages-2Mi": "2Mi"});
        let mut pod = pod(amounts.clone(), amounts);
        pod["spec"]["overhead"] = json!({"cpu": "250m"});
        let own = json!({"cpu": "900m", "hugepages-2Mi": "8Mi"});
        pod["spec"]["resources"] = json!({"requests": own, "limits": own});
        check(&most, &pod, &[]);
        pod["spec"]["resources"]["limits"]["cpu"] = "2".into();
        check(&most, &pod, &["maximum cpu usage per Pod is 1, but limit is 2"]);
    }

    #[test]
    fn a_claim_is_limited_in_what_it_requests() {
        let range = range("PersistentVolumeClaim", json!({"min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}));
        let check = |size: &str, expected: &[&str]| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            assert_eq!(of_claim(&range, &claim), expected);
        };
        check("1Gi", &[]);
        check("3Gi", &["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]);
        check("1Mi", &["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]);
    }
}
