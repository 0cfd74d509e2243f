//! [`Elector`]: acquires, renews and releases a Lease (`client-go/tools/leaderelection`).

use super::Leadership;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use orch_api::{Key, StatusError};
use orch_store::{Ambient, Client, ClientExt};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// How much longer than the retry period a candidate waits at most, so that many do not ask at once.
const JITTER: f64 = 1.2;

/// Which lease is held, by whom and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Election {
    /// The Lease.
    pub lease: Key,
    /// Who this process is; no two candidates may have the same identity.
    pub identity: String,
    /// How long others wait after the last renewal that they saw. Whole seconds.
    pub duration: Duration,
    /// How long the leader tries to renew before it gives up; less than the duration.
    pub renew_deadline: Duration,
    /// How long to wait between two tries; less than the renew deadline.
    pub retry_period: Duration,
    /// Whether the lease is given up on an orderly end, so that another one takes over at once.
    pub release: bool,
}

impl Election {
    /// An election with the times of client-go (15 s, 10 s, 2 s).
    pub fn new(lease: Key, identity: impl Into<String>) -> Self {
        Self {
            lease,
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            release: true,
        }
    }

    /// Whether the times make sense.
    pub fn check(&self) -> Result<(), String> {
        let seconds = Duration::from_secs(self.duration.as_secs());
        if self.identity.is_empty() {
            return Err("the identity must not be empty".into());
        }
        if seconds.is_zero() || seconds != self.duration {
            return Err("the lease duration must be whole seconds, at least one".into());
        }
        if self.duration <= self.renew_deadline {
            return Err("the lease duration must be greater than the renew deadline".into());
        }
        if self.renew_deadline.as_secs_f64() <= JITTER * self.retry_period.as_secs_f64() {
            return Err(format!("the renew deadline must be greater than the retry period × {JITTER}"));
        }
        if self.retry_period.is_zero() {
            return Err("the retry period must be greater than zero".into());
        }
        Ok(())
    }
}

/// Why an elector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The ambience's tasks were cancelled. The lease is still held, if it was.
    Stopped,
    /// The lease could not be renewed in time, or somebody else holds it.
    Lost,
}

/// A candidate. Its client must not be fenced.
pub struct Elector {
    client: Arc<dyn Client>,
    election: Election,
    ambient: Ambient,
    lead: Leadership,
    /// What the lease said when it last changed, and when that was seen.
    seen: Option<(LeaseSpec, Instant)>,
}

/// What to do about a lease.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Somebody else holds it.
    Wait,
    /// Make it, take it over or renew it, so.
    Write(LeaseSpec),
}

/// Decides. `expired` says whether the duration has passed since the lease was seen to change.
pub(super) fn decide(election: &Election, found: Option<&LeaseSpec>, expired: bool, now: Timestamp) -> Step {
    let holder = found.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let mine = holder == election.identity;
    if !mine && !holder.is_empty() && !expired {
        return Step::Wait;
    }
    let transitions = found.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    let acquired = found.and_then(|spec| spec.acquire_time.clone()).filter(|_| mine);
    let changes_hands = found.is_some() && !mine;
    Step::Write(LeaseSpec {
        holder_identity: Some(election.identity.clone()),
        lease_duration_seconds: i32::try_from(election.duration.as_secs()).ok(),
        acquire_time: acquired.or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions.saturating_add(i32::from(changes_hands))),
        ..found.cloned().unwrap_or_default()
    })
}

impl Elector {
    /// A candidate that has not asked yet.
    pub fn new(client: Arc<dyn Client>, election: Election, ambient: &Ambient) -> Self {
        let ambient = ambient.child("leader-election");
        Self { client, election, ambient, lead: Leadership::default(), seen: None }
    }

    /// Whether it leads, for others.
    pub fn lead(&self) -> Leadership {
        self.lead.clone()
    }

    /// Acquires the lease and keeps it, until it is lost or the ambience's tasks are cancelled.
    pub async fn run(&mut self) -> Ended {
        let stopped = self.ambient.tasks.cancelled();
        match stopped.run_until_cancelled(self.acquire_and_keep()).await {
            None => Ended::Stopped,
            Some(()) => {
                self.lead.lose();
                Ended::Lost
            }
        }
    }

