use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use data_encoding::BASE64URL;
use zeroize::Zeroizing;

use crate::{MAC_LEN, MacKey, Secret, SecretVec};

/// Longest Fernet token that is opened, in bytes of text. It is dealt with in one piece.
pub const MAX_FERNET_LEN: usize = 512 << 20;

const VERSION: u8 = 0x80;
const TIME_LEN: usize = 8;
const IV_LEN: usize = 16;
const HALF_LEN: usize = 16;

/// A key of Fernet, a format of others: it opens what they wrote, and seals nothing.
///
/// The format is version 0x80 of the Fernet specification (github.com/fernet/spec): AES-128 in CBC mode under one half of the key, and
/// HMAC-SHA256 under the other over all that comes before the tag, in base64url with padding.
///
/// # Security
/// The tag is verified before anything is decrypted. A token says nothing about what it belongs to: one that was copied from another
/// place opens all the same.
pub struct FernetKey {
    signing: MacKey,
    encryption: Secret<HALF_LEN>,
}

/// What a Fernet token held.
#[derive(Debug)]
pub struct FernetMessage {
    /// When the token says that it was made, in seconds since 1970-01-01 00:00 UTC.
    pub created_secs: u64,
    /// The message.
    pub message: SecretVec,
}

/// Why a Fernet key or token was refused.
///
/// # Security
/// A wrong key, a wrong tag, bad padding and text that is no token at all are one error on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FernetError {
    /// The text is no key.
    #[error("this is not a Fernet key: it has 32 bytes, in base64url with padding")]
    BadKey,
    /// The token does not open.
    #[error("the Fernet token cannot be opened: it is under another key, is altered, or is none")]
    CannotOpen,
    /// The token is longer than what is opened.
    #[error("the Fernet token is longer than the {MAX_FERNET_LEN} bytes that are opened")]
    TooLong,
}

impl FernetKey {
    /// Reads a key in its text form.
    ///
    /// # Errors
    /// [`FernetError::BadKey`] unless it is 32 bytes in base64url (RFC 4648 §5) with padding.
    pub fn from_text(text: &[u8]) -> Result<Self, FernetError> {
        let bytes = Zeroizing::new(BASE64URL.decode(text).map_err(|_| FernetError::BadKey)?);
        Self::from_secret(&Secret::from_slice(&bytes).ok_or(FernetError::BadKey)?)
    }

    /// Takes the 32 bytes of a key.
    ///
    /// # Errors
    /// [`FernetError::BadKey`] if the cryptographic library refuses them.
    pub fn from_secret(key: &Secret<32>) -> Result<Self, FernetError> {
        let (signing, encryption) = key.expose().split_at(HALF_LEN);
        let signing = MacKey::new(signing).map_err(|_| FernetError::BadKey)?;
        Ok(Self { signing, encryption: Secret::from_slice(encryption).ok_or(FernetError::BadKey)? })
    }

    /// Derives the key that a password stands for: PBKDF2 with HMAC-SHA256 (RFC 8018 §5.2), as applications commonly do for Fernet.
    ///
    /// # Errors
    /// As [`Self::from_secret`].
    pub fn derive(password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Result<Self, FernetError> {
        let key = Secret::build(|out| pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password, out));
        Self::from_secret(&key)
    }

    /// Opens a token. Its age is the caller's to judge.
    ///
    /// # Errors
    /// [`FernetError::CannotOpen`] or [`FernetError::TooLong`].
    pub fn open(&self, token: &[u8]) -> Result<FernetMessage, FernetError> {
        if token.len() > MAX_FERNET_LEN {
            return Err(FernetError::TooLong);
        }
        let bytes = Zeroizing::new(BASE64URL.decode(token).map_err(|_| FernetError::CannotOpen)?);
        self.open_bytes(bytes).ok_or(FernetError::CannotOpen)
    }

    /// Opens version ‖ time ‖ IV ‖ body ‖ tag (specification, "Verifying").
    fn open_bytes(&self, mut bytes: Zeroizing<Vec<u8>>) -> Option<FernetMessage> {
        let (authenticated, tag) = bytes.split_last_chunk_mut::<MAC_LEN>()?;
        if !self.signing.verifies(authenticated, tag) {
            return None;
        }
        let (&mut version, rest) = authenticated.split_first_mut()?;
        let (&mut time, rest) = rest.split_first_chunk_mut::<TIME_LEN>()?;
        let (&mut iv, body) = rest.split_first_chunk_mut::<IV_LEN>()?;
        if version != VERSION {
            return None;
        }
        let key = UnboundCipherKey::new(&AES_128, self.encryption.expose()).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        // Authentic by now, so that what the padding looks like tells nobody anything new.
        let len = key.decrypt(body, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?.len();
        bytes.copy_within(1 + TIME_LEN + IV_LEN.., 0);
        bytes.truncate(len);
        let message = SecretVec::new(std::mem::take(&mut *bytes));
        Some(FernetMessage { created_secs: u64::from_be_bytes(time), message })
    }
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FernetKey(..)")
    }
}

