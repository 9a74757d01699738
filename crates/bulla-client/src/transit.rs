//! Named keys: encryption, signatures and authentication by the server.

mod items;
mod keys;
mod one_way;
mod values;

use crate::{Client, Result, path};

pub use items::{ItemError, Message, Plaintext};
pub use keys::{KeyOptions, KeyVersionInfo, TransitKey};
pub use one_way::Signature;
pub use values::{Ciphertext, DataKey, Encrypted};

/// The door to named keys. [`Client::transit`] opens it.
///
/// What encrypts, decrypts, signs and verifies changes nothing on the server, and is tried again where that helps.
#[derive(Debug, Clone, Copy)]
pub struct Transit<'a> {
    client: &'a Client,
    mount: &'a str,
}

impl<'a> Transit<'a> {
    pub(crate) fn new(client: &'a Client, mount: &'a str) -> Self {
        Self { client, mount }
    }

    /// Returns the path of what is done with a key.
    fn path(&self, what: &str, key: &str) -> Result<String> {
        Ok(format!("{}/{what}/{}", path::encoded(self.mount)?, path::segment(key)?))
    }
}