    /// Gives the lease up, if it is held: for after everything that writes has ended.
    pub async fn release(&mut self) {
        let held = self.lead.holds();
        self.lead.lose();
        if !held || !self.election.release {
            return;
        }
        // Who waits for the end must not wait for a server that does not answer.
        let given_up = timeout(self.election.renew_deadline, self.give_up()).await;
        let why = match given_up {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::info!(lease = %self.election.lease, why, "the lease was not released and will run out");
    }

    async fn acquire_and_keep(&mut self) {
        let lease = self.election.lease.clone();
        while !self.attempt_within(Instant::now() + self.election.renew_deadline).await {
            let pause = self.election.retry_period.mul_f64(1.0 + JITTER * self.ambient.chance.fraction());
            tokio::time::sleep(pause).await;
        }
        tracing::info!(%lease, identity = self.election.identity, "leads");
        while let Some(until) = self.lead.until() {
            let next = until.min(Instant::now() + self.election.retry_period);
            tokio::time::sleep_until(next).await;
            // A try does not outlast the lead, since the fence closes then; and one that hangs leaves time for another.
            self.attempt_within(until.min(Instant::now() + self.election.renew_deadline / 2)).await;
        }
        tracing::warn!(%lease, identity = self.election.identity, "leads no longer");
    }

    /// The same, given up at an instant. Its write may have happened then, which the next try finds out.
    async fn attempt_within(&mut self, deadline: Instant) -> bool {
        timeout_at(deadline, self.attempt()).await.unwrap_or(false)
    }

    /// One try to acquire or renew. Whether it succeeded.
    async fn attempt(&mut self) -> bool {
        let sent = Instant::now();
        let written = match self.try_once().await {
            Ok(written) => written,
            Err(error) => {
                tracing::debug!(lease = %self.election.lease, %error, "the lease was not written");
                false
            }
        };
        if written {
            self.lead.hold(sent + self.election.renew_deadline);
        }
        written
    }

    async fn try_once(&mut self) -> Result<bool, StatusError> {
        let found = self.client.find::<Lease>(&self.election.lease).await?;
        let spec = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let expired = spec.as_ref().is_none_or(|spec| self.has_expired(spec));
        let now = self.ambient.clock.now();
        let Step::Write(wanted) = decide(&self.election, spec.as_ref(), expired, now) else {
            // Somebody else wrote it, so what was believed of the lead is over.
            if self.lead.holds() {
                self.lead.lose();
            }
            return Ok(false);
        };
        let lease = match found {
            // The resource version makes the write conditional: of two candidates one is refused.
            Some(lease) => Lease { spec: Some(wanted), ..(*lease).clone() },
            None => Lease { metadata: self.name(), spec: Some(wanted) },
        };
        let exists = lease.metadata.resource_version.is_some();
        if exists {
            self.client.replace(&lease).await?
        } else {
            self.client.add(&lease).await?
        };
        Ok(true)
    }

    /// Whether nobody has renewed the lease for as long as it says, since it was seen to change.
    fn has_expired(&mut self, spec: &LeaseSpec) -> bool {
        let now = Instant::now();
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        };
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        now.duration_since(since) >= Duration::from_secs(seconds)
    }

    async fn give_up(&self) -> Result<(), StatusError> {
        let Some(lease) = self.client.find::<Lease>(&self.election.lease).await? else { return Ok(()) };
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&*self.election.identity) {
            return Ok(());
        }
        let now = Some(MicroTime(self.ambient.clock.now()));
        let released = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: now.clone(),
            renew_time: now,
            ..spec
        };
        self.client.replace(&Lease { spec: Some(released), ..(*lease).clone() }).await.map(drop)
    }

    fn name(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.election.lease.name.to_string()),
            namespace: Some(self.election.lease.namespace.to_string()),
            ..ObjectMeta::default()
        }
    }
}
