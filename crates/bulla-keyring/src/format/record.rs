use std::fmt;
use std::str::FromStr;

use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::{ProjectId, SealError, Signature, SigningKey, VerifyingKey, sha256};
use data_encoding::HEXLOWER;

use crate::cbor::{self, Malformed, Reader};
use crate::{Fingerprint, KeyName, MachineName, PublicIdentity};

/// Longest stored record, in bytes.
pub const MAX_RECORD_LEN: usize = 4_096;

const VERSION: u64 = 1;
const SIGNATURE_LABEL: &[u8] = b"bulla/trust-log/signature/v1\0";
const HASH_LABEL: &[u8] = b"bulla/trust-log/record/v1\0";

const ROOT: u64 = 1;
const GRANT: u64 = 2;
const EPOCH: u64 = 3;
const REVOCATION: u64 = 4;
const RESTORE: u64 = 5;
const APPROVAL: u64 = 6;
const POLICY: u64 = 7;
const FLOOR: u64 = 8;

/// What one record of the trust log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log, from 0.
    pub position: u64,
    /// The record before it; zeros in the root.
    pub previous: RecordHash,
    /// The project; zeros in the root, whose hash is the project.
    pub project: ProjectId,
    /// Who signed it.
    pub author: Fingerprint,
    /// When its author says it was made.
    pub time: Timestamp,
    /// What it does.
    pub act: Act,
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Begins a project.
    Root {
        /// The public keys of its author.
        author: PublicIdentity,
        /// Random, so that no two projects share an id.
        nonce: [u8; 32],
    },
    /// Lets a machine in.
    Grant {
        /// Its friendly name.
        machine: MachineName,
        /// Its public keys.
        subject: PublicIdentity,
        /// Epoch of the data key that seals the capability.
        epoch: u64,
        /// What the machine may do, sealed.
        capability: Vec<u8>,
    },
    /// Begins an epoch.
    Epoch {
        /// Its number, from 1.
        epoch: u64,
        /// Commitment of its data key.
        commitment: [u8; 32],
        /// The record of the epoch before; zeros in the first.
        previous: RecordHash,
    },
    /// Puts a machine out, or withdraws a grant that waits for its approval.
    Revocation {
        /// Which machine.
        machine: Fingerprint,
        /// Whether those that it let in go too.
        cascade: bool,
        /// Whether a new epoch is owed from here on.
        rotate: bool,
    },
    /// Accepts that an older copy of the database was restored: what stood here or behind before is void.
    Restore {
        /// Which restore of the project this is; more than that of any before.
        number: u64,
    },
    /// Lets a grant or a policy take effect that waits for a second authoriser.
    Approval {
        /// Position of the record that waits.
        position: u64,
    },
    /// Says whether grants and policies need a second authoriser.
    Policy {
        /// Whether they do.
        two_person: bool,
    },
    /// Voids the descriptions of a key that are older than this one.
    Floor {
        /// Which key.
        key: KeyName,
        /// Serial number of the oldest description that counts.
        serial: u64,
    },
}

