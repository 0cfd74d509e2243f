//! Reviews: questions to authentication and authorization, and the Binding (`pkg/registry/authorization`,
//! `pkg/registry/authentication`).

use super::{binding, token, unstored};
use crate::{
    authn::User,
    authz::{Attributes, Verdict, rules_status},
    core::{Answer, Call, Core, json},
};
use orch_api::{FieldError, Path, StatusError};
use serde_json::{Value, json};

/// Answers an object of a kind that is never stored.
pub(crate) async fn review(core: &Core, call: &Call, mut object: Value) -> Result<Answer, StatusError> {
    let status = match (&*call.kind.group, &*call.kind.kind) {
        ("", "Binding") => return binding::bind_named(core, call, &object).await,
        ("authorization.k8s.io", "SelfSubjectAccessReview") => access(core, call, &object, &call.user)?,
        ("authorization.k8s.io", "SubjectAccessReview") => access(core, call, &object, &subject(call, &object)?)?,
        ("authorization.k8s.io", "LocalSubjectAccessReview") => {
            check_namespace(call, &object)?;
            access(core, call, &object, &subject(call, &object)?)?
        }
        ("authorization.k8s.io", "SelfSubjectRulesReview") => {
            let namespace = json::text(&object, &["spec", "namespace"]);
            if namespace.is_empty() {
                return Err(StatusError::bad_request("no namespace on request"));
            }
            rules_status(&core.authorizer.rules(&call.user, namespace))
        }
        ("authentication.k8s.io", "TokenReview") => token::review(core, call, &object).await,
        ("authentication.k8s.io", "SelfSubjectReview") => json!({"userInfo": user_info(&call.user)}),
        _ => return Err(crate::core::not_supported(call, crate::core::Verb::Create)),
    };
    if &*call.kind.kind == "SelfSubjectReview" {
        let now = crate::core::meta::time(core.ambient.clock.now());
        json::set(&mut object, &["metadata", "creationTimestamp"], now);
    }
    json::set(&mut object, &["status"], status);
    unstored(&object).map(Answer::created)
}

/// A user as reviews show it.
pub(crate) fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        json::set(&mut info, &["uid"], user.uid.clone());
    }
    if !user.extra.is_empty() {
        json::set(&mut info, &["extra"], json!(user.extra));
    }
    info
}

/// Whom a SubjectAccessReview asks about.
fn subject(call: &Call, review: &Value) -> Result<User, StatusError> {
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let user = User {
        name: json::text(review, &["spec", "user"]).to_owned(),
        uid: json::text(review, &["spec", "uid"]).to_owned(),
        groups: texts(json::items(review, &["spec", "groups"])),
        extra: json::at(review, &["spec", "extra"])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), texts(v.as_array().map_or(&[], Vec::as_slice))))
            .collect(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let path = Path::new("spec").child("user");
        let error = FieldError::required(&path, "at least one of user or group must be specified");
        return Err(StatusError::invalid(&call.kind.group, &call.kind.kind, "", &[error]));
    }
    Ok(user)
}

fn access(core: &Core, call: &Call, review: &Value, user: &User) -> Result<Value, StatusError> {
    let part = |name: &str| json::at(review, &["spec", name]);
    let decision = match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(asked), None) => {
            let mut attributes = Attributes::resource(
                user,
                json::text(asked, &["verb"]),
                json::text(asked, &["group"]),
                json::text(asked, &["resource"]),
            )
            .within(json::text(asked, &["namespace"]))
            .named(json::text(asked, &["name"]));
            attributes.subresource = json::text(asked, &["subresource"]);
            attributes.version = json::text(asked, &["version"]);
            core.authorizer.authorize(&attributes)
        }
        (None, Some(asked)) => {
            let (verb, path) = (json::text(asked, &["verb"]), json::text(asked, &["path"]));
            core.authorizer.authorize(&Attributes::path(user, verb, path))
        }
        (both, _) => {
            let path = Path::new("spec").child("resourceAttributes");
            let error = match both {
                None => FieldError::required(
                    &path,
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ),
                Some(_) => FieldError::invalid(
                    &path,
                    Value::Null,
                    "cannot be specified in combination with nonResourceAttributes",
                ),
            };
            return Err(StatusError::invalid(&call.kind.group, &call.kind.kind, "", &[error]));
        }
    };
    let mut status = json!({"allowed": decision.is_allowed()});
    if decision.verdict == Verdict::Deny {
        json::set(&mut status, &["denied"], true);
    }
    if !decision.reason.is_empty() {
        json::set(&mut status, &["reason"], decision.reason.into_owned());
    }
    Ok(status)
}

/// A LocalSubjectAccessReview asks about its own namespace.
fn check_namespace(call: &Call, review: &Value) -> Result<(), StatusError> {
    let own = json::text(review, &["spec", "resourceAttributes", "namespace"]);
    if own == &*call.key.namespace {
        return Ok(());
    }
    let path = Path::new("spec").child("resourceAttributes").child("namespace");
    let why = format!("must match metadata.namespace: {}", call.key.namespace);
    let error = FieldError::invalid(&path, own, why);
    Err(StatusError::invalid(&call.kind.group, &call.kind.kind, "", &[error]))
}
