//! Rotation of the data key: what it changes, for whom, and that it can be stopped anywhere.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{Collection, Documents, Durability};
use bulla_keyring::format::{KEY_VERSIONS, KEYS, KeyRow, VersionRow};
use bulla_keyring::{
    Algorithm, Capability, Identity, KeyName, Keyring, KeyringError, Result, Rotation, RotationEvent, RotationPhase,
};
use bulla_seal::Context;

use crate::setting::{code, context, name};
use crate::team::{ROTATE, Team, refreshed};

const JOBS: Collection = Collection::new("jobs", Durability::Durable);

/// Waits in the clock of the tests for a lease that nobody gives back.
const LEASE_MS: u64 = 20_000;

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

fn rotate(keyring: &Keyring) -> Result<Rotation> {
    block(keyring.rotate_data_key(&mut |_| {}))
}

/// A team of three, with keys and values that were sealed under several versions.
struct Scene {
    team: Team,
    founder: Keyring,
    admin: Arc<Identity>,
    server: Arc<Identity>,
    keys: Vec<KeyName>,
    sealed: Vec<(KeyName, Context, Vec<u8>)>,
}

impl Scene {
    fn begin() -> Self {
        let (team, founder) = Team::begin();
        let admin = team.join(&founder, "admin", Capability::Authorise);
        let server = team.join(&founder, "server", Capability::Use);
        let keys = vec![name("orders"), name("shop/cards"), name("users")];
        let mut sealed = Vec::new();
        for key in &keys {
            block(founder.create_key(key, Algorithm::default())).unwrap();
            for row in 0..3 {
                let context = context(&founder, row);
                let value = block(founder.seal(key, &context, format!("{key} {row}").as_bytes())).unwrap();
                sealed.push((key.clone(), context, value));
                block(founder.rotate_key(key)).unwrap();
            }
        }
        Self { team, founder, admin, server, keys, sealed }
    }

    /// Everything that was sealed before opens, every key seals, and no row is of an older epoch.
    fn is_whole(&self, keyring: &Keyring, epoch: u64) {
        assert_eq!(keyring.epoch(), epoch);
        for (at, (key, context, value)) in self.sealed.iter().enumerate() {
            let opened = block(keyring.open_sealed(key, context, value)).unwrap();
            assert_eq!(opened, format!("{key} {}", at % 3).as_bytes());
        }
        for key in &self.keys {
            let context = context(keyring, 9);
            let sealed = block(keyring.seal(key, &context, b"new")).unwrap();
            assert_eq!(block(keyring.open_sealed(key, &context, &sealed)).unwrap(), b"new");
        }
        for row in self.team.all(KEYS) {
            assert_eq!(KeyRow::decode(&row.value).unwrap().epoch, epoch);
        }
        for row in self.team.all(KEY_VERSIONS) {
            assert_eq!(VersionRow::decode(&row.value).unwrap().epoch, epoch);
        }
        assert!(block(keyring.rotation()).unwrap().unwrap().is_done());
        assert!(!block(keyring.rotation_owed()).unwrap());
    }
}

#[test]
fn a_rotation_brings_every_key_under_a_new_data_key() {
    let scene = Scene::begin();
    assert_eq!(block(scene.founder.rotation()).unwrap(), None);
    let mut heard = Vec::new();
    let rotated = block(scene.founder.rotate_data_key(&mut |event| match event {
        RotationEvent::Progress(rotation) => heard.push(rotation.phase),
        other => panic!("{other:?}"),
    }))
    .unwrap();
    assert_eq!((rotated.epoch, rotated.keys, rotated.versions, rotated.damaged, rotated.external), (2, 3, 12, 0, 0));
    assert_eq!(
        heard,
        [RotationPhase::Versions, RotationPhase::Wraps, RotationPhase::Done],
        "each phase is told when it is over"
    );
    scene.is_whole(&scene.founder, 2);
    let server = scene.team.open(&scene.server).unwrap();
    scene.is_whole(&server, 2);
    assert_eq!(code(rotate(&server)), "not_authorised");
}