impl Record {
    /// Encodes and signs the record.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn sign(self, key: &SigningKey) -> Result<SignedRecord, SealError> {
        let body = self.encode();
        let signature = key.sign(&signed_bytes(&body))?;
        Ok(SignedRecord { record: self, body, signature })
    }

    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(8)?.u64(VERSION)?.u64(self.position)?.bytes(&self.previous.0)?.bytes(&self.project.0)?;
            e.bytes(&self.author.0)?.u64(self.time.0)?;
            match &self.act {
                Act::Root { author, nonce } => {
                    e.u64(ROOT)?.array(3)?;
                    e.bytes(author.encryption())?.bytes(&author.signing().0)?.bytes(nonce).map(drop)
                }
                Act::Grant { machine, subject, epoch, capability } => {
                    e.u64(GRANT)?.array(5)?.str(machine.as_str())?;
                    e.bytes(subject.encryption())?.bytes(&subject.signing().0)?;
                    e.u64(*epoch)?.bytes(capability).map(drop)
                }
                Act::Epoch { epoch, commitment, previous } => {
                    e.u64(EPOCH)?.array(3)?.u64(*epoch)?.bytes(commitment)?.bytes(&previous.0).map(drop)
                }
                Act::Revocation { machine, cascade, rotate } => {
                    e.u64(REVOCATION)?.array(3)?.bytes(&machine.0)?;
                    e.u64((*cascade).into())?.u64((*rotate).into()).map(drop)
                }
                Act::Restore { number } => e.u64(RESTORE)?.array(1)?.u64(*number).map(drop),
                Act::Approval { position } => e.u64(APPROVAL)?.array(1)?.u64(*position).map(drop),
                Act::Policy { two_person } => e.u64(POLICY)?.array(1)?.u64((*two_person).into()).map(drop),
                Act::Floor { key, serial } => e.u64(FLOOR)?.array(2)?.str(key.as_str())?.u64(*serial).map(drop),
            }
        })
    }

    fn decode(body: &[u8]) -> Result<Self, Unreadable> {
        let mut r = Reader::new(body);
        r.array(8)?;
        if r.uint()? != VERSION {
            return Err(Unreadable::Newer);
        }
        let position = r.uint()?;
        let previous = RecordHash(r.fixed()?);
        let project = ProjectId(r.fixed()?);
        let author = Fingerprint(r.fixed()?);
        let time = Timestamp(r.uint()?);
        let act = match r.uint()? {
            ROOT => {
                r.array(3)?;
                Act::Root { author: public_identity(&mut r)?, nonce: r.fixed()? }
            }
            GRANT => {
                r.array(5)?;
                let machine = r.text()?.parse().map_err(|_| Malformed)?;
                let subject = public_identity(&mut r)?;
                Act::Grant { machine, subject, epoch: r.uint()?, capability: r.bytes()?.to_vec() }
            }
            EPOCH => {
                r.array(3)?;
                Act::Epoch { epoch: r.uint()?, commitment: r.fixed()?, previous: RecordHash(r.fixed()?) }
            }
            REVOCATION => {
                r.array(3)?;
                Act::Revocation { machine: Fingerprint(r.fixed()?), cascade: yes(&mut r)?, rotate: yes(&mut r)? }
            }
            RESTORE => {
                r.array(1)?;
                Act::Restore { number: r.uint()? }
            }
            APPROVAL => {
                r.array(1)?;
                Act::Approval { position: r.uint()? }
            }
            POLICY => {
                r.array(1)?;
                Act::Policy { two_person: yes(&mut r)? }
            }
            FLOOR => {
                r.array(2)?;
                Act::Floor { key: r.text()?.parse().map_err(|_| Malformed)?, serial: r.uint()? }
            }
            _ => return Err(Unreadable::Newer),
        };
        let record = Self { position, previous, project, author, time, act };
        if record.encode() == body { Ok(record) } else { Err(Unreadable::Malformed) }
    }
}

/// A record as it is stored: its exact bytes, and its author's signature over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: Record,
    body: Vec<u8>,
    signature: Signature,
}

impl SignedRecord {
    /// Reads a stored record, or returns `None` if it is not exactly as the format says. The signature is not verified.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        Self::read(stored).ok()
    }

    /// As [`SignedRecord::decode`], and tells what is broken from what is new.
    pub(crate) fn read(stored: &[u8]) -> Result<Self, Unreadable> {
        if stored.len() > MAX_RECORD_LEN {
            return Err(Unreadable::Malformed);
        }
        let mut r = Reader::new(stored);
        r.array(2)?;
        let body = r.bytes()?.to_vec();
        let signature = Signature(r.fixed()?);
        let signed = Self { record: Record::decode(&body)?, body, signature };
        if signed.encode() == stored { Ok(signed) } else { Err(Unreadable::Malformed) }
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(2)?.bytes(&self.body)?.bytes(&self.signature.0).map(drop))
    }

    /// Returns what it says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the hash by which the next record names it: SHA-256 of a label and the stored form.
    #[must_use]
    pub fn hash(&self) -> RecordHash {
        RecordHash::of(&self.encode())
    }

    /// Says whether the signature is this key's over exactly these bytes.
    #[must_use]
    pub fn verifies(&self, key: &VerifyingKey) -> bool {
        key.verifies(&signed_bytes(&self.body), &self.signature)
    }
}

