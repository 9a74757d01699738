//! Machines that come and go: who may do what, and what it leaves behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use bulla_backend::Documents;
use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_keyring::format::WRAPS;
use bulla_keyring::{Capability, Expectation, Finding, Fingerprint, Keyring, KeyringError, Request};

use crate::setting::{OneAtATime, code};
use crate::team::{CASCADE, PLAIN, ROTATE, Team, asked, identity, refreshed};

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

fn names(keyring: &Keyring) -> Vec<String> {
    let mut names: Vec<_> = keyring.machines().values().map(|machine| machine.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_machine_is_let_in_used_and_put_out() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    let admin = team.join(&founder, "admin", Capability::Authorise);
    let (server_here, admin_here) = (team.open(&server).unwrap(), team.open(&admin).unwrap());
    for keyring in [&founder, &server_here, &admin_here] {
        refreshed(keyring).unwrap();
        assert_eq!(names(keyring), ["admin", "founder", "server"]);
        assert_eq!(keyring.machines()[&server.fingerprint()].capability, Some(Capability::Use));
        assert_eq!(keyring.machines()[&server.fingerprint()].granted_by, team.founder.fingerprint());
    }
    let late = team.join(&admin_here, "late", Capability::Use);
    assert_eq!(team.open(&late).unwrap().machines()[&late.fingerprint()].granted_by, admin.fingerprint());

    let revoked = block(founder.revoke(server.fingerprint(), PLAIN)).unwrap();
    assert_eq!(revoked.machines.keys().collect::<Vec<_>>(), [&server.fingerprint()]);
    assert!(!revoked.rotation_owed && revoked.left_behind.is_none());
    assert!(team.copies(server.fingerprint()).is_empty());
    assert_eq!(names(&founder), ["admin", "founder", "late"]);
    assert_eq!(refreshed(&server_here).unwrap_err().code(), "revoked");
    assert_eq!(asked(&server_here), "revoked");
    assert_eq!(code(team.open(&server)), "revoked");
    assert!(team.open(&late).is_ok());
}

#[test]
fn only_authorisers_change_who_is_in() {
    let (team, founder) = Team::begin();
    let user = team.open(&team.join(&founder, "user", Capability::Use)).unwrap();
    let newcomer = identity();
    let before = team.records();
    let me = team.founder.fingerprint();
    for refused in [
        code(team.let_in(&user, &newcomer, "newcomer", Capability::Use)),
        code(block(user.revoke(me, PLAIN))),
        code(block(user.revoke(me, CASCADE))),
        code(block(user.begin_epoch())),
        code(block(user.set_two_person(true))),
        code(block(user.approve(3))),
    ] {
        assert_eq!(refused, "not_authorised");
    }
    assert_eq!(team.records(), before);
    assert!(team.copies(newcomer.fingerprint()).is_empty());
}

#[test]
fn a_machine_and_its_name_are_in_once() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    let again = team.let_in(&founder, &server, "other", Capability::Authorise).unwrap_err();
    assert!(matches!(&again, KeyringError::MachineExists { name, .. } if name.as_str() == "server"), "{again}");
    assert_eq!(again.code(), "already_exists");
    assert_eq!(code(team.let_in(&founder, &identity(), "server", Capability::Use)), "already_exists");
    block(founder.revoke(server.fingerprint(), PLAIN)).unwrap();
    let heir = team.join(&founder, "server", Capability::Use);
    assert!(team.open(&heir).is_ok());
    assert_eq!(code(team.open(&server)), "revoked");
}

#[test]
fn a_machine_that_was_put_out_may_come_back() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Authorise);
    let open = team.open(&server).unwrap();
    block(founder.revoke(server.fingerprint(), ROTATE)).unwrap();
    block(founder.begin_epoch()).unwrap();
    assert_eq!(refreshed(&open).unwrap_err().code(), "revoked");
    team.let_in(&founder, &server, "server", Capability::Use).unwrap();
    // Neither the process that ran all the time nor a new one has its old authority.
    for keyring in [open, team.open(&server).unwrap()] {
        refreshed(&keyring).unwrap();
        assert_eq!((keyring.epoch(), asked(&keyring)), (2, "ok"));
        assert_eq!(code(block(keyring.begin_epoch())), "not_authorised");
    }
    let history = block(founder.history()).unwrap();
    let times: Vec<_> = history.iter().filter(|one| one.fingerprint == server.fingerprint()).collect();
    assert_eq!(times.len(), 2);
    let put_out = times[0].put_out.unwrap();
    assert_eq!((put_out.by, put_out.position, put_out.cascaded), (team.founder.fingerprint(), 4, false));
    assert_eq!(
        (times[0].machine.capability, times[1].machine.capability),
        (Some(Capability::Authorise), Some(Capability::Use))
    );
    assert!(times[1].put_out.is_none());
}

