use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bulla_seal::ProjectId;

use crate::Fingerprint;
use crate::format::RecordHash;

/// Stands in the text form where two authorisers have to agree.
const TWO_PERSON: &str = "two-person";

/// What a machine remembers of a project's trust log: how long it was, where it ended, and who could let others in.
///
/// A log that is shorter than that, or differs below it, is refused, unless one of those authorisers has accepted a restore since. A machine
/// that knows nothing but the project id pins `TrustPin::from(project)`. The text form is the project, the length and the hash of the last
/// record; behind them, where there are any, the number of the last restore and the fingerprints of the authorisers, all separated by
/// spaces; between the two, `two-person` where two authorisers have to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPin {
    project: ProjectId,
    length: u64,
    head: RecordHash,
    restores: u64,
    two_person: bool,
    authorisers: BTreeSet<Fingerprint>,
}

impl TrustPin {
    pub(crate) fn new(
        project: ProjectId,
        length: u64,
        head: RecordHash,
        restores: u64,
        two_person: bool,
        authorisers: BTreeSet<Fingerprint>,
    ) -> Self {
        Self { project, length, head, restores, two_person, authorisers }
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

    /// Returns the number of the last restore that an authoriser has accepted, 0 if there was none.
    #[must_use]
    pub fn restores(&self) -> u64 {
        self.restores
    }

    /// Says whether two authorisers were needed to let a machine in.
    #[must_use]
    pub fn two_person(&self) -> bool {
        self.two_person
    }

    /// Returns the machines that may accept an older copy: those that could let others in, or, where two had to agree, those for recovery.
    #[must_use]
    pub fn authorisers(&self) -> &BTreeSet<Fingerprint> {
        &self.authorisers
    }
}

impl From<ProjectId> for TrustPin {
    /// The project id is the hash of the first record.
    fn from(project: ProjectId) -> Self {
        Self::new(project, 1, RecordHash(project.0), 0, false, BTreeSet::new())
    }
}

impl fmt::Display for TrustPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.project, self.length, self.head)?;
        if self.restores > 0 || self.two_person || !self.authorisers.is_empty() {
            write!(f, " {}", self.restores)?;
        }
        if self.two_person {
            write!(f, " {TWO_PERSON}")?;
        }
        self.authorisers.iter().try_for_each(|authoriser| write!(f, " {authoriser}"))
    }
}

/// The text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trust pin is a project id, a length and a hash, and then the authorisers, separated by spaces")]
pub struct ParseTrustPinError;

impl FromStr for TrustPin {
    type Err = ParseTrustPinError;

    fn from_str(text: &str) -> Result<Self, ParseTrustPinError> {
        let hash = |text: Option<&str>| text.and_then(|text| text.parse::<RecordHash>().ok()).ok_or(ParseTrustPinError);
        let number = |text: &str| text.parse::<u64>().map_err(|_| ParseTrustPinError);
        let mut parts = text.split(' ');
        let project = ProjectId(hash(parts.next())?.0);
        let length = number(parts.next().ok_or(ParseTrustPinError)?)?;
        let head = hash(parts.next())?;
        let restores = parts.next().map_or(Ok(0), number)?;
        let mut parts = parts.peekable();
        let two_person = parts.next_if_eq(&TWO_PERSON).is_some();
        let authorisers = parts.map(|part| part.parse().map_err(|_| ParseTrustPinError)).collect::<Result<_, _>>()?;
        let pin = Self { project, length, head, restores, two_person, authorisers };
        // What is not written as we write it is refused, and so is a log of no records.
        if length > 0 && pin.to_string() == text { Ok(pin) } else { Err(ParseTrustPinError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips() {
        let project = ProjectId([1; 32]);
        let authorisers = BTreeSet::from([Fingerprint([3; 32]), Fingerprint([4; 32])]);
        let bare = TrustPin::new(project, 7, RecordHash([2; 32]), 0, false, BTreeSet::new());
        for pin in [
            bare.clone(),
            TrustPin { restores: 2, ..bare.clone() },
            TrustPin { authorisers: authorisers.clone(), ..bare.clone() },
            TrustPin { two_person: true, ..bare.clone() },
            TrustPin { authorisers, restores: 3, two_person: true, ..bare.clone() },
        ] {
            assert_eq!(pin.to_string().parse(), Ok(pin));
        }
        let (three, four) = (Fingerprint([3; 32]), Fingerprint([4; 32]));
        for text in [
            "",
            "7",
            &format!("{project} 0 {project}"),
            &format!("{project} 01 {project}"),
            &format!("{bare} "),
            &format!("{bare} 0"),
            &format!("{bare} two-person"),
            &format!("{bare} 0 {three} two-person"),
            &format!("{bare} 0 two-person two-person"),
            &format!("{bare} {three}"),
            &format!("{bare} 0 {four} {three}"),
            &format!("{bare} 0 {three} {three}"),
        ] {
            assert_eq!(text.parse::<TrustPin>(), Err(ParseTrustPinError), "{text}");
        }
    }
}
