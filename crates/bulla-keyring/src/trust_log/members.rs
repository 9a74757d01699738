//! The machines of a log: who is in force, who was, and who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bulla_backend::Timestamp;
use bulla_seal::VerifyingKey;

use super::{Capability, Problem, PutOut};
use crate::format::Record;
use crate::{Fingerprint, MachineName, PublicIdentity};

/// Most machines that are let in at a time, and most records that wait at a time.
const MAX_MACHINES: usize = 10_000;

/// What a record that lets a machine in says.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) position: u64,
    pub(super) author: Fingerprint,
    pub(super) time: Timestamp,
    pub(super) name: MachineName,
    pub(super) subject: Fingerprint,
    pub(super) public: PublicIdentity,
    pub(super) epoch: u64,
    pub(super) sealed: Vec<u8>,
    /// What it lets the machine do, once it was opened; the inner `None` if it does not open.
    pub(super) opened: OnceLock<Option<Capability>>,
}

/// A grant that took effect.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pub(super) grant: Arc<Grant>,
    pub(super) approved_by: Option<Fingerprint>,
}

/// A grant or policy that waits for a second authoriser.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) author: Fingerprint,
    pub(super) time: Timestamp,
    pub(super) wish: Wish,
}

#[derive(Debug, Clone)]
pub(super) enum Wish {
    Grant(Arc<Grant>),
    Policy(bool),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    standing: BTreeMap<Fingerprint, Admission>,
    names: BTreeMap<MachineName, Fingerprint>,
    past: Vec<(Admission, PutOut)>,
    waiting: BTreeMap<u64, Waiting>,
    /// Everybody who was ever let in, to tell a record of theirs from that of a stranger.
    signers: BTreeMap<Fingerprint, VerifyingKey>,
}

impl Members {
    pub(super) fn standing(&self) -> &BTreeMap<Fingerprint, Admission> {
        &self.standing
    }

    pub(super) fn past(&self) -> &[(Admission, PutOut)] {
        &self.past
    }

    pub(super) fn waiting(&self) -> &BTreeMap<u64, Waiting> {
        &self.waiting
    }

    pub(super) fn signer(&self, fingerprint: Fingerprint) -> Option<VerifyingKey> {
        self.signers.get(&fingerprint).copied()
    }

    /// Says whether the machine was let in once and is no more.
    pub(super) fn was_put_out(&self, fingerprint: Fingerprint) -> bool {
        !self.standing.contains_key(&fingerprint) && self.signers.contains_key(&fingerprint)
    }

    /// Lets a machine in, unless it, or one of its name, is in.
    pub(super) fn enter(&mut self, admission: Admission) -> Result<(), Problem> {
        self.check(&admission.grant)?;
        let subject = admission.grant.subject;
        self.signers.insert(subject, admission.grant.public.signing());
        self.names.insert(admission.grant.name.clone(), subject);
        self.standing.insert(subject, admission);
        Ok(())
    }

    /// Notes a record that waits for a second authoriser.
    pub(super) fn wait(&mut self, position: u64, waiting: Waiting) -> Result<(), Problem> {
        if let Wish::Grant(grant) = &waiting.wish {
            self.check(grant)?;
        }
        if self.waiting.len() >= MAX_MACHINES {
            return Err(Problem::TooMany);
        }
        self.waiting.insert(position, waiting);
        Ok(())
    }

    /// Takes a record out that waited and was approved.
    pub(super) fn approve(&mut self, position: u64, approver: Fingerprint) -> Result<Option<bool>, Problem> {
        let waiting = self.waiting.get(&position).filter(|waiting| waiting.author != approver);
        let policy = match waiting.ok_or(Problem::Approval)?.wish.clone() {
            Wish::Grant(grant) => {
                self.enter(Admission { grant, approved_by: Some(approver) })?;
                None
            }
            Wish::Policy(two_person) => Some(two_person),
        };
        self.waiting.remove(&position);
        Ok(policy)
    }

    /// Returns whom a revocation puts out.
    pub(super) fn leaving(&self, subject: Fingerprint, cascade: bool, author: Fingerprint) -> BTreeSet<Fingerprint> {
        let let_in_by = |fingerprint: &Fingerprint, in_force: &Admission| (*fingerprint, in_force.grant.author);
        leaving(
            self.standing.iter().map(|(fingerprint, found)| let_in_by(fingerprint, found)),
            subject,
            cascade,
            author,
        )
    }

    /// Says whether a grant for this machine waits.
    pub(super) fn waits(&self, subject: Fingerprint) -> bool {
        self.waiting.values().any(|waiting| is_for(waiting, subject))
    }

    /// Puts machines out, and voids what they and others had asked for.
    pub(super) fn leave(&mut self, subject: Fingerprint, leaving: &BTreeSet<Fingerprint>, record: &Record) {
        for fingerprint in leaving {
            if let Some(admission) = self.standing.remove(fingerprint) {
                self.names.remove(&admission.grant.name);
                let (time, by, position) = (record.time, record.author, record.position);
                let cascaded = *fingerprint != subject;
                self.past.push((admission, PutOut { time, by, position, cascaded }));
            }
        }
        self.waiting.retain(|_, waiting| !leaving.contains(&waiting.author) && !is_for(waiting, subject));
    }

    fn check(&self, grant: &Grant) -> Result<(), Problem> {
        if self.standing.contains_key(&grant.subject) || self.names.contains_key(&grant.name) {
            return Err(Problem::Duplicate);
        }
        if self.standing.len() >= MAX_MACHINES { Err(Problem::TooMany) } else { Ok(()) }
    }
}

fn is_for(waiting: &Waiting, subject: Fingerprint) -> bool {
    matches!(&waiting.wish, Wish::Grant(grant) if grant.subject == subject)
}

/// Returns whom a revocation puts out: the subject, if it is in; and with `cascade` all that those who go have let in. The author of the
/// revocation goes only as its subject, and nobody through them.
pub(super) fn leaving(
    let_in_by: impl Iterator<Item = (Fingerprint, Fingerprint)>,
    subject: Fingerprint,
    cascade: bool,
    author: Fingerprint,
) -> BTreeSet<Fingerprint> {
    let mut by_authoriser: BTreeMap<Fingerprint, Vec<Fingerprint>> = BTreeMap::new();
    let mut leaving = BTreeSet::new();
    for (machine, authoriser) in let_in_by {
        if machine == subject {
            leaving.insert(machine);
        }
        by_authoriser.entry(authoriser).or_default().push(machine);
    }
    // One who is out already may have let others in who still are.
    let mut next = if cascade { vec![subject] } else { Vec::new() };
    let mut followed = BTreeSet::new();
    while let Some(authoriser) = next.pop() {
        if !followed.insert(authoriser) {
            continue;
        }
        for machine in by_authoriser.get(&authoriser).into_iter().flatten() {
            if *machine != author && leaving.insert(*machine) {
                next.push(*machine);
            }
        }
    }
    leaving
}
