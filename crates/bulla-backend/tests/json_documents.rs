//! The JSON file: its text, what is refused, what other processes see, and what faults leave of it.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use bulla_backend::{
    Collection, Disk, DocumentKey, Documents, Durability, ErrorKind, Expected, JsonDocuments, ListQuery,
    MAX_DOCUMENT_LEN, MAX_JSON_FILE_LEN, OpenMode, Result, Write,
    testing::{Fault, Loss, Random, SimDisk},
};
use pollster::block_on;

const KEYS: Collection = Collection::new("keys", Durability::Durable);
const CACHE: Collection = Collection::new("cache", Durability::Cache);
const PATH: &str = "/project/data.json";

fn key(bytes: impl AsRef<[u8]>) -> DocumentKey {
    DocumentKey::new(bytes.as_ref()).unwrap()
}

fn put(documents: &JsonDocuments, name: &str, value: &[u8]) -> Result<()> {
    block_on(documents.put(KEYS, &key(name), value, Expected::Any)).map(drop)
}

fn get(documents: &JsonDocuments, name: &str) -> Option<Vec<u8>> {
    block_on(documents.get(KEYS, &key(name))).unwrap().map(|document| document.value)
}

fn open_text(text: impl AsRef<[u8]>) -> Result<JsonDocuments> {
    let disk = SimDisk::new();
    disk.open(Path::new("/data.json"), OpenMode::CreateNew).unwrap().write_at(0, text.as_ref()).unwrap();
    JsonDocuments::open_on(Arc::new(disk), "/data.json")
}

#[test]
fn a_read_only_disk_is_read_and_not_written() {
    let disk = SimDisk::new();
    let writer = JsonDocuments::open_on(Arc::new(disk.clone()), PATH).unwrap();
    put(&writer, "a", b"1").unwrap();
    let documents = JsonDocuments::open_on(Arc::new(disk.read_only()), PATH).unwrap();
    assert_eq!(get(&documents, "a"), Some(b"1".to_vec()));
    for refused in [
        put(&documents, "a", b"2").unwrap_err(),
        block_on(documents.delete(KEYS, &key("a"), Expected::Any)).unwrap_err(),
    ] {
        assert!(refused.kind() == ErrorKind::Permission && refused.is_read_only(), "{refused}");
    }
    // Through another mount of it others write.
    put(&writer, "a", b"3").unwrap();
    assert_eq!(get(&documents, "a"), Some(b"3".to_vec()));
}

