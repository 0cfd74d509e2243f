//! The conformance suite, run by every backend, and what is special to the durable one.

use orch_store::backend::{
    Backend, BackendError, Condition, EmbeddedBackend, MemoryBackend, Revision,
    conformance::{self, commit, delete, keys, put},
    embedded::Options,
};
use std::path::Path;

#[tokio::test]
async fn the_memory_backend_keeps_the_laws() {
    conformance::all(|| async { MemoryBackend::new() }).await;
}

#[tokio::test]
async fn the_embedded_backend_keeps_the_laws() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::all(|| {
        count.set(count.get() + 1);
        let path = directory.path().join(count.get().to_string());
        async move { open(&path, Options::default()) }
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let backend = open(directory.path(), Options::default());
    for i in 0..100 {
        commit(&backend, put(&format!("/k/{i:03}"), "x", Condition::Absent)).await.unwrap();
    }
    commit(&backend, delete("/k/050", Condition::Any)).await.unwrap();
    drop(backend);
    let backend = open(directory.path(), Options::default());
    assert_eq!(backend.revision().await.unwrap(), Revision(101));
    let found = keys(&backend, "/k/", None).await;
    assert!(found.len() == 99 && !found.contains(&"/k/050".to_owned()));
    assert_eq!(keys(&backend, "/k/", Some(Revision(10))).await.len(), 10, "the history survives as well");
}

#[tokio::test]
async fn snapshots_keep_the_log_short_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { snapshot_min_bytes: 20_000, snapshot_factor: 2, ..Options::default() };
    for round in 0..4 {
        let backend = open(directory.path(), options.clone());
        for i in 0..1000 {
            let key = format!("/k/{:03}", i % 100);
            commit(&backend, put(&key, &format!("{round}-{i}"), Condition::Any)).await.unwrap();
        }
        assert_eq!(keys(&backend, "/k/", None).await.len(), 100);
    }
    let backend = open(directory.path(), options);
    assert_eq!(backend.revision().await.unwrap(), Revision(4000));
    let size: u64 = std::fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 200_000, "{size} bytes on disk for 100 small entries");
}

#[tokio::test]
async fn a_directory_in_use_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path(), Options::default());
    let second = EmbeddedBackend::open(directory.path(), Options::default()).map(drop);
    let message = second.unwrap_err().to_string();
    assert!(message.contains("in use by another process"), "{message}");
}

#[tokio::test]
async fn a_corrupt_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let backend = open(directory.path(), Options::default());
    for i in 0..50 {
        commit(&backend, put(&format!("/k/{i}"), "x", Condition::Absent)).await.unwrap();
    }
    drop(backend);
    let log = directory.path().join(format!("{:020}.log", 1));
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&log, bytes).unwrap();
    match EmbeddedBackend::open(directory.path(), Options::default()).map(drop) {
        Err(BackendError::Corrupt { path, .. }) => assert_eq!(Path::new(&path), log),
        other => panic!("{other:?}"),
    }
}

fn open(path: &Path, options: Options) -> EmbeddedBackend {
    EmbeddedBackend::open(path, options).unwrap()
}
