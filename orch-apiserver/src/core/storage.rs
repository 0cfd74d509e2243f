//! [`Storage`]: the objects of every kind, in the watch cache and the backend under it. The one place that
//! knows keys, conditions and how a failure of the store is said to a client.

use crate::crd::Converter;
use dashmap::DashMap;
use futures::StreamExt;
use orch_api::{Key, Kind, Reason, StatusError, field_selector, key::Name, kinds};
use orch_store::{
    Revision, Stored,
    backend::{BackendError, Condition, Durability, Txn, Value, Write},
    cache::{Filter, Position, ResourceCache, WatchCache, WatchStart},
    client::{ListOptions, Page, ReadAt, WatchOptions, WatchStream},
};
use std::sync::Arc;

use super::{
    convert, encode,
    refusal::refuse,
    selection::Selection,
    token::{self, Token},
};

/// The objects of every kind. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    cache: WatchCache,
    converter: Converter,
    resources: Arc<DashMap<(Name, Name), Arc<ResourceCache>>>,
}

/// What came of a conditional write.
pub enum Written {
    /// It happened: the object as it is now, or as it was last.
    Done(Arc<Stored>),
    /// The object changed meanwhile, or what was to be written with it. Read again and decide anew.
    Stale,
}

impl Storage {
    /// Storage in a watch cache.
    pub fn new(cache: WatchCache) -> Self {
        Self { cache, converter: Converter::default(), resources: Arc::default() }
    }

    /// The watch cache, for whoever follows everything.
    pub fn cache(&self) -> &WatchCache {
        &self.cache
    }

    /// What changes the version of custom objects.
    pub fn converter(&self) -> &Converter {
        &self.converter
    }

    /// The bytes that store an object.
    pub async fn encode(&self, kind: &Kind, object: &serde_json::Value) -> Result<Value, StatusError> {
        encode::encode(&*convert::to_storage(&self.converter, kind, object).await?)
    }

    async fn served(&self, kind: &Kind, stored: Arc<Stored>) -> Result<Arc<Stored>, StatusError> {
        convert::from_storage(&self.converter, kind, stored).await
    }

