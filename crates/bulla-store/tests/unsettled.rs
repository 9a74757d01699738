//! Readers go on where the settings of a namespace cannot be read, and writers do not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bulla_backend::{Collection, DocumentKey, Durability, Expected, ListQuery};
use bulla_keyring::SystemKey;
use bulla_seal::{Context, Suite};
use bulla_store::{
    Budget, CheckOptions, ClearScope, ComputeOptions, ComputedBy, ContentName, Depth, Entry, EntryQuery, Eviction,
    ExpectedVersion, Finding, GetOptions, Lifetime, Namespace, NamespaceSettings, OnTamper, PutOptions, SETTINGS_FRESH,
    Store, StoreError, Waiter, WalkEvent,
};
use pollster::block_on;

use crate::computing::{Never, leases};
use crate::ground::{ENTRIES, Ground, assert_code, check, names, pattern, read, value, write};
use crate::quarantine::{Notes, noted};

const NAMESPACES: Collection = Collection::new("namespaces", Durability::Durable);
const LARGE: usize = 100_000;

/// How names are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// With an index key, which contents have made: names may be blinded, for all that anybody knows.
    PlainWithContents,
    Blinded,
}

const KINDS: [Kind; 3] = [Kind::Plain, Kind::PlainWithContents, Kind::Blinded];

/// What became of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flipped,
    CutShort,
    Garbage,
    Missing,
    /// Those of another namespace, under a key version that is none of this one's.
    UnknownVersion,
    /// In a format that is not known yet.
    NewerFormat,
    /// With a field that is not known yet.
    NewerField,
}

const DAMAGES: [Damage; 7] = [
    Damage::Flipped,
    Damage::CutShort,
    Damage::Garbage,
    Damage::Missing,
    Damage::UnknownVersion,
    Damage::NewerFormat,
    Damage::NewerField,
];

impl Damage {
    fn code(self, knew: bool) -> &'static str {
        match self {
            Self::Flipped | Self::CutShort => "damaged",
            Self::Garbage => "not_sealed",
            Self::Missing if knew => "settings_rolled_back",
            Self::Missing => "settings_missing",
            Self::UnknownVersion => "unknown_version",
            Self::NewerFormat => "unsupported_version",
            Self::NewerField => "bad_settings",
        }
    }

    /// Whether it can only be somebody's or the disk's doing.
    fn is_violation(self) -> bool {
        matches!(self, Self::Flipped | Self::CutShort | Self::Garbage | Self::Missing)
    }

    fn strike(self, ground: &Ground, name: &str) {
        let good = settings_of(ground, name);
        let mut altered = good.clone();
        match self {
            Self::Missing => return plant(ground, name, None),
            Self::Flipped => *altered.last_mut().unwrap() ^= 1,
            Self::CutShort => altered.truncate(good.len() - 9),
            Self::Garbage => altered = b"garbage".to_vec(),
            Self::UnknownVersion => {
                write(&ground.namespace("elsewhere"), b"n", b"v");
                altered = settings_of(ground, "elsewhere");
            }
            Self::NewerFormat => altered[3] = 0xff,
            Self::NewerField => {
                let version = block_on(ground.keyring.current(ground.namespace(name).name().key())).unwrap();
                let context = Context::in_domain("bulla/store/settings", &ground.keyring.project());
                let context = context.text("namespace", name).build().unwrap();
                let settings = b"\xa7\x01\x02\x02\x00\x03\x00\x04\x00\x05\x00\x06\xf4\x0c\x01";
                altered = version.seal_key().seal(version.params(), &context, settings).unwrap();
            }
        }
        plant(ground, name, Some(&altered));
    }
}

fn settings_of(ground: &Ground, name: &str) -> Vec<u8> {
    block_on(ground.documents.get(NAMESPACES, &DocumentKey::new(name.as_bytes()).unwrap())).unwrap().unwrap().value
}

