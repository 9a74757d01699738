//! Every fault at every operation, and power cuts after: each commit is there whole or not at all, all that were answered
//! as durable are there, and the totals of groups are what is there.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bulla_backend::{
    Collection, Documents, Durability, ErrorKind, Expected, Filing, ListQuery, Rerank, SqliteDocuments, SqliteOptions,
    Timestamp, Write,
    testing::{Fault, Loss, Random, SimDisk},
};
use pollster::block_on;

use super::{CACHE, DURABLE, key, vfs};

/// What is in the database: values by collection and key.
type Contents = BTreeMap<(&'static str, String), Vec<u8>>;

/// A machine with a simulated disk and one database.
struct Machine {
    folder: String,
    disk: SimDisk,
    boots: usize,
    documents: Option<SqliteDocuments>,
    /// Revisions that were given out.
    revisions: HashSet<u64>,
}

impl Machine {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let folder = format!("machine-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let disk = SimDisk::new();
        vfs::start(&folder, Arc::new(disk.clone()));
        Self { folder, disk, boots: 0, documents: None, revisions: HashSet::new() }
    }

    fn open(&mut self) -> bool {
        let options = SqliteOptions::default().on_disk(Arc::new(self.disk.clone()), vfs::NAME, &self.boots.to_string());
        self.documents = SqliteDocuments::open(format!("/{}/a/entries.db", self.folder), options).ok();
        self.documents.is_some()
    }

    /// Reads everything, by a process to which the disk is mounted read-only; nothing, where there is no database yet.
    fn seen_read_only(&mut self) -> Contents {
        let (disk, operations) = (self.disk.read_only(), self.disk.operations());
        vfs::start(&self.folder, Arc::new(disk.clone()));
        let options = SqliteOptions::default().on_disk(Arc::new(disk), vfs::NAME, &self.boots.to_string());
        let contents = match SqliteDocuments::open(format!("/{}/a/entries.db", self.folder), options) {
            Ok(documents) => {
                self.documents = Some(documents);
                self.contents().unwrap()
            }
            Err(error) => {
                assert!(error.is_read_only(), "{error}");
                Contents::new()
            }
        };
        self.documents = None;
        assert_eq!(self.disk.operations(), operations);
        vfs::start(&self.folder, Arc::new(self.disk.clone()));
        contents
    }

    /// Ends all processes, or cuts the power, and starts the machine again.
    fn restart(&mut self, loss: Option<Loss>) {
        let disk = match loss {
            Some(loss) => {
                self.boots += 1;
                self.disk.power_cut(loss)
            }
            None => self.disk.reboot(),
        };
        // The old process cannot reach the disk any more.
        self.documents = None;
        self.disk = disk;
        vfs::start(&self.folder, Arc::new(self.disk.clone()));
    }

    /// Reads everything, or fails to.
    fn contents(&self) -> Option<Contents> {
        let mut contents = Contents::new();
        for collection in [DURABLE, CACHE] {
            let page = block_on(self.documents.as_ref()?.list(collection, &ListQuery::default())).ok()?;
            assert_eq!(page.next, None);
            for document in page.documents {
                let name = String::from_utf8(document.key.as_bytes().to_vec()).unwrap();
                contents.insert((collection.name(), name), document.value);
            }
        }
        Some(contents)
    }

    /// Makes a change, and says whether it was answered as done.
    fn change(&mut self, change: &Change) -> bool {
        let Some(documents) = &self.documents else { return false };
        let writes: Vec<_> = change.writes.iter().map(|(name, value)| change.write(name, value.as_deref())).collect();
        match block_on(documents.commit(&writes)) {
            Ok(revisions) => {
                for revision in revisions.into_iter().flatten().map(|revision| revision.0).collect::<HashSet<_>>() {
                    assert!(self.revisions.insert(revision), "revision {revision} is given out twice");
                }
                true
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Conflict, "{error}");
                assert_ne!(error.kind(), ErrorKind::Corrupt, "{error}");
                false
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It still reaches its disk while it is closed.
        self.documents = None;
        vfs::stop(&self.folder);
    }
}

/// A commit: documents that it writes, or deletes where there is no value.
#[derive(Debug, Clone)]
struct Change {
    collection: Collection,
    writes: Vec<(&'static str, Option<Vec<u8>>)>,
}

impl Change {
    fn new(collection: Collection, writes: &[(&'static str, Option<usize>)], seed: u64) -> Self {
        // A value is never the same twice, so what is found says who wrote it.
        let writes =
            writes.iter().map(|(name, len)| (*name, len.map(|len| Random::new(seed).bytes(len.max(8))))).collect();
        Self { collection, writes }
    }

    fn write(&self, name: &str, value: Option<&[u8]>) -> Write {
        let (collection, key, expected) = (self.collection, key(name), Expected::Any);
        match value {
            Some(value) if name.starts_with(GROUP) => {
                // Other values each time, so that documents change their places in both orders.
                let (due, rank) = (Timestamp(value[0].into()), value[1].into());
                let filing =
                    Filing { group_len: GROUP.len(), due: Some(due), rank: Some(rank), extra_bytes: 7, limit: None };
                Write::PutFiled { collection, key, value: value.to_vec(), expected, filing }
            }
            Some(value) => Write::Put { collection, key, value: value.to_vec(), expected },
            None => Write::Delete { collection, key, expected },
        }
    }

    fn apply(&self, contents: &mut Contents) {
        for (name, value) in &self.writes {
            let place = (self.collection.name(), (*name).to_owned());
            match value {
                Some(value) => contents.insert(place, value.clone()),
                None => contents.remove(&place),
            };
        }
    }
}

/// What the names of documents that are filed begin with.
const GROUP: &str = "g/";

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    /// Changes the ranks of some documents.
    Rerank(&'static [&'static str]),
    Compact,
    Reopen,
}

impl Machine {
    /// Does something that changes no document, and returns how much room that gave back; fails only for a fault.
    fn rearrange(&self, step: &Step, context: impl Fn() -> String) -> u64 {
        let Some(documents) = &self.documents else { return 0 };
        let done = match step {
            Step::Rerank(names) => {
                let changes: Vec<_> = names.iter().map(|name| (key(name), Rerank::Add(1_000))).collect();
                block_on(documents.rerank(CACHE, &changes)).map(|()| None)
            }
            Step::Compact => block_on(documents.compact()),
            Step::Change(_) | Step::Reopen => Ok(None),
        };
        assert!(done.is_ok() || self.disk.fired(), "fails only for a fault: {done:?}, {}", context());
        done.ok().flatten().unwrap_or_default()
    }
}

/// Durable and cache changes of one and several documents, long enough for several checkpoints, and a close in between.
fn plain() -> Vec<Step> {
    let mut change = changes();
    vec![
        change(DURABLE, &[("a", Some(100))]),
        change(CACHE, &[("b", Some(100))]),
        change(CACHE, &[("b", Some(5_000)), ("c", Some(10))]),
        change(DURABLE, &[("a", None), ("d", Some(20_000)), ("e", Some(1))]),
        change(CACHE, &[("c", None)]),
        change(CACHE, &[("f", Some(60_000))]),
        change(DURABLE, &[("e", Some(30_000))]),
        change(CACHE, &[("b", Some(9_000))]),
        Step::Reopen,
        change(DURABLE, &[("g", Some(100)), ("d", None)]),
        change(CACHE, &[("h", Some(50_000)), ("f", None)]),
        change(CACHE, &[("i", Some(100))]),
        change(DURABLE, &[("missing", None)]),
        change(CACHE, &[("b", Some(40_000))]),
        change(DURABLE, &[("g", Some(10))]),
        change(CACHE, &[("i", None)]),
    ]
}

/// Documents that are filed, ranks that change, and steps of compaction that move rows and pages.
fn filed() -> Vec<Step> {
    let mut change = changes();
    let gone = ["g/1", "g/2", "g/4", "g/5", "g/7", "g/8", "g/a", "g/b"];
    vec![
        change(CACHE, &SMALL.map(|name| (name, Some(900)))),
        Step::Rerank(&["g/1", "g/4", "b"]),
        change(CACHE, &gone.map(|name| (name, None))),
        Step::Compact,
        change(DURABLE, &[("e", Some(30_000)), ("g/d", Some(50)), ("g/e", Some(9_000))]),
        Step::Reopen,
        change(CACHE, &[("e", None), ("g/0", Some(2_000)), ("g/3", None)]),
        Step::Rerank(&["g/0", "g/6", "g/gone"]),
        Step::Compact,
        change(DURABLE, &[("g/d", None), ("g/e", Some(20))]),
        Step::Compact,
        change(CACHE, &[("g/9", Some(10)), ("h", Some(10))]),
    ]
}

/// Makes changes, of which no two write the same.
fn changes() -> impl FnMut(Collection, &[(&'static str, Option<usize>)]) -> Step {
    let mut seed = 0;
    move |collection, writes| {
        seed += 1;
        Step::Change(Change::new(collection, writes, seed))
    }
}

/// Documents that share few pages.
const SMALL: [&str; 12] = ["g/0", "g/1", "g/2", "g/3", "g/4", "g/5", "g/6", "g/7", "g/8", "g/9", "g/a", "g/b"];

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was answered as done.
    Done,
    /// It failed, and a look at the database has shown that it happened all the same.
    Happened,
    /// It failed, and a look could not be had.
    Unknown,
}

/// When the power is cut, or the processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    AtTheFault,
    AfterAll,
}

/// Runs the scenario with one fault, ends it, and checks what is found after. Says whether the fault happened.
fn run(scenario: &[Step], at: u64, fault: Fault, end: End, loss: Option<Loss>) -> bool {
    let context = || format!("{fault:?} at operation {at}, ended {end:?} with {loss:?}");
    let mut machine = Machine::new();
    machine.disk.arm(at, fault);
    let mut fates: Vec<(Change, Fate)> = Vec::new();
    let mut is_open = machine.open();
    for step in scenario.iter().cloned() {
        let stop = machine.disk.fired() && (fault == Fault::Kill || end == End::AtTheFault);
        if stop {
            break;
        }
        if machine.disk.fired() {
            // Somebody has made room.
            machine.disk.disarm();
        }
        if !is_open {
            assert!(machine.open(), "opens once the fault is over: {}", context());
            is_open = true;
        }
        match step {
            Step::Reopen => {
                machine.documents = None;
                is_open = machine.open();
            }
            Step::Rerank(_) | Step::Compact => {
                machine.rearrange(&step, context);
            }
            Step::Change(change) => {
                if machine.change(&change) {
                    fates.push((change, Fate::Done));
                    continue;
                }
                assert!(machine.disk.fired(), "fails only for a fault: {}", context());
                // Every change writes or deletes something that was not so before.
                match machine.contents() {
                    Some(found)
                        if change.writes.iter().all(|(name, value)| {
                            found.get(&(change.collection.name(), (*name).to_owned())) == value.as_ref()
                        }) =>
                    {
                        fates.push((change, Fate::Happened));
                    }
                    Some(_) => {}
                    None => fates.push((change, Fate::Unknown)),
                }
            }
        }
    }
    let fired = machine.disk.fired();
    if let Some(documents) = &machine.documents
        && fault != Fault::Kill
        && end == End::AfterAll
    {
        assert_eq!(documents.check().unwrap(), [""; 0], "{}", context());
    }

    machine.restart(loss);
    let seen = machine.seen_read_only();
    assert!(machine.open(), "opens after the restart: {}", context());
    let found = machine.contents().unwrap();
    assert_eq!(seen, found, "{}", context());
    assert!(is_allowed(&fates, &found, loss.is_some()), "{}: found {found:?} of {fates:?}", context());
    assert_eq!(machine.documents.as_ref().unwrap().check().unwrap(), [""; 0], "{}", context());

    // What is built on what was found stands as well.
    let last = Change::new(DURABLE, &[("last", Some(10))], 1_000);
    assert!(machine.change(&last), "{}", context());
    let mut with = found;
    last.apply(&mut with);
    machine.restart(Some(Loss::Everything));
    assert!(machine.open(), "{}", context());
    assert_eq!(machine.contents().unwrap(), with, "{}", context());
    fired
}

/// Says whether a database may look like this: the changes happened in order, from the first to one that is not before the
/// last that was answered as durable (or to the very last, if the power stayed on), and of those whose fate is unknown any.
fn is_allowed(fates: &[(Change, Fate)], found: &Contents, was_cut: bool) -> bool {
    let is_safe =
        |(change, fate): &(Change, Fate)| *fate == Fate::Done && change.collection.durability() == Durability::Durable;
    let least = if was_cut { fates.iter().rposition(is_safe).map_or(0, |last| last + 1) } else { fates.len() };
    let unknown: Vec<_> = (0..fates.len()).filter(|index| fates[*index].1 == Fate::Unknown).collect();
    assert!(unknown.len() < 8);
    (least..=fates.len()).any(|len| {
        (0..1_usize << unknown.len()).any(|skipped| {
            let is_skipped =
                |index: usize| unknown.iter().position(|at| *at == index).is_some_and(|bit| skipped >> bit & 1 == 1);
            let mut contents = Contents::new();
            for (index, (change, _)) in fates[..len].iter().enumerate() {
                if !is_skipped(index) {
                    change.apply(&mut contents);
                }
            }
            contents == *found
        })
    })
}

/// The simulated file layer is not for several threads.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries a fault at every operation, with every end.
fn sweep(fault: Fault, ends: &[End], losses: &[Option<Loss>]) {
    let _alone = alone();
    let (mut tried, mut happened) = (0, 0);
    for scenario in [plain(), filed()] {
        let operations = operations(&scenario);
        for at in 1.. {
            if !run(&scenario, at, fault, ends[0], losses[0]) {
                if at > operations {
                    break;
                }
                continue;
            }
            for (end, loss) in ends.iter().flat_map(|end| losses.iter().map(move |loss| (end, loss))).skip(1) {
                run(&scenario, at, fault, *end, *loss);
            }
            happened += 1;
            tried += ends.len() * losses.len();
        }
    }
    println!("SQLite, {fault:?}: {happened} fault points, {tried} runs, nothing answered was lost");
    assert!(happened > 20);
}

/// How many operations a scenario takes without a fault.
fn operations(scenario: &[Step]) -> u64 {
    let mut machine = Machine::new();
    assert!(machine.open());
    let mut freed = 0;
    for step in scenario {
        match step {
            Step::Change(change) => assert!(machine.change(change)),
            Step::Reopen => {
                machine.documents = None;
                assert!(machine.open());
            }
            Step::Rerank(_) | Step::Compact => freed += machine.rearrange(step, String::new),
        }
    }
    assert!(freed > 0 || !scenario.iter().any(|step| matches!(step, Step::Compact)), "room is given back");
    machine.disk.operations()
}

const CUTS: [Option<Loss>; 4] =
    [Some(Loss::Nothing), Some(Loss::Everything), Some(Loss::Seeded(1)), Some(Loss::Seeded(2))];

#[test]
fn power_cuts_and_kills_at_every_operation() {
    let losses = [None, CUTS[0], CUTS[1], CUTS[2], CUTS[3], Some(Loss::Seeded(3))];
    sweep(Fault::Kill, &[End::AtTheFault], &losses);
}

#[test]
fn errors_at_every_operation() {
    sweep(Fault::Error, &[End::AtTheFault, End::AfterAll], &CUTS[1..3]);
}

#[test]
fn a_full_disk_at_every_operation() {
    sweep(Fault::NoSpace, &[End::AtTheFault, End::AfterAll], &CUTS[1..3]);
}

#[test]
fn short_writes_at_every_operation() {
    sweep(Fault::ShortWrite, &[End::AtTheFault, End::AfterAll], &CUTS[1..3]);
}

#[test]
fn failed_syncs_at_every_operation() {
    sweep(Fault::SyncError, &[End::AtTheFault, End::AfterAll], &CUTS[1..]);
}

#[test]
fn power_cuts_lose_no_revision() {
    let _alone = alone();
    let mut machine = Machine::new();
    for round in 0..10 {
        assert!(machine.open());
        // None of these are synced; `change` checks that no revision comes twice.
        for number in 0..5 {
            assert!(machine.change(&Change::new(CACHE, &[("a", Some(10))], round * 5 + number)));
        }
        machine.restart(Some(Loss::Everything));
    }
    assert_eq!(machine.revisions.len(), 50);
}
