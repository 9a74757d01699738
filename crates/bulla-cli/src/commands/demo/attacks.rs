//! What somebody can try who may write to the disk but has no key. Each attack is undone before the next: what a reader refuses goes to
//! quarantine, so that the row is put back too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulla::{GetOptions, Lifetime, Project, PutOptions};
use bulla_seal::HEADER_LEN;

use super::report::Report;
use super::trial::Trial;
use crate::failure::{Failure, Result};

const NAMESPACE: &str = "attacked";
const SECRET: &[u8] = b"transfer 100 to account 4711";
const LARGE_LEN: usize = 1_000_000;

/// Where the moment of expiry lies in an encoded entry of version 1 (spec/store.md, "Entry"): behind the map's head (1 byte),
/// the version (2), the time of creation (10), and its own key and head (2).
const EXPIRY_AT: usize = 15;

pub(super) async fn all(trial: &Trial, report: &mut Report) -> Result<()> {
    let blobs = prepare(trial).await?;
    flip_row(trial, report).await?;
    flip_blob(trial, &blobs, report).await?;
    cut_blob(trial, &blobs, report).await?;
    swap_blobs(trial, &blobs, report).await?;
    swap_rows(trial, report).await?;
    copy_row(trial, report).await?;
    lengthen_expiry(trial, report).await?;
    put_old_row_back(trial, report).await?;
    wrong_context(trial, report).await?;
    other_machine(trial, report).await
}

/// Puts what will be attacked; returns the files of the two large values.
async fn prepare(trial: &Trial) -> Result<[PathBuf; 2]> {
    let project = trial.open().await?;
    let namespace = project.store(NAMESPACE)?;
    let lasting = PutOptions::default();
    let passing = PutOptions { lifetime: Lifetime::For(Duration::from_secs(3_600)), ..PutOptions::default() };
    for (name, value, options) in [
        ("order", SECRET, &lasting),
        ("other order", b"transfer 1 to account 1", &lasting),
        ("offer", b"half price", &passing),
    ] {
        namespace.put(name.as_bytes(), value, options).await.map_err(bulla::Error::from)?;
    }
    let mut files = Vec::new();
    for (name, byte) in [("large", 1), ("other large", 2)] {
        let before = trial.blob_files()?;
        namespace.put(name.as_bytes(), &vec![byte; LARGE_LEN], &lasting).await.map_err(bulla::Error::from)?;
        files.extend(trial.blob_files()?.difference(&before).cloned());
    }
    files.try_into().map_err(|_| Failure::demo("each large value should lie in one file"))
}

async fn flip_row(trial: &Trial, report: &mut Report) -> Result<()> {
    let row = trial.row(NAMESPACE, "order")?;
    let mut flipped = row.clone();
    flipped[HEADER_LEN + 20] ^= 1;
    trial.set_row(NAMESPACE, "order", &flipped)?;
    report.attack("flip one bit of an entry in the database", "damaged", get(trial, "order").await?)?;
    trial.set_row(NAMESPACE, "order", &row)?;
    intact(trial, "order").await
}

async fn flip_blob(trial: &Trial, [file, _]: &[PathBuf; 2], report: &mut Report) -> Result<()> {
    let row = trial.row(NAMESPACE, "large")?;
    let bytes = read_file(file)?;
    let mut flipped = bytes.clone();
    flipped[LARGE_LEN / 2] ^= 1;
    write_file(file, &flipped)?;
    report.attack("flip one bit in the middle of a blob", "damaged", get(trial, "large").await?)?;
    write_file(file, &bytes)?;
    trial.set_row(NAMESPACE, "large", &row)?;
    intact(trial, "large").await
}

async fn cut_blob(trial: &Trial, [file, _]: &[PathBuf; 2], report: &mut Report) -> Result<()> {
    let row = trial.row(NAMESPACE, "large")?;
    let bytes = read_file(file)?;
    // At the end of a chunk, where nothing looks torn.
    write_file(file, &bytes[..HEADER_LEN + 4 * (65_536 + 16)])?;
    report.attack("cut a blob short", "damaged", get(trial, "large").await?)?;
    write_file(file, &bytes)?;
    trial.set_row(NAMESPACE, "large", &row)?;
    intact(trial, "large").await
}

async fn swap_blobs(trial: &Trial, [one, other]: &[PathBuf; 2], report: &mut Report) -> Result<()> {
    let row = trial.row(NAMESPACE, "large")?;
    let bytes = [read_file(one)?, read_file(other)?];
    write_file(one, &bytes[1])?;
    write_file(other, &bytes[0])?;
    report.attack("exchange two blobs of one length", "damaged", get(trial, "large").await?)?;
    write_file(one, &bytes[0])?;
    write_file(other, &bytes[1])?;
    trial.set_row(NAMESPACE, "large", &row)?;
    intact(trial, "other large").await
}

