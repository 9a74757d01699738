use std::ffi::OsString;
use std::sync::Arc;

use bulla::{Budget, Depth, NamespaceName, Origin, Project, ResealCounts, Setting, WalkEvent};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Seal everything in the store anew that is not sealed under the newest version of its key, or not in the mode of its namespace
///
/// Others read and write meanwhile. Stopped anywhere, it goes on when it is called again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<OsString>,
    /// Seal large values anew too, under fresh keys of their own
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let (project, names) = chosen(args.namespace.as_ref(), desk).await?;
    let depth = if args.deep { Depth::Blobs } else { Depth::Entries };
    match carry_out(&project, &names, depth, &args.rate, desk).await?.failed {
        0 => Ok(()),
        failed => {
            Err(Failure::new(Exit::Damage, "damage", format!("{failed} entries are damaged, and are as they were"))
                .with_hint("restore what is damaged from a backup, or `bulla check --quarantine`; then try again"))
        }
    }
}

/// Opens the project, and finds the namespace that was named, or all there are.
pub(super) async fn chosen(namespace: Option<&OsString>, desk: &Desk) -> Result<(Arc<Project>, Vec<NamespaceName>)> {
    let mut settings = desk.global.settings();
    if let Some(name) = namespace {
        settings = settings.give(Setting::Namespace, name, Origin::Flag("--namespace"));
    }
    let project = desk.open(settings.load()?).await?;
    let names = match namespace {
        Some(_) => vec![project.store(project.settings().namespace().get())?.name().clone()],
        None => project.entries().namespaces().await.map_err(bulla::Error::from)?,
    };
    Ok((project, names))
}

/// Seals namespaces anew, one after the other, and tells of each.
pub(super) async fn carry_out(
    project: &Project,
    names: &[NamespaceName],
    depth: Depth,
    rate: &RateArg,
    desk: &Desk,
) -> Result<ResealCounts> {
    let mut sum = ResealCounts::default();
    let pace = Pace::new(rate);
    for name in names {
        let mut told = Ok(());
        let progress = Progress::counting(&desk.output);
        let mut before = None;
        let counts = project
            .store(name.as_str())?
            .reseal(depth, &Budget::UNLIMITED, &mut |event| match event {
                WalkEvent::Progress(counts) => {
                    let begun = *before.get_or_insert(counts.read);
                    pace.wait(sum.read + counts.read.saturating_sub(begun));
                    progress.say(|| format!("sealing {name} anew: {} of {}", counts.resealed, seen(counts)));
                }
                WalkEvent::Found(finding) if told.is_ok() => {
                    let record = json!({ "finding": finding.code(), "message": finding.to_string() });
                    told = desk.output.result(&record, || finding.to_string());
                }
                _ => {}
            })
            .await
            .map_err(bulla::Error::from)?;
        drop(progress);
        told?;
        let record = json!({
            "namespace": name.as_str(),
            "resealed": counts.resealed,
            "current": counts.current,
            "failed": counts.failed,
            "blobs": counts.blobs,
            "records": counts.records,
        });
        desk.output.done(&record, || {
            let blobs = if depth == Depth::Blobs { format!(", and {} blobs", counts.blobs) } else { String::new() };
            format!("sealed {} of {} entries of {name} anew{blobs}", counts.resealed, seen(&counts))
        })?;
        sum.current += counts.current;
        sum.resealed += counts.resealed;
        sum.failed += counts.failed;
        sum.read += counts.read.saturating_sub(before.unwrap_or_default());
    }
    Ok(sum)
}

fn seen(counts: &ResealCounts) -> u64 {
    counts.resealed + counts.current + counts.failed
}
