//! [`Cycle`]: what plugins keep for the time in which one pod is scheduled.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
};

/// What plugins keep for the time in which one pod is scheduled, one value per type.
///
/// A copy shares its values with the original until one of the two changes them: a dry run copies the cycle once per node.
#[derive(Clone, Default)]
pub struct Cycle {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Cycle {
    /// Keeps a value.
    pub fn put<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of that type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The value of that type, to be changed in this copy of the cycle alone.
    pub fn change<T: Clone + Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        let value = self.values.get_mut(&TypeId::of::<T>())?;
        if Arc::get_mut(value).is_none() {
            let own = value.downcast_ref::<T>()?.clone();
            *value = Arc::new(own);
        }
        Arc::get_mut(value)?.downcast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copy_changes_stays_as_it_was_in_the_original() {
        let mut cycle = Cycle::default();
        cycle.put(1_u32);
        let mut copy = cycle.clone();
        *copy.change::<u32>().unwrap() += 1;
        *copy.change::<u32>().unwrap() += 1;
        assert_eq!((cycle.get::<u32>(), copy.get::<u32>()), (Some(&1), Some(&3)));
        assert_eq!(copy.change::<i8>(), None);
    }
}
