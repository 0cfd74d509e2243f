//! Definitions over a store that refuses writes for a while.

use super::*;
use async_trait::async_trait;
use orch_apiserver::ApiServer;
use orch_store::{
    Ambient, Backend, Revision,
    backend::{Around, BackendError, Condition, Txn, memory::MemoryBackend},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Refuses so many changes of keys that have a part; new keys are written.
struct Refusing {
    inner: MemoryBackend,
    part: &'static str,
    left: AtomicU32,
}

#[async_trait]
impl Around for Refusing {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    async fn write(&self, txn: Txn) -> Result<Revision, BackendError> {
        let meant = txn.writes.iter().any(|w| w.key.contains(self.part) && matches!(w.condition, Condition::At(_)));
        let refuses = |left: u32| left.checked_sub(1);
        if meant && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuses).is_ok() {
            return Err(BackendError::Unavailable("out of order".into()));
        }
        self.inner.commit(txn).await
    }
}

async fn start(part: &'static str) -> (Server, Arc<Refusing>) {
    let backend = Arc::new(Refusing { inner: MemoryBackend::new(), part, left: AtomicU32::new(0) });
    let api = ApiServer::builder(Ambient::seeded(1), backend.clone()).build().await.unwrap();
    (Server { service: api.service(), api }, backend)
}

#[tokio::test(start_paused = true)]
async fn a_definition_whose_status_could_not_be_written_is_tried_again() {
    let (server, store) = start("customresourcedefinitions").await;
    store.left.store(4, Ordering::SeqCst);
    server.post(CRDS, definition(json!({"type": "object"}))).await.ok();
    wait(&server, "widgets.example.com", "Established", "True").await;
    assert_eq!(store.left.load(Ordering::SeqCst), 0, "nothing was refused");
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_deleted_definition_that_could_not_be_deleted_are_deleted_later() {
    let (server, store) = start("/widgets/").await;
    add(&server, definition(json!({"type": "object"}))).await;
    server.post(WIDGETS, widget("a", json!({}))).await.ok();
    store.left.store(3, Ordering::SeqCst);
    server.delete(&format!("{CRDS}/widgets.example.com")).await.ok();
    wait_gone(&server, "widgets.example.com").await;
    assert_eq!(store.left.load(Ordering::SeqCst), 0, "nothing was refused");
}
