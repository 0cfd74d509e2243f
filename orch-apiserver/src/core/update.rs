//! Update: from a changed object to a committed one (`endpoints/handlers/update.go`,
//! `registry/generic/registry/store.go`, `registry/rest/update.go`). Replace, patch, apply and the
//! subresources that change their object all come through `Core::write`.

use super::{
    Answer, Call, Core, Verb, certificates,
    create::{invalid, warn_repeated_owners},
    decode, encode, json, managed, meta,
    storage::Written,
};
use crate::{
    admission::{Operation, Options, Review},
    sub::{scale_of, set_replicas},
};
use orch_api::{FieldError, Key, Path, Scope, StatusError, decode::Parsed, defaults, strategy, validation};
use orch_store::{Stored, client::WriteOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// Makes the new object from the live one; called again when the live one changed meanwhile.
pub(crate) type Change<'a> = &'a (dyn Fn(&Value) -> Result<Value, StatusError> + Send + Sync);

/// How a write treats what it was handed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    /// The part of the object that the write may change.
    pub part: Part,
    /// Whether field owners were decided by apply already.
    pub applied: bool,
    /// What admission is asked about.
    pub admits: Admits,
}

/// What admission is asked about when an object is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Admits {
    /// The object.
    #[default]
    Object,
    /// The scale that the object shows.
    Scale,
    /// Nothing: the request was admitted as something else, such as a binding.
    Nothing,
}

/// The part of an object that a write may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status, where the kind has a status subresource.
    #[default]
    Main,
    /// The status (and a little metadata).
    Status,
    /// Whatever the change did: for subresources that have checked it themselves.
    Checked,
}

impl Core {
    /// Replaces an object.
    pub(crate) async fn update(
        &self,
        call: &Call,
        body: Parsed,
        options: &WriteOptions,
    ) -> Result<Answer, StatusError> {
        let body = self.decode_update(call, body, options)?;
        if strategy::allows_create_on_update(&call.kind) && self.storage.find(&call.kind, &call.key).await?.is_none() {
            self.authorize(call, Verb::Create)?;
            let mut object = body;
            meta::wipe(&mut object);
            json::meta_mut(&mut object).remove("resourceVersion");
            return self.create_named(call, object, false, options).await.map(Answer::created);
        }
        let change = replacement(body, self.services.concern(&call.kind));
        self.write(call, Mode::default(), options, &change).await.map(Answer::object)
    }

    /// Replaces the status of an object.
    pub(crate) async fn update_status(
        &self,
        call: &Call,
        body: Parsed,
        options: &WriteOptions,
    ) -> Result<Answer, StatusError> {
        let body = self.decode_update(call, body, options)?;
        let mode = Mode { part: Part::Status, ..Mode::default() };
        self.write(call, mode, options, &replacement(body, false)).await.map(Answer::object)
    }

