//! The operator of [sites](crate::site) on kube-rs alone: `Controller`, `watcher`, `reflector`, `Recorder`, finalizers and
//! server-side apply. Nothing in it knows of orch: it runs against any Kubernetes API server.

use crate::site::{FINALIZER, MANAGER, Site};
use futures::{Stream, StreamExt};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        events::{Event, EventType, Recorder, Reporter},
        finalizer::{Event as Stage, finalizer},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde_json::json;
use std::{future::Future, sync::Arc, time::Duration};

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// An object has no JSON form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The finalizer was not set, not taken off, or what it guards failed.
    #[error(transparent)]
    Finalizer(Box<kube::runtime::finalizer::Error<Error>>),
}

struct Operator {
    client: Client,
    recorder: Recorder,
    deployments: Store<Deployment>,
}

/// Runs sites until the future resolves.
pub async fn run(client: Client, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let (deployments, changed) = reflect(Api::all(client.clone()));
    let recorder = Recorder::new(client.clone(), Reporter::from(MANAGER));
    let operator = Arc::new(Operator { client: client.clone(), recorder, deployments });
    Controller::new(Api::<Site>::all(client.clone()), watcher::Config::default())
        .owns(Api::<Service>::all(client), watcher::Config::default())
        // Not `owns`: that is a watch of its own, which may be ahead of the store that the reconciler reads.
        .reconcile_all_on(changed)
        .graceful_shutdown_on(stop)
        .run(reconcile, again, operator)
        .for_each(|_| async {})
        .await;
}

/// A store of the deployments, and a stream that yields after each change of it.
fn reflect(api: Api<Deployment>) -> (Store<Deployment>, impl Stream<Item = ()> + Send + 'static) {
    let (reader, writer) = reflector::store();
    let changes = watcher(api, watcher::Config::default()).default_backoff().reflect(writer).touched_objects();
    (reader, changes.map(|_| ()).boxed())
}

async fn reconcile(site: Arc<Site>, operator: Arc<Operator>) -> Result<Action, Error> {
    let sites: Api<Site> = Api::namespaced(operator.client.clone(), &site.namespace().unwrap_or_default());
    let done = finalizer(&sites, FINALIZER, site, |stage| async {
        match stage {
            Stage::Apply(site) => operator.open(&site).await,
            Stage::Cleanup(site) => operator.close(&site).await,
        }
    });
    done.await.map_err(|error| Error::Finalizer(Box::new(error)))
}

fn again(_: Arc<Site>, _: &Error, _: Arc<Operator>) -> Action {
    Action::requeue(Duration::from_secs(1))
}

impl Operator {
    async fn open(&self, site: &Site) -> Result<Action, Error> {
        let namespace = site.namespace().unwrap_or_default();
        let found = self.deployments.get(&ObjectRef::new(&site.name_any()).within(&namespace));
        match site.fault() {
            Some(fault) => self.say(site, EventType::Warning, "InvalidSpec", fault).await?,
            None => self.apply(site, found.as_deref(), &namespace).await?,
        }
        self.report(site, found.as_deref(), &namespace).await?;
        Ok(Action::await_change())
    }

    async fn apply(&self, site: &Site, found: Option<&Deployment>, namespace: &str) -> Result<(), Error> {
        let (name, apply) = (site.name_any(), PatchParams::apply(MANAGER).force());
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        services.patch(&name, &apply, &Patch::Apply(site.service())).await?;
        if site.is_run_by(found) {
            return Ok(());
        }
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        deployments.patch(&name, &apply, &Patch::Apply(site.deployment()?)).await?;
        let note = format!("{} replicas of {}", site.spec.replicas, site.spec.image);
        self.say(site, EventType::Normal, "Opened", note).await
    }

    async fn report(&self, site: &Site, found: Option<&Deployment>, namespace: &str) -> Result<(), Error> {
        #[allow(clippy::disallowed_methods)] // It is kube-rs' operator: the time is the machine's.
        let status = site.status_with(found, Timestamp::now());
        if site.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let status = json!({"apiVersion": Site::api_version(&()), "kind": Site::kind(&()), "status": status});
        let sites: Api<Site> = Api::namespaced(self.client.clone(), namespace);
        sites.patch_status(&site.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(status)).await?;
        Ok(())
    }

    /// What it owns is collected with it; what is outside of the cluster would be removed here.
    async fn close(&self, site: &Site) -> Result<Action, Error> {
        self.say(site, EventType::Normal, "Closed", "the site is closed".into()).await?;
        Ok(Action::await_change())
    }

    async fn say(&self, site: &Site, type_: EventType, reason: &str, note: String) -> Result<(), Error> {
        let (reason, action) = (reason.to_owned(), "Reconcile".to_owned());
        let event = Event { type_, reason, note: Some(note), action, secondary: None };
        Ok(self.recorder.publish(&event, &site.object_ref(&())).await?)
    }
}
