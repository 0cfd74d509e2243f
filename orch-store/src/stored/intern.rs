//! Sharing of strings that repeat from object to object: namespaces, owners, finalizers.

use std::{cell::RefCell, collections::HashSet, sync::Arc};

/// How many strings a thread remembers before it forgets them all and begins anew.
const CAPACITY: usize = 4096;

thread_local! {
    static SEEN: RefCell<HashSet<Arc<str>>> = RefCell::default();
}

/// A shared copy of the text: the same allocation for texts that this thread saw lately.
pub(super) fn intern(text: &str) -> Arc<str> {
    SEEN.with_borrow_mut(|seen| {
        if let Some(shared) = seen.get(text) {
            return shared.clone();
        }
        if seen.len() >= CAPACITY {
            seen.clear();
        }
        let shared: Arc<str> = text.into();
        seen.insert(shared.clone());
        shared
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_allocation() {
        assert!(Arc::ptr_eq(&intern("kube-system"), &intern("kube-system")));
    }

    #[test]
    fn the_memory_is_bounded() {
        (0..3 * CAPACITY).for_each(|i| drop(intern(&i.to_string())));
        SEEN.with_borrow(|seen| assert!(seen.len() <= CAPACITY));
    }
}
