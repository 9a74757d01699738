//! The modification time of a folder that is worked in.
//!
//! Each new name in a folder sets its time, and a process that is killed before it sets the time back cannot do so. So the time is first noted
//! on the folder itself, in an extended attribute, which changes no modification time; the next run finds it there. Where the file system has no
//! such attributes, the times of folders that a killed run was at work in are lost.

use std::io;

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};

use super::{Attributes, Folder, Moment, give_time};

const NOTE: &str = "user.bulla.modified";
const NOTE_LEN: usize = 16;
/// How often a folder is looked at anew whose time changes while it is looked at.
const LOOKS: usize = 16;

/// What the modification time of a folder was before anybody worked in it.
#[derive(Debug)]
pub(crate) struct FolderTime {
    modified: Moment,
    noted: bool,
}

impl FolderTime {
    /// Finds the time: that of the note, if there is one.
    ///
    /// Another process may be about to make or take away the note. It is made before the time changes and taken away behind, so that a time that is
    /// the same before and after the look for a note is the true one.
    pub(crate) fn of(folder: &Folder) -> io::Result<Self> {
        let now = || Ok::<_, io::Error>(Attributes::of(&folder.metadata()?).modified);
        let mut modified = now()?;
        for _ in 0..LOOKS {
            if let Some(modified) = read(folder) {
                return Ok(Self { modified, noted: true });
            }
            let again = now()?;
            if again == modified {
                break;
            }
            modified = again;
        }
        Ok(Self { modified, noted: false })
    }

    pub(crate) fn modified(&self) -> Moment {
        self.modified
    }

    /// Notes the time, before the first change.
    pub(crate) fn note(&mut self, folder: &Folder) {
        if self.noted {
            return;
        }
        let Moment { secs, nanos } = self.modified;
        let note = [secs.to_be_bytes(), nanos.to_be_bytes()].concat();
        // One that is there is another process's, of the same time. Where there can be none, all goes on without.
        let _ = fsetxattr(&folder.file, NOTE, &note, XattrFlags::CREATE);
        self.noted = true;
    }

    /// Sets the time back, if the folder was worked in.
    pub(crate) fn restore(&self, folder: &Folder) -> io::Result<()> {
        if !self.noted {
            return Ok(());
        }
        give_time(&folder.file, self.modified)?;
        // There may be none.
        let _ = fremovexattr(&folder.file, NOTE);
        Ok(())
    }
}

fn read(folder: &Folder) -> Option<Moment> {
    let mut note = [0; NOTE_LEN];
    let len = fgetxattr(&folder.file, NOTE, &mut note[..]).ok()?;
    let (secs, nanos) = note.get(..len)?.split_first_chunk::<8>()?;
    let nanos = i64::from_be_bytes(nanos.try_into().ok()?);
    (0..1_000_000_000).contains(&nanos).then_some(Moment { secs: i64::from_be_bytes(*secs), nanos })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_time_outlives_the_process_that_was_to_set_it_back() {
        let place = tempfile::tempdir().unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        File::open(place.path()).unwrap().set_modified(then).unwrap();
        let folder = Folder::open(place.path()).unwrap();
        FolderTime::of(&folder).unwrap().note(&folder);
        fs::write(place.path().join("file"), "x").unwrap();

        let mut second = FolderTime::of(&folder).unwrap();
        second.note(&folder);
        second.restore(&folder).unwrap();
        assert_eq!(fs::metadata(place.path()).unwrap().modified().unwrap(), then);
        assert!(read(&folder).is_none(), "no note is left");
        // Nothing was done, so that nothing is set back.
        let third = FolderTime::of(&folder).unwrap();
        fs::write(place.path().join("other"), "x").unwrap();
        third.restore(&folder).unwrap();
        assert_ne!(fs::metadata(place.path()).unwrap().modified().unwrap(), then);
    }
}
