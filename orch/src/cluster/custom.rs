//! Kinds of one's own, as Rust types.

use super::Cluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use orch_api::{Object, StatusError};
use orch_runtime::wait;
use orch_store::ClientExt;

/// The field manager of definitions that the process registers.
const MANAGER: &str = "orch-register";

impl Cluster {
    /// Defines a kind from its `#[derive(CustomResource)]` type, as `kubectl apply` of its definition would, and waits until
    /// it is served. Defining it again changes nothing; a changed type changes the definition.
    ///
    /// # Errors
    /// If the API server refuses the definition, such as for a schema that is not structural. Names that are taken are no
    /// error: the call waits, as the definition does, until they are free.
    pub async fn register<K: CustomResourceExt>(&self) -> Result<(), StatusError> {
        let definition: CustomResourceDefinition = K::crd();
        self.client.apply(&definition, MANAGER, true).await?;
        self.client.wait_for(&definition.key(), wait::crd_established).await.map(drop)
    }
}
