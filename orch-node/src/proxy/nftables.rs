//! [`Nftables`]: rules in the kernel, one transaction per change (`pkg/proxy/nftables`, KEP-3866).
//!
//! ```text
//! prerouting, output ─► services: vmap on (address, proto, port) ─► svc-HASH: numgen over backends ─► dnat
//!                       └ node ports: vmap on (proto, port)         (or the client's backend: affinity set)
//! ```
//!
//! A transaction holds only what changed: whole chains of changed fronts, and elements of the maps.

use super::{
    ProxyError, ServiceProxy,
    plan::{Front, Rule, Ruleset},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{fmt::Write, hash::Hasher, net::IpAddr, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

/// The mark of connections whose source becomes the node's address.
const MARK: &str = "0x4000";

/// What the rules need to know of the machine.
#[derive(Clone, Debug)]
pub struct NftablesOptions {
    /// Name of the table; clusters that share a network namespace need different ones.
    pub table: String,
    /// Addresses of this node's pods, such as `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Whether bridged traffic passes the hooks. Where it does not, all service traffic is masqueraded: a pod
    /// would otherwise answer its neighbour directly, past the translation.
    pub bridge_passes_hooks: bool,
}

/// Rules in the kernel by the `nft` program.
pub struct Nftables {
    options: NftablesOptions,
    /// What the kernel holds; `None` before the first transaction.
    applied: Mutex<Option<Ruleset>>,
}

impl Nftables {
    /// Rules in a table of their own. Nothing is touched before the first [`ServiceProxy::apply`].
    pub fn new(options: NftablesOptions) -> Self {
        Self { options, applied: Mutex::new(None) }
    }

    /// Whether `nft` is installed and the kernel and our rights allow its use.
    pub async fn is_available() -> bool {
        run_nft("list tables\n").await.is_ok()
    }

    /// Removes the table with all rules.
    pub async fn remove(&self) -> Result<(), ProxyError> {
        let table = &self.options.table;
        *self.applied.lock() = None;
        run_nft(&format!("add table ip {table}\ndelete table ip {table}\n")).await
    }

    fn transaction(&self, old: Option<&Ruleset>, new: &Ruleset) -> String {
        let mut script = String::new();
        if old.is_none() {
            script += &base(&self.options);
        }
        let nothing = Ruleset::new();
        let old = old.unwrap_or(&nothing);
        let table = &self.options.table;
        let changed = |front: &Front, rule: &Rule| old.get(front) != Some(rule);
        for (front, rule) in old.iter().filter(|(front, _)| new.get(*front).is_none_or(|new| changed(front, new))) {
            let _ = writeln!(script, "delete element ip {table} {}", element(front, rule, Part::Key));
            if !rule.backends.is_empty() {
                let _ = writeln!(script, "flush chain ip {table} {}", chain(front));
            }
        }
        for (front, rule) in new.iter().filter(|(front, rule)| changed(front, rule)) {
            if !rule.backends.is_empty() {
                let _ = writeln!(script, "add chain ip {table} {}", chain(front));
                script += &rule_lines(&self.options, front, rule);
            }
            let _ = writeln!(script, "add element ip {table} {}", element(front, rule, Part::Whole));
        }
        let has_chain = |rules: &Ruleset, front: &Front| rules.get(front).is_some_and(|r| !r.backends.is_empty());
        for front in old.keys().filter(|front| has_chain(old, front) && !has_chain(new, front)) {
            let _ = writeln!(script, "delete chain ip {table} {}", chain(front));
        }
        script
    }
}

#[async_trait]
impl ServiceProxy for Nftables {
    async fn apply(&self, rules: &Ruleset) -> Result<(), ProxyError> {
        let rules: Ruleset = rules.iter().filter(|(f, _)| is_v4(f)).map(|(f, r)| (*f, r.clone())).collect();
        let script = self.transaction(self.applied.lock().as_ref(), &rules);
        if script.is_empty() {
            return Ok(());
        }
        match run_nft(&script).await {
            Ok(()) => {
                *self.applied.lock() = Some(rules);
                Ok(())
            }
            Err(error) => {
                // Whatever made the kernel differ from what we think: begin anew.
                *self.applied.lock() = None;
                Err(error)
            }
        }
    }
}

/// The table with its hooks and empty maps. Replaces whatever an earlier process left, in one transaction.
fn base(options: &NftablesOptions) -> String {
    let NftablesOptions { table, pod_cidr, bridge_passes_hooks } = options;
    let hairpin = if *bridge_passes_hooks {
        String::new()
    } else {
        format!("ip saddr {pod_cidr} ip daddr {pod_cidr} ct status dnat masquerade")
    };
    format!(
        "add table ip {table}
delete table ip {table}
table ip {table} {{
  map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map node-ports {{ type inet_proto . inet_service : verdict; }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports
  }}
  chain prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump services; }}
  chain output {{ type nat hook output priority -100; policy accept; jump services; }}
  map no-endpoints {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map no-endpoint-node-ports {{ type inet_proto . inet_service : verdict; }}
  chain refuse {{ reject; }}
  chain discard {{ drop; }}
  chain check {{
    ip daddr . meta l4proto . th dport vmap @no-endpoints
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-node-ports
  }}
  chain check-input {{ type filter hook input priority filter; policy accept; ct state new jump check; }}
  chain check-forward {{ type filter hook forward priority filter; policy accept; ct state new jump check; }}
  chain check-output {{ type filter hook output priority filter; policy accept; ct state new jump check; }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark and {MARK} != 0 masquerade fully-random
    {hairpin}
  }}
}}
"
    )
}

