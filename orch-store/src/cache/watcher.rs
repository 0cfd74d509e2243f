//! [`Watcher`]: one reader's way through the events of a resource.

use super::{
    Filter, ResourceCache,
    cursor::{Cursor, Wants},
};
use crate::{
    Revision,
    backend::BackendError,
    client::{ReadAt, WatchEvent},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With the first event after a revision.
    After(Revision),
    /// With the state, at least as fresh as asked, as ADDED events (`resourceVersion` unset or 0).
    State(ReadAt),
    /// The same, and a bookmark that ends the initial events (`sendInitialEvents`, KEP-3157).
    Initial(ReadAt),
}

/// The events of a watch, as a stream. Ends without an error when its timeout has passed.
///
/// Takes nothing from writers: events wait in the window, shared by all watchers, and a watcher that
/// falls out of it ends with [`BackendError::Compacted`].
pub struct Watcher(Inner);

enum Inner {
    Idle(Option<Box<Cursor>>),
    Running(BoxStream<'static, Result<WatchEvent, BackendError>>),
}

impl Watcher {
    pub(super) fn new(
        cache: Arc<ResourceCache>,
        start: WatchStart,
        namespace: Option<Arc<str>>,
        filter: Option<Filter>,
        bookmark_interval: Duration,
    ) -> Self {
        let wants = Wants { namespace, filter };
        Self(Inner::Idle(Some(Box::new(Cursor::new(cache, start, wants, bookmark_interval)))))
    }

    /// Fixes where a watch begins that begins with the newest state, which is else what there is when its first event is
    /// read: what happens after this is an event. To be called before the first event is read.
    ///
    /// # Errors
    /// When the state cannot be had.
    pub async fn begin(&mut self) -> Result<(), BackendError> {
        match &mut self.0 {
            Inner::Idle(Some(cursor)) => cursor.begin().await,
            _ => Ok(()),
        }
    }

    /// Asks for a bookmark every minute and at the end, which tell how far the watch is. To be called
    /// before the first event is read.
    #[must_use]
    pub fn with_bookmarks(mut self) -> Self {
        if let Inner::Idle(Some(cursor)) = &mut self.0 {
            cursor.send_bookmarks();
        }
        self
    }

    /// Ends the watch after a while. To be called before the first event is read.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Inner::Idle(Some(cursor)) = &mut self.0 {
            cursor.end_after(timeout);
        }
        self
    }
}

impl Stream for Watcher {
    type Item = Result<WatchEvent, BackendError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Inner::Idle(cursor) = &mut self.0 {
            let cursor = cursor.take();
            let stream = futures::stream::unfold(cursor, |cursor| async move {
                let mut cursor = cursor?;
                match cursor.next().await {
                    Ok(Some(event)) => Some((Ok(event), Some(cursor))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            });
            self.0 = Inner::Running(stream.fuse().boxed());
        }
        match &mut self.0 {
            Inner::Running(stream) => stream.poll_next_unpin(context),
            Inner::Idle(_) => Poll::Ready(None),
        }
    }
}
