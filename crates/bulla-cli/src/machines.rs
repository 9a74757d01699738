//! How machines are printed.

use bulla::{Capability, Fingerprint, Machine};
use serde_json::{Value, json};

use crate::names::moment;

/// How many digits of a fingerprint tell it from others in a table.
const SHORT_LEN: usize = 16;

/// Returns the beginning of a fingerprint, for tables.
pub(crate) fn short(fingerprint: Fingerprint) -> String {
    fingerprint.to_string().chars().take(SHORT_LEN).collect()
}

/// Says what a machine may do, behind `may`.
pub(crate) fn may(capability: Option<Capability>) -> &'static str {
    match capability {
        Some(Capability::Use) => "use the project",
        Some(Capability::Authorise) => "use the project and let others in",
        Some(Capability::Recovery) => "recover the project",
        _ => "do what this machine cannot read",
    }
}

/// Says in one word of a table whether a machine may let others in.
pub(crate) fn authorises(capability: Option<Capability>) -> &'static str {
    match capability {
        Some(capability) if capability.may_authorise() => "Yes",
        Some(_) => "No",
        None => "?",
    }
}

/// Describes a machine in JSON.
pub(crate) fn record(fingerprint: Fingerprint, machine: &Machine) -> Value {
    json!({
        "fingerprint": fingerprint.to_string(),
        "name": machine.name.as_str(),
        "capability": machine.capability.map(|capability| capability.to_string()),
        "authorises": machine.capability.map(Capability::may_authorise),
        "created": moment(machine.granted),
        "granted_by": machine.granted_by.to_string(),
        "approved_by": machine.approved_by.map(|fingerprint| fingerprint.to_string()),
        "position": machine.position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_yes_no_or_a_question_mark() {
        for (capability, shown) in [
            (Some(Capability::Use), "No"),
            (Some(Capability::Authorise), "Yes"),
            (Some(Capability::Recovery), "Yes"),
            (None, "?"),
        ] {
            assert_eq!(authorises(capability), shown);
        }
    }

    #[test]
    fn a_fingerprint_is_cut_for_tables() {
        assert_eq!(short(Fingerprint([0xab; 32])), "abababababababab");
    }
}
