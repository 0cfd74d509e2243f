//! [`Chooser`]: whose turn it is among the backends of a front.

use super::plan::{Backend, Rule};
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, time::Duration};
use tokio::time::Instant;

/// Clients are looked through for forgotten ones when there are twice as many as last time, but not below this.
const FEW: usize = 64;

/// Round robin over the backends, with affinity by client address.
#[derive(Default)]
pub(super) struct Chooser(Mutex<State>);

#[derive(Default)]
struct State {
    backends: Vec<Backend>,
    affinity: Option<Duration>,
    next: usize,
    clients: HashMap<IpAddr, (Backend, Instant)>,
    sweep_at: usize,
}

impl Chooser {
    /// Takes over a rule. Clients stay with backends that stay.
    pub(super) fn set(&self, rule: &Rule) {
        let mut state = self.0.lock();
        state.affinity = rule.affinity_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        state.backends = rule.backends.iter().copied().collect();
        let affine = state.affinity.is_some();
        state.clients.retain(|_, (backend, _)| affine && rule.backends.contains(backend));
    }

    /// The backend of a client's new connection; `None` when there are no backends.
    pub(super) fn choose(&self, client: IpAddr) -> Option<Backend> {
        let mut state = self.0.lock();
        let now = Instant::now();
        if let Some(span) = state.affinity
            && let Some((backend, last)) = state.clients.get_mut(&client)
            && now - *last < span
        {
            *last = now;
            return Some(*backend);
        }
        let backend = *state.backends.get(state.next % state.backends.len().max(1))?;
        state.next = state.next.wrapping_add(1);
        if let Some(span) = state.affinity {
            state.clients.insert(client, (backend, now));
            if state.clients.len() >= state.sweep_at.max(FEW) {
                state.clients.retain(|_, (_, last)| now - *last < span);
                state.sweep_at = state.clients.len() * 2;
            }
        }
        Some(backend)
    }

    /// The client's backend did not work: it may have another.
    pub(super) fn forget(&self, client: IpAddr) {
        self.0.lock().clients.remove(&client);
    }

    /// Whether the backend still takes traffic.
    pub(super) fn has(&self, backend: &Backend) -> bool {
        self.0.lock().backends.binary_search(backend).is_ok()
    }

    /// How many backends there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().backends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(last: &[u8], affinity_seconds: Option<i32>) -> Rule {
        let backends = last.iter().map(|n| Backend { address: [10, 0, 0, *n].into(), port: 80 }).collect();
        Rule { backends, affinity_seconds, ..Rule::default() }
    }

    fn turn(chooser: &Chooser, client: u8) -> String {
        chooser.choose([192, 168, 0, client].into()).map_or("none".into(), |b| b.address.to_string())
    }

    #[test]
    fn backends_take_turns_across_changes() {
        let chooser = Chooser::default();
        assert_eq!(turn(&chooser, 1), "none");
        chooser.set(&rule(&[1, 2], None));
        assert_eq!([turn(&chooser, 1), turn(&chooser, 1)], ["10.0.0.1", "10.0.0.2"]);
        chooser.set(&rule(&[1, 2, 3], None));
        assert_eq!(turn(&chooser, 1), "10.0.0.3");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_stays_until_its_time_is_over_or_its_backend_gone() {
        let chooser = Chooser::default();
        chooser.set(&rule(&[1, 2], Some(10)));
        assert_eq!([turn(&chooser, 1), turn(&chooser, 2), turn(&chooser, 1)], ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!([turn(&chooser, 1), turn(&chooser, 1)], ["10.0.0.1", "10.0.0.1"]);
        chooser.set(&rule(&[2, 3], Some(10)));
        assert_eq!([turn(&chooser, 2), turn(&chooser, 1)], ["10.0.0.2", "10.0.0.2"]);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(turn(&chooser, 1), "10.0.0.3");
    }
}
