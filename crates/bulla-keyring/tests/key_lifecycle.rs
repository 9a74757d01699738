//! The end of versions and keys: destruction, trimming, deletion; and backup.

use std::time::Duration;

use bulla_backend::{Clock, Timestamp};
use bulla_keyring::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, VersionRow};
use bulla_keyring::{Algorithm, KeyName, KeySetting, Keyring, Renewed, VersionState};
use bulla_seal::{Header, SecretVec};
use pollster::block_on as block;

use crate::setting::{code, context, name};
use crate::team::Team;

const HOUR: Duration = Duration::from_secs(60 * 60);
const HOUR_MILLIS: u64 = 60 * 60 * 1_000;

fn key_with(keyring: &Keyring, versions: u64, settings: &[KeySetting]) -> (KeyName, Vec<Vec<u8>>) {
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), settings)).unwrap();
    let mut sealed = Vec::new();
    for number in 1..=versions {
        if number > 1 {
            block(keyring.rotate_key(&orders)).unwrap();
        }
        sealed.push(block(keyring.seal(&orders, &context(keyring, 1), b"42")).unwrap());
    }
    (orders, sealed)
}

fn opens(keyring: &Keyring, orders: &KeyName, sealed: &[Vec<u8>]) -> Vec<&'static str> {
    let context = context(keyring, 1);
    sealed.iter().map(|sealed| code(block(keyring.open_sealed(orders, &context, sealed)))).collect()
}

fn in_an_hour(team: &Team) -> Timestamp {
    Timestamp(team.clock.now().0 + HOUR_MILLIS)
}

#[test]
fn a_version_is_destroyed_when_its_time_has_come_and_not_before() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 3, &[]);
    let at = in_an_hour(&team);
    assert_eq!(block(keyring.destroy_version(&orders, 1, HOUR)).unwrap(), VersionState::Destroying(at));
    assert_eq!(opens(&keyring, &orders, &sealed), ["version_destroyed", "ok", "ok"]);
    block(keyring.undelete_version(&orders, 1)).unwrap();
    assert_eq!(opens(&keyring, &orders, &sealed), ["ok", "ok", "ok"]);
    // A disabled version that is taken back is disabled.
    block(keyring.disable_version(&orders, 1)).unwrap();
    block(keyring.destroy_version(&orders, 1, HOUR)).unwrap();
    block(keyring.undelete_version(&orders, 1)).unwrap();
    assert_eq!(opens(&keyring, &orders, &sealed), ["version_disabled", "ok", "ok"]);

    block(keyring.destroy_version(&orders, 1, HOUR)).unwrap();
    team.clock.advance(HOUR_MILLIS - 1);
    assert_eq!(block(keyring.purge()).unwrap().versions, 0);
    team.clock.advance(1);
    assert_eq!(code(block(keyring.undelete_version(&orders, 1))), "version_destroyed");
    assert_eq!(block(keyring.purge()).unwrap().versions, 1);
    assert_eq!(block(keyring.purge()).unwrap().versions, 0);
    let row = VersionRow::decode(&team.all(KEY_VERSIONS)[0].value).unwrap();
    assert!(row.sealed.is_empty(), "its material is gone");
    for keyring in [&keyring, &team.open(&team.founder).unwrap()] {
        assert_eq!(opens(keyring, &orders, &sealed), ["version_destroyed", "ok", "ok"]);
        let listed = block(keyring.versions(&orders, None, 0)).unwrap().versions.remove(0).unwrap();
        assert_eq!((listed.number, listed.state), (1, VersionState::Destroyed));
        assert_eq!(listed.id, Header::parse(&sealed[0]).unwrap().key_version());
        for refused in [
            block(keyring.enable_version(&orders, 1)),
            block(keyring.disable_version(&orders, 1)),
            block(keyring.undelete_version(&orders, 1)),
            block(keyring.version_to_seal(&orders, 1)).map(drop),
            block(keyring.version_of(&orders, 1)).map(drop),
        ] {
            assert_eq!(code(refused), "version_destroyed");
        }
    }
    assert_eq!(code(block(keyring.destroy_version(&orders, 3, HOUR))), "newest_version");
    assert_eq!(code(block(keyring.destroy_version(&orders, 4, HOUR))), "not_found");
    assert_eq!(block(keyring.destroy_version(&orders, 2, Duration::ZERO)).unwrap(), VersionState::Destroyed);
    assert_eq!(opens(&keyring, &orders, &sealed), ["version_destroyed", "version_destroyed", "ok"]);
}

