//! The laws of [`Backend`] as tests that any implementation can run.
//!
//! ```no_run
//! # async fn example() {
//! use orch_store::backend::{MemoryBackend, conformance};
//! conformance::all(|| async { MemoryBackend::new() }).await;
//! # }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use super::{Backend, BackendError, Batch, Batches, Condition, Durability, Range, Revision, Txn, Value, Write};
use futures::StreamExt;
use std::{future::Future, time::Duration};

/// Runs every law against a fresh backend.
pub async fn all<B: Backend, F: Future<Output = B>>(fresh: impl Fn() -> F) {
    revisions_grow_by_one(&fresh().await).await;
    a_transaction_commits_whole_or_not_at_all(&fresh().await).await;
    conditions_are_checked_when_committing(&fresh().await).await;
    a_value_carries_the_revision_that_wrote_it(&fresh().await).await;
    ranges_are_in_key_order_and_page(&fresh().await).await;
    the_past_can_be_read_until_it_is_compacted(&fresh().await).await;
    a_watch_is_ordered_whole_and_resumable(&fresh().await).await;
    a_watch_only_sees_its_prefix(&fresh().await).await;
    a_watch_that_opens_at_the_compaction_revision_misses_nothing(&fresh().await).await;
    a_watch_of_the_future_is_refused(&fresh().await).await;
    a_closed_backend_refuses(&fresh().await).await;
    concurrent_writers_lose_nothing(&fresh().await).await;
}

