//! Small files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bulla_seal::fill_random;

/// Mode of what is for its owner alone.
pub(crate) const PRIVATE: u32 = 0o600;
/// Mode of what is no secret; the umask cuts it further.
pub(crate) const PUBLIC: u32 = 0o644;

/// Returns the folder that a file lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a folder and those above it that are missing, for their owner only.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file, in the place of one that may be there.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary(path)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Of no use to anybody; the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder(path))?.sync_all()
}

/// Names a file beside `path` that nobody else uses.
pub(crate) fn temporary(path: &Path) -> io::Result<PathBuf> {
    let mut suffix = [0; 8];
    fill_random(&mut suffix).map_err(io::Error::other)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{:016x}", u64::from_be_bytes(suffix)));
    Ok(path.with_file_name(name))
}
