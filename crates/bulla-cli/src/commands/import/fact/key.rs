//! The key that FACT derives of its passphrase.

use std::fs::File;
use std::num::NonZeroU32;

use bulla::{Passphrase, PassphraseError};
use bulla_seal::FernetKey;

use super::Args;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::passphrase;

/// The salt, which is the same everywhere.
const SALT: &[u8] = b"fact_salt_2024";
/// How often PBKDF2 hashes.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");

/// Reads the key, or what it is derived of.
pub(super) fn read(args: &Args, output: &Output) -> Result<FernetKey> {
    let failed = |error: PassphraseError| Failure::from(bulla::Error::from(error));
    let bad = |error: bulla_seal::FernetError| Failure::usage(error.to_string());
    if let Some(file) = &args.fernet_key_file {
        return FernetKey::from_text(Passphrase::read_file(file).map_err(failed)?.expose()).map_err(bad);
    }
    let passphrase = match (&args.passphrase_file, args.passphrase_fd) {
        (Some(file), _) => Passphrase::read_file(file).map_err(failed)?,
        // The way to a descriptor by its number that needs no unsafe code; what can be read from it is the same.
        (None, Some(number)) => File::open(format!("/dev/fd/{number}"))
            .map_err(PassphraseError::Read)
            .and_then(Passphrase::read)
            .map_err(failed)?,
        (None, None) => passphrase::ask_for(output, "passphrase that FACT found in FACT_MASTER_KEY")
            .map_err(|failure| failure.with_hint("name a file of mode 0600 that holds it with `--passphrase-file`"))?,
    };
    FernetKey::derive(passphrase.expose(), SALT, ROUNDS).map_err(bad)
}
