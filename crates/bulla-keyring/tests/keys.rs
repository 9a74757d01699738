//! Named keys: what they seal, and what a damaged database does to them.

use bulla_backend::DocumentKey;
use bulla_keyring::format::{IdRow, KEY_IDS, KEY_VERSIONS, KEYS, VersionRow};
use bulla_keyring::{Algorithm, KeyOrigin, KeyringError, UseCase, VersionState};
use bulla_seal::{Header, KeyVersionId, Suite};

use crate::setting::{Setting, code, context, name};

#[test]
fn what_was_sealed_opens_after_rotations() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        for (algorithm, suite) in [
            (Algorithm::Aes256Gcm, Suite::Aes256Gcm),
            (Algorithm::ChaCha20Poly1305, Suite::ChaCha20Poly1305),
            (Algorithm::Aes256Deterministic, Suite::Aes256Deterministic),
        ] {
            let key = name(algorithm.name());
            let info = keyring.create_key(&key, algorithm).await.unwrap();
            assert_eq!((info.algorithm, info.first, info.newest), (algorithm, 1, 1));
            assert_eq!(algorithm.use_case(), UseCase::RoundTrip);
            let context = context(&keyring, 1);
            let mut sealed = vec![keyring.seal(&key, &context, b"message 1").await.unwrap()];
            for number in 2..=5 {
                let version = keyring.rotate_key(&key).await.unwrap();
                assert_eq!((version.number, version.epoch, version.state), (number, 1, VersionState::Enabled));
                let message = format!("message {number}");
                sealed.push(keyring.seal(&key, &context, message.as_bytes()).await.unwrap());
                let header = Header::parse(sealed.last().unwrap()).unwrap();
                assert_eq!((header.key_version(), header.params().suite), (version.id, suite));
            }
            let reopened = setting.open(keyring.pin()).unwrap();
            for (number, sealed) in (1..).zip(&sealed) {
                let opened = reopened.open_sealed(&key, &context, sealed).await.unwrap();
                assert_eq!(opened, format!("message {number}").as_bytes());
            }
            assert_eq!(reopened.key(&key).await.unwrap().newest, 5);
        }
    });
}

#[test]
fn rewrap_moves_a_value_to_the_newest_version() {
    let keyring = Setting::new().create();
    pollster::block_on(async {
        let orders = name("orders");
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let context = context(&keyring, 1);
        let old = keyring.seal(&orders, &context, b"42").await.unwrap();
        assert_eq!(keyring.rewrap(&orders, &context, &old).await.unwrap(), None);
        let version = keyring.rotate_key(&orders).await.unwrap();
        let new = keyring.rewrap(&orders, &context, &old).await.unwrap().unwrap();
        assert_eq!(Header::parse(&new).unwrap().key_version(), version.id);
        assert_eq!(keyring.open_sealed(&orders, &context, &new).await.unwrap(), b"42");
        assert_eq!(keyring.rewrap(&orders, &context, &new).await.unwrap(), None);
        let mut damaged = new.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(code(keyring.rewrap(&orders, &context, &damaged).await), "damaged");
    });
}

#[test]
fn failures_carry_their_codes() {
    let keyring = Setting::new().create();
    let elsewhere = Setting::new().create();
    pollster::block_on(async {
        let (orders, letters) = (name("orders"), name("letters"));
        let context_1 = context(&keyring, 1);
        assert_eq!(code(keyring.seal(&orders, &context_1, b"").await), "not_found");
        assert_eq!(code(keyring.rotate_key(&orders).await), "not_found");
        assert_eq!(code(keyring.key(&orders).await), "not_found");
        assert_eq!(code(keyring.versions(&orders, None, 0).await), "not_found");
        for system in ["sys/pepper", "sys"] {
            assert_eq!(code(keyring.create_key(&name(system), Algorithm::default()).await), "reserved_name");
        }
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        assert_eq!(code(keyring.create_key(&orders, Algorithm::ChaCha20Poly1305).await), "already_exists");
        keyring.create_key(&letters, Algorithm::default()).await.unwrap();
        elsewhere.create_key(&orders, Algorithm::default()).await.unwrap();

        let sealed = keyring.seal(&orders, &context_1, b"42").await.unwrap();
        assert_eq!(code(keyring.open_sealed(&orders, &context(&keyring, 2), &sealed).await), "cannot_open");
        assert_eq!(code(keyring.open_sealed(&letters, &context_1, &sealed).await), "unknown_version");
        assert_eq!(code(elsewhere.open_sealed(&orders, &context_1, &sealed).await), "unknown_version");
        assert_eq!(code(keyring.open_sealed(&orders, &context_1, b"plain").await), "not_sealed");
        let unknown = KeyVersionId([9; 8]);
        assert_eq!(code(keyring.version(&orders, unknown).await), "unknown_version");
        let mut damaged = sealed;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(code(keyring.open_sealed(&orders, &context_1, &damaged).await), "damaged");
    });
}

