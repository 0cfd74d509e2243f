//! `POST serviceaccounts/NAME/token` and TokenReview (`pkg/registry/core/serviceaccount/storage/token.go`,
//! `pkg/registry/authentication/tokenreview`).

use super::{review::user_info, unstored};
use crate::{
    admission::EXPIRATION_SECONDS,
    authn::{Bound, Reference, TokenRequest},
    core::{
        Answer, Call, Core,
        decode::{self, Expected},
        json, meta,
    },
};
use jiff::SignedDuration;
use orch_api::{FieldError, Gvr, Key, Path, Reason, StatusError, decode::Parsed};
use orch_store::client::WriteOptions;
use serde_json::{Value, json};

const TOKEN_REQUEST: Expected<'_> = Expected {
    api_version: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    definition: "io.k8s.api.authentication.v1.TokenRequest",
};
const DEFAULT_SECONDS: i64 = 3600;
const LEAST_SECONDS: i64 = 600;
/// The longest life of a token; those that Secrets keep ask for it.
pub(crate) const MOST_SECONDS: i64 = 1 << 32;
/// The life of a token of a pod whose programs may not read it again in time (`ExpirationExtensionSeconds`).
const EXTENDED: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Signs a token of a service account.
pub(crate) async fn issue(
    core: &Core,
    call: &Call,
    body: Parsed,
    options: &WriteOptions,
) -> Result<Answer, StatusError> {
    let mut request = decode::typed(call, TOKEN_REQUEST, body, options)?;
    meta::ensure_namespace(&mut request, &call.key.namespace)?;
    check_name(call, &request)?;
    let account = core.storage.get(&call.kind, &call.key).await?;
    check_uid(call, &request, &account.meta.uid)?;
    json::set(&mut request, &["metadata", "name"], &*call.key.name);
    json::set(&mut request, &["metadata", "uid"], &*account.meta.uid);
    core.admit_unstored(call, &mut request, options).await?;
    let seconds = json::integer(&request, &["spec", "expirationSeconds"]).unwrap_or(DEFAULT_SECONDS);
    check(call, seconds)?;
    let Some(signer) = &core.signer else {
        return Err(StatusError::new(Reason::ServiceUnavailable, "this server signs no service account tokens"));
    };
    let audiences: Vec<String> =
        json::items(&request, &["spec", "audiences"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let (now, asked) = (core.ambient.clock.now(), SignedDuration::from_secs(seconds));
    let bound = bound(core, call, &request).await?;
    let is_extended = matches!(bound, Bound::Pod(..))
        && seconds == EXPIRATION_SECONDS
        && audiences.iter().all(|audience| signer.audiences().contains(audience));
    let wanted = TokenRequest {
        namespace: call.key.namespace.to_string(),
        service_account: Reference { name: call.key.name.to_string(), uid: account.meta.uid.to_string() },
        audiences: audiences.clone(),
        lifetime: if is_extended { EXTENDED } else { asked },
        warn_after: is_extended.then_some(asked),
        bound,
        id: core.ambient.chance.uid(),
    };
    let (token, _) = signer.sign(&wanted, now).map_err(StatusError::internal)?;
    let expires = now.saturating_add(asked).map_err(StatusError::internal)?;
    let audiences = if audiences.is_empty() { signer.audiences().to_vec() } else { audiences };
    json::set(&mut request, &["spec", "audiences"], audiences);
    json::set(&mut request, &["spec", "expirationSeconds"], seconds);
    json::set(&mut request, &["metadata", "creationTimestamp"], meta::time(now));
    let status = json!({"token": token.reveal(), "expirationTimestamp": meta::time(expires)});
    json::set(&mut request, &["status"], status);
    unstored(&request).map(Answer::created)
}

/// The status of a TokenReview.
pub(crate) async fn review(core: &Core, call: &Call, object: &Value) -> Value {
    let token = json::text(object, &["spec", "token"]);
    let audiences: Vec<String> =
        json::items(object, &["spec", "audiences"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let Some(tokens) = &core.accounts else { return json!({"authenticated": false}) };
    match tokens.review(token, &audiences, core.ambient.clock.now(), &call.notes()).await {
        Ok((user, audiences)) => json!({"authenticated": true, "user": user_info(&user), "audiences": audiences}),
        Err(why) => json!({"authenticated": false, "error": why}),
    }
}

fn check_name(call: &Call, request: &Value) -> Result<(), StatusError> {
    let name = json::meta(request, "name");
    if name.is_empty() || name == &*call.key.name {
        return Ok(());
    }
    let path = Path::new("metadata").child("name");
    let error = FieldError::invalid(&path, name, "must match the service account name if specified");
    Err(StatusError::invalid("authentication.k8s.io", "TokenRequest", &call.key.name, &[error]))
}

/// A request that names a UID is for that account alone, and not for one that has its name by now.
fn check_uid(call: &Call, request: &Value, uid: &str) -> Result<(), StatusError> {
    let asked = json::meta(request, "uid");
    if asked.is_empty() || asked == uid {
        return Ok(());
    }
    let why = format!("the UID in the token request ({asked}) does not match the UID of the service account ({uid})");
    Err(StatusError::conflict(&Gvr::of("authentication.k8s.io", "v1", "TokenRequest"), &call.key.name, why))
}

fn check(call: &Call, seconds: i64) -> Result<(), StatusError> {
    let why = match seconds {
        s if s < LEAST_SECONDS => "may not specify a duration less than 10 minutes",
        s if s > MOST_SECONDS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let path = Path::new("spec").child("expirationSeconds");
    let error = FieldError::invalid(&path, seconds, why);
    Err(StatusError::invalid("authentication.k8s.io", "TokenRequest", &call.key.name, &[error]))
}

/// What the token is bound to: the object must exist and be the one that is meant.
async fn bound(core: &Core, call: &Call, request: &Value) -> Result<Bound, StatusError> {
    let Some(wanted) = json::at(request, &["spec", "boundObjectRef"]) else { return Ok(Bound::Nothing) };
    let (kind, name, uid) =
        (json::text(wanted, &["kind"]), json::text(wanted, &["name"]), json::text(wanted, &["uid"]));
    let (resource, namespace) = match kind {
        "Pod" => ("pods", &*call.key.namespace),
        "Secret" => ("secrets", &*call.key.namespace),
        "Node" => ("nodes", ""),
        _ => {
            return Err(StatusError::bad_request(format!("cannot bind token for object of type {kind:?}")));
        }
    };
    let gvr = Gvr { group: "".into(), version: "v1".into(), resource: resource.into() };
    let found = match core.registry.find(&gvr) {
        Some(kind) => core.storage.get(&kind, &Key::new(namespace, name)).await?,
        None => return Err(StatusError::not_found(&gvr, name)),
    };
    if !uid.is_empty() && uid != &*found.meta.uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(StatusError::conflict(&gvr, name, why));
    }
    let reference = Reference { name: name.to_owned(), uid: found.meta.uid.to_string() };
    match kind {
        "Secret" => Ok(Bound::Secret(reference)),
        "Node" => Ok(Bound::Node(reference)),
        _ => {
            let pod: Value = found.parse()?;
            let account = json::text(&pod, &["spec", "serviceAccountName"]);
            if account != &*call.key.name {
                let why = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    call.key.name
                );
                return Err(StatusError::bad_request(why));
            }
            Ok(Bound::Pod(reference, node_of(core, json::text(&pod, &["spec", "nodeName"])).await?))
        }
    }
}

async fn node_of(core: &Core, name: &str) -> Result<Option<Reference>, StatusError> {
    let Some(kind) = core.registry.find(&Gvr::of("", "v1", "nodes")).filter(|_| !name.is_empty()) else {
        return Ok(None);
    };
    let node = core.storage.find(&kind, &Key::cluster(name)).await?;
    Ok(node.map(|node| Reference { name: name.to_owned(), uid: node.meta.uid.to_string() }))
}
