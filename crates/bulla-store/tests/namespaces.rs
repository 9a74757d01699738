//! How namespaces are kept: settings, blinded names, modes.

use std::collections::BTreeSet;
use std::time::Duration;

use bulla_backend::{Collection, Document, DocumentKey, Durability, Expected, ListQuery};
use bulla_keyring::SystemKey;
use bulla_seal::{HEADER_LEN, Header, Suite};
use bulla_store::{
    BlobRef, Entry, EntryQuery, ExpectedVersion, GetOptions, MAX_INLINE_LEN, Mode, Namespace, NamespaceSettings,
    OnTamper, PutOptions, SETTINGS_FRESH, Store,
};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, assert_code, names, pattern, read, value, write};
use crate::quarantine::noted;

const NAMESPACES: Collection = Collection::new("namespaces", Durability::Durable);
const LARGE: usize = 2 * MAX_INLINE_LEN + 1_000;

fn set(namespace: &Namespace, change: impl FnOnce(&mut NamespaceSettings)) -> u64 {
    let mut settings = block_on(namespace.settings()).unwrap();
    change(&mut settings);
    block_on(namespace.set_settings(&settings)).unwrap()
}

fn blinded(store: &Store, name: &str) -> Namespace {
    let namespace = store.namespace(name).unwrap();
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    namespace
}

fn settings_document(ground: &Ground, namespace: &str) -> Document {
    block_on(ground.documents.get(NAMESPACES, &DocumentKey::new(namespace.as_bytes()).unwrap())).unwrap().unwrap()
}

fn plant_settings(ground: &Ground, namespace: &str, bytes: Option<&[u8]>) {
    let key = DocumentKey::new(namespace.as_bytes()).unwrap();
    block_on(async {
        match bytes {
            Some(bytes) => ground.documents.put(NAMESPACES, &key, bytes, Expected::Any).await.map(drop),
            None => ground.documents.delete(NAMESPACES, &key, Expected::Any).await.map(drop),
        }
    })
    .unwrap();
}

fn put_sensitive(namespace: &Namespace, name: &[u8], value: &[u8]) {
    block_on(namespace.put(name, value, &PutOptions { sensitive: true, ..PutOptions::default() })).unwrap();
}

fn suite_of(sealed: &[u8]) -> Suite {
    Header::parse(sealed).unwrap().params().suite
}

/// Everything that the storage holds, keys and values.
fn storage(ground: &Ground) -> Vec<u8> {
    let mut all = Vec::new();
    for name in ["entries", "namespaces", "quarantine", "journals", "condemned", "leases"] {
        let collection = Collection::new(name, Durability::Durable);
        for document in block_on(ground.documents.list(collection, &ListQuery::default())).unwrap().documents {
            all.extend_from_slice(document.key.as_bytes());
            all.extend_from_slice(&document.value);
        }
    }
    all.extend(ground.blob_ids().iter().flat_map(|id| ground.blob(id)));
    all
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn settings_are_made_at_the_first_write_and_followed_by_others() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    assert_eq!(block_on(namespace.settings()).unwrap(), NamespaceSettings::default());
    assert!(block_on(ground.documents.list(NAMESPACES, &ListQuery::default())).unwrap().documents.is_empty());
    write(&namespace, b"n", b"v");
    let other = ground.over(ground.documents.clone(), ground.blobs.clone()).namespace("a").unwrap();
    assert_eq!(block_on(other.settings()).unwrap(), NamespaceSettings::default());

    assert_eq!(set(&namespace, |settings| settings.lifetime = Some(Duration::from_secs(9))), 2);
    assert_eq!(block_on(other.settings()).unwrap().lifetime, None, "within a second");
    ground.clock.forward(SETTINGS_FRESH);
    assert_eq!(block_on(other.settings()).unwrap().lifetime, Some(Duration::from_secs(9)));
    write(&other, b"n", b"v");
    ground.clock.forward(Duration::from_secs(9));
    assert_eq!(value(&namespace, b"n"), None);
    assert_eq!(block_on(ground.store.namespaces()).unwrap().len(), 1);
}

