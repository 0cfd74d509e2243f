//! How objects are converted: by whom, and where that is.

use super::tree::{get, has, text};
use crate::{
    FieldError, FieldErrors, Path,
    access::{condition, get as at, text as text_at, texts},
    crd::bundle,
    names,
};
use serde_json::Value;

pub(super) fn conversion(definition: &Value, old: Option<&Value>, path: &Path, out: &mut FieldErrors) {
    let Some(conversion) = at(definition, "spec.conversion").filter(|c| c.is_object()) else { return };
    let at_client = path.child("webhookClientConfig");
    let client = at(conversion, "webhook.clientConfig").filter(|c| !c.is_null());
    let versions: Vec<&str> = texts(conversion, "webhook.conversionReviewVersions").collect();
    match text(conversion, "strategy") {
        "Webhook" => {}
        "None" => {
            if client.is_some() {
                let words = "should not be set when strategy is not set to Webhook";
                out.push(FieldError::forbidden(&at_client, words));
            }
            if !versions.is_empty() {
                let words = "should not be set when strategy is not set to Webhook";
                out.push(FieldError::forbidden(&path.child("conversionReviewVersions"), words));
            }
            return;
        }
        "" => return out.push(FieldError::required(&path.child("strategy"), "")),
        other => return out.push(FieldError::not_supported(&path.child("strategy"), other, &["None", "Webhook"])),
    }
    match client {
        None => out.push(FieldError::required(&at_client, "required when strategy is set to Webhook")),
        Some(client) => match (has(client, "url"), get(client, "service")) {
            (true, Some(_)) | (false, None) => {
                out.push(FieldError::required(&at_client, "exactly one of url or service is required"));
            }
            (true, None) => url(text(client, "url"), &at_client.child("url"), out),
            (false, Some(service)) => service_reference(service, &at_client.child("service"), out),
        },
    }
    let bundle = client.map_or("", |client| text(client, "caBundle"));
    if let Some(why) = bundle::fault(bundle).filter(|_| !old.is_none_or(may_have_no_authority)) {
        out.push(FieldError::invalid(&at_client.child("caBundle"), bundle, why));
    }
    review_versions(&versions, old, &path.child("conversionReviewVersions"), out);
}

/// Whether a definition may have an unreadable bundle of authorities: it has already, or serves nothing yet.
fn may_have_no_authority(old: &Value) -> bool {
    let established = condition(old, "Established").is_some_and(|c| text_at(c, "status") == "True");
    !established || bundle::fault(text_at(old, "spec.conversion.webhook.clientConfig.caBundle")).is_some()
}

fn url(text: &str, path: &Path, out: &mut FieldErrors) {
    let form = "desired format: https://host[/path]";
    let Some(rest) = text.strip_prefix("https://") else {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let words = format!("'https' is the only allowed URL scheme; {form}");
        out.push(FieldError::invalid(path, scheme, words));
        return;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        out.push(FieldError::invalid(path, "", format!("host must be specified; {form}")));
    }
    if let Some((user, _)) = host.split_once('@') {
        let words = "user information is not permitted in the URL";
        out.push(FieldError::invalid(path, user, words));
    }
    for (sign, words) in
        [('#', "fragments are not permitted in the URL"), ('?', "query parameters are not permitted in the URL")]
    {
        if let Some((_, part)) = rest.split_once(sign) {
            out.push(FieldError::invalid(path, part, words));
        }
    }
}

fn service_reference(service: &Value, path: &Path, out: &mut FieldErrors) {
    for (field, words) in [("name", "service name is required"), ("namespace", "service namespace is required")] {
        if text(service, field).is_empty() {
            out.push(FieldError::required(&path.child(field), words));
        }
    }
    if let Some(port) = get(service, "port").and_then(Value::as_i64) {
        for why in names::port_number(port) {
            let words = format!("port is not valid: {why}");
            out.push(FieldError::invalid(&path.child("port"), port, words));
        }
    }
}

fn review_versions(versions: &[&str], old: Option<&Value>, path: &Path, out: &mut FieldErrors) {
    if versions.is_empty() {
        return out.push(FieldError::required(path, ""));
    }
    let known = |version: &&str| matches!(*version, "v1" | "v1beta1");
    for (i, version) in versions.iter().enumerate() {
        if versions.iter().take(i).any(|other| other == version) {
            out.push(FieldError::invalid(&path.index(i), *version, "duplicate version"));
            continue;
        }
        for why in names::dns1035_label(version) {
            out.push(FieldError::invalid(&path.index(i), *version, why));
        }
    }
    let lax = old.is_some_and(|old| {
        let mut before = texts(old, "spec.conversion.webhook.conversionReviewVersions").peekable();
        before.peek().is_some() && !before.any(|version| known(&version))
    });
    if !lax && !versions.iter().any(known) {
        out.push(FieldError::invalid(path, versions.to_vec(), "must include at least one of v1, v1beta1"));
    }
}
