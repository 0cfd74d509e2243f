//! A controller of ours that takes objects of one kind for something else than they are: the easiest way to give it a bug
//! without copying it.

use async_trait::async_trait;
use futures::StreamExt;
use orch::{
    api::{Gvr, Key},
    controllers::Config,
    runtime::{ControlLoop, Description, Options, view::Caches},
    store::{
        Ambient, Client, Informers, Stored,
        client::{Around, ListOptions, Page, Result, WatchOptions, WatchStream},
    },
};
use serde_json::Value;
use std::sync::Arc;

/// What is read into an object.
pub(super) type Misread = fn(&mut Value);

/// The built-in loop of this name, which misreads the objects of a resource.
pub(super) fn misreading(config: &Config, name: &str, resource: Gvr, misread: Misread) -> Arc<dyn ControlLoop> {
    let mut all = orch::controllers::all(config);
    let at = all.iter().position(|each| each.describe().name == name).unwrap();
    Arc::new(Shortsighted { inner: all.swap_remove(at), glasses: Glasses { resource, misread } })
}

struct Shortsighted {
    inner: Arc<dyn ControlLoop>,
    glasses: Glasses,
}

#[async_trait]
impl ControlLoop for Shortsighted {
    fn describe(&self) -> Description {
        self.inner.describe()
    }

    async fn run(self: Arc<Self>, caches: Caches, ambient: Ambient, options: Options) {
        let client = Through { inner: caches.informers().client().clone(), glasses: self.glasses.clone() };
        let caches = Caches::new(Informers::new(Arc::new(client), ambient.clone()));
        self.inner.clone().run(caches, ambient, options).await;
    }
}

#[derive(Clone)]
struct Glasses {
    resource: Gvr,
    misread: Misread,
}

impl Glasses {
    fn see(&self, resource: &Gvr, object: Arc<Stored>) -> Arc<Stored> {
        if *resource != self.resource {
            return object;
        }
        let mut value: Value = object.parse().unwrap();
        (self.misread)(&mut value);
        Arc::new(Stored::from_json(value.to_string().into()).unwrap())
    }
}

/// A client that is read through glasses. What is written is written.
struct Through {
    inner: Arc<dyn Client>,
    glasses: Glasses,
}

#[async_trait]
impl Around for Through {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn read(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        let found = self.inner.get(resource, key, subresource).await?;
        Ok(if subresource.is_none() { self.glasses.see(resource, found) } else { found })
    }

    async fn read_page(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        let mut page = self.inner.list(resource, options).await?;
        page.items = page.items.into_iter().map(|object| self.glasses.see(resource, object)).collect();
        Ok(page)
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let (glasses, seen) = (self.glasses.clone(), resource.clone());
        let events = self.inner.watch(resource, options).await?;
        Ok(events.map(move |event| event.map(|event| event.map(|object| glasses.see(&seen, object)))).boxed())
    }
}
