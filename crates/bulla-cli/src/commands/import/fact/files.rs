//! Encrypted files, sealed anew.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use bulla::{Context, Key, Project};
use bulla_seal::{FernetKey, MAX_FERNET_LEN, SealWriter, SecretVec};

use super::walk::Found;
use super::{SUFFIX, refused};
use crate::commands::pair::{Broken, Ended, Pairing};
use crate::commands::seal;
use crate::commands::tally::{Done, Tally};
use crate::context::ContextArgs;
use crate::failure::{Failure, Result};
use crate::input::whole;
use crate::tree::{Attributes, Fresh};

/// What files are sealed with.
pub(super) struct Files<'a> {
    project: Arc<Project>,
    key: Key,
    context: &'a ContextArgs,
    movable: bool,
    force: bool,
}

impl<'a> Files<'a> {
    pub(super) async fn new(
        project: Arc<Project>,
        context: &'a ContextArgs,
        movable: bool,
        force: bool,
    ) -> Result<Self> {
        let key = project.key(project.settings().key().get())?;
        // What fails for every file is found out before the first.
        key.current().await?;
        context.build_for_file(&project.id(), b"")?;
        Ok(Self { project, key, context, movable, force })
    }

    /// Opens a file and seals what it held, with the mode and the time of the file. Others in a folder are left.
    pub(super) async fn import(&self, key: &FernetKey, found: &Found<'_>, tally: &mut Tally<'_>) -> Result<()> {
        let stem = found.name.as_bytes().strip_suffix(SUFFIX.as_bytes()).filter(|stem| !stem.is_empty());
        let Some(stem) = stem.or(found.is_named.then_some(found.name.as_bytes())) else {
            tally.other();
            return Ok(());
        };
        match self.try_import(key, found, OsStr::from_bytes(stem)).await {
            Ok((bytes, before)) => tally.done(&Done { path: found.path(), bytes, before }, false),
            Err(failure) => tally.failed(&found.path(), &failure),
        }
    }

    async fn try_import(&self, key: &FernetKey, found: &Found<'_>, stem: &OsStr) -> Result<(u64, bool)> {
        let folder = found.folder;
        let shown = folder.shown(found.name);
        let unreadable = |error: io::Error| Failure::file("read", &shown, &error);
        let file = if found.is_named { std::fs::File::open(&shown) } else { folder.open_file(found.name) };
        let file = file.map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let token = whole(&file, &shown.display().to_string(), metadata.len(), MAX_FERNET_LEN)?;
        let message = key.open(&token).map_err(refused)?.message;
        let len = message.expose().len() as u64;

        let context = if found.is_named || self.movable {
            self.context.build_for(&self.project.id())?
        } else {
            self.context.build_for_file(&self.project.id(), &folder.relative(stem))?
        };
        let name = OsString::from_vec([stem.as_bytes(), seal::SUFFIX.as_bytes()].concat());
        if self.holds(found, &name, &context, &message).await? {
            return Ok((len, true));
        }
        let target_shown = folder.shown(&name);
        let unwritable = |error: io::Error| Failure::file("write", &target_shown, &error);
        let version = self.key.current().await?;
        let mut fresh = Fresh::create(folder).map_err(unwritable)?;
        let mut writer = SealWriter::new(version.seal_key(), version.params(), &context, &mut fresh)?;
        writer.write_all(message.expose()).and_then(|()| writer.finish().map(drop)).map_err(unwritable)?;
        fresh.settle(Attributes::of(&metadata)).and_then(|()| fresh.name(&name, self.force)).map_err(unwritable)?;
        folder.sync().map_err(unwritable)?;
        Ok((len, false))
    }

    /// Says whether a file holds the message already, as an earlier run leaves it; one that holds something else is refused, unless it is to be
    /// replaced.
    async fn holds(&self, found: &Found<'_>, name: &OsStr, context: &Context, message: &SecretVec) -> Result<bool> {
        let shown = found.folder.shown(name);
        let sealed = match found.folder.open_file(name) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Failure::file("read", &shown, &error)),
        };
        let mut rest = message.expose();
        let mut same = true;
        let take = |piece: &[u8]| {
            match rest.strip_prefix(piece) {
                Some(behind) => rest = behind,
                None => same = false,
            }
            Ok(())
        };
        let pairing = Pairing::new(&self.project, self.key.clone());
        match pairing.open(&sealed, context, take).await {
            Ok(_) => same &= rest.is_empty(),
            Err(Broken::Refused(Ended::Tree(failure))) => return Err(failure),
            Err(_) => same = false,
        }
        if same || self.force {
            return Ok(same);
        }
        let exists = Failure::file("write", &shown, &io::ErrorKind::AlreadyExists.into());
        Err(exists.with_hint("it does not hold the same; `--force` replaces it"))
    }
}
