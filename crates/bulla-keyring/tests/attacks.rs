//! What those can do who write the database, hold the data key, or held it once: each attempt refused, with its code and position.

use std::sync::Arc;

use bulla_keyring::format::{Act, Record, SignedRecord, TRUST_LOG, WRAPS, Wrap};
use bulla_keyring::{Capability, Identity, Keyring, KeyringError, Problem};
use bulla_seal::ProjectId;

use crate::setting::code;
use crate::team::{PLAIN, ROTATE, Team, asked, identity, refreshed};

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

/// Founder, admin and user; the positions of their records are 1, 3 and 4.
struct Scene {
    team: Team,
    founder: Keyring,
    admin: Arc<Identity>,
    user: Arc<Identity>,
}

impl Scene {
    fn begin() -> Self {
        let (team, founder) = Team::begin();
        let admin = team.join(&founder, "admin", Capability::Authorise);
        let user = team.join(&founder, "user", Capability::Use);
        Self { team, founder, admin, user }
    }

    /// Every machine refuses the log at this record, those that are running too.
    fn refused_at(&self, position: u64, problem: Problem) {
        let fresh = [&self.team.founder, &self.admin].map(|machine| self.team.open(machine).map(drop));
        for refused in fresh.into_iter().chain([refreshed(&self.founder)]) {
            match refused {
                Err(KeyringError::TrustLog(found)) => assert_eq!((found.position, found.problem), (position, problem)),
                other => unreachable!("{other:?}, expected was {problem:?} at {position}"),
            }
        }
        assert_eq!(asked(&self.founder), "trust_log", "what was seen before is not relied on any more");
    }

    /// Appends a record, and shows that it is refused for this reason.
    fn refused(&self, by: &Identity, act: Act, problem: Problem) {
        let position = self.team.length();
        self.team.plant(position, &self.team.signed(by, act));
        self.refused_at(position, problem);
        let planted = self.team.records().pop().unwrap();
        self.team.remove(TRUST_LOG, &planted);
        refreshed(&self.founder).unwrap();
    }

    /// A grant that says about a newcomer what an older grant says about somebody else.
    fn copied_grant(&self, newcomer: &Identity, flag_of: u64) -> Act {
        let Act::Grant { epoch, capability, .. } = self.team.record(flag_of).record().act.clone() else {
            unreachable!()
        };
        Act::Grant { machine: "newcomer".parse().unwrap(), subject: newcomer.public().clone(), epoch, capability }
    }
}

#[test]
fn a_flag_copied_from_an_authorisers_grant_gives_nothing() {
    let scene = Scene::begin();
    let team = &scene.team;
    // In the database, into the grant of the user: the signature breaks.
    let (theirs, own) = (team.record(3), team.record(4));
    let Act::Grant { capability, .. } = theirs.record().act.clone() else { unreachable!() };
    let mut act = own.record().act.clone();
    if let Act::Grant { capability: flag, .. } = &mut act {
        *flag = capability;
    }
    let altered = Record { act, ..own.record().clone() };
    // By the user's own hand, the only one they have: not the one that the record names.
    team.plant(4, &altered.sign(scene.user.signing()).unwrap());
    let error = team.open(&scene.user).unwrap_err();
    assert!(error.to_string().contains("record 4 does not carry its author's signature"), "{error}");
    assert_eq!(asked_anew(&scene.founder), "rollback", "who runs has seen another record there");
    team.plant(4, &own);
    refreshed(&scene.founder).unwrap();

    // A data-key holder gives it to themselves, or to somebody else.
    let accomplice = identity();
    scene.refused(&scene.user, scene.copied_grant(&accomplice, 3), Problem::Authority);
    scene.refused(&scene.user, scene.copied_grant(&scene.user, 3), Problem::Authority);

    // An authoriser is made to sign it: the machine is in, and may do nothing with it.
    let newcomer = identity();
    team.plant(5, &team.signed(&scene.admin, scene.copied_grant(&newcomer, 3)));
    refreshed(&scene.founder).unwrap();
    assert_eq!(scene.founder.machines()[&newcomer.fingerprint()].capability, None);
    assert_ne!(code(team.open(&newcomer)), "ok");
    team.plant(6, &team.signed(&newcomer, scene.copied_grant(&accomplice, 3)));
    // What it signs is refused for its own grant.
    scene.refused_at(5, Problem::Capability);
}

