//! The operator of [sites](crate::site) on orch-runtime: the same value runs in process, over HTTP, and against any
//! Kubernetes API server.

use crate::site::{FINALIZER, MANAGER, Site};
use async_trait::async_trait;
use k8s_openapi::api::{
    admissionregistration::v1::{RuleWithOperations, ValidatingWebhook},
    apps::v1::Deployment,
    core::v1::Service,
};
use orch::{
    api::{
        Object,
        review::{AdmissionRequest, AdmissionResponse},
    },
    runtime::{
        Context, Error, Reconciler, Requeue, Watches,
        finalizer::{Stage, finalizer},
        plan::Notice,
        predicate::{self, Matters},
    },
    store::{AdmissionHook, ClientExt},
};
use std::sync::Arc;

/// Runs sites.
pub struct Sites;

/// What asks for a site: itself, when more than its status changes, and what it owns.
pub fn watches() -> Watches {
    Watches::root::<Site>()
        .only(predicate::generation.or(predicate::deletion).or(predicate::finalizers))
        .owns::<Deployment>()
        .owns::<Service>()
}

#[async_trait]
impl Reconciler for Sites {
    type Kind = Site;

    async fn reconcile(&self, site: Arc<Site>, ctx: &Context) -> Result<Requeue, Error> {
        finalizer(ctx, site, FINALIZER, async |stage| match stage {
            Stage::Apply(site) => open(&site, ctx).await,
            Stage::Cleanup(site) => {
                // What it owns is collected with it; what is outside of the cluster would be removed here.
                ctx.recorder.record(Notice::normal(&*site, "Closed", "the site is closed"));
                Ok(Requeue::OnChange)
            }
        })
        .await
    }
}

async fn open(site: &Site, ctx: &Context) -> Result<Requeue, Error> {
    match site.fault() {
        Some(fault) => ctx.recorder.record(Notice::warning(site, "InvalidSpec", fault)),
        None => apply(site, ctx).await?,
    }
    // A view that has what was just written: what is reported is never older than what was done.
    let found: Option<Arc<Deployment>> = ctx.fresh().await.get(&site.key());
    let status = site.status_with(found.as_deref(), ctx.ambient.clock.now());
    if site.status.as_ref() != Some(&status) {
        let mut report = Site::new("", site.spec.clone());
        (report.metadata.name, report.metadata.namespace) =
            (site.metadata.name.clone(), site.metadata.namespace.clone());
        report.status = Some(status);
        ctx.client.apply_status(&report, MANAGER, true).await?;
    }
    Ok(Requeue::OnChange)
}

async fn apply(site: &Site, ctx: &Context) -> Result<(), Error> {
    let (key, view) = (site.key(), ctx.view());
    if !site.is_served_by(view.get::<Service>(&key).as_deref()) {
        ctx.client.apply(&site.service(), MANAGER, true).await?;
    }
    if !site.is_run_by(view.get::<Deployment>(&key).as_deref()) {
        // No other try would end better: nothing helps but a change of the site.
        let wanted = site.deployment().map_err(|error| Error::Terminal(error.to_string()))?;
        ctx.client.apply(&wanted, MANAGER, true).await?;
        let note = format!("{} replicas of {}", site.spec.replicas, site.spec.image);
        ctx.recorder.record(Notice::normal(site, "Opened", note));
    }
    Ok(())
}

/// A validating webhook: refuses what the operator could only complain about. The same function is served over HTTPS by
/// [`Webhooks`](orch::runtime::webhook::Webhooks), and called as a function by the API server of the same process.
pub async fn validate(request: AdmissionRequest) -> AdmissionResponse {
    match request.object_as::<Site>() {
        Ok(site) => match site.as_ref().and_then(Site::fault) {
            Some(fault) => AdmissionResponse::deny(fault),
            None => AdmissionResponse::allow(),
        },
        Err(error) => AdmissionResponse::deny(format!("not a site: {error}")),
    }
}

/// The webhook as a function of this process.
pub fn hook() -> AdmissionHook {
    let strings = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
    let rule = RuleWithOperations {
        operations: strings(&["CREATE", "UPDATE"]),
        api_groups: strings(&["example.com"]),
        api_versions: strings(&["v1"]),
        resources: strings(&["sites"]),
        scope: None,
    };
    let webhook = ValidatingWebhook {
        name: "sites.example.com".into(),
        rules: Some(vec![rule]),
        side_effects: "None".into(),
        admission_review_versions: vec!["v1".into()],
        ..ValidatingWebhook::default()
    };
    AdmissionHook::validating(webhook, validate)
}
