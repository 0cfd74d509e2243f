//! Watches of custom objects by fields: each event is brought into the version that is asked for, and then selected. An
//! object that begins to match is ADDED to its watcher, one that ceases to is DELETED.

use super::{convert, selection::Selection};
use crate::crd::Converter;
use futures::StreamExt;
use orch_api::{Key, Kind, StatusError};
use orch_store::client::{WatchEvent, WatchStream};
use std::collections::HashSet;

/// The events of the objects that the selectors select.
pub(crate) fn selected(converter: Converter, kind: Kind, selection: Selection, events: WatchStream) -> WatchStream {
    let state = (converter, kind, selection, HashSet::new(), events);
    let next = |(converter, kind, selection, mut known, mut events): (_, Kind, Selection, _, WatchStream)| async move {
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => convert::event(&converter, &kind, event).await,
                Err(error) => Err(error),
            };
            if let Some(event) = seen(&kind, &selection, &mut known, event) {
                return Some((event, (converter, kind, selection, known, events)));
            }
        }
        None
    };
    futures::stream::unfold(state, next).boxed()
}

/// The event as the watcher sees it; `None` where it is none of its business.
fn seen(
    kind: &Kind,
    selection: &Selection,
    known: &mut HashSet<Key>,
    event: Result<WatchEvent, StatusError>,
) -> Option<Result<WatchEvent, StatusError>> {
    let (object, gone) = match event {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, false),
        Ok(WatchEvent::Deleted(object)) => (object, true),
        other => return Some(other),
    };
    let matches = selection.matches_served(kind, &object);
    match (gone, matches) {
        (true, matches) => {
            let was = known.remove(&object.key);
            (was || matches).then_some(Ok(WatchEvent::Deleted(object)))
        }
        (false, true) => {
            let new = known.insert(object.key.clone());
            Some(Ok(if new { WatchEvent::Added(object) } else { WatchEvent::Modified(object) }))
        }
        (false, false) => known.remove(&object.key).then_some(Ok(WatchEvent::Deleted(object))),
    }
}
