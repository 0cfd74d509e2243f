//! One question to one webhook.

use super::{
    error::{HookError, rejection},
    hook::{Hook, Reach},
    review,
};
use crate::{
    admission::{Review, View},
    webhook::WebhookError,
};
use orch_api::{
    Kind,
    review::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use orch_store::{AdmissionHandler, panics::caught_async};
use serde_json::Value;
use tokio::time::Instant;

impl Hook {
    /// Asks the webhook and counts that.
    pub(super) async fn ask(
        &self,
        view: &View<'_>,
        about: &Review<'_>,
        kind: &Kind,
        object: Value,
        old_object: Value,
    ) -> Result<AdmissionResponse, HookError> {
        let started = Instant::now();
        let answer = self.question(view, about, kind, object, old_object).await;
        let ignored = self.ignores_failure && matches!(answer, Err(HookError::Failed(_)));
        let metrics = &view.core.metrics;
        let (operation, rejected) = (about.operation.as_str(), answer.is_err() && !ignored);
        metrics.webhook(&self.name, self.phase(), operation, rejected, started.elapsed());
        if ignored {
            metrics.webhook_failed_open(&self.name, self.phase());
        }
        answer
    }

    fn phase(&self) -> &'static str {
        if self.mutating { "admit" } else { "validating" }
    }

    /// Notes what the webhook says for the client and the audit log, and gives back an answer that allows.
    async fn question(
        &self,
        view: &View<'_>,
        about: &Review<'_>,
        kind: &Kind,
        object: Value,
        old_object: Value,
    ) -> Result<AdmissionResponse, HookError> {
        self.check_dry_run(about)?;
        let version = review::version(&self.versions).map_err(HookError::Failed)?;
        let uid = view.chance().uid();
        let request = review::request(uid.clone(), about, kind, object, old_object);
        let answer = match &self.reach {
            Reach::Function(handler) => self.call(&**handler, request).await?,
            Reach::Https(..) => self.post(version, request).await?,
        };
        let invalid = |why: String| HookError::Failed(format!("received invalid webhook response: {why}"));
        let response = review::verify(answer, version, &uid, self.mutating).map_err(invalid)?;
        for (key, value) in &response.audit_annotations {
            about.call.annotations.add(format!("{}/{key}", self.name), value.clone());
        }
        for warning in &response.warnings {
            about.call.warnings.add(warning.clone());
        }
        match response.allowed {
            true => Ok(response),
            false => Err(HookError::Rejected(rejection(&self.name, response.status))),
        }
    }

    async fn post(&self, version: &str, request: AdmissionRequest) -> Result<AdmissionReview, HookError> {
        let Reach::Https(client, endpoint) = &self.reach else { return Err(HookError::Failed(String::new())) };
        let failed = |why: &dyn std::fmt::Display| HookError::Failed(format!("failed to call webhook: {why}"));
        let endpoint = endpoint.as_ref();
        let endpoint = endpoint.map_err(|why| HookError::Failed(format!("could not get REST client: {why}")))?;
        let mut sent = AdmissionReview::of_request(request);
        sent.api_version = format!("admission.k8s.io/{version}");
        let body = serde_json::to_vec(&sent).map_err(|why| failed(&why))?;
        let answer = client.post(endpoint, body.into(), self.timeout).await;
        let answer = answer.map_err(|error: WebhookError| failed(&error))?;
        review::read(&answer).map_err(|why| failed(&why))
    }

    async fn call(
        &self,
        handler: &dyn AdmissionHandler,
        request: AdmissionRequest,
    ) -> Result<AdmissionReview, HookError> {
        let uid = request.uid.clone();
        let called = caught_async(async { handler.admit(request).await });
        let answered = match self.timeout {
            None => called.await,
            Some(limit) => tokio::time::timeout(limit, called)
                .await
                .map_err(|_| HookError::Failed("failed to call webhook: context deadline exceeded".into()))?,
        };
        let response = answered.map_err(|why| {
            tracing::error!(webhook = self.name, why, "an admission handler panicked");
            HookError::Failed("the handler has panicked".into())
        })?;
        Ok(AdmissionReview::of_response(&uid, response))
    }
}