fn rule_lines(options: &NftablesOptions, front: &Front, rule: &Rule) -> String {
    let (table, name, proto) = (&options.table, chain(front), front.proto.as_str());
    let (mut sets, mut out) = (String::new(), String::new());
    let mut line = |text: String| {
        let _ = writeln!(out, "add rule ip {table} {name} {text}");
    };
    if rule.masquerade {
        line(format!("ip saddr != {} meta mark set meta mark or {MARK}", options.pod_cidr));
    }
    // A pod that reaches itself through the Service must see another source than its own.
    for backend in &rule.backends {
        line(format!("ip saddr {} meta mark set meta mark or {MARK}", backend.address));
    }
    if let Some(seconds) = rule.affinity_seconds {
        for backend in &rule.backends {
            let set = affinity_set(front, backend);
            let kind = "{ type ipv4_addr; flags dynamic,timeout;";
            sets += &format!("add set ip {table} {set} {kind} timeout {seconds}s; }}\n");
            let target = format!("{}:{}", backend.address, backend.port);
            line(format!("ip saddr @{set} update @{set} {{ ip saddr }} meta l4proto {proto} dnat to {target}"));
        }
        let count = rule.backends.len();
        for (i, backend) in rule.backends.iter().enumerate() {
            let set = affinity_set(front, backend);
            let target = format!("{}:{}", backend.address, backend.port);
            let left = count - i;
            let draw = if left > 1 { format!("numgen random mod {left} == 0 ") } else { String::new() };
            line(format!("{draw}update @{set} {{ ip saddr }} meta l4proto {proto} dnat to {target}"));
        }
        return sets + &out;
    }
    let targets: Vec<String> =
        rule.backends.iter().enumerate().map(|(i, b)| format!("{i} : {} . {}", b.address, b.port)).collect();
    let count = rule.backends.len();
    line(format!("meta l4proto {proto} dnat to numgen random mod {count} map {{ {} }}", targets.join(", ")));
    out
}

/// Whether a map element is written with its verdict: deletions name the key alone.
#[derive(PartialEq)]
enum Part {
    Key,
    Whole,
}

