//! Where a key's material comes from, and the secrets that come from there.
//!
//! A [`Source`] is asked each time a value is needed, and gives one value, or two that belong together: one for the forward path and one for
//! the back path. [`SourceSpec`] is what settings and the command line write: `generate`, `env:NAME`, `file:PATH` or `command:PROGRAM ARGUMENT…`.
//! Programs have [`callable`] besides, and whatever else implements the trait.
//!
//! # Security
//! A source belongs to the code or the settings of the machine that uses it. It is never read from a database: who writes
//! the database could have commands run elsewhere.
//!
//! # Examples
//! ```
//! use bulla_keyring::source::{Source, SourceSpec};
//!
//! # pollster::block_on(async {
//! let spec: SourceSpec = "command:printf 'k%s' 1".parse()?;
//! assert_eq!(spec.source().fetch().await?.forward().expose(), b"k1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod callable;
mod command;
mod environment;
mod error;
mod file;
mod generate;
mod hex_keys;
mod spec;
mod value;

use std::fmt;

use async_trait::async_trait;

pub use callable::{Callable, callable};
pub use command::{COMMAND_TIME, CommandSource};
pub use environment::EnvironmentSource;
pub use error::{RemoteProblem, SourceError};
pub use file::FileSource;
pub use generate::Generate;
pub use hex_keys::{HexKeyWarning, HexKeys, MAX_HEX_KEYS, MIN_SIGNING_KEY_LEN, ParseHexKeysError, ShortKeyError};
pub use spec::{ParseSourceError, SourceSpec};
pub use value::{SecretPair, SecretValue};

/// Longest value that a source gives, in bytes.
pub const MAX_VALUE_LEN: usize = 65_536;

/// Where a key's material comes from.
///
/// Values are fetched on demand: a source keeps none.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// Fetches what the source holds now.
    ///
    /// # Errors
    /// [`SourceError`], which names the source and never shows what it holds.
    async fn fetch(&self) -> Result<SecretPair, SourceError>;

    /// Returns a mark that differs from an earlier one if the value may have changed since, or `None` where only fetching it tells.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    fn mark(&self) -> Result<Option<SourceMark>, SourceError> {
        Ok(None)
    }
}

/// Stands for the state of a source at some moment; see [`Source::mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceMark(pub [u8; 32]);

/// Takes what an outside source gave for a value: neither nothing nor too much, text where it is UTF-8.
fn checked(bytes: Vec<u8>, describe: impl Fn() -> String) -> Result<SecretValue, SourceError> {
    if bytes.is_empty() {
        return Err(SourceError::Empty(describe()));
    }
    if bytes.len() > MAX_VALUE_LEN {
        drop(SecretValue::from(bytes));
        return Err(SourceError::TooLong(describe()));
    }
    Ok(SecretValue::from_read(bytes))
}

/// Removes the line feed that ends a line of text; what is no text stays as it is.
fn without_line_end(bytes: &mut Vec<u8>) {
    if std::str::from_utf8(bytes).is_ok() && bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
}
