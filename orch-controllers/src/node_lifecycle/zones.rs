//! How fast nodes may lose their pods (`handleDisruption`, `RateLimitedTimedQueue`): one node of a zone after the other, and
//! more slowly, or not at all, where so many are silent that it is more likely the network than the nodes.

use super::NodeFacts;
use jiff::{SignedDuration, Timestamp};
use orch_api::Key;
use orch_runtime::{
    View,
    view::{Facts, Known},
};
use orch_store::{Stored, informer::Delta};
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};

/// A node in ten seconds (`--node-eviction-rate`).
const INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// A node in a hundred seconds (`--secondary-node-eviction-rate`).
const SLOW_INTERVAL: SignedDuration = SignedDuration::from_secs(100);
/// Where more than half of a smaller zone is silent, nobody is evicted (`--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// Such a part of a zone is too much (`--unhealthy-zone-threshold`).
const UNHEALTHY: f32 = 0.55;
/// How soon to look again where nothing may be done (`--node-monitor-period`).
pub(super) const PERIOD: Duration = Duration::from_secs(5);

/// The zones, with the node whose turn it is and when one was taken last.
#[derive(Default)]
pub(super) struct Zones(Mutex<BTreeMap<String, Turn>>);

#[derive(Clone, Default)]
struct Turn {
    /// Who is being decided about. Others wait, since both would see that none was taken.
    holder: Option<Key>,
    last: Option<Timestamp>,
}

/// How a node's zone is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) ready: usize,
    pub(super) unready: usize,
    /// Whether it is this node's turn.
    pub(super) turn: bool,
    /// When a node of it was taken last.
    pub(super) last: Option<Timestamp>,
}

/// When the pods of a node may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    Now,
    After(Duration),
}

impl Zones {
    /// Asks for a turn in a zone.
    pub(super) fn ask(&self, zone: &mut Zone, key: &Key) {
        let mut all = self.0.lock();
        let turn = all.entry(zone.name.clone()).or_default();
        zone.turn = turn.holder.as_ref().is_none_or(|holder| holder == key);
        zone.last = turn.last;
        if zone.turn {
            turn.holder = Some(key.clone());
        }
    }

    /// Ends a turn; `taken` says when the node was taken, if it was.
    pub(super) fn end(&self, zone: &Zone, key: &Key, taken: Option<Timestamp>) {
        let mut all = self.0.lock();
        let turn = all.entry(zone.name.clone()).or_default();
        if turn.holder.as_ref() == Some(key) {
            turn.holder = None;
        }
        turn.last = taken.or(turn.last);
    }
}

impl Zone {
    /// Whether a node's pods may go now.
    pub(super) fn permit(&self, now: Timestamp) -> Permit {
        let total = self.ready + self.unready;
        let partial = self.ready > 0 && self.unready > 2 && self.unready as f32 / total as f32 >= UNHEALTHY;
        let interval = match (partial, total > LARGE) {
            (true, false) => return Permit::After(PERIOD),
            (true, true) => SLOW_INTERVAL,
            (false, _) => INTERVAL,
        };
        let next = self.last.map(|last| last.saturating_add(interval).unwrap_or(Timestamp::MAX));
        match next.filter(|next| *next > now) {
            Some(next) => Permit::After(crate::common::time::until(next, now)),
            None if self.turn => Permit::Now,
            None => Permit::After(PERIOD),
        }
    }
}

/// The health of a node's zone.
pub(super) fn of(key: &Key, view: &View<'_>) -> Zone {
    let all = view.list_known::<NodeFacts>("");
    let name = all.iter().find(|node| node.stored.key == *key).map(|node| name(&node.stored)).unwrap_or_default();
    let mut zone = Zone { name, ..Zone::default() };
    for node in all.iter().filter(|node| counts(node) && self::name(&node.stored) == zone.name) {
        let count = if node.facts.ready { &mut zone.ready } else { &mut zone.unready };
        *count += 1;
    }
    zone
}

/// Whether of all nodes that count none is ready: more likely it is us who are cut off than all of them.
pub(super) fn all_are_down(view: &View<'_>) -> bool {
    let mut counting = view.list_known::<NodeFacts>("").into_iter().filter(counts).peekable();
    counting.peek().is_some() && counting.all(|node| !node.facts.ready)
}

/// All nodes, when the last ready one falls: they get back what evicts their pods.
pub(super) fn all_when_the_last_falls(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let is_ready = |node: &Stored| node.memo(NodeFacts::of).ready;
    let falls = delta.old.as_deref().is_some_and(is_ready) && !delta.new.as_deref().is_some_and(is_ready);
    if !falls || !all_are_down(view) {
        return Vec::new();
    }
    view.list_known::<NodeFacts>("").into_iter().map(|node| node.stored.key.clone()).collect()
}

/// The zone of a node by its labels, region included.
fn name(node: &Stored) -> String {
    let label = |name: &str| node.meta.labels.get(name).unwrap_or_default().to_owned();
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

/// Whether a node counts when the health of its zone is judged.
fn counts(node: &Known<NodeFacts>) -> bool {
    node.stored.meta.labels.get("node.kubernetes.io/exclude-disruption").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{minutes_ago, now};

    #[track_caller]
    fn check(ready: usize, unready: usize, last: Option<Timestamp>, expected: Permit) {
        let zone = Zone { ready, unready, turn: true, last, ..Zone::default() };
        assert_eq!(zone.permit(now()), expected);
    }

    #[test]
    fn one_node_in_ten_seconds() {
        let ago = |seconds| Some(now() - SignedDuration::from_secs(seconds));
        check(5, 1, None, Permit::Now);
        check(5, 1, ago(3), Permit::After(Duration::from_secs(7)));
        check(5, 1, ago(10), Permit::Now);
    }

    #[test]
    fn a_zone_of_which_most_is_silent_is_slow_or_stops() {
        check(2, 3, None, Permit::After(PERIOD));
        check(1, 2, None, Permit::Now);
        check(40, 60, None, Permit::Now);
        check(40, 60, Some(minutes_ago(1)), Permit::After(Duration::from_secs(40)));
        check(0, 3, None, Permit::Now);
    }

    #[test]
    fn two_nodes_do_not_go_at_once() {
        let zones = Zones::default();
        let (a, b) = (Key::cluster("a"), Key::cluster("b"));
        let (mut first, mut second) = (Zone::default(), Zone::default());
        zones.ask(&mut first, &a);
        zones.ask(&mut second, &b);
        assert!(first.turn && !second.turn);
        zones.end(&first, &a, Some(now()));
        zones.ask(&mut second, &b);
        assert!(second.turn);
        assert_eq!(second.permit(now()), Permit::After(Duration::from_secs(10)));
    }
}