#[test]
fn settings_from_elsewhere_or_altered_stop_writers_until_set_anew() {
    let ground = Ground::new();
    for name in ["a", "b"] {
        write(&ground.namespace(name), b"n", b"v");
    }
    let other_project = Ground::on(ground.documents.clone(), ground.blobs.clone());
    let good = settings_document(&ground, "a").value;
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let theirs = settings_document(&ground, "b").value;
    write(&other_project.namespace("c"), b"n", b"v");
    let of_another_project = settings_document(&ground, "c").value;
    for (bytes, code) in [
        (&altered[..], "damaged"),
        (&theirs, "unknown_version"),
        (&of_another_project, "unknown_version"),
        (b"x", "not_sealed"),
    ] {
        plant_settings(&ground, "a", Some(bytes));
        let (store, notes) = noted(&ground);
        let namespace = store.namespace("a").unwrap();
        assert_eq!(read(&namespace, b"n").unwrap(), b"v");
        assert_eq!(names(&namespace, b"", 0), [b"n"]);
        assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), code);
        assert_eq!(notes.take().contains("SecurityViolation"), code != "unknown_version");
        let anew = block_on(namespace.set_settings(&NamespaceSettings::default()));
        if code == "unknown_version" {
            assert_code(anew, code);
        } else {
            assert!(anew.unwrap() > 1_000_000, "newer than any that was counted");
            assert_eq!(read(&namespace, b"n").unwrap(), b"v");
        }
    }
}

#[test]
fn settings_put_back_are_not_followed_by_who_saw_newer_ones() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let old = settings_document(&ground, "a").value;
    set(&namespace, |settings| settings.on_tamper = OnTamper::Miss);
    let new = settings_document(&ground, "a").value;
    for bytes in [Some(&old[..]), None] {
        plant_settings(&ground, "a", bytes);
        ground.clock.forward(SETTINGS_FRESH);
        for _ in 0..2 {
            assert_eq!(read(&namespace, b"n").unwrap(), b"v");
            assert_code(block_on(namespace.settings()), "settings_rolled_back");
            assert_code(block_on(namespace.put(b"m", b"w", &PutOptions::default())), "settings_rolled_back");
        }
    }
    plant_settings(&ground, "a", Some(&new));
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");

    // Set anew on purpose: others that knew the lost ones follow.
    let other = ground.over(ground.documents.clone(), ground.blobs.clone()).namespace("a").unwrap();
    assert_eq!(read(&other, b"n").unwrap(), b"v");
    plant_settings(&ground, "a", None);
    ground.clock.forward(SETTINGS_FRESH);
    let fresh = ground.over(ground.documents.clone(), ground.blobs.clone()).namespace("a").unwrap();
    block_on(fresh.set_settings(&NamespaceSettings::default())).unwrap();
    for namespace in [&other, &namespace, &fresh] {
        assert_eq!(read(namespace, b"n").unwrap(), b"v");
        assert_eq!(block_on(namespace.settings()).unwrap().on_tamper, OnTamper::Error);
    }
}

#[test]
fn deleted_settings_do_not_make_a_namespace_careless() {
    let ground = Ground::new();
    let namespace = blinded(&ground.store, "secret");
    write(&namespace, b"who/alice", b"v");
    plant_settings(&ground, "secret", None);
    let fresh = || ground.over(ground.documents.clone(), ground.blobs.clone()).namespace("secret").unwrap();
    assert_eq!(read(&fresh(), b"who/alice").unwrap(), b"v");
    assert_code(read(&fresh(), b"who/bob"), "settings_missing");
    assert_code(block_on(fresh().put(b"who/bob", b"v", &PutOptions::default())), "settings_missing");
    let plain = block_on(fresh().set_settings(&NamespaceSettings::default()));
    assert_code(plain, "invalid_settings");

    // With all entries gone too: the trust database still tells that names were blinded.
    for document in ground.documents() {
        block_on(ground.documents.delete(ENTRIES, &document.key, Expected::Any)).unwrap();
    }
    assert_code(block_on(fresh().put(b"who/bob", b"v", &PutOptions::default())), "settings_missing");
    assert!(!holds(&storage(&ground), b"bob"));
    write(&blinded(&fresh_store(&ground), "secret"), b"who/bob", b"v");
    assert!(!holds(&storage(&ground), b"bob"));
}

fn fresh_store(ground: &Ground) -> Store {
    ground.over(ground.documents.clone(), ground.blobs.clone())
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let refused = |settings: NamespaceSettings| {
        assert_code(block_on(namespace.set_settings(&settings)), "invalid_settings");
    };
    refused(NamespaceSettings { lifetime: Some(Duration::ZERO), ..NamespaceSettings::default() });
    refused(NamespaceSettings { max_entries: Some(0), ..NamespaceSettings::default() });
    write(&namespace, b"n", b"v");
    refused(NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() });
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");
}