/// The element of the map that leads a front to its chain, or refuses it for want of backends.
fn element(front: &Front, rule: &Rule, part: Part) -> String {
    let (proto, port) = (front.proto.as_str(), front.port);
    let (map, key) = match (front.address, rule.backends.is_empty()) {
        (Some(address), false) => ("service-ips", format!("{address} . {proto} . {port}")),
        (Some(address), true) => ("no-endpoints", format!("{address} . {proto} . {port}")),
        (None, false) => ("node-ports", format!("{proto} . {port}")),
        (None, true) => ("no-endpoint-node-ports", format!("{proto} . {port}")),
    };
    let verdict = match () {
        () if part == Part::Key => String::new(),
        () if !rule.backends.is_empty() => format!(" : goto {}", chain(front)),
        () if rule.drop_when_empty => " : goto discard".into(),
        () => " : goto refuse".into(),
    };
    format!("{map} {{ {key}{verdict} }}")
}

fn chain(front: &Front) -> String {
    let address = front.address.map_or("node".into(), |a| a.to_string().replace('.', "-"));
    format!("svc-{address}-{}-{}", front.proto.as_str(), front.port)
}

fn affinity_set(front: &Front, backend: &super::plan::Backend) -> String {
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(format!("{front}{}:{}", backend.address, backend.port).as_bytes());
    format!("aff-{:016x}", hash.finish())
}

fn is_v4(front: &Front) -> bool {
    !matches!(front.address, Some(IpAddr::V6(_)))
}

async fn run_nft(script: &str) -> Result<(), ProxyError> {
    let failed = |why: &dyn std::fmt::Display| ProxyError(format!("nft: {why}"));
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(&e))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await.map_err(|e| failed(&e))?;
    }
    let output = child.wait_with_output().await.map_err(|e| failed(&e))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("failed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::plan::{Backend, Proto};
    use std::collections::BTreeMap;

    fn rules(backends: &[&str]) -> Ruleset {
        let front = Front { address: Some("10.96.0.10".parse().unwrap()), proto: Proto::Tcp, port: 80 };
        let backends = backends.iter().map(|a| Backend { address: a.parse().unwrap(), port: 8080 }).collect();
        BTreeMap::from([(front, Rule { backends, ..Rule::default() })])
    }

    fn proxy() -> Nftables {
        Nftables::new(NftablesOptions {
            table: "t".into(),
            pod_cidr: "10.244.0.0/24".into(),
            bridge_passes_hooks: true,
        })
    }

    #[test]
    fn an_unchanged_ruleset_is_an_empty_transaction() {
        assert_eq!(proxy().transaction(Some(&rules(&["10.244.0.2"])), &rules(&["10.244.0.2"])), "");
    }

    #[test]
    fn a_changed_backend_rewrites_one_chain() {
        let script = proxy().transaction(Some(&rules(&["10.244.0.2"])), &rules(&["10.244.0.3"]));
        assert_eq!(
            script,
            "delete element ip t service-ips { 10.96.0.10 . tcp . 80 }
flush chain ip t svc-10-96-0-10-tcp-80
add chain ip t svc-10-96-0-10-tcp-80
add rule ip t svc-10-96-0-10-tcp-80 ip saddr 10.244.0.3 meta mark set meta mark or 0x4000
add rule ip t svc-10-96-0-10-tcp-80 meta l4proto tcp dnat to numgen random mod 1 map { 0 : 10.244.0.3 . 8080 }
add element ip t service-ips { 10.96.0.10 . tcp . 80 : goto svc-10-96-0-10-tcp-80 }
"
        );
    }

    #[test]
    fn a_removed_front_takes_its_chain_along() {
        let script = proxy().transaction(Some(&rules(&["10.244.0.2"])), &Ruleset::new());
        assert_eq!(
            script,
            "delete element ip t service-ips { 10.96.0.10 . tcp . 80 }
flush chain ip t svc-10-96-0-10-tcp-80
delete chain ip t svc-10-96-0-10-tcp-80
"
        );
    }

    #[test]
    fn a_front_without_backends_refuses() {
        let script = proxy().transaction(Some(&rules(&["10.244.0.2"])), &rules(&[]));
        assert!(script.contains("add element ip t no-endpoints { 10.96.0.10 . tcp . 80 : goto refuse }"), "{script}");
    }
}
