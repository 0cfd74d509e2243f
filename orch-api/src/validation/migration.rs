//! StorageVersionMigration (`pkg/apis/storagemigration/validation`).

use super::{
    at::At,
    job_status::holds,
    names::{dns_1035_label, dns_subdomain},
};

/// A new migration.
pub(super) fn created(migration: At<'_>) {
    let of = migration.at("spec").at("resource");
    let (resource, group) = (of.at("resource"), of.at("group"));
    if resource.is_empty() {
        resource.required("resource is required to be set");
    } else {
        together(resource, dns_1035_label(resource.str()));
    }
    if !group.is_empty() {
        together(group, dns_subdomain(group.str()));
    }
}

fn together(at: At<'_>, complaints: Vec<String>) {
    if !complaints.is_empty() {
        at.invalid(complaints.join(","));
    }
}

/// An update: what is migrated stays.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    created(new);
    new.at("spec").immutable(old.at("spec"));
}

/// An update of the status: the revision stays, and so does what the migration has come to.
pub(super) fn status_updated<'a>(new: At<'a>, old: At<'a>) {
    let (status, before) = (new.at("status"), old.at("status"));
    let (revision, conditions) = (status.at("resourceVersion"), status.at("conditions"));
    if !revision.is_empty() && !is_revision(revision.str()) {
        revision.invalid(format!("resource version is not well formed: {}", revision.str()));
    }
    let settled = before.at("resourceVersion");
    if !settled.is_empty() && settled.str() != revision.str() {
        revision.invalid("field is immutable");
    }
    if holds(status, "Succeeded") && holds(status, "Failed") {
        conditions.invalid("Both success and failed conditions cannot be true at the same time");
    }
    for (kind, word) in [("Succeeded", "Success"), ("Failed", "Failed")] {
        if holds(before, kind) && !holds(status, kind) {
            conditions.invalid(format!("{word} condition cannot be set to false once it is true"));
        }
    }
}

/// A positive number without leading zeros (`apimachinery/pkg/util/resourceversion`).
fn is_revision(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}