#[test]
fn a_destroyed_version_that_is_put_back_opens_nothing() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 2, &[]);
    let (key, row) = (team.all(KEYS).remove(0), team.all(KEY_VERSIONS).remove(0));
    block(keyring.destroy_version(&orders, 1, Duration::ZERO)).unwrap();
    team.overwrite(KEY_VERSIONS, row.key.as_bytes(), &row.value);
    let fresh = team.open(&team.founder).unwrap();
    assert_eq!(opens(&fresh, &orders, &sealed), ["version_destroyed", "ok"]);
    team.overwrite(KEYS, key.key.as_bytes(), &key.value);
    let fresh = team.open(&team.founder).unwrap();
    assert_eq!(opens(&fresh, &orders, &sealed), ["rollback", "rollback"]);
}

#[test]
fn trimming_removes_what_does_not_open_any_more() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 5, &[KeySetting::MaxUses(Some(1_000))]);
    block(keyring.disable_version(&orders, 1)).unwrap();
    block(keyring.destroy_version(&orders, 2, HOUR)).unwrap();
    assert_eq!(code(block(keyring.trim_key(&orders, 4))), "bad_setting");
    block(keyring.change_settings(&orders, &[KeySetting::MinOpen(4)])).unwrap();
    assert_eq!(code(block(keyring.trim_key(&orders, 5))), "bad_setting");
    let stolen: Vec<_> = [KEY_VERSIONS, KEY_IDS].map(|collection| (collection, team.all(collection))).into();
    assert_eq!(block(keyring.trim_key(&orders, 4)).unwrap(), 3);
    assert_eq!(block(keyring.trim_key(&orders, 4)).unwrap(), 0);
    let rows = [KEY_VERSIONS, KEY_IDS, KEY_USES].map(|collection| team.all(collection).len());
    assert_eq!(rows, [2, 2, 2]);
    let info = block(keyring.key(&orders)).unwrap();
    assert_eq!((info.first, info.newest, info.settings.min_open), (4, 5, 4));
    let gone = ["unknown_version"; 3];
    let expected: Vec<_> = gone.into_iter().chain(["ok", "ok"]).collect();
    assert_eq!(opens(&keyring, &orders, &sealed), expected);
    assert_eq!(block(keyring.versions(&orders, None, 0)).unwrap().versions.len(), 2);
    for (collection, documents) in stolen {
        for document in documents {
            team.overwrite(collection, document.key.as_bytes(), &document.value);
        }
    }
    assert_eq!(opens(&team.open(&team.founder).unwrap(), &orders, &sealed), expected, "put back");
}

#[test]
fn a_deleted_key_does_nothing_and_is_gone_when_its_time_has_come() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 2, &[KeySetting::DeletionAllowed(true)]);
    let context = context(&keyring, 1);
    block(keyring.delete_key(&orders, HOUR)).unwrap();
    for refused in [
        block(keyring.seal(&orders, &context, b"42")).map(drop),
        block(keyring.open_sealed(&orders, &context, &sealed[0])).map(drop),
        block(keyring.rotate_key(&orders)).map(drop),
        block(keyring.rotate_due(&orders)).map(drop),
        block(keyring.disable_version(&orders, 1)),
        block(keyring.change_settings(&orders, &[KeySetting::MinOpen(2)])).map(drop),
        block(keyring.create_key(&orders, Algorithm::default())).map(drop),
    ] {
        assert_eq!(code(refused), "key_deleted");
    }
    assert_eq!(block(keyring.key(&orders)).unwrap().deleting, Some(in_an_hour(&team)));
    assert_eq!(block(keyring.undelete_key(&orders)).unwrap().deleting, None);
    assert_eq!(opens(&keyring, &orders, &sealed), ["ok", "ok"]);

    block(keyring.delete_key(&orders, HOUR)).unwrap();
    team.clock.advance(HOUR_MILLIS);
    assert_eq!(code(block(keyring.undelete_key(&orders))), "key_deleted");
    assert_eq!(block(keyring.purge()).unwrap().keys, 1);
    for collection in [KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES] {
        assert!(team.all(collection).is_empty(), "{}", collection.name());
    }
    assert_eq!(code(block(keyring.delete_key(&orders, HOUR))), "not_found");
    assert_eq!(opens(&keyring, &orders, &sealed), ["unknown_version", "unknown_version"]);
}

