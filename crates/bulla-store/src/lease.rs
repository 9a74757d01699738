//! Leases: which process computes a value just now (spec, "Computing").
//!
//! A lease is a document that is changed by compare-and-swap only, on every backend the same. It makes one computation at a time likely, and
//! is relied on for no more than that: what is computed twice is put once, by whom the entry's version says was first.

use std::fmt;
use std::time::Duration;

use bulla_backend::{Collection, DocumentKey, Durability, ErrorKind, Expected, Revision, Timestamp};
use bulla_seal::fill_random;
use minicbor::{Decoder, Encoder};

use crate::{Store, StoreError};

/// Who computes what just now; the key is that of the entry's document.
pub(crate) const LEASES: Collection = Collection::new("leases", Durability::Cache);

/// The shortest lease: who holds it says every third of it that he goes on.
const MIN_LEASE: Duration = Duration::from_secs(1);
/// The longest lease.
pub(crate) const MAX_LEASE: Duration = Duration::from_hours(1);

const FORMAT: u64 = 1;
const MAX_LEN: usize = 64;

/// A lease as the process remembers that took it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    /// Which write of the lease it is.
    pub(crate) revision: Revision,
    /// When it was written.
    pub(crate) since: Timestamp,
    /// When it ends.
    pub(crate) expires: Timestamp,
}

/// The right to compute one value, until it ends.
pub(crate) struct Lease<'a> {
    store: &'a Store,
    key: DocumentKey,
    row: LeaseRow,
    duration: Duration,
    revision: Revision,
}

impl<'a> Lease<'a> {
    /// Takes the lease of that key, if nobody holds it or its holder's time is over; `own` is one that this process took and did not give
    /// back.
    pub(crate) async fn claim(
        store: &'a Store,
        key: &DocumentKey,
        duration: Duration,
        own: Option<Revision>,
    ) -> Result<Option<Self>, StoreError> {
        let duration = duration.clamp(MIN_LEASE, MAX_LEASE);
        let found = store.entries.get(LEASES, key).await?;
        let now = store.clock.now();
        let expected = match &found {
            None => Expected::Absent,
            Some(document) => {
                // What is not well-formed was written by no holder, and keeps nobody out.
                let stands = LeaseRow::parse(&document.value).is_some_and(|row| row.stands(now));
                if stands && own != Some(document.revision) {
                    return Ok(None);
                }
                Expected::Revision(document.revision)
            }
        };
        let mut row = LeaseRow { holder: [0; 16], expires: now.saturating_add(duration) };
        fill_random(&mut row.holder)?;
        match store.entries.put(LEASES, key, &row.encode(), expected).await {
            Ok(revision) => Ok(Some(Self { store, key: key.clone(), row, duration, revision })),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what to remember of the lease.
    pub(crate) fn hold(&self) -> Hold {
        let expires = self.row.expires;
        let since = Timestamp(expires.0.saturating_sub(u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)));
        Hold { revision: self.revision, since, expires }
    }

    /// Returns how long the holder may give no sign of life.
    pub(crate) const fn duration(&self) -> Duration {
        self.duration
    }

    /// Says that the holder goes on; says whether the lease is still its own.
    pub(crate) async fn renew(&mut self) -> Result<bool, StoreError> {
        let row = LeaseRow { expires: self.store.clock.now().saturating_add(self.duration), ..self.row };
        match self.store.entries.put(LEASES, &self.key, &row.encode(), Expected::Revision(self.revision)).await {
            Ok(revision) => {
                (self.row, self.revision) = (row, revision);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lease back, so that the next one need not wait. Where that fails, they wait.
    pub(crate) async fn give_back(self) {
        let _ = self.store.entries.delete(LEASES, &self.key, Expected::Revision(self.revision)).await;
    }
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.key)
    }
}

/// A lease as it is stored.
///
/// # Security
/// It is not authentic: whoever writes to the storage can keep others from computing for as long as they wait, and can as well take the
/// entries away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    /// Random, so that no two holders write the same.
    holder: [u8; 16],
    expires: Timestamp,
}

impl LeaseRow {
    /// Says whether the lease keeps others out. One that ends later than any lease that begins now is no lease.
    pub(crate) fn stands(&self, now: Timestamp) -> bool {
        now < self.expires && self.expires <= now.saturating_add(MAX_LEASE)
    }

    /// Reads a lease; `None` for what is none.
    pub(crate) fn parse(stored: &[u8]) -> Option<Self> {
        let row = (stored.len() <= MAX_LEN).then(|| Self::decode(stored).ok().flatten()).flatten()?;
        (row.encode() == stored).then_some(row)
    }

    fn decode(stored: &[u8]) -> Result<Option<Self>, minicbor::decode::Error> {
        let mut decoder = Decoder::new(stored);
        if decoder.array()? != Some(3) || decoder.u64()? != FORMAT {
            return Ok(None);
        }
        let Ok(holder) = decoder.bytes()?.try_into() else { return Ok(None) };
        Ok(Some(Self { holder, expires: Timestamp(decoder.u64()?) }))
    }

    fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(MAX_LEN);
        let written = Encoder::new(&mut encoded)
            .array(3)
            .and_then(|e| e.u64(FORMAT)?.bytes(&self.holder)?.u64(self.expires.0).map(drop));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_come_back_as_they_were_and_nothing_else_does() {
        let row = LeaseRow { holder: [9; 16], expires: Timestamp(1 << 40) };
        let whole = row.encode();
        assert_eq!(LeaseRow::parse(&whole), Some(row));
        for end in 0..whole.len() {
            assert_eq!(LeaseRow::parse(&whole[..end]), None);
        }
        let newer = [&[0x83, 2], &whole[2..]].concat();
        for bytes in [&[&whole[..], b"\0"].concat(), &newer, &vec![0; 4_096], &b"\x83\x01\x41\x00\x01".to_vec()] {
            assert_eq!(LeaseRow::parse(bytes), None);
        }
    }

    #[test]
    fn a_lease_keeps_others_out_until_it_ends_and_no_longer_than_any_lease() {
        let row = |expires| LeaseRow { holder: [0; 16], expires };
        let now = Timestamp(5_000);
        assert!(row(Timestamp(5_001)).stands(now) && row(now.saturating_add(MAX_LEASE)).stands(now));
        assert!(!row(now).stands(now) && !row(Timestamp(u64::MAX)).stands(now));
    }
}
