//! [`Object`]: every typed object that orch can handle, with nothing to implement by hand.

use crate::key::{Gvk, Gvr, Key};
use kube_core::Resource;
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, fmt::Debug};

/// Any type of k8s-openapi or of `#[derive(CustomResource)]`. Implemented for all of them.
pub trait Object:
    Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// The resource that serves this type.
    fn gvr() -> Gvr {
        Gvr { group: fixed(Self::group(&())), version: fixed(Self::version(&())), resource: fixed(Self::plural(&())) }
    }

    /// The kind of this type.
    fn gvk() -> Gvk {
        Gvk { group: fixed(Self::group(&())), version: fixed(Self::version(&())), kind: fixed(Self::kind(&())) }
    }

    /// Namespace and name; empty strings where the metadata has none.
    fn key(&self) -> Key {
        let meta = self.meta();
        Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// The UID, or the empty string before the object was created.
    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    /// Whether deletion was requested and waits for finalizers or a grace period.
    fn is_deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }
}

impl<K> Object for K where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

fn fixed(name: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(name.into_owned())
}
