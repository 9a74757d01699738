//! Finding files: those that are named, and those below folders that are named.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;

use crate::commands::tally::{Left, Tally};
use crate::failure::{Exit, Failure, Result};
use crate::tree::{Folder, Kind, is_leftover};

/// Deepest folder that is entered: a descriptor is open for each.
const MAX_DEPTH: usize = 512;

/// A file.
pub(super) struct Found<'a> {
    pub(super) folder: &'a Arc<Folder>,
    pub(super) name: &'a OsStr,
    /// Whether it was named itself, and not a folder that it is below.
    pub(super) is_named: bool,
}

impl Found<'_> {
    /// Returns its path, as seen from the folder that was named.
    pub(super) fn path(&self) -> Vec<u8> {
        self.folder.relative(self.name)
    }
}

/// Deals with a file, or with every file below a folder.
pub(super) async fn each(
    path: &Path,
    tally: &mut Tally<'_>,
    deal: &mut impl AsyncFnMut(Found<'_>, &mut Tally<'_>) -> Result<()>,
) -> Result<()> {
    let failed = |path: &Path, error: &io::Error| Failure::file("read", path, error);
    match path.metadata() {
        Err(error) => return tally.failed(path.as_os_str().as_encoded_bytes(), &failed(path, &error)),
        Ok(metadata) if !metadata.is_dir() => {
            let name = path.file_name().unwrap_or_default();
            let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return match Folder::open(above).map(Arc::new) {
                Ok(folder) => deal(Found { folder: &folder, name, is_named: true }, tally).await,
                Err(error) => tally.failed(name.as_encoded_bytes(), &failed(above, &error)),
            };
        }
        Ok(_) => {}
    }
    let root = Folder::open(path).and_then(|folder| Ok((folder.names()?.into_iter(), Arc::new(folder))));
    let (names, folder) = match root {
        Ok((names, folder)) => (names, folder),
        Err(error) => return tally.failed(b"", &failed(path, &error)),
    };
    tally.folder();
    let mut levels: Vec<(Arc<Folder>, IntoIter<OsString>)> = vec![(folder, names)];
    loop {
        let depth = levels.len();
        let Some((folder, names)) = levels.last_mut() else { return Ok(()) };
        let Some(name) = names.next() else {
            levels.pop();
            continue;
        };
        let below = match folder.kind(&name) {
            Ok(Kind::Folder) => folder.enter(&name).and_then(|inner| Ok((inner.names()?.into_iter(), Arc::new(inner)))),
            Ok(Kind::Link) => {
                tally.left(&folder.relative(&name), Left::Link)?;
                continue;
            }
            Ok(Kind::File) if !is_leftover(&name) => {
                deal(Found { folder, name: &name, is_named: false }, tally).await?;
                continue;
            }
            Ok(_) => {
                tally.other();
                continue;
            }
            Err(error) => Err(error),
        };
        match below {
            Ok((names, inner)) if depth < MAX_DEPTH => {
                tally.folder();
                levels.push((inner, names));
            }
            Ok((_, inner)) => {
                let message =
                    format!("`{}` lies deeper than the {MAX_DEPTH} folders that are entered", inner.path().display());
                tally.failed(inner.place(), &Failure::new(Exit::Failed, "too_deep", message))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tally.failed(&folder.relative(&name), &failed(&folder.shown(&name), &error))?,
        }
    }
}