#[test]
fn blinded_names_are_nowhere_in_the_storage() {
    let ground = Ground::in_folder();
    let namespace = blinded(&ground.store, "people");
    let all: [&[u8]; 5] =
        [b"employees/alice-liddell", b"employees/humpty", b"guests/", b"guests//x", b"the-cheshire-cat"];
    for (at, name) in all.into_iter().enumerate() {
        let len = if at % 2 == 0 { 40 } else { LARGE };
        write(&namespace, name, &pattern(len, u8::try_from(at).unwrap()));
        write(&namespace, name, &pattern(len, u8::try_from(at).unwrap()));
    }
    let mut raw = storage(&ground);
    for file in walk(ground.folder().path()) {
        raw.extend(std::fs::read(file).unwrap());
    }
    for secret in [&b"employees"[..], b"alice", b"guests", b"cheshire", b"humpty"] {
        assert!(!holds(&raw, secret), "{}", secret.escape_ascii());
    }
    assert!(!holds(&raw, &pattern(40, 0)[..16]) && !holds(&raw, &pattern(LARGE, 1)[100..116]), "nor are values");

    for (at, name) in all.into_iter().enumerate() {
        let len = if at % 2 == 0 { 40 } else { LARGE };
        assert_eq!(read(&namespace, name).unwrap(), pattern(len, u8::try_from(at).unwrap()));
    }
    let listed = |prefix: &[u8], limit| names(&namespace, prefix, limit).into_iter().collect::<BTreeSet<_>>();
    for limit in [0, 1, 2] {
        assert_eq!(listed(b"", limit), all.iter().map(|name| name.to_vec()).collect());
        assert_eq!(listed(b"employees/", limit), [all[0].to_vec(), all[1].to_vec()].into());
        assert_eq!(listed(b"guests/", limit), [all[2].to_vec(), all[3].to_vec()].into());
        assert_eq!(listed(b"nobody/", limit), BTreeSet::new());
    }
    let part = EntryQuery { prefix: b"empl".to_vec(), ..EntryQuery::default() };
    assert_code(block_on(namespace.list(&part)), "blinded_prefix");
    assert_code(block_on(namespace.put(&[b'/'; 65], b"v", &PutOptions::default())), "invalid_name");
    assert!(block_on(namespace.remove(all[1], ExpectedVersion::Version(2))).unwrap());
    assert_code(read(&namespace, all[1]), "not_found");
    assert!(ground.check().0.is_clean());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn one_name_is_stored_differently_by_each_project_and_namespace() {
    let ground = Ground::new();
    let other = Ground::on(ground.documents.clone(), ground.blobs.clone());
    let elsewhere = [(&ground.store, "a"), (&ground.store, "b"), (&other.store, "c")];
    for (store, namespace) in elsewhere {
        write(&blinded(store, namespace), b"one/name", b"v");
    }
    let stored = ground.documents().into_iter().map(|document| document.key.as_bytes()[2..].to_vec());
    let halves: BTreeSet<_> = stored.flat_map(|name| [name[..16].to_vec(), name[16..].to_vec()]).collect();
    assert_eq!(halves.len(), 6);
}

#[test]
fn a_blinded_entry_elsewhere_is_refused_and_named_as_asked_for() {
    let ground = Ground::new();
    let namespace = blinded(&ground.store, "a");
    write(&namespace, b"alice", b"admin");
    write(&namespace, b"mallory", b"guest");
    let documents = ground.documents();
    let [one, two] = documents.as_slice() else { panic!("{}", documents.len()) };
    ground.plant_at(&one.key, &two.value);
    ground.plant_at(&two.key, &one.value);
    let page = block_on(namespace.list(&EntryQuery::default())).unwrap();
    for entry in &page.entries {
        let error = entry.stat.as_ref().unwrap_err();
        assert_eq!(error.code(), "cannot_open");
        assert!(entry.name.to_string().starts_with("blinded:") && error.to_string().contains("`blinded:"), "{error}");
    }
    for name in [&b"alice"[..], b"mallory"] {
        let error = read(&namespace, name).unwrap_err();
        assert_eq!(error.code(), "cannot_open");
        assert!(error.to_string().contains(&format!("`{}`", name.escape_ascii())), "{error}");
    }
    let record = block_on(namespace.quarantine(None)).unwrap().records.remove(0);
    assert!(record.place.unwrap().to_string().contains("`alice`") || record.record.unwrap().name.is_some());
}

#[test]
fn the_key_that_blinds_may_be_renewed() {
    let ground = Ground::new();
    let namespace = blinded(&ground.store, "a");
    write(&namespace, b"n", b"v");
    let key = SystemKey::index(&"a".parse().unwrap()).unwrap();
    block_on(ground.keyring.rotate_system_key(&key)).unwrap();
    let fresh = fresh_store(&ground).namespace("a").unwrap();
    assert_eq!(read(&fresh, b"n").unwrap(), b"v");
    write(&fresh, b"n", b"w");
    assert_eq!((ground.documents().len(), read(&namespace, b"n").unwrap()), (1, b"w".to_vec()));
}

#[test]
fn authenticated_values_can_be_read_by_all_and_changed_by_none() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.mode = Mode::Authenticated);
    write(&namespace, b"small", b"in plain sight");
    write(&namespace, b"large", &pattern(LARGE, 1));
    put_sensitive(&namespace, b"secret", b"out of sight");
    put_sensitive(&namespace, b"large secret", &pattern(LARGE, 2));

    let suite = |name: &[u8]| suite_of(&ground.document("a", name).value);
    assert_eq!(suite(b"small"), Suite::Authenticated);
    // Whoever could read the blob's key could write another blob.
    assert_ne!(suite(b"large"), Suite::Authenticated);
    assert_ne!(suite(b"secret"), Suite::Authenticated);
    assert_ne!(suite(b"large secret"), Suite::Authenticated);
    let raw = storage(&ground);
    assert!(holds(&raw, b"in plain sight") && !holds(&raw, b"out of sight"));
    assert!(holds(&raw, &pattern(LARGE, 1)[100..200]) && !holds(&raw, &pattern(LARGE, 2)[100..200]));
    for blob in ground.blob_ids() {
        let key = ground.entry("a", b"large").blob.filter(|reference| reference.id == blob).map(|found| found.key);
        assert!(key.is_none_or(|key| !holds(&raw, key.expose())), "blob keys are not shown");
    }

    for name in [&b"small"[..], b"large", b"secret", b"large secret"] {
        let good = ground.document("a", name).value;
        for spot in [4, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 12, good.len() - 1] {
            let mut altered = good.clone();
            altered[spot] ^= 2;
            ground.plant("a", name, &altered);
            assert!(read(&namespace, name).unwrap_err().is_integrity_failure(), "byte {spot}");
            ground.plant("a", name, &good);
        }
        assert!(read(&namespace, name).is_ok());
    }
    let id = ground.entry("a", b"large").blob.unwrap().id;
    let good = ground.blob(&id);
    for spot in [HEADER_LEN + 5, HEADER_LEN + 70_000, good.len() - 1] {
        let mut altered = good.clone();
        altered[spot] ^= 1;
        ground.plant_blob(&id, &altered);
        assert_code(read(&namespace, b"large"), "damaged");
        ground.plant_blob(&id, &good);
        let record = block_on(namespace.quarantine(None)).unwrap().records;
        let record = record.into_iter().find(|record| record.record.as_ref().is_ok_and(|it| it.blob == Some(id)));
        block_on(namespace.restore_quarantined(&record.unwrap().id)).unwrap();
    }
    // The mode is for what is written from now on.
    set(&namespace, |settings| settings.mode = Mode::Sealed);
    assert_eq!(read(&namespace, b"small").unwrap(), b"in plain sight");
    write(&namespace, b"small", b"not any more");
    assert!(!holds(&storage(&ground), b"not any more"));
}

#[test]
fn an_entry_that_shows_the_key_of_its_blob_is_refused() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let Entry { stat, blob: Some(BlobRef { id, key }), .. } = ground.entry("a", b"n") else { panic!("no blob") };
    let encoded = Entry { stat, name: None, blob: Some(BlobRef { id, key }) }.encode(b"", 0);
    ground.forge_as("a", b"n", &encoded, Suite::Authenticated);
    assert_code(read(&namespace, b"n"), "bad_entry");
}

#[test]
fn blinded_names_are_not_shown_in_authenticated_mode_either() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let settings = NamespaceSettings { mode: Mode::Authenticated, blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    write(&namespace, b"who/alice", b"v");
    write(&namespace, b"who/bob", &pattern(LARGE, 1));
    let raw = storage(&ground);
    assert!(!holds(&raw, b"alice") && !holds(&raw, b"bob"));
    assert_eq!(block_on(namespace.stat(b"who/alice", &GetOptions::default())).unwrap().len, 1);
}
