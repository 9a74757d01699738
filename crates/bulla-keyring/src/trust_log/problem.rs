/// A record of the trust log is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {position} {problem}")]
pub struct TrustLogError {
    /// Its place in the log, from 0.
    pub position: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a record of the trust log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A gap in the log.
    #[error("is missing")]
    Missing,
    /// A document whose key is no position.
    #[error("cannot be found: the log holds a document that is no record")]
    Foreign,
    /// Not exactly as the format says.
    #[error("is not well-formed")]
    Malformed,
    /// A version or kind of the future.
    #[error("was written by a newer version of this program; update it")]
    Newer,
    /// Moved within the log.
    #[error("was made for another position")]
    Position,
    /// The chain is broken.
    #[error("does not follow the record before it")]
    Previous,
    /// Brought from elsewhere.
    #[error("belongs to another project")]
    Project,
    /// Signed by somebody unknown.
    #[error("was signed by a machine that was never let in")]
    Author,
    /// Not signed by whom it names.
    #[error("does not carry its author's signature")]
    Signature,
    /// Its author had no authority at that position.
    #[error("was made by a machine that was not an authoriser then")]
    Authority,
    /// A project begins otherwise.
    #[error("is not what it must be: a project begins with a root, a grant for its author, and epoch 1")]
    Beginning,
    /// The log ends before epoch 1.
    #[error("is missing: creating the project was interrupted; create it again with the same identity")]
    Unfinished,
    /// An epoch that does not follow the one before it, or a grant under an epoch that never was.
    #[error("names an epoch that does not follow from the log")]
    Epoch,
    /// The capability was made for another machine, or under another data key.
    #[error("carries a capability that does not open for its machine")]
    Capability,
    /// The machine, or one of its name, was let in already.
    #[error("lets in a machine, or a friendly name, that was let in already")]
    Duplicate,
    /// There is nobody to put out.
    #[error("puts out a machine that is not let in")]
    NotIn,
    /// Nobody could let others in any more.
    #[error("leaves the project without a machine that may authorise")]
    LastAuthoriser,
    /// A restore that was accepted before, or one out of order.
    #[error("does not count restores further than the log before it")]
    Restore,
    /// An approval of nothing, or by the same machine that asks.
    #[error("approves a record that does not wait for this machine's approval")]
    Approval,
    /// The floor of a key only rises.
    #[error("does not raise the floor of its key")]
    Floor,
    /// A bound was passed.
    #[error("is one more than a trust log may have")]
    TooMany,
}

impl Problem {
    pub(crate) fn at(self, position: u64) -> TrustLogError {
        TrustLogError { position, problem: self }
    }
}
