//! Create: from a decoded body to a committed object
//! (`endpoints/handlers/create.go`, `registry/generic/registry/store.go`, `registry/rest/create.go`).

use super::{Answer, Call, Core, convert, decode, encode, json, managed, meta};
use crate::{
    admission::{Operation, Review},
    sub,
};
use orch_api::{Key, Reason, Scope, StatusError, decode::Parsed, defaults, kind::Verbs, strategy, validation};
use orch_store::{Stored, client::WriteOptions};
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
        let mut object = decode::object(call, body, options)?;
        if call.kind.verbs == Verbs::CreateOnly {
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
        if !meta::wants_generated_name(&object) {
            return self.create_named(call, object, false, options).await.map(Answer::created);
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut candidate = object.clone();
            let generated = meta::generate_name(&mut candidate, &self.ambient.chance);
            match self.create_named(call, candidate, false, options).await {
                Err(error) if generated && error.is_already_exists() && attempt < NAME_ATTEMPTS => {}
                result => return result.map(Answer::created),
            }
        }
    }

    /// Creates an object that has its name; `applied` says that its field owners are known already.
    pub(crate) async fn create_named(
        &self,
        call: &Call,
        mut object: Value,
        applied: bool,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>, StatusError> {
        let now = self.ambient.clock.now();
        meta::fill(&mut object, now, &self.ambient.chance);
        if !applied {
            managed::created(call, &mut object, options, now);
        }
        let key = Key::new(call.key.namespace.clone(), json::meta(&object, "name"));
        let review = Review { call, key: &key, operation: Operation::Create, old: None, dry_run: options.dry_run };
        if self.admission.mutate(self, &review, &mut object).await? {
            defaults::apply(&call.kind, &mut object);
            warn_repeated_owners(call, &mut object);
        }
        strategy::prepare_create(&call.kind, &mut object);
        let mut held = self.services.begin_create(call, &mut object)?;
        let errors = validation::create(&call.kind, &object, self.setting);
        if !errors.is_empty() {
            return Err(invalid(call, &key, &errors));
        }
        for warning in strategy::warnings(&call.kind, &object, None) {
            call.warnings.add(warning);
        }
        self.check_escalation(call, &object, None).await?;
        self.admission.validate(self, &review, &object).await?;
        let stored = self
            .storage
            .insert(&call.kind, &key, encode::encode(&convert::to_storage(&call.kind, &object))?, options.dry_run)
            .await?;
        if !options.dry_run {
            held.keep();
        }
        Ok(stored)
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
