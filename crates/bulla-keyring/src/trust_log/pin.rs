use std::fmt;
use std::str::FromStr;

use bulla_seal::ProjectId;

use crate::format::RecordHash;

/// What a machine remembers of a project's trust log: how long it was, and where it ended.
///
/// A log that is shorter than that, or differs below it, is refused. A machine that knows nothing but the project id pins
/// `TrustPin::from(project)`. The text form is the project, the length and the hash of the last record, separated by spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustPin {
    project: ProjectId,
    length: u64,
    head: RecordHash,
}

impl TrustPin {
    pub(crate) fn new(project: ProjectId, length: u64, head: RecordHash) -> Self {
        Self { project, length, head }
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Returns how many records there were.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the hash of the last of them.
    #[must_use]
    pub fn head(&self) -> RecordHash {
        self.head
    }
}

impl From<ProjectId> for TrustPin {
    /// The project id is the hash of the first record.
    fn from(project: ProjectId) -> Self {
        Self { project, length: 1, head: RecordHash(project.0) }
    }
}

impl fmt::Display for TrustPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.project, self.length, self.head)
    }
}

/// The text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trust pin is a project id, a length and a hash, separated by spaces")]
pub struct ParseTrustPinError;

impl FromStr for TrustPin {
    type Err = ParseTrustPinError;

    fn from_str(text: &str) -> Result<Self, ParseTrustPinError> {
        let hash = |text: Option<&str>| text.and_then(|text| text.parse::<RecordHash>().ok()).ok_or(ParseTrustPinError);
        let mut parts = text.split(' ');
        let project = ProjectId(hash(parts.next())?.0);
        let length = parts.next().and_then(|length| length.parse().ok()).ok_or(ParseTrustPinError)?;
        let pin = Self { project, length, head: hash(parts.next())? };
        // What is not written as we write it is refused, and so is a log of no records.
        if length > 0 && pin.to_string() == text { Ok(pin) } else { Err(ParseTrustPinError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips() {
        let pin = TrustPin::new(ProjectId([1; 32]), 7, RecordHash([2; 32]));
        assert_eq!(pin.to_string().parse(), Ok(pin));
        let project = ProjectId([1; 32]);
        for text in ["", "7", &format!("{project} 0 {project}"), &format!("{project} 01 {project}"), &format!("{pin} ")]
        {
            assert_eq!(text.parse::<TrustPin>(), Err(ParseTrustPinError), "{text}");
        }
    }
}
