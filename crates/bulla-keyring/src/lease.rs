//! Leases: which process does a long piece of work just now.
//!
//! A lease is a document that is changed by compare-and-swap only, on every backend the same. It makes one runner at a time likely, and is
//! relied on for no more than that: each step of the work has to be safe beside another runner, for a holder that was stopped may wake up
//! behind the end of its lease. What it writes then, it is told by [`Lease::renew`], which it calls before each step.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Clock, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, Revision, Timestamp};
use bulla_seal::fill_random;

use crate::cbor::{self, Malformed, Reader};
use crate::{Fingerprint, KeyringError, Result};

/// Who does what just now; key: the name of the work.
pub(crate) const LEASES: Collection = Collection::new("leases", Durability::Durable);

/// How long a lease lasts that is not renewed: how long others wait for a holder that died.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);

const VERSION: u64 = 1;
const MAX_LEN: usize = 256;

/// A piece of work that this process may do, until the lease ends.
pub(crate) struct Lease {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    key: DocumentKey,
    row: LeaseRow,
    revision: Revision,
}

impl Lease {
    /// Takes the lease on a piece of work, if nobody holds it or its holder's time is over.
    ///
    /// # Errors
    /// [`KeyringError::Busy`] if another holds it; [`KeyringError::Backend`].
    pub(crate) async fn take(
        documents: Arc<dyn Documents>,
        clock: Arc<dyn Clock>,
        work: &'static str,
        machine: Fingerprint,
    ) -> Result<Self> {
        let taken = Self::claim(documents, clock, DocumentKey::new(work.as_bytes())?, machine).await?;
        taken.map_err(|holder| KeyringError::Busy { work, machine: holder.machine, until: holder.until })
    }

    /// Takes the lease of that key, or says who holds it.
    pub(crate) async fn claim(
        documents: Arc<dyn Documents>,
        clock: Arc<dyn Clock>,
        key: DocumentKey,
        machine: Fingerprint,
    ) -> Result<std::result::Result<Self, Holder>> {
        let found = documents.get(LEASES, &key).await?;
        let now = clock.now();
        let (token, expected) = match &found {
            None => (0, Expected::Absent),
            // What is not well-formed was written by no holder, and keeps nobody out.
            Some(document) => {
                let row = LeaseRow::decode(&document.value);
                if let Some(row) = row.as_ref().filter(|row| row.stands(now)) {
                    return Ok(Err(Holder { machine: row.machine, until: row.expires }));
                }
                (row.map_or(0, |row| row.token), Expected::Revision(document.revision))
            }
        };
        let mut holder = [0; 16];
        fill_random(&mut holder)?;
        let expires = now.saturating_add(LEASE_DURATION);
        let row = LeaseRow { token: token.wrapping_add(1), holder, machine, expires };
        match documents.put(LEASES, &key, &row.encode(), expected).await {
            Ok(revision) => Ok(Ok(Self { documents, clock, key, row, revision })),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Err(Holder { machine, until: expires })),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that the holder goes on; to be called before each step. Writes once a third of the time has passed.
    ///
    /// # Errors
    /// [`KeyringError::LeaseLost`] if another has taken the work over: stop.
    pub(crate) async fn renew(&mut self) -> Result<()> {
        let now = self.clock.now();
        let row = LeaseRow { expires: now.saturating_add(LEASE_DURATION), ..self.row.clone() };
        let gained = row.expires.0.saturating_sub(self.row.expires.0);
        if self.row.stands(now) && u128::from(gained) * 3 < LEASE_DURATION.as_millis() {
            return Ok(());
        }
        match self.documents.put(LEASES, &self.key, &row.encode(), Expected::Revision(self.revision)).await {
            Ok(revision) => {
                self.row = row;
                self.revision = revision;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Err(KeyringError::LeaseLost),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the work back, so that the next one need not wait. Where that fails, they wait.
    pub(crate) async fn give_back(self) {
        let freed = LeaseRow { expires: Timestamp(0), ..self.row };
        // The work is done, and whoever takes it next finds out at the latest when the lease ends.
        let _ = self.documents.put(LEASES, &self.key, &freed.encode(), Expected::Revision(self.revision)).await;
    }
}

/// Who holds a lease, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) machine: Fingerprint,
    pub(crate) until: Timestamp,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} {})", self.key, self.row.token)
    }
}

