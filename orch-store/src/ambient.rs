//! Time, chance and tasks as inputs. Nothing that decides may reach for a wall clock, the operating
//! system's randomness or a free-floating task; it is handed an [`Ambient`] instead, so that a whole
//! cluster runs under virtual time from one seed and stops when its owner drops it.

use crate::panics::keep;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What every component is handed instead of globals.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// What time it is.
    pub clock: Clock,
    /// Where random choices come from.
    pub chance: Chance,
    /// Who owns background work.
    pub tasks: Tasks,
}

impl Ambient {
    /// The machine's clock and randomness: for programs.
    pub fn system() -> Self {
        Self { clock: Clock::system(), chance: Chance::from_os(), tasks: Tasks::new() }
    }

    /// A virtual clock and a seed: for tests. Must be called inside a tokio runtime; with
    /// `start_paused` time moves only when every task waits.
    pub fn seeded(seed: u64) -> Self {
        Self {
            clock: Clock::starting_at(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)),
            chance: Chance::from_seed(seed),
            tasks: Tasks::new(),
        }
    }

    /// The same ambience with a child source of chance, so that one component's draws never shift
    /// those of another.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { chance: self.chance.child(name), ..self.clone() }
    }
}

/// What time it is. Durations are measured by `tokio::time`, which a test may pause.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// `ahead`, in milliseconds, is by how much the clock was set forward since; clones share it.
    Virtual {
        start: Timestamp,
        origin: Instant,
        ahead: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and advances with tokio's (perhaps paused) time.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Source::Virtual { start, origin: Instant::now(), ahead: Arc::default() })
    }

    /// Sets a virtual clock forward, or back by a negative amount, for everybody who shares it. Timers do not move:
    /// they run on monotonic time. The machine's clock is not ours to set, so nothing happens to that.
    pub fn jump(&self, by: SignedDuration) {
        if let Source::Virtual { ahead, .. } = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(0);
            ahead.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// The current time.
    #[allow(clippy::disallowed_methods)] // The one place where the wall clock is read.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Virtual { start, origin, ahead } => {
                let elapsed = SignedDuration::try_from(origin.elapsed()).unwrap_or(SignedDuration::MAX);
                let elapsed = elapsed.saturating_add(SignedDuration::from_millis(ahead.load(Ordering::Relaxed)));
                start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// A source of random choices. Children are named, so that the same seed gives the same choices to
/// the same component whatever else runs.
#[derive(Clone)]
pub struct Chance {
    seed: u64,
    rng: Arc<Mutex<StdRng>>,
}

impl Chance {
    /// Choices that follow from the seed.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// Choices that nobody can foretell.
    #[allow(clippy::disallowed_methods)] // The one place where the system's randomness is read.
    pub fn from_os() -> Self {
        let mut rng = StdRng::from_os_rng();
        Self { seed: rng.next_u64(), rng: Arc::new(Mutex::new(rng)) }
    }

    /// An independent source whose seed follows from this one's and the name.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self::from_seed(hash)
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.rng.lock().random_range(0..bound) }
    }

    /// Uniform in `[0, 1)`.
    pub fn fraction(&self) -> f64 {
        self.rng.lock().random()
    }

    /// Fills a buffer.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.rng.lock().fill_bytes(bytes);
    }

    /// A version 4 UUID in its usual text form.
    pub fn uid(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// A suffix for generated names, from the alphabet of `apimachinery/pkg/util/rand`: no vowels and
    /// nothing that looks like one.
    pub fn suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut rng = self.rng.lock();
        (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
    }
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chance({:#x})", self.seed)
    }
}

/// The owner of background work. Cloning shares the owner; [`Tasks::stop`] cancels and waits.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    cancelled: CancellationToken,
}

impl Tasks {
    /// An owner with no work yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future in the background until it ends or the owner stops.
    #[allow(clippy::disallowed_methods)] // The one place where tasks are spawned.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let cancelled = self.cancelled.clone();
        self.tracker.spawn(async move {
            cancelled.run_until_cancelled(work).await;
        })
    }

    /// Runs a loop in the background that outlives its panics, as [`keep`] does.
    pub fn spawn_loop<F>(&self, name: &'static str, make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(keep(name, make));
    }

    /// Resolves when the owner stops: for work that ends in its own way, through [`Tasks::spawn_graceful`].
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Runs a future that watches [`Tasks::cancelled`] itself and finishes what it must.
    #[allow(clippy::disallowed_methods)]
    pub fn spawn_graceful(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.tracker.spawn(work)
    }

    /// An owner that stops when this one does and can be stopped alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), cancelled: self.cancelled.child_token() }
    }

    /// Resolves when all work has ended by itself; nothing is cancelled.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Cancels all work without waiting for it.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Cancels all work and waits until it has ended.
    pub async fn stop(&self) {
        self.cancelled.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
