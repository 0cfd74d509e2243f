//! The cluster IPs of a Service (`allocClusterIPs`, `updateClusterIPs` of `pkg/registry/core/service/storage/alloc.go`).

use super::{claims::Claims, families, spec::Spec};
use orch_api::{FieldError, Path, StatusError};
use serde_json::json;
use std::net::IpAddr;

/// Gives a new Service the addresses that it has none of yet.
pub(super) fn allocate(claims: &mut Claims<'_>, name: &str, spec: &mut Spec) -> Result<(), StatusError> {
    if spec.is_external() || spec.is_headless() {
        return Ok(());
    }
    spec.cluster_ips.resize(spec.cluster_ips.len().max(spec.families.len()), String::new());
    for i in 0..spec.families.len() {
        allocate_one(claims, name, spec, i)?;
    }
    spec.cluster_ip = spec.cluster_ips.first().cloned().unwrap_or_default();
    Ok(())
}

/// Takes what a changed Service has got and lets go of what it has lost. The first address is never exchanged for another.
pub(super) fn update(claims: &mut Claims<'_>, name: &str, new: &mut Spec, old: &Spec) -> Result<(), StatusError> {
    if families::is_preferred_still(new, old) {
        return Ok(());
    }
    if old.is_external() {
        return allocate(claims, name, new);
    }
    if old.is_headless() {
        return Ok(());
    }
    if new.is_external() {
        return release(claims, old);
    }
    match (old.families.len(), new.families.len()) {
        (1, 2) => {
            new.cluster_ips.resize(2, String::new());
            allocate_one(claims, name, new, 1)
        }
        (2, 1) => old.cluster_ips.get(1).and_then(|ip| ip.parse().ok()).map_or(Ok(()), |ip| claims.drop_ip(ip)),
        _ => Ok(()),
    }
}

/// Lets go of all addresses of a Service.
pub(super) fn release(claims: &mut Claims<'_>, spec: &Spec) -> Result<(), StatusError> {
    spec.addresses().iter().filter_map(|ip| ip.parse().ok()).try_for_each(|ip| claims.drop_ip(ip))
}

/// Takes the address that a Service names at a place, or any of the family that it asks for there.
fn allocate_one(claims: &mut Claims<'_>, name: &str, spec: &mut Spec, i: usize) -> Result<(), StatusError> {
    let asked = spec.cluster_ips.get(i).cloned().unwrap_or_default();
    if !asked.is_empty() {
        let Ok(ip) = asked.parse::<IpAddr>() else {
            return Err(StatusError::internal(format_args!("failed to parse service IP {asked:?}")));
        };
        return claims.take_ip(ip)?.map_err(|why| {
            let path = Path::new("spec").child("clusterIPs");
            let why = format!("failed to allocate IP {asked}: {why}");
            let error = FieldError::invalid(&path, json!(spec.cluster_ips), why);
            StatusError::invalid("", "Service", name, &[error])
        });
    }
    let drawn = spec.family(i).map_or(Ok(None), |family| claims.draw_ip(family))?;
    let Some(ip) = drawn else {
        let words = format_args!("failed to allocate a serviceIP for Service {name:?}: range is full");
        return Err(StatusError::internal(words));
    };
    if let Some(place) = spec.cluster_ips.get_mut(i) {
        *place = ip.to_string();
    }
    Ok(())
}
