use std::str::FromStr;
use std::time::Duration;

use bulla::blocking::{ThreadWaiter, wait_for};
use bulla::{
    AuditScope, Budget, Eviction, Kept, Mode, Namespace, NamespaceSettings, OnTamper, RefileCounts, SETTINGS_FRESH,
    Waiter as _, WalkEvent,
};
use clap::ValueEnum;

use crate::commands::{Desk, NamespaceArg};
use crate::duration;
use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// Change how a namespace is kept, from now on
///
/// Entries that are there stay as they are until they are put or re-sealed; a new eviction policy sees them too. What is not given stays as it is. Other processes follow within a second.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
    /// Whether values are encrypted, or only protected against changes [sealed, authenticated]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Whether the storage shows names; only before the first entry
    #[arg(long, value_name = "yes|no")]
    blinded_names: Option<Switch>,
    /// What a reader is told of a damaged entry: the failure, or that there is none [error, miss]
    #[arg(long, value_name = "ANSWER")]
    on_tamper: Option<OnTamper>,
    /// What the audit log is told [changes, all]
    #[arg(long, value_name = "SCOPE")]
    audit: Option<AuditScope>,
    /// Whether a put survives a power cut, or only the process [durable, cache]
    #[arg(long, value_name = "DURABILITY")]
    durability: Option<Kept>,
    /// How long entries live that are put without `--ttl`: `12h`, `30d`; `none` for ever
    #[arg(long, value_name = "TIME", value_parser = or_none(duration::parse))]
    ttl: Option<OrNone<Duration>>,
    /// The most entries, expired ones included; `none` for no limit
    #[arg(long, value_name = "N", value_parser = or_none(parsed::<u64>))]
    max_entries: Option<OrNone<u64>>,
    /// The most bytes that entries take on the storage; `none` for no limit
    #[arg(long, value_name = "BYTES", value_parser = or_none(parsed::<u64>))]
    max_bytes: Option<OrNone<u64>>,
    /// What makes room at a limit [least-recently-stored, least-recently-used, least-frequently-used, none]
    #[arg(long, value_name = "POLICY", value_parser = or_none(parsed::<Eviction>))]
    eviction: Option<OrNone<Eviction>>,
    /// Whether a process may hold opened values in memory
    #[arg(long, value_name = "yes|no")]
    memory_tier: Option<Switch>,
    /// Begin with the settings of a new namespace, also where the present ones are lost or damaged
    #[arg(long)]
    anew: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    Yes,
    No,
}

/// A value, or that there is to be none.
#[derive(Debug, Clone, Copy)]
struct OrNone<T>(Option<T>);

/// Makes a parser that also takes `none`.
fn or_none<T>(
    parse: impl Fn(&str) -> std::result::Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> std::result::Result<OrNone<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == "none" { Ok(OrNone(None)) } else { parse(text).map(|value| OrNone(Some(value))) }
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> std::result::Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl Args {
    fn is_empty(&self) -> bool {
        let Self {
            namespace: _,
            mode,
            blinded_names,
            on_tamper,
            audit,
            durability,
            ttl,
            max_entries,
            max_bytes,
            eviction,
            memory_tier,
            anew,
        } = self;
        !anew
            && mode.is_none()
            && blinded_names.is_none()
            && on_tamper.is_none()
            && audit.is_none()
            && durability.is_none()
            && ttl.is_none()
            && max_entries.is_none()
            && max_bytes.is_none()
            && eviction.is_none()
            && memory_tier.is_none()
    }

    /// Changes what is given.
    fn change(&self, settings: &mut NamespaceSettings) {
        let is_on = |switch: Switch| switch == Switch::Yes;
        set(&mut settings.mode, self.mode);
        set(&mut settings.blinded_names, self.blinded_names.map(is_on));
        set(&mut settings.on_tamper, self.on_tamper);
        set(&mut settings.audit, self.audit);
        set(&mut settings.durability, self.durability);
        set(&mut settings.lifetime, self.ttl.map(|value| value.0));
        set(&mut settings.max_entries, self.max_entries.map(|value| value.0));
        set(&mut settings.max_bytes, self.max_bytes.map(|value| value.0));
        set(&mut settings.eviction, self.eviction.map(|value| value.0));
        set(&mut settings.memory_tier, self.memory_tier.map(is_on));
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Has the entries that are there take part in a new policy, once all processes follow it.
async fn refile(namespace: &Namespace, desk: &Desk) -> Result<()> {
    let usage = namespace.usage().await.map_err(bulla::Error::from)?;
    if usage.is_none_or(|usage| usage.documents == 0) {
        return Ok(());
    }
    wait_for(ThreadWaiter.wait(SETTINGS_FRESH));
    let progress = Progress::counting(&desk.output);
    let mut tell = |event: WalkEvent<'_, RefileCounts>| {
        if let WalkEvent::Progress(counts) = event {
            progress.say(|| format!("filing {} entries", counts.filed));
        }
    };
    namespace.refile(&Budget::UNLIMITED, &mut tell).await.map_err(bulla::Error::from)?;
    Ok(())
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    if args.is_empty() {
        return Err(
            Failure::usage("there is no setting to change").with_hint("`bulla namespace set --help` lists them")
        );
    }
    let namespace = desk.namespace(&args.namespace).await?;
    let mut settings = if args.anew {
        NamespaceSettings::default()
    } else {
        namespace.settings().await.map_err(bulla::Error::from)?
    };
    let before = settings.eviction;
    args.change(&mut settings);
    let set =
        if args.anew { namespace.set_settings_anew(&settings).await } else { namespace.set_settings(&settings).await };
    set.map_err(bulla::Error::from)?;
    if settings.eviction.is_some() && settings.eviction != before {
        refile(&namespace, desk).await?;
    }
    let name = namespace.name();
    desk.output.done(&super::record(name.as_str(), &settings), || {
        format!("namespace {name} is kept as follows\n{}", super::lines(&settings))
    })
}
