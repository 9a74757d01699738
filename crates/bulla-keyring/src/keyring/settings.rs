//! Changing the settings of a key.

use std::sync::atomic::{AtomicBool, Ordering};

use super::rows::FoundKey;
use super::{Keyring, refuse_system};
use crate::format::KeyBody;
use crate::{Exportable, KeyInfo, KeyName, KeySetting, KeyringError, MIN_PERIOD, Result};

impl Keyring {
    /// Changes settings of a key, all or none.
    ///
    /// # Errors
    /// [`KeyringError::Setting`] for one that the key cannot have; [`KeyringError::NotAuthorised`] if one restricts the key and this
    /// machine may not authorise; as [`Keyring::rotate_key`].
    ///
    /// # Security
    /// A setting that restricts is remembered by the trust log, so that an older copy of the key is refused. One that does not is undone by
    /// whoever restores an older copy, as far as no process remembers it.
    pub async fn change_settings(&self, name: &KeyName, settings: &[KeySetting]) -> Result<KeyInfo> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let machine = self.identity.fingerprint();
        let may_restrict = trusted.may_authorise(machine);
        let (changes, restricts) = (AtomicBool::new(false), AtomicBool::new(false));
        let change = |found: &FoundKey| {
            found.body.check_alive(name)?;
            let mut changed = found.body.clone();
            let mut restricted = false;
            for setting in settings {
                restricted |= apply(name, &mut changed, *setting)?;
            }
            if restricted && !may_restrict {
                return Err(KeyringError::NotAuthorised(machine));
            }
            let differs = changed != found.body;
            restricts.store(restricted, Ordering::Relaxed);
            changes.store(differs, Ordering::Relaxed);
            Ok(differs.then_some(changed))
        };
        let body = self.change_key(&mut trusted, name, change).await?;
        // Where nothing was left to change, what changed it may have been interrupted before it raised the floor.
        let repeated = !changes.into_inner() && may_restrict && settings.iter().any(KeySetting::may_restrict);
        if restricts.into_inner() || repeated {
            self.keep_restriction(&trusted, name, body.serial).await?;
        }
        Ok(body.describe(name))
    }
}

impl KeySetting {
    fn may_restrict(&self) -> bool {
        match self {
            Self::MinOpen(_) | Self::MinSeal(_) => true,
            Self::Exportable(exportable) => *exportable != Exportable::Yes,
            Self::DeletionAllowed(allowed) => !allowed,
            Self::Period(_) | Self::MaxUses(_) => false,
        }
    }
}

/// Changes one setting; says whether that restricts the key.
pub(super) fn apply(name: &KeyName, body: &mut KeyBody, setting: KeySetting) -> Result<bool> {
    let refuse = |reason| Err(KeyringError::Setting { name: name.clone(), reason });
    let before = body.clone();
    let settings = &mut body.settings;
    match setting {
        KeySetting::MinOpen(number) => {
            if !before.has(number) {
                return refuse("the lowest version to open must be one that the key has");
            }
            settings.min_open = (number > before.first).then_some(number);
            Ok(number > before.min_open())
        }
        KeySetting::MinSeal(None) => {
            settings.min_seal = None;
            Ok(before.settings.min_seal.is_some())
        }
        KeySetting::MinSeal(Some(number)) => {
            if !before.has(number) {
                return refuse("the lowest version to seal under must be one that the key has");
            }
            settings.min_seal = Some(number);
            Ok(before.settings.min_seal.is_some_and(|lowest| lowest < number))
        }
        KeySetting::Period(None) => {
            settings.period = None;
            Ok(false)
        }
        KeySetting::Period(Some(_)) if before.is_external() => {
            refuse("only its source rotates a key whose material comes from outside, at no period")
        }
        KeySetting::Period(Some(period)) => match u64::try_from(period.as_millis()) {
            Ok(millis) if period >= MIN_PERIOD => {
                settings.period = Some(millis);
                Ok(false)
            }
            _ => refuse("a period is at least a minute, and no longer than can be written"),
        },
        KeySetting::MaxUses(Some(0)) => refuse("a version is used at least once"),
        KeySetting::MaxUses(uses) => {
            settings.max_uses = uses;
            Ok(false)
        }
        KeySetting::Exportable(exportable) => {
            if before.is_never_exported() && exportable != Exportable::Never {
                return Err(KeyringError::NotExportable(name.clone()));
            }
            settings.exportable = exportable;
            Ok(strictness(exportable) > strictness(before.settings.exportable))
        }
        KeySetting::DeletionAllowed(allowed) => {
            settings.deletion_allowed = allowed;
            Ok(before.settings.deletion_allowed && !allowed)
        }
    }
}

fn strictness(exportable: Exportable) -> u8 {
    match exportable {
        Exportable::Yes => 0,
        Exportable::No => 1,
        Exportable::Never => 2,
    }
}
