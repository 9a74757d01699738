//! What lower floors report, as events of the log.

use std::fmt::Display;
use std::sync::Arc;

use bulla_backend::{Event as Reported, Recorder};

use super::event::{Class, Event, Outcome, Severity};
use super::log::Log;
use super::value::Code;

/// Hands to the log what the store and the keyring report. Nobody waits for it: what cannot be written is counted, and a gap is logged.
#[derive(Debug, Clone)]
pub struct AuditRecorder(Arc<Log>);

impl AuditRecorder {
    /// Records to a log.
    #[must_use]
    pub const fn new(log: Arc<Log>) -> Self {
        Self(log)
    }
}

impl Recorder for AuditRecorder {
    fn record(&self, reported: &Reported<'_>) {
        let event = match reported {
            Reported::SecurityViolation { code: kind, subject, detail } => {
                // Whoever can leave such a thing can write what others read.
                Event::security_violation(code(kind), Severity::High)
                    .resource(text(subject))
                    .text(Code::new("detail"), text(detail))
            }
            Reported::Change { action, subject } => {
                Event::new(Class::Store, code(action), Outcome::Success).resource(text(subject))
            }
            Reported::Read { subject } => {
                Event::new(Class::Store, Code::new("read"), Outcome::Success).resource(text(subject))
            }
            // Nothing else is reported so far.
            _ => return,
        };
        self.0.note(event.best_effort());
    }
}

fn code(word: &str) -> Code {
    word.parse().unwrap_or(Code::new("other"))
}

fn text(shown: &dyn Display) -> String {
    shown.to_string()
}
