//! Handlers of admission and conversion reviews: what an operator author writes. The same value is given to an API server
//! of this process, which then calls it as a function, or is served over HTTPS to any API server.

use async_trait::async_trait;
use orch_api::{
    k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, ValidatingWebhook},
    review::{AdmissionRequest, AdmissionResponse, ConversionRequest, ConversionResponse},
};
use std::{fmt, sync::Arc};

/// Decides about writes. Every `Fn(AdmissionRequest) -> impl Future<Output = AdmissionResponse>` is one.
///
/// # Laws
///
/// - It may be asked about the same write again, also after others changed the object, and must come to the same end.
/// - It changes nothing outside when the request says `dry_run`, unless its webhook declares side effects.
/// - It answers within the timeout of its webhook; a handler that does not is dropped at its next await.
#[async_trait]
pub trait AdmissionHandler: Send + Sync + 'static {
    /// Admits or refuses a write; a mutating handler may answer with a patch. The UID of the response is filled in by
    /// the caller.
    async fn admit(&self, request: AdmissionRequest) -> AdmissionResponse;
}

#[async_trait]
impl<F, R> AdmissionHandler for F
where
    F: Fn(AdmissionRequest) -> R + Send + Sync + 'static,
    R: Future<Output = AdmissionResponse> + Send + 'static,
{
    async fn admit(&self, request: AdmissionRequest) -> AdmissionResponse {
        self(request).await
    }
}

/// Converts custom objects between versions.
///
/// # Laws
///
/// - It answers with as many objects as it was sent, in their order, each in the desired version.
/// - It changes nothing of the metadata but labels and annotations.
#[async_trait]
pub trait ConversionHandler: Send + Sync + 'static {
    /// Converts all objects of the request, or none.
    async fn convert(&self, request: ConversionRequest) -> ConversionResponse;
}

#[async_trait]
impl<F, R> ConversionHandler for F
where
    F: Fn(ConversionRequest) -> R + Send + Sync + 'static,
    R: Future<Output = ConversionResponse> + Send + 'static,
{
    async fn convert(&self, request: ConversionRequest) -> ConversionResponse {
        self(request).await
    }
}

/// A handler with the rules that say what it is asked about: an element of a webhook configuration whose
/// `clientConfig` is a function.
#[derive(Clone)]
pub struct AdmissionHook {
    /// When and how the handler is called. Its `client_config` is not read in process.
    pub webhook: Webhook,
    /// What is called.
    pub handler: Arc<dyn AdmissionHandler>,
}

/// The declaration of a webhook, as it stands in a configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Webhook {
    /// May change what it admits.
    Mutating(MutatingWebhook),
    /// Sees what will be stored.
    Validating(ValidatingWebhook),
}

impl AdmissionHook {
    /// A handler that may change what it admits.
    pub fn mutating(webhook: MutatingWebhook, handler: impl AdmissionHandler) -> Self {
        Self { webhook: Webhook::Mutating(webhook), handler: Arc::new(handler) }
    }

    /// A handler that sees what will be stored.
    pub fn validating(webhook: ValidatingWebhook, handler: impl AdmissionHandler) -> Self {
        Self { webhook: Webhook::Validating(webhook), handler: Arc::new(handler) }
    }

    /// The name by which clients see who refused them.
    pub fn name(&self) -> &str {
        match &self.webhook {
            Webhook::Mutating(webhook) => &webhook.name,
            Webhook::Validating(webhook) => &webhook.name,
        }
    }
}

impl fmt::Debug for AdmissionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionHook").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_function_is_a_handler() {
        let hook = AdmissionHook::validating(
            ValidatingWebhook { name: "odd.example.com".into(), ..ValidatingWebhook::default() },
            |request: AdmissionRequest| async move { AdmissionResponse::deny(format!("not {}", request.name)) },
        );
        let request = AdmissionRequest { name: "today".into(), ..AdmissionRequest::default() };
        let response = hook.handler.admit(request).await;
        assert_eq!(response.status.and_then(|s| s.message).as_deref(), Some("not today"));
        assert_eq!(hook.name(), "odd.example.com");
    }
}