async fn swap_rows(trial: &Trial, report: &mut Report) -> Result<()> {
    let rows = [trial.row(NAMESPACE, "order")?, trial.row(NAMESPACE, "other order")?];
    trial.set_row(NAMESPACE, "order", &rows[1])?;
    trial.set_row(NAMESPACE, "other order", &rows[0])?;
    report.attack("exchange two entries", "cannot_open", get(trial, "order").await?)?;
    trial.set_row(NAMESPACE, "order", &rows[0])?;
    trial.set_row(NAMESPACE, "other order", &rows[1])?;
    intact(trial, "other order").await
}

async fn copy_row(trial: &Trial, report: &mut Report) -> Result<()> {
    trial.copy_row(NAMESPACE, "order", "order again")?;
    report.attack("store an entry under another name too", "cannot_open", get(trial, "order again").await?)?;
    trial.delete_row(NAMESPACE, "order again")?;
    intact(trial, "order").await
}

async fn lengthen_expiry(trial: &Trial, report: &mut Report) -> Result<()> {
    let row = trial.row(NAMESPACE, "offer")?;
    let mut longer = row.clone();
    // AES-GCM enciphers bit by bit, so a bit flipped here is a bit flipped there: this one adds 2^41 ms, or 69 years.
    longer[HEADER_LEN + EXPIRY_AT + 2] ^= 2;
    trial.set_row(NAMESPACE, "offer", &longer)?;
    report.attack("lengthen the life of an entry", "damaged", get(trial, "offer").await?)?;
    trial.set_row(NAMESPACE, "offer", &row)?;
    intact(trial, "offer").await
}

async fn put_old_row_back(trial: &Trial, report: &mut Report) -> Result<()> {
    let old = trial.row(NAMESPACE, "order")?;
    let version = {
        let namespace = trial.open().await?.store(NAMESPACE)?;
        let put = namespace.put(b"order", b"transfer nothing", &PutOptions::default()).await;
        put.map_err(bulla::Error::from)?
    };
    let new = trial.row(NAMESPACE, "order")?;
    trial.set_row(NAMESPACE, "order", &old)?;
    // Whole, where it was, and genuine: only who knows which version to expect can tell.
    let attempt = get_version(trial, "order", &GetOptions::version(version)).await?;
    report.attack("put an old entry back, read with --expect-version", "version_mismatch", attempt)?;
    trial.set_row(NAMESPACE, "order", &new)?;
    intact(trial, "order").await
}

async fn wrong_context(trial: &Trial, report: &mut Report) -> Result<()> {
    let project = trial.open().await?;
    let key = project.create_key("orders").await?;
    let row = |id| project.context().text("table", "orders").int("row", id).build();
    let sealed = key.seal(&row(1)?, SECRET).await?;
    report.attack("open a sealed value in another context", "cannot_open", key.open(&row(2)?, &sealed).await)?;
    match key.open(&row(1)?, &sealed).await? == SECRET {
        true => Ok(()),
        false => Err(Failure::demo("a sealed value opened to another message")),
    }
}

async fn other_machine(trial: &Trial, report: &mut Report) -> Result<()> {
    // Another machine has an identity of its own: that of another project here.
    let elsewhere = trial.folder().join("elsewhere");
    let settings = Trial::new(&elsewhere);
    fs::create_dir(&elsewhere).map_err(|error| Failure::file("create the folder", &elsewhere, &error))?;
    drop(Project::init(settings.settings().load_for_init()?).await?);
    let stolen = trial.settings_of(&elsewhere.join("identity")).load()?;
    report.attack("open the whole folder on another machine", "no_grant", Project::open(stolen).await)
}

/// Opens the project anew, as a reader after the attack would, and reads a value.
async fn get(trial: &Trial, name: &str) -> Result<bulla::Result<()>> {
    get_version(trial, name, &GetOptions::default()).await
}

async fn get_version(trial: &Trial, name: &str, options: &GetOptions) -> Result<bulla::Result<()>> {
    let namespace = trial.open().await?.store(NAMESPACE)?;
    Ok(namespace.get(name.as_bytes(), options).await.map(drop).map_err(bulla::Error::from))
}

/// Makes sure that an attack was undone.
async fn intact(trial: &Trial, name: &str) -> Result<()> {
    get(trial, name).await?.map_err(|error| Failure::demo(format!("the attack could not be undone: {error}")))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::file("read", path, &error))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Failure::file("write", path, &error))
}
