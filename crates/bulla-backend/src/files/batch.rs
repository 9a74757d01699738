//! One sync for all who wait for one.

use std::{
    fmt, io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::DiskFile;

/// How many sync their own at the same time. Up to here the journal of the file system shares the work no worse: measured on ext4, one
/// sync of the file system gained nothing for 16 writers, and little beyond the noise for 64. It also writes what other programs have
/// left to write, so it is kept for crowds.
const MOST_ALONE: usize = 16;

/// Lets those who want something durable share the work: a few sync their own; while they do, the others gather, and one sync of
/// the file system then serves them all.
#[derive(Debug, Default)]
pub(super) struct Batches {
    queue: Mutex<Queue>,
    ended: Condvar,
}

impl Batches {
    /// Returns once everything is durable that was written before the call: by `alone`, or by a sync of the file system on which
    /// `file` lies. `age` orders the files of all callers by when they were opened.
    pub(super) fn sync(
        &self,
        age: u64,
        file: &Arc<dyn DiskFile>,
        alone: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut queue = self.queue();
        if queue.busy < MOST_ALONE {
            queue.busy += 1;
            drop(queue);
            let synced = alone();
            self.end();
            return synced;
        }
        let outcome = queue.next.join(age, file);
        let gathers = |queue: &Queue| Arc::ptr_eq(&queue.next.outcome, &outcome);
        let waits = |queue: &mut Queue| outcome.get().is_none() && (queue.busy == MOST_ALONE || !gathers(queue));
        let mut queue = self.ended.wait_while(queue, waits).unwrap_or_else(PoisonError::into_inner);
        if gathers(&queue) {
            let batch = mem::take(&mut queue.next);
            queue.busy += 1;
            drop(queue);
            batch.run();
            self.end();
        }
        match outcome.get() {
            Some(Outcome::Synced) => Ok(()),
            Some(Outcome::Failed(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            Some(Outcome::Alone) | None => alone(),
        }
    }

    fn end(&self) {
        self.queue().busy -= 1;
        self.ended.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// How many sync.
    busy: usize,
    /// Those who wait for one of them to end.
    next: Batch,
}

#[derive(Default)]
struct Batch {
    members: usize,
    /// The file that was opened first. The system reports, through a handle, the errors since it was opened; so this one knows
    /// of every error that any member's bytes can have met.
    oldest: Option<(u64, Arc<dyn DiskFile>)>,
    outcome: Arc<OnceLock<Outcome>>,
}

#[derive(Debug)]
enum Outcome {
    Synced,
    Failed(Arc<io::Error>),
    /// Each member has to sync its own.
    Alone,
}

impl Batch {
    fn join(&mut self, age: u64, file: &Arc<dyn DiskFile>) -> Arc<OnceLock<Outcome>> {
        self.members += 1;
        if self.oldest.as_ref().is_none_or(|(oldest, _)| age < *oldest) {
            self.oldest = Some((age, Arc::clone(file)));
        }
        Arc::clone(&self.outcome)
    }

    fn run(self) {
        let outcome = match &self.oldest {
            Some((_, file)) if self.members > 1 => match file.sync_file_system() {
                Ok(()) => Outcome::Synced,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => Outcome::Alone,
                Err(error) => Outcome::Failed(Arc::new(error)),
            },
            _ => Outcome::Alone,
        };
        self.outcome.get_or_init(|| outcome);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("members", &self.members).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc, thread};

    use super::*;
    use crate::{Disk, OpenMode, RealDisk};

    /// Reports how often it was told to sync the file system, and fails as told.
    #[derive(Debug)]
    struct Counted {
        file: Box<dyn DiskFile>,
        syncs: Mutex<u32>,
        fails: Option<io::ErrorKind>,
    }

    #[rustfmt::skip]
    impl DiskFile for Counted {
        fn sync_file_system(&self) -> io::Result<()> {
            *self.syncs.lock().unwrap() += 1;
            self.fails.map_or_else(|| self.file.sync_file_system(), |kind| Err(kind.into()))
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> { self.file.read_at(offset, buffer) }
        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> { self.file.write_at(offset, bytes) }
        fn len(&self) -> io::Result<u64> { self.file.len() }
        fn set_len(&self, len: u64) -> io::Result<()> { self.file.set_len(len) }
        fn sync(&self) -> io::Result<()> { self.file.sync() }
        fn lock(&self) -> io::Result<()> { self.file.lock() }
        fn try_lock(&self) -> io::Result<bool> { self.file.try_lock() }
        fn unlock(&self) -> io::Result<()> { self.file.unlock() }
        fn stat(&self) -> io::Result<crate::Stat> { self.file.stat() }
    }

    /// Lets as many sync as may, `waiting` others gather meanwhile, and returns how those ended, how often the file system was synced
    /// through the first-opened and through the other files, and how many synced alone.
    fn gather(waiting: u32, fails: Option<io::ErrorKind>) -> (Vec<io::Result<()>>, u32, u32, u32) {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: u32| {
            let path = folder.path().join(Path::new(&name.to_string()));
            let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
            Arc::new(Counted { file, syncs: Mutex::new(0), fails })
        };
        let files: Vec<_> = (0..=waiting).map(open).collect();
        let (batches, alone) = (Batches::default(), Mutex::new(0));
        let (start, started) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let ended = Mutex::new(ended);
        let results = thread::scope(|scope| {
            let (batches, ended, alone) = (&batches, &ended, &alone);
            for _ in 0..MOST_ALONE {
                let (file, start): (Arc<dyn DiskFile>, _) = (files[waiting as usize].clone(), start.clone());
                scope.spawn(move || {
                    let alone = || {
                        start.send(()).unwrap();
                        ended.lock().unwrap().recv().map_err(io::Error::other)
                    };
                    batches.sync(u64::from(waiting), &file, alone).unwrap();
                });
            }
            (0..MOST_ALONE).for_each(|_| started.recv().unwrap());
            let others: Vec<_> = (0..waiting)
                .map(|age| {
                    let file: Arc<dyn DiskFile> = files[age as usize].clone();
                    scope.spawn(move || {
                        batches.sync(u64::from(age), &file, || {
                            *alone.lock().unwrap() += 1;
                            Ok(())
                        })
                    })
                })
                .collect();
            while batches.queue().next.members < waiting as usize {
                thread::yield_now();
            }
            (0..MOST_ALONE).for_each(|_| end.send(()).unwrap());
            others.into_iter().map(|other| other.join().unwrap()).collect()
        });
        let syncs = |file: &Arc<Counted>| *file.syncs.lock().unwrap();
        let (of_oldest, of_others) = (syncs(&files[0]), files[1..].iter().map(syncs).sum());
        (results, of_oldest, of_others, alone.into_inner().unwrap())
    }

    #[test]
    fn one_sync_serves_all_who_wait() {
        let (results, of_oldest, of_others, alone) = gather(5, None);
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((of_oldest, of_others, alone), (1, 0, 0), "through the file that was opened first");
    }

    #[test]
    fn one_who_waits_syncs_alone() {
        let (results, of_oldest, of_others, alone) = gather(1, None);
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((of_oldest, of_others, alone), (0, 0, 1));
    }

    #[test]
    fn a_failure_is_everybodys() {
        let (results, of_oldest, of_others, alone) = gather(3, Some(io::ErrorKind::StorageFull));
        assert!(results.iter().all(|result| result.as_ref().unwrap_err().kind() == io::ErrorKind::StorageFull));
        assert_eq!((of_oldest, of_others, alone), (1, 0, 0));
    }

    #[test]
    fn without_such_a_call_each_syncs_its_own() {
        let (results, _, of_others, alone) = gather(3, Some(io::ErrorKind::Unsupported));
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((of_others, alone), (0, 3));
    }
}
