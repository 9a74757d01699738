use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::vec::IntoIter;

use bulla::{Context, Key, Project};
use rustix::fs::Advice;

use super::{Direction, Plan};
use crate::commands::Desk;
use crate::commands::pair::{Broken, Ended, Pairing, ended};
use crate::commands::tally::{Done, Left, Tally};
use crate::failure::{Exit, Failure, Result};
use crate::tree::{Attributes, Folder, FolderTime, Fresh, Id, Kind, Stamp, clear_leftover, is_leftover};

/// Deepest folder that is entered: two descriptors are open for each.
const MAX_DEPTH: usize = 256;
/// What to do about a source and a target that do not belong together after all.
const MEND: &str = "neither was removed; remove the one that is wrong, and run the same command again";
/// How many files, or bytes, are written before they are made durable and get their names: what a kill can cost.
const FINISHED_AT_ONCE: usize = 32;
const MAX_UNFINISHED: u64 = 64 << 20;
/// How many files are done before their sources are removed.
const REMOVED_AT_ONCE: usize = 64;

/// A folder that is being worked on.
struct Level {
    source: Arc<Folder>,
    /// None where each file is written beside its source.
    apart: Option<Arc<Folder>>,
    names: IntoIter<OsString>,
    time: FolderTime,
    unfinished: Vec<Unfinished>,
    /// Files whose sources are to be removed.
    removable: Vec<Removable>,
    /// Whether a file got its name here.
    worked: bool,
}

impl Level {
    fn open(source: Folder, apart: Option<Folder>) -> io::Result<Self> {
        let time = FolderTime::of(&source)?;
        let mut names = source.names()?;
        let clear = |folder: &Folder, name: &OsStr| match clear_leftover(folder, name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        match &apart {
            None => names.iter().filter(|name| is_leftover(name)).try_for_each(|name| clear(&source, name))?,
            Some(folder) => {
                folder.names()?.iter().filter(|name| is_leftover(name)).try_for_each(|name| clear(folder, name))?;
            }
        }
        names.retain(|name| !is_leftover(name));
        Ok(Self {
            source: Arc::new(source),
            apart: apart.map(Arc::new),
            names: names.into_iter(),
            time,
            unfinished: Vec::new(),
            removable: Vec::new(),
            worked: false,
        })
    }

    fn target(&self) -> &Arc<Folder> {
        self.apart.as_ref().unwrap_or(&self.source)
    }

    fn is_full(&self) -> bool {
        let bytes = self.unfinished.iter().fold(0, |bytes: u64, file| bytes.saturating_add(file.bytes));
        self.unfinished.len() >= FINISHED_AT_ONCE || bytes >= MAX_UNFINISHED
    }
}

/// A file that is written, and has no name yet.
struct Unfinished {
    fresh: Fresh,
    attributes: Attributes,
    source: File,
    name: OsString,
    target_name: OsString,
    context: Context,
    stamp: Stamp,
    bytes: u64,
}

impl Unfinished {
    /// Makes files durable, several at once: what is asked for at the same time, file systems write in one go.
    fn settle(files: &[Self]) -> Vec<io::Result<()>> {
        const AT_ONCE: usize = 8;
        let settle = |files: &[Self]| files.iter().map(|file| file.fresh.settle(file.attributes)).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let shares = files.chunks(files.len().div_ceil(AT_ONCE).max(1));
            let begun: Vec<_> = shares
                .map(|share| (share, std::thread::Builder::new().spawn_scoped(scope, move || settle(share))))
                .collect();
            let ended = begun.into_iter().map(|(share, thread)| match thread.map(|thread| thread.join()) {
                Ok(Ok(settled)) => settled,
                // There was no thread to be had, or it did not come back.
                _ => settle(share),
            });
            ended.flatten().collect()
        })
    }
}

/// A file that was dealt with, and whose source is still there.
struct Removable {
    name: OsString,
    target_name: OsString,
    stamp: Stamp,
    done: Done,
}

