//! Patch and apply (`endpoints/handlers/patch.go`).

use super::{
    Answer, Call, Core, Verb, decode, json, managed,
    update::{Mode, Part},
};
use crate::patch::apply_patch;
use orch_api::{FieldError, Key, Path, Reason, StatusError, decode::Parsed, defaults};
use orch_store::client::{Patch, WriteOptions};
use serde_json::Value;

/// How often a patch that does not name a revision is tried again after a conflict.
const CONFLICT_RETRIES: usize = 5;

impl Core {
    pub(crate) async fn patch(
        &self,
        call: &Call,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Answer, StatusError> {
        self.patch_part(call, patch, options, Part::Main).await
    }

    /// Patches the part of an object that the caller may change.
    pub(crate) async fn patch_part(
        &self,
        call: &Call,
        patch: &Patch,
        options: &WriteOptions,
        part: Part,
    ) -> Result<Answer, StatusError> {
        match patch {
            Patch::Strategic(_) if call.kind.custom.is_some() => Err(no_strategic()),
            Patch::Apply(config) => self.apply(call, config, options, part).await,
            patch => {
                let change = |live: &Value| patched(call, live, patch, options);
                let mut attempt = 0;
                loop {
                    attempt += 1;
                    match self.write(call, Mode { part, ..Mode::default() }, options, &change).await {
                        Err(error) if error.is_conflict() && attempt <= CONFLICT_RETRIES => {}
                        result => return result.map(Answer::object),
                    }
                }
            }
        }
    }

    async fn apply(
        &self,
        call: &Call,
        config: &Value,
        options: &WriteOptions,
        part: Part,
    ) -> Result<Answer, StatusError> {
        if options.field_manager.is_empty() {
            let error = FieldError::required(&Path::new("fieldManager"), "is required for apply patch");
            return Err(StatusError::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        managed::check_configuration(call, config, options, self.ambient.clock.now())?;
        let mut config = decode::applied(call, Parsed { value: config.clone(), ..Parsed::default() }, options)?;
        place(call, &mut config)?;
        if self.storage.find(&call.kind, &call.key).await?.is_none() {
            return self.apply_new(call, &config, options, part).await;
        }
        let now = self.ambient.clock.now();
        let change = |live: &Value| {
            let mut merged = managed::applied(call, Some(live), &config, options, now)?;
            defaults::apply(&call.kind, &mut merged);
            Ok(merged)
        };
        self.write(call, Mode { part, applied: true, ..Mode::default() }, options, &change).await.map(Answer::object)
    }

    /// Applying to nothing creates, unless the configuration names the UID of what was there.
    async fn apply_new(
        &self,
        call: &Call,
        config: &Value,
        options: &WriteOptions,
        part: Part,
    ) -> Result<Answer, StatusError> {
        if part != Part::Main {
            return Err(StatusError::not_found(&call.kind.gvr(), &call.key.name));
        }
        let uid = json::meta(config, "uid");
        if !uid.is_empty() {
            let why =
                format_args!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(StatusError::conflict(&call.kind.gvr(), &call.key.name, why));
        }
        super::create::refuse_terminating(call)?;
        self.authorize(call, Verb::Create)?;
        let now = self.ambient.clock.now();
        let mut object = managed::applied(call, None, config, options, now)?;
        json::meta_mut(&mut object).remove("resourceVersion");
        defaults::apply(&call.kind, &mut object);
        self.create_named(call, object, true, options).await.map(Answer::created)
    }
}

/// `415`: nothing says how lists of custom kinds would merge.
fn no_strategic() -> StatusError {
    let words = "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    StatusError::new(Reason::UnsupportedMediaType, words)
}

/// The live object with a patch on it.
fn patched(call: &Call, live: &Value, patch: &Patch, options: &WriteOptions) -> Result<Value, StatusError> {
    let schema = decode::schema_of(&call.kind);
    let apply = || apply_patch(&schema, live, patch);
    let mut object = decode::patched(call, apply()?, options, apply)?;
    check_name(call, &object)?;
    defaults::apply(&call.kind, &mut object);
    Ok(object)
}

/// A patch may not rename or move its object.
fn check_name(call: &Call, object: &Value) -> Result<(), StatusError> {
    let own = Key::new(json::meta(object, "namespace"), json::meta(object, "name"));
    if own.name != call.key.name {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            own.name, call.key.name
        )));
    }
    if own.namespace != call.key.namespace {
        return Err(StatusError::bad_request(format!(
            "the namespace of the object ({}) does not match the namespace on the request ({})",
            own.namespace, call.key.namespace
        )));
    }
    Ok(())
}

/// Puts an applied configuration under the name and namespace of the request.
fn place(call: &Call, config: &mut Value) -> Result<(), StatusError> {
    for (field, asked) in [("name", &call.key.name), ("namespace", &call.key.namespace)] {
        if json::meta(config, field).is_empty() && !asked.is_empty() {
            json::meta_mut(config).insert(field.into(), (&**asked).into());
        }
    }
    check_name(call, config)
}