fn plant(ground: &Ground, name: &str, settings: Option<&[u8]>) {
    let key = DocumentKey::new(name.as_bytes()).unwrap();
    block_on(async {
        match settings {
            Some(settings) => ground.documents.put(NAMESPACES, &key, settings, Expected::Any).await.map(drop),
            None => ground.documents.delete(NAMESPACES, &key, Expected::Any).await.map(drop),
        }
    })
    .unwrap();
}

/// A namespace `a` with entries, and a process that reads it.
struct Scene {
    ground: Ground,
    content: Option<ContentName>,
    store: Store,
    notes: Arc<Notes>,
}

impl Scene {
    fn new(kind: Kind, knew: bool) -> Self {
        Self::with(kind, knew, |_| {})
    }

    fn with(kind: Kind, knew: bool, change: impl FnOnce(&mut NamespaceSettings)) -> Self {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        let mut settings = NamespaceSettings { blinded_names: kind == Kind::Blinded, ..NamespaceSettings::default() };
        change(&mut settings);
        block_on(namespace.set_settings(&settings)).unwrap();
        let options = PutOptions { tags: vec!["t".to_owned()], ..PutOptions::default() };
        block_on(namespace.put(b"a/small", b"small", &options)).unwrap();
        write(&namespace, b"a/large", &pattern(LARGE, 1));
        write(&namespace, b"b", b"7");
        let content = (kind == Kind::PlainWithContents)
            .then(|| block_on(namespace.put_content(b"content", &PutOptions::default())).unwrap());
        let (store, notes) = noted(&ground);
        if knew {
            read(&store.namespace("a").unwrap(), b"b").unwrap();
            notes.take();
        }
        ground.clock.forward(SETTINGS_FRESH);
        Self { ground, content, store, notes }
    }

    fn namespace(&self) -> Namespace {
        self.store.namespace("a").unwrap()
    }

    fn entries(&self) -> usize {
        3 + usize::from(self.content.is_some())
    }

    /// Everything that is stored but leases and journals.
    fn storage(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let collections =
            ["entries", "namespaces", "quarantine"].map(|name| Collection::new(name, Durability::Durable));
        let documents = collections.into_iter().flat_map(|collection| {
            block_on(self.ground.documents.list(collection, &ListQuery::default())).unwrap().documents
        });
        documents.map(|document| (document.key.as_bytes().to_vec(), document.value)).collect()
    }
}

fn every_case(mut check: impl FnMut(Kind, Damage, bool)) {
    for kind in KINDS {
        for damage in DAMAGES {
            for knew in [false, true] {
                check(kind, damage, knew);
            }
        }
    }
}

/// Waits for nothing.
struct AtOnce;