/// Hash of a stored record. That of the root is the project id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordHash(pub [u8; 32]);

impl RecordHash {
    /// Stands where there is no record before.
    pub const NONE: Self = Self([0; 32]);

    /// Hashes the stored form of a record.
    #[must_use]
    pub fn of(stored: &[u8]) -> Self {
        Self(sha256(&[HASH_LABEL, stored].concat()))
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordHash({self})")
    }
}

/// The text was not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a record is 64 lower-case hex digits")]
pub struct ParseRecordHashError;

impl FromStr for RecordHash {
    type Err = ParseRecordHashError;

    fn from_str(text: &str) -> Result<Self, ParseRecordHashError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseRecordHashError)?;
        bytes.try_into().map(Self).map_err(|_| ParseRecordHashError)
    }
}

/// Why a stored record was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not exactly as the format says.
    Malformed,
    /// It has a version or kind that this program does not know.
    Newer,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Returns where the record at a position is stored.
pub(crate) fn position_key(position: u64) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new(position.to_be_bytes())
}

fn signed_bytes(body: &[u8]) -> Vec<u8> {
    [SIGNATURE_LABEL, body].concat()
}

fn public_identity(r: &mut Reader<'_>) -> Result<PublicIdentity, Malformed> {
    let encryption = r.bytes()?;
    PublicIdentity::new(encryption, VerifyingKey(r.fixed()?)).ok_or(Malformed)
}

fn yes(r: &mut Reader<'_>) -> Result<bool, Malformed> {
    match r.uint()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(act: Act) -> Record {
        let (previous, project, author) = (RecordHash([1; 32]), ProjectId([2; 32]), Fingerprint([3; 32]));
        Record { position: 7, previous, project, author, time: Timestamp(5), act }
    }

    #[test]
    fn every_act_is_read_as_it_was_written() {
        let machine = Fingerprint([4; 32]);
        let key: KeyName = "shop/orders".parse().unwrap();
        for act in [
            Act::Epoch { epoch: 2, commitment: [5; 32], previous: RecordHash([6; 32]) },
            Act::Revocation { machine, cascade: true, rotate: false },
            Act::Revocation { machine, cascade: false, rotate: true },
            Act::Restore { number: 1 },
            Act::Approval { position: u64::MAX },
            Act::Policy { two_person: true },
            Act::Policy { two_person: false },
            Act::Floor { key, serial: 24 },
        ] {
            let body = record(act).encode();
            let read = Record::decode(&body).unwrap();
            assert_eq!(read.encode(), body);
            for end in 0..body.len() {
                assert!(Record::decode(&body[..end]).is_err(), "cut at {end}");
            }
            assert_eq!(Record::decode(&[&body[..], &[0]].concat()), Err(Unreadable::Malformed));
        }
    }

    #[test]
    fn what_is_neither_yes_nor_no_is_refused() {
        let body = record(Act::Policy { two_person: true }).encode();
        let (last, rest) = body.split_last().unwrap();
        assert_eq!(*last, 1);
        for other in [&[2][..], &[0x18, 1], &[0xf5], &[0x20], &[]] {
            assert_eq!(Record::decode(&[rest, other].concat()), Err(Unreadable::Malformed), "{other:?}");
        }
    }

    #[test]
    fn an_act_of_the_future_is_told_from_a_broken_one() {
        let mut body = record(Act::Restore { number: 1 }).encode();
        // The kind stands before the array that is the content: `5, [1]`.
        let kind = body.len() - 3;
        assert_eq!(body[kind..], [5, 0x81, 1]);
        body[kind] = 9;
        assert_eq!(Record::decode(&body), Err(Unreadable::Newer));
    }
}
