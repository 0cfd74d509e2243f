//! [`Transform`]: what is kept of an object where not all of it is needed.

use crate::{
    Stored,
    client::{Result, WatchEvent, WatchStream},
    panics::caught,
};
use futures::StreamExt;
use serde_json::Value;
use std::sync::Arc;

/// Takes parts out of an object before it is kept.
pub type Transform = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// The object without what the transform takes out. Its key, its revision and its extracted metadata stay, whatever the
/// transform does; where it panics the object stays whole.
pub(super) fn object(transform: &Transform, whole: Arc<Stored>) -> Arc<Stored> {
    let smaller = || {
        let mut tree: Value = whole.parse().ok()?;
        transform(&mut tree);
        serde_json::to_vec(&tree).ok()
    };
    match caught(smaller) {
        Ok(Some(json)) => {
            let kept = Stored::new(whole.meta.clone(), json.into());
            Arc::new(kept.with_key(whole.key.clone()).with_revision(whole.revision))
        }
        Ok(None) => whole,
        Err(why) => {
            tracing::error!(key = %whole.key, why, "a transform panicked; the object is kept whole");
            whole
        }
    }
}

/// The events of a watch, with their objects transformed.
pub(super) fn events(transform: Option<&Transform>, events: WatchStream) -> WatchStream {
    let Some(transform) = transform.cloned() else { return events };
    let transformed = events.map(move |event: Result<WatchEvent>| {
        Ok(match event? {
            WatchEvent::Added(whole) => WatchEvent::Added(object(&transform, whole)),
            WatchEvent::Modified(whole) => WatchEvent::Modified(object(&transform, whole)),
            other => other,
        })
    });
    transformed.boxed()
}
