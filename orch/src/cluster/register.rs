//! [`Cluster::register`]: custom kinds from their types, in one line.

use super::Cluster;
use orch_api::{
    Key, StatusError,
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionCondition,
    },
    kube_core::CustomResourceExt,
};
use orch_store::ClientExt;
use std::sync::Arc;

/// Who owns the fields of definitions that are registered.
const MANAGER: &str = "orch-register";

/// Why a custom kind is not served.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The API server does not take the definition: its schema, a rule of it or a name is wrong. The causes of the
    /// status name the fields. Fix the type.
    #[error("the definition {name} was refused: {status}")]
    Refused {
        /// The name of the definition.
        name: String,
        /// What the API server says.
        status: StatusError,
    },
    /// Another definition of the group has a name that this one wants. Choose another name.
    #[error("the definition {name} does not get its names: {message}")]
    NamesTaken {
        /// The name of the definition.
        name: String,
        /// Which name is taken.
        message: String,
    },
    /// The names are there, and yet the kind cannot be served: its conversion webhook has an invalid certificate bundle.
    #[error("the definition {name} is not established: {reason}: {message}")]
    NotEstablished {
        /// The name of the definition.
        name: String,
        /// The reason of the condition `Established`.
        reason: String,
        /// Its message.
        message: String,
    },
    /// The definition is being deleted, or was while it was waited for. Try again when it is gone.
    #[error("the definition {name} is being deleted")]
    Deleted {
        /// The name of the definition.
        name: String,
    },
    /// The API server could not be asked.
    #[error(transparent)]
    Client(#[from] StatusError),
}

impl Cluster {
    /// Defines the kind of a `#[derive(CustomResource)]` type and waits until it is served. Registering it again brings
    /// the definition to what the type says now.
    ///
    /// ```
    /// use kube::CustomResource;
    /// use orch::{Cluster, store::ClientExt};
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    /// #[kube(group = "example.com", version = "v1", kind = "Site", namespaced)]
    /// struct SiteSpec {
    ///     replicas: u32,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = Cluster::builder().build().await?;
    /// cluster.register::<Site>().await?;
    ///
    /// let mut site = Site::new("blog", SiteSpec { replicas: 2 });
    /// site.metadata.namespace = Some("default".into());
    /// let site = cluster.client().add(&site).await?;
    /// assert!(site.metadata.uid.is_some());
    /// # cluster.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Cluster::define`].
    pub async fn register<K: CustomResourceExt>(&self) -> Result<(), RegisterError> {
        self.define(K::crd()).await.map(drop)
    }

    /// Applies a definition (several versions of a type through `kube::core::crd::merge_crds`, or one of somebody
    /// else) and waits until its kind is served. What it answers is the definition as it is then, with the names that
    /// were accepted.
    ///
    /// # Errors
    ///
    /// When the definition is refused, or can be seen not to become established as it is.
    pub async fn define(
        &self,
        definition: CustomResourceDefinition,
    ) -> Result<Arc<CustomResourceDefinition>, RegisterError> {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let refused = |status| RegisterError::Refused { name: name.clone(), status };
        self.client.apply(&definition, MANAGER, true).await.map_err(refused)?;
        let (key, mut verdict) = (Key::cluster(name.as_str()), Ok(()));
        let served = self.client.wait_for(&key, |found| {
            verdict = judge(&name, found);
            !matches!(verdict, Ok(()) if found.is_some_and(|found| !is(found, "Established", "True")))
        });
        let served: Option<Arc<CustomResourceDefinition>> = served.await?;
        verdict?;
        served.ok_or(RegisterError::Deleted { name })
    }
}

/// Whether there is anything to wait for.
fn judge(name: &str, found: Option<&CustomResourceDefinition>) -> Result<(), RegisterError> {
    let name = name.to_owned();
    let Some(found) = found.filter(|found| found.metadata.deletion_timestamp.is_none()) else {
        return Err(RegisterError::Deleted { name });
    };
    if let Some(taken) = condition(found, "NamesAccepted").filter(|c| c.status == "False") {
        return Err(RegisterError::NamesTaken { name, message: taken.message.clone().unwrap_or_default() });
    }
    match condition(found, "Established").filter(|c| c.status == "False") {
        Some(not) if not.reason.as_deref() == Some("InvalidCABundle") => Err(RegisterError::NotEstablished {
            name,
            reason: not.reason.clone().unwrap_or_default(),
            message: not.message.clone().unwrap_or_default(),
        }),
        _ => Ok(()),
    }
}

fn is(found: &CustomResourceDefinition, kind: &str, status: &str) -> bool {
    condition(found, kind).is_some_and(|condition| condition.status == status)
}

fn condition<'a>(found: &'a CustomResourceDefinition, kind: &str) -> Option<&'a CustomResourceDefinitionCondition> {
    found.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}
