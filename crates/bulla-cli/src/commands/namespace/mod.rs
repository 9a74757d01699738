//! Commands on namespaces: how entries are kept.

mod ls;
mod set;
mod show;

use bulla::NamespaceSettings;
use serde_json::{Value, json};

use super::Desk;
use crate::duration;
use crate::failure::Result;

/// Namespaces of the store, and how each is kept
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Ls(ls::Args),
    Show(show::Args),
    Set(set::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Ls(_) => ls::run(desk).await,
        Command::Show(args) => show::run(args, desk).await,
        Command::Set(args) => set::run(args, desk).await,
    }
}

/// Makes the record of a namespace's settings.
fn record(name: &str, settings: &NamespaceSettings) -> Value {
    json!({
        "namespace": name,
        "mode": settings.mode.name(),
        "blinded_names": settings.blinded_names,
        "on_tamper": settings.on_tamper.name(),
        "audit": settings.audit.name(),
        "durability": settings.durability.name(),
        "ttl_ms": settings.lifetime.map(|lifetime| u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)),
        "max_entries": settings.max_entries,
        "max_bytes": settings.max_bytes,
        "eviction": settings.eviction.map(|eviction| eviction.name()),
        "memory_tier": settings.memory_tier,
    })
}

/// Writes settings for people, each as `bulla namespace set` takes it.
fn lines(settings: &NamespaceSettings) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let switch = |on| if on { "yes" } else { "no" }.to_owned();
    let lines = [
        ("mode", settings.mode.to_string()),
        ("blinded-names", switch(settings.blinded_names)),
        ("on-tamper", settings.on_tamper.to_string()),
        ("audit", settings.audit.to_string()),
        ("durability", settings.durability.to_string()),
        ("ttl", settings.lifetime.map_or_else(|| "none".to_owned(), duration::shown)),
        ("max-entries", number(settings.max_entries)),
        ("max-bytes", number(settings.max_bytes)),
        ("eviction", settings.eviction.map_or_else(|| "none".to_owned(), |eviction| eviction.to_string())),
        ("memory-tier", switch(settings.memory_tier)),
    ];
    let lines: Vec<_> = lines.into_iter().map(|(name, value)| format!("  {name:<13} {value}")).collect();
    lines.join("\n")
}