#[test]
fn a_data_key_holder_without_authority_changes_nothing() {
    let scene = Scene::begin();
    let accomplice = identity();
    let machine = scene.admin.fingerprint();
    let first = scene.team.record(2).hash();
    for act in [
        scene.copied_grant(&accomplice, 4),
        Act::Epoch { epoch: 2, commitment: [7; 32], previous: first },
        Act::Revocation { machine, cascade: false, rotate: false },
        Act::Restore { number: 1 },
        Act::Approval { position: 3 },
        Act::Policy { two_person: true },
        Act::Floor { key: "orders".parse().unwrap(), serial: 9 },
    ] {
        scene.refused(&scene.user, act.clone(), Problem::Authority);
        scene.refused(&accomplice, act, Problem::Author);
    }
}

#[test]
fn a_database_writer_introduces_no_epoch() {
    let scene = Scene::begin();
    let team = &scene.team;
    // Another project of the writer's own lends a data key that is wrapped to the user.
    let (theirs, writer) = Team::begin();
    let wrapped = theirs.let_in(&writer, &scene.user, "user", Capability::Use);
    assert!(wrapped.is_ok());
    let copy = theirs.copies(scene.user.fingerprint()).remove(0);
    let commitment = copy.key.as_bytes()[40..].try_into().unwrap();
    let begin = Act::Epoch { epoch: 2, commitment, previous: team.record(2).hash() };
    scene.refused(&theirs.founder, begin.clone(), Problem::Author);
    scene.refused(&scene.user, begin, Problem::Authority);

    // Without a record, in a place of its own: nobody looks there.
    team.overwrite(WRAPS, copy.key.as_bytes(), &copy.value);
    assert_eq!(team.open(&scene.user).unwrap().epoch(), 1);
    // In the place of the right one: it is not taken for it, and the copy is missing.
    let place = team.copies(scene.user.fingerprint()).into_iter().find(|found| found.key != copy.key).unwrap();
    team.overwrite(WRAPS, place.key.as_bytes(), &copy.value);
    assert_eq!(code(team.open(&scene.user)), "no_data_key");
}

#[test]
fn a_copy_moved_to_another_epoch_machine_or_project_does_not_open() {
    let scene = Scene::begin();
    let team = &scene.team;
    block(scene.founder.begin_epoch()).unwrap();
    let copies = team.copies(scene.user.fingerprint());
    let [first, second] = &copies[..] else { unreachable!() };
    let others = team.copies(scene.admin.fingerprint());
    let (elsewhere, stranger) = Team::begin();
    elsewhere.let_in(&stranger, &scene.user, "user", Capability::Use).unwrap();
    for moved in [second, &others[0], &elsewhere.copies(scene.user.fingerprint())[0]] {
        team.overwrite(WRAPS, first.key.as_bytes(), &moved.value);
        assert_eq!(code(team.open(&scene.user)), "no_data_key");
        // Whoever runs has verified the log, and needs no copy.
        team.overwrite(WRAPS, first.key.as_bytes(), &first.value);
        assert!(team.open(&scene.user).is_ok());
    }
}

#[test]
fn a_deleted_revocation_is_noticed() {
    let scene = Scene::begin();
    let team = &scene.team;
    let here = team.open(&team.founder).unwrap();
    block(here.revoke(scene.admin.fingerprint(), PLAIN)).unwrap();
    let (pin, revocation) = (here.pin(), team.records().pop().unwrap());
    team.remove(TRUST_LOG, &revocation);
    let deleted = |refused: Result<(), KeyringError>| {
        assert!(matches!(refused, Err(KeyringError::Rollback { pinned: 6, found: 5 })), "{refused:?}");
    };
    deleted(refreshed(&here));
    deleted(refreshed(&here));
    deleted(team.open_at(&scene.user, pin.clone()).map(drop));
    // Another record in its place, by somebody who may: the history is not the one that was seen.
    refreshed(&scene.founder).unwrap();
    team.join(&scene.founder, "other", Capability::Use);
    deleted(refreshed(&here));
    deleted(team.open_at(&scene.user, pin).map(drop));
    // In the middle of a log it leaves a gap, which even those see who have never seen the log.
    let (team, founder) = Team::begin();
    let admin = team.join(&founder, "admin", Capability::Authorise);
    block(founder.revoke(admin.fingerprint(), PLAIN)).unwrap();
    let late = team.join(&founder, "late", Capability::Use);
    team.remove(TRUST_LOG, &team.records()[4]);
    let error = team.open(&late).unwrap_err();
    assert!(error.to_string().contains("record 4 is missing"), "{error}");
}

