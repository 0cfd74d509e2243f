//! [`Hook`]: one webhook, compiled.

use super::error::HookError;
use crate::{
    admission::{
        Review, View,
        expression::{Conditions, Held, Input},
        matching::Criteria,
        shown,
    },
    webhook::{Endpoint, Target, WebhookClient},
};
use orch_api::{
    Kind, StatusError,
    expressions::Scope,
    k8s_openapi::{
        api::admissionregistration::v1::{
            MatchCondition, MutatingWebhook, RuleWithOperations, ValidatingWebhook, WebhookClientConfig,
        },
        apimachinery::pkg::apis::meta::v1::LabelSelector,
    },
};
use orch_store::AdmissionHandler;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// One webhook, compiled.
pub(crate) struct Hook {
    /// The configuration that it stands in.
    pub(super) configuration: String,
    /// Its name, which clients see.
    pub(super) name: String,
    /// Tells it from all others.
    pub(super) id: String,
    pub(super) mutating: bool,
    criteria: Criteria,
    conditions: Conditions,
    /// Whether a failure lets the request pass.
    pub(super) ignores_failure: bool,
    /// Whether it wants to see what later ones made of the object.
    pub(super) reinvocable: bool,
    /// Whether it may be asked about dry runs.
    pub(super) dry_runs: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) versions: Vec<String>,
    pub(super) reach: Reach,
}

/// How a webhook is reached.
#[derive(Clone)]
pub(crate) enum Reach {
    /// Over HTTPS, or why not.
    Https(WebhookClient, Result<Arc<Endpoint>, String>),
    /// As a function of this process.
    Function(Arc<dyn AdmissionHandler>),
}

impl Reach {
    /// Where a client configuration leads.
    pub(super) fn https(client: &WebhookClient, config: &WebhookClientConfig) -> Self {
        let endpoint =
            Target::of_admission(config).and_then(|target| client.endpoint(&target).map_err(|why| why.to_string()));
        Self::Https(client.clone(), endpoint)
    }
}

/// What both kinds of webhooks say.
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    pub(super) mutating: bool,
    pub(super) config: &'a WebhookClientConfig,
    rules: &'a [RuleWithOperations],
    match_policy: Option<&'a str>,
    namespaces: Option<&'a LabelSelector>,
    objects: Option<&'a LabelSelector>,
    conditions: &'a [MatchCondition],
    failure_policy: Option<&'a str>,
    reinvocation_policy: Option<&'a str>,
    side_effects: &'a str,
    timeout_seconds: Option<i32>,
    versions: &'a [String],
}

macro_rules! declared {
    ($webhook:expr, $mutating:expr, $reinvocation:expr) => {
        Self {
            name: &$webhook.name,
            mutating: $mutating,
            config: &$webhook.client_config,
            rules: $webhook.rules.as_deref().unwrap_or_default(),
            match_policy: $webhook.match_policy.as_deref(),
            namespaces: $webhook.namespace_selector.as_ref(),
            objects: $webhook.object_selector.as_ref(),
            conditions: $webhook.match_conditions.as_deref().unwrap_or_default(),
            failure_policy: $webhook.failure_policy.as_deref(),
            reinvocation_policy: $reinvocation,
            side_effects: &$webhook.side_effects,
            timeout_seconds: $webhook.timeout_seconds,
            versions: &$webhook.admission_review_versions,
        }
    };
}

impl<'a> From<&'a MutatingWebhook> for Declared<'a> {
    fn from(webhook: &'a MutatingWebhook) -> Self {
        declared!(webhook, true, webhook.reinvocation_policy.as_deref())
    }
}

impl<'a> From<&'a ValidatingWebhook> for Declared<'a> {
    fn from(webhook: &'a ValidatingWebhook) -> Self {
        declared!(webhook, false, None)
    }
}

impl Hook {
    pub(super) fn new(configuration: &str, index: usize, declared: &Declared<'_>, reach: Reach) -> Self {
        let seconds = declared.timeout_seconds.and_then(|s| u64::try_from(s).ok());
        // A function serves whatever version it is asked in; who registers it need not say so.
        let is_function = matches!(reach, Reach::Function(_));
        let unsaid = is_function && declared.versions.is_empty();
        let fails_open = declared.failure_policy == Some("Ignore");
        Self {
            configuration: configuration.to_owned(),
            name: declared.name.to_owned(),
            id: format!("{configuration}/{}/{index}", declared.name),
            mutating: declared.mutating,
            criteria: Criteria::of_webhook(
                declared.rules,
                declared.match_policy,
                declared.namespaces,
                declared.objects,
            ),
            conditions: Conditions::compile(&Scope::new(false).with_authorizer(), declared.conditions, fails_open),
            ignores_failure: fails_open,
            reinvocable: declared.reinvocation_policy == Some("IfNeeded"),
            dry_runs: matches!(declared.side_effects, "None" | "NoneOnDryRun"),
            timeout: seconds.map(Duration::from_secs),
            versions: if unsaid { vec!["v1".into()] } else { declared.versions.to_vec() },
            reach,
        }
    }

    /// The kind as which the webhook is shown the object, if it is to be asked at all.
    pub(super) async fn invocation(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<Option<Arc<Kind>>, StatusError> {
        let Some(kind) = self.criteria.matched(view, review, object).await? else { return Ok(None) };
        if self.conditions.is_empty() {
            return Ok(Some(kind));
        }
        let new = shown::as_kind(view, review, &kind, object).await?;
        let old = shown::old_as_kind(view, review, &kind).await?;
        match self.conditions.hold(&Input::new(view, review, &kind, new, old)) {
            Held::Yes => Ok(Some(kind)),
            Held::No => Ok(None),
            Held::Failed(why) => Err(StatusError::forbidden(&review.call.kind.gvr(), &review.key.name, why)),
        }
    }

    /// Refuses a dry run that the webhook could not be asked about.
    pub(super) fn check_dry_run(&self, review: &Review<'_>) -> Result<(), HookError> {
        match review.dry_run && !self.dry_runs {
            true => Err(HookError::Fatal(super::error::dry_run_unsupported(&self.name))),
            false => Ok(()),
        }
    }
}