impl Waiter for AtOnce {
    fn wait(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

async fn never() -> Result<Vec<u8>, StoreError> {
    panic!("nothing is computed that could not be put")
}

#[test]
fn values_are_read_as_they_were_put() {
    every_case(|kind, damage, knew| {
        let scene = Scene::new(kind, knew);
        damage.strike(&scene.ground, "a");
        let before = scene.storage();
        let namespace = scene.namespace();
        let case = format!("{kind:?}, {damage:?}, knew: {knew}");
        let got = block_on(namespace.get(b"a/small", &GetOptions::version(1))).unwrap();
        assert_eq!((&got.bytes[..], got.stat.version, &got.stat.tags[..]), (&b"small"[..], 1, &["t".to_owned()][..]));
        assert!(scene.notes.take().contains("SecurityViolation") == damage.is_violation(), "{case}");
        assert!(read(&namespace, b"a/large").unwrap() == pattern(LARGE, 1), "{case}");
        assert_code(block_on(namespace.get(b"b", &GetOptions::version(2))), "version_mismatch");
        assert_eq!(block_on(namespace.stat(b"a/large", &GetOptions::default())).unwrap().len, LARGE as u64);
        let many = block_on(namespace.get_many(&[b"b".as_slice(), b"a/small"]));
        assert_eq!(
            many.into_iter().map(|value| value.unwrap().bytes).collect::<Vec<_>>(),
            [b"7".to_vec(), b"small".to_vec()]
        );
        let mut reader = block_on(namespace.reader(b"a/large", &GetOptions::default())).unwrap();
        let mut part = [0; 10];
        block_on(reader.read_at(70_000, &mut part)).unwrap();
        assert_eq!(part, pattern(LARGE, 1)[70_000..70_010]);
        let mut transaction = scene.store.transaction().unwrap();
        assert_eq!(block_on(transaction.get(&namespace, b"a/small")).unwrap().as_deref(), Some(&b"small"[..]));
        let computed = block_on(namespace.get_or_compute(b"b", &ComputeOptions::default(), &AtOnce, never)).unwrap();
        assert_eq!((&computed.bytes[..], computed.by), (&b"7"[..], ComputedBy::Earlier));
        if let Some(name) = &scene.content {
            assert_eq!(block_on(namespace.get_content(name)).unwrap().bytes, b"content");
            assert_eq!(block_on(namespace.content_reader(name)).unwrap().message_len(), 7);
        }
        assert!(scene.storage() == before, "{case}: reading changed something");
    });
}

#[test]
fn entries_are_listed_gone_through_and_counted() {
    every_case(|kind, damage, knew| {
        let scene = Scene::new(kind, knew);
        damage.strike(&scene.ground, "a");
        let namespace = scene.namespace();
        let case = format!("{kind:?}, {damage:?}, knew: {knew}");
        let mut all: BTreeSet<Vec<u8>> = [b"a/small".to_vec(), b"a/large".to_vec(), b"b".to_vec()].into();
        all.extend(scene.content.map(|name| name.entry().as_bytes().to_vec()));
        let some: BTreeSet<Vec<u8>> = [b"a/small".to_vec(), b"a/large".to_vec()].into();
        for limit in [0, 1] {
            assert_eq!(names(&namespace, b"", limit).into_iter().collect::<BTreeSet<_>>(), all, "{case}");
            assert_eq!(names(&namespace, b"a/", limit).into_iter().collect::<BTreeSet<_>>(), some, "{case}");
            assert_eq!(names(&namespace, b"z/", limit), Vec::<Vec<u8>>::new(), "{case}");
        }
        let part = EntryQuery { prefix: b"a/s".to_vec(), ..EntryQuery::default() };
        if kind == Kind::Blinded && knew {
            assert_code(block_on(namespace.list(&part)), "blinded_prefix");
        } else {
            assert_eq!(names(&namespace, b"a/s", 0), [b"a/small".to_vec()], "{case}");
        }
        let under_a = EntryQuery { prefix: b"a/".to_vec(), ..EntryQuery::default() };
        let mut entries = block_on(namespace.entries(&under_a)).unwrap();
        let mut seen = BTreeSet::new();
        while let Some(entry) = block_on(entries.next()).unwrap() {
            let value = entry.value.unwrap().bytes;
            assert!(value == b"small" || value == pattern(LARGE, 1), "{case}");
            seen.insert(entry.name.as_bytes().to_vec());
        }
        assert_eq!(seen, some, "{case}");
        assert_eq!(block_on(namespace.tags()).unwrap(), [("t".to_owned(), 1)].into(), "{case}");
        let stats = block_on(namespace.stats(&mut |_| {})).unwrap();
        assert_eq!((stats.entries, stats.refused), (scene.entries() as u64, 0), "{case}");
        assert_eq!(block_on(namespace.quarantine(None)).unwrap().records.len(), 0);
        let (_, counts) = block_on(namespace.export(Vec::new(), &mut |_| {})).unwrap();
        assert_eq!((counts.exported, counts.failed), (scene.entries() as u64, 0), "{case}");
        let (counts, findings) = check(&scene.store);
        let of_a = findings.iter().filter(|finding| matches!(finding, Finding::Settings { .. })).map(Finding::code);
        assert_eq!(of_a.collect::<Vec<_>>(), [damage.code(knew)], "{case}");
        assert_eq!(counts.damaged, 1, "{case}: {findings:?}");
        assert_eq!(block_on(namespace.summary()).unwrap().settings, None, "{case}");
    });
}

#[test]
fn nobody_is_told_that_an_entry_is_absent_who_cannot_know() {
    every_case(|kind, damage, knew| {
        let scene = Scene::new(kind, knew);
        damage.strike(&scene.ground, "a");
        let namespace = scene.namespace();
        let code = if knew { "not_found" } else { damage.code(knew) };
        assert_code(read(&namespace, b"absent"), code);
        assert_code(block_on(namespace.stat(b"a/", &GetOptions::default())), code);
        let mut transaction = scene.store.transaction().unwrap();
        let got = block_on(transaction.get(&namespace, b"absent"));
        if knew {
            assert_eq!(got.unwrap(), None);
        } else {
            assert_code(got, code);
        }
        // A computation could not put what it computes.
        let computed = block_on(namespace.get_or_compute(b"absent", &ComputeOptions::default(), &AtOnce, never));
        assert_code(computed, damage.code(knew));
        // Where there is no entry at all, there is none of that name.
        for document in scene.ground.documents() {
            block_on(scene.ground.documents.delete(ENTRIES, &document.key, Expected::Any)).unwrap();
        }
        assert_code(read(&namespace, b"absent"), "not_found");
    });
}

#[test]
fn writers_stop_and_change_nothing() {
    every_case(|kind, damage, knew| {
        let scene = Scene::new(kind, knew);
        damage.strike(&scene.ground, "a");
        let before = scene.storage();
        let (namespace, code) = (scene.namespace(), damage.code(knew));
        let options = PutOptions::default();
        assert_code(block_on(namespace.settings()), code);
        assert_code(block_on(namespace.put(b"b", b"w", &options)), code);
        assert_code(block_on(namespace.put(b"new", &pattern(LARGE, 2), &options)), code);
        assert_code(block_on(namespace.add(b"new", b"w", &options)), code);
        assert_code(block_on(namespace.add(b"a/large", &pattern(LARGE, 2), &options)), code);
        for put in block_on(namespace.put_many(&[b"x", b"y"].map(|name| bulla_store::NewEntry::new(name, b"w")))) {
            assert_code(put, code);
        }
        let mut writer = namespace.writer(b"b", &options).unwrap();
        let written = block_on(async {
            writer.write(&pattern(LARGE, 2)).await?;
            writer.finish().await
        });
        assert_code(written, code);
        assert_code(block_on(namespace.put_content(b"w", &options)), code);
        assert_code(block_on(namespace.increment(b"b", 1, 0)), code);
        assert_code(block_on(namespace.set_lifetime(b"b", Lifetime::Unlimited, ExpectedVersion::Any)), code);
        assert_code(block_on(namespace.remove(b"b", ExpectedVersion::Any)), code);
        assert_code(block_on(namespace.clear(&ClearScope::All, &Budget::UNLIMITED, &mut |_| {})), code);
        assert_code(block_on(namespace.evict(None, &Budget::UNLIMITED)), code);
        assert_code(block_on(namespace.refile(&Budget::UNLIMITED, &mut |_| {})), code);
        assert_code(block_on(namespace.set_aside(b"b")), code);
        scene.ground.rotate("a");
        let resealed = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}));
        assert_code(resealed, code);
        for change in 0..3 {
            let mut transaction = scene.store.transaction().unwrap();
            match change {
                0 => transaction.put(&namespace, b"b", b"w", &options).unwrap(),
                1 => transaction.remove(&namespace, b"b").unwrap(),
                _ => drop(block_on(transaction.get(&namespace, b"b")).unwrap()),
            }
            assert_code(block_on(transaction.commit()), code);
        }
        assert!(scene.storage() == before, "{kind:?}, {damage:?}, knew: {knew}");
        assert_eq!(scene.ground.blob_ids().len(), 1, "no blob was begun");
    });
}