#[test]
fn a_machine_that_was_put_out_opens_nothing_that_is_sealed_after() {
    let scene = Scene::begin();
    let server = scene.team.open(&scene.server).unwrap();
    let before = scene.team.copy();
    let kept: Vec<_> = [KEYS, KEY_VERSIONS].map(|collection| scene.team.all(collection)).into();
    block(scene.founder.revoke(scene.server.fingerprint(), ROTATE)).unwrap();
    let owed = block(scene.founder.rotation()).unwrap().unwrap();
    assert_eq!((owed.phase, owed.epoch), (RotationPhase::Owed, 2));
    let rotated = rotate(&scene.founder).unwrap();
    assert_eq!((rotated.epoch, rotated.phase), (2, RotationPhase::Done));

    let (orders, context) = (name("orders"), context(&scene.founder, 1));
    let sealed = block(scene.founder.seal(&orders, &context, b"after")).unwrap();
    scene.team.clock.advance(1_000);
    assert_eq!(code(block(server.open_sealed(&orders, &context, &sealed))), "revoked");
    assert_eq!(code(scene.team.open(&scene.server)), "revoked");

    // With a database writer's help it sees the old log, and still has no data key for what is new.
    let now = scene.team.copy();
    scene.team.restore(&before);
    let server = scene.team.open(&scene.server).unwrap();
    for (key, context, value) in &scene.sealed {
        // Versions were wrapped anew: not even the old ones open from the rows as they are now.
        assert_ne!(code(block(server.open_sealed(key, context, value))), "ok");
    }
    assert_ne!(code(block(server.open_sealed(&orders, &context, &sealed))), "ok");
    // Old copies of rows, which it may have kept, open what it could open before, and never what came after.
    for documents in &kept {
        for found in documents {
            let collection = if KeyRow::decode(&found.value).is_some() { KEYS } else { KEY_VERSIONS };
            scene.team.overwrite(collection, found.key.as_bytes(), &found.value);
        }
    }
    let server = scene.team.open(&scene.server).unwrap();
    assert_ne!(code(block(server.open_sealed(&orders, &context, &sealed))), "ok");
    scene.team.restore(&now);

    // Nor do those who stay seal under anything that it kept.
    let admin = scene.team.open(&scene.admin).unwrap();
    let newest = block(admin.seal(&orders, &context, b"later"));
    let admins = match newest {
        Ok(sealed) => sealed,
        Err(error) => {
            assert_eq!(error.code(), "old_epoch");
            rotate(&admin).unwrap();
            block(admin.seal(&orders, &context, b"later")).unwrap()
        }
    };
    scene.team.restore(&before);
    assert_ne!(code(block(scene.team.open(&scene.server).unwrap().open_sealed(&orders, &context, &admins))), "ok");
}

#[test]
fn a_process_that_was_open_goes_on() {
    let scene = Scene::begin();
    let admin = scene.team.open(&scene.admin).unwrap();
    let server = scene.team.open(&scene.server).unwrap();
    let (orders, context) = (name("orders"), context(&server, 5));
    block(server.seal(&orders, &context, b"warm")).unwrap();
    rotate(&scene.founder).unwrap();
    // No second has gone by: the row of a newer epoch makes them look.
    for keyring in [&admin, &server] {
        let sealed = block(keyring.seal(&orders, &context, b"42")).unwrap();
        assert_eq!(block(scene.founder.open_sealed(&orders, &context, &sealed)).unwrap(), b"42");
        scene.is_whole(keyring, 2);
    }
}

