//! Which file systems a database may lie on.

use std::{io, path::Path};

use super::error::{Attempt, Failure};
use crate::ErrorKind;

/// A file system, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSystem {
    /// What `statfs(2)` calls its type.
    pub(super) magic: u32,
    /// What the list of mounts calls it; asked for only where the magic number says too little.
    pub(super) name: Option<String>,
}

/// `FUSE_SUPER_MAGIC`: says nothing about where the files are.
const FUSE: u32 = 0x6573_5546;

/// File systems that several machines share, by magic number (`statfs(2)`, and the headers of those outside of the kernel).
///
/// SQLite's log keeps its index in memory that processes share, which processes on different machines do not, and its locks are
/// those of `fcntl(2)`, which many of these file systems only pretend to have (<https://www.sqlite.org/wal.html>).
const SHARED: [(u32, &str); 22] = [
    (0x0000_6969, "NFS"),
    (0x0000_517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636F, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "OrangeFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x6163_6673, "ACFS"),
    (0x0000_564C, "NCP"),
    (0x786F_4256, "VirtualBox shared folder"),
    (0xBACB_ACBC, "VMware shared folder"),
    (0x7C7C_6673, "Parallels shared folder"),
    (FUSE, "FUSE"),
];

/// File systems over FUSE that hold their files on a disk of this machine.
const LOCAL_FUSE: [&str; 1] = ["fuseblk"];

impl FileSystem {
    /// Asks the system what `folder` lies on.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let magic = u32::try_from(i128::from(rustix::fs::statfs(folder)?.f_type) & 0xFFFF_FFFF).unwrap_or_default();
        let name = if magic == FUSE { mount_type(folder)? } else { None };
        Ok(Self { magic, name })
    }

    /// Elsewhere nothing is known; SQLite's own locks have to do.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn of(_folder: &Path) -> io::Result<Self> {
        Ok(Self { magic: 0, name: None })
    }

    /// Fails if a database must not lie here.
    pub(super) fn admit(&self, database: &Path) -> Attempt<()> {
        if self.name.as_deref().is_some_and(|name| LOCAL_FUSE.contains(&name)) {
            return Ok(());
        }
        let Some((_, name)) = SHARED.iter().find(|(magic, _)| *magic == self.magic) else {
            return Ok(());
        };
        Err(Failure::new(
            ErrorKind::Unsuitable,
            format!(
                "`{}` lies on a network or shared file system ({name}), on which SQLite loses data; choose a folder on a \
                 local disk, or a server backend",
                database.display()
            ),
        ))
    }
}

/// Looks up the type of the file system that `folder` lies on in the list of mounts (`proc_pid_mountinfo(5)`).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn mount_type(folder: &Path) -> io::Result<Option<String>> {
    let device = rustix::fs::stat(folder)?.st_dev;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    Ok(find_mount_type(&std::fs::read_to_string("/proc/self/mountinfo")?, &device))
}

/// Finds the type in a line like `36 35 98:0 / /mnt rw shared:1 - fuseblk /dev/sda1 rw`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn find_mount_type(mounts: &str, device: &str) -> Option<String> {
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    let (_, behind) = line.split_once(" - ")?;
    behind.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_admitted(magic: u32, name: Option<&str>) -> bool {
        FileSystem { magic, name: name.map(str::to_owned) }.admit(Path::new("/srv/entries.db")).is_ok()
    }

    #[test]
    fn network_file_systems_are_refused() {
        for (magic, name) in SHARED {
            let refused = FileSystem { magic, name: None }.admit(Path::new("/srv/entries.db")).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Unsuitable);
            let message = refused.during("open a database").to_string();
            assert!(message.contains(name) && message.contains("/srv/entries.db"), "{message}");
        }
    }

    #[test]
    fn local_file_systems_are_admitted() {
        // ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS.
        for magic in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1] {
            assert!(is_admitted(magic, None), "{magic:x}");
        }
    }

    #[test]
    fn fuse_is_admitted_only_where_it_is_known_to_be_local() {
        assert!(is_admitted(FUSE, Some("fuseblk")));
        assert!(!is_admitted(FUSE, Some("fuse.sshfs")));
        assert!(!is_admitted(FUSE, Some("virtiofs")));
        assert!(!is_admitted(FUSE, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_type_of_a_mount_is_found_by_its_device() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      36 22 0:41 / /mnt/a\\040b rw - fuse.sshfs host:/srv rw,user_id=0\n";
        assert_eq!(find_mount_type(mounts, "0:41").as_deref(), Some("fuse.sshfs"));
        assert_eq!(find_mount_type(mounts, "254:0").as_deref(), Some("ext4"));
        assert_eq!(find_mount_type(mounts, "1:1"), None);
        assert_eq!(find_mount_type("garbage", "1:1"), None);
    }

    #[test]
    fn the_temporary_folder_of_this_machine_is_admitted() {
        let folder = std::env::temp_dir();
        assert!(FileSystem::of(&folder).unwrap().admit(&folder).is_ok());
    }
}