#[test]
fn nothing_of_a_deleted_key_comes_back_under_a_new_one_of_its_name() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 7, &[KeySetting::DeletionAllowed(true)]);
    let stolen: Vec<_> = [KEYS, KEY_VERSIONS, KEY_IDS].map(|collection| (collection, team.all(collection))).into();
    block(keyring.delete_key(&orders, Duration::ZERO)).unwrap();
    // The old description alone does not revive it.
    team.overwrite(KEYS, stolen[0].1[0].key.as_bytes(), &stolen[0].1[0].value);
    assert_eq!(opens(&team.open(&team.founder).unwrap(), &orders, &sealed[..1]), ["unknown_version"]);
    for (collection, documents) in &stolen[1..] {
        for document in documents {
            team.overwrite(*collection, document.key.as_bytes(), &document.value);
        }
    }
    assert_eq!(opens(&team.open(&team.founder).unwrap(), &orders, &sealed[..1]), ["rollback"]);
    let left = team.all(KEYS).remove(0);
    team.remove(KEYS, &left);

    let info = block(keyring.create_key(&orders, Algorithm::default())).unwrap();
    assert!(info.first > 7, "{info:?}");
    let fresh = team.open(&team.founder).unwrap();
    assert_eq!(opens(&fresh, &orders, &sealed), ["unknown_version"; 7]);
    let new = block(fresh.seal(&orders, &context(&fresh, 1), b"43")).unwrap();
    assert_eq!(opens(&keyring, &orders, &[new]), ["ok"]);
    block(keyring.rotate_key(&orders)).unwrap();
}

#[test]
fn a_backup_restores_what_is_missing_and_nothing_else() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = key_with(&keyring, 3, &[KeySetting::DeletionAllowed(true)]);
    let backup = block(keyring.backup_key(&orders)).unwrap();
    assert_eq!(block(keyring.name_in_backup(&backup)).unwrap(), orders);
    assert_eq!(code(block(keyring.name_in_backup(&backup[1..]))), "bad_backup");
    assert_eq!(block(keyring.restore_key(&backup)).unwrap().versions, 0, "nothing is missing");

    block(keyring.disable_version(&orders, 1)).unwrap();
    for lost in team.all(KEY_VERSIONS).into_iter().take(2).chain(team.all(KEY_IDS)) {
        let collection = if lost.key.as_bytes().len() == 8 { KEY_IDS } else { KEY_VERSIONS };
        team.remove(collection, &lost);
    }
    let fresh = team.open(&team.founder).unwrap();
    assert_eq!(opens(&fresh, &orders, &sealed), ["unknown_version"; 3]);
    assert_eq!(block(fresh.restore_key(&backup)).unwrap().versions, 2);
    assert_eq!(opens(&fresh, &orders, &sealed), ["version_disabled", "ok", "ok"], "what is forbidden stays so");

    // After a new epoch and a deletion it still opens, and only in this project.
    block(keyring.begin_epoch()).unwrap();
    team.clock.advance(2_000);
    block(keyring.renew_key(&orders)).unwrap();
    block(keyring.delete_key(&orders, Duration::ZERO)).unwrap();
    let restored = block(fresh.restore_key(&backup)).unwrap();
    assert_eq!((restored.versions, restored.key.newest), (3, 3));
    assert_eq!(opens(&fresh, &orders, &sealed), ["ok", "ok", "ok"]);
    block(fresh.rotate_key(&orders)).unwrap();
    assert_eq!(opens(&team.open(&team.founder).unwrap(), &orders, &sealed), ["ok", "ok", "ok"]);

    let (_, elsewhere) = Team::begin();
    assert_eq!(code(block(elsewhere.restore_key(&backup))), "bad_backup");
    for at in (0..backup.len()).step_by(7) {
        let mut altered = backup.clone();
        altered[at] ^= 1;
        let refused = code(block(fresh.restore_key(&altered)));
        assert!(refused == "bad_backup" || refused == "no_data_key", "byte {at}: {refused}");
    }
    assert_eq!(code(block(fresh.restore_key(&backup[..backup.len() - 1]))), "bad_backup");
}

