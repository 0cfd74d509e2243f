//! `certificatesigningrequest-approving-controller`: approves what kubelets ask for as clients, where the one who asks may
//! (`pkg/controller/certificates/approver/sarapprove.go`).

use super::{KUBELET_CLIENT, Request, has, is_issued, verify::kubelet_client};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    certificates::v1::{CertificateSigningRequestCondition as Condition, CertificateSigningRequestSpec},
};
use orch_api::{Key, Object, StatusError};
use orch_runtime::{Controller, Error, Plan, View, Watches, certificates::CertificateAuthority};
use orch_store::{Client, client::WriteOptions};
use serde_json::{Value, json};
use std::sync::Arc;

/// Approves requests of kubelets.
pub struct Approver {
    /// Who reads requests.
    pub authority: Arc<dyn CertificateAuthority>,
}

/// A request that nobody has decided about, and why it may be approved.
pub struct World {
    request: Arc<Request>,
    approval: Option<&'static str>,
}

/// Whether the request is for the one who asks, which permission it takes, and the words of the approval.
const WAYS: [(bool, &str, &str); 2] = [
    (true, "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."),
    (false, "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
];

impl Controller for Approver {
    const NAME: &'static str = "certificatesigningrequest-approving-controller";
    const ABOUT: &'static str = "Approves CertificateSigningRequests of kubelets that may have a client certificate.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Request>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let request: Arc<Request> = view.get(key)?;
        let decided = has(&request, "Approved") || has(&request, "Denied") || is_issued(&request);
        let ours = request.spec.signer_name == KUBELET_CLIENT && !decided;
        ours.then_some(World { request, approval: None })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let spec = &world.request.spec;
            let asked = self.authority.read(&spec.request.0).map_err(Error::Terminal)?;
            if kubelet_client(&asked, spec.usages.as_deref().unwrap_or_default()).is_err() {
                return Ok(world);
            }
            let is_self = spec.username.as_deref() == Some(&asked.common_name);
            for (for_self, permission, words) in WAYS {
                if (is_self || !for_self) && may(spec, permission, client).await? {
                    world.approval = Some(words);
                    return Ok(world);
                }
            }
            // The permission may be given later, and nothing tells of that.
            let tried = if is_self { "selfnodeclient nodeclient" } else { "nodeclient" };
            let name = world.request.key().name;
            let words = "but subject access review was not approved";
            Err(Error::Retry(format!("recognized csr {name:?} as [{tried}] {words}")))
        })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if let Some(words) = world.approval {
            let mut new = (*world.request).clone();
            new.status.get_or_insert_default().conditions.get_or_insert_default().push(Condition {
                type_: "Approved".into(),
                status: "True".into(),
                reason: Some("AutoApproved".into()),
                message: Some(words.into()),
                ..Condition::default()
            });
            plan.update_subresource(&*world.request, &new, "approval");
        }
        plan
    }
}

/// Whether the one who asks may create such a request.
async fn may(spec: &CertificateSigningRequestSpec, part: &str, client: &dyn Client) -> Result<bool, StatusError> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": spec.username, "uid": spec.uid, "groups": spec.groups, "extra": spec.extra,
        "resourceAttributes": {"group": "certificates.k8s.io", "resource": "certificatesigningrequests",
            "verb": "create", "subresource": part, "version": "*"}}});
    let gvr = SubjectAccessReview::gvr();
    let answer = client.create(&gvr, &Key::cluster(""), None, review, &WriteOptions::default()).await?;
    let answer: Value = answer.parse().map_err(StatusError::internal)?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool) == Some(true))
}
