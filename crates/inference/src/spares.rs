//! Memory that one call leaves behind for the next.

use std::sync::{Mutex, MutexGuard, TryLockError};

/// Values that are expensive to make and of which each thread at work needs one.
///
/// Nobody ever waits here. A process may fork at the moment in which another of its threads holds the
/// lock, and in the child it is held for good: there, each call makes a value and drops it.
pub(crate) struct Spares<T>(Mutex<Vec<T>>);

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Spares(Mutex::default())
    }
}

impl<T: Default> Spares<T> {
    /// Lends a spare value, or a new one where there is none at hand.
    pub(crate) fn lend<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let spare = self.free().and_then(|mut values| values.pop());
        let mut value = spare.unwrap_or_default();
        let result = work(&mut value);
        if let Some(mut values) = self.free() {
            values.push(value);
        }
        result
    }

    /// The values, unless somebody else is at them.
    fn free(&self) -> Option<MutexGuard<'_, Vec<T>>> {
        match self.0.try_lock() {
            Ok(values) => Some(values),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_is_lent_again() {
        let spares: Spares<Vec<u8>> = Spares::default();
        spares.lend(|first| {
            first.push(1);
            spares.lend(|second| assert!(second.is_empty()));
        });
        assert_eq!(spares.lend(|value| value.len()) + spares.lend(|value| value.len()), 2);
    }

    #[test]
    fn a_lock_that_is_held_for_good_holds_nobody_up() {
        let spares: Spares<Vec<u8>> = Spares::default();
        let held = spares.0.lock();
        spares.lend(|value| assert!(value.is_empty()));
        drop(held);
        assert!(spares.free().is_some_and(|values| values.is_empty()));
    }
}
