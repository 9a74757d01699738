//! The segments of a genuine log, altered: it is as it was signed, or is not; and a writer that opens it does so only if it is, and leaves it so.
//!
//! Input: the number of alterations; for each a segment, an offset, how many bytes are taken out there, and what is put in.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bulla_backend::testing::SimDisk;
use bulla_backend::{Disk, MemoryDocuments, OpenMode, SystemClock};
use bulla_fuzz::Input;
use bulla_guard::audit::{Class, Code, Event, Log, LogOptions, LogReader, Origin, Outcome, Verdict};
use bulla_keyring::{Identity, Keyring, SystemKey};
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

/// A log of several segments: how it is opened, its files, and the stored bytes of its events.
struct Genuine {
    options: LogOptions,
    origin: Origin,
    files: Vec<(String, Vec<u8>)>,
    events: Vec<Vec<u8>>,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(genuine);

fuzz_target!(|data: &[u8]| {
    let genuine = &*GENUINE;
    let (disk, folder) = (SimDisk::new(), Path::new("/log"));
    disk.create_folder(folder).expect("an empty disk");
    let mut files = genuine.files.clone();
    let mut input = Input(data);
    for _ in 0..input.byte() % 4 {
        let number = usize::from(input.byte()) % files.len();
        let file = &mut files[number].1;
        let at = input.number() % (file.len() + 1);
        let end = (at + input.number()).min(file.len());
        file.splice(at..end, input.counted().iter().copied());
    }
    for (name, bytes) in &files {
        let file = disk.open(&folder.join(name), OpenMode::CreateNew).expect("an empty folder");
        file.write_at(0, bytes).expect("room");
    }
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let reader = LogReader::new(Arc::clone(&disk), folder, genuine.origin.clone());
    let is_ok = matches!(reader.verify(None), Verdict::Ok(_));
    if is_ok {
        let found: Vec<_> = reader.events(0).expect("verified").map(|stored| stored.expect("verified").bytes).collect();
        assert!(found.starts_with(&genuine.events), "what was signed is there, and nothing else");
    }
    let opened = Log::open(Arc::clone(&disk), folder, genuine.options.clone());
    assert_eq!(opened.is_ok(), is_ok, "{opened:?}");
    drop(opened);
    assert_eq!(matches!(reader.verify(None), Verdict::Ok(_)), is_ok);
});

fn genuine() -> Genuine {
    let identity = Arc::new(Identity::generate().expect("random bytes"));
    let clock = Arc::new(SystemClock);
    let documents = Arc::new(MemoryDocuments::new());
    let name = "here".parse().expect("a name");
    let keyring = block_on(Keyring::create(documents, Arc::clone(&identity), &name, clock.clone())).expect("memory");
    let key = block_on(keyring.system_key(&SystemKey::audit())).expect("memory");
    let origin = Origin::of(&keyring.project(), identity.public());
    let mut options = LogOptions::new(keyring.project(), identity, key, clock);
    options.segment_len = 600;
    let (disk, folder): (Arc<dyn Disk>, _) = (Arc::new(SimDisk::new()), Path::new("/log"));
    let log = Log::open(Arc::clone(&disk), folder, options.clone()).expect("an empty disk");
    for number in 0..10 {
        let event = Event::new(Class::Store, Code::new("put"), Outcome::Success).number(Code::new("number"), number);
        block_on(log.append(event)).expect("room");
    }
    block_on(log.close()).expect("room");
    let reader = LogReader::new(Arc::clone(&disk), folder, origin.clone());
    let events = reader.events(0).expect("a log").map(|stored| stored.expect("a log").bytes).collect();
    let mut files = Vec::new();
    for name in disk.list(folder).expect("a folder") {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("segment-") || name == "checkpoint" {
            let file = disk.open(&folder.join(&name), OpenMode::Read).expect("a file");
            let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("short")];
            file.read_at(0, &mut bytes).expect("readable");
            files.push((name, bytes));
        }
    }
    files.sort();
    Genuine { options, origin, files, events }
}
