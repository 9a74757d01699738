//! Backups and archives.

use std::io::{Read, Write};
use std::path::Path;

use bulla_keyring::BackupInfo;
use bulla_store::{ExportCounts, ImportCounts, Observer, OnConflict, RestoreCounts, RestoreOptions};
use pollster::block_on;

use super::{Namespace, Project};
use crate::{BackupEvent, BackupOptions, Restoration, RestoreAs, RestoreEvent, Result, Settings};

impl Project {
    /// Writes a backup to a file; see [`crate::Project::back_up`].
    ///
    /// # Errors
    /// As there.
    pub fn back_up(
        &self,
        path: &Path,
        options: &BackupOptions,
        tell: &mut (dyn FnMut(BackupEvent<'_>) + Send),
    ) -> Result<BackupInfo> {
        block_on(self.0.back_up(path, options, tell))
    }

    /// Restores a backup; see [`crate::Project::restore`].
    ///
    /// # Errors
    /// As there.
    pub fn restore(
        settings: &Settings,
        path: &Path,
        restore_as: RestoreAs<'_>,
        options: &RestoreOptions,
        tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
    ) -> Result<Restoration> {
        block_on(crate::Project::restore(settings, path, restore_as, options, tell))
    }

    /// Restores the entries of a backup into this project; see [`crate::Project::restore_entries`].
    ///
    /// # Errors
    /// As there.
    pub fn restore_entries(
        &self,
        path: &Path,
        options: &RestoreOptions,
        tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
    ) -> Result<(BackupInfo, Option<RestoreCounts>)> {
        block_on(self.0.restore_entries(path, options, tell))
    }
}

impl Namespace {
    /// Writes the entries to an archive, in the clear; see [`bulla_store::Namespace::export`].
    ///
    /// # Errors
    /// As there.
    pub fn export<W: Write>(&self, out: W, observer: &mut Observer<'_, ExportCounts>) -> Result<(W, ExportCounts)> {
        Ok(block_on(self.0.export(out, observer))?)
    }

    /// Puts the entries of an archive; see [`bulla_store::Namespace::import`].
    ///
    /// # Errors
    /// As there.
    pub fn import<R: Read>(
        &self,
        source: R,
        on_conflict: OnConflict,
        observer: &mut Observer<'_, ImportCounts>,
    ) -> Result<ImportCounts> {
        Ok(block_on(self.0.import(source, on_conflict, observer))?)
    }
}
