//! Verification of the trust log: a state machine over stored records, without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bulla_backend::Timestamp;
use bulla_seal::{ProjectId, VerifyingKey};

use super::{Problem, TrustPin};
use crate::dek::{Candidate, Committed, Deks};
use crate::format::{Act, Record, RecordHash, SignedRecord, Unreadable};
use crate::{Fingerprint, KeyringError, MachineName, PublicIdentity, Result};

/// Most records of a trust log.
pub(crate) const MAX_RECORDS: u64 = 1 << 20;
/// Most machines of a project.
const MAX_MACHINES: usize = 10_000;

/// What a machine may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Use the project.
    Use,
    /// Use the project and let others in.
    Authorise,
    /// As [`Capability::Authorise`], kept for the day when no machine is left.
    Recovery,
}

impl Capability {
    /// Says whether it lets others in.
    #[must_use]
    pub const fn may_authorise(self) -> bool {
        matches!(self, Self::Authorise | Self::Recovery)
    }

    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Use => 1,
            Self::Authorise => 2,
            Self::Recovery => 3,
        }
    }

    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Use),
            2 => Some(Self::Authorise),
            3 => Some(Self::Recovery),
            _ => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Use => "use",
            Self::Authorise => "authorise",
            Self::Recovery => "recovery",
        })
    }
}

/// A machine that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// Its friendly name.
    pub name: MachineName,
    /// Its public keys.
    pub public: PublicIdentity,
    /// What it may do; `None` if that cannot be read.
    pub capability: Option<Capability>,
    /// When it was let in, as its authoriser says.
    pub granted: Timestamp,
    /// The authoriser.
    pub granted_by: Fingerprint,
}

/// Proof that the verified log lets this machine in. Only [`Verifier::finish`] makes one.
pub(crate) struct Granted(());

/// What a verified log says.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) pin: TrustPin,
    pub(crate) machines: BTreeMap<Fingerprint, Machine>,
    pub(crate) deks: Deks,
}

/// Walks a trust log from its root. Hand it every record in order, then [`Verifier::finish`].
#[derive(Debug)]
pub(crate) struct Verifier {
    pin: TrustPin,
    /// What this machine's wraps held, by epoch, or why one could not be used.
    candidates: BTreeMap<u64, std::result::Result<Candidate, &'static str>>,
    committed: BTreeMap<u64, Committed>,
    length: u64,
    head: RecordHash,
    root: Option<(Fingerprint, VerifyingKey)>,
    /// The record of each epoch; epoch 1 comes first.
    epochs: Vec<RecordHash>,
    grants: BTreeMap<Fingerprint, Grant>,
    names: BTreeSet<MachineName>,
}

#[derive(Debug)]
struct Grant {
    position: u64,
    author: Fingerprint,
    time: Timestamp,
    name: MachineName,
    public: PublicIdentity,
    epoch: u64,
    sealed: Vec<u8>,
}

impl Verifier {
    /// Starts at the root.
    pub(crate) fn new(pin: TrustPin, candidates: BTreeMap<u64, std::result::Result<Candidate, &'static str>>) -> Self {
        Self {
            pin,
            candidates,
            committed: BTreeMap::new(),
            length: 0,
            head: RecordHash::NONE,
            root: None,
            epochs: Vec::new(),
            grants: BTreeMap::new(),
            names: BTreeSet::new(),
        }
    }

    /// Returns the position of the record that comes next.
    pub(crate) fn position(&self) -> u64 {
        self.length
    }

    /// Verifies the next record.
    pub(crate) fn record(&mut self, stored: &[u8]) -> Result<()> {
        let position = self.length;
        if position >= MAX_RECORDS {
            return Err(Problem::TooMany.at(position).into());
        }
        let signed = SignedRecord::read(stored).map_err(|unreadable| match unreadable {
            Unreadable::Malformed => Problem::Malformed.at(position),
            Unreadable::Newer => Problem::Newer.at(position),
        })?;
        let hash = signed.hash();
        let record = signed.record();
        self.check_place(record, hash)?;
        let key = self.author_key(record).ok_or_else(|| Problem::Author.at(position))?;
        if !signed.verifies(&key) {
            return Err(Problem::Signature.at(position).into());
        }
        self.apply(record, hash)?;
        self.length = position + 1;
        self.head = hash;
        Ok(())
    }

    /// Ends the walk: the log must be as long as what was pinned, have begun an epoch, and let this machine in.
    pub(crate) fn finish(self, machine: Fingerprint) -> Result<Trusted> {
        if self.length < self.pin.length() {
            return Err(KeyringError::Rollback { pinned: self.pin.length(), found: self.length });
        }
        if self.epochs.is_empty() {
            return Err(Problem::Unfinished.at(self.length).into());
        }
        let grant = self.grants.get(&machine).ok_or(KeyringError::NoGrant(machine))?;
        self.capability(machine, grant)?;
        let granted = Granted(());
        let current = self.epochs.len() as u64;
        let machines = self.grants.iter().map(|(fingerprint, grant)| {
            let machine = Machine {
                name: grant.name.clone(),
                public: grant.public.clone(),
                capability: self.capability(*fingerprint, grant).ok(),
                granted: grant.time,
                granted_by: grant.author,
            };
            (*fingerprint, machine)
        });
        let machines = machines.collect();
        let missing = self.missing(current);
        let deks = Deks::release(self.committed, current, &granted).ok_or(missing)?;
        Ok(Trusted { pin: TrustPin::new(self.pin.project(), self.length, self.head), machines, deks })
    }

