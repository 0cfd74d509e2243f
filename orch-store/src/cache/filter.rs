//! [`Filter`]: which objects a watcher wants.

use crate::Stored;
use std::{fmt, sync::Arc};

/// A condition on objects: label and field selectors, compiled by whoever knows them. It must depend
/// on the object alone, since a watch derives transitions from it. Cheap to clone.
#[derive(Clone)]
pub struct Filter(Arc<dyn Fn(&Stored) -> bool + Send + Sync>);

impl Filter {
    /// A filter from a condition.
    pub fn new(condition: impl Fn(&Stored) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(condition))
    }

    /// Whether the object is wanted.
    pub fn matches(&self, object: &Stored) -> bool {
        (self.0)(object)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}
