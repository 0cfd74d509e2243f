//! [`Converter`]: custom objects change their version, by name alone, by a function of this process, or by a webhook
//! (`apiextensions-apiserver/pkg/apiserver/conversion`).

use crate::{
    core::json,
    webhook::{Target, WebhookClient},
};
use dashmap::DashMap;
use orch_api::{
    Kind, StatusError,
    crd::{Version, go_type},
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::WebhookClientConfig,
    review::{ConversionRequest, ConversionResponse, ConversionReview},
    validation,
};
use orch_store::{Chance, panics::caught_async, review::ConversionHandler};
use serde_json::{Value, json};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// As long as a conversion webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Converts custom objects. Cheap to clone.
#[derive(Clone, Default)]
pub struct Converter(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Functions of this process, by `PLURAL.GROUP`.
    handlers: DashMap<String, Arc<dyn ConversionHandler>>,
    outside: OnceLock<(WebhookClient, Chance)>,
}

impl Converter {
    /// Converts the objects of `PLURAL.GROUP` by a function, whatever their definition says.
    pub fn register(&self, resource: &str, handler: Arc<dyn ConversionHandler>) {
        self.0.handlers.insert(resource.to_owned(), handler);
    }

    /// Reaches webhooks by this client from now on.
    pub(crate) fn reach(&self, webhooks: WebhookClient, chance: Chance) {
        let _first = self.0.outside.set((webhooks, chance));
    }

    /// The objects in the version, in the same order. Those that are in it already stay as they are.
    pub async fn convert(
        &self,
        kind: &Kind,
        version: &str,
        mut objects: Vec<Value>,
    ) -> Result<Vec<Value>, StatusError> {
        let Some(custom) = &kind.custom else { return Ok(objects) };
        let foreign = |object: &Value| json::text(object, &["apiVersion"]) != version;
        let asked: Vec<Value> = objects.iter().filter(|object| foreign(object)).cloned().collect();
        if asked.is_empty() {
            return Ok(objects);
        }
        let handler = self.0.handlers.get(&kind.gvr().group_resource()).map(|h| h.clone());
        let mut converted = match (handler, &custom.conversion.webhook) {
            (None, None) => asked.iter().map(|object| renamed(object, version)).collect(),
            (handler, _) => {
                let found = self.ask(custom, handler, version, asked.clone()).await;
                let first = about(asked.first().unwrap_or(&Value::Null));
                let found = found.map_err(|why| {
                    StatusError::internal_bare(format!("conversion webhook for {first} failed: {why}"))
                })?;
                accepted(&first, version, &asked, found).map_err(StatusError::internal_bare)?
            }
        }
        .into_iter();
        for object in objects.iter_mut().filter(|object| foreign(object)) {
            if let Some(mut new) = converted.next() {
                // What the version does not know is no part of it.
                if version == kind.gvk().api_version() {
                    let _gone = custom.decode(&mut new);
                }
                *object = new;
            }
        }
        Ok(objects)
    }

    async fn ask(
        &self,
        custom: &Version,
        handler: Option<Arc<dyn ConversionHandler>>,
        version: &str,
        objects: Vec<Value>,
    ) -> Result<Vec<Value>, String> {
        let uid = self.0.outside.get().map(|(_, chance)| chance.uid()).unwrap_or_default();
        let request = ConversionRequest { uid, desired_api_version: version.to_owned(), objects };
        let response = match handler {
            Some(handler) => caught_async(async { handler.convert(request).await }).await.map_err(|why| {
                tracing::error!(version, why, "a conversion handler panicked");
                "the conversion handler panicked".to_owned()
            })?,
            None => self.post(custom, request).await?,
        };
        match response.result.status.as_deref() {
            Some("Success") => Ok(response.converted_objects),
            status => Err(match response.result.message.filter(|m| !m.is_empty()) {
                Some(message) => message,
                None => {
                    let status = status.unwrap_or_default();
                    format!("response.result.status was '{status}', not 'Success'")
                }
            }),
        }
    }

