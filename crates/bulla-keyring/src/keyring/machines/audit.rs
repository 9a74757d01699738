//! Whether the machines are those that somebody expects.

use std::collections::BTreeSet;

use crate::keyring::Keyring;
use crate::trust_log::{Capability, Machine};
use crate::{Fingerprint, Result};

/// A machine that should be in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expectation {
    /// Its friendly name, or its whole fingerprint.
    pub machine: String,
    /// Whether it may let others in; `None` where that does not matter.
    pub authoriser: Option<bool>,
}

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A machine is in that nobody expects.
    Unexpected {
        /// Which machine.
        fingerprint: Fingerprint,
        /// What its grant says.
        machine: Machine,
    },
    /// A machine is expected and not in.
    Missing {
        /// As it was named.
        expected: String,
    },
    /// A machine may let others in and should not, or the other way round.
    Authority {
        /// Which machine.
        fingerprint: Fingerprint,
        /// What its grant says.
        machine: Machine,
    },
    /// What a machine may do cannot be read.
    Unreadable {
        /// Which machine.
        fingerprint: Fingerprint,
        /// What its grant says.
        machine: Machine,
    },
    /// A machine is in that was let in by one which is not any more.
    Orphan {
        /// Which machine.
        fingerprint: Fingerprint,
        /// What its grant says.
        machine: Machine,
    },
}

impl Keyring {
    /// Compares the machines that are in with those that should be.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn audit_machines(&self, expected: &BTreeSet<Expectation>) -> Result<Vec<Finding>> {
        let trusted = self.looked().await?;
        let mut findings = Vec::new();
        for (fingerprint, found) in &trusted.machines {
            let (fingerprint, machine) = (*fingerprint, found.clone());
            if found.capability.is_none() {
                findings.push(Finding::Unreadable { fingerprint, machine: machine.clone() });
            }
            if !trusted.machines.contains_key(&found.granted_by) {
                findings.push(Finding::Orphan { fingerprint, machine: machine.clone() });
            }
            let authoriser = found.capability.is_some_and(Capability::may_authorise);
            match expected.iter().find(|expected| means(expected, fingerprint, found)) {
                None => findings.push(Finding::Unexpected { fingerprint, machine }),
                Some(expected) if expected.authoriser.is_some_and(|expected| expected != authoriser) => {
                    findings.push(Finding::Authority { fingerprint, machine });
                }
                Some(_) => {}
            }
        }
        let missing = |expected: &&Expectation| {
            !trusted.machines.iter().any(|(fingerprint, machine)| means(expected, *fingerprint, machine))
        };
        let missing = expected.iter().filter(missing);
        findings.extend(missing.map(|expected| Finding::Missing { expected: expected.machine.clone() }));
        Ok(findings)
    }
}

/// Says whether an expectation is about a machine. A whole fingerprint is never a name.
fn means(expected: &Expectation, fingerprint: Fingerprint, machine: &Machine) -> bool {
    match expected.machine.parse::<Fingerprint>() {
        Ok(named) => named == fingerprint,
        Err(_) => expected.machine == machine.name.as_str(),
    }
}
