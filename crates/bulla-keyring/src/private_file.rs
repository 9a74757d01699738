//! Files for their owner's eyes only: which ones are read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::{getegid, geteuid, getgroups};
use zeroize::Zeroizing;

const ROOT: u32 = 0;

/// Why a file is not read.
pub(crate) enum Refused {
    /// Others could read or change it.
    Exposed { mode: u32, owner: u32 },
    /// A folder, a device or the like.
    NotAFile,
    /// The system refused.
    Io(io::Error),
}

/// Opens a file that belongs to this user, and to which nobody else has access. The one exception is a secret as platforms hand it over: it
/// belongs to root, and to a group of this process or to root's, with mode 0440 or less.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), Refused> {
    // Without waiting for the other end of a pipe.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).map_err(|_| Refused::Io(io::ErrorKind::InvalidInput.into()))?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Refused::Io)?;
    let metadata = file.metadata().map_err(Refused::Io)?;
    if !metadata.is_file() {
        return Err(Refused::NotAFile);
    }
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if !is_private(mode, owner == geteuid().as_raw(), owner == ROOT && is_handed_to_us(metadata.gid())) {
        return Err(Refused::Exposed { mode, owner });
    }
    Ok((file, metadata))
}

/// Reads such a file, at most one byte more than `max_len`.
pub(crate) fn read(path: &Path, max_len: usize) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let (file, _) = open(path)?;
    read_bounded(file, max_len).map_err(Refused::Io)
}

/// Reads what there is, at most one byte more than `max_len`.
pub(crate) fn read_bounded(source: impl Read, max_len: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once, with room for the look that finds the end, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_len + 1 + 64));
    source.take(max_len as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Says whether a file is for nobody but this user, or is a secret mounted for a group of this process.
///
/// `is_ours` compares with the effective user, also where that is root: root could read every file, and must not take another user's
/// for its own.
fn is_private(mode: u32, is_ours: bool, is_mounted_for_us: bool) -> bool {
    (is_ours && mode & 0o077 == 0) || (is_mounted_for_us && mode & !0o440 == 0)
}

/// Container platforms mount a secret for a group of the process. systemd leaves a credential with root's group and names the user of the
/// service in an access control list, whose mask is what the mode shows for the group. Without being named there, the file could not be opened.
fn is_handed_to_us(group: u32) -> bool {
    group == ROOT || is_our_group(group)
}

fn is_our_group(group: u32) -> bool {
    let supplementary = getgroups().unwrap_or_default();
    getegid().as_raw() == group || supplementary.iter().any(|ours| ours.as_raw() == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_roots_group_was_handed_to_us() {
        assert!(is_handed_to_us(ROOT));
        assert!(is_handed_to_us(getegid().as_raw()));
        assert!(!is_handed_to_us(u32::MAX - 1));
    }

    #[test]
    fn a_mounted_secret_is_accepted() {
        for mode in [0o440, 0o400, 0o040] {
            assert!(is_private(mode, false, true), "{mode:o}");
        }
        for mode in [0o640, 0o444, 0o460, 0o600, 0o4440] {
            assert!(!is_private(mode, false, true), "{mode:o}");
        }
        assert!(is_private(0o600, true, false));
        for mode in [0o600, 0o440, 0o400] {
            assert!(!is_private(mode, false, false), "{mode:o}");
        }
    }
}
