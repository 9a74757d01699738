//! Every call of every change of a key fails once, in every way; afterwards the key is usable, and a repetition completes the change.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_keyring::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, VersionRow};
use bulla_keyring::{Algorithm, KeyName, KeySetting, Keyring, KeyringError, Renewed, VersionState};
use bulla_seal::SecretVec;
use pollster::block_on as block;

use crate::setting::{code, context, name};
use crate::team::Team;

const HOUR: Duration = Duration::from_secs(60 * 60);
const HOUR_MILLIS: u64 = 60 * 60 * 1_000;

/// One change of the key `orders`.
struct Change {
    what: &'static str,
    prepare: fn(&Team, &Keyring),
    change: fn(&Keyring) -> Result<(), KeyringError>,
    /// What a repetition may say besides `ok`.
    done: &'static [&'static str],
    check: fn(&Team, &Keyring, &str),
    /// Whether the description from before must not count any more.
    restricts: bool,
}

fn orders() -> KeyName {
    name("orders")
}

fn three_versions(_: &Team, keyring: &Keyring) {
    let settings = [KeySetting::DeletionAllowed(true), KeySetting::Period(Some(HOUR))];
    block(keyring.create_key_with(&orders(), Algorithm::default(), &settings)).unwrap();
    for _ in 0..2 {
        block(keyring.rotate_key(&orders())).unwrap();
    }
}

fn state(keyring: &Keyring, number: u64) -> VersionState {
    block(keyring.versions(&orders(), Some(number - 1), 1)).unwrap().versions.remove(0).unwrap().state
}

fn usable(keyring: &Keyring, at: &str) {
    let context = context(keyring, 1);
    let sealed = block(keyring.seal(&orders(), &context, b"42")).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(block(keyring.open_sealed(&orders(), &context, &sealed)).unwrap(), b"42", "{at}");
}

fn newest(keyring: &Keyring) -> u64 {
    block(keyring.key(&orders())).unwrap().newest
}

fn material(byte: u8) -> SecretVec {
    SecretVec::new(vec![byte; 32])
}

