//! [`Nftables`]: rules in the kernel, one transaction per change (`pkg/proxy/nftables`, KEP-3866).
//!
//! ```text
//! prerouting, output ─► services: vmap on (address, proto, port) ─► svc-HASH: numgen over backends ─► dnat
//!                       └ node ports: vmap on (proto, port)         (or the client's backend: affinity set)
//! ```
//!
//! A transaction holds only what changed: whole chains of changed fronts, and elements of the maps. The rules
//! outlive the process. The next one replaces them in its first transaction, so no packet finds none;
//! connections that are established do not notice, since only their first packet is looked up.

use super::{
    ProxyError, ServiceProxy,
    plan::{Front, Proto, Rule, Ruleset},
    planner::{Changes, difference},
    script::{Reach, transaction},
};
use crate::net::nft;
use async_trait::async_trait;
use tokio::sync::Mutex;

/// What the rules need to know of the machine.
#[derive(Clone, Debug)]
pub struct NftablesOptions {
    /// Name of the table; clusters that share a network namespace need different ones.
    pub table: String,
    /// Addresses of this node's pods, such as `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Whether bridged traffic passes the hooks. Where it does not, all service traffic between the node's pods is
    /// masqueraded: a pod would otherwise answer its neighbour directly, past the translation.
    pub bridge_passes_hooks: bool,
}

/// Rules in the kernel by the `nft` program.
pub struct Nftables {
    options: NftablesOptions,
    applied: Mutex<Option<Applied>>,
}

/// What the kernel holds.
#[derive(Default)]
struct Applied {
    rules: Ruleset,
    reach: Reach,
}

impl Nftables {
    /// Rules in a table of their own. Nothing is touched before the first [`ServiceProxy::apply`].
    pub fn new(options: NftablesOptions) -> Self {
        Self { options, applied: Mutex::new(None) }
    }

    /// Whether `nft` is installed and the kernel and our rights allow its use.
    pub async fn is_available() -> bool {
        nft::run("list tables\n").await.is_ok()
    }

    /// Removes the table with all rules.
    pub async fn remove(&self) -> Result<(), ProxyError> {
        let table = &self.options.table;
        *self.applied.lock().await = None;
        nft::run(&format!("add table ip {table}\ndelete table ip {table}\n")).await.map_err(ProxyError)
    }

    async fn bring(&self, slot: &mut Option<Applied>, changes: &Changes) -> Result<(), ProxyError> {
        let fresh = slot.is_none();
        // Whatever goes wrong from here on, the kernel may differ from what we think: begin anew then.
        let mut applied = slot.take().unwrap_or_default();
        let script = transaction(&self.options, fresh, &applied.rules, &mut applied.reach, changes);
        if !script.is_empty() {
            nft::run(&script).await.map_err(ProxyError)?;
        }
        for (front, rule) in changes.iter().filter(|(front, _)| is_v4(front)) {
            let old = match rule {
                Some(rule) => applied.rules.insert(*front, rule.clone()),
                None => applied.rules.remove(front),
            };
            if front.proto == Proto::Udp {
                forget(front, old.as_ref(), rule.as_ref()).await;
            }
        }
        *slot = Some(applied);
        Ok(())
    }
}

#[async_trait]
impl ServiceProxy for Nftables {
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError> {
        let mut slot = self.applied.lock().await;
        let nothing = Ruleset::new();
        let changes = difference(slot.as_ref().map_or(&nothing, |applied| &applied.rules), rules);
        self.bring(&mut slot, &changes).await
    }

    async fn change(&self, changes: &Changes) -> Result<(), ProxyError> {
        let mut slot = self.applied.lock().await;
        if slot.is_none() {
            return Err(ProxyError("no rules were applied".into()));
        }
        self.bring(&mut slot, changes).await
    }
}

/// UDP has no end of connection: a client that keeps sending stays with what its first datagram found. So the
/// kernel forgets those whose backend is gone, and those that found none (`pkg/proxy/conntrack/cleanup.go`).
async fn forget(front: &Front, old: Option<&Rule>, new: Option<&Rule>) {
    let port = front.port.to_string();
    let mut matching: Vec<String> = ["-p", "udp", "--orig-port-dst", &port].map(str::to_owned).to_vec();
    if let Some(address) = front.address {
        matching.extend(["--orig-dst".to_owned(), address.to_string()]);
    }
    let run = async |more: &[&str]| {
        let all: Vec<&str> = matching.iter().map(String::as_str).chain(more.iter().copied()).collect();
        nft::forget_connections(&all).await;
    };
    let backends = |rule: Option<&Rule>| rule.map(|r| r.backends.clone()).unwrap_or_default();
    let (before, after) = (backends(old), backends(new));
    if before.is_empty() && !after.is_empty() && front.address.is_some() {
        return run(&[]).await;
    }
    for gone in before.difference(&after) {
        run(&["--dst-nat", &gone.address.to_string()]).await;
    }
}

pub(super) fn is_v4(front: &Front) -> bool {
    front.address.is_none_or(|address| address.is_ipv4())
}
