//! Create: from a decoded body to a committed object
//! (`endpoints/handlers/create.go`, `registry/generic/registry/store.go`, `registry/rest/create.go`).

use super::{Answer, Call, Core, certificates, decode, json, managed, meta, storage::Written};
use crate::{
    admission::{Operation, Options, Review},
    sub,
};
use orch_api::{Key, Reason, Scope, StatusError, decode::Parsed, defaults, kind::Verbs, strategy, validation};
use orch_store::{Stored, backend::Write, client::WriteOptions};
use serde_json::Value;
use std::sync::Arc;

/// How often a generated name is tried again; eight tries make a million names per prefix all but certain.
const NAME_ATTEMPTS: usize = 8;

impl Core {
    /// Creates an object, or answers a review.
    pub(crate) async fn create(
        &self,
        call: &Call,
        body: Parsed,
        options: &WriteOptions,
    ) -> Result<Answer, StatusError> {
        refuse_terminating(call)?;
        let mut object = decode::object(call, body, options)?;
        if call.kind.verbs == Verbs::CreateOnly {
            self.admit_unstored(call, &mut object, options).await?;
            return sub::review(self, call, object).await;
        }
        meta::wipe(&mut object);
        self.place(call, &mut object)?;
        if !json::meta(&object, "resourceVersion").is_empty() {
            let words = "resourceVersion should not be set on objects to be created";
            return Err(StatusError::new(Reason::Unknown, words));
        }
        warn_repeated_owners(call, &mut object);
        defaults::apply(&call.kind, &mut object);
        self.create_named(call, object, false, options).await.map(Answer::created)
    }

    /// Creates an object that knows its place; `applied` says that its field owners are known already. A name is generated
    /// after admission, which may still choose one.
    pub(crate) async fn create_named(
        &self,
        call: &Call,
        mut object: Value,
        applied: bool,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>, StatusError> {
        if !applied {
            managed::created(call, &mut object, options, self.ambient.clock.now());
        }
        let key = Key::new(call.key.namespace.clone(), json::meta(&object, "name"));
        let review = creation(call, &key, options);
        if self.admission.mutate(self, &review, &mut object).await? {
            defaults::apply(&call.kind, &mut object);
            warn_repeated_owners(call, &mut object);
        }
        if !meta::wants_generated_name(&object) {
            return self.create_admitted(call, &mut object, options).await;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            meta::generate_name(&mut object, &self.ambient.chance);
            match self.create_admitted(call, &mut object, options).await {
                Err(error) if error.is_already_exists() && attempt < NAME_ATTEMPTS => meta::forget_name(&mut object),
                result => return result,
            }
        }
    }

    /// Creates an object that admission has finished with. Refused for its name, it can be tried with another.
    async fn create_admitted(
        &self,
        call: &Call,
        object: &mut Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>, StatusError> {
        meta::fill(object, self.ambient.clock.now(), &self.ambient.chance);
        strategy::prepare_create(&call.kind, object);
        super::phase::created(&call.kind, object, self.ambient.clock.now());
        if certificates::is_request(&call.kind) {
            certificates::requested(&call.user, object);
        }
        let before = self.services.concern(&call.kind).then(|| object.clone());
        loop {
            let beside = self.services.create(self, call, object).await?;
            match self.create_once(call, object, beside, options).await? {
                Written::Done(stored) => return Ok(stored),
                // Somebody has just taken what it drew.
                Written::Stale => before.iter().for_each(|before| object.clone_from(before)),
            }
        }
    }

    /// One attempt, with other writes in its commit; stale if one of those came too late.
    async fn create_once(
        &self,
        call: &Call,
        object: &mut Value,
        beside: Vec<Write>,
        options: &WriteOptions,
    ) -> Result<Written, StatusError> {
        let key = Key::new(call.key.namespace.clone(), json::meta(object, "name"));
        let errors = validation::create(&call.kind, object, self.setting);
        if !errors.is_empty() {
            return Err(invalid(call, &key, &errors));
        }
        for warning in strategy::warnings(&call.kind, object, None) {
            call.warnings.add(warning);
        }
        self.check_escalation(call, object, None).await?;
        self.admission.validate(self, &creation(call, &key, options), object).await?;
        let value = self.storage.encode(&call.kind, object).await?;
        self.storage.insert_with(&call.kind, &key, value, beside, options.dry_run).await
    }

    /// Admits what is created and never stored: a review, a binding, an eviction, a token.
    pub(crate) async fn admit_unstored(
        &self,
        call: &Call,
        object: &mut Value,
        options: &WriteOptions,
    ) -> Result<(), StatusError> {
        self.admission.admit(self, &creation(call, &call.key, options), object).await
    }

    /// Puts a new object under the namespace and name of the request.
    fn place(&self, call: &Call, object: &mut Value) -> Result<(), StatusError> {
        match call.kind.scope {
            Scope::Namespaced => meta::ensure_namespace(object, &call.key.namespace)?,
            Scope::Cluster => meta::ensure_namespace(object, "")?,
        }
        let (asked, own) = (&*call.key.name, json::meta(object, "name"));
        if !asked.is_empty() && own.is_empty() && json::meta(object, "generateName").is_empty() {
            let name = asked.to_owned();
            json::meta_mut(object).insert("name".into(), name.into());
        } else if !asked.is_empty() && !own.is_empty() && asked != own {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({own}) does not match the name on the URL ({asked})"
            )));
        }
        Ok(())
    }
}

fn creation<'a>(call: &'a Call, key: &'a Key, options: &'a WriteOptions) -> Review<'a> {
    let (operation, dry_run) = (Operation::Create, options.dry_run);
    Review { call, key, operation, old: None, options: Options::Write(options), dry_run }
}

/// There are no new objects of a custom kind whose definition is being deleted.
pub(crate) fn refuse_terminating(call: &Call) -> Result<(), StatusError> {
    match &call.kind.custom {
        Some(custom) if custom.terminating => Err(StatusError::new(
            Reason::MethodNotAllowed,
            "create not allowed while custom resource definition is terminating",
        )),
        _ => Ok(()),
    }
}

/// `422` for an object whose fields are at fault.
pub(crate) fn invalid(call: &Call, key: &Key, errors: &[orch_api::FieldError]) -> StatusError {
    StatusError::invalid(&call.kind.group, &call.kind.kind, &key.name, errors)
}

/// Drops repeated owner references and warns of them.
pub(crate) fn warn_repeated_owners(call: &Call, object: &mut Value) {
    let repeated = meta::dedup_owners(object);
    if !repeated.is_empty() {
        call.warnings.add(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.join(", ")
        ));
    }
}