    pub(crate) fn decode_update(
        &self,
        call: &Call,
        body: Parsed,
        options: &WriteOptions,
    ) -> Result<Value, StatusError> {
        let mut object = decode::object(call, body, options)?;
        match call.kind.scope {
            Scope::Namespaced => meta::ensure_namespace(&mut object, &call.key.namespace)?,
            Scope::Cluster => meta::ensure_namespace(&mut object, "")?,
        }
        let own = json::meta(&object, "name");
        if own.is_empty() {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                call.key.name
            )));
        }
        if own != &*call.key.name {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({own}) does not match the name on the URL ({})",
                call.key.name
            )));
        }
        warn_repeated_owners(call, &mut object);
        defaults::apply(&call.kind, &mut object);
        Ok(object)
    }

    /// Reads, changes and writes back until nobody else wrote in between.
    pub(crate) async fn write(
        &self,
        call: &Call,
        mode: Mode,
        options: &WriteOptions,
        change: Change<'_>,
    ) -> Result<Arc<Stored>, StatusError> {
        loop {
            let Some(old) = self.storage.find(&call.kind, &call.key).await? else {
                return Err(StatusError::not_found(&call.kind.gvr(), &call.key.name));
            };
            match self.write_once(call, mode, options, change, &old).await? {
                Written::Done(stored) => return Ok(stored),
                Written::Stale => continue,
            }
        }
    }

    async fn write_once(
        &self,
        call: &Call,
        mode: Mode,
        options: &WriteOptions,
        change: Change<'_>,
        stored: &Arc<Stored>,
    ) -> Result<Written, StatusError> {
        let old: Value = stored.parse()?;
        let mut new = change(&old)?;
        check_uid(call, &old, &new)?;
        check_version(call, stored, &mut new)?;
        let now = self.ambient.clock.now();
        if !mode.applied {
            managed::updated(call, &old, &mut new, options, now);
        }
        self.mutate_update(call, mode.admits, options, &old, &mut new).await?;
        keep_system_fields(&old, &mut new);
        let beside = self.services.update(self, call, &old, &mut new).await?;
        let (errors, ratcheted) = match mode.part {
            Part::Main => {
                strategy::prepare_update(&call.kind, &mut new, &old);
                validation::update(&call.kind, &new, &old, self.setting)
            }
            Part::Status => {
                strategy::prepare_status_update(&call.kind, &mut new, &old);
                super::phase::updated(&call.kind, &mut new, &old, now);
                if certificates::is_request(&call.kind) {
                    certificates::stamp(&old, &mut new, &meta::time(now));
                }
                validation::status_update(&call.kind, &new, &old)
            }
            Part::Checked => Default::default(),
        };
        if !errors.is_empty() {
            return Err(invalid(call, &call.key, &errors));
        }
        ratcheted.into_iter().for_each(|warning| call.warnings.add(warning));
        if mode.part == Part::Main {
            for warning in strategy::warnings(&call.kind, &new, Some(&old)) {
                call.warnings.add(warning);
            }
        }
        managed::settle(&old, &mut new);
        self.check_escalation(call, &new, Some(&old)).await?;
        self.validate_update(call, mode.admits, options, &old, &new).await?;
        if deletes(&old, &new) {
            // What the update asked for is not had any more.
            let beside = self.services.delete(self, call, &old).await?;
            let written = self.storage.remove_with(&call.kind, stored, beside, options.dry_run).await?;
            return answer_with(written, &new, stored);
        }
        if new == old && !self.storage.is_outdated(&call.kind, &call.key)? {
            return Ok(Written::Done(stored.clone()));
        }
        let value = self.storage.encode(&call.kind, &new).await?;
        self.storage.replace_with(&call.kind, stored, value, beside, options.dry_run).await
    }
}

impl Core {
    async fn mutate_update(
        &self,
        call: &Call,
        admits: Admits,
        options: &WriteOptions,
        old: &Value,
        new: &mut Value,
    ) -> Result<(), StatusError> {
        match admits {
            Admits::Nothing => {}
            Admits::Object => {
                if self.admission.mutate(self, &updating(call, options, old), new).await? {
                    defaults::apply(&call.kind, new);
                }
            }
            Admits::Scale => {
                let (before, mut scale) = (scale_of(call, old)?, scale_of(call, new)?);
                if self.admission.mutate(self, &updating(call, options, &before), &mut scale).await? {
                    let replicas = json::integer(&scale, &["spec", "replicas"]).unwrap_or(0);
                    set_replicas(call, new, replicas);
                }
            }
        }
        Ok(())
    }

    async fn validate_update(
        &self,
        call: &Call,
        admits: Admits,
        options: &WriteOptions,
        old: &Value,
        new: &Value,
    ) -> Result<(), StatusError> {
        match admits {
            Admits::Nothing => Ok(()),
            Admits::Object => self.admission.validate(self, &updating(call, options, old), new).await,
            Admits::Scale => {
                let (before, scale) = (scale_of(call, old)?, scale_of(call, new)?);
                self.admission.validate(self, &updating(call, options, &before), &scale).await
            }
        }
    }
}

fn updating<'a>(call: &'a Call, options: &'a WriteOptions, old: &'a Value) -> Review<'a> {
    let (operation, dry_run) = (Operation::Update, options.dry_run);
    Review { call, key: &call.key, operation, old: Some(old), options: Options::Write(options), dry_run }
}

