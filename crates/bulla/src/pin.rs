//! What this machine remembers of a project's trust log, so that an older copy of the database is noticed.
//!
//! One file a project, and one for who may do what, in the folder `pins` beside the identity file. It only ever goes forward: behind a restore that an authoriser has
//! accepted, or to a longer log.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bulla_guard::access::AccessPin;
use bulla_keyring::TrustPin;
use bulla_seal::ProjectId;

use crate::files;
use crate::{Error, Result};

/// Longest file, in bytes: one line, in which the authorisers of the largest project have room.
const MAX_LEN: u64 = 1 << 20;

/// Longest pin of who may do what, in bytes: three numbers and a digest.
const MAX_ACCESS_PIN_LEN: u64 = 256;

/// Where a project's pin is kept.
#[derive(Debug)]
pub(crate) struct PinFile {
    path: PathBuf,
    project: ProjectId,
}

impl PinFile {
    pub(crate) fn beside(identity: &Path, project: ProjectId) -> Self {
        Self { path: files::folder(identity).join("pins").join(project.to_string()), project }
    }

    /// Says whether this machine has opened the project before.
    pub(crate) fn is_kept(&self) -> bool {
        self.path.exists()
    }

    /// Reads the pin; where there is none, the project id is all that is known.
    pub(crate) fn load(&self) -> Result<TrustPin> {
        match fs::metadata(&self.path) {
            Ok(found) if found.len() > MAX_LEN => return Err(self.bad("it is too long")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.project.into()),
            Err(error) => return Err(self.failed("read the trust pin", error)),
        }
        let text = fs::read_to_string(&self.path).map_err(|error| self.failed("read the trust pin", error))?;
        self.parse(&text)
    }

    /// Writes a pin, unless one that is further on is there. Says whether the pin is kept: not in a place that cannot be written.
    pub(crate) fn advance(&self, pin: &TrustPin) -> Result<bool> {
        go_forward(&self.path, pin, || self.is_behind(pin))
    }

    /// Says whether `pin` adds nothing to what is kept: no restore, nor a record since. Two logs of one length are a rollback of one of them.
    fn is_behind(&self, pin: &TrustPin) -> Result<bool> {
        if !self.is_kept() {
            return Ok(false);
        }
        let kept = self.load()?;
        let further = |pin: &TrustPin| (pin.restores(), pin.length());
        if further(&kept) == further(pin) && kept.head() != pin.head() {
            return Err(self.bad("another process saw a trust log of the same length that is not this one"));
        }
        Ok(further(&kept) >= further(pin))
    }

    fn parse(&self, text: &str) -> Result<TrustPin> {
        let line = text.strip_suffix('\n').ok_or_else(|| self.bad("it is cut off"))?;
        let pin: TrustPin = line.parse().map_err(|_| self.bad("it is not a trust pin"))?;
        if pin.project() == self.project { Ok(pin) } else { Err(self.bad("it is that of another project")) }
    }

    fn bad(&self, reason: &'static str) -> Error {
        Error::BadPin { path: self.path.clone(), reason }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> Error {
        Error::File { operation, path: self.path.clone(), source }
    }
}

/// Where it is kept how far this machine has seen who may do what: beside the pin of the trust log.
#[derive(Debug)]
pub(crate) struct AccessPinFile {
    path: PathBuf,
}

impl AccessPinFile {
    pub(crate) fn beside(identity: &Path, project: ProjectId) -> Self {
        Self { path: files::folder(identity).join("pins").join(format!("{project}.access")) }
    }

    /// Reads the pin, if there is one.
    pub(crate) fn load(&self) -> Result<Option<AccessPin>> {
        let bad = |reason| Error::BadPin { path: self.path.clone(), reason };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { operation: "read the pin", path: self.path.clone(), source }),
        };
        let mut text = String::new();
        file.take(MAX_ACCESS_PIN_LEN).read_to_string(&mut text).map_err(|source| Error::File {
            operation: "read the pin",
            path: self.path.clone(),
            source,
        })?;
        let line = text.strip_suffix('\n').ok_or_else(|| bad("it is cut off"))?;
        line.parse().map(Some).map_err(|_| bad("it is not an access pin"))
    }

    /// Writes a pin, unless one that is as far on is there. Says whether the pin is kept.
    pub(crate) fn advance(&self, pin: &AccessPin) -> Result<bool> {
        go_forward(&self.path, pin, || Ok(self.load()?.is_some_and(|kept| !pin.is_after(&kept))))
    }
}

/// Writes a pin, unless it is behind what is there. Says whether it is kept: not in a place that cannot be written.
fn go_forward(path: &Path, pin: &impl fmt::Display, is_behind: impl Fn() -> Result<bool>) -> Result<bool> {
    let failed = |source| Error::File { operation: "write the pin", path: path.to_owned(), source };
    let written = (|| {
        if is_behind()? {
            return Ok(());
        }
        let folder = files::folder(path);
        files::create_folders(folder).map_err(failed)?;
        // Other processes of this machine may be about to write theirs. Released when it is dropped.
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if is_behind()? {
            return Ok(());
        }
        files::replace(path, format!("{pin}\n").as_bytes(), files::PRIVATE).map_err(failed)
    })();
    match written {
        Ok(()) => Ok(true),
        Err(Error::File { source, .. })
            if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId([7; 32]);

    fn pin(length: u64) -> TrustPin {
        format!("{PROJECT} {length} {}", "09".repeat(32)).parse().unwrap()
    }

    fn restored(length: u64, restores: u64) -> TrustPin {
        format!("{} {restores} {}", pin(length), "05".repeat(32)).parse().unwrap()
    }

    #[test]
    fn a_pin_only_goes_forward() {
        let folder = tempfile::tempdir().unwrap();
        let file = PinFile::beside(&folder.path().join("identity"), PROJECT);
        assert_eq!(file.load().unwrap(), PROJECT.into());
        for (written, kept) in [(3, 3), (2, 3), (5, 5), (5, 5), (4, 5)] {
            assert!(file.advance(&pin(written)).unwrap());
            assert_eq!(file.load().unwrap(), pin(kept));
        }
    }

    #[test]
    fn behind_an_accepted_restore_a_pin_is_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let file = PinFile::beside(&folder.path().join("identity"), PROJECT);
        file.advance(&pin(9)).unwrap();
        for (written, kept) in [
            (restored(4, 1), restored(4, 1)),
            (pin(20), restored(4, 1)),
            (restored(6, 1), restored(6, 1)),
            (restored(3, 2), restored(3, 2)),
        ] {
            assert!(file.advance(&written).unwrap());
            assert_eq!(file.load().unwrap(), kept);
        }
        let other = format!("{PROJECT} 3 {} 2", "08".repeat(32)).parse().unwrap();
        assert_eq!(file.advance(&other).unwrap_err().code(), "bad_pin");
    }

    #[test]
    fn an_altered_pin_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = PinFile::beside(&folder.path().join("identity"), PROJECT);
        file.advance(&pin(3)).unwrap();
        let good = fs::read_to_string(&file.path).unwrap();
        for end in 0..good.len() {
            fs::write(&file.path, &good[..end]).unwrap();
            assert_eq!(file.load().unwrap_err().code(), "bad_pin", "cut at {end}");
        }
        let theirs = good.replace(&PROJECT.to_string(), &ProjectId([8; 32]).to_string());
        for bad in [theirs, good.replace(" 3 ", " 0 "), good.clone() + "\n", "x".repeat(2 << 20)] {
            fs::write(&file.path, bad).unwrap();
            assert_eq!(file.load().unwrap_err().code(), "bad_pin");
        }
    }
}
