//! What can go wrong with a flow, with stable codes.

use bulla_backend::{BackendError, Timestamp};

use super::state::MAX_STATE_LEN;
use super::{ChangeReport, Flow, StateError};
use crate::{KeyName, UseCase, source::SourceError};

/// Result of a flow.
pub type Result<T> = std::result::Result<T, FlowError>;

/// Failure of a flow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// No such definition.
    #[doc(alias = "KeyIsNotDefinedError")]
    #[error("the key `{0}` is not defined")]
    NotDefined(KeyName),
    /// A second definition.
    #[error(
        "the key `{0}` is defined already; defining it anew would forget its callbacks and the value that opens what it sealed"
    )]
    AlreadyDefined(KeyName),
    /// A name that belongs to Bulla itself.
    #[error("`{0}` cannot be used: names under `sys` belong to Bulla itself")]
    Reserved(KeyName),
    /// A stateful key where there is nothing to keep states in.
    #[error("the key `{0}` is defined as stateful, but there is no repository for states")]
    NoStates(KeyName),
    /// A definition that asks for implicit flow without the cache.
    #[error("the key `{0}` is defined with implicit flow, which needs `keep_in_cache`")]
    ImplicitWithoutCache(KeyName),
    /// A key that is asked for without a path, but not defined so.
    #[error("the key `{0}` is not kept in the cache, so ask for its forward or back path")]
    NoImplicitFlow(KeyName),
    /// A path that the key does not have.
    #[error("the key `{name}` is used {use_case} and has no {flow} path")]
    WrongFlow {
        /// Which key.
        name: KeyName,
        /// What it is for.
        use_case: UseCase,
        /// What was asked for.
        flow: Flow,
    },
    /// A key used one way whose source gave two values.
    #[error("the key `{0}` is used one way and has one value, but its source gave a pair")]
    Pair(KeyName),
    /// The state of a key that has none.
    #[error("the key `{0}` is defined as stateless and has no state to save")]
    Stateless(KeyName),
    /// The source gave nothing.
    #[doc(alias = "GetKeyError")]
    #[error("could not fetch the key `{name}`: {source}")]
    Source {
        /// Which key.
        name: KeyName,
        /// Why.
        source: SourceError,
    },
    /// The repository or the crypto tool failed.
    #[doc(alias = "FetchAndSetStateFromRepoError")]
    #[error("could not {operation} the state of the key `{name}`: {source}")]
    State {
        /// Which key.
        name: KeyName,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: StateError,
    },
    /// The state is not what was written.
    #[doc(alias = "InvalidKeyStateError")]
    #[error("the state of the key `{0}` is not well-formed; use its forward path, and save it anew")]
    InvalidState(KeyName),
    /// The values are too long for a state.
    #[error("the values of the key `{0}` are too long for a state, which has at most {MAX_STATE_LEN} bytes")]
    StateTooLong(KeyName),
    /// Some states were not saved. The others were.
    #[error("{} states were not saved; the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    States(Vec<FlowError>),
    /// A callback failed, and the strategy says that the change fails then.
    #[doc(alias = "KeyChangedError")]
    #[error("the key `{}` is declared as changed, but {} of its callbacks failed", .0.key, .0.failures().count())]
    Callbacks(ChangeReport),
    /// Callbacks that declare changes of their own key, again and again.
    #[error("the callbacks of the key `{0}` declare it as changed within each other too often")]
    Nested(KeyName),
    /// Another process runs a change of the key.
    #[error("the key `{name}` is being changed by another process; try again later")]
    Busy {
        /// Which key.
        name: KeyName,
        /// When the claim of that process ends if it is not renewed.
        until: Timestamp,
    },
    /// Another process has taken over the change of a key.
    #[error(
        "the change of the key `{0}` took so long that another process began one; the callbacks that were left did not run"
    )]
    LockLost(KeyName),
    /// The lock cannot be read or written.
    #[error("could not lock the key `{name}`: {source}")]
    Lock {
        /// Which key.
        name: KeyName,
        /// Why.
        source: BackendError,
    },
    /// Other callers were faster, again and again.
    #[error("the key `{0}` was used by others again and again meanwhile; try once more")]
    Conflict(KeyName),
}

impl FlowError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotDefined(_) => "key_not_defined",
            Self::AlreadyDefined(_) => "key_already_defined",
            Self::Reserved(_) => "reserved_name",
            Self::NoStates(_) => "no_state_repository",
            Self::ImplicitWithoutCache(_) | Self::NoImplicitFlow(_) => "no_implicit_flow",
            Self::WrongFlow { .. } => "wrong_flow",
            Self::Pair(_) => "pair_one_way",
            Self::Stateless(_) => "stateless",
            Self::Source { source, .. } => source.code(),
            Self::State { .. } => "state",
            Self::InvalidState(_) => "invalid_state",
            Self::StateTooLong(_) => "state_too_long",
            Self::States(failures) => failures.first().map_or("state", Self::code),
            Self::Callbacks(_) => "callback_failed",
            Self::Nested(_) => "nested_change",
            Self::Busy { .. } => "busy",
            Self::LockLost(_) => "lease_lost",
            Self::Lock { .. } => "backend",
            Self::Conflict(_) => "conflict",
        }
    }
}
