//! From an IPAddress to its Service (`syncIPAddress`).

use super::{has, is_managed, parent};
use crate::common::time::{plus_seconds, until};
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Service, networking::v1::IPAddress};
use orch_api::{Key, Object};
use orch_runtime::{Error, Plan, View, plan::Notice};
use orch_store::{Client, ClientExt};
use std::sync::Arc;

/// An address of the allocator's and the Service that it names.
pub struct AddressWorld {
    /// `None` when it turned out to be gone.
    address: Option<Arc<IPAddress>>,
    service: Option<Arc<Service>>,
}

/// So long a request to create a Service, or to give it an address, may take where servers write the address first.
const GRACE_SECONDS: i64 = 60;
/// So long one may take to be taken back, of which the Service was there before.
const REVERT_SECONDS: i64 = 5;

impl AddressWorld {
    pub(super) fn observe(key: &Key, view: &View<'_>) -> Option<Self> {
        let address: Arc<IPAddress> = view.get(key).filter(|address| is_managed(address))?;
        let service: Option<Arc<Service>> = parent(&address).and_then(|parent| view.get(&parent));
        let is_sound = service.as_ref().is_some_and(|service| has(service, key));
        (!is_sound && !address.is_deleting()).then_some(Self { address: Some(address), service })
    }

    /// Asks for both before anything is deleted: an address that is let go is anybody's.
    pub(super) async fn gather(self, client: &dyn Client) -> Result<Self, Error> {
        let Some(address) = self.address else { return Ok(self) };
        let address = client.find::<IPAddress>(&address.key()).await?.filter(|live| live.uid() == address.uid());
        let service = match address.as_deref().and_then(parent) {
            Some(parent) => client.find::<Service>(&parent).await?,
            None => None,
        };
        Ok(Self { address, service })
    }

    pub(super) fn plan(&self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(address) = self.address.as_deref() else { return plan };
        let name = address.key().name;
        let Some(Key { namespace, name: service }) = parent(address) else {
            let words = format!(
                "IPAddress {name} appears to have been modified, not referencing a Service {}: cleaning up",
                shown(address)
            );
            clean(address, "IPAddressNotAllocated", words, &mut plan);
            return plan;
        };
        let created = |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0)
        };
        let since = created(&address.metadata);
        let grace = |seconds| Some(plus_seconds(since, seconds)).filter(|end| now < *end);
        match &self.service {
            Some(service) if has(service, &address.key()) => {}
            None => match grace(GRACE_SECONDS) {
                // A moment later, since what is as old as the grace is not older.
                Some(end) => plan.requeue_within(until(plus_seconds(end, 1), now)),
                None => {
                    let words = format!(
                        "IPAddress: {name} for Service {namespace}/{service} appears to have leaked: cleaning up"
                    );
                    clean(address, "IPAddressNotAllocated", words, &mut plan);
                }
            },
            Some(of) => {
                let is_external = of.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
                let is_later = since > created(&of.metadata);
                let end = grace(if is_external { GRACE_SECONDS } else { REVERT_SECONDS });
                if let Some(end) = end.filter(|_| is_external || is_later) {
                    plan.requeue_within(until(end, now));
                    return plan;
                }
                let words =
                    format!("IPAddress: {name} for Service {namespace}/{service} has a wrong reference; cleaning up");
                clean(address, "IPAddressWrongReference", words, &mut plan);
            }
        }
        plan
    }
}

fn clean(address: &IPAddress, reason: &str, words: String, plan: &mut Plan) {
    plan.event(Notice::warning(address, reason, words));
    plan.delete(address);
}

/// What the address names, as Go prints a pointer to it.
fn shown(address: &IPAddress) -> String {
    let parent = &address.spec.parent_ref;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("&{{{} {} {} {}}}", text(&parent.group), parent.resource, text(&parent.namespace), parent.name)
}