#[test]
fn the_last_authoriser_stays() {
    let (team, founder) = Team::begin();
    let me = team.founder.fingerprint();
    team.join(&founder, "user", Capability::Use);
    let recovery = team.open(&team.join(&founder, "paper", Capability::Recovery)).unwrap();
    let before = team.length();
    for refused in [founder.revoke(me, PLAIN), founder.revoke(me, CASCADE), recovery.revoke(me, PLAIN)] {
        assert_eq!(code(block(refused)), "last_authoriser");
    }
    assert_eq!(team.length(), before);
    // Recovery lets another in first; the founder is not needed for it.
    let heir = team.join(&recovery, "heir", Capability::Authorise);
    block(recovery.revoke(me, ROTATE)).unwrap();
    assert_eq!(code(refreshed(&founder)), "revoked");
    block(team.open(&heir).unwrap().begin_epoch()).unwrap();
    // Now the one for recovery may go, too.
    block(team.open(&heir).unwrap().revoke(recovery.identity().fingerprint(), PLAIN)).unwrap();
}

#[test]
fn an_authoriser_may_put_itself_out() {
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    let admin = team.open(&admin).unwrap();
    let revoked = block(admin.revoke(admin.identity().fingerprint(), ROTATE)).unwrap();
    assert!(revoked.rotation_owed);
    assert_eq!(asked(&admin), "revoked");
    refreshed(&founder).unwrap();
    assert!(block(founder.rotation_owed()).unwrap());
}

#[test]
fn a_cascade_takes_all_that_came_through_a_machine() {
    let (team, founder) = Team::begin();
    let rogue = team.open(&team.join(&founder, "rogue", Capability::Authorise)).unwrap();
    let accomplice = team.open(&team.join(&rogue, "accomplice", Capability::Authorise)).unwrap();
    team.join(&accomplice, "mole", Capability::Use);
    team.join(&founder, "honest", Capability::Authorise);
    // Without it, what the machine let in stays.
    let other = team.open(&team.join(&founder, "other", Capability::Authorise)).unwrap();
    let kept = team.join(&other, "kept", Capability::Use);
    let revoked = block(founder.revoke(other.identity().fingerprint(), PLAIN)).unwrap();
    assert_eq!(revoked.machines.len(), 1);
    assert!(team.open(&kept).is_ok());

    let revoked = block(founder.revoke(rogue.identity().fingerprint(), CASCADE)).unwrap();
    let gone: BTreeSet<_> = revoked.machines.values().map(|machine| machine.name.as_str()).collect();
    assert_eq!(gone, ["accomplice", "mole", "rogue"].into());
    assert_eq!(names(&founder), ["founder", "honest", "kept"]);
    for fingerprint in revoked.machines.keys() {
        assert!(team.copies(*fingerprint).is_empty());
    }
    let cascaded =
        block(founder.history()).unwrap().into_iter().filter(|one| one.put_out.is_some_and(|out| out.cascaded));
    assert_eq!(cascaded.count(), 2);
    // One who is out already may still be cascaded from.
    let revoked = block(founder.revoke(other.identity().fingerprint(), CASCADE)).unwrap();
    assert_eq!(revoked.machines.keys().collect::<Vec<_>>(), [&kept.fingerprint()]);
}

#[test]
fn whoever_revokes_is_not_cascaded_away() {
    let (team, founder) = Team::begin();
    let heir = team.open(&team.join(&founder, "heir", Capability::Authorise)).unwrap();
    team.join(&heir, "through-heir", Capability::Use);
    team.join(&founder, "through-founder", Capability::Use);
    let revoked = block(heir.revoke(team.founder.fingerprint(), CASCADE)).unwrap();
    assert_eq!(revoked.machines.len(), 2);
    assert_eq!(names(&heir), ["heir", "through-heir"]);
}

