//! What verifying a log comes to.

use std::fmt;

use super::error::AuditError;
use super::note::Checkpoint;
use super::tree::{Frontier, Hash};

/// What became of verifying a log (`spec/audit.md`, "Verifying").
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is as it was signed.
    Ok(Verified),
    /// Something in it is not as it was written.
    Altered(String),
    /// Something is gone.
    Truncated(String),
    /// It could not be verified.
    Unverifiable(String),
}

/// A log that is as it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many events the checkpoint covers.
    pub size: u64,
    /// The root that was signed.
    pub root: Hash,
    /// How many events stand behind it, which nothing protects yet.
    pub unsigned: u64,
    /// Whether something follows that is no whole event, as a killed process leaves it.
    pub is_torn: bool,
    /// Whether it was held to a checkpoint from outside. Else nobody can tell whether it was rolled back, or signed anew.
    pub rollback_detectable: bool,
}

impl Verdict {
    /// Returns the exit code of a command that verifies.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Ok(_) => 0,
            Self::Altered(_) => 10,
            Self::Truncated(_) => 11,
            Self::Unverifiable(_) => 12,
        }
    }

    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Altered(_) => "altered",
            Self::Truncated(_) => "truncated",
            Self::Unverifiable(_) => "unverifiable",
        }
    }

    pub(super) fn of(verified: Result<Verified, AuditError>) -> Self {
        match verified {
            Ok(verified) => Self::Ok(verified),
            Err(AuditError::Altered(what)) => Self::Altered(what),
            Err(AuditError::Truncated(what)) => Self::Truncated(what),
            Err(error) => Self::Unverifiable(error.to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(verified) => {
                write!(f, "ok: {} events are as they were signed", verified.size)?;
                if verified.unsigned > 0 {
                    write!(f, ", {} newer ones are not signed yet", verified.unsigned)?;
                }
                if verified.rollback_detectable { Ok(()) } else { f.write_str("; rollback not detectable") }
            }
            Self::Altered(what) => write!(f, "altered: {what}"),
            Self::Truncated(what) => write!(f, "truncated or rolled back: {what}"),
            Self::Unverifiable(why) => write!(f, "cannot verify: {why}"),
        }
    }
}

/// Checkpoints that a log still has to be held to, while it is read.
pub(super) struct Wanted<'c>(Vec<&'c Checkpoint>);

impl<'c> Wanted<'c> {
    pub(super) fn new(checkpoints: impl IntoIterator<Item = &'c Checkpoint>) -> Self {
        Self(checkpoints.into_iter().collect())
    }

    /// Holds the tree to the checkpoints of its size.
    pub(super) fn hold(&mut self, tree: &Frontier) -> Result<(), AuditError> {
        let mut held = Ok(());
        self.0.retain(|checkpoint| {
            if checkpoint.size() == tree.len() && *checkpoint.root() != tree.root() {
                held =
                    Err(AuditError::Altered(format!("the first {} events are not those that were signed", tree.len())));
            }
            checkpoint.size() != tree.len()
        });
        held
    }

    /// Says whether nothing of this size or above is left, now that the log has ended.
    pub(super) fn finish(&self, len: u64) -> Result<(), AuditError> {
        match self.0.iter().map(|checkpoint| checkpoint.size()).max() {
            Some(size) => Err(AuditError::Truncated(format!("{size} events were signed, {len} are there"))),
            None => Ok(()),
        }
    }
}
