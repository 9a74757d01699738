//! Passphrases, and what it costs to try one.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use argon2::{Argon2, Block, Params, Version};
use bulla_seal::{Secret, SecretVec};
use zeroize::Zeroizing;

use crate::private_file::{self, Refused};

/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE_LEN: usize = 1_024;

/// Longest passphrase file: the passphrase and its line end.
const MAX_FILE_LEN: usize = MAX_PASSPHRASE_LEN + 2;

/// Length of the salt that goes with a passphrase, in bytes (RFC 9106 §3.1).
pub(crate) const PASSPHRASE_SALT_LEN: usize = 16;

/// A passphrase: its bytes as they are, 1 to [`MAX_PASSPHRASE_LEN`] of them. Wiped on drop, silent in `Debug`.
pub struct Passphrase(SecretVec);

impl Passphrase {
    /// Takes a passphrase. Copies that the caller made of it are the caller's to wipe.
    ///
    /// # Errors
    /// [`PassphraseError::Length`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, PassphraseError> {
        let bytes = SecretVec::new(bytes);
        if (1..=MAX_PASSPHRASE_LEN).contains(&bytes.expose().len()) {
            Ok(Self(bytes))
        } else {
            Err(PassphraseError::Length)
        }
    }

    /// Reads a passphrase from a file that nobody else has access to, as with an identity file. One line end behind it is not part of it.
    ///
    /// # Errors
    /// [`PassphraseError::File`], [`PassphraseError::Exposed`] or [`PassphraseError::Length`].
    pub fn read_file(path: &Path) -> Result<Self, PassphraseError> {
        let file = |source| PassphraseError::File { path: path.to_owned(), source };
        let bytes = private_file::read(path, MAX_FILE_LEN).map_err(|refused| match refused {
            Refused::NotAFile => file(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
            Refused::Exposed { mode, owner } => PassphraseError::Exposed { path: path.to_owned(), mode, owner },
            Refused::Io(error) => file(error),
        })?;
        Self::from_line(&bytes)
    }

    /// Reads a passphrase to the end of `source`. One line end behind it is not part of it.
    ///
    /// # Errors
    /// [`PassphraseError::Read`] or [`PassphraseError::Length`].
    pub fn read(source: impl Read) -> Result<Self, PassphraseError> {
        Self::from_line(&private_file::read_bounded(source, MAX_FILE_LEN).map_err(PassphraseError::Read)?)
    }

    /// Shows the passphrase.
    ///
    /// # Security
    /// The one way to the bytes: whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    fn from_line(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let line = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
        Self::new(line.to_vec())
    }

    /// Derives a key: Argon2id (RFC 9106) version 0x13, with an output of 32 bytes.
    pub(crate) fn derive(
        &self,
        cost: PassphraseCost,
        salt: &[u8; PASSPHRASE_SALT_LEN],
    ) -> Result<Secret<32>, OutOfMemory> {
        let out_of_memory = OutOfMemory { memory_kib: cost.memory_kib };
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| out_of_memory)?;
        let mut blocks = Zeroizing::new(Vec::new());
        // A refusal is an error like any other, and must not end the process.
        blocks.try_reserve_exact(params.block_count()).map_err(|_| out_of_memory)?;
        blocks.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params);
        let mut derived = false;
        let key = Secret::build(|out| {
            derived = argon2.hash_password_into_with_memory(self.0.expose(), salt, out, blocks.as_mut_slice()).is_ok();
        });
        // Cannot fail: the lengths and parameters are in the bounds of RFC 9106.
        if derived { Ok(key) } else { Err(out_of_memory) }
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why there is no passphrase. None shows what was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Empty, or too long.
    #[error("a passphrase has 1 to {MAX_PASSPHRASE_LEN} bytes")]
    Length,
    /// Others could read or change the file.
    #[error(
        "`{}` has mode {mode:04o} and belongs to user {owner}: others can read this passphrase; make it yours, with mode 0600",
        .path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The user it belongs to.
        owner: u32,
    },
    /// The file could not be read.
    #[error("could not read the passphrase file `{}`: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was given could not be read.
    #[error("could not read the passphrase: {0}")]
    Read(io::Error),
}

/// The memory that trying a passphrase takes was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfMemory {
    pub(crate) memory_kib: u32,
}

