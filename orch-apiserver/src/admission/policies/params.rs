//! The parameters of a binding (`plugin/policy/generic/policy_dispatcher.go`, `CollectParams`).

use super::{bindings::Binding, policy::Policy};
use crate::{
    admission::{Review, View},
    core::selection::LabelsOf,
};
use orch_api::{
    Gvk, Key, Kind, Scope, k8s_openapi::api::admissionregistration::v1::ParamRef, label_selector::Selector,
};
use serde_json::Value;

/// The parameters with which a policy is evaluated: once with none where it takes none, else once for each. The error says what
/// is wrong with the configuration.
pub(super) async fn collect(
    view: &View<'_>,
    review: &Review<'_>,
    policy: &Policy,
    binding: &Binding,
) -> Result<Vec<Option<Value>>, String> {
    let (Some(gvk), Some(reference)) = (&policy.param_kind, &binding.param_ref) else { return Ok(vec![None]) };
    let Some(kind) = view.core.registry.by_kind(gvk) else { return Err(unknown(gvk)) };
    let namespace = namespace(&kind, reference, review)?;
    let found = find(view, &kind, reference, &namespace).await?;
    let denies = reference.parameter_not_found_action.as_deref() == Some("Deny");
    if found.is_empty() && denies {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    Ok(found.into_iter().map(Some).collect())
}

/// Why a policy whose parameters nobody serves cannot be used.
pub(super) fn unknown(gvk: &Gvk) -> String {
    let shown = format!("{}, Kind={}", gvk.api_version(), gvk.kind);
    format!("failed to find resource referenced by paramKind: '{shown}'")
}

fn namespace(kind: &Kind, reference: &ParamRef, review: &Review<'_>) -> Result<String, String> {
    let asked = reference.namespace.as_deref().unwrap_or_default();
    match (kind.scope, asked, review.namespace()) {
        (Scope::Cluster, "", _) => Ok(String::new()),
        (Scope::Cluster, ..) => Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into()),
        (Scope::Namespaced, "", "") => {
            Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".into())
        }
        (Scope::Namespaced, "", own) => Ok(own.to_owned()),
        (Scope::Namespaced, asked, _) => Ok(asked.to_owned()),
    }
}

async fn find(view: &View<'_>, kind: &Kind, reference: &ParamRef, namespace: &str) -> Result<Vec<Value>, String> {
    let words = |error: orch_api::StatusError| error.to_string();
    let name = reference.name.as_deref().unwrap_or_default();
    match (name, &reference.selector) {
        ("", None) => Err("one of name or selector must be provided".into()),
        ("", Some(selector)) => {
            let selector = Selector::from_typed(Some(selector)).map_err(|why| why.to_string())?;
            let all = view.known(&kind.gvr(), namespace).await.map_err(words)?;
            let selected = all.iter().filter(|object| selector.matches(&LabelsOf(object)));
            selected.map(|object| object.parse().map_err(words)).collect()
        }
        (_, Some(_)) => Err("paramRef.name and paramRef.selector are mutually exclusive".into()),
        (name, None) => {
            let found = view.find(&kind.gvr(), &Key::new(namespace, name)).await.map_err(words)?;
            found.into_iter().map(|object| object.parse().map_err(words)).collect()
        }
    }
}
