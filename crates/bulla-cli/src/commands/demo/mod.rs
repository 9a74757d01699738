//! The main job on real input, and attacks on what it leaves on the disk.

mod attacks;
mod report;
mod sample;
mod trial;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bulla::{Budget, CheckOptions, Depth, GetOptions, Namespace, Project, ResealCounts, StoreError};
use bulla_seal::fill_random;
use serde_json::json;

use self::report::Report;
use self::sample::{Generated, Sample};
use self::trial::Trial;
use super::Desk;
use crate::failure::{Failure, Result};

/// Do the main job on real files in a temporary folder, then attack what it left on the disk
///
/// Makes a project, stores every regular file of the folder it runs in and one long generated stream, rotates the key
/// half-way, reads everything back and compares it, seals everything anew, and then changes bytes on the disk as an
/// attacker would: each change must be refused. Folders called `target` and `.git` are left out, and so is what lies beyond
/// the first 10,000 files or 512 MiB; symbolic links are not followed, and the
/// search ends after 100,000 files. Exit code 0 says that all was as promised.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder whose files are stored
    #[arg(long, value_name = "DIR", default_value = ".")]
    input: PathBuf,
    /// How many bytes the generated stream has
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    stream_bytes: u64,
    /// Work in this folder, which must be empty or not exist yet, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let begun = Instant::now();
    let place = Place::new(args.keep.as_deref())?;
    let mut report = Report::new(desk.output);
    let sample = Sample::collect(&args.input)?;
    report.note(&format!("{} files of {}, {}", sample.files.len(), args.input.display(), sample.left_out()))?;

    let trial = Trial::new(&place.folder);
    main_job(&trial, &sample, args.stream_bytes, &mut report).await?;
    attacks::all(&trial, &mut report).await?;
    check(&trial, &mut report).await?;

    if args.keep.is_some() {
        report.note(&format!("kept in {}", place.folder.display()))?;
    }
    report.finish(begun.elapsed())
}

async fn main_job(trial: &Trial, sample: &Sample, stream_len: u64, report: &mut Report) -> Result<()> {
    let project = Project::init(trial.settings().load_for_init()?).await?;
    report.did("project", json!({ "project": project.id().to_string() }), format!("made project {}", project.id()))?;
    // Else each of the workers that put first would try to make it.
    project.create_key("store/files").await?;
    let files = project.store("files")?;
    let generated = project.store("generated")?;
    let stream = Generated::new(stream_len);

    let (first, second) = sample.files.split_at(sample.files.len() / 2);
    let clock = Instant::now();
    let mut stored = sample.put(first, &files)?;
    rotate(&project, "store/files", report).await?;
    stored.extend(sample.put(second, &files)?);
    let bytes = stored.iter().map(|file| file.len).sum();
    report.moved("stored files", stored.len(), bytes, clock.elapsed())?;

    let clock = Instant::now();
    stream.put(&generated, "stream").await?;
    report.moved("stored a stream", 1, stream_len, clock.elapsed())?;
    rotate(&project, "store/generated", report).await?;

    // A second opening, as another process would: nothing is remembered but what is on the disk.
    drop((project, files, generated));
    let project = trial.open().await?;
    let (files, generated) = (project.store("files")?, project.store("generated")?);
    let clock = Instant::now();
    sample::compare(&stored, &files)?;
    report.moved("read files back, equal", stored.len(), bytes, clock.elapsed())?;
    let clock = Instant::now();
    stream.compare(&generated, "stream").await?;
    report.moved("read the stream back, equal", 1, stream_len, clock.elapsed())?;

    let clock = Instant::now();
    let mut resealed = 0;
    for namespace in [&files, &generated] {
        resealed += reseal(namespace).await?.resealed;
    }
    let millis = clock.elapsed().as_millis();
    report.did(
        "resealed",
        json!({ "entries": resealed, "milliseconds": millis }),
        format!("sealed {resealed} entries anew under the new versions in {millis} ms"),
    )?;
    sample::compare(&stored, &files)?;
    Ok(())
}

async fn rotate(project: &Project, key: &str, report: &mut Report) -> Result<()> {
    let version = project.key(key)?.rotate().await?;
    report.did(
        "rotated",
        json!({ "key": key, "version": version.number }),
        format!("rotated key {key} to version {}", version.number),
    )
}

async fn reseal(namespace: &Namespace) -> Result<ResealCounts> {
    let counts = namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}).await.map_err(bulla::Error::from)?;
    match counts.failed {
        0 => Ok(counts),
        failed => Err(Failure::demo(format!("{failed} entries could not be sealed anew"))),
    }
}

async fn check(trial: &Trial, report: &mut Report) -> Result<()> {
    let clock = Instant::now();
    let counts = trial
        .open()
        .await?
        .entries()
        .check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |_| {})
        .await
        .map_err(bulla::Error::from)?;
    if !counts.is_clean() {
        return Err(Failure::demo(format!(
            "after every attack was undone, check found {} damaged entries and {} orphan blobs",
            counts.damaged, counts.orphan_blobs
        )));
    }
    let entries = usize::try_from(counts.ok).unwrap_or(usize::MAX);
    report.moved("checked, nothing damaged", entries, counts.bytes, clock.elapsed())
}

/// The folder that the demo works in; removed at the end unless it is to be kept.
struct Place {
    folder: PathBuf,
    keep: bool,
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let folder = match keep {
            Some(folder) => std::path::absolute(folder).map_err(|error| Failure::file("use", folder, &error))?,
            None => {
                let mut suffix = [0; 8];
                fill_random(&mut suffix).map_err(bulla::Error::from)?;
                env::temp_dir().join(format!("bulla-demo-{:016x}", u64::from_be_bytes(suffix)))
            }
        };
        let failed = |error: std::io::Error| Failure::file("create the folder", &folder, &error);
        fs::create_dir_all(&folder).map_err(failed)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(Failure::file("work in", &folder, &std::io::ErrorKind::DirectoryNotEmpty.into()));
        }
        Ok(Self { folder, keep: keep.is_some() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // A leftover in the folder for temporary files harms nobody; what the demo found is told already.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Reads a value to its end, handing each piece to `take`.
async fn read(namespace: &Namespace, name: &[u8], mut take: impl FnMut(&[u8])) -> std::result::Result<u64, StoreError> {
    let mut reader = namespace.reader(name, &GetOptions::default()).await?;
    while let Some(piece) = reader.read_chunk().await? {
        take(piece);
    }
    Ok(reader.message_len())
}
