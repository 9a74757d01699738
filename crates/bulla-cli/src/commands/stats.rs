use std::collections::BTreeMap;
use std::ffi::OsString;

use bulla::{Namespace, NamespaceStats, WalkEvent};
use serde_json::{Map, Value, json};

use super::{Desk, reseal};
use crate::failure::Result;
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Show how much there is in the store
///
/// What the backend counts is shown at once; `--full` opens every entry, and counts by what entries say themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<OsString>,
    /// Read everything, and count expired and damaged entries, lengths of values, and key versions in use too
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let (project, names) = reseal::chosen(args.namespace.as_ref(), desk).await?;
    let pace = Pace::new(&args.rate);
    let mut read = 0;
    for name in names {
        let namespace = project.store(name.as_str())?;
        let summary = namespace.summary().await.map_err(bulla::Error::from)?;
        let settings = summary.settings.as_ref();
        let mut record = Map::from_iter([
            ("namespace".to_owned(), json!(name.as_str())),
            ("mode".to_owned(), json!(settings.map(|settings| settings.mode.name()))),
            ("max_entries".to_owned(), json!(settings.and_then(|settings| settings.max_entries))),
            ("max_bytes".to_owned(), json!(settings.and_then(|settings| settings.max_bytes))),
        ]);
        let mut parts = Vec::new();
        if let Some(usage) = summary.usage {
            record.insert("entries".to_owned(), json!(usage.documents));
            record.insert("stored_bytes".to_owned(), json!(usage.bytes));
            let of = |limit: Option<u64>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
            let (entries, bytes) = (usage.documents, usage.bytes);
            let (most, limit) = settings.map_or((None, None), |settings| (settings.max_entries, settings.max_bytes));
            parts.push(format!("{entries}{} entries, {bytes}{} bytes stored", of(most), of(limit)));
        }
        if args.full || summary.usage.is_none() {
            let stats = count(&namespace, &pace, read, desk).await?;
            read += stats.read;
            let versions = numbers(&namespace, &stats, &project).await?;
            parts.push(told(&stats, &versions));
            record.extend(described(&stats, versions));
        }
        desk.output.result(&Value::from(record), || format!("{name}: {}", parts.join("; ")))?;
    }
    if args.namespace.is_some() {
        return Ok(());
    }
    let blobs = project.entries().blob_stats().await.map_err(bulla::Error::from)?;
    let disk = project.entries().disk_usage().await.map_err(bulla::Error::from)?;
    let record = json!({
        "blobs": blobs.blobs,
        "blob_bytes": blobs.bytes,
        "database_bytes": disk.map(|disk| disk.total),
        "database_free": disk.map(|disk| disk.free),
    });
    desk.output.result(&record, || {
        let database = disk.map_or_else(String::new, |disk| {
            format!("; {} bytes of database, of which {} can be given back", disk.total, disk.free)
        });
        format!("in all: {} blobs of {} bytes{database}", blobs.blobs, blobs.bytes)
    })
}

async fn count(namespace: &Namespace, pace: &Pace, before: u64, desk: &Desk) -> Result<NamespaceStats> {
    let progress = Progress::counting(&desk.output);
    let mut observer = |event: WalkEvent<'_, NamespaceStats>| {
        if let WalkEvent::Progress(stats) = event {
            pace.wait(before + stats.read);
            progress.say(|| format!("counting {}: {} entries", namespace.name(), stats.entries));
        }
    };
    Ok(namespace.stats(&mut observer).await.map_err(bulla::Error::from)?)
}

/// Finds the numbers of the key versions that entries name; those of other keys are left with their ids.
async fn numbers(
    namespace: &Namespace,
    stats: &NamespaceStats,
    project: &bulla::Project,
) -> Result<BTreeMap<String, u64>> {
    let mut numbers = BTreeMap::new();
    for (id, entries) in &stats.versions {
        let version = project.keyring().version(namespace.name().key(), *id).await;
        let name = version.map_or_else(|_| id.to_string(), |version| version.number().to_string());
        numbers.insert(name, *entries);
    }
    Ok(numbers)
}

fn told(stats: &NamespaceStats, versions: &BTreeMap<String, u64>) -> String {
    let versions: Vec<_> =
        versions.iter().map(|(version, entries)| format!("{entries} under version {version}")).collect();
    let versions = if versions.is_empty() { String::new() } else { format!("; {}", versions.join(", ")) };
    format!(
        "{} entries ({} expired, {} refused, {} in quarantine), values of {} bytes, {} of them in {} blobs{versions}",
        stats.entries,
        stats.expired,
        stats.refused,
        stats.quarantined,
        stats.value_bytes,
        stats.blob_bytes,
        stats.blobs
    )
}

fn described(stats: &NamespaceStats, versions: BTreeMap<String, u64>) -> Map<String, Value> {
    Map::from_iter([
        ("entries".to_owned(), json!(stats.entries)),
        ("expired".to_owned(), json!(stats.expired)),
        ("refused".to_owned(), json!(stats.refused)),
        ("quarantined".to_owned(), json!(stats.quarantined)),
        ("value_bytes".to_owned(), json!(stats.value_bytes)),
        ("document_bytes".to_owned(), json!(stats.document_bytes)),
        ("blobs".to_owned(), json!(stats.blobs)),
        ("blob_bytes".to_owned(), json!(stats.blob_bytes)),
        ("versions".to_owned(), json!(versions)),
    ])
}