pub(super) struct Worker<'a> {
    plan: &'a Plan<'a>,
    own: HashSet<Id>,
    pairing: Pairing<'a>,
    tally: Tally<'a>,
    stopped: Option<Failure>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(desk: &'a Desk, plan: &'a Plan<'a>, project: &'a Project, key: Key, own: HashSet<Id>) -> Self {
        let tally = Tally::new(&desk.output, plan.direction.words());
        Self { plan, own, pairing: Pairing::new(project, key), tally, stopped: None }
    }

    /// Walks the tree. What fails is told, and the rest goes on.
    pub(super) async fn run(mut self, source: Folder, target: Option<Folder>) -> Result<()> {
        let mut levels = Vec::new();
        self.open(&mut levels, source, target)?;
        while let Some(level) = levels.last_mut() {
            let next = if self.stopped.is_none() { level.names.next() } else { None };
            match next {
                Some(name) => {
                    if let Some((source, target)) = self.step(level, &name).await? {
                        self.open(&mut levels, source, target)?;
                    }
                }
                None => {
                    if let Some(level) = levels.pop() {
                        self.leave(level).await?;
                    }
                }
            }
        }
        self.tally.finish(self.stopped)
    }

    fn open(&mut self, levels: &mut Vec<Level>, source: Folder, target: Option<Folder>) -> Result<()> {
        let (place, path) = (source.place().to_vec(), source.path().to_owned());
        if levels.len() >= MAX_DEPTH {
            let message = format!("`{}` lies deeper than the {MAX_DEPTH} folders that are entered", path.display());
            return self.tally.failed(&place, &Failure::new(Exit::Failed, "too_deep", message));
        }
        match Level::open(source, target) {
            Ok(level) => {
                self.tally.folder();
                levels.push(level);
                Ok(())
            }
            Err(error) => self.tally.failed(&place, &Failure::file("read", &path, &error)),
        }
    }

    /// Deals with one name; returns the folder that it leads to, if it is one.
    async fn step(&mut self, level: &mut Level, name: &OsStr) -> Result<Option<(Folder, Option<Folder>)>> {
        let path = level.source.relative(name);
        match level.source.kind(name) {
            // Whatever it was, it is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let failure = Failure::file("read", &level.source.shown(name), &error);
                self.tally.failed(&path, &failure).map(|()| None)
            }
            Ok(Kind::Link) => self.tally.left(&path, Left::Link).map(|()| None),
            Ok(Kind::Special) => {
                let message = format!("`{}` is a device, a pipe or a socket", level.source.shown(name).display());
                self.tally.failed(&path, &Failure::new(Exit::Failed, "not_a_file", message)).map(|()| None)
            }
            Ok(Kind::Folder) => match self.enter(level, name) {
                Ok(None) => self.tally.left(&path, Left::Own).map(|()| None),
                Ok(entered) => Ok(entered),
                Err(failure) => self.tally.failed(&path, &failure).map(|()| None),
            },
            Ok(Kind::File) => {
                match self.plan.direction.target_name(name).filter(|_| !self.is_target(level, name)) {
                    Some(target_name) => self.file(level, name, &target_name).await?,
                    None => self.tally.other(),
                }
                Ok(None)
            }
        }
    }

    /// Says whether a name is taken for one that this work gave, where both kinds of files lie beside each other.
    fn is_target(&self, level: &Level, name: &OsStr) -> bool {
        self.plan.direction == Direction::Seal
            && level.apart.is_none()
            && name.as_encoded_bytes().ends_with(super::SUFFIX.as_bytes())
    }

    fn enter(&self, level: &mut Level, name: &OsStr) -> Result<Option<(Folder, Option<Folder>)>> {
        let failed = |error: io::Error| Failure::file("read", &level.source.shown(name), &error);
        let source = level.source.enter(name).map_err(failed)?;
        if self.own.contains(&Id::of(&source.metadata().map_err(failed)?)) {
            return Ok(None);
        }
        let Some(apart) = &level.apart else { return Ok(Some((source, None))) };
        let unwritable = |error: io::Error| Failure::file("write", &apart.shown(name), &error);
        let target = apart.enter_or_make(name).map_err(unwritable)?;
        if self.plan.remove_source {
            // Before a source is removed, the whole way to its target is durable.
            apart.sync().map_err(unwritable)?;
        }
        level.worked = true;
        Ok(Some((source, Some(target))))
    }

    async fn file(&mut self, level: &mut Level, name: &OsStr, target_name: &OsStr) -> Result<()> {
        let path = level.source.relative(name);
        match self.try_file(level, name, target_name).await {
            Ok(Outcome::Unfinished(file)) => {
                level.unfinished.push(*file);
                if level.is_full() { self.finish_files(level).await } else { Ok(()) }
            }
            Ok(Outcome::Before { bytes, stamp }) => {
                let done = Done { path, bytes, before: true };
                self.done(level, Removable { name: name.into(), target_name: target_name.into(), stamp, done }).await
            }
            Ok(Outcome::Gone) => Ok(()),
            Ok(Outcome::Own) => self.tally.left(&path, Left::Own),
            Err(ended) => self.ended(&path, ended),
        }
    }

    async fn done(&mut self, level: &mut Level, file: Removable) -> Result<()> {
        if !self.plan.remove_source {
            return self.tally.done(&file.done, false);
        }
        level.removable.push(file);
        if level.removable.len() >= REMOVED_AT_ONCE { self.remove_sources(level).await } else { Ok(()) }
    }

    /// Makes what is written durable, and gives it its names.
    async fn finish_files(&mut self, level: &mut Level) -> Result<()> {
        let unfinished = std::mem::take(&mut level.unfinished);
        let settled = Unfinished::settle(&unfinished);
        for (file, settled) in unfinished.into_iter().zip(settled) {
            let (name, target_name, stamp) = (file.name.clone(), file.target_name.clone(), file.stamp);
            let path = level.source.relative(&name);
            match self.finish_file(level, file, settled).await {
                Ok(None) => {}
                Ok(Some((bytes, before))) => {
                    let done = Done { path, bytes, before };
                    self.done(level, Removable { name, target_name, stamp, done }).await?;
                }
                Err(ended) => self.ended(&path, ended)?,
            }
        }
        Ok(())
    }

    /// Gives a file its name; returns its length, and whether somebody else was faster. Nothing is returned if the source is gone.
    async fn finish_file(
        &mut self,
        level: &mut Level,
        file: Unfinished,
        settled: io::Result<()>,
    ) -> std::result::Result<Option<(u64, bool)>, Ended> {
        let Unfinished { fresh, mut source, name, target_name, context, stamp, bytes, .. } = file;
        let target_shown = level.target().shown(&target_name);
        let unwritable = |error: &io::Error| ended("write", &target_shown, error);
        settled.map_err(|error| unwritable(&error))?;
        let shown = level.source.shown(&name);
        let now = source.metadata().map_err(|error| ended("read", &shown, &error))?;
        if Stamp::of(&now) != stamp {
            return if is_gone(&level.source, &name) { Ok(None) } else { Err(self.changed(&shown).into()) };
        }
        match fresh.name(&target_name, self.plan.force) {
            Ok(()) => {
                level.worked = true;
                Ok(Some((bytes, false)))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let before = self.done_before(level, &mut source, &target_name, &context).await?;
                Ok(Some((before.ok_or_else(|| unwritable(&error))?, true)))
            }
            Err(error) => Err(unwritable(&error)),
        }
    }

    fn ended(&mut self, path: &[u8], ended: Ended) -> Result<()> {
        match ended {
            Ended::File(failure) => self.tally.failed(path, &failure),
            Ended::Tree(failure) => {
                self.tally.failed(path, &failure)?;
                self.stopped.get_or_insert(failure);
                Ok(())
            }
        }
    }

    async fn try_file(
        &mut self,
        level: &mut Level,
        name: &OsStr,
        target_name: &OsStr,
    ) -> std::result::Result<Outcome, Ended> {
        let shown = level.source.shown(name);
        let unreadable = |error: &io::Error| ended("read", &shown, error);
        let mut source = match level.source.open_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Gone),
            opened => opened.map_err(|error| unreadable(&error))?,
        };
        let metadata = source.metadata().map_err(|error| unreadable(&error))?;
        if self.own.contains(&Id::of(&metadata)) {
            return Ok(Outcome::Own);
        }
        self.check(&metadata, &shown)?;
        let stamp = Stamp::of(&metadata);
        let context = self.context(&level.source, name, target_name)?;
        if let Some(bytes) = self.done_before(level, &mut source, target_name, &context).await? {
            return Ok(Outcome::Before { bytes, stamp });
        }

        if level.apart.is_none() {
            level.time.note(&level.source);
        }
        let target_shown = level.target().shown(target_name);
        let unwritable = |error: &io::Error| ended("write", &target_shown, error);
        let mut fresh = Fresh::create(level.target()).map_err(|error| unwritable(&error))?;
        let written = match self.plan.direction {
            Direction::Seal => self.pairing.seal(&source, &mut fresh, &context).await,
            Direction::Open => {
                let take = |piece: &[u8]| fresh.write_all(piece).map_err(Broken::Write);
                self.pairing.open(&source, &context, take).await
            }
        };
        let bytes = written.map_err(|broken| match broken {
            Broken::Read(error) => unreadable(&error),
            Broken::Write(error) => unwritable(&error),
            Broken::Refused(Ended::File(failure)) => Ended::File(failure.about(&shown.display().to_string())),
            Broken::Refused(ended) => ended,
        })?;
        let after = source.metadata().map_err(|error| unreadable(&error))?;
        if Stamp::of(&after) != stamp || (self.plan.direction == Direction::Seal && bytes != metadata.len()) {
            return if is_gone(&level.source, name) { Ok(Outcome::Gone) } else { Err(self.changed(&shown).into()) };
        }
        let (name, target_name, attributes) = (name.into(), target_name.into(), Attributes::of(&metadata));
        let file = Unfinished { fresh, attributes, source, name, target_name, context, stamp, bytes };
        Ok(Outcome::Unfinished(Box::new(file)))
    }

    fn check(&self, metadata: &Metadata, shown: &std::path::Path) -> Result<()> {
        if !metadata.is_file() {
            let message = format!("`{}` is no regular file any more", shown.display());
            return Err(Failure::new(Exit::Failed, "not_a_file", message));
        }
        // What is sealed under one name would stay in the clear under the others.
        if self.plan.direction == Direction::Seal && metadata.nlink() > 1 {
            let message = format!("`{}` is one of {} names of the same file", shown.display(), metadata.nlink());
            let hint = "a file of several names is not sealed: make it a copy of its own first";
            return Err(Failure::new(Exit::Failed, "hard_link", message).with_hint(hint));
        }
        Ok(())
    }

    fn changed(&self, shown: &std::path::Path) -> Failure {
        let message =
            format!("`{}` was changed while it was being {}", shown.display(), self.plan.direction.words().done);
        Failure::new(Exit::Conflict, "file_changed", message).with_hint("run the same command again once it is at rest")
    }

    fn context(&self, folder: &Folder, name: &OsStr, target_name: &OsStr) -> Result<Context> {
        let project = self.pairing.project.id();
        if self.plan.movable {
            return self.plan.context.build_for(&project);
        }
        let clear = if self.plan.direction == Direction::Seal { name } else { target_name };
        self.plan.context.build_for_file(&project, &folder.relative(clear))
    }

    /// Returns the length of what is in the clear, if the target is there already and belongs to the source; fails if it does not belong to it.
    ///
    /// A file gets its name only once it is complete and has its attributes, so that it belongs to the source if it has the source's modification
    /// time and the right length, and if of the sealed one of both the beginning and the end verify in the context. That nothing in between was
    /// altered is not looked at here; before a source is removed, all of it is.
    async fn done_before(
        &self,
        level: &Level,
        source: &mut File,
        target_name: &OsStr,
        context: &Context,
    ) -> std::result::Result<Option<u64>, Ended> {
        let shown = level.target().shown(target_name);
        let failed = |error: &io::Error| ended("read", &shown, error);
        let exists = || {
            let failure = Failure::file("write", &shown, &io::ErrorKind::AlreadyExists.into());
            Ended::File(failure.with_hint("it does not belong to its source as that is now; `--force` replaces it"))
        };
        let otherwise = if self.plan.force { Ok(None) } else { Err(exists()) };
        match level.target().kind(target_name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
            Ok(Kind::File) => {}
            Ok(Kind::Folder) => return Err(exists()),
            Ok(_) => return otherwise,
        }
        let mut target = match level.target().open_file(target_name) {
            // Removed by another process since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| failed(&error))?,
        };
        let of_source = source.metadata().map_err(|error| failed(&error))?;
        let of_target = target.metadata().map_err(|error| failed(&error))?;
        let kept = Attributes::of(&of_target).modified;
        if !of_target.is_file() || !Attributes::of(&of_source).modified.is_kept_as(kept) {
            return otherwise;
        }
        let (sealed, clear_len) = match self.plan.direction {
            Direction::Seal => (&mut target, of_source.len()),
            Direction::Open => (source, of_target.len()),
        };
        let before = match self.pairing.sealed_len(sealed, context).await {
            Ok(len) => Some(len).filter(|len| *len == clear_len),
            Err(Broken::Refused(ended @ Ended::Tree(_))) => return Err(ended),
            Err(_) => None,
        };
        // It may be the source, which is read from its beginning next.
        rewind(sealed).map_err(|error| failed(&error))?;
        if before.is_some() { Ok(before) } else { otherwise }
    }

    /// Removes the sources of what was done: each only once its target is durable under its name, was read anew, and says the same.
    async fn remove_sources(&mut self, level: &mut Level) -> Result<()> {
        let removable = std::mem::take(&mut level.removable);
        if removable.is_empty() {
            return Ok(());
        }
        level.time.note(&level.source);
        let Level { source, apart, .. } = &*level;
        let target = apart.as_ref().unwrap_or(source);
        // Another process might be about to remove the targets, for which these are the sources: one at a time, and always in one order.
        let prepared = target.sync().and_then(|()| {
            let of_source = Id::of(&source.metadata()?);
            match apart {
                None => Ok((source.lock()?, None)),
                Some(apart) if of_source < Id::of(&apart.metadata()?) => Ok((source.lock()?, Some(apart.lock()?))),
                Some(apart) => {
                    let first = apart.lock()?;
                    Ok((source.lock()?, Some(first)))
                }
            }
        });
        let locks = match prepared {
            Ok(locks) => locks,
            Err(error) => {
                for file in removable {
                    self.tally.failed(&file.done.path, &Failure::file("lock", target.path(), &error))?;
                }
                return Ok(());
            }
        };
        for file in removable {
            match self.remove_source(source, target, &file).await {
                Ok(()) => self.tally.done(&file.done, true)?,
                Err(ended) => self.ended(&file.done.path, ended)?,
            }
        }
        drop(locks);
        Ok(())
    }

    async fn remove_source(
        &self,
        folder: &Folder,
        target_folder: &Folder,
        file: &Removable,
    ) -> std::result::Result<(), Ended> {
        let (shown, target_shown) = (folder.shown(&file.name), target_folder.shown(&file.target_name));
        let unreadable = |error: &io::Error| ended("read", &shown, error);
        let source = match folder.open_file(&file.name) {
            // Another process has done it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(|error| unreadable(&error))?,
        };
        let same_stamp = |source: &File| Ok::<_, io::Error>(Stamp::of(&source.metadata()?) == file.stamp);
        if !same_stamp(&source).map_err(|error| unreadable(&error))? {
            return Err(self.changed(&shown).into());
        }
        let target =
            target_folder.open_file(&file.target_name).map_err(|error| ended("read", &target_shown, &error))?;
        // So that it is read from where it is kept, as far as the system can tell.
        let _ = rustix::fs::fadvise(&target, 0, None, Advice::DontNeed);
        let (clear, sealed) = match self.plan.direction {
            Direction::Seal => (&source, &target),
            Direction::Open => (&target, &source),
        };
        let context = self.context(folder, &file.name, &file.target_name)?;
        let same = self.pairing.is_same(clear, sealed, &context).await.map_err(|broken| match broken {
            Broken::Read(error) | Broken::Write(error) => ended("read", &target_shown, &error),
            Broken::Refused(Ended::File(failure)) => {
                Ended::File(failure.about(&target_shown.display().to_string()).with_hint(MEND))
            }
            Broken::Refused(ended) => ended,
        })?;
        if !same {
            let message = format!("`{}` and `{}` do not hold the same", shown.display(), target_shown.display());
            return Err(Failure::new(Exit::Conflict, "not_the_same", message).with_hint(MEND).into());
        }
        if !same_stamp(&source).map_err(|error| unreadable(&error))? {
            return Err(self.changed(&shown).into());
        }
        folder.remove(&file.name).map_err(|error| ended("remove", &shown, &error))
    }

    /// Ends the work in a folder: what was done there is durable, and the folder's mode and time are kept.
    async fn leave(&mut self, mut level: Level) -> Result<()> {
        self.finish_files(&mut level).await?;
        self.remove_sources(&mut level).await?;
        let kept = (|| {
            if let Some(apart) = &level.apart {
                let mode = Attributes::of(&level.source.metadata()?).mode;
                apart.give(Attributes { mode, modified: level.time.modified() })?;
            }
            if level.worked {
                level.target().sync()?;
            }
            level.time.restore(&level.source)
        })();
        match kept {
            Ok(()) => Ok(()),
            Err(error) => {
                let failure = Failure::file("keep the mode and time of", level.target().path(), &error);
                self.tally.failed(level.source.place(), &failure)
            }
        }
    }
}

/// What became of a file at first.
enum Outcome {
    /// It is written, and gets its name together with others.
    Unfinished(Box<Unfinished>),
    /// An earlier run, or another process, did it.
    Before { bytes: u64, stamp: Stamp },
    /// It went away.
    Gone,
    /// The project, or this machine, needs it.
    Own,
}

/// Says whether a file was removed since: by another process that has done the same, say.
fn is_gone(folder: &Folder, name: &OsStr) -> bool {
    folder.kind(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn rewind(mut file: &File) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(0)).map(drop)
}
