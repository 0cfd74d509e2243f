use super::{
    election::{Step, decide},
    *,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::ConfigMap,
};
use orch_api::Key;
use orch_store::{Ambient, Client, ClientExt, Tasks, backend::MemoryBackend, client::Around, testing::BareClient};
use parking_lot::Mutex;
use std::time::Duration;

fn election(identity: &str) -> Election {
    Election::new(Key::new("default", "operator"), identity)
}

fn held_by(holder: &str) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        ..LeaseSpec::default()
    }
}

#[track_caller]
fn check(found: Option<LeaseSpec>, expired: bool, transitions: Option<i32>) {
    let expect = match decide(&election("me"), found.as_ref(), expired, Timestamp::UNIX_EPOCH) {
        Step::Wait => None,
        Step::Write(spec) => {
            assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some("me"), Some(15)));
            spec.lease_transitions
        }
    };
    assert_eq!(expect, transitions);
}

#[test]
fn a_lease_is_made_taken_over_renewed_or_waited_for() {
    check(None, true, Some(0));
    check(Some(held_by("me")), false, Some(3));
    check(Some(held_by("other")), false, None);
    check(Some(held_by("other")), true, Some(4));
    check(Some(held_by("")), false, Some(4));
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    assert_eq!(election("me").check(), Ok(()));
    assert!(Election { renew_deadline: Duration::from_secs(15), ..election("me") }.check().is_err());
    assert!(Election { retry_period: Duration::from_secs(9), ..election("me") }.check().is_err());
    assert!(Election { duration: Duration::from_millis(15_500), ..election("me") }.check().is_err());
    assert!(election("").check().is_err());
}

/// A link to the server that can be cut, and slowed down behind the fence.
struct Link {
    inner: Arc<dyn Client>,
    broken: Mutex<bool>,
    slow: Mutex<Duration>,
    /// How many writes from now on are swallowed: they get no answer, ever.
    swallows: Mutex<usize>,
}

#[async_trait::async_trait]
impl Around for Link {
    fn inner(&self) -> orch_store::client::Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn write(&self, write: orch_store::client::Write<'_>) -> orch_store::client::Result<Arc<orch_store::Stored>> {
        let swallowed = {
            let mut swallows = self.swallows.lock();
            let some = *swallows > 0;
            *swallows = swallows.saturating_sub(1);
            some
        };
        if swallowed {
            std::future::pending::<()>().await;
        }
        let slow = *self.slow.lock();
        tokio::time::sleep(slow).await;
        if *self.broken.lock() {
            return Err(orch_api::StatusError::new(orch_api::Reason::ServiceUnavailable, "cut"));
        }
        write.send(&*self.inner).await
    }
}

struct Candidate {
    link: Arc<Link>,
    lead: Leadership,
    tasks: Tasks,
}

struct World {
    client: Arc<dyn Client>,
    ambient: Ambient,
}

impl World {
    fn new() -> Self {
        let ambient = Ambient::seeded(1);
        let client = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        Self { client, ambient }
    }

    fn candidate(&self, identity: &str) -> Candidate {
        let link = Arc::new(Link {
            inner: self.client.clone(),
            broken: Mutex::new(false),
            slow: Mutex::default(),
            swallows: Mutex::default(),
        });
        let ambient = Ambient { tasks: self.ambient.tasks.child(), ..self.ambient.clone() };
        let mut elector = Elector::new(link.clone(), election(identity), &ambient.child(identity));
        let (lead, tasks) = (elector.lead(), ambient.tasks.clone());
        ambient.tasks.spawn_graceful(async move {
            if elector.run().await == Ended::Stopped {
                elector.release().await;
            }
        });
        Candidate { link, lead, tasks }
    }

    async fn holder(&self) -> Option<String> {
        self.client.read::<Lease>(&election("").lease).await.unwrap().spec.clone().unwrap().holder_identity
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_takes_over_at_once_when_it_is_released() {
    let world = World::new();
    let first = world.candidate("first");
    first.lead.acquired().await;
    let second = world.candidate("second");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(first.lead.holds() && !second.lead.holds());
    first.tasks.stop().await;
    assert!(!first.lead.holds());
    let took = Instant::now();
    second.lead.acquired().await;
    assert!(took.elapsed() < Duration::from_secs(6), "{:?}", took.elapsed());
    assert_eq!(world.holder().await.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_one_begins() {
    let world = World::new();
    let first = world.candidate("first");
    first.lead.acquired().await;
    let second = world.candidate("second");
    tokio::time::sleep(Duration::from_secs(30)).await;
    *first.link.broken.lock() = true;
    first.lead.lost().await;
    let stopped = Instant::now();
    assert!(!second.lead.holds(), "two lead at once");
    second.lead.acquired().await;
    assert!(stopped.elapsed() >= Duration::from_secs(3), "only {:?} between two leaders", stopped.elapsed());
    assert_eq!(world.holder().await.as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_client_reads_always_and_writes_only_while_it_leads() {
    let world = World::new();
    let candidate = world.candidate("me");
    let fenced = Fenced::new(candidate.link.clone(), Leadership::default());
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".into());
    map.metadata.namespace = Some("default".into());
    assert_eq!(fenced.add(&map).await.unwrap_err().code(), 503);
    assert!(fenced.read_all::<ConfigMap>("").await.unwrap().is_empty());
    candidate.lead.acquired().await;
    Fenced::new(candidate.link.clone(), candidate.lead.clone()).add(&map).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_when_the_lease_runs_out_is_abandoned_at_the_deadline() {
    let world = World::new();
    let candidate = world.candidate("me");
    candidate.lead.acquired().await;
    let deadline = candidate.lead.until().unwrap();
    let link = Arc::new(Link {
        inner: world.client.clone(),
        broken: Mutex::new(false),
        slow: Mutex::new(Duration::from_secs(3600)),
        swallows: Mutex::default(),
    });
    *candidate.link.broken.lock() = true;
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".into());
    map.metadata.namespace = Some("default".into());
    let error = Fenced::new(link, candidate.lead.clone()).add(&map).await.unwrap_err();
    assert!(error.message().contains("not known"), "{error}");
    assert_eq!(Instant::now().duration_since(deadline).as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_costs_time_and_not_the_lead() {
    let world = World::new();
    let first = world.candidate("first");
    first.lead.acquired().await;
    *first.link.swallows.lock() = 1;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(first.lead.holds());
}

#[tokio::test(start_paused = true)]
async fn a_candidate_whose_try_got_no_answer_tries_again() {
    let world = World::new();
    let first = world.candidate("first");
    *first.link.swallows.lock() = 1;
    let leads = tokio::time::timeout(Duration::from_secs(60), first.lead.acquired()).await;
    assert!(leads.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_release_without_an_answer_does_not_hold_up_the_end() {
    let world = World::new();
    let first = world.candidate("first");
    first.lead.acquired().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    *first.link.swallows.lock() = usize::MAX;
    let began = Instant::now();
    first.tasks.stop().await;
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
}