#[test]
fn a_machine_is_found_by_name_or_prefix() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    let find = |text: &str| block(founder.find_machine(text)).map(|(fingerprint, _)| fingerprint);
    let text = server.fingerprint().to_string();
    for found in [find("server"), find(&text), find(&text[..20])] {
        assert_eq!(found.unwrap(), server.fingerprint());
    }
    assert_eq!(code(find("")), "empty_machine");
    for unknown in ["serve", "Server", "xyz", &"0".repeat(64)] {
        assert_eq!(code(find(unknown)), "no_machine", "{unknown}");
    }
    // Seventeen machines: two of them begin with the same digit.
    for number in 0..16 {
        team.join(&founder, &format!("m{number}"), Capability::Use);
    }
    let digit = "0123456789abcdef".chars().map(String::from).find(|digit| begin_so(&founder, digit).len() > 1).unwrap();
    let ambiguous = find(&digit).unwrap_err();
    assert_eq!(ambiguous.code(), "ambiguous_machine");
    for fingerprint in begin_so(&founder, &digit) {
        let text = fingerprint.to_string();
        assert!(ambiguous.to_string().contains(&text[..16]), "{ambiguous}");
        assert!(!ambiguous.to_string().contains(&text[..17]), "{ambiguous}");
    }
    // A name that looks like the fingerprint of another is found by its own fingerprint only.
    let impostor = team.join(&founder, &text, Capability::Use);
    assert_eq!(find(&text).unwrap(), server.fingerprint());
    assert_eq!(find(&impostor.fingerprint().to_string()).unwrap(), impostor.fingerprint());
}

fn begin_so(keyring: &Keyring, text: &str) -> Vec<Fingerprint> {
    keyring.machines().into_keys().filter(|fingerprint| fingerprint.to_string().starts_with(text)).collect()
}

#[test]
fn an_audit_names_what_is_not_as_expected() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    let admin = team.open(&team.join(&founder, "admin", Capability::Authorise)).unwrap();
    let orphan = team.join(&admin, "orphan", Capability::Authorise);
    block(founder.revoke(admin.identity().fingerprint(), PLAIN)).unwrap();
    let expect = |machine: &str, authoriser| Expectation { machine: machine.to_owned(), authoriser };
    let all =
        [expect("founder", Some(true)), expect(&server.fingerprint().to_string(), Some(false)), expect("orphan", None)];
    let findings = block(founder.audit_machines(&all.clone().into())).unwrap();
    assert!(matches!(&findings[..], [Finding::Orphan { fingerprint, .. }] if *fingerprint == orphan.fingerprint()));
    let wrong = [expect("founder", Some(false)), expect("admin", None), all[1].clone()];
    let findings = block(founder.audit_machines(&wrong.into())).unwrap();
    let authority =
        |finding: &Finding| matches!(finding, Finding::Authority { machine, .. } if machine.name.as_str() == "founder");
    let unexpected = |finding: &Finding| matches!(finding, Finding::Unexpected { fingerprint, .. } if *fingerprint == orphan.fingerprint());
    let missing = |finding: &Finding| matches!(finding, Finding::Missing { expected } if expected == "admin");
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert!(findings.iter().any(authority) && findings.iter().any(unexpected) && findings.iter().any(missing));
}

#[test]
fn every_machine_in_force_has_every_data_key() {
    let (team, founder) = Team::begin();
    let early = team.join(&founder, "early", Capability::Use);
    let gone = team.join(&founder, "gone", Capability::Use);
    assert_eq!(block(founder.begin_epoch()).unwrap(), 2);
    block(founder.revoke(gone.fingerprint(), ROTATE)).unwrap();
    assert!(block(founder.rotation_owed()).unwrap());
    assert_eq!(block(founder.begin_epoch()).unwrap(), 3);
    assert!(!block(founder.rotation_owed()).unwrap());
    let late = team.join(&founder, "late", Capability::Use);
    for machine in [&team.founder, &early, &late] {
        assert_eq!(team.copies(machine.fingerprint()).len(), 3);
        assert_eq!(team.open(machine).unwrap().epoch(), 3);
    }
    assert!(team.copies(gone.fingerprint()).is_empty());
}

