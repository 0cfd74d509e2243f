//! Get, list and watch.

use super::{Answer, Call, Core};
use orch_api::StatusError;
use orch_store::client::{ListOptions, WatchOptions};

impl Core {
    pub(crate) async fn get(&self, call: &Call) -> Result<Answer, StatusError> {
        if call.key.name.is_empty() {
            return Err(StatusError::bad_request("Name parameter required."));
        }
        self.storage.get(&call.kind, &call.key).await.map(Answer::object)
    }

    pub(crate) async fn list(&self, call: &Call, options: &ListOptions) -> Result<Answer, StatusError> {
        self.storage.list(&call.kind, options).await.map(Answer::Page)
    }

    pub(crate) async fn watch(&self, call: &Call, options: &WatchOptions) -> Result<Answer, StatusError> {
        self.storage.watch(&call.kind, options).await.map(Answer::Watch)
    }
}
