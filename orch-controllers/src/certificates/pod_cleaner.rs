//! `podcertificaterequest-cleaner-controller`: takes requests for the certificates of Pods away that are old
//! (`pkg/controller/certificates/cleaner/pcrcleaner.go`).

use crate::common::time::{by_the_clock, plus_seconds};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::PodCertificateRequest;
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, View, Watches};
use std::sync::Arc;

/// Deletes old requests of Pods, whatever has become of them.
pub struct PodCleaner;

/// All that a kubelet and a signer have to do takes less.
const THRESHOLD_SECONDS: i64 = 15 * 60;

impl Controller for PodCleaner {
    const NAME: &'static str = "podcertificaterequest-cleaner-controller";
    const ABOUT: &'static str = "Deletes PodCertificateRequests that are older than 15 minutes.";
    const DELETES: Deletes = Deletes::Others("pod certificate requests that are old");
    type World = Arc<PodCertificateRequest>;

    fn watches(&self) -> Watches {
        Watches::root::<PodCertificateRequest>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Arc<PodCertificateRequest>> {
        view.get(key).filter(|request: &Arc<PodCertificateRequest>| !request.is_deleting())
    }

    fn plan(&self, request: &Arc<PodCertificateRequest>, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let created = request.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
        match plus_seconds(created, THRESHOLD_SECONDS) {
            // Upstream looks every five minutes; the moment itself is soon enough.
            end if now < end => plan.requeue_within(by_the_clock(end, now)),
            _ => plan.delete(&**request),
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{expect_plan, minutes_ago, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;
    use serde_json::{from_value, json};

    /// What is planned for a request that was made so many minutes ago.
    #[track_caller]
    fn check(minutes: i64, status: serde_json::Value, expect: Expect) {
        let spec = json!({"signerName": "example.com/pods", "podName": "web", "podUID": "1", "serviceAccountName": "default",
            "serviceAccountUID": "2", "nodeName": "n1", "nodeUID": "3", "maxExpirationSeconds": 3600, "stubPKCS10Request": "QQ=="});
        let request: PodCertificateRequest = from_value(json!({
            "metadata": {"namespace": "default", "name": "r", "uid": "r", "creationTimestamp": minutes_ago(minutes)},
            "spec": spec, "status": status}))
        .unwrap();
        let objects = Objects::new(&PodCleaner.watches()).with(&request);
        let world = PodCleaner.observe(&request.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&PodCleaner.plan(&world, now()), &expect);
    }

    #[test]
    fn a_request_has_a_quarter_of_an_hour() {
        check(
            14,
            json!({}),
            expect![[r#"
            requeue after 60s
        "#]],
        );
        check(
            15,
            json!({}),
            expect![[r#"
            delete PodCertificateRequest default/r
        "#]],
        );
    }

    #[test]
    fn what_became_of_it_makes_no_difference() {
        let issued = json!({"conditions": [{"type": "Issued", "status": "True", "reason": "Ok", "message": "",
            "lastTransitionTime": minutes_ago(15)}], "certificateChain": "-----"});
        check(
            16,
            issued,
            expect![[r#"
            delete PodCertificateRequest default/r
        "#]],
        );
    }
}
