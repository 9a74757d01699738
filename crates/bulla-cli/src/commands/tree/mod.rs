//! All files of a folder at once: what `seal --recursive` and `open --recursive` do.

mod worker;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bulla::Project;
use worker::Worker;

use super::Desk;
use super::seal::SUFFIX;
use super::tally::Words;
use crate::context::ContextArgs;
use crate::failure::{Failure, Result};
use crate::input::DASH;
use crate::tree::{Folder, Id};

/// Which way the work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Seal,
    Open,
}

impl Direction {
    fn words(self) -> Words {
        match self {
            Self::Seal => Words { done: "sealed", doing: "sealing" },
            Self::Open => Words { done: "opened", doing: "opening" },
        }
    }

    /// Returns the name that a file gets; none if it is not for this way.
    fn target_name(self, name: &OsStr) -> Option<OsString> {
        let bytes = name.as_bytes();
        match self {
            Self::Seal => Some(OsString::from_vec([bytes, SUFFIX.as_bytes()].concat())),
            Self::Open => {
                let stem = bytes.strip_suffix(SUFFIX.as_bytes()).filter(|stem| !stem.is_empty())?;
                Some(OsStr::from_bytes(stem).to_owned())
            }
        }
    }
}

/// What is to be done to the files of a folder.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) direction: Direction,
    pub(super) folder: Option<&'a Path>,
    pub(super) output: Option<&'a Path>,
    pub(super) force: bool,
    pub(super) remove_source: bool,
    /// Not bound to where each file lies.
    pub(super) movable: bool,
    pub(super) key: Option<&'a OsStr>,
    pub(super) context: &'a ContextArgs,
}

pub(super) async fn run(plan: &Plan<'_>, desk: &Desk) -> Result<()> {
    let Some(root) = plan.folder.filter(|path| path.as_os_str() != DASH) else {
        return Err(Failure::usage("`--recursive` needs a folder, and there is none on standard input"));
    };
    if plan.output.is_some_and(|path| path.as_os_str() == DASH) {
        return Err(Failure::usage("`--recursive` writes files, and none to standard output"));
    }
    let project = desk.project_with_key(plan.key).await?;
    let key = project.key(project.settings().key().get())?;
    if plan.direction == Direction::Seal {
        // What fails for every file is found out before the first.
        key.current().await?;
    }
    if !plan.movable {
        plan.context.build_for_file(&project.id(), b"").map_err(|failure| {
            failure.with_hint("each file is bound to its `path`; name another field, or give `--movable`")
        })?;
    }

    let source = Folder::open(root).map_err(|error| Failure::file("read", root, &error))?;
    let target = match plan.output {
        Some(output) => {
            keep_apart(root, output)?;
            Some(open_output(output).map_err(|error| Failure::file("write", output, &error))?)
        }
        None => None,
    };
    let own = own_places(&project);
    Worker::new(desk, plan, &project, key, own).run(source, target).await
}

/// Refuses two folders of which one lies in the other: the work would meet what it has done.
fn keep_apart(root: &Path, output: &Path) -> Result<()> {
    let failed = |path: &Path, error: &std::io::Error| Failure::file("find", path, error);
    let from = fs::canonicalize(root).map_err(|error| failed(root, &error))?;
    let to = match fs::canonicalize(output) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let above = output.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::canonicalize(above).map_err(|error| failed(above, &error))?.join(output.file_name().unwrap_or_default())
        }
        found => found.map_err(|error| failed(output, &error))?,
    };
    if from.starts_with(&to) || to.starts_with(&from) {
        let message = format!("`{}` and `{}` must not lie in each other", root.display(), output.display());
        return Err(
            Failure::usage(message).with_hint("without `-o`, each file is written beside the one it is made of")
        );
    }
    Ok(())
}

fn open_output(output: &Path) -> std::io::Result<Folder> {
    match Folder::open(output) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let above = output.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = output.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
            let above = Folder::open(above)?;
            above.enter_or_make(name)?;
            above.sync()?;
            // Opened anew as a root: paths are as seen from here.
            Folder::open(output)
        }
        opened => opened,
    }
}

/// Finds what the project and this machine cannot do without: sealed, and its source removed, nothing could be opened any more.
fn own_places(project: &Project) -> HashSet<Id> {
    let settings = project.settings();
    let beside = settings.identity().get().as_deref().and_then(Path::parent);
    let paths = [
        settings.backend().get().folder().map(Path::to_owned),
        Some(settings.file().to_owned()),
        settings.identity().get().clone(),
        settings.passphrase_file().get().clone(),
        beside.map(|folder| folder.join("pins")),
        beside.map(|folder| folder.join("audit")),
    ];
    paths
        .into_iter()
        .flatten()
        .filter_map(|path: PathBuf| fs::metadata(path).ok())
        .map(|found| Id::of(&found))
        .collect()
}
