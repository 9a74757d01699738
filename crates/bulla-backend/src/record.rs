//! What lower floors tell upward.

use std::fmt;

/// Who is told what happens. What records audit events implements it; until then nobody listens ([`NoRecorder`]).
///
/// It is called in the middle of the work that it is told of, from any thread, and must not take long.
pub trait Recorder: Send + Sync + fmt::Debug {
    /// Takes note of something that happened.
    fn record(&self, event: &Event<'_>);
}

/// Something that happened.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something was found that no honest writer leaves there.
    SecurityViolation {
        /// The stable code of what is wrong.
        code: &'static str,
        /// What it concerns.
        subject: &'a dyn fmt::Display,
        /// What was found and done, in plain words; holds no secret.
        detail: &'a dyn fmt::Display,
    },
    /// Something was changed.
    Change {
        /// What was done, as a stable code.
        action: &'static str,
        /// What it concerns.
        subject: &'a dyn fmt::Display,
    },
    /// Something was read.
    Read {
        /// What was read.
        subject: &'a dyn fmt::Display,
    },
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecurityViolation { code, subject, detail } => {
                write!(f, "SecurityViolation({code}: {subject}: {detail})")
            }
            Self::Change { action, subject } => write!(f, "Change({action}: {subject})"),
            Self::Read { subject } => write!(f, "Read({subject})"),
        }
    }
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn record(&self, _: &Event<'_>) {}
}
