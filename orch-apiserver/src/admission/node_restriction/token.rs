//! Which tokens a kubelet may ask for: those that its own pods mount.

use super::{Operation, Review, View};
use crate::{admission::PODS, authz::Attributes, core::json};
use orch_api::{Gvr, Key, StatusError};
use serde_json::Value;

const CLAIMS: Gvr = Gvr::of("", "v1", "persistentvolumeclaims");
const VOLUMES: Gvr = Gvr::of("", "v1", "persistentvolumes");
const DRIVERS: Gvr = Gvr::of("storage.k8s.io", "v1", "csidrivers");

pub(super) async fn check(
    view: &View<'_>,
    review: &Review<'_>,
    node: &str,
    request: &Value,
) -> Result<Result<(), String>, StatusError> {
    if review.operation != Operation::Create {
        return Ok(Ok(()));
    }
    let bound = |field: &str| json::text(request, &["spec", "boundObjectRef", field]);
    let (name, uid) = (bound("name"), bound("uid"));
    if (bound("apiVersion"), bound("kind")) != ("v1", "Pod") || name.is_empty() {
        return Ok(Err("node requested token not bound to a pod".into()));
    }
    if uid.is_empty() {
        return Ok(Err("node requested token with a pod binding without a uid".into()));
    }
    let found = view.find(&PODS, &Key::new(review.key.namespace.clone(), name)).await?;
    let found = found.ok_or_else(|| StatusError::not_found(&PODS, name))?;
    if uid != &*found.meta.uid {
        return Ok(Err(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        )));
    }
    let pod: Value = found.parse()?;
    if json::text(&pod, &["spec", "nodeName"]) != node {
        return Ok(Err("node requested token bound to a pod scheduled on a different node".into()));
    }
    check_audience(view, review, request, &pod).await
}

async fn check_audience(
    view: &View<'_>,
    review: &Review<'_>,
    request: &Value,
    pod: &Value,
) -> Result<Result<(), String>, StatusError> {
    let audience = match json::items(request, &["spec", "audiences"]) {
        [] => "",
        [one] => one.as_str().unwrap_or_default(),
        _ => return Ok(Err("node may only request 0 or 1 audiences".into())),
    };
    if mentions(view, review, pod, audience).await? {
        return Ok(Ok(()));
    }
    let user = review.user();
    let asked = Attributes::resource(user, "request-serviceaccounts-token-audience", "", audience)
        .within(&review.key.namespace)
        .named(&review.key.name);
    match view.authorize(&asked).is_allowed() {
        true => Ok(Ok(())),
        false => Ok(Err(format!(
            "audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
            user.name
        ))),
    }
}

/// Whether a volume of the pod, or the driver of one, wants tokens for an audience.
async fn mentions(view: &View<'_>, review: &Review<'_>, pod: &Value, audience: &str) -> Result<bool, StatusError> {
    for volume in json::items(pod, &["spec", "volumes"]) {
        let sources = json::items(volume, &["projected", "sources"]).iter();
        let mut tokens = sources.filter_map(|source| source.get("serviceAccountToken"));
        if tokens.any(|token| json::text(token, &["audience"]) == audience) {
            return Ok(true);
        }
        let claim = match json::at(volume, &["ephemeral", "volumeClaimTemplate"]) {
            Some(_) => format!("{}-{}", json::meta(pod, "name"), json::text(volume, &["name"])),
            None => json::text(volume, &["persistentVolumeClaim", "claimName"]).to_owned(),
        };
        let driver = match &*claim {
            "" => json::text(volume, &["csi", "driver"]).to_owned(),
            claim => driver_of(view, &Key::new(review.key.namespace.clone(), claim)).await?,
        };
        if !driver.is_empty() && driver_wants(view, &driver, audience).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn driver_of(view: &View<'_>, claim: &Key) -> Result<String, StatusError> {
    let Some(claim) = view.find(&CLAIMS, claim).await? else { return Ok(String::new()) };
    let claim: Value = claim.parse()?;
    let volume = Key::cluster(json::text(&claim, &["spec", "volumeName"]));
    let Some(volume) = view.find(&VOLUMES, &volume).await? else { return Ok(String::new()) };
    let volume: Value = volume.parse()?;
    Ok(json::text(&volume, &["spec", "csi", "driver"]).to_owned())
}

async fn driver_wants(view: &View<'_>, driver: &str, audience: &str) -> Result<bool, StatusError> {
    let Some(driver) = view.find(&DRIVERS, &Key::cluster(driver)).await? else { return Ok(false) };
    let driver: Value = driver.parse()?;
    let requests = json::items(&driver, &["spec", "tokenRequests"]);
    Ok(requests.iter().any(|request| json::text(request, &["audience"]) == audience))
}
