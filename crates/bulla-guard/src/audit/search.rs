//! What to look for in a log.

use bulla_backend::Timestamp;

use super::event::{Class, Level, Outcome};
use super::logged::LoggedEvent;
use super::value::{Code, Identifier, Value};

/// What to look for: an event is let through if it fits all that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Of one of these classes, if any is said.
    pub classes: Vec<Class>,
    /// Of this action.
    pub action: Option<Code>,
    /// By one of these principals, if any is said: somebody, blinded with each version of the key that there was.
    pub principals: Vec<Identifier>,
    /// From one of these addresses, likewise.
    pub addresses: Vec<Identifier>,
    /// About one of these, if any is said, in whatever field: an entry, a credential, likewise blinded.
    pub about: Vec<Identifier>,
    /// To this resource; one that was cut is met by its beginning.
    pub resource: Option<Vec<u8>>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// As loud as this, or louder.
    pub level: Option<Level>,
}

impl Filter {
    /// Says whether an event fits.
    #[must_use]
    pub fn lets_through(&self, event: &LoggedEvent) -> bool {
        let is_among = |found: Option<Identifier>, wanted: &[Identifier]| {
            wanted.is_empty() || found.is_some_and(|found| wanted.contains(&found))
        };
        self.from.is_none_or(|from| event.time >= from)
            && self.until.is_none_or(|until| event.time < until)
            && (self.classes.is_empty() || self.classes.contains(&event.class))
            && self.action.as_ref().is_none_or(|action| event.action == *action)
            && is_among(event.principal, &self.principals)
            && is_among(event.address, &self.addresses)
            && (self.about.is_empty() || names_any(event, &self.about))
            && self.resource.as_ref().is_none_or(|wanted| is_at(event, wanted))
            && self.outcome.is_none_or(|outcome| event.outcome == Some(outcome))
            && self.level.is_none_or(|level| event.level >= level)
    }
}

fn names_any(event: &LoggedEvent, wanted: &[Identifier]) -> bool {
    event.fields.iter().any(|(_, value)| matches!(value, Value::Identifier(found) if wanted.contains(found)))
}

fn is_at(event: &LoggedEvent, wanted: &[u8]) -> bool {
    match &event.resource {
        Some(Value::Text(text)) if text.is_cut() => {
            wanted.len() as u64 == text.len() && wanted.starts_with(text.as_bytes())
        }
        Some(Value::Text(text)) => text.as_bytes() == wanted,
        _ => false,
    }
}
