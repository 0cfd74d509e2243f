//! `certificatesigningrequest-cleaner-controller`: takes requests away that are old (`pkg/controller/certificates/cleaner`).

use super::{Request, is_issued};
use crate::common::time::{plus_seconds, until};
use jiff::Timestamp;
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, View, Watches, certificates::CertificateAuthority};
use std::sync::Arc;

/// Deletes old requests.
pub struct Cleaner {
    /// Who reads certificates.
    pub authority: Arc<dyn CertificateAuthority>,
}

const HOUR: i64 = 3600;
/// So long what was issued, denied or has failed can be read.
const DECIDED_SECONDS: i64 = HOUR;
/// So long somebody may take to decide, or to sign.
const PENDING_SECONDS: i64 = 24 * HOUR;

impl Controller for Cleaner {
    const NAME: &'static str = "certificatesigningrequest-cleaner-controller";
    const ABOUT: &'static str = "Deletes CertificateSigningRequests that were decided an hour ago, or never.";
    const DELETES: Deletes = Deletes::Others("certificate signing requests that are old");
    type World = Arc<Request>;

    fn watches(&self) -> Watches {
        Watches::root::<Request>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Arc<Request>> {
        view.get(key).filter(|request: &Arc<Request>| !request.is_deleting())
    }

    fn plan(&self, request: &Arc<Request>, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match self.end(request) {
            Some(end) if end < now => plan.delete(&**request),
            // Upstream looks once an hour; a moment later is soon enough.
            Some(end) => plan.requeue_within(until(plus_seconds(end, 1), now)),
            None => {}
        }
        plan
    }
}

impl Cleaner {
    /// When a request is old.
    fn end(&self, request: &Request) -> Option<Timestamp> {
        let conditions = request.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let mut ends: Vec<Timestamp> = Vec::new();
        let (mut any, issued) = (false, is_issued(request));
        for condition in conditions {
            any = true;
            let since = condition.last_update_time.as_ref().map(|t| t.0);
            let seconds = match condition.type_.as_str() {
                "Denied" | "Failed" => DECIDED_SECONDS,
                "Approved" if issued => DECIDED_SECONDS,
                "Approved" => PENDING_SECONDS,
                _ => continue,
            };
            ends.extend(since.map(|since| plus_seconds(since, seconds)));
            if condition.type_ == "Approved" && issued {
                let certificate = request.status.as_ref().and_then(|s| s.certificate.as_ref());
                ends.extend(certificate.and_then(|c| self.authority.expires(&c.0)));
            }
        }
        if !any {
            let created = request.metadata.creation_timestamp.as_ref();
            ends.extend(created.map(|created| plus_seconds(created.0, PENDING_SECONDS)));
        }
        ends.into_iter().min()
    }
}