    fn check_place(&self, record: &Record, hash: RecordHash) -> Result<()> {
        let position = self.length;
        let pinned = self.pin.project();
        if record.position != position {
            return Err(Problem::Position.at(position).into());
        }
        if record.previous != self.head {
            return Err(Problem::Previous.at(position).into());
        }
        if position == 0 {
            if hash.0 != pinned.0 {
                return Err(KeyringError::OtherProject { pinned, found: ProjectId(hash.0) });
            }
            if record.project.0 != RecordHash::NONE.0 {
                return Err(Problem::Project.at(position).into());
            }
        } else if record.project != pinned {
            return Err(Problem::Project.at(position).into());
        }
        if position + 1 == self.pin.length() && hash != self.pin.head() {
            return Err(KeyringError::Rollback { pinned: self.pin.length(), found: position });
        }
        Ok(())
    }

    fn author_key(&self, record: &Record) -> Option<VerifyingKey> {
        match (&record.act, self.root) {
            (Act::Root { author, .. }, None) => (author.fingerprint() == record.author).then(|| author.signing()),
            (_, Some((root, key))) if record.author == root => Some(key),
            _ => self.grants.get(&record.author).map(|grant| grant.public.signing()),
        }
    }

    fn apply(&mut self, record: &Record, hash: RecordHash) -> Result<()> {
        let position = self.length;
        match (position, &record.act) {
            (0, Act::Root { author, .. }) => {
                self.root = Some((record.author, author.signing()));
                Ok(())
            }
            // The first grant and the first epoch rest on the root, whose hash the machine has pinned.
            (1, Act::Grant { machine, subject, epoch: 1, capability })
                if subject.fingerprint() == record.author && self.is_root(record.author) =>
            {
                self.grant(record, machine, subject, 1, capability)
            }
            (2, Act::Epoch { epoch: 1, commitment, previous: RecordHash::NONE }) if self.is_root(record.author) => {
                self.epoch(1, commitment, hash)?;
                self.check_authority(record.author)
            }
            (3.., Act::Grant { machine, subject, epoch, capability }) => {
                self.check_authority(record.author)?;
                if *epoch == 0 || *epoch > self.epochs.len() as u64 {
                    return Err(Problem::Epoch.at(position).into());
                }
                self.grant(record, machine, subject, *epoch, capability)
            }
            (3.., Act::Epoch { epoch, commitment, previous }) => {
                self.check_authority(record.author)?;
                if *epoch != self.epochs.len() as u64 + 1 || self.epochs.last() != Some(previous) {
                    return Err(Problem::Epoch.at(position).into());
                }
                self.epoch(*epoch, commitment, hash)
            }
            _ => Err(Problem::Beginning.at(position).into()),
        }
    }

    fn is_root(&self, author: Fingerprint) -> bool {
        self.root.is_some_and(|(root, _)| root == author)
    }

    fn grant(
        &mut self,
        record: &Record,
        name: &MachineName,
        public: &PublicIdentity,
        epoch: u64,
        sealed: &[u8],
    ) -> Result<()> {
        let position = self.length;
        let subject = public.fingerprint();
        if self.grants.contains_key(&subject) || !self.names.insert(name.clone()) {
            return Err(Problem::Duplicate.at(position).into());
        }
        if self.grants.len() >= MAX_MACHINES {
            return Err(Problem::TooMany.at(position).into());
        }
        let grant = Grant {
            position,
            author: record.author,
            time: record.time,
            name: name.clone(),
            public: public.clone(),
            epoch,
            sealed: sealed.to_vec(),
        };
        self.grants.insert(subject, grant);
        Ok(())
    }

    fn epoch(&mut self, epoch: u64, commitment: &[u8; 32], hash: RecordHash) -> Result<()> {
        if let Some(Ok(candidate)) = self.candidates.remove(&epoch) {
            let committed = candidate.check(&self.pin.project(), commitment)?;
            let committed = committed.ok_or_else(|| Problem::Commitment.at(self.length))?;
            self.committed.insert(epoch, committed);
        }
        self.epochs.push(hash);
        Ok(())
    }

    /// Requires that the author of the record at hand is an authoriser at this position.
    fn check_authority(&self, author: Fingerprint) -> Result<()> {
        let grant = self.grants.get(&author).ok_or_else(|| Problem::Authority.at(self.length))?;
        if self.capability(author, grant)?.may_authorise() {
            Ok(())
        } else {
            Err(Problem::Authority.at(self.length).into())
        }
    }

    fn capability(&self, subject: Fingerprint, grant: &Grant) -> Result<Capability> {
        let committed = self.committed.get(&grant.epoch).ok_or_else(|| self.missing(grant.epoch))?;
        let capability = committed.open_capability(&self.pin.project(), subject, &grant.sealed);
        capability.ok_or_else(|| Problem::Capability.at(grant.position).into())
    }

    fn missing(&self, epoch: u64) -> KeyringError {
        let reason = match self.candidates.get(&epoch) {
            Some(Err(reason)) => reason,
            _ => "no copy is wrapped to it",
        };
        KeyringError::NoDataKey { epoch, reason }
    }
}