#[test]
fn a_restored_version_of_another_history_is_refused() {
    let (team, keyring) = Team::begin();
    let (orders, _) = key_with(&keyring, 2, &[]);
    let backup = block(keyring.backup_key(&orders)).unwrap();
    for collection in [KEYS, KEY_VERSIONS, KEY_IDS] {
        for document in team.all(collection) {
            team.remove(collection, &document);
        }
    }
    let other = team.open(&team.founder).unwrap();
    key_with(&other, 2, &[]);
    assert_eq!(code(block(other.restore_key(&backup))), "rollback");
}

#[test]
fn keys_are_renewed_for_a_new_epoch_and_their_versions_wrapped_anew() {
    let (team, keyring) = Team::begin();
    let there = team.open(&team.founder).unwrap();
    let (orders, sealed) = key_with(&keyring, 3, &[KeySetting::MinSeal(Some(1))]);
    let outside = name("outside");
    let material = SecretVec::new(vec![7; 32]);
    block(keyring.create_external_key(&outside, Algorithm::default(), &[], &material)).unwrap();
    let theirs = block(there.seal(&outside, &context(&there, 1), b"42")).unwrap();
    block(keyring.begin_epoch()).unwrap();
    assert_eq!(code(block(keyring.seal(&orders, &context(&keyring, 1), b"42"))), "old_epoch");
    assert_eq!(opens(&keyring, &orders, &sealed), ["ok"; 3]);

    let old = block(keyring.keys_of_older_epochs(None, 0)).unwrap().found;
    assert_eq!(old, [orders.clone(), outside.clone()]);
    let Renewed::Rotated(version) = block(keyring.renew_key(&orders)).unwrap() else { unreachable!() };
    assert_eq!((version.number, version.epoch), (4, 2));
    assert_eq!(block(keyring.renew_key(&outside)).unwrap(), Renewed::OnlySource);
    for key in &old {
        assert_eq!(block(keyring.renew_key(key)).unwrap(), Renewed::Already);
    }
    assert_eq!(block(keyring.key(&orders)).unwrap().settings.min_seal, None, "no version of the older epoch is chosen");
    assert_eq!(code(block(keyring.version_to_seal(&orders, 3))), "below_minimum");
    assert_eq!(
        code(block(keyring.seal(&outside, &context(&keyring, 1), b"42"))),
        "old_epoch",
        "who was put out may know it"
    );
    let again = block(keyring.import_version(&outside, &material)).unwrap();
    assert_eq!((again.number, again.born), (1, 2), "its source stands by it");
    // Another process meets rows of an epoch that it does not know yet.
    for keyring in [&there, &keyring] {
        assert_eq!(block(keyring.current(&orders)).unwrap().id(), version.id);
        assert_eq!(block(keyring.current(&outside)).unwrap().number(), 1);
        assert_eq!(block(keyring.version_to_seal(&outside, 1)).unwrap().number(), 1);
        assert_eq!(opens(keyring, &outside, std::slice::from_ref(&theirs)), ["ok"]);
    }

    let page = block(keyring.versions_of_older_epochs(None, 2)).unwrap();
    assert_eq!(page.found, [(orders.clone(), 1), (orders.clone(), 2)]);
    let rest = block(keyring.versions_of_older_epochs(page.next, 0)).unwrap().found;
    assert_eq!(rest, [(orders.clone(), 3)]);
    for (key, number) in page.found.iter().chain(&rest) {
        assert!(block(keyring.rewrap_version(key, *number)).unwrap());
        assert!(!block(keyring.rewrap_version(key, *number)).unwrap());
    }
    assert!(block(keyring.versions_of_older_epochs(None, 0)).unwrap().found.is_empty());
    for keyring in [&there, &keyring, &team.open(&team.founder).unwrap()] {
        assert_eq!(opens(keyring, &orders, &sealed), ["ok"; 3], "ids stay");
    }
}
