//! What a log claims about one machine, for the wording of a refusal.

use std::collections::BTreeMap;

use super::members::leaving;
use crate::format::{Act, Record};
use crate::{Fingerprint, KeyringError};

/// What a log claims about a machine that holds no data key.
///
/// Such a machine cannot verify who had authority, and gets nothing either way. This only words the refusal: whoever writes the database
/// can choose between the wordings, and that is all.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    let_in_by: BTreeMap<Fingerprint, Fingerprint>,
    put_out: bool,
}

impl Claims {
    /// Takes the next record.
    pub(crate) fn record(&mut self, record: &Record, machine: Fingerprint) {
        match &record.act {
            Act::Grant { subject, .. } => {
                self.let_in_by.insert(subject.fingerprint(), record.author);
            }
            Act::Revocation { machine: subject, cascade, .. } => {
                let edges = self.let_in_by.iter().map(|(machine, authoriser)| (*machine, *authoriser));
                for gone in leaving(edges, *subject, *cascade, record.author) {
                    self.let_in_by.remove(&gone);
                    self.put_out |= gone == machine;
                }
            }
            _ => {}
        }
    }

    /// Words the refusal; `otherwise` where the machine seems to be in.
    pub(crate) fn refusal(&self, machine: Fingerprint, otherwise: KeyringError) -> KeyringError {
        match (self.let_in_by.contains_key(&machine), self.put_out) {
            (true, _) => otherwise,
            (false, true) => KeyringError::Revoked(machine),
            (false, false) => KeyringError::NoGrant(machine),
        }
    }
}
