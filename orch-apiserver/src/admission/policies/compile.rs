//! [`Policies`]: all policies of the server, compiled when they change.

use super::{bindings::Binding, mutation::MutatingPolicy, validation::ValidatingPolicy};
use crate::{admission::derived::Derived, core::Core};
use orch_api::{
    Gvr, Object,
    k8s_openapi::api::admissionregistration::v1::{
        MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding,
    },
};
use orch_store::{Revision, cache::Snapshot};
use std::{collections::BTreeMap, sync::Arc};

const GROUP: &str = "admissionregistration.k8s.io";

/// All policies of the server.
pub(crate) struct Policies {
    validating: Derived<Compiled<ValidatingPolicy>>,
    validating_bindings: Derived<Compiled<Binding>>,
    mutating: Derived<Compiled<MutatingPolicy>>,
    mutating_bindings: Derived<Compiled<Binding>>,
}

/// What was compiled of the objects of a resource, by their names.
pub(super) struct Compiled<T>(BTreeMap<String, (Revision, Arc<T>)>);

impl<T> Default for Compiled<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Compiled<T> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.values().map(|(_, made)| made)
    }

    /// Compiles what changed since last time and keeps the rest.
    fn of<K: Object>(stored: &Snapshot, last: &Self, make: impl Fn(&str, &K) -> T) -> Self {
        let mut all = BTreeMap::new();
        for object in stored.iter(None, None) {
            let name = object.key.name.to_string();
            let known = last.0.get(&name).filter(|(revision, _)| *revision == object.revision).cloned();
            let made = match known {
                Some(known) => known,
                None => match object.decode::<K>() {
                    Ok(typed) => (object.revision, Arc::new(make(&name, &typed))),
                    Err(error) => {
                        tracing::error!(object = %object.key, %error, "an admission policy cannot be read");
                        continue;
                    }
                },
            };
            all.insert(name, made);
        }
        Self(all)
    }
}

impl Policies {
    /// Nothing compiled yet.
    pub(crate) fn new() -> Self {
        let of = |resource| Gvr::of(GROUP, "v1", resource);
        Self {
            validating: Derived::new(of("validatingadmissionpolicies")),
            validating_bindings: Derived::new(of("validatingadmissionpolicybindings")),
            mutating: Derived::new(of("mutatingadmissionpolicies")),
            mutating_bindings: Derived::new(of("mutatingadmissionpolicybindings")),
        }
    }

    pub(super) fn validating(&self, core: &Core) -> Arc<Compiled<ValidatingPolicy>> {
        self.validating.get(core, |stored, last| {
            Compiled::of(stored, last, |name, policy: &ValidatingAdmissionPolicy| {
                ValidatingPolicy::compile(name, &policy.spec.clone().unwrap_or_default())
            })
        })
    }

    pub(super) fn validating_bindings(&self, core: &Core) -> Arc<Compiled<Binding>> {
        self.validating_bindings.get(core, |stored, last| {
            Compiled::of(stored, last, |name, binding: &ValidatingAdmissionPolicyBinding| {
                let spec = &binding.spec;
                let (params, resources) = (spec.param_ref.as_ref(), spec.match_resources.as_ref());
                Binding::new(name, &spec.policy_name, params, resources, &spec.validation_actions)
            })
        })
    }

    pub(super) fn mutating(&self, core: &Core) -> Arc<Compiled<MutatingPolicy>> {
        self.mutating.get(core, |stored, last| {
            Compiled::of(stored, last, |name, policy: &MutatingAdmissionPolicy| {
                MutatingPolicy::compile(name, &policy.spec.clone().unwrap_or_default())
            })
        })
    }

    pub(super) fn mutating_bindings(&self, core: &Core) -> Arc<Compiled<Binding>> {
        self.mutating_bindings.get(core, |stored, last| {
            Compiled::of(stored, last, |name, binding: &MutatingAdmissionPolicyBinding| {
                let spec = binding.spec.clone().unwrap_or_default();
                let (params, resources) = (spec.param_ref.as_ref(), spec.match_resources.as_ref());
                Binding::new(name, spec.policy_name.as_deref().unwrap_or_default(), params, resources, &[])
            })
        })
    }
}
