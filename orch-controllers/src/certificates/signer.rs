//! `certificatesigningrequest-signing-controller`: signs what was approved (`pkg/controller/certificates/signer`). Upstream
//! runs four of them, one for each of its signers.

use super::{Request, has, is_issued, verify::verify};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString, api::certificates::v1::CertificateSigningRequestCondition as Condition,
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Key;
use orch_runtime::{Controller, Error, Plan, View, Watches, certificates::CertificateAuthority};
use orch_store::{Client, Clock};
use std::{sync::Arc, time::Duration};

/// `--cluster-signing-duration`
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// Nobody gets less.
const LEAST: Duration = Duration::from_secs(600);

/// Signs approved requests.
pub struct Signer {
    /// Who has the key.
    pub authority: Arc<dyn CertificateAuthority>,
    /// By which certificates begin and end. Signing is part of asking the authority, not of deciding.
    pub clock: Clock,
}

/// An approved request, and what the authority made of it.
pub struct World {
    request: Arc<Request>,
    outcome: Option<Result<Vec<u8>, String>>,
}

impl Controller for Signer {
    const NAME: &'static str = "certificatesigningrequest-signing-controller";
    const ABOUT: &'static str = "Signs approved CertificateSigningRequests for the built-in signers.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Request>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let request: Arc<Request> = view.get(key)?;
        let waits = has(&request, "Approved") && !has(&request, "Denied") && !has(&request, "Failed");
        (waits && !is_issued(&request)).then_some(World { request, outcome: None })
    }

    fn gather<'a>(&'a self, mut world: World, _: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let spec = &world.request.spec;
            let asked = self.authority.read(&spec.request.0).map_err(Error::Terminal)?;
            let usages = spec.usages.clone().unwrap_or_default();
            world.outcome = match verify(&spec.signer_name, &asked, &usages) {
                None => None,
                Some(Err(why)) => Some(Err(why)),
                Some(Ok(())) => {
                    let lifetime = lifetime(spec.expiration_seconds);
                    let signed = self.authority.sign(&spec.request.0, &usages, lifetime, self.clock.now());
                    Some(Ok(signed.map_err(|why| Error::Terminal(format!("error auto signing csr: {why}")))?))
                }
            };
            Ok(world)
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut new = (*world.request).clone();
        let status = new.status.get_or_insert_default();
        match &world.outcome {
            None => return plan,
            Some(Ok(certificate)) => status.certificate = Some(ByteString(certificate.clone())),
            Some(Err(why)) => status.conditions.get_or_insert_default().push(Condition {
                type_: "Failed".into(),
                status: "True".into(),
                reason: Some("SignerValidationFailure".into()),
                message: Some(why.clone()),
                last_update_time: Some(Time(now)),
                ..Condition::default()
            }),
        }
        plan.update_status(&*world.request, &new);
        plan
    }
}

/// A year at most, ten minutes at least.
fn lifetime(seconds: Option<i32>) -> Duration {
    let asked = seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    asked.map_or(LIFETIME, |asked| asked.clamp(LEAST, LIFETIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_last_between_ten_minutes_and_a_year() {
        assert_eq!(lifetime(None), LIFETIME);
        assert_eq!(lifetime(Some(1)), LEAST);
        assert_eq!(lifetime(Some(3600)), Duration::from_secs(3600));
        assert_eq!(lifetime(Some(i32::MAX)), LIFETIME);
    }
}
