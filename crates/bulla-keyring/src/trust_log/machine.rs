//! What is known of machines, and of what waits to be approved.

use std::fmt;

use bulla_backend::Timestamp;

use crate::{Fingerprint, MachineName, PublicIdentity};

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
    /// The second authoriser, where two were needed.
    pub approved_by: Option<Fingerprint>,
    /// Position of its grant in the trust log.
    pub position: u64,
}

/// One time that a machine was let in, and whether and by whom it was put out again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// Which machine.
    pub fingerprint: Fingerprint,
    /// What its grant says.
    pub machine: Machine,
    /// When and by whom it was put out; `None` while the grant is in force.
    pub put_out: Option<PutOut>,
}

/// How a machine was put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOut {
    /// When, as the author says.
    pub time: Timestamp,
    /// The authoriser who did it.
    pub by: Fingerprint,
    /// Position of the revocation in the trust log.
    pub position: u64,
    /// Whether it went because the machine that had let it in was put out.
    pub cascaded: bool,
}

/// A record that takes effect once a second authoriser has approved it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Its position in the trust log, by which it is approved.
    pub position: u64,
    /// When it was made, as its author says.
    pub time: Timestamp,
    /// The authoriser who asks.
    pub by: Fingerprint,
    /// What it asks for.
    pub act: PendingAct,
}

/// What waits for a second authoriser.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingAct {
    /// A machine is to be let in.
    Grant {
        /// Its friendly name.
        name: MachineName,
        /// Its public keys.
        public: PublicIdentity,
        /// What it may do; `None` if that cannot be read.
        capability: Option<Capability>,
    },
    /// The rule of two is to change.
    Policy {
        /// Whether two are needed from then on.
        two_person: bool,
    },
}