#[test]
fn settings_that_are_whole_again_are_followed_at_once() {
    for kind in KINDS {
        for damage in DAMAGES {
            let scene = Scene::new(kind, false);
            let good = settings_of(&scene.ground, "a");
            damage.strike(&scene.ground, "a");
            let namespace = scene.namespace();
            assert_code(read(&namespace, b"absent"), damage.code(false));
            plant(&scene.ground, "a", Some(&good));
            if damage == Damage::Missing {
                // Who finds no settings looks again; others are told what they were told for a second.
                assert_code(read(&namespace, b"absent"), "not_found");
            }
            write(&namespace, b"new", b"v");
            assert_code(read(&namespace, b"absent"), "not_found");
            assert_eq!(read(&namespace, b"new").unwrap(), b"v");
        }
    }
}

#[test]
fn the_recorder_is_told_once_a_second_by_however_many() {
    for damage in DAMAGES {
        for knew in [false, true] {
            let scene = Scene::new(Kind::Plain, knew);
            damage.strike(&scene.ground, "a");
            for _ in 0..3 {
                thread::scope(|scope| {
                    for _ in 0..8 {
                        scope.spawn(|| {
                            assert_eq!(read(&scene.namespace(), b"b").unwrap(), b"7");
                            let put = block_on(scene.namespace().put(b"b", b"w", &PutOptions::default()));
                            assert_code(put, damage.code(knew));
                        });
                    }
                });
                let told = scene.notes.take().matches("SecurityViolation").count();
                assert_eq!(told, usize::from(damage.is_violation()), "{damage:?}, knew: {knew}");
                scene.ground.clock.forward(SETTINGS_FRESH);
            }
        }
    }
}

