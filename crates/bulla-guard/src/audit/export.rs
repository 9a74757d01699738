//! Events as lines of JSON, for people and other programs (`spec/audit.md`, "Exports").

mod ocsf;

use data_encoding::{BASE64, HEXLOWER};

use super::json::{Object, shown};
use super::logged::LoggedEvent;
use super::reader::Stored;
use super::time::rfc3339;
use super::tree::leaf_hash;
use super::value::Value;

/// Which lines an export has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Export {
    /// Everything that an event says, under its own names.
    #[default]
    Json,
    /// OCSF 1.6.0.
    Ocsf,
}

impl Export {
    /// Returns an event as one line, without its end. One of a version of the future is exported with its stored bytes.
    #[must_use]
    pub fn line(self, stored: &Stored) -> String {
        let mut line = Object::default();
        match (self, stored.event()) {
            (Self::Json, Ok(event)) => json(&mut line, stored, &event),
            (Self::Ocsf, Ok(event)) => ocsf::write(&mut line, stored, &event),
            (_, Err(_)) => {
                head(&mut line, stored).text("stored", &BASE64.encode(&stored.bytes));
            }
        }
        line.finish()
    }
}

fn head<'l>(line: &'l mut Object, stored: &Stored) -> &'l mut Object {
    line.number("index", stored.index).text("leaf", &BASE64.encode(&leaf_hash(&stored.bytes)))
}

fn json(line: &mut Object, stored: &Stored, event: &LoggedEvent) {
    head(line, stored).text("time", &rfc3339(event.time)).text("class", event.class.name());
    line.text("action", event.action.as_str()).text("phase", event.phase.name());
    if let Some(outcome) = event.outcome {
        line.text("outcome", outcome.name());
    }
    line.text("level", event.level.name()).text("process", &HEXLOWER.encode(&event.process));
    for (key, identifier) in [("principal", event.principal), ("address", event.address)] {
        if let Some(identifier) = identifier {
            line.text(key, &identifier.to_string());
        }
    }
    if let Some(resource) = &event.resource {
        value(line, "resource", resource);
    }
    if let Some(intent) = event.intent {
        line.number("intent", intent);
    }
    if let Some(batch) = event.batch {
        line.object("batch", |line| {
            line.number("count", batch.count).text("root", &HEXLOWER.encode(&batch.root));
        });
    }
    if !event.fields.is_empty() {
        line.object("fields", |line| fields(line, event));
    }
}

fn fields(line: &mut Object, event: &LoggedEvent) {
    event.fields.iter().for_each(|(name, field)| value(line, name.as_str(), field));
}

fn value(line: &mut Object, key: &str, value: &Value) {
    match value {
        Value::Text(text) => line.text(key, &shown(text)),
        Value::Number(number) => line.number(key, *number),
        Value::Flag(flag) => line.flag(key, *flag),
        Value::Digest(_) | Value::Identifier(_) | Value::Secret => line.text(key, &value.to_string()),
    };
}
