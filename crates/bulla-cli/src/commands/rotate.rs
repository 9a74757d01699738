use bulla::{Depth, Project, Rotation, RotationEvent};
use serde_json::{Value, json};

use super::{Desk, reseal};
use crate::failure::{Exit, Failure, Result};
use crate::pace::RateArg;
use crate::progress::Progress;

/// Rotate the data key, and with it every key
///
/// Begins an epoch, makes a new version of every key, and wraps all older ones anew. Stopped anywhere, it goes on with `--resume`, on any
/// machine that may let others in. What was sealed before still opens.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Complete the rotation that is under way, whichever machine began it, and begin none
    #[arg(long)]
    resume: bool,
    /// Then seal everything in the store anew
    #[arg(long)]
    reseal: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    carry_out(&project, desk, args.resume, args.reseal).await
}

/// Rotates the data key, then seals the store anew if that is asked for, and tells of both.
pub(super) async fn carry_out(project: &Project, desk: &Desk, resume: bool, reseals: bool) -> Result<()> {
    let mut told = Told { desk, external: Vec::new(), damage: Ok(()) };
    let progress = Progress::counting(&desk.output);
    let mut tell = |event: RotationEvent<'_>| match event {
        RotationEvent::Progress(rotation) => progress.say(|| format!("rotating: {}", counts(rotation))),
        RotationEvent::Damaged(error) => told.damaged(error.code(), error.to_string()),
        RotationEvent::OnlySource(name) => told.external.push(name.to_string()),
        _ => {}
    };
    let rotation =
        if resume { project.resume_rotation(&mut tell).await? } else { Some(project.rotate(&mut tell).await?) };
    drop(progress);
    let Some(rotation) = rotation else {
        return desk
            .output
            .done(&json!({ "epoch": project.keyring().epoch() }), || "no rotation is under way".to_owned());
    };
    let Told { external, damage, .. } = told;
    damage?;
    let record = json!({
        "epoch": rotation.epoch,
        "keys": rotation.keys,
        "versions": rotation.versions,
        "damaged": rotation.damaged,
        "only_source_can_rotate": external,
    });
    desk.output.done(&record, || format!("rotated to epoch {}: {}", rotation.epoch, counts(&rotation)))?;
    for name in &external {
        desk.output.note(|| {
            format!("only its source can rotate key {name}, which does not seal before that: have it give another, then `bulla key rotate {name}`")
        });
    }
    let mut failed = 0;
    if reseals {
        let names = project.entries().namespaces().await.map_err(bulla::Error::from)?;
        failed = reseal::carry_out(project, &names, Depth::Entries, &RateArg::default(), desk).await?.failed;
    }
    match rotation.damaged + failed {
        0 => Ok(()),
        damaged => {
            Err(Failure::new(Exit::Damage, "damage", format!("{damaged} rows are damaged, and are as they were"))
                .with_hint("restore what is damaged from a backup, then call `bulla rotate` again"))
        }
    }
}

/// Says how much a rotation has done.
pub(super) fn counts(rotation: &Rotation) -> String {
    format!("{} keys renewed, {} versions wrapped anew, {} damaged", rotation.keys, rotation.versions, rotation.damaged)
}

/// Describes a rotation in JSON.
pub(super) fn record(rotation: &Rotation) -> Value {
    json!({
        "epoch": rotation.epoch,
        "phase": rotation.phase.name(),
        "done": rotation.is_done(),
        "keys": rotation.keys,
        "versions": rotation.versions,
        "damaged": rotation.damaged,
        "external": rotation.external,
        "started": crate::names::moment(rotation.started),
        "changed": crate::names::moment(rotation.changed),
    })
}

/// What a long piece of work has told so far.
struct Told<'a> {
    desk: &'a Desk,
    /// Keys that only their source can rotate.
    external: Vec<String>,
    /// Whether what is damaged could be told.
    damage: Result<()>,
}

impl Told<'_> {
    fn damaged(&mut self, code: &str, message: String) {
        if self.damage.is_ok() {
            let record = json!({ "finding": code, "message": message });
            self.damage = self.desk.output.result(&record, || message);
        }
    }
}
