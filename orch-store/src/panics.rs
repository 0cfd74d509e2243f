//! Panics of what others have plugged in, and of our own loops: caught, and in words.

use futures::FutureExt;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What a function answers, or what its panic said. What the function was changing when it panicked is the caller's to judge.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

/// As [`caught`], for futures. Whoever makes the future by a call that may panic itself calls it in an `async` block.
pub async fn caught_async<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| words(&*panic))
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

/// Runs a loop until it ends by itself. Each of its panics is logged under its name, and it is made anew after a [`Pause`].
pub async fn keep<F: Future<Output = ()>>(name: &str, mut make: impl FnMut() -> F) {
    let mut pause = Pause::new();
    while let Err(why) = caught_async(async { make().await }).await {
        tracing::error!(name, why, "a loop panicked; it begins anew");
        pause.wait().await;
    }
}

/// How long what panicked waits before it begins anew: a second, twice as long each time up to a minute, and a second again
/// once it has gone well for longer than that.
pub struct Pause {
    began: Instant,
    next: Duration,
}

impl Pause {
    /// It begins now.
    #[allow(clippy::new_without_default)] // It reads the clock.
    pub fn new() -> Self {
        Self { began: Instant::now(), next: FIRST_PAUSE }
    }

    /// It has panicked: waits.
    pub async fn wait(&mut self) {
        if self.began.elapsed() > LAST_PAUSE {
            self.next = FIRST_PAUSE;
        }
        sleep(self.next).await;
        *self = Self { began: Instant::now(), next: (self.next * 2).min(LAST_PAUSE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_begins_anew_ever_later_and_ends_when_it_ends() {
        let (began, times) = (Instant::now(), RefCell::new(Vec::new()));
        keep("test", async || {
            times.borrow_mut().push(began.elapsed().as_secs());
            let count = times.borrow().len();
            match count {
                4 => sleep(LAST_PAUSE * 2).await,
                6 => return,
                _ => {}
            }
            panic!("number {count}");
        })
        .await;
        // 1, 2 and 4 seconds; the fourth time went well for two minutes, so a second again, and 2.
        assert_eq!(times.into_inner(), [0, 1, 3, 7, 128, 130]);
    }

    #[test]
    fn a_panic_says_what_it_was_told_to() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("with {}", "words")), Err::<(), _>("with words".into()));
        assert_eq!(caught(|| panic!("plainly")), Err::<(), _>("plainly".into()));
        assert_eq!(caught(|| std::panic::panic_any(7)), Err::<(), _>("without words".into()));
    }
}