#[test]
fn that_there_were_no_settings_is_not_believed() {
    let ground = Ground::new();
    let (store, _) = noted(&ground);
    let namespace = store.namespace("a").unwrap();
    assert_code(read(&namespace, b"n"), "not_found");
    // Another process makes the namespace within the same second.
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(ground.namespace("a").set_settings(&settings)).unwrap();
    write(&ground.namespace("a"), b"n", b"v");
    let page = block_on(namespace.list(&EntryQuery::default())).unwrap();
    assert!(matches!(&page.entries[..], [entry] if entry.name.as_bytes() == b"n" && entry.stat.is_ok()), "{page:?}");
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");

    let other = store.namespace("b").unwrap();
    assert_code(read(&other, b"n"), "not_found");
    block_on(ground.namespace("b").set_settings(&settings)).unwrap();
    write(&ground.namespace("b"), b"n", b"v");
    let mut entries = block_on(other.entries(&EntryQuery::default())).unwrap();
    assert_eq!(block_on(entries.next()).unwrap().unwrap().value.unwrap().bytes, b"v");

    let third = store.namespace("c").unwrap();
    assert_code(read(&third, b"n"), "not_found");
    block_on(ground.namespace("c").set_settings(&settings)).unwrap();
    let mut seen = Vec::new();
    let computed = block_on(third.get_or_compute(b"telling", &ComputeOptions::default(), &Never, || {
        seen = leases(&ground);
        async { Ok::<_, StoreError>(b"v".to_vec()) }
    }));
    assert_eq!(computed.unwrap().by, ComputedBy::ThisCall);
    assert!(matches!(&seen[..], [key] if !key.as_bytes().windows(7).any(|window| window == b"telling")), "{seen:?}");
}

