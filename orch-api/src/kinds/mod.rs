//! The kinds table: a row for every stable kind that Kubernetes 1.37 serves, one file per group.
//!
//! Names, verbs and subresources are those of discovery; columns and their cells those of
//! `pkg/printers/internalversion`; selectable fields those of the `AddFieldLabelConversionFunc`s.

mod admission;
mod apps;
mod auth;
mod autoscaling;
mod batch;
mod cells;
mod certificates;
mod core;
mod event;
mod extension;
mod flow;
mod networking;
mod node;
mod pod;
mod rbac;
mod resource;
mod row;
mod storage;
#[cfg(test)]
mod tests;
mod usage;
mod volume;

pub use autoscaling::scale_columns;
pub use pod::row_conditions;

use crate::{
    Gvk, Gvr, Kind,
    kind::{Cell, Column},
};
use std::{collections::HashMap, sync::OnceLock};

/// All rows, by group and then in the order of discovery. Within a group the preferred version comes first.
pub fn all() -> &'static [Kind] {
    static ALL: OnceLock<Vec<Kind>> = OnceLock::new();
    ALL.get_or_init(|| {
        [
            core::kinds(),
            extension::aggregation(),
            apps::kinds(),
            event::kinds(),
            auth::authentication(),
            auth::authorization(),
            autoscaling::kinds(),
            batch::kinds(),
            certificates::kinds(),
            networking::kinds(),
            auth::policy(),
            rbac::kinds(),
            storage::kinds(),
            admission::kinds(),
            extension::kinds(),
            flow::scheduling(),
            flow::coordination(),
            node::runtime_classes(),
            networking::discovery(),
            flow::kinds(),
            resource::kinds(),
            storage::migration(),
            usage::kinds(),
        ]
        .concat()
    })
}

/// The identifying column, which every kind has.
pub fn name_column() -> Column {
    cells::name()
}

/// The column of custom kinds that declare none: the time since creation.
pub fn age_column() -> Column {
    Column { kind: "date".into(), cell: Cell::Path(".metadata.creationTimestamp".into()), ..cells::age() }
}

/// The row of a resource.
pub fn find(gvr: &Gvr) -> Option<&'static Kind> {
    static INDEX: OnceLock<HashMap<Gvr, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| all().iter().enumerate().map(|(i, kind)| (kind.gvr(), i)).collect());
    index.get(gvr).and_then(|i| all().get(*i))
}

/// The row of a kind.
pub fn find_kind(gvk: &Gvk) -> Option<&'static Kind> {
    static INDEX: OnceLock<HashMap<Gvk, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| all().iter().enumerate().map(|(i, kind)| (kind.gvk(), i)).collect());
    index.get(gvk).and_then(|i| all().get(*i))
}
