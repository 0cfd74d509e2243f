//! Requests and limits (`validateResourceRequirements`, `ValidateResourceQuantityValue`).

use crate::{
    quantity::Quantity,
    validation::{
        at::At,
        names::{dns_label, qualified},
    },
};

/// Resources of a container; its claims must be claims of the pod.
pub(super) fn container(resources: At<'_>, pod_claims: At<'_>) {
    requirements(resources, container_resource_name);
    claims(resources.at("claims"), pod_claims);
}

/// Resources that a pod takes beside those of its containers.
pub(super) fn overhead(overhead: At<'_>) {
    for (name, amount) in overhead.entries() {
        container_resource_name(name, amount);
        quantity(name, amount);
    }
}

/// Resources of a pod as a whole.
pub(super) fn pod_resources(spec: At<'_>) {
    let resources = spec.at("resources");
    if !resources.is_set() {
        return;
    }
    if spec.at("os").at("name").str() == "windows" {
        return resources.forbidden("may not be set for a windows pod");
    }
    if resources.at("claims").is_set() {
        resources.at("claims").forbidden("claims may not be set for Resources at pod-level");
    }
    requirements(resources, |name, at| {
        if resource_name(name, at) && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
            at.not_supported(&["cpu", "hugepages-", "memory"]);
        }
    });
    for (i, container) in spec.at("containers").items().enumerate() {
        for (name, limit) in container.at("resources").at("limits").entries() {
            let whole = resources.at("limits").key(name);
            if let (Some(own), Some(all)) = (amount(limit), amount(whole))
                && own > all
            {
                let at = resources.at("containers").index(i).key(name).at("limits");
                at.invalid_as(limit.str(), format!("must be less than or equal to pod limits of {}", whole.str()));
            }
        }
    }
}

fn requirements(resources: At<'_>, check_name: impl Fn(&str, At<'_>)) {
    let (limits, requests) = (resources.at("limits"), resources.at("requests"));
    let (mut has_compute, mut has_huge_pages) = (false, false);
    let mut look = |name: &str, at: At<'_>| {
        check_name(name, at);
        quantity(name, at);
        has_compute |= matches!(name, "cpu" | "memory");
        if is_huge_page(name) {
            has_huge_pages = true;
            huge_pages(name, at);
        }
    };
    for (name, limit) in limits.entries() {
        look(name, limit);
    }
    for (name, request) in requests.entries() {
        look(name, request);
        let limit = limits.key(name);
        let order = amount(request).zip(amount(limit)).map(|(request, limit)| request.cmp(&limit));
        match order {
            None if !limit.is_set() && !can_overcommit(name) => {
                limits.required("Limit must be set for non overcommitable resources");
            }
            Some(order) if order.is_ne() && !can_overcommit(name) => {
                requests.invalid_as(request.str(), format!("must be equal to {name} limit of {}", limit.str()));
            }
            Some(std::cmp::Ordering::Greater) => {
                let message = format!("must be less than or equal to {name} limit of {}", limit.str());
                requests.invalid_as(request.str(), message);
            }
            _ => {}
        }
    }
    if has_huge_pages && !has_compute {
        resources.forbidden("HugePages require cpu or memory");
    }
}

/// The amount of a resource: not negative, and whole where the resource comes in pieces.
pub(in crate::validation) fn quantity(resource: &str, at: At<'_>) {
    let Some(value) = amount(at) else {
        return at
            .invalid("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    };
    if value.is_negative() {
        at.invalid("must be greater than or equal to 0");
    }
    if is_integer(resource) && !value.is_whole() {
        at.invalid("must be an integer");
    }
}

/// Whether the name of a resource is one; reports what is wrong with it.
pub(in crate::validation) fn resource_name(name: &str, at: At<'_>) -> bool {
    let complaints = qualified(name);
    let is_known = name.contains('/') || is_standard(name);
    let is_fine = complaints.is_empty();
    complaints.into_iter().for_each(|message| at.invalid_as(name, message));
    if is_fine && !is_known {
        at.invalid_as(name, "must be a standard resource type or fully qualified");
    }
    is_fine && is_known
}

/// Whether a container can ask for a resource of this name; reports what is wrong with it.
pub(in crate::validation) fn container_resource_name(name: &str, at: At<'_>) {
    resource_name(name, at);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            at.invalid_as(name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        at.invalid_as(name, "doesn't follow extended resource name standard");
    }
}

fn claims(claims: At<'_>, pod_claims: At<'_>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for claim in claims.items() {
        let (name, request) = (claim.at("name").str(), claim.at("request"));
        if name.is_empty() {
            claim.required("");
            continue;
        }
        if !request.is_empty() {
            request.text(dns_label);
        }
        let clashes = |(n, r): &(&str, &str)| *n == name && (r.is_empty() || request.is_empty() || *r == request.str());
        if seen.iter().any(clashes) {
            claim.duplicate_as(name);
        }
        seen.push((name, request.str()));
        let mut known: Vec<&str> = pod_claims.items().map(|c| c.at("name").str()).collect();
        if !known.contains(&name) {
            known.sort_unstable();
            let rest = if known.is_empty() { " which is empty".into() } else { format!(": {}", known.join(", ")) };
            let mut fault = crate::FieldError::not_found(&claim.path(), name);
            fault.detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
            claim.report(fault);
        }
    }
}

fn huge_pages(name: &str, at: At<'_>) {
    let size = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok());
    if let (Some(size), Some(value)) = (size.filter(|size| size.is_positive()), amount(at))
        && !value.is_multiple_of(size)
    {
        at.invalid(format!("{} is not positive integer multiple of {name}", at.str()));
    }
}

fn amount(at: At<'_>) -> Option<Quantity> {
    at.value().and_then(Quantity::of)
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && qualified(&format!("requests.{name}")).is_empty()
}

fn can_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_integer(name: &str) -> bool {
    const PIECES: [&str; 9] = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    PIECES.contains(&name) || is_extended(name)
}

fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage" | "storage")
        || ["requests.", "limits.", "hugepages-"].iter().any(|prefix| name.starts_with(prefix))
        || is_integer(name)
}
