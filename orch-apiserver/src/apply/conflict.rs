//! Refusals of apply: other managers own fields that the configuration wants to change.

use super::{managed::Entry, set::Set};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
use orch_api::{Reason, StatusError};

/// Fields of one other manager that an apply would change.
#[derive(Clone, Debug)]
pub(super) struct Conflict {
    pub(super) owner: Entry,
    pub(super) fields: Set,
}

/// The 409 with one cause per field, in upstream's words.
pub(super) fn refusal(mut conflicts: Vec<Conflict>) -> StatusError {
    conflicts.sort_by(|a, b| a.owner.identity().cmp(&b.owner.identity()));
    let all: Vec<(String, Vec<String>)> = conflicts.iter().map(|c| (c.owner.words(), c.fields.paths())).collect();
    let causes = all.iter().flat_map(|(owner, paths)| {
        paths.iter().map(move |path| StatusCause {
            reason: Some("FieldManagerConflict".into()),
            message: Some(format!("conflict with {owner}")),
            field: Some(path.clone()),
        })
    });
    let causes: Vec<StatusCause> = causes.collect();
    StatusError::new(Reason::Conflict, message(&all, causes.len()))
        .with_details(StatusDetails { causes: Some(causes), ..StatusDetails::default() })
}

fn message(all: &[(String, Vec<String>)], count: usize) -> String {
    if let ([(owner, paths)], 1) = (all, count) {
        return format!("Apply failed with 1 conflict: conflict with {owner}: {}", paths.concat());
    }
    let mut lines = Vec::new();
    for (owner, paths) in all {
        lines.push(format!("conflicts with {owner}:"));
        lines.extend(paths.iter().map(|path| format!("- {path}")));
    }
    format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
}