    async fn post(&self, custom: &Version, request: ConversionRequest) -> Result<ConversionResponse, String> {
        let (webhooks, _) = self.0.outside.get().ok_or("no webhook can be reached")?;
        let known = custom.conversion.review_versions.iter().find(|v| matches!(v.as_str(), "v1" | "v1beta1"));
        let api_version = format!("apiextensions.k8s.io/{}", known.ok_or("no supported conversion review versions")?);
        let config: WebhookClientConfig =
            serde_json::from_value(custom.conversion.webhook.clone().unwrap_or_default()).map_err(|e| e.to_string())?;
        let endpoint = webhooks.endpoint(&Target::of_conversion(&config)?).map_err(|e| e.to_string())?;
        let uid = request.uid.clone();
        let review = ConversionReview { api_version: api_version.clone(), ..ConversionReview::of_request(request) };
        let body = serde_json::to_vec(&review).map_err(|e| e.to_string())?;
        let answer = webhooks.post(&endpoint, body.into(), Some(TIMEOUT)).await.map_err(|e| e.to_string())?;
        let answer: ConversionReview =
            serde_json::from_slice(&answer).map_err(|e| format!("couldn't get version/kind; json parse error: {e}"))?;
        // Of the older version neither kind nor UID is looked at, as ever.
        let checked = api_version.ends_with("/v1");
        if checked && (answer.api_version != api_version || answer.kind != ConversionReview::KIND) {
            let words = |version: &str, kind: &str| format!("{version}, Kind={kind}");
            return Err(format!(
                "expected webhook response of {}, got {}",
                words(&api_version, ConversionReview::KIND),
                words(&answer.api_version, &answer.kind)
            ));
        }
        let response = answer.response.ok_or_else(|| "no response provided".to_owned())?;
        if checked && response.uid != uid {
            return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
        }
        Ok(response)
    }
}

fn renamed(object: &Value, version: &str) -> Value {
    let mut object = object.clone();
    json::set(&mut object, &["apiVersion"], version);
    object
}

/// `example.com/v1, Kind=Widget`
fn about(object: &Value) -> String {
    format!("{}, Kind={}", json::text(object, &["apiVersion"]), json::text(object, &["kind"]))
}

/// The converted objects, if they are what was asked for; only labels and annotations of the metadata may have changed.
/// Kubernetes converts objects one by one, so faults are told as of a single one.
fn accepted(about: &str, version: &str, asked: &[Value], found: Vec<Value>) -> Result<Vec<Value>, String> {
    if found.len() != asked.len() {
        let (got, wanted) = (found.len(), asked.len());
        return Err(format!("conversion webhook for {about} returned {got} objects, expected {wanted}"));
    }
    found.into_iter().zip(asked).map(|(new, old)| one(version, new, old)).collect()
}

fn one(version: &str, mut new: Value, old: &Value) -> Result<Value, String> {
    let refuse = |why: String| Err(format!("conversion webhook for {} returned invalid {why}", about(old)));
    let (got, kind) = (json::text(&new, &["apiVersion"]), json::text(&new, &["kind"]));
    if got != version {
        return refuse(format!("object at index 0: invalid groupVersion (expected {version}, received {got})"));
    }
    let wanted = json::text(old, &["kind"]);
    if kind != wanted {
        return refuse(format!("object at index 0: invalid kind (expected {wanted}, received {kind})"));
    }
    for (field, word) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (new, old) = (json::meta(&new, field), json::meta(old, field));
        if new != old {
            return refuse(format!("object: must have the same {word}: {old} != {new}"));
        }
    }
    match kept_metadata(&new, old) {
        Ok(metadata) => json::set(&mut new, &["metadata"], metadata),
        Err(why) => return refuse(format!("metadata: {why}")),
    }
    Ok(new)
}

/// The metadata of the old object with the labels and annotations of the new one.
fn kept_metadata(new: &Value, old: &Value) -> Result<Value, String> {
    let changed = match new.get("metadata") {
        None => return Err("missing metadata in converted object".into()),
        Some(Value::Object(changed)) => changed,
        Some(other) => return Err(format!("invalid metadata of type {} in converted object", go_type(other))),
    };
    let mut kept = old.get("metadata").cloned().unwrap_or_else(|| json!({}));
    for field in ["labels", "annotations"] {
        let entries = match changed.get(field).filter(|v| !v.is_null()) {
            None => {
                json::remove(&mut kept, &[field]);
                continue;
            }
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                return Err(format!("invalid metadata.{field} of type {} in converted object", go_type(other)));
            }
        };
        if let Some((key, value)) = entries.iter().find(|(_, value)| !value.is_string()) {
            let ty = go_type(value);
            return Err(format!("metadata.{field}[{key}] must be a string, but is {ty} in converted object"));
        }
        json::set(&mut kept, &[field], Value::Object(entries.clone()));
    }
    let faults = validation::labels_and_annotations(&kept);
    match &faults[..] {
        [] => Ok(kept),
        [one] => Err(one.to_string()),
        many => {
            let words: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(format!("[{}]", words.join(", ")))
        }
    }
}