#[test]
fn the_file_is_as_specified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.json");
    let documents = JsonDocuments::open(&path).unwrap();
    put(&documents, "two", b"\xff\x00").unwrap();
    block_on(documents.put(CACHE, &key([0xfe]), "a \"b\"\n".as_bytes(), Expected::Absent)).unwrap();
    put(&documents, "one", b"").unwrap();
    put(&documents, "two", b"\xff\x01").unwrap();
    put(&documents, "gone", b"1").unwrap();
    block_on(documents.delete(KEYS, &key("gone"), Expected::Any)).unwrap();
    let expected = r#"{
  "format": "bulla-documents",
  "version": 1,
  "revision": 6,
  "documents": [
    {
      "collection": "cache",
      "key_base64": "/g==",
      "revision": 2,
      "text": "a \"b\"\n"
    },
    {
      "collection": "keys",
      "key": "one",
      "revision": 3,
      "text": ""
    },
    {
      "collection": "keys",
      "key": "two",
      "revision": 4,
      "base64": "/wE="
    }
  ]
}
"#;
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".data.json.lock", "data.json"]);
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let file = |version: &str, revision: &str, documents: &str| {
        format!(r#"{{"format":"bulla-documents","version":{version},"revision":{revision},"documents":[{documents}]}}"#)
    };
    let one = r#"{"collection":"keys","key":"a","revision":1,"text":"1"}"#;
    let good = file("1", "1", one);
    assert_eq!(get(&open_text(&good).unwrap(), "a"), Some(b"1".to_vec()));

    let text = format!("\"text\":\"{}\"", "v".repeat(MAX_DOCUMENT_LEN + 1));
    let overlong = file("1", "1", &one.replace("\"text\":\"1\"", &text));
    let refused = open_text(&overlong).unwrap_err();
    assert!(refused.to_string().contains("document `a` is longer"), "{refused}");
    let corrupt = [
        String::new(),
        "{}".into(),
        "[]".into(),
        good[..good.len() - 1].into(),
        format!("{good}x"),
        good.replace("bulla-documents", "bulla-document"),
        file("-1", "1", one),
        file("1.0", "1", one),
        file("\"1\"", "1", one),
        file("1", "0", one),
        file("1", "9007199254740992", one),
        file("1", "1", &format!("{one},{one}")),
        file("1", "1", &one.replace("\"key\":\"a\",", "")),
        file("1", "1", &one.replace("\"key\":\"a\"", "\"key\":\"\"")),
        file("1", "1", &one.replace("\"key\":\"a\"", "\"key\":\"a\",\"key_base64\":\"YQ==\"")),
        file("1", "1", &one.replace("\"key\":\"a\"", &format!("\"key\":\"{}\"", "k".repeat(2_305)))),
        file("1", "1", &one.replace("\"key\":\"a\"", "\"key_base64\":\"YQ\"")),
        file("1", "1", &one.replace("\"key\":\"a\"", "\"key_base64\":\"YR==\"")),
        file("1", "1", &format!("{one},{}", one.replace("\"key\":\"a\"", "\"key_base64\":\"YQ==\""))),
        file("1", "1", &one.replace("\"key\":\"a\"", "\"key\":\"a\",\"key\":\"a\"")),
        file("1", "1", &one.replace("\"revision\":1", "\"revision\":0")),
        file("1", "1", &one.replace("\"revision\":1", "\"revision\":2")),
        file("1", "1", &one.replace(",\"text\":\"1\"", "")),
        file("1", "1", &one.replace("\"text\":\"1\"", "\"text\":\"1\",\"base64\":\"MQ==\"")),
        file("1", "1", &one.replace("\"text\":\"1\"", "\"text\":\"1\",\"more\":1")),
        overlong.clone(),
        good.replacen("\"revision\":1", "\"revision\":1,\"revision\":1", 1),
        "[".repeat(100_000),
        format!(r#"{{"format":"bulla-documents","version":1,"x":{}"#, "[".repeat(100_000)),
    ];
    for text in corrupt {
        let error = open_text(&text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{text:.200}: {error}");
        assert!(error.to_string().contains("data.json"), "the message names the file: {error}");
    }
    let newer = r#"{"format":"bulla-documents","version":2,"what":["ever"]}"#;
    assert_eq!(open_text(newer).unwrap_err().kind(), ErrorKind::Unsuitable);
    assert_eq!(open_text(vec![b' '; MAX_JSON_FILE_LEN + 1]).unwrap_err().kind(), ErrorKind::Unsuitable);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(JsonDocuments::open(folder.path()).unwrap_err().kind(), ErrorKind::Unsuitable);
    fs::write(folder.path().join("file"), "").unwrap();
    let below_a_file = JsonDocuments::open(folder.path().join("file/data.json"));
    assert_eq!(below_a_file.unwrap_err().kind(), ErrorKind::Unsuitable);
}

#[test]
fn any_text_is_refused_or_can_be_worked_with() {
    let good = r#"{"format":"bulla-documents","version":1,"revision":12,"documents":[
        {"collection":"keys","key":"a","revision":11,"text":"1"},
        {"collection":"keys","key_base64":"/w==","revision":12,"base64":"/w=="}]}"#;
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..3_000 {
        let (mut random, mut text) = (Random::new(seed), good.as_bytes().to_vec());
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(text.len() as u64)).unwrap();
            match random.below(3) {
                0 => text[at] = *random.bytes(1).first().unwrap(),
                1 => text[at] = good.as_bytes()[at / 2],
                _ => drop(text.remove(at)),
            }
        }
        match open_text(&text) {
            Ok(documents) => {
                accepted += 1;
                let revision = block_on(documents.put(KEYS, &key("new"), b"", Expected::Absent)).unwrap();
                let listed = block_on(documents.list(KEYS, &ListQuery::default())).unwrap().documents;
                assert!(listed.iter().all(|document| document.revision.0 <= revision.0));
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsuitable), "{error}");
            }
        }
    }
    assert!(accepted > 100 && refused > 1_000, "{accepted} {refused}");
}