#[test]
fn a_version_is_found_by_its_id_alone() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        let orders = name("shop/orders");
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let id = keyring.rotate_key(&orders).await.unwrap().id;
        let (reopened, faults) = setting.open_faulty(keyring.pin());
        let before = faults.calls();
        let version = reopened.locate(id).await.unwrap();
        assert_eq!((version.name(), version.number()), (&orders, 2));
        assert_eq!(faults.calls() - before, 4, "the entry, the mark, the key, and the version");
        assert_eq!(reopened.version(&orders, id).await.unwrap().id(), id);
        assert_eq!(faults.calls() - before, 4);
    });
}

#[test]
fn the_cost_of_opening_does_not_depend_on_the_number_of_versions() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        let orders = name("orders");
        let context = context(&keyring, 1);
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let first = keyring.seal(&orders, &context, b"42").await.unwrap();
        let mut calls = Vec::new();
        for rotations in [0, 2_000] {
            for _ in 0..rotations {
                keyring.rotate_key(&orders).await.unwrap();
            }
            let (reopened, faults) = setting.open_faulty(keyring.pin());
            let before = faults.calls();
            reopened.open_sealed(&orders, &context, &first).await.unwrap();
            let opened = faults.calls();
            reopened.rotate_key(&orders).await.unwrap();
            calls.push((opened - before, faults.calls() - opened));
        }
        assert_eq!(calls[0], calls[1], "calls to open and to rotate, few and many versions");
        // More versions than are kept prepared, and still each page of them is whole.
        let mut after = None;
        let mut seen = 0;
        loop {
            let page = keyring.versions(&orders, after, 300).await.unwrap();
            for version in page.versions {
                seen += 1;
                assert_eq!(version.unwrap().number, seen);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, 2_003);
    });
}

#[test]
fn the_rotation_of_another_process_is_seen_at_the_next_use() {
    let setting = Setting::new();
    let here = setting.create();
    let there = setting.open(here.pin()).unwrap();
    pollster::block_on(async {
        let orders = name("orders");
        here.create_key(&orders, Algorithm::default()).await.unwrap();
        for _ in 0..3 {
            let before = there.current(&orders).await.unwrap();
            assert_eq!(there.current(&orders).await.unwrap().id(), before.id());
            let rotated = here.rotate_key(&orders).await.unwrap();
            assert_eq!(there.current(&orders).await.unwrap().id(), rotated.id);
            assert_eq!(here.current(&orders).await.unwrap().id(), rotated.id);
        }
    });
}

#[test]
fn an_unchanged_key_is_read_once() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        let orders = name("orders");
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let (reopened, faults) = setting.open_faulty(keyring.pin());
        reopened.current(&orders).await.unwrap();
        let before = faults.calls();
        for _ in 0..100 {
            reopened.current(&orders).await.unwrap();
        }
        assert_eq!(faults.calls() - before, 100, "the mark of the collection, nothing else");
    });
}

#[test]
fn a_key_that_goes_back_is_noticed() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        let orders = name("orders");
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        let old = setting.all(KEYS).remove(0);
        keyring.rotate_key(&orders).await.unwrap();
        keyring.current(&orders).await.unwrap();
        setting.overwrite(KEYS, &old.key, &old.value);
        let error = keyring.current(&orders).await.unwrap_err();
        assert_eq!(error.code(), "rollback", "{error}");
    });
}

#[test]
fn lists_go_page_by_page() {
    let keyring = Setting::new().create();
    pollster::block_on(async {
        let mut names: Vec<_> = (0..25).map(|number| name(&format!("k/{number}"))).collect();
        for name in &names {
            keyring.create_key(name, Algorithm::default()).await.unwrap();
        }
        names.sort();
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = keyring.keys(after, 10).await.unwrap();
            listed.extend(page.keys.into_iter().map(|key| key.unwrap().name));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(listed, names);
    });
}

