//! Which machine a text means.

use crate::keyring::Keyring;
use crate::trust_log::Machine;
use crate::{Fingerprint, KeyringError, Result};

impl Keyring {
    /// Returns the machine of a friendly name, or the one whose fingerprint begins so.
    ///
    /// A whole fingerprint always means the machine that has it, even if another took it for a name.
    ///
    /// # Errors
    /// [`KeyringError::EmptyMachine`]; [`KeyringError::NoMachine`]; [`KeyringError::AmbiguousMachine`], which lists the fingerprints that
    /// begin so; and as [`Keyring::refresh`].
    pub async fn find_machine(&self, text: &str) -> Result<(Fingerprint, Machine)> {
        let trusted = self.trusted().await?;
        if text.is_empty() {
            return Err(KeyringError::EmptyMachine);
        }
        if let Ok(fingerprint) = text.parse::<Fingerprint>() {
            let found = trusted.machines.get(&fingerprint).cloned();
            return found.map(|machine| (fingerprint, machine)).ok_or_else(|| KeyringError::NoMachine(text.to_owned()));
        }
        let named = trusted.machines.iter().find(|(_, machine)| machine.name.as_str() == text);
        let begin_so = trusted.machines.iter().filter(|(fingerprint, _)| fingerprint.to_string().starts_with(text));
        let found: Vec<_> = match named {
            Some(named) => vec![named],
            None => begin_so.collect(),
        };
        match found[..] {
            [] => Err(KeyringError::NoMachine(text.to_owned())),
            [(fingerprint, machine)] => Ok((*fingerprint, machine.clone())),
            _ => {
                let matches = found.iter().map(|(fingerprint, _)| **fingerprint).collect();
                Err(KeyringError::AmbiguousMachine { text: text.to_owned(), matches })
            }
        }
    }
}