const CHANGES: [Change; 13] = [
    Change {
        what: "create",
        prepare: |_, _| {},
        change: |keyring| block(keyring.create_key(&orders(), Algorithm::default())).map(drop),
        done: &["already_exists"],
        check: |_, keyring, at| usable(keyring, at),
        restricts: false,
    },
    Change {
        what: "rotate",
        prepare: three_versions,
        change: |keyring| block(keyring.rotate_key(&orders())).map(drop),
        done: &[],
        check: |_, keyring, at| assert!((4..=6).contains(&newest(keyring)), "{at}"),
        restricts: false,
    },
    Change {
        what: "rotate what is due",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            team.clock.advance(HOUR_MILLIS);
        },
        change: |keyring| block(keyring.rotate_due(&orders())).map(drop),
        done: &[],
        check: |team, keyring, at| {
            assert_eq!(newest(keyring), 4, "{at}: once");
            assert_eq!(team.all(KEY_VERSIONS).len(), 4, "{at}: none is left behind");
        },
        restricts: false,
    },
    Change {
        what: "disable",
        prepare: three_versions,
        change: |keyring| block(keyring.disable_version(&orders(), 1)),
        done: &[],
        check: |_, keyring, at| assert_eq!(state(keyring, 1), VersionState::Disabled, "{at}"),
        restricts: true,
    },
    Change {
        what: "destroy",
        prepare: three_versions,
        change: |keyring| block(keyring.destroy_version(&orders(), 1, Duration::ZERO)).map(drop),
        done: &[],
        check: destroyed,
        restricts: true,
    },
    Change {
        what: "undelete",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            block(keyring.destroy_version(&orders(), 1, HOUR)).unwrap();
        },
        change: |keyring| block(keyring.undelete_version(&orders(), 1)),
        done: &[],
        check: |_, keyring, at| assert_eq!(state(keyring, 1), VersionState::Enabled, "{at}"),
        restricts: false,
    },
    Change {
        what: "purge",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            block(keyring.destroy_version(&orders(), 1, HOUR)).unwrap();
            team.clock.advance(HOUR_MILLIS);
        },
        change: |keyring| block(keyring.purge()).map(drop),
        done: &[],
        check: destroyed,
        restricts: true,
    },
    Change {
        what: "trim",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            block(keyring.change_settings(&orders(), &[KeySetting::MinOpen(3)])).unwrap();
        },
        change: |keyring| block(keyring.trim_key(&orders(), 3)).map(drop),
        done: &[],
        check: |team, keyring, at| {
            assert_eq!(block(keyring.key(&orders())).unwrap().first, 3, "{at}");
            let first = team.all(KEY_VERSIONS).remove(0);
            assert_eq!(VersionRow::decode(&first.value).unwrap().number, 3, "{at}");
            assert_eq!(team.all(KEY_VERSIONS).len(), team.all(KEY_IDS).len(), "{at}");
        },
        restricts: true,
    },
    Change {
        what: "renew",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            block(keyring.begin_epoch()).unwrap();
        },
        change: |keyring| block(keyring.renew_key(&orders())).map(drop),
        done: &[],
        check: |_, keyring, at| {
            assert_eq!(newest(keyring), 4, "{at}: once");
            assert_eq!(block(keyring.renew_key(&orders())).unwrap(), Renewed::Already, "{at}");
            assert!(block(keyring.keys_of_older_epochs(None, 0)).unwrap().found.is_empty(), "{at}");
        },
        restricts: false,
    },
    Change {
        what: "rewrap",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            block(keyring.begin_epoch()).unwrap();
            block(keyring.renew_key(&orders())).unwrap();
        },
        change: |keyring| {
            for (key, number) in block(keyring.versions_of_older_epochs(None, 0))?.found {
                block(keyring.rewrap_version(&key, number))?;
            }
            Ok(())
        },
        done: &[],
        check: |team, keyring, at| {
            assert!(block(keyring.versions_of_older_epochs(None, 0)).unwrap().found.is_empty(), "{at}");
            let epochs: Vec<_> =
                team.all(KEY_VERSIONS).iter().map(|row| VersionRow::decode(&row.value).unwrap().epoch).collect();
            assert!(epochs.iter().all(|epoch| *epoch == 2), "{at}: {epochs:?}");
        },
        restricts: false,
    },
    Change {
        what: "delete",
        prepare: three_versions,
        change: |keyring| block(keyring.delete_key(&orders(), Duration::ZERO)),
        done: &["not_found"],
        check: |team, _, at| {
            for collection in [KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES] {
                assert!(team.all(collection).is_empty(), "{at}: {}", collection.name());
            }
        },
        restricts: false,
    },
    Change {
        what: "import",
        prepare: |_, keyring| {
            block(keyring.create_external_key(&orders(), Algorithm::default(), &[], &material(1))).unwrap();
        },
        change: |keyring| block(keyring.import_version(&orders(), &material(2))).map(drop),
        done: &[],
        check: |team, keyring, at| {
            assert_eq!(newest(keyring), 2, "{at}: once");
            assert_eq!(team.all(KEY_VERSIONS).len(), 2, "{at}");
        },
        restricts: false,
    },
    Change {
        what: "restore",
        prepare: |team, keyring| {
            three_versions(team, keyring);
            let backup = block(keyring.backup_key(&orders())).unwrap();
            block(keyring.delete_key(&orders(), Duration::ZERO)).unwrap();
            // Where nothing else is: a test finds it there again.
            team.overwrite(KEY_USES, b"a backup", &backup);
        },
        change: |keyring| {
            let backup = BACKUP.with_borrow(Clone::clone);
            block(keyring.restore_key(&backup)).map(drop)
        },
        done: &[],
        check: |_, keyring, at| assert_eq!(block(keyring.key(&orders())).unwrap().first, 1, "{at}"),
        restricts: false,
    },
];