#[test]
fn damaged_entries_are_errors_and_stay_where_they_are() {
    for damage in DAMAGES {
        for (knew, code) in [(false, "damaged"), (true, "not_found")] {
            let scene = Scene::with(Kind::Plain, knew, |settings| settings.on_tamper = OnTamper::Miss);
            damage.strike(&scene.ground, "a");
            let mut document = scene.ground.document("a", b"b").value;
            *document.last_mut().unwrap() ^= 1;
            scene.ground.plant("a", b"b", &document);
            let id = scene.ground.entry("a", b"a/large").blob.unwrap().id;
            let mut blob = scene.ground.blob(&id);
            blob[500] ^= 1;
            scene.ground.plant_blob(&id, &blob);
            let before = scene.storage();
            let namespace = scene.namespace();
            for name in [&b"b"[..], b"a/large"] {
                scene.notes.take();
                assert_code(read(&namespace, name), code);
                let told = scene.notes.take();
                assert!(told.contains("left where it is: the settings of its namespace cannot be read"), "{told}");
            }
            let options = CheckOptions { quarantine: true, ..CheckOptions::default() };
            let counts = block_on(scene.store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
            let elsewhere = u64::from(damage == Damage::UnknownVersion);
            assert_eq!((counts.ok, counts.moved), (1 + elsewhere, 0));
            assert!(scene.storage() == before);
            assert_eq!(read(&namespace, b"a/small").unwrap(), b"small");
        }
    }
}

#[test]
fn what_lies_in_quarantine_is_said_to_wherever_its_name_may_lie() {
    for kind in KINDS {
        for damage in DAMAGES {
            let scene = Scene::new(kind, false);
            for document in scene.ground.documents() {
                let mut altered = document.value;
                *altered.last_mut().unwrap() ^= 1;
                scene.ground.plant_at(&document.key, &altered);
            }
            assert_code(read(&scene.ground.namespace("a"), b"b"), "damaged");
            damage.strike(&scene.ground, "a");
            assert_code(read(&scene.namespace(), b"b"), "quarantined");
        }
    }
}

#[test]
fn nothing_is_held_in_memory_or_ranked_and_every_read_is_told() {
    for damage in DAMAGES {
        let scene = Scene::with(Kind::Plain, true, |settings| {
            settings.memory_tier = true;
            (settings.max_entries, settings.eviction) = (Some(100), Some(Eviction::LeastFrequentlyUsed));
        });
        let namespace = scene.namespace();
        read(&namespace, b"b").unwrap();
        let held = |store: &Store| format!("{store:?}").contains("values: 1");
        assert!(held(&scene.store));
        damage.strike(&scene.ground, "a");
        scene.ground.clock.forward(SETTINGS_FRESH);
        let group = b"a\0";
        let ranks = || block_on(scene.ground.documents.lowest(ENTRIES, group, 10)).unwrap();
        let before = format!("{:?}", ranks());
        scene.notes.take();
        for _ in 0..5 {
            read(&namespace, b"b").unwrap();
            scene.ground.clock.forward(SETTINGS_FRESH);
        }
        assert_eq!(scene.notes.take().matches("Read(").count(), 5);
        assert_eq!(format!("{:?}", ranks()), before);
        assert!(!held(&scene.store), "{damage:?}");
    }
}

#[test]
fn names_are_found_that_are_blinded_under_any_version_of_the_key() {
    for damage in DAMAGES {
        let scene = Scene::new(Kind::Blinded, false);
        let key = SystemKey::index(&"a".parse().unwrap()).unwrap();
        for _ in 0..3 {
            block_on(scene.ground.keyring.rotate_system_key(&key)).unwrap();
        }
        damage.strike(&scene.ground, "a");
        let namespace = scene.namespace();
        assert_eq!(read(&namespace, b"b").unwrap(), b"7");
        assert_eq!(names(&namespace, b"a/", 0).len(), 2);
    }
}

#[test]
fn a_stored_name_is_nobodys_name() {
    for damage in DAMAGES {
        let scene = Scene::new(Kind::Blinded, false);
        damage.strike(&scene.ground, "a");
        for document in scene.ground.documents() {
            let stored = &document.key.as_bytes()[2..];
            if document.key.as_bytes().starts_with(b"a\0") {
                assert_code(read(&scene.namespace(), stored), damage.code(false));
            }
        }
        assert_eq!(block_on(scene.namespace().quarantine(None)).unwrap().records.len(), 0);
    }
}

#[test]
fn of_two_entries_that_a_name_may_mean_none_is_returned() {
    // As after settings that were lost while no entry opened, and were set anew.
    let scene = Scene::new(Kind::Blinded, false);
    let entry = |bytes: &[u8]| {
        let namespace = scene.ground.namespace("model");
        write(&namespace, b"n", bytes);
        let Entry { stat, .. } = scene.ground.entry("model", b"n");
        Entry { stat, name: None, blob: None }.encode(bytes, 0)
    };
    scene.ground.forge("a", b"b", &entry(b"of old"));
    assert_eq!(value(&scene.ground.namespace("a"), b"b").as_deref(), Some(&b"7"[..]));
    Damage::Flipped.strike(&scene.ground, "a");
    assert_code(read(&scene.namespace(), b"b"), "damaged");
    assert_eq!(read(&scene.namespace(), b"a/small").unwrap(), b"small");
    // One that does not open may be the one as well.
    scene.ground.plant("a", b"a/small", b"garbage");
    assert_code(read(&scene.namespace(), b"a/small"), "damaged");
    assert_eq!(scene.ground.document("a", b"a/small").value, b"garbage");
}

#[test]
fn an_entry_whose_name_no_key_confirms_is_refused() {
    let scene = Scene::new(Kind::Blinded, false);
    let key = DocumentKey::new(&b"a\0stored"[..]).unwrap();
    let Entry { stat, .. } = {
        write(&scene.ground.namespace("model"), b"n", b"v");
        scene.ground.entry("model", b"n")
    };
    let name = bulla_store::EntryName::new(&b"another"[..]).unwrap();
    scene.ground.forge_as(
        "a",
        b"stored",
        &Entry { stat, name: Some(name), blob: None }.encode(b"v", 0),
        Suite::Aes256Gcm,
    );
    Damage::Flipped.strike(&scene.ground, "a");
    let page = block_on(scene.namespace().list(&EntryQuery::default())).unwrap();
    let refused: Vec<_> = page.entries.into_iter().filter_map(|entry| entry.stat.err()).collect();
    assert_eq!(refused.iter().map(StoreError::code).collect::<Vec<_>>(), ["damaged"]);
    assert!(refused[0].to_string().contains("settings"), "{}", refused[0]);
    assert!(block_on(scene.ground.documents.get(ENTRIES, &key)).unwrap().is_some());
}

#[test]
fn who_knew_newer_settings_reads_by_them_when_older_ones_are_put_back() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let old = settings_of(&ground, "a");
    let miss = NamespaceSettings { on_tamper: OnTamper::Miss, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&miss)).unwrap();
    plant(&ground, "a", Some(&old));
    ground.clock.forward(SETTINGS_FRESH);
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");
    assert_code(read(&namespace, b"absent"), "not_found");
    assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), "settings_rolled_back");
    ground.plant("a", b"n", b"garbage");
    assert_code(read(&namespace, b"n"), "not_found");
    assert_eq!(ground.document("a", b"n").value, b"garbage", "nothing is moved");
}

