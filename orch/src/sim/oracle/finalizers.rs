//! What finalizers are for.

use super::{Judge, Oracle};
use crate::sim::state::{Verb, Write};

/// Nothing is removed while somebody has still to do something about it, and nobody is asked to once it is being
/// deleted.
pub struct Finalizers;

impl Oracle for Finalizers {
    fn name(&self) -> &'static str {
        "finalizers"
    }

    fn judge(&mut self, write: &Write, _: &Judge<'_>) -> Result<(), String> {
        let Some(old) = &write.old else { return Ok(()) };
        let of =
            |seen: &crate::sim::state::Seen| seen.at("/metadata/finalizers").as_array().cloned().unwrap_or_default();
        let before = of(old);
        if write.verb == Verb::Delete && before.len() > 1 {
            // The write that removes the last finalizer removes the object with it; more than one cannot go so.
            return Err(format!("{old} is gone although {before:?} are still there"));
        }
        if let Some(new) = &write.new {
            let added = of(new).into_iter().find(|finalizer| !before.contains(finalizer));
            // The server itself adds what the kind of a deletion asks for, in the write that begins it.
            if old.is_deleting()
                && let Some(added) = added
            {
                return Err(format!("{new} is being deleted, and {added} was added to its finalizers"));
            }
        }
        Ok(())
    }
}
