//! [`Chain`]: the plugins in order.

use super::{
    CertificateApproval, CertificateSigning, CertificateSubjectRestriction, ClusterTrustBundleAttest,
    DefaultIngressClass, DefaultStorageClass, DefaultTolerationSeconds, LimitRanger, MutatingAdmissionPolicy,
    MutatingAdmissionWebhook, NamespaceLifecycle, NodeRestriction, PersistentVolumeClaimResize, Plugin,
    PodResizeValidator, PodSecurity, PodTopologyLabels, Priority, ResourceQuota, Review, RuntimeClass, ServiceAccount,
    StorageObjectInUseProtection, TaintNodesByCondition, ValidatingAdmissionPolicy, ValidatingAdmissionWebhook, View,
    round::Round,
};
use crate::core::Core;
use orch_api::StatusError;
use serde_json::Value;
use std::sync::Arc;

/// The plugins in order.
pub struct Chain(Vec<Arc<dyn Plugin>>);

impl Chain {
    /// The plugins that are on by default, in kube-apiserver's order (`pkg/kubeapiserver/options/plugins.go`), and
    /// [`NodeRestriction`], which every cluster with kubelets turns on.
    ///
    /// The finalizers of [`StorageObjectInUseProtection`] are taken away by controllers: in a server without any, volumes and
    /// claims that are deleted wait for somebody who does it.
    pub fn default_plugins() -> Vec<Arc<dyn Plugin>> {
        vec![
            Arc::new(NamespaceLifecycle),
            Arc::new(LimitRanger),
            Arc::new(ServiceAccount),
            Arc::new(NodeRestriction),
            Arc::new(TaintNodesByCondition),
            Arc::new(PodSecurity),
            Arc::new(Priority),
            Arc::new(DefaultTolerationSeconds),
            Arc::new(DefaultStorageClass),
            Arc::new(StorageObjectInUseProtection),
            Arc::new(PersistentVolumeClaimResize),
            Arc::new(RuntimeClass),
            Arc::new(CertificateApproval),
            Arc::new(CertificateSigning),
            Arc::new(ClusterTrustBundleAttest),
            Arc::new(CertificateSubjectRestriction),
            Arc::new(DefaultIngressClass),
            Arc::new(PodTopologyLabels),
            Arc::new(PodResizeValidator),
            // What others add to the server comes after what the server does by itself, and quota counts the result.
            Arc::new(MutatingAdmissionPolicy),
            Arc::new(MutatingAdmissionWebhook),
            Arc::new(ValidatingAdmissionPolicy),
            Arc::new(ValidatingAdmissionWebhook),
            Arc::new(ResourceQuota::default()),
        ]
    }

    /// A chain of these plugins.
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self(plugins)
    }

    /// Lets the plugins change the object; says whether one did.
    pub(crate) async fn mutate(
        &self,
        core: &Core,
        review: &Review<'_>,
        object: &mut Value,
    ) -> Result<bool, StatusError> {
        let round = Round::default();
        let view = View { core, round: &round };
        let mut changed = self.pass(&view, review, object).await?;
        if round.begin_second() {
            changed |= self.pass(&view, review, object).await?;
        }
        Ok(changed)
    }

    async fn pass(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let mut changed = false;
        for plugin in self.0.iter().filter(|p| p.handles(review)) {
            changed |= plugin.mutate(view, review, object).await?;
        }
        Ok(changed)
    }

    /// Lets the plugins refuse the object.
    pub(crate) async fn validate(&self, core: &Core, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let round = Round::default();
        let view = View { core, round: &round };
        for plugin in self.0.iter().filter(|p| p.handles(review)) {
            plugin.validate(&view, review, object).await?;
        }
        Ok(())
    }

    /// Both, for what is never stored: connections, bindings, evictions, reviews.
    pub(crate) async fn admit(&self, core: &Core, review: &Review<'_>, object: &mut Value) -> Result<(), StatusError> {
        self.mutate(core, review, object).await?;
        self.validate(core, review, object).await
    }
}
