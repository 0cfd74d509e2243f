//! Services (`pkg/api/service/warnings.go`).

use crate::validation::at::At;

/// Fields that do nothing for this service, and words of the past.
pub(super) fn service(service: At<'_>, out: &mut Vec<String>) {
    if service.at("metadata").at("annotations").at("service.kubernetes.io/topology-aware-hints").is_set() {
        out.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
                .into(),
        );
    }
    let spec = service.at("spec");
    let is_name = spec.at("type").str() == "ExternalName";
    let is_headless = spec.at("type").str() == "ClusterIP" && spec.at("clusterIP").str() == "None";
    let has_ips = !spec.at("externalIPs").is_empty();
    if is_headless {
        if !spec.at("loadBalancerIP").is_empty() {
            out.push("spec.loadBalancerIP is ignored for headless services".into());
        }
        if has_ips {
            out.push("spec.externalIPs is ignored for headless services".into());
        }
        if spec.at("sessionAffinity").str() != "None" {
            out.push("spec.SessionAffinity is ignored for headless services".into());
        }
    } else if has_ips && !is_name {
        out.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
    }
    if is_name && has_ips {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if !is_name && !spec.at("externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    if spec.at("trafficDistribution").str() == "PreferClose" {
        out.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".into());
    }
}
