//! What a key is for, and how it is kept.

use std::fmt;
use std::str::FromStr;

use crate::UseCase;

/// What a value of a key is used for at one moment.
#[doc(alias = "SecretKeyFlow")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flow {
    /// The one path of a key that is used one way: authenticate, sign.
    #[doc(alias = "DEFAULT")]
    #[doc(alias = "AUTHENTICATION")]
    OneWay,
    /// The forward path of a round trip: seal, encrypt.
    #[doc(alias = "FORWARD_PATH")]
    #[doc(alias = "ENCRYPTION")]
    Forward,
    /// The back path of a round trip: open, decrypt.
    #[doc(alias = "BACK_PATH")]
    #[doc(alias = "DECRYPTION")]
    Back,
}

impl Flow {
    /// Returns the name of the flow.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneWay => "one-way",
            Self::Forward => "forward",
            Self::Back => "back",
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads our names and those of `keys-management`, in any case of letters.
impl FromStr for Flow {
    type Err = ParseFlowError;

    fn from_str(text: &str) -> Result<Self, ParseFlowError> {
        match text.to_ascii_lowercase().as_str() {
            "one-way" | "default" | "authentication" => Ok(Self::OneWay),
            "forward" | "forward_path" | "encryption" => Ok(Self::Forward),
            "back" | "back_path" | "decryption" => Ok(Self::Back),
            _ => Err(ParseFlowError),
        }
    }
}

/// The text names no flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the flows are `one-way`, `forward` and `back`")]
pub struct ParseFlowError;

/// What happens when a callback of a change fails.
#[doc(alias = "OnKeyChangedCallbackErrorStrategy")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ErrorStrategy {
    /// The rest are not run, and the change returns its report. The default.
    #[default]
    #[doc(alias = "HALT")]
    Halt,
    /// The rest are run, and the change returns its report.
    #[doc(alias = "SKIP")]
    Skip,
    /// The rest are run, and the change fails with its report.
    #[doc(alias = "SKIP_AND_RAISE")]
    SkipAndFail,
    /// The rest are not run, and the change fails with its report.
    #[doc(alias = "RAISE_IMMEDIATELY")]
    FailImmediately,
}

impl ErrorStrategy {
    /// Says whether the callbacks behind one that failed are run.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Skip | Self::SkipAndFail)
    }

    /// Says whether a change of which a callback failed fails.
    #[must_use]
    pub const fn fails(self) -> bool {
        matches!(self, Self::SkipAndFail | Self::FailImmediately)
    }
}

/// What a key is for, and how it is kept.
///
/// By default a key is stateless, kept in the cache, and halts at the first callback that fails.
#[doc(alias = "SecretKeyDefinition")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDefinition {
    use_case: UseCase,
    stateless: bool,
    keep_in_cache: bool,
    /// `None`: where it is possible.
    implicit_flow: Option<bool>,
    on_callback_error: ErrorStrategy,
}

impl KeyDefinition {
    /// Defines a key that seals on the forward path and opens on the back path.
    #[must_use]
    pub const fn round_trip() -> Self {
        Self::new(UseCase::RoundTrip)
    }

    /// Defines a key that authenticates or signs.
    #[must_use]
    pub const fn one_way() -> Self {
        Self::new(UseCase::OneWay)
    }

    /// Defines a key of that use case.
    #[must_use]
    pub const fn new(use_case: UseCase) -> Self {
        Self {
            use_case,
            stateless: true,
            keep_in_cache: true,
            implicit_flow: None,
            on_callback_error: ErrorStrategy::Halt,
        }
    }

    /// Says whether the key has no state in the repository. Default: `true`.
    #[must_use]
    pub const fn with_stateless(self, stateless: bool) -> Self {
        Self { stateless, ..self }
    }

    /// Says whether the values last used stay in memory, for the back path. Default: `true`.
    #[must_use]
    pub const fn with_keep_in_cache(self, keep_in_cache: bool) -> Self {
        Self { keep_in_cache, ..self }
    }

    /// Says whether the key may be asked for without a path, see [`KeyFlows::key`](super::KeyFlows::key). Default: where the values are kept in the cache; elsewhere the
    /// definition is refused.
    #[must_use]
    pub const fn with_implicit_flow(self, implicit_flow: bool) -> Self {
        Self { implicit_flow: Some(implicit_flow), ..self }
    }

    /// Says what happens when a callback fails. Default: [`ErrorStrategy::Halt`].
    #[must_use]
    pub const fn with_on_callback_error(self, strategy: ErrorStrategy) -> Self {
        Self { on_callback_error: strategy, ..self }
    }

    /// Returns what the key is for.
    #[must_use]
    pub const fn use_case(&self) -> UseCase {
        self.use_case
    }

    /// Says whether the key has no state in the repository.
    #[must_use]
    pub const fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// Says whether the key has a state in the repository.
    #[doc(alias = "is_stated")]
    #[must_use]
    pub const fn is_stateful(&self) -> bool {
        !self.stateless
    }

    /// Says whether the values last used stay in memory.
    #[must_use]
    pub const fn keeps_in_cache(&self) -> bool {
        self.keep_in_cache
    }

    /// Says whether the key may be asked for without a path.
    #[must_use]
    pub fn has_implicit_flow(&self) -> bool {
        self.implicit_flow.unwrap_or(self.keep_in_cache) || self.use_case == UseCase::OneWay
    }

    /// Returns what happens when a callback fails.
    #[must_use]
    pub const fn on_callback_error(&self) -> ErrorStrategy {
        self.on_callback_error
    }

    /// Says whether a key of this use case has that path.
    pub(super) const fn has_flow(&self, flow: Flow) -> bool {
        match self.use_case {
            UseCase::OneWay => matches!(flow, Flow::OneWay),
            UseCase::RoundTrip => matches!(flow, Flow::Forward | Flow::Back),
        }
    }

    /// Says whether the path would have to be found out without what tells it.
    pub(super) fn contradicts_itself(&self) -> bool {
        self.use_case == UseCase::RoundTrip && self.implicit_flow == Some(true) && !self.keep_in_cache
    }
}
