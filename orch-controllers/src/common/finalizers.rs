//! Finalizers that protect what is in use (`pkg/controller/volume/protectionutil`).

use orch_api::Object;
use orch_runtime::Plan;
use orch_store::stored::Meta;

/// Whether there may be something to do: the finalizer is to be put there, or to be taken away.
pub fn is_due(meta: &Meta, name: &str) -> bool {
    meta.is_deleting() == meta.has_finalizer(name)
}

/// Puts the finalizer on an object that lives, and takes it from one that is being deleted and not used.
pub fn protect<K: Object>(object: &K, name: &str, is_used: bool) -> Plan {
    let mut plan = Plan::default();
    let mut new = object.clone();
    let finalizers = new.meta_mut().finalizers.get_or_insert_default();
    match (object.is_deleting(), finalizers.iter().any(|f| f == name)) {
        (true, true) if !is_used => finalizers.retain(|f| f != name),
        (false, false) => finalizers.push(name.to_owned()),
        _ => return plan,
    }
    plan.update(object, &new);
    plan
}
