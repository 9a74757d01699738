//! What the description of a key permits.

use std::time::Duration;

use bulla_backend::Timestamp;

use crate::format::{BEGUN, KeyBody};
use crate::{Exportable, KeyInfo, KeyName, KeyOrigin, KeySettings, KeyringError, Result, VersionState};

impl KeyBody {
    /// Returns the state of a version that the key has.
    pub(crate) fn state(&self, number: u64, now: Timestamp) -> VersionState {
        let settings = &self.settings;
        match settings.destroying.get(&number) {
            _ if settings.destroyed.contains(number) => VersionState::Destroyed,
            Some(at) if *at <= now => VersionState::Destroyed,
            Some(at) => VersionState::Destroying(*at),
            None if settings.disabled.contains(number) => VersionState::Disabled,
            None => VersionState::Enabled,
        }
    }

    /// Says whether the material of a version may be gone.
    pub(crate) fn is_beyond_recovery(&self, number: u64) -> bool {
        self.settings.destroyed.contains(number) || self.settings.destroying.get(&number) == Some(&BEGUN)
    }

    /// Returns the lowest version from a number on whose material is kept.
    pub(crate) fn kept_from(&self, number: u64) -> Option<u64> {
        let mut number = number;
        while self.has(number) {
            number = match self.settings.destroyed.end_of(number) {
                Some(end) => end,
                None if self.is_beyond_recovery(number) => number,
                None => return Some(number),
            }
            .checked_add(1)?;
        }
        None
    }

    /// Returns the lowest version that opens.
    pub(crate) fn min_open(&self) -> u64 {
        self.settings.min_open.unwrap_or(self.first).max(self.first)
    }

    pub(crate) fn is_external(&self) -> bool {
        self.settings.origin == KeyOrigin::External
    }

    pub(crate) fn is_never_exported(&self) -> bool {
        self.settings.exportable == Exportable::Never
    }

    /// Says whether the key has a version of that number, be it usable or not.
    pub(crate) fn has(&self, number: u64) -> bool {
        (self.first..=self.newest).contains(&number)
    }

    pub(crate) fn check_has(&self, name: &KeyName, number: u64) -> Result<()> {
        if self.has(number) { Ok(()) } else { Err(KeyringError::NoVersion { name: name.clone(), number }) }
    }

    /// Refuses a key that was deleted.
    pub(crate) fn check_alive(&self, name: &KeyName) -> Result<()> {
        match self.settings.deleting {
            Some(_) => Err(KeyringError::KeyDeleted(name.clone())),
            None => Ok(()),
        }
    }

    /// Refuses a version that does not open, verify or export.
    pub(crate) fn check_open(&self, name: &KeyName, number: u64, now: Timestamp) -> Result<()> {
        self.check_alive(name)?;
        self.check_has(name, number)?;
        match self.state(number, now) {
            VersionState::Enabled if number < self.min_open() => {
                Err(KeyringError::BelowMinimum { name: name.clone(), number, minimum: self.min_open() })
            }
            VersionState::Enabled => Ok(()),
            VersionState::Disabled => Err(KeyringError::VersionDisabled { name: name.clone(), number }),
            VersionState::Destroying(_) | VersionState::Destroyed => {
                Err(KeyringError::VersionDestroyed { name: name.clone(), number })
            }
        }
    }

    /// Refuses a version that may not be chosen to seal under.
    pub(crate) fn check_seal(&self, name: &KeyName, number: u64, now: Timestamp) -> Result<()> {
        self.check_open(name, number, now)?;
        let minimum = self.settings.min_seal.unwrap_or(self.newest);
        if number >= minimum { Ok(()) } else { Err(KeyringError::BelowMinimum { name: name.clone(), number, minimum }) }
    }

    /// Says whether the newest version was that for long enough.
    pub(crate) fn period_is_over(&self, now: impl FnOnce() -> Timestamp) -> bool {
        let due = |period| self.rotated.saturating_add(Duration::from_millis(period));
        self.settings.period.is_some_and(|period| due(period) <= now())
    }

    pub(crate) fn describe(&self, name: &KeyName) -> KeyInfo {
        let settings = &self.settings;
        KeyInfo {
            name: name.clone(),
            algorithm: self.algorithm,
            origin: settings.origin,
            created: self.created,
            serial: self.serial,
            first: self.first,
            newest: self.newest,
            rotated: self.rotated,
            settings: KeySettings {
                min_open: self.min_open(),
                min_seal: settings.min_seal,
                period: settings.period.map(Duration::from_millis),
                max_uses: settings.max_uses,
                exportable: settings.exportable,
                deletion_allowed: settings.deletion_allowed,
            },
            deleting: settings.deleting,
        }
    }
}