#[test]
fn a_back_dated_record_gets_no_authority() {
    let scene = Scene::begin();
    let team = &scene.team;
    let accomplice = identity();
    block(scene.founder.revoke(scene.admin.fingerprint(), PLAIN)).unwrap();
    // The time that a record claims is nothing to go by.
    let mut record = team.signed(&scene.admin, scene.copied_grant(&accomplice, 4)).record().clone();
    record.time = bulla_backend::Timestamp(1);
    let late = record.clone().sign(scene.admin.signing()).unwrap();
    team.plant(6, &late);
    let error = team.open(&team.founder).unwrap_err();
    assert!(error.to_string().contains("record 6 was made by a machine that was not an authoriser then"), "{error}");
    team.remove(TRUST_LOG, &team.records()[6]);
    // Where it had authority, the place is taken: the records behind do not follow any more.
    let (old, fourth) = (team.records()[5].clone(), team.record(4).hash());
    let early = Record { position: 5, previous: fourth, ..record }.sign(scene.admin.signing()).unwrap();
    team.plant(5, &early);
    assert_eq!(refreshed(&scene.founder).unwrap_err().code(), "rollback");
    assert_eq!(code(team.open_at(&team.founder, scene.founder.pin())), "rollback");
    team.overwrite(TRUST_LOG, &6_u64.to_be_bytes(), &old.value);
    let error = team.open(&team.founder).unwrap_err();
    assert!(error.to_string().contains("record 6 was made for another position"), "{error}");
}

#[test]
fn forged_replayed_and_reordered_records_are_refused() {
    let scene = Scene::begin();
    let team = &scene.team;
    let subject = scene.user.fingerprint();
    let revoke = Act::Revocation { machine: subject, cascade: false, rotate: false };
    // In the founder's name, by another hand.
    let record = Record { author: team.founder.fingerprint(), ..team.signed(&scene.user, revoke).record().clone() };
    team.plant(5, &record.sign(scene.user.signing()).unwrap());
    scene.refused_at(5, Problem::Signature);
    // What was written once, once more.
    put_out_and_let_in(&scene);
    let revocation = team.record(5);
    for position in 1..team.length() {
        let next = team.length();
        team.plant(next, &team.record(position));
        scene.refused_at(next, Problem::Position);
        team.remove(TRUST_LOG, &team.records().pop().unwrap());
    }
    refreshed(&scene.founder).unwrap();
    assert!(scene.founder.machines().contains_key(&subject), "the old revocation does not hold for the new grant");
    // Two that changed places.
    let records = team.records();
    team.overwrite(TRUST_LOG, &5_u64.to_be_bytes(), &records[6].value);
    team.overwrite(TRUST_LOG, &6_u64.to_be_bytes(), &records[5].value);
    for refused in [refreshed(&scene.founder), team.open(&team.founder).map(drop)] {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("record 5 was made for another position"), "{error}");
    }
    assert_eq!(SignedRecord::decode(&records[5].value), Some(revocation));
}

fn asked_anew(keyring: &Keyring) -> &'static str {
    code(refreshed(keyring))
}

/// Puts the user out, and lets it in again.
fn put_out_and_let_in(scene: &Scene) {
    let planted = scene.team.records().pop().unwrap();
    scene.team.remove(TRUST_LOG, &planted);
    refreshed(&scene.founder).unwrap();
    block(scene.founder.revoke(scene.user.fingerprint(), PLAIN)).unwrap();
    scene.team.let_in(&scene.founder, &scene.user, "user", Capability::Use).unwrap();
}