/// The change that replaces an object whatever it is. A body that names a revision is not copied: once it came too late it
/// is refused for that, which takes no more of it than the revision and the UID. `again` says that it may come again although
/// the object has not changed: what was to be written with it has.
fn replacement(body: Value, again: bool) -> impl Fn(&Value) -> Result<Value, StatusError> + Send + Sync {
    let (uid, revision) = (json::meta(&body, "uid"), json::meta(&body, "resourceVersion"));
    let late = (!again && !matches!(revision, "" | "0"))
        .then(|| json!({"metadata": {"uid": uid, "resourceVersion": revision}}));
    let body = Mutex::new(body);
    move |_| match &late {
        Some(late) => Ok(std::mem::replace(&mut body.lock(), late.clone())),
        None => Ok(body.lock().clone()),
    }
}

/// The answer to an update that took the last finalizer away is the object of the request.
fn answer_with(written: Written, new: &Value, stored: &Stored) -> Result<Written, StatusError> {
    match written {
        Written::Stale => Ok(Written::Stale),
        Written::Done(_) => {
            let json = encode::encode(new)?.at(stored.revision);
            Stored::from_json(json).map(Arc::new).map(Written::Done).map_err(StatusError::internal)
        }
    }
}

/// Whether the update of an object that waits for deletion sets it free (`ShouldDeleteDuringUpdate`).
fn deletes(old: &Value, new: &Value) -> bool {
    let waits = json::items(new, &["metadata", "finalizers"]).is_empty()
        && json::items(new, &["spec", "finalizers"]).is_empty()
        && !json::meta(old, "deletionTimestamp").is_empty();
    waits && json::integer(old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
}

/// A write that names a UID is meant for that object alone.
fn check_uid(call: &Call, old: &Value, new: &Value) -> Result<(), StatusError> {
    let (asked, actual) = (json::meta(new, "uid"), json::meta(old, "uid"));
    if asked.is_empty() || asked == actual {
        return Ok(());
    }
    let gvr = call.kind.gvr();
    let key = super::storage::path(&call.kind, &call.key);
    Err(StatusError::conflict(
        &gvr,
        &call.key.name,
        format_args!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {asked}, UID in object meta: {actual}"
        ),
    ))
}

/// The optimistic lock: an absent version writes unconditionally where the kind allows it.
fn check_version(call: &Call, stored: &Stored, new: &mut Value) -> Result<(), StatusError> {
    let asked = json::meta(new, "resourceVersion");
    let gvr = call.kind.gvr();
    match asked {
        "" | "0" if strategy::allows_unconditional_update(&call.kind) => {}
        "" | "0" => {
            let path = Path::new("metadata").child("resourceVersion");
            let error = FieldError::invalid(&path, 0, "must be specified for an update");
            return Err(StatusError::invalid(&gvr.group, &gvr.resource, &call.key.name, &[error]));
        }
        asked => match asked.parse::<u64>() {
            Ok(revision) if revision == stored.revision.0 => {}
            Ok(_) => return Err(StatusError::stale(&gvr, &call.key.name)),
            Err(_) => {
                let path = Path::new("metadata").child("resourceVersion");
                let why = format!("strconv.ParseUint: parsing {asked:?}: invalid syntax");
                let error = FieldError::invalid(&path, asked, why);
                return Err(StatusError::invalid(&gvr.group, &gvr.resource, &call.key.name, &[error]));
            }
        },
    }
    let current = stored.revision.to_string();
    json::meta_mut(new).insert("resourceVersion".into(), current.into());
    Ok(())
}

/// What a client leaves out of the metadata stays as it is; the generation is the server's alone.
fn keep_system_fields(old: &Value, new: &mut Value) {
    let Some(Value::Object(old)) = old.get("metadata") else { return };
    let meta = json::meta_mut(new);
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if let (Some(value), None | Some(Value::Null)) = (old.get(field), meta.get(field)) {
            meta.insert(field.into(), value.clone());
        }
    }
    match old.get("generation") {
        Some(generation) => meta.insert("generation".into(), generation.clone()),
        None => meta.remove("generation"),
    };
    meta.remove("selfLink");
}

/// The key of an object that a body names inside the namespace of a call.
pub(crate) fn key_of(call: &Call, object: &Value) -> Key {
    Key::new(call.key.namespace.clone(), json::meta(object, "name"))
}
