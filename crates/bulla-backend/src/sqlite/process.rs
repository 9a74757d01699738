//! Which process has the database open: SQLite does not survive a fork.
//!
//! SQLite keeps a list, per process, of the locks that its connections hold. A forked child inherits the list, but not the
//! locks: neither the inherited connections nor new ones to the same file are safe in it, and closing them is not either
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.7). So a process that forks closes its databases first, and a child
//! that finds one open does without it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Attempt, Failure};
use crate::ErrorKind;

/// Who opened connections, and how many databases it has open: process in the upper half, count in the lower.
#[derive(Debug)]
pub(super) struct Openings(AtomicU64);

/// The openings of this process.
pub(super) static OPENINGS: Openings = Openings(AtomicU64::new(0));

impl Openings {
    /// Counts one more database that `process` has open, unless it inherited open ones.
    pub(super) fn add(&self, process: u32) -> Attempt<()> {
        let added = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let (opener, count) = split(state);
            (opener == process || count == 0).then(|| join(process, if opener == process { count + 1 } else { 1 }))
        });
        added.map(drop).map_err(|_| forked())
    }

    /// Counts one less.
    pub(super) fn remove(&self, process: u32) {
        // Fails only in a process that never added, where there is nothing to count.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            let (opener, count) = split(state);
            (opener == process && count > 0).then(|| join(process, count - 1))
        });
    }
}

/// Describes the misuse.
pub(super) fn forked() -> Failure {
    Failure::new(
        ErrorKind::Unsuitable,
        "this process was forked while its parent had a database open, which SQLite does not survive; call `suspend` on each \
         database before the fork, or start the process anew",
    )
}

const fn split(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, (state & 0xFFFF_FFFF) as u32)
}

const fn join(process: u32, count: u32) -> u64 {
    ((process as u64) << 32) | count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_may_open_only_if_its_parent_had_closed() {
        let openings = Openings(AtomicU64::new(0));
        openings.add(100).unwrap();
        openings.add(100).unwrap();
        let child = Openings(AtomicU64::new(openings.0.load(Ordering::Acquire)));
        assert_eq!(child.add(101).unwrap_err().kind, ErrorKind::Unsuitable);
        child.remove(101);
        assert_eq!(child.add(101).unwrap_err().kind, ErrorKind::Unsuitable);

        openings.remove(100);
        openings.remove(100);
        let child = Openings(AtomicU64::new(openings.0.load(Ordering::Acquire)));
        child.add(101).unwrap();
        child.add(101).unwrap();
        openings.add(100).unwrap();
    }
}
