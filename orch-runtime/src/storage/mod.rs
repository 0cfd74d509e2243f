//! Volumes and claims as everybody looks at them who has a part in bringing them together: the binder, the scheduler, the
//! nodes. Projections of a few fields, and the pure rules of who fits whom
//! (`component-helpers/storage/volume/pv_helpers.go`).
//!
//! ```text
//! claim ── class ──► waits for a pod? ── yes ─► the scheduler picks the node ─┐
//!   │                                  no                                     ▼
//!   └─────────────► binder: best_match ◄──── volumes ◄──── provisioner of the node or of the class
//! ```

mod claim;
mod class;
mod fit;
pub mod marks;
mod modes;
mod volume;

pub use claim::{ClaimInfo, ClaimPhase};
pub use class::{CapacityInfo, ClassInfo, Topology};
pub use fit::{best_match, is_for, mismatch, reaches};
pub use modes::AccessModes;
pub use volume::{ClaimRef, CsiSource, Source, VolumeInfo, VolumePhase};

use orch_api::quantity::Quantity;
use std::{collections::BTreeMap, sync::Arc};

type Strings = BTreeMap<Arc<str>, Arc<str>>;

/// The metadata that is read.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Annotated {
    annotations: Strings,
}

/// The class that an annotation of old names, or the field.
fn class_of(annotations: &Strings, field: Option<Arc<str>>) -> Option<Arc<str>> {
    annotations.get(marks::CLASS_OF_OLD).cloned().or(field)
}

/// The amount of storage in a list of resources; zero without one.
fn storage(list: &Strings) -> Quantity {
    list.get("storage").and_then(|text| Quantity::parse(text).ok()).unwrap_or_default()
}