#[test]
fn a_file_that_becomes_corrupt_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.json");
    let documents = JsonDocuments::open(&path).unwrap();
    put(&documents, "a", b"1").unwrap();
    fs::write(&path, "half of a fi").unwrap();
    assert_eq!(put(&documents, "b", b"2").unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(block_on(documents.get(KEYS, &key("a"))).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(&path).unwrap(), "half of a fi");
}

#[test]
fn the_file_stays_within_its_bound() {
    let documents = JsonDocuments::open_on(Arc::new(SimDisk::new()), PATH).unwrap();
    // Six times as long in the file as in memory.
    let value = vec![0x01; MAX_DOCUMENT_LEN];
    let mut count = 0;
    let error = loop {
        match put(&documents, &format!("{count}"), &value) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(count * 6 * MAX_DOCUMENT_LEN < MAX_JSON_FILE_LEN && (count + 2) * 6 * MAX_DOCUMENT_LEN > MAX_JSON_FILE_LEN);
    assert_eq!(get(&documents, "0"), Some(value.clone()));
    assert!(block_on(documents.delete(KEYS, &key("0"), Expected::Any)).unwrap(), "there is always room to delete");
    put(&documents, "again", &value).unwrap();
}

#[test]
fn a_file_replaced_by_others_is_always_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.json");
    let (writer, reader) = (JsonDocuments::open(&path).unwrap(), JsonDocuments::open(&path).unwrap());
    // Files of one length, written within one tick of the clock, and freed as fast: all that tells them apart is that the
    // reader still holds the one it has read.
    for round in 0..60_u8 {
        for _ in 0..round % 3 {
            put(&writer, "a", b"a").unwrap();
        }
        put(&writer, "a", &[b'a' + round % 26]).unwrap();
        assert_eq!(get(&reader, "a"), Some(vec![b'a' + round % 26]));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(get(&reader, "a"), None);
}

#[test]
fn leftovers_are_removed_and_neighbours_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mine = folder.path().join(".data.4242-0.tmp");
    let neighbours =
        [".data.json.4242-0.tmp", ".data.lock", "data.1-1.tmp", ".data.tmp"].map(|name| folder.path().join(name));
    for path in neighbours.iter().chain([&mine]) {
        fs::write(path, "x").unwrap();
    }
    let documents = JsonDocuments::open(&path).unwrap();
    put(&documents, "a", b"1").unwrap();
    assert!(!mine.exists());
    assert!(neighbours.iter().all(|path| path.exists()));
}

#[test]
fn no_fault_leaves_half_a_commit_or_loses_a_whole_one() {
    let script = script();
    // Once without faults, to count.
    let disk = SimDisk::new();
    let mut run = Run::new(disk.clone(), Retry::No);
    script.iter().for_each(|step| run.step(step));
    let operations = disk.operations();
    assert_eq!(run.possible.len(), 1, "without faults there is no doubt");

    let (mut points, mut runs) = (0, 0);
    for fault in Fault::ALL {
        for at in 1..=operations {
            let mut happens = false;
            for retry in [Retry::No, Retry::Yes, Retry::AfterPowerCut] {
                for loss in losses(at) {
                    let disk = SimDisk::new();
                    disk.arm(at, fault);
                    let mut run = Run::new(disk.clone(), retry);
                    run.loss = loss;
                    script.iter().for_each(|step| run.step(step));
                    happens |= disk.fired();
                    run.cut_power(loss);
                    run.check();
                    run.step(&Step::Put("usable", "again"));
                    run.check();
                    let mut names = run.disk.list(Path::new(PATH).parent().unwrap()).unwrap();
                    names.sort();
                    assert_eq!(names, [".data.json.lock", "data.json"], "nothing is left over");
                    runs += 1;
                    if !disk.fired() {
                        break;
                    }
                }
            }
            points += u32::from(happens);
        }
    }
    println!("JSON file: {points} fault points in {operations} operations, {runs} runs");
    assert!(points > 100, "{points}");
}

fn losses(at: u64) -> impl Iterator<Item = Loss> {
    [Loss::Everything, Loss::Nothing].into_iter().chain((0..4).map(move |seed| Loss::Seeded(at * 100 + seed)))
}

