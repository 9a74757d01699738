//! A thing that each process makes for itself.

use std::{mem, process::id, sync::OnceLock};

/// What every process has its own of, though a fork copied that of its parent.
///
/// A child leaves the parent's alone and does not even drop it: closing an inherited socket, or taking it out of an inherited
/// reactor, would be seen by the parent. Looking takes no lock, so that no lock can be inherited that nobody will ever give back.
/// A process that was given the number of an ancestor that has ended would be taken for it; systems hand out all other numbers first.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(Slot<T>);

type Slot<T> = OnceLock<Box<Made<T>>>;

#[derive(Debug)]
struct Made<T> {
    process: u32,
    value: T,
    /// What a child of this process made.
    next: Slot<T>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Returns this process's own, and makes it where there is none yet.
    pub(crate) fn get_or_try_init<E>(&self, make: impl Fn() -> Result<T, E>) -> Result<&T, E> {
        self.get_or_try_init_of(id(), make)
    }

    fn get_or_try_init_of<E>(&self, process: u32, make: impl Fn() -> Result<T, E>) -> Result<&T, E> {
        let mut slot = &self.0;
        loop {
            match slot.get() {
                Some(made) if made.process == process => return Ok(&made.value),
                Some(made) => slot = &made.next,
                // Fails if another thread was faster; then that one's is found at the next turn.
                None => drop(slot.set(Box::new(Made { process, value: make()?, next: OnceLock::new() }))),
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let mut slot = self.0.take();
        while let Some(made) = slot {
            let Made { process, value, mut next } = *made;
            if process == id() {
                drop(value);
            } else {
                mem::forget(value);
            }
            slot = next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible, rc::Rc};

    use super::*;

    #[test]
    fn each_process_makes_one() {
        let (things, made) = (PerProcess::new(), Cell::new(0));
        let thing = |process| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, Infallible>(made.get())
            };
            *things.get_or_try_init_of(process, make).unwrap()
        };
        assert_eq!([thing(1), thing(1), thing(2), thing(1), thing(2), thing(3)], [1, 1, 2, 1, 2, 3]);
    }

    #[test]
    fn what_fails_is_tried_again() {
        let things = PerProcess::new();
        assert_eq!(things.get_or_try_init(|| Err("no")), Err("no"));
        assert_eq!(things.get_or_try_init(|| Ok::<_, &str>(1)), Ok(&1));
    }

    #[test]
    fn only_ones_own_is_dropped() {
        let counted = Rc::new(());
        let things = PerProcess::new();
        for process in [id(), id().wrapping_add(1), id().wrapping_add(2)] {
            things.get_or_try_init_of(process, || Ok::<_, Infallible>(counted.clone())).unwrap();
        }
        assert_eq!(Rc::strong_count(&counted), 4);
        drop(things);
        assert_eq!(Rc::strong_count(&counted), 3);
    }
}
