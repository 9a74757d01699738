//! How a named key may be used: its settings, and the states of its versions.

use std::fmt;
use std::time::Duration;

use bulla_backend::Timestamp;

/// Shortest rotation period. What rotates more often is better served by [`KeySetting::MaxUses`].
pub const MIN_PERIOD: Duration = Duration::from_secs(60);

/// One setting of a key, to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySetting {
    /// Versions with lower numbers do not open, verify or export. Raising it restricts.
    MinOpen(u64),
    /// The lowest version that may be chosen to seal under; `None` if only the newest may. Raising it restricts.
    MinSeal(Option<u64>),
    /// How long a version is the newest before the next use makes another, at least [`MIN_PERIOD`]; `None` for as long as nobody rotates.
    Period(Option<Duration>),
    /// How often a version may seal or sign before the next use makes another; `None` for as often as anybody likes.
    ///
    /// What this crate seals with needs no such limit. It is for those who have to keep one. The count is lost, and begins again at
    /// an older state, if the database is restored.
    MaxUses(Option<u64>),
    /// Whether material is handed out. Anything but [`Exportable::Yes`] restricts; [`Exportable::Never`] cannot be taken back.
    Exportable(Exportable),
    /// Whether the key may be deleted. Taking it back restricts.
    DeletionAllowed(bool),
}

/// Whether the material of a key is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Exportable {
    /// Not now. The default.
    #[default]
    No,
    /// To whoever asks.
    Yes,
    /// Not now, and never again: also not after an older copy of the key was restored, for versions made from then on.
    Never,
}

impl fmt::Display for Exportable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Never => "never",
        })
    }
}

/// Where the material of a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// It was drawn at random here.
    #[default]
    Generated,
    /// From outside: only its source can rotate it.
    External,
}

impl KeyOrigin {
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Generated => 1,
            Self::External => 2,
        }
    }

    pub(crate) const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Generated),
            2 => Some(Self::External),
            _ => None,
        }
    }
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generated => "generated",
            Self::External => "external",
        })
    }
}

/// All settings of a key, as [`KeyInfo`](crate::KeyInfo) tells them; [`KeySetting`] says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySettings {
    /// The lowest version that opens.
    pub min_open: u64,
    /// The lowest version that may be chosen to seal under; `None` if only the newest may.
    pub min_seal: Option<u64>,
    /// How long a version is the newest.
    pub period: Option<Duration>,
    /// How often a version may seal or sign.
    pub max_uses: Option<u64>,
    /// Whether material is handed out.
    pub exportable: Exportable,
    /// Whether the key may be deleted.
    pub deletion_allowed: bool,
}

/// What a version may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionState {
    /// It opens, and seals if it is the newest.
    Enabled,
    /// It does nothing until it is enabled again.
    Disabled,
    /// It does nothing, and from then on there is no way back.
    Destroying(Timestamp),
    /// Its material is gone.
    Destroyed,
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Destroying(_) => "destroying",
            Self::Destroyed => "destroyed",
        })
    }
}
