//! The floor table of ARCHITECTURE.md: a crate may use only crates on floors below its own.

use crate::failure::Failure;
use crate::workspace::{Dependency, DependencyKind, Member, Workspace};

/// Floor of every crate. Two crates on one floor never use each other.
const FLOORS: &[(&str, u8)] = &[
    ("bulla-seal", 1),
    ("bulla-backend", 1),
    ("bulla-keyring", 2),
    ("bulla-store", 3),
    ("bulla-guard", 3),
    ("bulla-client", 3),
    ("bulla", 4),
    ("bulla-remote", 4),
    ("bulla-server", 5),
    ("bulla-cli", 6),
    ("bulla-python", 7),
];

/// Stand beside the house: they use no crate of ours and none of ours uses them.
const OUTSIDE: &[&str] = &["xtask"];

pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let names: Vec<&str> = workspace.members.iter().map(|member| member.name.as_str()).collect();
    let findings: Vec<String> = workspace
        .members
        .iter()
        .flat_map(|Member { name, dependencies, .. }| findings(name, dependencies, &names))
        .collect();
    Failure::unless_empty(&findings)
}

/// Says what is wrong with the dependencies of one crate, of which only those in `members` matter.
fn findings(name: &str, dependencies: &[Dependency], members: &[&str]) -> Vec<String> {
    let ours = dependencies.iter().filter(|dependency| {
        let listed = FLOORS.iter().any(|(floor_name, _)| *floor_name == dependency.name);
        listed || members.contains(&dependency.name.as_str())
    });
    let Some(floor) = floor(name) else {
        if OUTSIDE.contains(&name) {
            return ours.map(|used| format!("{name} uses {}; it stands outside the floors", used.name)).collect();
        }
        return vec![format!("{name} is on no floor: give it one in xtask/src/steps/floors.rs and ARCHITECTURE.md")];
    };
    let mut findings = Vec::new();
    for Dependency { name: used, kind } in ours {
        // How a crate's own tests turn on its test features.
        if used == name && *kind == DependencyKind::Development {
            continue;
        }
        match self::floor(used) {
            Some(used_floor) if used_floor < floor => {}
            Some(used_floor) => {
                findings
                    .push(format!("{name} (floor {floor}) uses {used} (floor {used_floor}), which is not below it"));
            }
            None => findings.push(format!("{name} (floor {floor}) uses {used}, which is on no floor")),
        }
    }
    findings
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(listed, _)| *listed == name).map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: &[&str] = &["bulla-seal", "bulla-keyring", "bulla-store", "bulla-attic", "xtask"];

    fn check(name: &str, uses: &[(&str, DependencyKind)], expected: &[&str]) {
        let dependencies: Vec<Dependency> =
            uses.iter().map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind }).collect();
        assert_eq!(findings(name, &dependencies, MEMBERS), expected);
    }

    use DependencyKind::{Development, Shipped};

    #[test]
    fn floors_below_and_other_peoples_crates_may_be_used() {
        check("bulla-store", &[("bulla-keyring", Shipped), ("bulla-seal", Shipped), ("serde", Shipped)], &[]);
    }

    #[test]
    fn a_floor_above_may_not_be_used() {
        let expected = "bulla-seal (floor 1) uses bulla-keyring (floor 2), which is not below it";
        check("bulla-seal", &[("bulla-keyring", Shipped)], &[expected]);
        check("bulla-seal", &[("bulla-keyring", Development)], &[expected]);
    }

    #[test]
    fn crates_on_one_floor_may_not_use_each_other() {
        let expected = "bulla-store (floor 3) uses bulla-guard (floor 3), which is not below it";
        check("bulla-store", &[("bulla-guard", Shipped)], &[expected]);
    }

    #[test]
    fn a_crate_may_use_itself_in_its_tests_only() {
        check("bulla-seal", &[("bulla-seal", Development)], &[]);
        let expected = "bulla-seal (floor 1) uses bulla-seal (floor 1), which is not below it";
        check("bulla-seal", &[("bulla-seal", Shipped)], &[expected]);
    }

    #[test]
    fn a_crate_without_a_floor_is_refused() {
        check(
            "bulla-attic",
            &[],
            &["bulla-attic is on no floor: give it one in xtask/src/steps/floors.rs and ARCHITECTURE.md"],
        );
        check(
            "bulla-store",
            &[("bulla-attic", Shipped)],
            &["bulla-store (floor 3) uses bulla-attic, which is on no floor"],
        );
        check("bulla-store", &[("xtask", Development)], &["bulla-store (floor 3) uses xtask, which is on no floor"]);
    }

    #[test]
    fn xtask_uses_none_of_our_crates() {
        check("xtask", &[("serde_json", Shipped)], &[]);
        check("xtask", &[("bulla-seal", Shipped)], &["xtask uses bulla-seal; it stands outside the floors"]);
    }
}
