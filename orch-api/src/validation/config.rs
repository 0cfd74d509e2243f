//! ConfigMap and Secret (`ValidateConfigMap`, `ValidateSecret`).

use super::{at::At, names::config_key};
use serde_json::Value;

/// Bytes that all values together may have.
const MAX_SIZE: usize = 1024 * 1024;
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// ConfigMap.
pub(super) fn config_map(map: At<'_>) {
    let (data, binary) = (map.at("data"), map.at("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        config_key(key).into_iter().for_each(|message| value.invalid_as(key, message));
        if binary.value().is_some_and(|b| b.get(key).is_some()) {
            value.invalid_as(key, "duplicate of key present in binaryData");
        }
        size += value.str().len();
    }
    for (key, value) in binary.entries() {
        config_key(key).into_iter().for_each(|message| value.invalid_as(key, message));
        size += decoded_len(value.str());
    }
    if size > MAX_SIZE {
        map.too_long(MAX_SIZE);
    }
}

/// An update of a ConfigMap.
pub(super) fn config_map_updated<'a>(new: At<'a>, old: At<'a>) {
    immutable(new, old, &["data", "binaryData"]);
    config_map(new);
}

/// Secret.
pub(super) fn secret(secret: At<'_>) {
    let data = secret.at("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        config_key(key).into_iter().for_each(|message| value.invalid_as(key, message));
        size += decoded_len(value.str());
    }
    if size > MAX_SIZE {
        data.too_long(MAX_SIZE);
    }
    let need = |key: &'static str| {
        data.value().is_some_and(|d| d.get(key).is_some()) || {
            data.key(key).required("");
            false
        }
    };
    match secret.at("type").str() {
        "kubernetes.io/service-account-token" => {
            let name = secret.at("metadata").at("annotations").key("kubernetes.io/service-account.name");
            name.require("");
        }
        "kubernetes.io/dockercfg" => {
            need(".dockercfg");
        }
        "kubernetes.io/dockerconfigjson" => {
            need(".dockerconfigjson");
        }
        "kubernetes.io/basic-auth" if ["username", "password"].iter().all(|key| !data.at(key).is_set()) => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" => {
            data.key("ssh-privatekey").require("");
        }
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
}

/// An update of a Secret.
pub(super) fn secret_updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("type").immutable(old.at("type"));
    immutable(new, old, &["data"]);
    secret(new);
}

fn immutable<'a>(new: At<'a>, old: At<'a>, fields: &[&'static str]) {
    if !old.at("immutable").flag() {
        return;
    }
    if !new.at("immutable").flag() {
        new.at("immutable").forbidden(IMMUTABLE);
    }
    for field in fields {
        let map = |at: At<'_>| at.value().and_then(Value::as_object).cloned().unwrap_or_default();
        if map(new.at(field)) != map(old.at(field)) {
            new.at(field).forbidden(IMMUTABLE);
        }
    }
}

/// Bytes that a text in base64 stands for.
fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}
