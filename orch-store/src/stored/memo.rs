//! [`Memos`]: what functions have read out of one revision of an object.

use super::Stored;
use parking_lot::Mutex;
use std::{
    any::{Any, TypeId},
    sync::Arc,
};

/// Which function: what it gives, and where it is. The type keeps functions apart that a compiler has merged.
type Id = (TypeId, usize);

/// A list, because an object has none of them or a few; empty it takes no more than a pointer and a lock.
#[derive(Default)]
pub(super) struct Memos(Mutex<Option<Box<Memo>>>);

struct Memo {
    id: Id,
    value: Arc<dyn Any + Send + Sync>,
    next: Option<Box<Memo>>,
}

impl Memos {
    /// The value of the function, if somebody has asked for it before.
    pub(super) fn find<T: Send + Sync + 'static>(&self, read: fn(&Stored) -> T) -> Option<Arc<T>> {
        find(&self.0.lock(), (TypeId::of::<T>(), read as usize))
    }

    /// The value of the function. It runs outside of the lock: it may look at other memos, and panic.
    pub(super) fn get<T: Send + Sync + 'static>(&self, object: &Stored, read: fn(&Stored) -> T) -> Arc<T> {
        let id = (TypeId::of::<T>(), read as usize);
        if let Some(known) = find(&self.0.lock(), id) {
            return known;
        }
        let value = Arc::new(read(object));
        let mut memos = self.0.lock();
        if let Some(faster) = find(&memos, id) {
            return faster;
        }
        *memos = Some(Box::new(Memo { id, value: value.clone(), next: memos.take() }));
        value
    }
}

fn find<T: Send + Sync + 'static>(memos: &Option<Box<Memo>>, id: Id) -> Option<Arc<T>> {
    let mut all = std::iter::successors(memos.as_deref(), |memo| memo.next.as_deref());
    all.find(|memo| memo.id == id)?.value.clone().downcast().ok()
}