/// Stops a revocation with rotation at every call of the backend, in every way, and lets another machine's process go on.
#[test]
fn a_rotation_that_was_stopped_anywhere_is_completed_by_another() {
    let mut at = 1;
    let mut stopped_in_each = [0_u32; 3];
    loop {
        let mut reached = false;
        for (way, failure) in Failure::ALL.into_iter().enumerate() {
            let scene = Scene::begin();
            let faults = CallFaults::new();
            let inner: Arc<dyn Documents> = Arc::new(scene.team.documents.clone());
            let faulty = Arc::new(FaultyDocuments::new(inner, faults.clone()));
            let dying = scene.team.open_on(faulty, &scene.team.founder, scene.founder.pin()).unwrap();
            faults.arm(faults.calls() + at, failure);
            let done = block(dying.revoke(scene.server.fingerprint(), ROTATE)).and_then(|_| rotate(&dying));
            let failed = done.is_err();
            reached |= failed;
            drop(dying);
            stopped_in_each[way] += u32::from(failed);

            scene.team.clock.advance(LEASE_MS);
            let admin = scene.team.open(&scene.admin).unwrap();
            match block(admin.revoke(scene.server.fingerprint(), ROTATE)) {
                Ok(_) => {}
                // The revocation itself was written; it holds, and what it owes is known to everybody.
                Err(KeyringError::NoMachine(_)) => {}
                Err(error) => panic!("call {at}, {failure:?}: {error}"),
            }
            let epoch = match block(admin.resume_rotation(&mut |_| {})).unwrap() {
                Some(rotation) => rotation.epoch,
                None => admin.epoch(),
            };
            assert_eq!(epoch, 2, "call {at}, {failure:?}");
            scene.is_whole(&admin, 2);
            assert_eq!(code(scene.team.open(&scene.server)), "revoked");
            assert!(scene.team.copies(scene.server.fingerprint()).is_empty(), "call {at}, {failure:?}");
            refreshed(&scene.founder).unwrap();
            scene.is_whole(&scene.founder, 2);
        }
        if !reached {
            break;
        }
        at += 1;
    }
    assert!(at > 50, "a rotation has many steps, this one {at}");
    assert!(stopped_in_each.iter().all(|&stopped| stopped > 40), "{stopped_in_each:?}");
}

#[test]
fn one_at_a_time() {
    let scene = Scene::begin();
    let admin = scene.team.open(&scene.admin).unwrap();
    let mut beside = Vec::new();
    block(scene.founder.rotate_data_key(&mut |_| beside.push(code(rotate(&admin))))).unwrap();
    assert!(!beside.is_empty() && beside.iter().all(|code| *code == "busy"), "{beside:?}");
    scene.is_whole(&scene.founder, 2);
    assert_eq!(block(admin.resume_rotation(&mut |_| {})).unwrap(), None, "nothing is left to do");
    assert_eq!(rotate(&admin).unwrap().epoch, 3, "another one begins another epoch");
}

#[test]
fn a_journal_of_somebody_elses_making_is_none() {
    let scene = Scene::begin();
    rotate(&scene.founder).unwrap();
    let older = scene.team.all(JOBS).remove(0);
    scene.team.clock.advance(LEASE_MS);
    rotate(&scene.founder).unwrap();
    let good = scene.team.all(JOBS).remove(0);
    for cut in [&good.value[..good.value.len() - 1], b"", b"garbage", &older.value[..]] {
        scene.team.overwrite(JOBS, b"rotation", cut);
        let found = block(scene.founder.rotation()).unwrap().unwrap();
        assert_eq!((found.epoch, found.phase), (3, RotationPhase::Keys), "it is taken up");
        let resumed = block(scene.founder.resume_rotation(&mut |_| {})).unwrap().unwrap();
        assert_eq!((resumed.epoch, resumed.keys, resumed.versions), (3, 0, 0), "there was nothing left to do");
        scene.is_whole(&scene.founder, 3);
    }
}

#[test]
fn a_damaged_row_holds_up_no_other() {
    let scene = Scene::begin();
    let damaged = scene.team.all(KEYS).remove(0);
    let mut value = damaged.value.clone();
    *value.last_mut().unwrap() ^= 1;
    scene.team.overwrite(KEYS, damaged.key.as_bytes(), &value);
    let mut named = Vec::new();
    let rotated = block(scene.founder.rotate_data_key(&mut |event| {
        if let RotationEvent::Damaged(error) = event {
            named.push(error.to_string());
        }
    }))
    .unwrap();
    assert_eq!((rotated.keys, rotated.damaged), (2, 1));
    assert_eq!(named.len(), 1);
    assert!(named[0].contains("orders"), "{named:?}");
    let context = context(&scene.founder, 1);
    for key in &scene.keys[1..] {
        block(scene.founder.seal(key, &context, b"42")).unwrap();
    }
}