/// A put of a JSON object that has a slot for its revision.
pub fn put(key: &str, text: &str, condition: Condition) -> Write {
    let head = r#"{"resourceVersion":""#;
    let json = format!(r#"{head}","text":"{text}"}}"#);
    let value = Value { json: json.into(), slot: Some(head.len() as u32) };
    Write { key: key.into(), condition, value: Some(value), durability: Durability::Synced }
}

/// A deletion.
pub fn delete(key: &str, condition: Condition) -> Write {
    Write { key: key.into(), condition, value: None, durability: Durability::Synced }
}

/// Commits one write.
pub async fn commit(backend: &dyn Backend, write: Write) -> Result<Revision, BackendError> {
    backend.commit(Txn { writes: vec![write] }).await
}

/// The keys below a prefix, now or at a revision.
pub async fn keys(backend: &dyn Backend, prefix: &str, at: Option<Revision>) -> Vec<String> {
    let range = Range { prefix: prefix.into(), at, ..Range::default() };
    backend.range(range).await.unwrap().entries.iter().map(|e| e.key.to_string()).collect()
}

async fn revisions_grow_by_one(b: &dyn Backend) {
    let start = b.revision().await.unwrap();
    let one = commit(b, put("/a", "1", Condition::Any)).await.unwrap();
    let two = commit(b, put("/b", "2", Condition::Any)).await.unwrap();
    assert_eq!((one, two), (start.next(), start.next().next()));
    assert_eq!(b.revision().await.unwrap(), two);
}

async fn a_transaction_commits_whole_or_not_at_all(b: &dyn Backend) {
    let both = |condition| Txn { writes: vec![put("/a", "x", Condition::Absent), put("/b", "x", condition)] };
    let refused = b.commit(both(Condition::At(Revision(7)))).await;
    assert!(matches!(refused, Err(BackendError::Conflict { ref key, actual: None }) if &**key == "/b"), "{refused:?}");
    assert!(keys(b, "/", None).await.is_empty());
    let revision = b.commit(both(Condition::Absent)).await.unwrap();
    let reply = b.range(Range { prefix: "/".into(), ..Range::default() }).await.unwrap();
    assert!(reply.entries.iter().all(|e| e.revision == revision) && reply.entries.len() == 2);
}

async fn conditions_are_checked_when_committing(b: &dyn Backend) {
    let first = commit(b, put("/a", "1", Condition::Absent)).await.unwrap();
    let taken = commit(b, put("/a", "2", Condition::Absent)).await;
    assert!(matches!(taken, Err(BackendError::Conflict { actual: Some(r), .. }) if r == first));
    let second = commit(b, put("/a", "2", Condition::At(first))).await.unwrap();
    assert!(commit(b, delete("/a", Condition::At(first))).await.is_err());
    commit(b, delete("/a", Condition::At(second))).await.unwrap();
    commit(b, put("/a", "3", Condition::Absent)).await.unwrap();
}

async fn a_value_carries_the_revision_that_wrote_it(b: &dyn Backend) {
    let revision = commit(b, put("/a", "1", Condition::Any)).await.unwrap();
    let reply = b.range(Range { prefix: "/a".into(), ..Range::default() }).await.unwrap();
    let text = format!(r#"{{"resourceVersion":"{revision}","text":"1"}}"#);
    assert_eq!(&reply.entries[0].value[..], text.as_bytes());
}

async fn ranges_are_in_key_order_and_page(b: &dyn Backend) {
    for name in ["/p/c", "/p/a", "/q/x", "/p/b"] {
        commit(b, put(name, "", Condition::Any)).await.unwrap();
    }
    let page = |after: Option<&str>| Range { prefix: "/p/".into(), after: after.map(Into::into), limit: 2, at: None };
    let first = b.range(page(None)).await.unwrap();
    assert_eq!(first.entries.iter().map(|e| &*e.key).collect::<Vec<_>>(), ["/p/a", "/p/b"]);
    assert!(first.more);
    let second = b.range(page(Some("/p/b"))).await.unwrap();
    assert_eq!(second.entries.iter().map(|e| &*e.key).collect::<Vec<_>>(), ["/p/c"]);
    assert!(!second.more);
}

async fn the_past_can_be_read_until_it_is_compacted(b: &dyn Backend) {
    let first = commit(b, put("/a", "1", Condition::Any)).await.unwrap();
    let second = commit(b, put("/b", "1", Condition::Any)).await.unwrap();
    let third = commit(b, delete("/a", Condition::Any)).await.unwrap();
    assert_eq!(keys(b, "/", Some(first)).await, ["/a"]);
    assert_eq!(keys(b, "/", Some(second)).await, ["/a", "/b"]);
    assert_eq!(keys(b, "/", Some(third)).await, ["/b"]);
    b.compact(second).await.unwrap();
    let gone = b.range(Range { prefix: "/".into(), at: Some(first), ..Range::default() }).await;
    assert!(matches!(gone, Err(BackendError::Compacted { .. })), "{gone:?}");
    assert_eq!(keys(b, "/", Some(second)).await, ["/a", "/b"]);
    let future = b.range(Range { prefix: "/".into(), at: Some(Revision(third.0 + 9)), ..Range::default() }).await;
    assert!(matches!(future, Err(BackendError::Future { .. })), "{future:?}");
}

async fn a_watch_is_ordered_whole_and_resumable(b: &dyn Backend) {
    let start = b.revision().await.unwrap();
    let mut live = b.watch("/", start).await.unwrap();
    let mut expected = Vec::new();
    for i in 0..20 {
        let writes = vec![put(&format!("/{}", i % 5), "x", Condition::Any), put("/both", "x", Condition::Any)];
        expected.push(b.commit(Txn { writes }).await.unwrap());
    }
    let seen = take(&mut live, 20).await;
    assert_eq!(seen.iter().map(|b| b.revision).collect::<Vec<_>>(), expected);
    assert!(seen.iter().all(|b| b.changes.len() == 2), "a transaction is delivered whole");
    for (i, from) in expected.iter().enumerate() {
        let rest = take(&mut b.watch("/", *from).await.unwrap(), 19 - i).await;
        assert_eq!(rest.iter().map(|b| b.revision).collect::<Vec<_>>(), expected[i + 1..]);
    }
}

async fn a_watch_only_sees_its_prefix(b: &dyn Backend) {
    let start = b.revision().await.unwrap();
    let mut directory = b.watch("/p/", start).await.unwrap();
    let mut key = b.watch("/p/a", start).await.unwrap();
    for name in ["/q/a", "/p/b", "/p/a"] {
        commit(b, put(name, "", Condition::Any)).await.unwrap();
    }
    let names = |batches: Vec<Batch>| batches.iter().map(|b| b.changes[0].key.to_string()).collect::<Vec<_>>();
    assert_eq!(names(take(&mut directory, 2).await), ["/p/b", "/p/a"]);
    assert_eq!(names(take(&mut key, 1).await), ["/p/a"]);
}

async fn a_watch_that_opens_at_the_compaction_revision_misses_nothing(b: &dyn Backend) {
    let first = commit(b, put("/a", "1", Condition::Any)).await.unwrap();
    let second = commit(b, put("/a", "2", Condition::Any)).await.unwrap();
    let third = commit(b, delete("/a", Condition::Any)).await.unwrap();
    b.compact(second).await.unwrap();
    let late = b.watch("/", first).await.map(drop);
    assert!(matches!(late, Err(BackendError::Compacted { .. })), "{late:?}");
    let batches = take(&mut b.watch("/", second).await.unwrap(), 1).await;
    assert!(batches[0].revision == third && batches[0].changes[0].value.is_none());
}

async fn a_watch_of_the_future_is_refused(b: &dyn Backend) {
    let current = commit(b, put("/a", "1", Condition::Any)).await.unwrap();
    let refused = b.watch("/", Revision(current.0 + 10)).await.map(drop);
    assert!(matches!(refused, Err(BackendError::Future { .. })), "{refused:?}");
}

async fn a_closed_backend_refuses(b: &dyn Backend) {
    let mut watch = b.watch("/", b.revision().await.unwrap()).await.unwrap();
    b.close().await.unwrap();
    assert!(matches!(commit(b, put("/a", "1", Condition::Any)).await, Err(BackendError::Closed)));
    assert!(matches!(next(&mut watch).await, Some(Err(BackendError::Closed))));
}

async fn concurrent_writers_lose_nothing(b: &dyn Backend) {
    let writers = (0..8).map(|w| async move {
        let mut done = 0;
        while done < 20 {
            let entry = b.range(Range { prefix: "/n".into(), ..Range::default() }).await.unwrap().entries.pop();
            let condition = entry.map_or(Condition::Absent, |e| Condition::At(e.revision));
            if commit(b, put("/n", &format!("{w}-{done}"), condition)).await.is_ok() {
                done += 1;
            }
        }
    });
    let start = b.revision().await.unwrap();
    futures::future::join_all(writers).await;
    assert_eq!(b.revision().await.unwrap().0 - start.0, 160);
}

async fn take(watch: &mut Batches, n: usize) -> Vec<Batch> {
    let mut batches = Vec::new();
    while batches.len() < n {
        batches.push(next(watch).await.expect("the watch ended").expect("the watch failed"));
    }
    batches
}

async fn next(watch: &mut Batches) -> Option<Result<Batch, BackendError>> {
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("the watch is silent")
}
