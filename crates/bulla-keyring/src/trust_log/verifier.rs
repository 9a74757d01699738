//! Verification of the trust log: a state machine over stored records, without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bulla_backend::DocumentKey;
use bulla_seal::{ProjectId, VerifyingKey};

use super::data_keys::{DataKeys, EpochKey};
use super::members::{Admission, Grant, Members, Waiting, Wish, leaving};
use super::{Capability, Machine, Membership, Pending, PendingAct, Problem, TrustPin};
use crate::dek::{Candidate, Deks};
use crate::format::{Act, Record, RecordHash, SignedRecord, Unreadable};
use crate::{Fingerprint, Identity, KeyName, KeyringError, MachineName, PublicIdentity, Result};

/// Most records of a trust log.
pub(crate) const MAX_RECORDS: u64 = 1 << 20;
/// How far the number of a restore is above the one before it, at most, so that nobody counts them to their end.
const MAX_RESTORE_STEP: u64 = 1 << 20;

/// Proof that the verified log lets this machine in. Only [`Verifier::snapshot`] makes one.
pub(crate) struct Granted(());

/// What a verified log says.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) pin: TrustPin,
    pub(crate) machines: BTreeMap<Fingerprint, Machine>,
    pub(crate) deks: Deks,
    /// The record of the current epoch.
    pub(crate) epoch_record: RecordHash,
    /// Serial numbers below which descriptions of keys are void.
    pub(crate) floors: BTreeMap<KeyName, u64>,
    /// What waits for a second authoriser.
    pub(crate) pending: Vec<Pending>,
    two_person: bool,
    epoch_owed: bool,
}

impl Trusted {
    /// Says whether a machine lets others in.
    pub(crate) fn may_authorise(&self, machine: Fingerprint) -> bool {
        let found = self.machines.get(&machine).and_then(|machine| machine.capability);
        found.is_some_and(Capability::may_authorise)
    }

    /// Requires that a machine lets others in.
    pub(crate) fn require_authoriser(&self, machine: Fingerprint) -> Result<()> {
        if self.may_authorise(machine) { Ok(()) } else { Err(KeyringError::NotAuthorised(machine)) }
    }

    /// Says whether what this machine grants waits for a second authoriser.
    pub(crate) fn needs_approval(&self, author: Fingerprint) -> bool {
        let recovery = |machine: &Machine| machine.capability == Some(Capability::Recovery);
        self.two_person && !self.machines.get(&author).is_some_and(recovery)
    }

    /// Says whether grants and policies need two authorisers.
    pub(crate) fn two_person(&self) -> bool {
        self.two_person
    }

    /// Says whether a machine was put out with the word that a new epoch follows, and none has.
    pub(crate) fn epoch_owed(&self) -> bool {
        self.epoch_owed
    }

    /// Returns whom a revocation puts out.
    pub(crate) fn leaving(&self, subject: Fingerprint, cascade: bool, author: Fingerprint) -> BTreeSet<Fingerprint> {
        let let_in_by = self.machines.iter().map(|(fingerprint, machine)| (*fingerprint, machine.granted_by));
        leaving(let_in_by, subject, cascade, author)
    }
}

/// Walks a trust log from its root, as far as records are handed to it. What it refuses leaves it as it was.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    /// What the machine knew before the walk.
    pin: TrustPin,
    /// Whether an authoriser of the pin has accepted a restore that voids it.
    pin_is_void: bool,
    length: u64,
    head: RecordHash,
    root: Option<(Fingerprint, VerifyingKey)>,
    keys: DataKeys,
    members: Members,
    floors: BTreeMap<KeyName, u64>,
    restores: u64,
    two_person: bool,
    epoch_owed: bool,
}

impl Verifier {
    /// Starts at the root.
    pub(crate) fn new(pin: TrustPin) -> Self {
        Self {
            pin,
            pin_is_void: false,
            length: 0,
            head: RecordHash::NONE,
            root: None,
            keys: DataKeys::default(),
            members: Members::default(),
            floors: BTreeMap::new(),
            restores: 0,
            two_person: false,
            epoch_owed: false,
        }
    }

    /// Returns the position of the record that comes next.
    pub(crate) fn position(&self) -> u64 {
        self.length
    }

    /// Returns the hash of the last record.
    pub(crate) fn head(&self) -> RecordHash {
        self.head
    }