thread_local! {
    static BACKUP: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn destroyed(team: &Team, keyring: &Keyring, at: &str) {
    assert_eq!(state(keyring, 1), VersionState::Destroyed, "{at}");
    let row = VersionRow::decode(&team.all(KEY_VERSIONS).remove(0).value).unwrap();
    assert!(row.sealed.is_empty(), "{at}: the material is there");
}

/// A project, the change prepared, and a keyring whose calls can fail.
fn scene(change: &Change) -> (Team, Keyring, CallFaults, Vec<Vec<u8>>) {
    let (team, keyring) = Team::begin();
    (change.prepare)(&team, &keyring);
    if let Some(backup) = team.all(KEY_USES).into_iter().find(|found| found.key.as_bytes() == b"a backup") {
        team.remove(KEY_USES, &backup);
        BACKUP.set(backup.value);
    }
    let mut sealed = Vec::new();
    if let Ok(versions) = block(keyring.versions(&orders(), None, 0)) {
        for version in versions.versions {
            let Ok(version) = block(keyring.version_of(&orders(), version.unwrap().number)) else { continue };
            let context = context(&keyring, 1);
            sealed.push(version.seal_key().seal(version.params(), &context, b"before").unwrap());
        }
    }
    let faults = CallFaults::new();
    let documents = FaultyDocuments::new(Arc::new(team.documents.clone()), faults.clone());
    let faulty = team.open_on(Arc::new(documents), &team.founder.clone(), team.project).unwrap();
    (team, faulty, faults, sealed)
}

#[test]
fn every_change_can_fail_at_any_call() {
    for change in &CHANGES {
        let calls = {
            let (_team, keyring, faults, _) = scene(change);
            let before = faults.calls();
            (change.change)(&keyring).unwrap();
            faults.calls() - before
        };
        assert!(calls >= 2, "{}: {calls} calls", change.what);
        for (at, failure) in (1..=calls).flat_map(|at| Failure::ALL.map(|failure| (at, failure))) {
            let (team, keyring, faults, sealed) = scene(change);
            let before = team.all(KEYS);
            let at_call = format!("{} at call {at}, {failure:?}", change.what);
            faults.arm(faults.calls() + at, failure);
            match (change.change)(&keyring) {
                Ok(()) => {}
                Err(error) => assert!(["backend", "stale"].contains(&error.code()), "{at_call}: {error}"),
            }
            faults.disarm();
            let fresh = team.open(&team.founder).unwrap();
            // Until it is repeated: whatever the key permits works, and no other failure than that is met.
            for sealed in &sealed {
                let opened = code(block(fresh.open_sealed(&orders(), &context(&fresh, 1), sealed)));
                let permitted = ["ok", "version_disabled", "version_destroyed", "key_deleted"];
                let gone =
                    matches!(change.what, "trim" | "delete") && ["unknown_version", "not_found"].contains(&opened);
                assert!(permitted.contains(&opened) || gone, "{at_call}: {opened}");
            }
            for (which, keyring) in [("fresh", &fresh), ("same", &keyring)] {
                let repeated = code((change.change)(keyring));
                assert!(repeated == "ok" || change.done.contains(&repeated), "{at_call}, {which}: {repeated}");
            }
            let last = team.open(&team.founder).unwrap();
            (change.check)(&team, &last, &at_call);
            if change.what != "delete" {
                usable(&last, &at_call);
            }
            if change.restricts {
                team.overwrite(KEYS, before[0].key.as_bytes(), &before[0].value);
                let fooled = team.open(&team.founder).unwrap();
                assert_eq!(code(block(fooled.key(&orders()))), "rollback", "{at_call}: the older description counts");
            }
        }
    }
}