#[test]
fn a_value_that_is_to_be_computed_anew_soon_is_returned_as_it_is() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = PutOptions {
        lifetime: Lifetime::For(Duration::from_secs(60)),
        compute_time: Some(Duration::from_hours(1_000)),
        ..PutOptions::default()
    };
    block_on(namespace.put(b"n", b"v", &options)).unwrap();
    for damage in [Damage::Missing, Damage::Garbage] {
        let (store, _) = noted(&ground);
        damage.strike(&ground, "a");
        let reader = store.namespace("a").unwrap();
        let got = block_on(reader.get_or_compute(b"n", &ComputeOptions::default(), &AtOnce, never)).unwrap();
        assert_eq!(got.bytes, b"v");
        block_on(namespace.set_settings(&NamespaceSettings::default())).unwrap();
    }
}

#[test]
fn what_has_expired_is_swept_without_settings() {
    let scene = Scene::new(Kind::Blinded, false);
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(5)), ..PutOptions::default() };
    block_on(scene.ground.namespace("a").put(b"brief", b"v", &options)).unwrap();
    Damage::Garbage.strike(&scene.ground, "a");
    assert_eq!(read(&scene.namespace(), b"brief").unwrap(), b"v");
    scene.ground.clock.forward(Duration::from_secs(5));
    assert_code(read(&scene.namespace(), b"brief"), "not_found");
    assert_eq!(block_on(scene.namespace().expire_due(&Budget::UNLIMITED)).unwrap().expired, 1);
    let mut progress = 0;
    block_on(scene.namespace().stats(&mut |event| progress += u32::from(matches!(event, WalkEvent::Progress(_)))))
        .unwrap();
    assert!(progress > 0);
}
