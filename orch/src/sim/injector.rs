//! [`Injector`]: carries a [`FaultPlan`] out. It decides, request by request and event by event; who acts on its
//! decisions are the layers: [`FaultyClient`](super::FaultyClient), [`FaultyBackend`](super::FaultyBackend) and the host.

use super::fault::{Class, EVERYBODY, Failing, Fault, FaultPlan, USER};
use orch_api::{Gvr, Key, Reason, StatusError};
use orch_store::{Ambient, Chance, watched};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Carries a plan out. Shared by all layers of a simulation.
pub struct Injector {
    ambient: Ambient,
    schedule: watched::Sender<Schedule>,
    counts: Mutex<BTreeMap<(Arc<str>, Counted), u64>>,
    /// Faults that happen once and have happened, by place in the plan.
    spent: Mutex<BTreeSet<usize>>,
    /// One source of chance for each fault and each victim, so that faults do not shift each other.
    chances: Mutex<BTreeMap<(usize, Arc<str>), Chance>>,
    /// Until when somebody sees nothing.
    blind: Mutex<BTreeMap<Arc<str>, Instant>>,
    /// How long every request takes at least. Without it two loops that fight each other would stop virtual time.
    latency: Duration,
}

/// What is planned, and since when its times count.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    pub(super) begun: Option<Instant>,
    pub(super) faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Request(Class),
    Event,
}

/// What is to become of a request.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) before: Duration,
    pub(super) verdict: Verdict,
    pub(super) after: Duration,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Go,
    Refuse(StatusError),
    Lost,
    Twice,
    Die { after: bool, death: Death },
}

/// How a loop dies: for how long it is away, and how much of the past it finds when it comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// Until it is started anew.
    pub down: Duration,
    /// The number of revisions by which its first lists lag, and for how long its watches do.
    pub stale: Option<(u64, Duration)>,
}

impl Injector {
    /// A plan that has not begun.
    pub fn new(plan: FaultPlan, ambient: &Ambient) -> Arc<Self> {
        Self::with_latency(plan, ambient, Duration::ZERO)
    }

