//! A value that many tasks watch: tokio's `watch` channel, except that it wakes its readers in the order in
//! which they began to wait.
//!
//! tokio spreads the readers over eight lists and chooses one of them at random, from a source that no seed
//! reaches. Whoever wakes first writes first, so that two runs of one seed would not have one history.

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

/// The value is seen; the lock is held while this lives, so it must not be kept across an `await`.
pub type Seen<'a, T> = MappedRwLockReadGuard<'a, T>;

/// The side that writes. Dropping it ends the waiting of all readers.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// A side that reads. Cloning keeps what was seen.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The sender is gone and there is nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody writes this value any more")]
pub struct Closed;

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    /// Grows by two with every change; odd once the sender is gone.
    version: AtomicU64,
    changed: Notify,
}

const CLOSED: u64 = 1;

/// A sender and a receiver that has seen the first value.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A value that nobody watches yet.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: RwLock::new(value), version: AtomicU64::new(0), changed: Notify::new() }))
    }

    /// The value now.
    pub fn borrow(&self) -> Seen<'_, T> {
        self.0.borrow()
    }

    /// Changes the value and wakes the readers.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value; wakes the readers where the change says that it was one. Whether it was.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.0.value.write();
        let modified = change(&mut value);
        if modified {
            self.0.version.fetch_add(2, Ordering::Release);
        }
        drop(value);
        if modified {
            self.0.changed.notify_waiters();
        }
        modified
    }

    /// Puts a value in place of the other, which is returned.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// A reader that has seen the value as it is.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { seen: self.0.version(), shared: self.0.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.version.fetch_or(CLOSED, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// The value now.
    pub fn borrow(&self) -> Seen<'_, T> {
        self.shared.borrow()
    }

    /// The value now, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Seen<'_, T> {
        let value = self.shared.borrow();
        // Under the lock, so that no change is missed.
        self.seen = self.shared.version();
        value
    }

    /// The value counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version();
    }

    /// The value counts as new, whether it is or not.
    pub fn mark_changed(&mut self) {
        self.seen = u64::MAX;
    }

    /// Resolves when the value is new. It counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] when there will be nothing new.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Made before the look, so that a change between the look and the wait still wakes.
            let change = self.shared.changed.notified();
            let version = self.shared.version.load(Ordering::Acquire);
            if version & !CLOSED != self.seen {
                self.seen = version & !CLOSED;
                return Ok(());
            }
            if version & CLOSED != 0 {
                return Err(Closed);
            }
            change.await;
        }
    }

    /// Resolves when the predicate holds of the value, which counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] when it does not and never will.
    pub async fn wait_for(&mut self, mut holds: impl FnMut(&T) -> bool) -> Result<Seen<'_, T>, Closed> {
        loop {
            let found = holds(&self.borrow_and_update());
            if found {
                return Ok(self.shared.borrow());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Shared<T> {
    fn borrow(&self) -> Seen<'_, T> {
        RwLockReadGuard::map(self.value.read(), |value| value)
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire) & !CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tasks;
    use parking_lot::Mutex;

    #[tokio::test]
    async fn readers_wake_in_the_order_in_which_they_wait() {
        let (sender, receiver) = channel(0);
        let (order, tasks) = (Arc::new(Mutex::new(Vec::new())), Tasks::new());
        let readers: Vec<_> = (0..50)
            .map(|n| {
                let (mut receiver, order) = (receiver.clone(), order.clone());
                tasks.spawn(async move {
                    receiver.changed().await.unwrap();
                    order.lock().push(n);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        sender.send_modify(|value| *value += 1);
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed_and_is_seen_once() {
        let (sender, mut receiver) = channel(0);
        sender.send_replace(1);
        sender.send_replace(2);
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow(), 2);
        drop(sender);
        assert_eq!(receiver.changed().await, Err(Closed));
    }

    #[tokio::test]
    async fn a_change_that_says_it_is_none_wakes_nobody() {
        let (sender, mut receiver) = channel(0);
        assert!(!sender.send_if_modified(|_| false));
        drop(sender);
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(receiver.wait_for(|value| *value == 0).await.map(|value| *value), Ok(0));
        assert_eq!(receiver.wait_for(|value| *value == 1).await.map(|value| *value), Err(Closed));
    }
}
