//! The settings of a key, as flags and as they are shown.

use std::time::Duration;

use bulla::{Exportable, KeyInfo, KeySetting};
use serde_json::{Value, json};

use crate::duration;
use crate::names::moment;

/// A setting that may be taken away with `none`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Perhaps<T>(Option<T>);

/// What both `key new` and `key set` take.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// How long a version is the newest before the next use makes another: `30d`, `12h`, or `none`
    #[arg(long, value_name = "TIME", value_parser = period)]
    period: Option<Perhaps<Duration>>,
    /// How often a version may seal or sign before the next use makes another, or `none`
    #[arg(long, value_name = "N", value_parser = number)]
    max_uses: Option<Perhaps<u64>>,
    /// Whether material is handed out; `never` cannot be taken back
    #[arg(long, value_name = "yes|no|never", value_parser = exportable)]
    exportable: Option<Exportable>,
    /// Whether the key may be deleted
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    deletion: Option<bool>,
}

/// What only a key that is there can be given.
#[derive(Debug, clap::Args)]
pub(super) struct VersionSettingsArgs {
    /// The lowest version that opens, verifies and exports
    #[arg(long, value_name = "VERSION")]
    min_open: Option<u64>,
    /// The lowest version that a program may choose to seal under, or `none`: only the newest
    #[arg(long, value_name = "VERSION", value_parser = number)]
    min_seal: Option<Perhaps<u64>>,
}

impl SettingsArgs {
    pub(super) fn settings(&self) -> Vec<KeySetting> {
        let mut settings = Vec::new();
        settings.extend(self.period.map(|period| KeySetting::Period(period.0)));
        settings.extend(self.max_uses.map(|uses| KeySetting::MaxUses(uses.0)));
        settings.extend(self.exportable.map(KeySetting::Exportable));
        settings.extend(self.deletion.map(KeySetting::DeletionAllowed));
        settings
    }
}

impl VersionSettingsArgs {
    pub(super) fn settings(&self) -> Vec<KeySetting> {
        let mut settings = Vec::new();
        settings.extend(self.min_open.map(KeySetting::MinOpen));
        settings.extend(self.min_seal.map(|number| KeySetting::MinSeal(number.0)));
        settings
    }
}

/// Describes the settings of a key in JSON.
pub(super) fn record(key: &KeyInfo) -> Value {
    let settings = &key.settings;
    json!({
        "min_open": settings.min_open,
        "min_seal": settings.min_seal,
        "period_seconds": settings.period.map(|period| period.as_secs()),
        "max_uses": settings.max_uses,
        "exportable": settings.exportable.to_string(),
        "deletion_allowed": settings.deletion_allowed,
    })
}

/// Describes the settings of a key for people, a line each.
pub(super) fn lines(key: &KeyInfo) -> Vec<(&'static str, String)> {
    let settings = &key.settings;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let mut lines = vec![
        ("opens from", format!("version {}", settings.min_open)),
        ("seals from", settings.min_seal.map_or_else(|| "the newest".to_owned(), |number| format!("version {number}"))),
        ("period", or_none(settings.period.map(duration::shown))),
        ("max uses", or_none(settings.max_uses.map(|uses| uses.to_string()))),
        ("exportable", settings.exportable.to_string()),
        ("deletion", if settings.deletion_allowed { "allowed" } else { "not allowed" }.to_owned()),
        ("rotated", moment(key.rotated)),
    ];
    lines.extend(key.deleting.map(|at| ("deleted", format!("for good from {}", moment(at)))));
    lines
}

fn period(text: &str) -> Result<Perhaps<Duration>, String> {
    if text == "none" { Ok(Perhaps(None)) } else { duration::parse(text).map(|period| Perhaps(Some(period))) }
}

fn number(text: &str) -> Result<Perhaps<u64>, String> {
    match text {
        "none" => Ok(Perhaps(None)),
        text => {
            text.parse().map(|number| Perhaps(Some(number))).map_err(|_| "write a whole number, or `none`".to_owned())
        }
    }
}

fn exportable(text: &str) -> Result<Exportable, String> {
    let known = [Exportable::Yes, Exportable::No, Exportable::Never];
    known.into_iter().find(|known| known.to_string() == text).ok_or_else(|| "write `yes`, `no` or `never`".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("write `yes` or `no`".to_owned()),
    }
}