    /// Returns the data keys that are not held: those of the log, and those that these stored records would begin epochs with.
    pub(crate) fn wanted<'a>(&self, behind: impl Iterator<Item = &'a [u8]>) -> BTreeSet<EpochKey> {
        let announced = behind.filter_map(SignedRecord::decode).filter_map(|signed| match signed.record().act {
            Act::Epoch { epoch, commitment, .. } => Some((epoch, commitment)),
            _ => None,
        });
        self.keys.missing().chain(announced.filter(|key| !self.keys.holds(key))).collect()
    }

    /// Takes what this machine's copy of a data key held, or why there is nothing.
    pub(crate) fn offer(&mut self, key: EpochKey, found: std::result::Result<Candidate, &'static str>) -> Result<()> {
        self.keys.offer(&self.pin.project(), key, found)
    }

    /// Forgets the data keys that were offered and that no record of the log commits to.
    pub(crate) fn forget_strays(&mut self) {
        self.keys.forget_strays();
    }

    /// Says whether it holds no data key of the log.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.keys.committed().next().is_none()
    }

    /// Says whether a machine was let in once and is no more.
    pub(crate) fn was_put_out(&self, machine: Fingerprint) -> bool {
        self.members.was_put_out(machine)
    }

    /// Says whether a machine was put out at some time, be it in again or not.
    pub(crate) fn was_in_before(&self, machine: Fingerprint) -> bool {
        self.members.past().iter().any(|(admission, _)| admission.grant.subject == machine)
    }

    /// Takes a document of the log: the next record, or one that was taken before.
    pub(crate) fn document(&mut self, key: &DocumentKey, stored: &[u8]) -> Result<()> {
        let position = key.as_bytes().try_into().map(u64::from_be_bytes);
        match position.map_err(|_| Problem::Foreign.at(self.length))? {
            position if position < self.length => Ok(()),
            position if position == self.length => self.record(stored),
            _ => Err(Problem::Missing.at(self.length).into()),
        }
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

    /// Signs the record that comes next, if it is one that this log takes.
    pub(crate) fn next(&self, act: Act, author: &Identity, time: bulla_backend::Timestamp) -> Result<SignedRecord> {
        let (position, previous, project) = (self.length, self.head, self.pin.project());
        let record = Record { position, previous, project, author: author.fingerprint(), time, act };
        let signed = record.sign(author.signing())?;
        // Nobody could read a log any more that has one record that it does not take.
        self.clone().record(&signed.encode())?;
        Ok(signed)
    }

    /// Returns what the log says so far to a machine that it lets in. The log must be as long as what was pinned, and have begun an
    /// epoch.
    pub(crate) fn snapshot(&self, machine: Fingerprint) -> Result<Trusted> {
        self.check_pin()?;
        if self.keys.current() == 0 {
            return Err(Problem::Unfinished.at(self.length).into());
        }
        let Some(own) = self.members.standing().get(&machine) else {
            let refusal = if self.was_put_out(machine) { KeyringError::Revoked } else { KeyringError::NoGrant };
            return Err(refusal(machine));
        };
        self.capability(&own.grant)?;
        let granted = Granted(());
        let current = self.keys.current();
        let deks = Deks::release(self.keys.committed(), current, &granted);
        let machines = self.members.standing().iter().map(|(fingerprint, found)| (*fingerprint, self.describe(found)));
        Ok(Trusted {
            pin: self.pinned(),
            machines: machines.collect(),
            deks: deks.ok_or_else(|| self.keys.not_held(current))?,
            epoch_record: self.keys.newest_record(),
            floors: self.floors.clone(),
            pending: self
                .members
                .waiting()
                .iter()
                .map(|(position, found)| self.describe_waiting(*position, found))
                .collect(),
            two_person: self.two_person,
            epoch_owed: self.epoch_owed,
        })
    }

    /// Says whether a snapshot would say the same as this one.
    pub(crate) fn agrees(&self, trusted: &Trusted) -> bool {
        let held = self.keys.committed().count();
        (self.length, self.head) == (trusted.pin.length(), trusted.pin.head()) && held == trusted.deks.all().len()
    }

    /// Returns every time that a machine was let in, in the order of the log.
    pub(crate) fn history(&self) -> Vec<Membership> {
        let gone = self.members.past().iter().map(|(admission, put_out)| (admission, Some(*put_out)));
        let standing = self.members.standing().values().map(|admission| (admission, None));
        let membership = |(admission, put_out): (&Admission, _)| Membership {
            fingerprint: admission.grant.subject,
            machine: self.describe(admission),
            put_out,
        };
        let mut history: Vec<_> = gone.chain(standing).map(membership).collect();
        history.sort_by_key(|membership| membership.machine.position);
        history
    }

    /// Requires that the log is what the machine knew before, and perhaps more, or that the pin is void.
    pub(crate) fn check_pin(&self) -> Result<()> {
        if self.length < self.pin.length() && !self.pin_is_void {
            return Err(KeyringError::Rollback { pinned: self.pin.length(), found: self.length });
        }
        Ok(())
    }

    /// Returns the pin of the log as it is.
    pub(crate) fn pinned(&self) -> TrustPin {
        // Where two have to agree, one authoriser who accepts an older copy would undo what two agreed on.
        let may_accept = |capability: Capability| match self.two_person {
            true => capability == Capability::Recovery,
            false => capability.may_authorise(),
        };
        let standing = self.members.standing().iter();
        let authorisers = standing.filter(|(_, found)| self.capability(&found.grant).is_ok_and(may_accept));
        let authorisers = authorisers.map(|(fingerprint, _)| *fingerprint).collect();
        TrustPin::new(self.pin.project(), self.length, self.head, self.restores, self.two_person, authorisers)
    }

    fn describe(&self, admission: &Admission) -> Machine {
        let grant = &admission.grant;
        Machine {
            name: grant.name.clone(),
            public: grant.public.clone(),
            capability: self.capability(grant).ok(),
            granted: grant.time,
            granted_by: grant.author,
            approved_by: admission.approved_by,
            position: grant.position,
        }
    }

    fn describe_waiting(&self, position: u64, waiting: &Waiting) -> Pending {
        let act = match &waiting.wish {
            Wish::Grant(grant) => PendingAct::Grant {
                name: grant.name.clone(),
                public: grant.public.clone(),
                capability: self.capability(grant).ok(),
            },
            Wish::Policy(two_person) => PendingAct::Policy { two_person: *two_person },
        };
        Pending { position, time: waiting.time, by: waiting.author, act }
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
        let at_pin = position + 1 == self.pin.length() && hash != self.pin.head();
        if at_pin && !self.pin_is_void && !self.voids_pin(record) {
            return Err(KeyringError::Rollback { pinned: self.pin.length(), found: position });
        }
        Ok(())
    }

    /// Says whether a record, if its author has authority, accepts a restore that this machine has not seen, on the word of somebody whom
    /// it trusted. Without the former, an older acceptance could be played back; without the latter, one who was put out could undo that.
    fn voids_pin(&self, record: &Record) -> bool {
        matches!(record.act, Act::Restore { number } if number > self.pin.restores())
            && record.position < self.pin.length()
            && self.pin.authorisers().contains(&record.author)
    }

    fn author_key(&self, record: &Record) -> Option<VerifyingKey> {
        match (&record.act, self.root) {
            (Act::Root { author, .. }, None) => (author.fingerprint() == record.author).then(|| author.signing()),
            (_, Some((root, key))) if record.author == root => Some(key),
            _ => self.members.signer(record.author),
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
                let grant = grant(record, machine, subject, 1, capability);
                self.members
                    .enter(Admission { grant, approved_by: None })
                    .map_err(|problem| problem.at(position).into())
            }
            (2, Act::Epoch { epoch: 1, commitment, previous: RecordHash::NONE }) if self.is_root(record.author) => {
                self.keys.begin(1, *commitment, RecordHash::NONE, hash).map_err(|problem| problem.at(position))?;
                let authority = self.authority(record.author);
                if authority.is_err() {
                    self.keys.take_back();
                }
                authority.map(drop)
            }
            (3.., Act::Root { .. }) | (..3, _) => Err(Problem::Beginning.at(position).into()),
            (3.., act) => {
                let capability = self.authority(record.author)?;
                self.act(record, act, hash, capability)
            }
        }
    }

    /// Applies a record whose author has authority.
    fn act(&mut self, record: &Record, act: &Act, hash: RecordHash, capability: Capability) -> Result<()> {
        let position = self.length;
        let waits = self.two_person && capability != Capability::Recovery;
        let (author, time) = (record.author, record.time);
        let done = match act {
            Act::Root { .. } => Err(Problem::Beginning),
            Act::Grant { epoch, .. } if *epoch == 0 || *epoch > self.keys.current() => Err(Problem::Epoch),
            Act::Grant { machine, subject, epoch, capability } => {
                let grant = grant(record, machine, subject, *epoch, capability);
                if waits {
                    self.members.wait(position, Waiting { author, time, wish: Wish::Grant(grant) })
                } else {
                    self.members.enter(Admission { grant, approved_by: None })
                }
            }
            Act::Epoch { epoch, commitment, previous } => {
                let begun = self.keys.begin(*epoch, *commitment, *previous, hash);
                self.epoch_owed &= begun.is_err();
                begun
            }
            Act::Revocation { machine, cascade, rotate } => return self.revoke(record, *machine, *cascade, *rotate),
            Act::Restore { number } if !(1..=MAX_RESTORE_STEP).contains(&number.saturating_sub(self.restores)) => {
                Err(Problem::Restore)
            }
            Act::Restore { number } => {
                self.pin_is_void |= self.voids_pin(record);
                self.restores = *number;
                Ok(())
            }
            Act::Approval { position } => self.members.approve(*position, author).map(|policy| {
                self.two_person = policy.unwrap_or(self.two_person);
            }),
            Act::Policy { two_person } if waits => {
                self.members.wait(position, Waiting { author, time, wish: Wish::Policy(*two_person) })
            }
            Act::Policy { two_person } => {
                self.two_person = *two_person;
                Ok(())
            }
            Act::Floor { key, serial } if self.floors.get(key).is_some_and(|floor| floor >= serial) => {
                Err(Problem::Floor)
            }
            Act::Floor { key, serial } => {
                self.floors.insert(key.clone(), *serial);
                Ok(())
            }
        };
        done.map_err(|problem| problem.at(position).into())
    }

    fn revoke(&mut self, record: &Record, subject: Fingerprint, cascade: bool, rotate: bool) -> Result<()> {
        let leaving = self.members.leaving(subject, cascade, record.author);
        if leaving.is_empty() && !self.members.waits(subject) {
            return Err(Problem::NotIn.at(self.length).into());
        }
        self.check_somebody_stays(&leaving)?;
        self.members.leave(subject, &leaving, record);
        self.epoch_owed |= rotate;
        Ok(())
    }

    /// Requires that a machine stays that may authorise; one for recovery, which lies in a drawer, does not count.
    fn check_somebody_stays(&self, leaving: &BTreeSet<Fingerprint>) -> Result<()> {
        let mut unknown = None;
        for (fingerprint, found) in self.members.standing() {
            if leaving.contains(fingerprint) {
                continue;
            }
            match self.capability(&found.grant) {
                Ok(Capability::Authorise) => return Ok(()),
                Err(error @ KeyringError::NoDataKey { .. }) => unknown = Some(error),
                _ => {}
            }
        }
        // What is not known now may be an authoriser; the log is not refused for it.
        Err(unknown.unwrap_or_else(|| Problem::LastAuthoriser.at(self.length).into()))
    }

    fn is_root(&self, author: Fingerprint) -> bool {
        self.root.is_some_and(|(root, _)| root == author)
    }

    /// Returns by what capability the author of the record at hand is an authoriser at this position.
    fn authority(&self, author: Fingerprint) -> Result<Capability> {
        let standing = self.members.standing().get(&author);
        let admission = standing.ok_or_else(|| Problem::Authority.at(self.length))?;
        let capability = self.capability(&admission.grant)?;
        if capability.may_authorise() { Ok(capability) } else { Err(Problem::Authority.at(self.length).into()) }
    }

    fn capability(&self, grant: &Grant) -> Result<Capability> {
        self.keys.capability(&self.pin.project(), grant)
    }
}

fn grant(record: &Record, name: &MachineName, public: &PublicIdentity, epoch: u64, sealed: &[u8]) -> Arc<Grant> {
    Arc::new(Grant {
        position: record.position,
        author: record.author,
        time: record.time,
        name: name.clone(),
        subject: public.fingerprint(),
        public: public.clone(),
        epoch,
        sealed: sealed.to_vec(),
        opened: std::sync::OnceLock::new(),
    })
}