    /// The newest state of an object, or `None` if there is none.
    pub async fn find(&self, kind: &Kind, key: &Key) -> Result<Option<Arc<Stored>>, StatusError> {
        let found = self.resource(kind).get(key, ReadAt::Latest).await.map_err(|e| refuse(&e))?;
        match found {
            Some(stored) => self.served(kind, stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// The newest state of an object; `404` if there is none.
    pub async fn get(&self, kind: &Kind, key: &Key) -> Result<Arc<Stored>, StatusError> {
        self.find(kind, key).await?.ok_or_else(|| StatusError::not_found(&kind.gvr(), &key.name))
    }

    /// An object as the cache knows it, and only if it does not the newest: for what admission looks up.
    pub async fn lookup(&self, kind: &Kind, key: &Key) -> Result<Option<Arc<Stored>>, StatusError> {
        match self.resource(kind).peek(key) {
            Some(known) => Ok(Some(known)),
            None => self.find(kind, key).await,
        }
    }

    /// Whether an object is stored in another version than it would be now: then a write that changes nothing is one
    /// (KEP-4192).
    pub fn is_outdated(&self, kind: &Kind, key: &Key) -> Result<bool, StatusError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Form {
            api_version: String,
        }
        let Some(custom) = kind.custom.as_ref().filter(|custom| !custom.as_stored) else { return Ok(false) };
        let Some(stored) = self.resource(kind).peek(key) else { return Ok(false) };
        let Form { api_version } = stored.parse()?;
        Ok(api_version.rsplit('/').next() != Some(&custom.storage))
    }

    /// Every object of a kind in a namespace, or in all when it is empty.
    pub async fn all(&self, kind: &Kind, namespace: &str) -> Result<Vec<Arc<Stored>>, StatusError> {
        self.every(kind, namespace, ReadAt::Latest).await
    }

    /// The same as the cache holds them: with everything that this server has acknowledged, without waiting for what
    /// others are about to write.
    pub async fn known(&self, kind: &Kind, namespace: &str) -> Result<Vec<Arc<Stored>>, StatusError> {
        self.every(kind, namespace, ReadAt::Any).await
    }

    async fn every(&self, kind: &Kind, namespace: &str, at: ReadAt) -> Result<Vec<Arc<Stored>>, StatusError> {
        let snapshot = self.resource(kind).snapshot(at).await.map_err(|e| refuse(&e))?;
        Ok(snapshot.iter((!namespace.is_empty()).then_some(namespace), None).cloned().collect())
    }

    /// A page of the objects that the options select.
    pub async fn list(&self, kind: &Kind, options: &ListOptions) -> Result<Page, StatusError> {
        let resource = self.resource(kind);
        let filter = Selection::parse(kind, &options.labels, &options.fields)?;
        let token = Token::parse(&options.continue_token)?;
        let at = token.as_ref().map_or(options.revision, Token::read_at);
        let snapshot = resource.snapshot(at).await.map_err(|e| match (&e, &token) {
            (BackendError::Compacted { .. }, Some(token)) => {
                StatusError::expired(token::TOO_OLD).with_continue(token.clone().inconsistent().encode())
            }
            (BackendError::Compacted { .. }, None) => {
                StatusError::expired("The resourceVersion for the provided list is too old.")
            }
            _ => refuse(&e),
        })?;
        let namespace = (!options.namespace.is_empty()).then_some(&*options.namespace);
        let after = token.map(|t| t.position);
        let Some(filter) = filter else {
            let slice = snapshot.page(namespace, after.as_ref(), options.limit);
            let continue_token = slice.next.map(|p| Token::new(snapshot.revision, p).encode()).unwrap_or_default();
            let remaining = (!continue_token.is_empty()).then_some(slice.remaining as u64);
            let page = Page { items: slice.items, revision: snapshot.revision, continue_token, remaining };
            return convert::page(&self.converter, kind, page).await;
        };
        let in_scope = snapshot.iter(namespace, after.as_ref().map(|p| &p.key));
        // Fields of custom objects are those of the version that is asked for: it has to be made first.
        let inside = kind.custom.is_some() && filter.looks_inside();
        let (items, next) = match inside {
            true => {
                let served = convert::many(&self.converter, kind, in_scope.cloned().collect()).await?;
                first(served.iter().filter(|object| filter.matches_served(kind, object)), options.limit)
            }
            false => first(in_scope.filter(|object| filter.matches(&resource, object)), options.limit),
        };
        let continue_token = next.map(|p| Token::new(snapshot.revision, p).encode()).unwrap_or_default();
        let page = Page { items, revision: snapshot.revision, continue_token, remaining: None };
        if inside {
            return Ok(page);
        }
        convert::page(&self.converter, kind, page).await
    }

    /// The events of the objects that the options select.
    pub async fn watch(&self, kind: &Kind, options: &WatchOptions) -> Result<WatchStream, StatusError> {
        let resource = self.resource(kind);
        let selection = Selection::parse(kind, &options.labels, &options.fields)?;
        let inside = kind.custom.is_some() && selection.as_ref().is_some_and(Selection::looks_inside);
        let (filter, selected) = if inside { (None, selection) } else { (selection, None) };
        let filter = filter.map(|selection| {
            let resource = resource.clone();
            Filter::new(move |object| selection.matches(&resource, object))
        });
        let start = match (options.initial_events, options.after) {
            (true, None) => WatchStart::Initial(ReadAt::Latest),
            (true, Some(revision)) => WatchStart::Initial(ReadAt::NotOlderThan(revision)),
            (false, None) => WatchStart::State(ReadAt::Latest),
            (false, Some(revision)) => WatchStart::After(revision),
        };
        let namespace = (!options.namespace.is_empty()).then_some(&*options.namespace);
        let mut watcher = resource.watch(start, namespace, filter).map_err(|e| refuse(&e))?;
        watcher.begin().await.map_err(|e| refuse(&e))?;
        if options.bookmarks {
            watcher = watcher.with_bookmarks();
        }
        if let Some(timeout) = options.timeout {
            watcher = watcher.with_timeout(timeout);
        }
        let events = watcher.map(|event| event.map_err(|e| refuse(&e)));
        if let Some(selection) = selected {
            return Ok(super::watch::selected(self.converter.clone(), kind.clone(), selection, events.boxed()));
        }
        if !convert::is_converted(kind) {
            return Ok(events.boxed());
        }
        let (kind, converter) = (kind.clone(), self.converter.clone());
        let served = events.then(move |event| {
            let (kind, converter) = (kind.clone(), converter.clone());
            async move { convert::event(&converter, &kind, event?).await }
        });
        Ok(served.boxed())
    }

    /// Stores a new object. `409` if the name is taken.
    pub async fn insert(
        &self,
        kind: &Kind,
        key: &Key,
        value: Value,
        dry_run: bool,
    ) -> Result<Arc<Stored>, StatusError> {
        match self.insert_with(kind, key, value, Vec::new(), dry_run).await? {
            Written::Done(stored) => Ok(stored),
            Written::Stale => Err(taken(kind, key, None)),
        }
    }

    /// The same with other writes in one commit; stale if a condition of theirs does not hold.
    pub async fn insert_with(
        &self,
        kind: &Kind,
        key: &Key,
        value: Value,
        beside: Vec<Write>,
        dry_run: bool,
    ) -> Result<Written, StatusError> {
        if dry_run {
            return match self.find(kind, key).await? {
                Some(existing) => Err(taken(kind, key, Some(&existing))),
                None => self.served(kind, stored(&value, Revision(0))?).await.map(Written::Done),
            };
        }
        match self.commit(kind, key, Condition::Absent, Some(value.clone()), beside).await {
            Ok(revision) => self.written(kind, key, &value, revision).await.map(Written::Done),
            Err(BackendError::Conflict { key: other, .. }) if *other != *path(kind, key) => Ok(Written::Stale),
            Err(BackendError::Conflict { .. }) => {
                let existing = self.find(kind, key).await?;
                Err(taken(kind, key, existing.as_deref()))
            }
            Err(error) => Err(refuse(&error)),
        }
    }

    /// Replaces an object, if it is still the one that was read.
    pub async fn replace(
        &self,
        kind: &Kind,
        old: &Stored,
        value: Value,
        dry_run: bool,
    ) -> Result<Written, StatusError> {
        self.replace_with(kind, old, value, Vec::new(), dry_run).await
    }

    /// The same with other writes in one commit; stale if a condition of theirs does not hold.
    pub async fn replace_with(
        &self,
        kind: &Kind,
        old: &Stored,
        value: Value,
        beside: Vec<Write>,
        dry_run: bool,
    ) -> Result<Written, StatusError> {
        if dry_run {
            return self.served(kind, stored(&value, old.revision)?).await.map(Written::Done);
        }
        match self.commit(kind, &old.key, Condition::At(old.revision), Some(value.clone()), beside).await {
            Ok(revision) => self.written(kind, &old.key, &value, revision).await.map(Written::Done),
            Err(BackendError::Conflict { .. }) => Ok(Written::Stale),
            Err(error) => Err(refuse(&error)),
        }
    }

    /// Removes an object, if it is still the one that was read, with other writes in one commit; stale if a condition of
    /// theirs does not hold.
    pub async fn remove_with(
        &self,
        kind: &Kind,
        old: &Arc<Stored>,
        beside: Vec<Write>,
        dry_run: bool,
    ) -> Result<Written, StatusError> {
        if dry_run {
            return Ok(Written::Done(old.clone()));
        }
        match self.commit(kind, &old.key, Condition::At(old.revision), None, beside).await {
            Ok(revision) => {
                // What cannot be waited for is not lost: readers that must be fresh wait themselves.
                let _seen = self.cache.caught_up(revision).await;
                Ok(Written::Done(Arc::new(old.at_revision(revision))))
            }
            Err(BackendError::Conflict { .. }) => Ok(Written::Stale),
            Err(error) => Err(refuse(&error)),
        }
    }

    /// Loads a kind, so that its history begins now and not with its first reader.
    pub async fn load(&self, kind: &Kind) -> Result<(), StatusError> {
        self.resource(kind).snapshot(ReadAt::Any).await.map(drop).map_err(|e| refuse(&e))
    }

    /// The cache of a kind.
    pub fn resource(&self, kind: &Kind) -> Arc<ResourceCache> {
        let key = (kind.group.clone(), kind.plural.clone());
        if let Some(known) = self.resources.get(&key) {
            return known.clone();
        }
        let resource = self.new_resource(kind);
        self.resources.insert(key, resource.clone());
        resource
    }

    fn new_resource(&self, kind: &Kind) -> Arc<ResourceCache> {
        let resource = self.cache.resource(&prefix(kind));
        // Custom objects are selected in the version that is asked for, which need not be the stored one.
        if !kind.selectable.is_empty() && kind.custom.is_none() {
            // Whoever comes first speaks for all kinds that have these objects, such as both of Events.
            let sharing = kinds::all().iter().filter(|other| prefix(other) == prefix(kind));
            let selectable: Vec<_> = sharing.flat_map(|kind| kind.selectable.iter().cloned()).collect();
            resource.register_fields(Arc::new(move |object| {
                let Ok(json) = object.parse::<serde_json::Value>() else { return Default::default() };
                selectable.iter().map(|f| (f.name.to_string(), field_selector::value(f, &json).into_owned())).collect()
            }));
        }
        resource
    }

    /// The object as this revision wrote it: the cache's own, once the cache has seen it, so that everybody
    /// shares one.
    async fn written(
        &self,
        kind: &Kind,
        key: &Key,
        value: &Value,
        revision: Revision,
    ) -> Result<Arc<Stored>, StatusError> {
        let _seen = self.cache.caught_up(revision).await;
        match self.resource(kind).peek(key) {
            Some(known) if known.revision == revision => self.served(kind, known).await,
            _ => self.served(kind, stored(value, revision)?).await,
        }
    }

    async fn commit(
        &self,
        kind: &Kind,
        key: &Key,
        condition: Condition,
        value: Option<Value>,
        beside: Vec<Write>,
    ) -> Result<Revision, BackendError> {
        let buffered = matches!(&*kind.kind, "Lease" | "Event");
        let durability = if buffered { Durability::Buffered } else { Durability::Synced };
        let write = Write { key: path(kind, key).into(), condition, value, durability };
        let mut writes = vec![write];
        writes.extend(beside);
        self.cache.backend().commit(Txn { writes }).await
    }
}

/// What every key of a kind begins with. Versions of a resource share it, and so do the two Event groups.
pub fn prefix(kind: &Kind) -> String {
    match (&*kind.group, &*kind.plural) {
        ("", resource) | ("events.k8s.io", resource @ "events") => format!("/registry/{resource}/"),
        (group, resource) => format!("/registry/{group}/{resource}/"),
    }
}

/// The key of an object in the store.
pub fn path(kind: &Kind, key: &Key) -> String {
    format!("{}{key}", prefix(kind))
}

/// A value as the revision that wrote it says it.
fn stored(value: &Value, revision: Revision) -> Result<Arc<Stored>, StatusError> {
    let json = if revision.0 == 0 { value.json.clone() } else { value.at(revision) };
    Stored::from_json(json).map(Arc::new).map_err(StatusError::internal)
}

fn taken(kind: &Kind, key: &Key, existing: Option<&Stored>) -> StatusError {
    let error = StatusError::already_exists(&kind.gvr(), &key.name);
    match existing {
        Some(existing) if existing.meta.deletion_timestamp.is_some() => {
            let message = format!("object is being deleted: {}", error.message());
            let again = StatusError::new(Reason::AlreadyExists, message);
            error.details().cloned().map_or(again.clone(), |details| again.with_details(details))
        }
        _ => error,
    }
}

/// The first so many objects (0 for all), and where to go on if there are more.
fn first<'a>(objects: impl Iterator<Item = &'a Arc<Stored>>, limit: usize) -> (Vec<Arc<Stored>>, Option<Position>) {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut objects = objects.peekable();
    let items: Vec<Arc<Stored>> = objects.by_ref().take(limit).cloned().collect();
    let more = objects.peek().is_some();
    let next = items.last().filter(|_| more).map(|last| Position { key: last.key.clone(), served: 0 });
    (items, next)
}