/// A lease as it is stored. It is not authentic: who writes the database can keep everybody from working, as they can without it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeaseRow {
    /// One more for each holder.
    token: u64,
    /// Random, so that no two holders write the same.
    holder: [u8; 16],
    /// The machine that the holder runs on.
    machine: Fingerprint,
    expires: Timestamp,
}

impl LeaseRow {
    /// Says whether the lease keeps others out. One that ends later than any lease that begins now is no lease.
    fn stands(&self, now: Timestamp) -> bool {
        now < self.expires && self.expires <= now.saturating_add(LEASE_DURATION * 4)
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        if stored.len() > MAX_LEN {
            return None;
        }
        Self::read(stored).ok().filter(|row| row.encode() == stored)
    }

    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?.u64(VERSION)?.u64(self.token)?.bytes(&self.holder)?;
            e.bytes(&self.machine.0)?.u64(self.expires.0).map(drop)
        })
    }

    fn read(stored: &[u8]) -> std::result::Result<Self, Malformed> {
        let mut r = Reader::new(stored);
        r.array(5)?;
        if r.uint()? != VERSION {
            return Err(Malformed);
        }
        let (token, holder) = (r.uint()?, r.fixed()?);
        Ok(Self { token, holder, machine: Fingerprint(r.fixed()?), expires: Timestamp(r.uint()?) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use bulla_backend::MemoryDocuments;

    use super::*;

    const ME: Fingerprint = Fingerprint([1; 32]);

    #[derive(Debug, Default)]
    struct Hands(AtomicU64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    struct Scene {
        documents: Arc<MemoryDocuments>,
        clock: Arc<Hands>,
    }

    impl Scene {
        fn new() -> Self {
            Self { documents: Arc::new(MemoryDocuments::new()), clock: Arc::new(Hands(AtomicU64::new(1_000))) }
        }

        fn take(&self) -> Result<Lease> {
            let (documents, clock) = (Arc::clone(&self.documents), Arc::clone(&self.clock));
            pollster::block_on(Lease::take(documents, clock, "work", ME))
        }

        fn wait(&self, time: Duration) {
            self.clock.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
        }

        fn write(&self, value: &[u8]) {
            let key = DocumentKey::new(*b"work").unwrap();
            pollster::block_on(self.documents.put(LEASES, &key, value, Expected::Any)).unwrap();
        }
    }

    #[test]
    fn one_holder_at_a_time() {
        let scene = Scene::new();
        let first = scene.take().unwrap();
        assert_eq!(scene.take().unwrap_err().code(), "busy");
        pollster::block_on(first.give_back());
        scene.take().unwrap();
    }

    #[test]
    fn a_holder_that_died_is_followed_and_told() {
        let scene = Scene::new();
        let mut first = scene.take().unwrap();
        for _ in 0..10 {
            scene.wait(LEASE_DURATION / 2);
            pollster::block_on(first.renew()).unwrap();
        }
        assert_eq!(scene.take().unwrap_err().code(), "busy");
        scene.wait(LEASE_DURATION);
        let mut second = scene.take().unwrap();
        assert_eq!(second.row.token, first.row.token + 1);
        assert_eq!(pollster::block_on(first.renew()).unwrap_err().code(), "lease_lost");
        pollster::block_on(second.renew()).unwrap();
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let scene = Scene::new();
        let won = std::thread::scope(|scope| {
            let racers = [(); 8].map(|()| scope.spawn(|| scene.take().is_ok()));
            racers.into_iter().map(|racer| racer.join().unwrap()).filter(|&won| won).count()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn rows_that_no_holder_wrote_keep_nobody_out() {
        let scene = Scene::new();
        let row = LeaseRow { token: 7, holder: [2; 16], machine: ME, expires: Timestamp(5_000) };
        assert_eq!(LeaseRow::decode(&row.encode()).as_ref(), Some(&row));
        scene.write(&row.encode());
        assert_eq!(scene.take().unwrap_err().code(), "busy");
        for hostile in [b"garbage".to_vec(), LeaseRow { expires: Timestamp(u64::MAX), ..row }.encode(), vec![0; 4_096]]
        {
            scene.write(&hostile);
            scene.take().unwrap();
        }
    }
}
