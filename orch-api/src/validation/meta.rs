//! Metadata of every object (`apimachinery/pkg/api/validation/objectmeta.go`).

use super::{
    at::At,
    names::{Complaints, mask_trailing_dash, qualified},
    selector::labels,
};
use crate::kind::{Kind, Scope};

/// What a kind demands of its objects' names.
pub(super) type NameRule = fn(&str) -> Complaints;

/// All keys and values of the annotations of an object.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Metadata of a new object.
pub(super) fn created(kind: &Kind, name: NameRule, meta: At<'_>) {
    within(kind.scope, name, meta);
}

/// Metadata of a new object of a scope.
pub(super) fn within(scope: Scope, name: NameRule, meta: At<'_>) {
    let prefix = meta.at("generateName");
    if !prefix.is_empty() {
        prefix.text(|text| name(&mask_trailing_dash(text)));
    }
    if meta.at("name").require("name or generateName is required") {
        meta.at("name").text(name);
    }
    let namespace = meta.at("namespace");
    match scope {
        Scope::Namespaced if namespace.require("") => namespace.text(super::names::dns_label),
        Scope::Cluster if !namespace.is_empty() => namespace.forbidden("not allowed on this type"),
        _ => {}
    }
    meta.at("generation").non_negative();
    labels(meta.at("labels"));
    annotations(meta.at("annotations"));
    owners(meta.at("ownerReferences"));
    finalizers(meta.at("finalizers"));
    managed_fields(meta.at("managedFields"));
}

/// Metadata of an update.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    if old.at("deletionTimestamp").is_set() {
        no_new_finalizers(new.at("finalizers"), old.at("finalizers"));
    }
    if new.at("generation").int().unwrap_or_default() < old.at("generation").int().unwrap_or_default() {
        new.at("generation").invalid("must not be decremented");
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        new.at(field).immutable(old.at(field));
    }
    labels(new.at("labels"));
    annotations(new.at("annotations"));
    owners(new.at("ownerReferences"));
    managed_fields(new.at("managedFields"));
}

/// Keys of annotations, and the size of all of them.
pub(super) fn annotations(at: At<'_>) {
    let mut size = 0;
    for (key, value) in at.entries() {
        size += key.len() + value.str().len();
        for message in qualified(&key.to_ascii_lowercase()) {
            at.invalid_as(key, message);
        }
    }
    if size > ANNOTATIONS_MAX {
        at.too_long(ANNOTATIONS_MAX);
    }
}

fn owners(at: At<'_>) {
    let mut controller: Option<String> = None;
    for owner in at.items() {
        owner_reference(at, owner);
        if !owner.at("controller").flag() {
            continue;
        }
        let name = format!("{}/{}", owner.at("kind").str(), owner.at("name").str());
        match &controller {
            Some(first) => at.invalid(format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
            )),
            None => controller = Some(name),
        }
    }
}

/// Faults of an owner reference stand, as upstream has it, on the list and not on its element.
fn owner_reference<'a>(list: At<'a>, owner: At<'a>) {
    let list = list.with(owner.value());
    let version = list.at("apiVersion");
    if version.str().is_empty() || version.str().ends_with('/') {
        version.invalid_as(version.str(), "version must not be empty");
    }
    for field in ["kind", "name", "uid"] {
        if list.at(field).is_empty() {
            list.at(field).invalid("must not be empty");
        }
    }
    if version.str() == "v1" && list.at("kind").str() == "Event" {
        list.invalid("/v1, Kind=Event is disallowed from being an owner");
    }
}

fn finalizers(at: At<'_>) {
    for name in at.items() {
        for message in qualified(name.str()) {
            at.invalid_as(name.str(), message);
        }
    }
    let has = |name: &str| at.list().iter().any(|f| f == name);
    if has("orphan") && has("foregroundDeletion") {
        at.invalid("finalizer orphan and foregroundDeletion cannot be both set");
    }
}

fn no_new_finalizers<'a>(new: At<'a>, old: At<'a>) {
    let mut extra: Vec<String> =
        new.list().iter().filter(|f| !old.list().contains(f)).map(ToString::to_string).collect();
    if !extra.is_empty() {
        extra.sort();
        let extra = extra.join(", ");
        new.forbidden(format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{extra}}}"
        ));
    }
}

fn managed_fields(at: At<'_>) {
    for entry in at.items() {
        if !matches!(entry.at("operation").str(), "Apply" | "Update") {
            entry.at("operation").invalid("must be `Apply` or `Update`");
        }
        if !matches!(entry.at("fieldsType").str(), "" | "FieldsV1") {
            entry.at("fieldsType").invalid("must be `FieldsV1`");
        }
        if entry.at("manager").str().len() > 128 {
            entry.at("manager").too_long(128);
        }
        if entry.at("subresource").str().len() > 256 {
            entry.at("subresource").too_long(256);
        }
    }
}
