//! [`transaction`]: the text that brings the kernel's rules from one ruleset to the next.

use super::{
    nftables::{NftablesOptions, is_v4},
    plan::{Backend, Front, Rule, Ruleset},
    planner::Changes,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    hash::Hasher,
    net::IpAddr,
};

/// The mark of connections whose source becomes the node's address.
const MARK: &str = "0x4000";

/// By how many rules each pod is reached. A pod that reaches itself must see another source than its own, and
/// the kernel knows such a pod by its address.
pub(super) type Reach = BTreeMap<IpAddr, usize>;

/// The transaction that makes the changes; empty when there is nothing to do. A `fresh` one begins with a table
/// of its own in place of whatever an earlier process left.
pub(super) fn transaction(
    options: &NftablesOptions,
    fresh: bool,
    old: &Ruleset,
    reach: &mut Reach,
    changes: &Changes,
) -> String {
    let mut script = if fresh { base(options) } else { String::new() };
    let before = changes.keys().filter_map(|front| old.get(front)).flat_map(|r| &r.backends);
    let after =
        changes.iter().filter(|(f, _)| is_v4(f)).filter_map(|(_, rule)| rule.as_ref()).flat_map(|r| &r.backends);
    reached(&options.table, reach, before, after, &mut script);
    for (front, new) in changes.iter().filter(|(front, _)| is_v4(front)) {
        change(options, front, old.get(front), new.as_ref(), &mut script);
    }
    script
}

/// The lines for one front. A changed front keeps its chain, and its element where that says the same.
fn change(options: &NftablesOptions, front: &Front, old: Option<&Rule>, new: Option<&Rule>, script: &mut String) {
    if old == new {
        return;
    }
    let (table, chain) = (&options.table, chain(front));
    let served = |rule: Option<&Rule>| rule.is_some_and(|r| !r.backends.is_empty());
    let elements = (old.map(|r| element(front, r)), new.map(|r| element(front, r)));
    if let (Some((map, key, _)), true) = (&elements.0, elements.0 != elements.1) {
        let _ = writeln!(script, "delete element ip {table} {map} {{ {key} }}");
    }
    if served(old) {
        let _ = writeln!(script, "flush chain ip {table} {chain}");
    } else if served(new) {
        let _ = writeln!(script, "add chain ip {table} {chain}");
    }
    let (old_sets, new_sets) = (affinity_sets(front, old), affinity_sets(front, new));
    for (name, seconds) in new_sets.difference(&old_sets) {
        let _ = writeln!(
            script,
            "add set ip {table} {name} {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout {seconds}s; }}"
        );
    }
    if let Some(rule) = new.filter(|_| served(new)) {
        rule_lines(options, front, rule, script);
    }
    for (name, _) in old_sets.difference(&new_sets) {
        let _ = writeln!(script, "delete set ip {table} {name}");
    }
    if let (Some((map, key, verdict)), true) = (&elements.1, elements.0 != elements.1) {
        let _ = writeln!(script, "add element ip {table} {map} {{ {key} : {verdict} }}");
    }
    if served(old) && !served(new) {
        let _ = writeln!(script, "delete chain ip {table} {chain}");
    }
}

fn rule_lines(options: &NftablesOptions, front: &Front, rule: &Rule, script: &mut String) {
    let (table, name, proto) = (&options.table, chain(front), front.proto.as_str());
    let mut line = |text: &str| {
        let _ = writeln!(script, "add rule ip {table} {name} {text}");
    };
    if rule.masquerade {
        line(&format!("ip saddr != {} meta mark set meta mark or {MARK}", options.pod_cidr));
    }
    let count = rule.backends.len();
    let Some(seconds) = rule.affinity_seconds else {
        let target = |(i, b): (usize, &Backend)| format!("{i} : {} . {}", b.address, b.port);
        let targets: Vec<String> = rule.backends.iter().enumerate().map(target).collect();
        return line(&format!(
            "meta l4proto {proto} dnat to numgen random mod {count} map {{ {} }}",
            targets.join(", ")
        ));
    };
    let keep = |b: &Backend| {
        let set = affinity_set(front, b, seconds);
        (format!("update @{set} {{ ip saddr }} meta l4proto {proto} dnat to {}:{}", b.address, b.port), set)
    };
    for (keep, set) in rule.backends.iter().map(keep) {
        line(&format!("ip saddr @{set} {keep}"));
    }
    // One in n takes the first, one in n - 1 of the others the second, and so on: all are equally likely.
    for (left, (keep, _)) in (1..=count).rev().zip(rule.backends.iter().map(keep)) {
        let draw = if left > 1 { format!("numgen random mod {left} == 0 ") } else { String::new() };
        line(&format!("{draw}{keep}"));
    }
}

/// Counts who is reached, and brings the set of those that might reach themselves up to date.
fn reached<'a>(
    table: &str,
    reach: &mut Reach,
    before: impl Iterator<Item = &'a Backend>,
    after: impl Iterator<Item = &'a Backend>,
    script: &mut String,
) {
    let mut shift: BTreeMap<IpAddr, isize> = BTreeMap::new();
    before.for_each(|b| *shift.entry(b.address).or_default() -= 1);
    after.for_each(|b| *shift.entry(b.address).or_default() += 1);
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (address, by) in shift.into_iter().filter(|(address, by)| *by != 0 && address.is_ipv4()) {
        let count = reach.get(&address).copied().unwrap_or(0);
        let now = count.saturating_add_signed(by);
        match (count, now) {
            (0, 1..) => come.push(format!("{address} . {address}")),
            (1.., 0) => gone.push(format!("{address} . {address}")),
            _ => {}
        }
        if now == 0 {
            reach.remove(&address)
        } else {
            reach.insert(address, now)
        };
    }
    for (verb, list) in [("delete", gone), ("add", come)] {
        if !list.is_empty() {
            let _ = writeln!(script, "{verb} element ip {table} hairpin {{ {} }}", list.join(", "));
        }
    }
}

