//! Rotation when it is due: once, however many notice; and uses that are counted exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use bulla_keyring::format::{KEY_USES, KEY_VERSIONS};
use bulla_keyring::{Algorithm, KeySetting, Keyring};
use bulla_seal::{Header, KeyVersionId, SecretVec};
use pollster::block_on as block;

use crate::setting::{code, context, name};
use crate::team::Team;

const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MILLIS: u64 = 60_000;

fn sealed_under(keyring: &Keyring) -> KeyVersionId {
    let sealed = block(keyring.seal(&name("orders"), &context(keyring, 1), b"42")).unwrap();
    Header::parse(&sealed).unwrap().key_version()
}

#[test]
fn a_key_is_rotated_by_its_next_use_once_its_period_is_over() {
    let (team, here) = Team::begin();
    let there = team.open(&team.founder).unwrap();
    let orders = name("orders");
    block(here.create_key_with(&orders, Algorithm::default(), &[KeySetting::Period(Some(MINUTE))])).unwrap();
    let mut used = vec![sealed_under(&here)];
    team.clock.advance(MINUTE_MILLIS - 1);
    assert_eq!(sealed_under(&there), used[0]);
    assert_eq!(block(there.rotate_due(&orders)).unwrap(), None);
    for round in 1..5 {
        team.clock.advance(MINUTE_MILLIS);
        let (first, second) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let id = sealed_under(first);
        assert!(!used.contains(&id));
        assert_eq!(sealed_under(second), id, "one rotation for all");
        used.push(id);
    }
    assert_eq!(block(here.key(&orders)).unwrap().newest, 5);
    // A rotation by hand begins a new period.
    team.clock.advance(MINUTE_MILLIS / 2);
    block(here.rotate_key(&orders)).unwrap();
    team.clock.advance(MINUTE_MILLIS / 2);
    assert_eq!(block(here.rotate_due(&orders)).unwrap(), None);
    // A clock that goes back rotates nothing.
    team.clock.set_back(10 * MINUTE_MILLIS);
    assert_eq!(block(here.rotate_due(&orders)).unwrap(), None);
    sealed_under(&here);
    assert_eq!(block(here.key(&orders)).unwrap().newest, 6);
}

#[test]
fn of_many_that_notice_one_rotates() {
    const ROUNDS: u64 = 50;
    let (team, keyring) = Team::begin();
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), &[KeySetting::Period(Some(MINUTE))])).unwrap();
    let racers = [team.open(&team.founder).unwrap(), team.open(&team.founder).unwrap()];
    for round in 1..=ROUNDS {
        team.clock.advance(MINUTE_MILLIS);
        let start = Barrier::new(racers.len());
        thread::scope(|scope| {
            for racer in &racers {
                let (start, orders) = (&start, &orders);
                scope.spawn(move || {
                    start.wait();
                    block(racer.rotate_due(orders)).unwrap();
                });
            }
        });
        assert_eq!(block(keyring.key(&orders)).unwrap().newest, round + 1);
        assert_eq!(team.all(KEY_VERSIONS).len() as u64, round + 1, "and none was left behind");
    }
    let versions = block(keyring.versions(&orders, None, 0)).unwrap().versions;
    assert!(versions.into_iter().all(|version| version.is_ok()));
}

#[test]
fn no_version_is_used_more_often_than_it_may_be() {
    const MAXIMUM: u64 = 100;
    const RACERS: usize = 4;
    let (team, keyring) = Team::begin();
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), &[KeySetting::MaxUses(Some(MAXIMUM))])).unwrap();
    let start = Barrier::new(RACERS);
    let used: Vec<KeyVersionId> = thread::scope(|scope| {
        let racers = [(); RACERS].map(|()| {
            scope.spawn(|| {
                let keyring = team.open(&team.founder).unwrap();
                start.wait();
                (0..250).map(|_| sealed_under(&keyring)).collect::<Vec<_>>()
            })
        });
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    let mut uses = BTreeMap::new();
    for id in used {
        *uses.entry(id).or_insert(0) += 1;
    }
    assert!(uses.values().all(|uses| *uses <= MAXIMUM), "{uses:?}");
    let newest = block(keyring.key(&orders)).unwrap().newest;
    assert!((10..=14).contains(&newest), "{newest} versions for 1,000 uses: little is lost");
    assert!(team.all(KEY_USES).len() as u64 <= newest);
}

#[test]
fn every_use_of_the_newest_version_counts_and_opening_does_not() {
    let (team, keyring) = Team::begin();
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), &[KeySetting::MaxUses(Some(4))])).unwrap();
    let context = context(&keyring, 1);
    let sealed = block(keyring.seal(&orders, &context, b"42")).unwrap();
    for _ in 0..10 {
        block(keyring.open_sealed(&orders, &context, &sealed)).unwrap();
        assert_eq!(block(keyring.rewrap(&orders, &context, &sealed)).unwrap(), None);
    }
    assert_eq!(block(keyring.current(&orders)).unwrap().number(), 1);
    block(keyring.derive_data_key(&orders, &context)).unwrap();
    assert_eq!(block(keyring.rotate_due(&orders)).unwrap(), None);
    block(keyring.seal(&orders, &context, b"42")).unwrap();
    assert_eq!(block(team.open(&team.founder).unwrap().current(&orders)).unwrap().number(), 2);
    let rewrapped = block(keyring.rewrap(&orders, &context, &sealed)).unwrap().unwrap();
    assert_ne!(Header::parse(&rewrapped).unwrap().key_version(), Header::parse(&sealed).unwrap().key_version());

    // Signatures and tags are uses too.
    for (algorithm, sign) in [(Algorithm::Ed25519, true), (Algorithm::HmacSha256, false)] {
        let key = name(algorithm.name());
        block(keyring.create_key_with(&key, algorithm, &[KeySetting::MaxUses(Some(2))])).unwrap();
        let make = || if sign { block(keyring.sign(&key, b"42")) } else { block(keyring.hmac(&key, b"42")) };
        let ids: BTreeSet<Vec<u8>> = (0..6).map(|_| make().unwrap()[..8].to_vec()).collect();
        assert_eq!(ids.len(), 3, "{algorithm}");
    }
}

#[test]
fn only_its_source_makes_another_version_of_material_that_is_used_up() {
    let (_, keyring) = Team::begin();
    let orders = name("orders");
    let material = SecretVec::new(vec![1; 32]);
    let settings = [KeySetting::MaxUses(Some(3))];
    block(keyring.create_external_key(&orders, Algorithm::default(), &settings, &material)).unwrap();
    let seal = || code(block(keyring.seal(&orders, &context(&keyring, 1), b"42")));
    assert_eq!([seal(), seal(), seal(), seal()], ["ok", "ok", "ok", "used_up"]);
    block(keyring.import_version(&orders, &SecretVec::new(vec![2; 32]))).unwrap();
    assert_eq!(seal(), "ok");
}