/// The vectors of the specification. Its last two tokens that are not to be opened are too old and too new: that is the caller's to judge.
#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    /// 1985-10-26 08:20:00 UTC.
    const THEN: u64 = 499_162_800;

    #[test]
    fn the_token_of_the_specification_opens() {
        let opened = FernetKey::from_text(KEY).unwrap().open(TOKEN.as_bytes()).unwrap();
        assert_eq!((opened.message.expose(), opened.created_secs), (b"hello".as_slice(), THEN));
    }

    #[test]
    fn the_invalid_tokens_of_the_specification_are_refused_alike() {
        let key = FernetKey::from_text(KEY).unwrap();
        for (what, token) in [
            (
                "tag",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            ),
            ("too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA=="),
            (
                "no base64",
                "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            ),
            (
                "no whole blocks",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            ),
            (
                "padding",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            ),
            (
                "another IV",
                "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            ),
        ] {
            assert_eq!(key.open(token.as_bytes()).err(), Some(FernetError::CannotOpen), "{what}");
        }
    }

    #[test]
    fn a_token_says_when_it_was_made() {
        let key = FernetKey::from_text(KEY).unwrap();
        for (created_secs, token) in [
            (
                THEN + 36_001,
                "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
            ),
            (
                THEN + 1,
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            ),
        ] {
            assert_eq!(key.open(token.as_bytes()).unwrap().created_secs, created_secs);
        }
    }

    #[test]
    fn every_altered_token_is_refused() {
        let key = FernetKey::from_text(KEY).unwrap();
        let bytes = BASE64URL.decode(TOKEN.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut altered = bytes.clone();
                altered[at] ^= bit;
                let refused = key.open(BASE64URL.encode(&altered).as_bytes());
                assert_eq!(refused.err(), Some(FernetError::CannotOpen), "bit {bit} of byte {at}");
            }
        }
        for len in 0..bytes.len() {
            assert!(key.open(BASE64URL.encode(&bytes[..len]).as_bytes()).is_err(), "cut to {len}");
        }
        // One text for one token: neither without padding, nor in another alphabet, nor with something round it.
        let text = TOKEN.trim_end_matches('=');
        for other in [text.to_owned(), format!("{TOKEN}\n"), format!(" {TOKEN}"), TOKEN.replace('_', "/")] {
            assert_eq!(key.open(other.as_bytes()).err(), Some(FernetError::CannotOpen), "{other}");
        }
        let other = FernetKey::from_text(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert_eq!(other.open(TOKEN.as_bytes()).err(), Some(FernetError::CannotOpen));
    }

    #[test]
    fn another_version_is_refused_even_with_its_tag() {
        let mut bytes = BASE64URL.decode(TOKEN.as_bytes()).unwrap();
        bytes[0] = 0x81;
        let at = bytes.len() - MAC_LEN;
        let signing = MacKey::new(&BASE64URL.decode(KEY).unwrap()[..HALF_LEN]).unwrap();
        let tag = signing.tag(&bytes[..at]);
        bytes[at..].copy_from_slice(&tag);
        let key = FernetKey::from_text(KEY).unwrap();
        assert_eq!(key.open(BASE64URL.encode(&bytes).as_bytes()).err(), Some(FernetError::CannotOpen));
    }

    #[test]
    fn keys_are_read_and_silent() {
        for text in [&KEY[..43], b"", b"AAAA", b"cw+0x689RpI+jtRR7oE8h/eQsKImvJapLeSbXpwF4e4="] {
            assert_eq!(FernetKey::from_text(text).err(), Some(FernetError::BadKey));
        }
        assert_eq!(format!("{:?}", FernetKey::from_text(KEY).unwrap()), "FernetKey(..)");
    }

    /// Token and key as the package `cryptography` 50.0.2 made them of the password.
    #[test]
    fn a_password_stands_for_the_key_that_pbkdf2_derives() {
        let key = FernetKey::derive(b"correct horse", b"fact_salt_2024", NonZeroU32::new(100_000).unwrap()).unwrap();
        let opened = key.open(PASSWORD_TOKEN.as_bytes()).unwrap();
        assert_eq!(opened.message.expose(), b"forty-two widgets");
        let wrong = FernetKey::derive(b"correct horse", b"fact_salt_2024", NonZeroU32::new(99_999).unwrap()).unwrap();
        assert!(wrong.open(PASSWORD_TOKEN.as_bytes()).is_err());
    }

    const PASSWORD_TOKEN: &str = "gAAAAABoirIAAAECAwQFBgcICQoLDA0OD0_3inv1yqwg6CMZ16uyqD0T92wKW5yXujr6uABuHegfMbxN9r2Ff3lzgwxuUbxP1gbUAy_6RgM4f8c37shdHJM=";
}
