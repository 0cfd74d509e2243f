//! [`Discovery`]: which resources the API server serves, for the loops that look at all of them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use orch_api::{Gvk, Gvr, Kind, Scope, key::Name};
use orch_store::Informers;
use std::borrow::Cow;

/// A resource that can be listed, watched and deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Served {
    /// Group, version and plural.
    pub gvr: Gvr,
    /// The kind, as owner references name it.
    pub kind: Gvk,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Served {
    /// The resource of a row of the kinds table.
    pub fn of(kind: &Kind) -> Self {
        Self { gvr: kind.gvr(), kind: kind.gvk(), namespaced: kind.scope == Scope::Namespaced }
    }
}

/// Which resources are served. Asked again at every decision, so the answer must come from memory.
pub trait Discovery: Send + Sync + 'static {
    /// Every served resource, one version of each, in a stable order.
    fn served(&self) -> Vec<Served>;
}

/// A fixed list: a server without custom resources, or a test.
impl Discovery for Vec<Served> {
    fn served(&self) -> Vec<Served> {
        self.clone()
    }
}

/// The built-in resources and those of the established custom resource definitions.
pub struct WithCustom {
    built_in: Vec<Served>,
    informers: Informers,
}

impl WithCustom {
    /// Adds to the built-in resources what the informer of definitions holds.
    pub fn new(built_in: Vec<Served>, informers: Informers) -> Self {
        Self { built_in, informers }
    }
}

impl Discovery for WithCustom {
    fn served(&self) -> Vec<Served> {
        let definitions = self.informers.of::<CustomResourceDefinition>().list("");
        let custom = definitions.iter().filter_map(|d| d.decode::<CustomResourceDefinition>().ok());
        self.built_in.iter().cloned().chain(custom.filter_map(|d| custom_resource(&d))).collect()
    }
}

/// The resource of a definition in its storage version, once its names are accepted.
fn custom_resource(definition: &CustomResourceDefinition) -> Option<Served> {
    let conditions = definition.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "Established" && c.status == "True")?;
    let spec = &definition.spec;
    let version = spec.versions.iter().find(|v| v.storage && v.served).or(spec.versions.iter().find(|v| v.served))?;
    let (group, version): (Name, Name) = (Cow::Owned(spec.group.clone()), Cow::Owned(version.name.clone()));
    Some(Served {
        gvr: Gvr { group: group.clone(), version: version.clone(), resource: Cow::Owned(spec.names.plural.clone()) },
        kind: Gvk { group, version, kind: Cow::Owned(spec.names.kind.clone()) },
        namespaced: spec.scope == "Namespaced",
    })
}