#[test]
fn a_damaged_row_hides_no_other() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        for key in ["a", "b", "c"] {
            keyring.create_key(&name(key), Algorithm::default()).await.unwrap();
        }
        for _ in 0..4 {
            keyring.rotate_key(&name("a")).await.unwrap();
        }
        let rows = setting.all(KEYS);
        // A row of another key, a cut one, and one under a name that no key has.
        setting.overwrite(KEYS, &rows[1].key, &rows[2].value);
        setting.overwrite(KEYS, &DocumentKey::new(*b"../etc").unwrap(), &rows[0].value);
        setting.overwrite(KEYS, &DocumentKey::new(*b"d").unwrap(), &rows[0].value[..50]);
        let page = keyring.keys(None, 0).await.unwrap();
        let listed: Vec<_> = page
            .keys
            .iter()
            .map(|key| key.as_ref().map_or_else(|error| error.code(), |key| key.name.as_str()))
            .collect();
        assert_eq!(listed, ["corrupt", "a", "corrupt", "c", "corrupt"]);
        assert_eq!(code(keyring.seal(&name("b"), &context(&keyring, 1), b"").await), "corrupt");

        let versions = setting.all(KEY_VERSIONS);
        setting.overwrite(KEY_VERSIONS, &versions[1].key, &versions[2].value);
        setting.remove(KEY_VERSIONS, &versions[2].key);
        let page = keyring.versions(&name("a"), None, 0).await.unwrap();
        let listed: Vec<_> = page
            .versions
            .iter()
            .map(|version| version.as_ref().map_or_else(KeyringError::to_string, |version| version.number.to_string()))
            .collect();
        let expected = [
            "1",
            "version 2 of key `a` is corrupt: it is another version's",
            "version 3 of key `a` is corrupt: it is missing",
            "4",
            "5",
        ];
        assert_eq!(listed, expected);
    });
}

#[test]
fn every_altered_field_of_a_version_is_found() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        let (a, b) = (name("a"), name("b"));
        keyring.create_key(&a, Algorithm::default()).await.unwrap();
        keyring.create_key(&b, Algorithm::default()).await.unwrap();
        let rows = setting.all(KEY_VERSIONS);
        let row = VersionRow::decode(&rows[0].value).unwrap();
        let theirs = VersionRow::decode(&rows[1].value).unwrap();
        let mut sealed = row.sealed.clone();
        *sealed.last_mut().unwrap() ^= 1;
        for altered in [
            VersionRow { id: theirs.id, ..row.clone() },
            VersionRow { algorithm: Algorithm::Aes256Deterministic, ..row.clone() },
            VersionRow { origin: KeyOrigin::External, ..row.clone() },
            VersionRow { never_exported: true, ..row.clone() },
            VersionRow { born: 2, ..row.clone() },
            VersionRow { created: bulla_backend::Timestamp(0), ..row.clone() },
            VersionRow { sealed: Vec::new(), ..row.clone() },
            VersionRow { sealed: theirs.sealed.clone(), ..row.clone() },
            VersionRow { sealed, ..row.clone() },
            theirs.clone(),
        ] {
            setting.overwrite(KEY_VERSIONS, &rows[0].key, &altered.encode());
            let fresh = setting.open(keyring.pin()).unwrap();
            assert_eq!(code(fresh.current(&a).await), "corrupt");
            assert_eq!(code(fresh.version(&a, row.id).await), "corrupt");
        }
        setting.overwrite(KEY_VERSIONS, &rows[0].key, &VersionRow { epoch: 2, ..row.clone() }.encode());
        assert_eq!(code(setting.open(keyring.pin()).unwrap().current(&a).await), "no_data_key");
        setting.overwrite(KEY_VERSIONS, &rows[0].key, &rows[0].value);

        // An id that leads to another version is not followed.
        let entry = IdRow { name: b.clone(), number: 1 };
        setting.overwrite(KEY_IDS, &DocumentKey::new(row.id.0).unwrap(), &entry.encode());
        let fresh = setting.open(keyring.pin()).unwrap();
        assert_eq!(code(fresh.version(&a, row.id).await), "corrupt");
        assert_eq!(code(fresh.version(&b, row.id).await), "corrupt");
    });
}