/// The table with its hooks and empty maps. Replaces whatever an earlier process left, in one transaction.
fn base(options: &NftablesOptions) -> String {
    let NftablesOptions { table, pod_cidr, bridge_passes_hooks } = options;
    let neighbours = if *bridge_passes_hooks {
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
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports
  }}
  chain prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump services; }}
  chain output {{ type nat hook output priority -100; policy accept; jump services; }}
  map no-endpoints {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map no-endpoint-node-ports {{ type inet_proto . inet_service : verdict; }}
  chain refuse {{ meta l4proto tcp reject with tcp reset; reject; }}
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
    meta mark and {MARK} != 0 ct status dnat meta mark set meta mark and 0xffffbfff masquerade fully-random
    ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random
    {neighbours}
  }}
}}
"
    )
}

/// The map, the key and the verdict that lead a front to its chain, or refuse it for want of backends.
fn element(front: &Front, rule: &Rule) -> (&'static str, String, String) {
    let (proto, port, served) = (front.proto.as_str(), front.port, !rule.backends.is_empty());
    let (map, key) = match (front.address, served) {
        (Some(address), true) => ("service-ips", format!("{address} . {proto} . {port}")),
        (Some(address), false) => ("no-endpoints", format!("{address} . {proto} . {port}")),
        (None, true) => ("node-ports", format!("{proto} . {port}")),
        (None, false) => ("no-endpoint-node-ports", format!("{proto} . {port}")),
    };
    let target = match served {
        true => chain(front),
        false if rule.drop_when_empty => "discard".into(),
        false => "refuse".into(),
    };
    (map, key, format!("goto {target}"))
}

fn chain(front: &Front) -> String {
    let address = front.address.map_or("node".into(), |a| a.to_string().replace('.', "-"));
    format!("svc-{address}-{}-{}", front.proto.as_str(), front.port)
}

/// The sets that remember clients, with their seconds.
fn affinity_sets(front: &Front, rule: Option<&Rule>) -> BTreeSet<(String, i32)> {
    let seconds = |rule: &Rule| rule.affinity_seconds;
    let named = |rule: &Rule, seconds| -> BTreeSet<(String, i32)> {
        rule.backends.iter().map(|b| (affinity_set(front, b, seconds), seconds)).collect()
    };
    rule.and_then(|rule| Some(named(rule, seconds(rule)?))).unwrap_or_default()
}

fn affinity_set(front: &Front, backend: &Backend, seconds: i32) -> String {
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(format!("{front} {}:{} {seconds}", backend.address, backend.port).as_bytes());
    format!("aff-{:016x}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::plan::Proto;

    fn front() -> Front {
        Front { address: Some("10.96.0.10".parse().unwrap()), proto: Proto::Tcp, port: 80 }
    }

    fn rule(backends: &[&str]) -> Rule {
        let backends = backends.iter().map(|a| Backend { address: a.parse().unwrap(), port: 8080 }).collect();
        Rule { backends, ..Rule::default() }
    }

    #[track_caller]
    fn check(old: Option<Rule>, new: Option<Rule>, expected: &str) {
        let options =
            NftablesOptions { table: "t".into(), pod_cidr: "10.244.0.0/24".into(), bridge_passes_hooks: true };
        let mut reach = Reach::new();
        for backend in old.iter().flat_map(|r| &r.backends) {
            reach.insert(backend.address, 1);
        }
        let rules = old.into_iter().map(|r| (front(), r)).collect();
        let script = transaction(&options, false, &rules, &mut reach, &Changes::from([(front(), new)]));
        let expected: String = expected.lines().map(|l| format!("{}\n", l.trim())).collect();
        assert_eq!(script, expected);
    }

    #[test]
    fn an_unchanged_rule_is_an_empty_transaction() {
        check(Some(rule(&["10.244.0.2"])), Some(rule(&["10.244.0.2"])), "");
    }

    #[test]
    fn a_changed_backend_rewrites_one_chain() {
        check(
            Some(rule(&["10.244.0.2"])),
            Some(rule(&["10.244.0.3"])),
            "delete element ip t hairpin { 10.244.0.2 . 10.244.0.2 }
             add element ip t hairpin { 10.244.0.3 . 10.244.0.3 }
             flush chain ip t svc-10-96-0-10-tcp-80
             add rule ip t svc-10-96-0-10-tcp-80 meta l4proto tcp dnat to numgen random mod 1 map { 0 : 10.244.0.3 . 8080 }",
        );
    }

    #[test]
    fn a_removed_front_takes_its_chain_along() {
        check(
            Some(rule(&["10.244.0.2"])),
            None,
            "delete element ip t hairpin { 10.244.0.2 . 10.244.0.2 }
             delete element ip t service-ips { 10.96.0.10 . tcp . 80 }
             flush chain ip t svc-10-96-0-10-tcp-80
             delete chain ip t svc-10-96-0-10-tcp-80",
        );
    }

    #[test]
    fn a_front_without_backends_refuses() {
        check(None, Some(rule(&[])), "add element ip t no-endpoints { 10.96.0.10 . tcp . 80 : goto refuse }");
        let silent = Rule { drop_when_empty: true, ..rule(&[]) };
        check(
            Some(rule(&[])),
            Some(silent),
            "delete element ip t no-endpoints { 10.96.0.10 . tcp . 80 }
             add element ip t no-endpoints { 10.96.0.10 . tcp . 80 : goto discard }",
        );
    }
}