enum Step {
    Put(&'static str, &'static str),
    Delete(&'static str),
    Commit(&'static [(&'static str, Option<&'static str>)]),
}

fn script() -> Vec<Step> {
    vec![
        Step::Put("a", "1"),
        Step::Commit(&[("a", Some("2")), ("b", Some("2")), ("c", Some("2"))]),
        Step::Delete("b"),
        Step::Delete("b"),
        Step::Put("a", "a value that is longer than one sector of the disk, so that half of it can be lost"),
        Step::Commit(&[("a", None), ("b", Some("3")), ("c", Some("3")), ("d", Some("3"))]),
        Step::Put("d", "4"),
        Step::Delete("c"),
    ]
}

type State = BTreeMap<String, String>;

impl Step {
    fn apply(&self, state: &State) -> State {
        let mut state = state.clone();
        let mut set = |name: &str, value: Option<&str>| match value {
            Some(value) => drop(state.insert(name.into(), value.repeat(20))),
            None => drop(state.remove(name)),
        };
        match self {
            Self::Put(name, value) => set(name, Some(value)),
            Self::Delete(name) => set(name, None),
            Self::Commit(writes) => writes.iter().for_each(|(name, value)| set(name, *value)),
        }
        state
    }

    fn perform(&self, documents: &JsonDocuments) -> Result<()> {
        match self {
            Self::Put(name, value) => put(documents, name, value.repeat(20).as_bytes()),
            Self::Delete(name) => block_on(documents.delete(KEYS, &key(name), Expected::Any)).map(drop),
            Self::Commit(writes) => {
                let write = |(name, value): &(&str, Option<&str>)| {
                    let (key, expected) = (key(name), Expected::Any);
                    match value {
                        Some(value) => {
                            Write::Put { collection: KEYS, key, value: value.repeat(20).into_bytes(), expected }
                        }
                        None => Write::Delete { collection: KEYS, key, expected },
                    }
                };
                block_on(documents.commit(&writes.iter().map(write).collect::<Vec<_>>())).map(drop)
            }
        }
    }
}

/// What is done after a failure.
#[derive(Clone, Copy, PartialEq)]
enum Retry {
    /// The next step.
    No,
    /// The same step again.
    Yes,
    /// The same step again, but the power fails first.
    AfterPowerCut,
}

/// Steps on a disk with a fault, and the states that may be found on it.
struct Run {
    disk: SimDisk,
    documents: Option<JsonDocuments>,
    possible: Vec<State>,
    retry: Retry,
    loss: Loss,
}

impl Run {
    fn new(disk: SimDisk, retry: Retry) -> Self {
        Self { disk, documents: None, possible: vec![State::new()], retry, loss: Loss::Everything }
    }

    fn documents(&mut self) -> &JsonDocuments {
        let disk = self.disk.clone();
        self.documents.get_or_insert_with(|| JsonDocuments::open_on(Arc::new(disk), PATH).unwrap())
    }

    fn step(&mut self, step: &Step) {
        let after: Vec<_> = self.possible.iter().map(|state| step.apply(state)).collect();
        if step.perform(self.documents()).is_ok() {
            self.possible = after;
            return;
        }
        self.possible.extend(after);
        self.disk.disarm();
        match self.disk.list(Path::new("/project")) {
            Ok(names) => assert!(names.iter().all(|name| !name.as_encoded_bytes().ends_with(b".tmp")), "{names:?}"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_killed) => {
                self.documents = None;
                self.disk = self.disk.reboot();
            }
        }
        if self.retry == Retry::AfterPowerCut {
            self.cut_power(self.loss);
        }
        self.check();
        if self.retry != Retry::No {
            step.perform(self.documents()).unwrap();
            self.possible = self.possible.iter().map(|state| step.apply(state)).collect();
        }
    }

    fn cut_power(&mut self, loss: Loss) {
        self.documents = None;
        self.disk = self.disk.power_cut(loss);
    }

    /// Compares what is found with what may be.
    fn check(&mut self) {
        let page = block_on(self.documents().list(KEYS, &ListQuery::default())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found: State =
            page.documents.iter().map(|document| (text(document.key.as_bytes()), text(&document.value))).collect();
        assert!(self.possible.contains(&found), "{found:?} is none of {:?}", self.possible);
    }
}