    /// The same, where every request takes some time whatever happens.
    pub fn with_latency(plan: FaultPlan, ambient: &Ambient, latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            latency,
            ambient: ambient.child("faults"),
            schedule: watched::Sender::new(Schedule { begun: None, faults: plan.faults }),
            counts: Mutex::default(),
            spent: Mutex::default(),
            chances: Mutex::default(),
            blind: Mutex::default(),
        })
    }

    /// From now on faults happen: their times and numbers count from here.
    pub fn begin(&self) {
        self.counts.lock().clear();
        self.schedule.send_modify(|schedule| schedule.begun = Some(Instant::now()));
    }

    /// The milliseconds since the beginning.
    pub fn elapsed_ms(&self) -> u64 {
        let begun = self.schedule.borrow().begun;
        begun.map_or(0, |begun| u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Adds a fault while others happen.
    pub fn add(&self, fault: Fault) {
        self.schedule.send_modify(|schedule| schedule.faults.push(fault));
    }

    /// Ends all faults but those that happen once at a request or event which is still to come: most of what loops do they do after the
    /// last change.
    pub fn end(&self) {
        let elapsed = self.elapsed_ms();
        // Places stay, since they are what spent faults are known by.
        self.schedule.send_modify(|schedule| {
            for fault in schedule.faults.iter_mut().filter(|fault| fault.ends_ms().is_some()) {
                *fault = Fault::ClockJump { at_ms: elapsed, by_ms: 0 };
            }
        });
    }

    /// How many writes, or events, somebody has had since the beginning.
    pub fn count(&self, who: &str, class: Class) -> u64 {
        self.counts.lock().get(&(who.into(), Counted::Request(class))).copied().unwrap_or(0)
    }

    /// How many events somebody has been sent since the beginning.
    pub fn events(&self, who: &str) -> u64 {
        self.counts.lock().get(&(who.into(), Counted::Event)).copied().unwrap_or(0)
    }

    pub(super) fn subscribe(&self) -> watched::Receiver<Schedule> {
        self.schedule.subscribe()
    }

    /// Decides about a request.
    pub(super) fn decide(&self, who: &Arc<str>, class: Class, gvr: &Gvr, key: &Key) -> Decision {
        let mut decision = Decision { before: self.latency, verdict: Verdict::Go, after: Duration::ZERO };
        let schedule = self.schedule.borrow().clone();
        let Some(begun) = schedule.begun else { return decision };
        let now = elapsed_ms(begun);
        let nth = self.next(who, Counted::Request(class));
        if class == Class::Write {
            self.blindfold(&schedule.faults, who, nth);
        }
        for (place, fault) in schedule.faults.iter().enumerate() {
            if !concerns(fault, who) {
                continue;
            }
            match fault {
                Fault::Slow { at_ms, for_ms, up_to_ms, .. } if within(now, *at_ms, *for_ms) => {
                    let chance = self.chance(place, who);
                    decision.before += Duration::from_millis(chance.below(up_to_ms + 1));
                    decision.after += Duration::from_millis(chance.below(up_to_ms + 1));
                }
                Fault::Partition { at_ms, for_ms, .. } if within(now, *at_ms, *for_ms) => {
                    decision.verdict = Verdict::Refuse(unreachable());
                }
                Fault::Late { write, by_ms, .. } if class == Class::Write && *write == nth && self.spend(place) => {
                    decision.before += Duration::from_millis(*by_ms);
                }
                _ if !matches!(decision.verdict, Verdict::Go) => {}
                Fault::Flaky { at_ms, for_ms, percent, how, .. }
                    if within(now, *at_ms, *for_ms) && self.chance(place, who).below(100) < u64::from(*percent) =>
                {
                    decision.verdict = failing(*how, class, gvr, key);
                }
                Fault::Nth { class: of, nth: at, how, .. } if *of == class && *at == nth && self.spend(place) => {
                    decision.verdict = failing(*how, class, gvr, key);
                }
                Fault::Crash { write, after, down_ms, .. }
                    if class == Class::Write && *write == nth && self.spend(place) =>
                {
                    let death = Death { down: Duration::from_millis(*down_ms), stale: None };
                    decision.verdict = Verdict::Die { after: *after, death };
                }
                Fault::Stale { write, back, for_ms, .. }
                    if class == Class::Write && *write == nth && self.spend(place) =>
                {
                    let stale = Some((*back, Duration::from_millis(*for_ms)));
                    decision.verdict = Verdict::Die { after: false, death: Death { down: Duration::ZERO, stale } };
                }
                _ => {}
            }
        }
        decision
    }

    /// Whom the n-th write of somebody leaves in the dark.
    fn blindfold(&self, faults: &[Fault], who: &str, nth: u64) {
        for (place, fault) in faults.iter().enumerate() {
            if let Fault::Blind { who: blind, whose, write, for_ms } = fault
                && whose == who
                && *write == nth
                && self.spend(place)
            {
                let until = Instant::now() + Duration::from_millis(*for_ms);
                self.blind.lock().insert(blind.as_str().into(), until);
            }
        }
    }

    /// Counts an event on its way; where it gets lost, for how long no watch begins.
    pub(super) fn misses(&self, who: &Arc<str>) -> Option<Duration> {
        let schedule = self.schedule.borrow().clone();
        schedule.begun?;
        let nth = self.next(who, Counted::Event);
        schedule.faults.iter().enumerate().find_map(|(place, fault)| match fault {
            Fault::Miss { event, for_ms, .. } if concerns(fault, who) && *event == nth && self.spend(place) => {
                Some(Duration::from_millis(*for_ms))
            }
            _ => None,
        })
    }

    /// Until when events wait.
    pub(super) fn held_until(&self, who: &Arc<str>) -> Option<Instant> {
        let schedule = self.schedule.borrow();
        let begun = schedule.begun?;
        let now = elapsed_ms(begun);
        let ends = schedule.faults.iter().filter_map(|fault| match fault {
            Fault::Lag { at_ms, for_ms, .. } | Fault::Partition { at_ms, for_ms, .. }
                if concerns(fault, who) && within(now, *at_ms, *for_ms) =>
            {
                Some(at_ms + for_ms)
            }
            _ => None,
        });
        let dark = self.blind.lock().get(who).copied().filter(|until| *until > Instant::now());
        ends.max().map(|end| begun + Duration::from_millis(end)).max(dark)
    }

    /// How long an event takes on its way.
    pub(super) fn transit(&self, who: &Arc<str>) -> Duration {
        let schedule = self.schedule.borrow().clone();
        let Some(begun) = schedule.begun else { return Duration::ZERO };
        let now = elapsed_ms(begun);
        let slow = schedule.faults.iter().enumerate().filter_map(|(place, fault)| match fault {
            Fault::Slow { at_ms, for_ms, up_to_ms, .. } if concerns(fault, who) && within(now, *at_ms, *for_ms) => {
                Some(Duration::from_millis(self.chance(place, who).below(up_to_ms + 1)))
            }
            _ => None,
        });
        slow.sum()
    }

    /// When the next cut of a watch that began at `opened` comes, and whether it costs the history.
    pub(super) fn next_cut(&self, who: &Arc<str>, opened: Instant) -> Option<(Instant, bool)> {
        let schedule = self.schedule.borrow();
        let begun = schedule.begun?;
        let cuts = schedule.faults.iter().filter(|fault| concerns(fault, who)).filter_map(|fault| match fault {
            Fault::Cut { at_ms, expire, .. } => Some((begun + Duration::from_millis(*at_ms), *expire)),
            Fault::Partition { at_ms, for_ms, .. } => Some((begun + Duration::from_millis(at_ms + for_ms), false)),
            _ => None,
        });
        cuts.filter(|(at, _)| *at > opened).min_by_key(|(at, _)| *at)
    }

    /// Whether the disk fails at the moment.
    pub(super) fn disk_fails(&self) -> bool {
        let schedule = self.schedule.borrow();
        let Some(begun) = schedule.begun else { return false };
        let now = elapsed_ms(begun);
        let fails = |fault: &Fault| matches!(fault, Fault::Disk { at_ms, for_ms } if within(now, *at_ms, *for_ms));
        schedule.faults.iter().any(fails)
    }

    fn next(&self, who: &Arc<str>, what: Counted) -> u64 {
        let mut counts = self.counts.lock();
        let count = counts.entry((who.clone(), what)).or_default();
        *count += 1;
        *count
    }

    fn spend(&self, place: usize) -> bool {
        self.spent.lock().insert(place)
    }

    fn chance(&self, place: usize, who: &Arc<str>) -> Chance {
        let fault = self.schedule.borrow().faults.get(place).map(ToString::to_string).unwrap_or_default();
        let mut chances = self.chances.lock();
        let make = || self.ambient.chance.child(&format!("{who}/{fault}"));
        chances.entry((place, who.clone())).or_insert_with(make).clone()
    }
}

fn elapsed_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn within(now: u64, at: u64, lasts: u64) -> bool {
    (at..at.saturating_add(lasts)).contains(&now)
}

fn concerns(fault: &Fault, name: &str) -> bool {
    match fault {
        Fault::Slow { who, .. }
        | Fault::Flaky { who, .. }
        | Fault::Nth { who, .. }
        | Fault::Crash { who, .. }
        | Fault::Stale { who, .. }
        | Fault::Miss { who, .. }
        | Fault::Late { who, .. }
        | Fault::Lag { who, .. }
        | Fault::Cut { who, .. }
        | Fault::Partition { who, .. } => who == name || (who == EVERYBODY && name != USER),
        _ => false,
    }
}

fn failing(how: Failing, class: Class, gvr: &Gvr, key: &Key) -> Verdict {
    let writes = matches!(class, Class::Write | Class::Noise);
    match how {
        Failing::Lost | Failing::Twice if !writes => Verdict::Go,
        Failing::Conflict if !writes => Verdict::Go,
        Failing::Lost => Verdict::Lost,
        Failing::Twice => Verdict::Twice,
        Failing::Conflict => Verdict::Refuse(StatusError::stale(gvr, &key.name)),
        Failing::Internal => Verdict::Refuse(StatusError::internal("injected")),
        Failing::Unavailable => Verdict::Refuse(StatusError::new(Reason::ServiceUnavailable, "injected")),
        Failing::Throttled => {
            let details = orch_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails {
                retry_after_seconds: Some(1),
                ..Default::default()
            };
            let words = "Too many requests, please try again later.";
            Verdict::Refuse(StatusError::new(Reason::TooManyRequests, words).with_details(details))
        }
    }
}

pub(super) fn unreachable() -> StatusError {
    StatusError::new(Reason::ServiceUnavailable, "the API server cannot be reached")
}
