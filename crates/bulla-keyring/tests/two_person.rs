//! The rule of two: one asks, another approves.

use bulla_keyring::format::{Act, TRUST_LOG};
use bulla_keyring::{Capability, Keyring, Outcome, PendingAct};

use crate::setting::code;
use crate::team::{PLAIN, Team, identity, refreshed};

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

/// A project with two authorisers and the rule of two.
fn two() -> (Team, Keyring, Keyring) {
    let (team, founder) = Team::begin();
    assert_eq!(code(block(founder.set_two_person(true))), "too_few_authorisers");
    let admin = team.open(&team.join(&founder, "admin", Capability::Authorise)).unwrap();
    assert_eq!(block(founder.set_two_person(true)).unwrap(), Outcome::Done(()));
    (team, founder, admin)
}

#[test]
fn a_grant_waits_for_another_authoriser() {
    let (team, founder, admin) = two();
    let server = identity();
    let position = team.let_in(&founder, &server, "server", Capability::Authorise).unwrap();
    assert!(team.copies(server.fingerprint()).is_empty(), "nothing is wrapped before the approval");
    assert_eq!(code(team.open(&server)), "no_data_key");
    let pending = block(admin.pending()).unwrap();
    assert!(pending.is_empty(), "seen a second ago");
    refreshed(&admin).unwrap();
    let pending = block(admin.pending()).unwrap();
    assert_eq!((pending[0].position, pending[0].by), (position, team.founder.fingerprint()));
    assert!(
        matches!(&pending[0].act, PendingAct::Grant { name, capability: Some(Capability::Authorise), .. } if name.as_str() == "server")
    );
    assert_eq!(code(block(founder.approve(position))), "own_request");
    for nothing in [0, 3, position + 1, u64::MAX] {
        assert_eq!(code(block(admin.approve(nothing))), "not_pending");
    }
    let machine = block(admin.approve(position)).unwrap().unwrap();
    assert_eq!(
        (machine.granted_by, machine.approved_by),
        (team.founder.fingerprint(), Some(admin.identity().fingerprint()))
    );
    assert_eq!(code(block(admin.approve(position))), "not_pending");
    assert_eq!(team.open(&server).unwrap().machines().len(), 3);
}

#[test]
fn one_authoriser_alone_forges_no_approval() {
    let (team, founder, admin) = two();
    let server = identity();
    let position = team.let_in(&founder, &server, "server", Capability::Use).unwrap();
    let user = team.join(&admin, "user", Capability::Use);
    let refused = |by: &bulla_keyring::Identity, act: Act| {
        let next = team.length();
        team.plant(next, &team.signed(by, act));
        let error = team.open(&team.founder).unwrap_err().to_string();
        team.remove(TRUST_LOG, &team.records().pop().unwrap());
        error
    };
    let own = refused(&team.founder, Act::Approval { position });
    assert!(own.contains("does not wait for this machine's approval"), "{own}");
    // Who waits to be let in approves nothing, be it their own grant.
    for stranger in [&server, &user] {
        assert!(refused(stranger, Act::Approval { position }).contains("never let in"));
    }
    // The rule itself waits like a grant.
    let Outcome::Waits(off) = block(founder.set_two_person(false)).unwrap() else { unreachable!() };
    assert!(block(founder.two_person()).unwrap());
    assert_eq!(code(block(founder.approve(off))), "own_request");
    block(admin.approve(off)).unwrap();
    assert!(!block(admin.two_person()).unwrap());
    team.open(&team.join(&admin, "alone", Capability::Use)).unwrap();
}

#[test]
fn who_is_put_out_has_nothing_waiting_any_more() {
    let (team, founder, admin) = two();
    let third = identity();
    let position = team.let_in(&founder, &third, "third", Capability::Authorise).unwrap();
    block(admin.approve(position)).unwrap();
    let third = team.open(&third).unwrap();
    let mole = identity();
    let position = team.let_in(&third, &mole, "mole", Capability::Use).unwrap();
    block(founder.revoke(third.identity().fingerprint(), PLAIN)).unwrap();
    assert_eq!(code(block(admin.approve(position))), "not_pending");
    assert_eq!(code(team.open(&mole)), "no_data_key");
}

#[test]
fn a_grant_that_waits_can_be_withdrawn() {
    let (team, founder, admin) = two();
    let server = identity();
    let position = team.let_in(&founder, &server, "server", Capability::Use).unwrap();
    let withdrawn = block(admin.revoke(server.fingerprint(), PLAIN)).unwrap();
    assert!(withdrawn.machines.is_empty());
    assert_eq!(code(block(admin.approve(position))), "not_pending");
    assert_eq!(code(block(admin.revoke(server.fingerprint(), PLAIN))), "no_machine");
}

#[test]
fn of_two_grants_of_one_name_one_takes_effect() {
    let (team, founder, admin) = two();
    let (one, other) = (identity(), identity());
    let first = team.let_in(&founder, &one, "server", Capability::Use).unwrap();
    let second = team.let_in(&founder, &other, "server", Capability::Use).unwrap();
    block(admin.approve(second)).unwrap();
    assert_eq!(code(block(admin.approve(first))), "already_exists");
    assert!(team.open(&other).is_ok());
    team.plant(team.length(), &team.signed(admin.identity(), Act::Approval { position: first }));
    assert_eq!(code(team.open(&team.founder)), "trust_log");
}

#[test]
fn recovery_acts_alone() {
    let (team, founder) = Team::begin();
    let paper = team.join(&founder, "paper", Capability::Recovery);
    assert_eq!(block(founder.set_two_person(true)).unwrap(), Outcome::Done(()));
    let recovery = team.open(&paper).unwrap();
    let heir = identity();
    assert!(block(founder.authorise(&team.request(&heir, "heir"), Capability::Authorise)).unwrap().done().is_none());
    let machine = block(recovery.authorise(&team.request(&heir, "heir"), Capability::Authorise)).unwrap();
    assert_eq!(machine.done().unwrap().approved_by, None);
    assert!(team.open(&heir).is_ok());
    assert_eq!(block(recovery.set_two_person(false)).unwrap(), Outcome::Done(()));
}
