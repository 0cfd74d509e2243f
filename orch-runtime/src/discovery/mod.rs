//! [`Discovery`]: which resources the API server serves, for the loops that look at all of them.

mod follow;

pub use follow::{Follower, follow};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use orch_api::{Gvk, Gvr, Kind, Scope, key::Name};
use orch_store::{Informers, Stored, informer::Projection};
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
    custom: Projection<Option<Served>>,
}

impl WithCustom {
    /// Adds to the built-in resources what the informer of definitions holds.
    pub fn new(built_in: Vec<Served>, informers: &Informers) -> Self {
        Self { built_in, custom: informers.of::<CustomResourceDefinition>().project(custom_resource) }
    }
}

impl Discovery for WithCustom {
    fn served(&self) -> Vec<Served> {
        let custom = self.custom.list("").into_iter().filter_map(|(_, served)| (*served).clone());
        self.built_in.iter().cloned().chain(custom).collect()
    }
}

/// Speaks whenever a custom resource definition changes.
pub fn definitions(informers: &Informers) -> impl Stream<Item = ()> + Send + use<> {
    let deltas = informers.of::<CustomResourceDefinition>().subscribe();
    stream::unfold(deltas, |mut deltas| async move { Some((deltas.recv().await?, deltas)) }).map(drop)
}

/// The resource of a definition in its storage version, once its names are accepted.
fn custom_resource(stored: &Stored) -> Option<Served> {
    let CustomResourceDefinition { spec, status, .. } = stored.parse().ok()?;
    let conditions = status?.conditions?;
    conditions.iter().find(|c| c.type_ == "Established" && c.status == "True")?;
    let storage = spec.versions.iter().find(|v| v.storage && v.served);
    let version = storage.or_else(|| spec.versions.iter().find(|v| v.served))?;
    let (group, version): (Name, Name) = (Cow::Owned(spec.group), Cow::Owned(version.name.clone()));
    Some(Served {
        gvr: Gvr { group: group.clone(), version: version.clone(), resource: Cow::Owned(spec.names.plural) },
        kind: Gvk { group, version, kind: Cow::Owned(spec.names.kind) },
        namespaced: spec.scope == "Namespaced",
    })
}
