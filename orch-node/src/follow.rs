//! Following what the API server has: a selected collection ([`follow`]) or single objects by reference
//! ([`Objects`]), so that a node reads no more than its pods name.

use dashmap::DashMap;
use futures::StreamExt;
use orch_api::{Gvr, Key};
use orch_store::{
    Ambient, Client, Stored, Tasks,
    client::{ListOptions, WatchEvent, WatchOptions},
    watched as watch,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

/// One change of a followed collection.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object is new or changed.
    Put(Arc<Stored>),
    /// The object is gone.
    Gone(Key),
    /// Everything that exists has been put.
    Synced,
}

/// Which objects to follow.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The resource.
    pub resource: Gvr,
    /// Its namespace; empty for all.
    pub namespace: Arc<str>,
    /// A field selector.
    pub fields: String,
}

/// Lists, watches, and lists again when the watch ends; never returns. Gaps become changes: whoever
/// listens sees every object that is there and the end of every object that is gone.
pub async fn follow(client: Arc<dyn Client>, which: Selection, ambient: Ambient, mut each: impl FnMut(Change) + Send) {
    let mut known: BTreeMap<Key, orch_store::Revision> = BTreeMap::new();
    let mut failures = 0_u32;
    loop {
        match once(&*client, &which, &mut known, &mut each, &mut failures).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::debug!(resource = %which.resource.resource, %error, "watch failed");
            }
        }
        let delay = Duration::from_millis(50 << failures.min(8));
        tokio::time::sleep(delay.mul_f64(0.5 + ambient.chance.fraction())).await;
    }
}

async fn once(
    client: &dyn Client,
    which: &Selection,
    known: &mut BTreeMap<Key, orch_store::Revision>,
    each: &mut (impl FnMut(Change) + Send),
    failures: &mut u32,
) -> orch_store::client::Result<()> {
    let list =
        ListOptions { namespace: which.namespace.clone(), fields: which.fields.clone(), ..ListOptions::default() };
    let page = client.list(&which.resource, &list).await?;
    let mut before = std::mem::take(known);
    for item in page.items {
        let old = before.remove(&item.key);
        known.insert(item.key.clone(), item.revision);
        if old != Some(item.revision) {
            each(Change::Put(item));
        }
    }
    before.into_keys().for_each(|key| each(Change::Gone(key)));
    each(Change::Synced);
    let options = WatchOptions {
        namespace: which.namespace.clone(),
        fields: which.fields.clone(),
        after: Some(page.revision),
        bookmarks: true,
        ..WatchOptions::default()
    };
    let mut events = client.watch(&which.resource, &options).await?;
    *failures = 0;
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                known.insert(item.key.clone(), item.revision);
                each(Change::Put(item));
            }
            WatchEvent::Deleted(item) => {
                known.remove(&item.key);
                each(Change::Gone(item.key.clone()));
            }
            WatchEvent::Bookmark { .. } => {}
        }
    }
    Ok(())
}

/// What is known of a referenced object.
#[derive(Clone, Debug, Default)]
pub enum Lookup {
    /// Not answered yet.
    #[default]
    Loading,
    /// There is no such object.
    Absent,
    /// The object.
    Present(Arc<Stored>),
}

/// Objects that pods name, each followed by one watch while anybody holds it. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    client: Arc<dyn Client>,
    ambient: Ambient,
    entries: Arc<DashMap<(Gvr, Key), Weak<Entry>>>,
}

/// A followed object; dropping the last one ends the watch.
#[derive(Clone)]
pub struct Followed(Arc<Entry>);

struct Entry {
    state: watch::Receiver<Lookup>,
    tasks: Tasks,
}

impl Objects {
    /// Nothing is followed yet.
    pub fn new(client: Arc<dyn Client>, ambient: Ambient) -> Self {
        Self { client, ambient, entries: Arc::default() }
    }

    /// The client that answers.
    pub fn client(&self) -> &Arc<dyn Client> {
        &self.client
    }

    /// Follows an object, together with whoever follows it already.
    pub fn follow(&self, resource: Gvr, key: Key) -> Followed {
        let mut slot = self.entries.entry((resource.clone(), key.clone())).or_default();
        if let Some(entry) = slot.upgrade() {
            return Followed(entry);
        }
        let (sender, state) = watch::channel(Lookup::Loading);
        let tasks = self.ambient.tasks.child();
        let which =
            Selection { resource, namespace: key.namespace.clone(), fields: format!("metadata.name={}", key.name) };
        tasks.spawn(follow(self.client.clone(), which, self.ambient.clone(), move |change| match change {
            Change::Put(object) => drop(sender.send_replace(Lookup::Present(object))),
            Change::Gone(_) => drop(sender.send_replace(Lookup::Absent)),
            Change::Synced => drop(sender.send_if_modified(|state| {
                let unknown = matches!(state, Lookup::Loading);
                if unknown {
                    *state = Lookup::Absent;
                }
                unknown
            })),
        }));
        let entry = Arc::new(Entry { state, tasks });
        *slot = Arc::downgrade(&entry);
        Followed(entry)
    }

    /// Forgets entries that nobody holds.
    pub fn sweep(&self) {
        self.entries.retain(|_, entry| entry.strong_count() > 0);
    }
}

impl Followed {
    /// What is known now.
    pub fn get(&self) -> Lookup {
        self.0.state.borrow().clone()
    }

    /// What is known once the server has answered.
    pub async fn loaded(&self) -> Lookup {
        let mut state = self.0.state.clone();
        match state.wait_for(|s| !matches!(s, Lookup::Loading)).await {
            Ok(state) => state.clone(),
            Err(_) => Lookup::Absent,
        }
    }

    /// A receiver that sees every later change.
    pub fn changes(&self) -> watch::Receiver<Lookup> {
        self.0.state.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}