#[test]
fn a_truncated_log_is_refused_by_all_who_saw_more() {
    let scene = Scene::begin();
    let team = &scene.team;
    refreshed(&scene.founder).unwrap();
    let pin = scene.founder.pin();
    while team.length() > 3 {
        team.remove(TRUST_LOG, &team.records().pop().unwrap());
        assert_eq!(refreshed(&scene.founder).unwrap_err().code(), "rollback");
        assert_eq!(code(team.open_at(&team.founder, pin.clone())), "rollback");
    }
    // Who was let in by what is gone is not in.
    assert_eq!(code(team.open(&scene.user)), "no_grant");
    team.remove(TRUST_LOG, &team.records().pop().unwrap());
    assert!(team.open(&team.founder).unwrap_err().to_string().contains("creating the project was interrupted"));
}

#[test]
fn records_of_another_project_are_refused() {
    let scene = Scene::begin();
    let (elsewhere, writer) = Team::begin();
    // The same people there, under the writer's authority.
    for (name, machine) in [("admin", &scene.admin), ("user", &scene.user)] {
        elsewhere.let_in(&writer, machine, name, Capability::Authorise).unwrap();
    }
    let position = scene.team.length();
    scene.team.plant(position, &elsewhere.record(4));
    scene.refused_at(position, Problem::Position);
    scene.team.remove(TRUST_LOG, &scene.team.records().pop().unwrap());
    // Made for this place, by an authoriser of this project too, and yet for that project.
    let admins = scene.team.signed(&scene.admin, scene.copied_grant(&identity(), 4));
    let foreign = Record { project: elsewhere.project, ..admins.record().clone() };
    scene.team.plant(position, &foreign.sign(scene.admin.signing()).unwrap());
    scene.refused_at(position, Problem::Project);
    // The whole other database instead of this one.
    scene.team.restore(&elsewhere.copy());
    let error = scene.team.open(&scene.user).unwrap_err();
    assert!(
        matches!(error, KeyringError::OtherProject { pinned, found } if (pinned, found) == (scene.team.project, elsewhere.project)),
        "{error}"
    );
    assert_eq!(code(refreshed(&scene.founder)), "other_project");
}

#[test]
fn a_wrong_project_id_is_refused() {
    let scene = Scene::begin();
    for wrong in [ProjectId([0; 32]), ProjectId([7; 32]), ProjectId(scene.team.record(1).hash().0)] {
        let error = scene.team.open_at(&scene.user, wrong).unwrap_err();
        assert_eq!(error.code(), "other_project");
        assert!(error.to_string().contains(&wrong.to_string()), "{error}");
    }
}

#[test]
fn a_machine_that_was_put_out_learns_no_later_data_key() {
    let scene = Scene::begin();
    let team = &scene.team;
    let gone = team.open(&scene.admin).unwrap();
    block(scene.founder.revoke(scene.admin.fingerprint(), ROTATE)).unwrap();
    block(scene.founder.begin_epoch()).unwrap();
    // With write access it puts back all that it ever had, and takes what others have.
    let theirs = team.copies(scene.user.fingerprint());
    for copy in &theirs {
        let key = [&scene.admin.fingerprint().0[..], &copy.key.as_bytes()[32..]].concat();
        let wrap = Wrap { machine: scene.admin.fingerprint(), ..Wrap::decode(&copy.value).unwrap() };
        team.overwrite(WRAPS, &key, &wrap.encode());
    }
    for refused in [refreshed(&gone), team.open(&scene.admin).map(drop)] {
        assert_eq!(refused.unwrap_err().code(), "revoked");
    }
    // Nor does it undo its revocation: it has no authority to sign with.
    let back = Act::Restore { number: 1 };
    let planted = team.signed(&scene.admin, back);
    team.plant(team.length(), &planted);
    let error = refreshed(&scene.founder).unwrap_err();
    assert!(error.to_string().contains("not an authoriser then"), "{error}");
}