/// What it costs to try one passphrase: the parameters of Argon2id (RFC 9106).
///
/// The default is the second recommended option of RFC 9106 §4: 64 MiB, 3 passes, 4 lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl PassphraseCost {
    /// Most memory, in KiB: 1 GiB. What is read from a file of somebody else's making cannot ask for more.
    pub const MAX_MEMORY_KIB: u32 = 1_048_576;
    /// Most passes.
    pub const MAX_PASSES: u32 = 10;
    /// Most lanes.
    pub const MAX_LANES: u32 = 16;

    /// Takes the memory in KiB, the number of passes and that of lanes, or returns `None` if one is out of bounds: at least 1, the memory at
    /// least eight times the lanes, and at most [`Self::MAX_MEMORY_KIB`], [`Self::MAX_PASSES`] and [`Self::MAX_LANES`].
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let in_bounds = (1..=Self::MAX_PASSES).contains(&passes)
            && (1..=Self::MAX_LANES).contains(&lanes)
            && (8 * lanes..=Self::MAX_MEMORY_KIB).contains(&memory_kib);
        in_bounds.then_some(Self { memory_kib, passes, lanes })
    }

    /// Returns the memory in KiB.
    #[must_use]
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes.
    #[must_use]
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes.
    #[must_use]
    pub fn lanes(self) -> u32 {
        self.lanes
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 65_536, passes: 3, lanes: 4 }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn a_passphrase_is_bounded_and_silent() {
        assert!(matches!(Passphrase::new(Vec::new()), Err(PassphraseError::Length)));
        assert!(matches!(Passphrase::new(vec![b'a'; 1_025]), Err(PassphraseError::Length)));
        let longest = Passphrase::new(vec![b'a'; 1_024]).unwrap();
        assert_eq!(format!("{longest:?}"), "Passphrase(..)");
    }

    #[test]
    fn one_line_end_is_no_part_of_it() {
        let read = |bytes: &[u8]| Passphrase::read(bytes).unwrap();
        let expected = Passphrase::new(b"correct horse".to_vec()).unwrap();
        assert_eq!(read(b"correct horse"), expected);
        assert_eq!(read(b"correct horse\n"), expected);
        assert_eq!(read(b"correct horse\r\n"), expected);
        assert_ne!(read(b"correct horse\n\n"), expected);
        assert_ne!(read(b" correct horse"), expected);
        assert!(matches!(Passphrase::read(&b"\n"[..]), Err(PassphraseError::Length)));
        let longest = [&[b'a'; 1_024][..], b"\r\n"].concat();
        assert_eq!(read(&longest), Passphrase::new(vec![b'a'; 1_024]).unwrap());
        assert!(matches!(Passphrase::read(io::repeat(b'a')), Err(PassphraseError::Length)));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        assert!(matches!(Passphrase::read_file(&path), Err(PassphraseError::File { .. })));
        fs::write(&path, "hunter2\n").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Passphrase::read_file(&path).unwrap_err();
            assert!(matches!(refused, PassphraseError::Exposed { .. }), "{mode:o}: {refused}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Passphrase::read_file(&path).unwrap(), Passphrase::new(b"hunter2".to_vec()).unwrap());
        }
    }

    #[test]
    fn parameters_are_bounded() {
        assert_eq!(PassphraseCost::new(65_536, 3, 4), Some(PassphraseCost::default()));
        assert!(PassphraseCost::new(8, 1, 1).is_some());
        assert!(PassphraseCost::new(1_048_576, 10, 16).is_some());
        for (memory, passes, lanes) in
            [(7, 1, 1), (31, 1, 4), (1_048_577, 1, 1), (64, 0, 1), (64, 11, 1), (64, 1, 0), (1_024, 1, 17)]
        {
            assert_eq!(PassphraseCost::new(memory, passes, lanes), None, "{memory} {passes} {lanes}");
        }
    }

    /// Memory, passes, lanes, and what OpenSSL derives with them.
    const KNOWN: [(u32, u32, u32, &str); 3] = [
        (8, 1, 1, "5dd4c928fbd5a4474236ef76d9d8304178fe5df3884d2d383e91b7703327e6c1"),
        (64, 2, 4, "4e9b77bdc856d0c9e7cac57232601c768fa04b050ac5919a5ea8672d0a94c76a"),
        (65_536, 3, 4, "efb51f9a76584f6dd6a4f7942a1a2f6ae5a6e4ec5142ff674dfd5d27eb45e446"),
    ];

    #[test]
    fn keys_are_those_of_argon2id() {
        let passphrase = Passphrase::new(b"correct horse battery staple".to_vec()).unwrap();
        let salt = *b"0123456789abcdef";
        for (memory, passes, lanes, expected) in KNOWN {
            let key = passphrase.derive(PassphraseCost::new(memory, passes, lanes).unwrap(), &salt).unwrap();
            assert_eq!(HEXLOWER.encode(key.expose()), expected, "{memory} {passes} {lanes}");
        }
    }
}