#[test]
fn a_copy_that_is_garbage_hides_no_other() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    block(founder.begin_epoch()).unwrap();
    let machine = server.fingerprint().0;
    for (end, value) in [
        (vec![], &b"x"[..]),
        (vec![0], b""),
        (vec![0; 8], b"{}"),
        (vec![1; 40], &[0; 70_000]),
        (vec![0xff; 99], b"\x85"),
    ] {
        team.overwrite(WRAPS, &[&machine[..], &end].concat(), value);
    }
    assert_eq!(team.open(&server).unwrap().epoch(), 2);
    // A damaged one names its epoch.
    let second = [&machine[..], &2_u64.to_be_bytes()].concat();
    let copy = team.copies(server.fingerprint()).into_iter().find(|copy| copy.key.as_bytes().starts_with(&second));
    team.overwrite(WRAPS, copy.unwrap().key.as_bytes(), b"\x85");
    let error = team.open(&server).unwrap_err();
    assert!(matches!(error, KeyringError::NoDataKey { epoch: 2, .. }), "{error}");
    assert!(team.open(&team.founder).is_ok());
}

#[test]
fn copies_that_were_left_behind_are_deleted_later() {
    let (team, founder) = Team::begin();
    let server = team.join(&founder, "server", Capability::Use);
    let stranger = identity();
    team.overwrite(WRAPS, &[&stranger.fingerprint().0[..], &[0; 40]].concat(), b"about to be let in");
    let faults = CallFaults::new();
    let faulty = Arc::new(FaultyDocuments::new(Arc::new(team.documents.clone()), faults.clone()));
    let here = team.open_on(faulty, &team.founder, founder.pin()).unwrap();
    // Two calls until the record stands, and one to look at it; what comes behind is bookkeeping.
    faults.arm(faults.calls() + 4, Failure::Away);
    let revoked = block(here.revoke(server.fingerprint(), PLAIN)).unwrap();
    assert_eq!(revoked.left_behind.unwrap().code(), "backend");
    faults.disarm();
    assert_eq!(code(team.open(&server)), "revoked");
    assert_eq!(team.copies(server.fingerprint()).len(), 1);
    assert_eq!(block(here.delete_foreign_wraps()).unwrap(), 1);
    assert!(team.copies(server.fingerprint()).is_empty());
    assert_eq!(team.copies(stranger.fingerprint()).len(), 1);
}

/// Lets each call of an operation fail in each way, and makes it again.
#[test]
fn every_operation_can_fail_at_any_call_and_be_made_again() {
    type Operation = fn(&Keyring, &Request, Fingerprint) -> Result<(), KeyringError>;
    let operations: [(&str, Operation); 4] = [
        ("authorise", |keyring, request, _| block(keyring.authorise(request, Capability::Use)).map(drop)),
        ("revoke", |keyring, _, subject| block(keyring.revoke(subject, ROTATE)).map(drop)),
        ("begin an epoch", |keyring, _, _| block(keyring.begin_epoch()).map(drop)),
        ("set the policy", |keyring, _, _| block(keyring.set_two_person(true)).map(drop)),
    ];
    for ((what, operation), at_once) in
        operations.into_iter().flat_map(|operation| [(operation, true), (operation, false)])
    {
        for at in 1.. {
            let mut reached = true;
            for failure in Failure::ALL {
                let (team, founder) = Team::begin();
                let (server, newcomer) = (team.join(&founder, "server", Capability::Authorise), identity());
                let faults = CallFaults::new();
                let documents: Arc<dyn Documents> = if at_once {
                    Arc::new(team.documents.clone())
                } else {
                    Arc::new(OneAtATime(team.documents.clone()))
                };
                let faulty = Arc::new(FaultyDocuments::new(documents, faults.clone()));
                let here = team.open_on(faulty, &team.founder, founder.pin()).unwrap();
                let request = team.request(&newcomer, "newcomer");
                faults.arm(faults.calls() + at, failure);
                let first = operation(&here, &request, server.fingerprint());
                reached &= first.is_err();
                faults.disarm();
                let place = format!("{what}, call {at}, {failure:?}");
                let again = code(operation(&here, &request, server.fingerprint()));
                assert!(
                    matches!(again, "ok" | "already_exists" | "no_machine" | "too_few_authorisers"),
                    "{place}: {again}"
                );
                // Whatever happened, everybody in force opens, and everybody agrees.
                let machines = team.open(&team.founder).unwrap().machines();
                for machine in [&team.founder, &server, &newcomer] {
                    let is_in = machines.contains_key(&machine.fingerprint());
                    assert_eq!(team.open(machine).is_ok(), is_in, "{place}");
                }
            }
            // What fails behind the record is told otherwise, or made good by the next look.
            if !reached {
                assert!(at >= 3, "{what} makes {at} calls");
                break;
            }
        }
    }
}
