//! Blobs in files: their layout, leftovers, and what faults leave of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use bulla_backend::{
    BlobId, Blobs, Clock, Disk, Durability, ErrorKind, FileBlobs, OpenMode, Result, SystemClock, Timestamp,
    testing::{Fault, Loss, Random, SimDisk},
};
use pollster::block_on;

const ROOT: &str = "/project/blobs";

fn id(number: u64) -> BlobId {
    BlobId(Random::new(number).bytes(32).try_into().unwrap())
}

fn write(blobs: &FileBlobs, id: &BlobId, bytes: &[u8], durability: Durability) -> Result<u64> {
    block_on(async {
        let mut writer = blobs.create(id, durability).await?;
        for part in bytes.chunks(1_000) {
            writer.write(part).await?;
        }
        writer.finish().await
    })
}

fn read(blobs: &FileBlobs, id: &BlobId) -> Option<Vec<u8>> {
    let reader = block_on(blobs.open(id)).unwrap()?;
    let mut bytes = vec![0; usize::try_from(reader.len()).unwrap()];
    block_on(reader.read_at(0, &mut bytes)).unwrap();
    Some(bytes)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_folder_is_as_specified() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("some/blobs");
    let blobs = FileBlobs::open(&root).unwrap();
    assert!(!root.exists(), "nothing is created before the first write");
    let id: BlobId = "a7c0".repeat(16).parse().unwrap();
    let mut writer = block_on(blobs.create(&id, Durability::Durable)).unwrap();
    block_on(writer.write(b"bytes")).unwrap();
    let temporary = names(&root.join("tmp"));
    assert_eq!(temporary.len(), 1);
    assert!(temporary[0].starts_with(&format!("{id}.")));
    block_on(writer.finish()).unwrap();
    assert_eq!(names(&root.join("tmp")), [""; 0]);

    let mut expected: Vec<_> = (0..256).map(|number| format!("{number:02x}")).collect();
    expected.push("tmp".into());
    assert_eq!(names(&root), expected);
    let file = root.join("a7").join(id.to_string());
    assert_eq!(fs::read(&file).unwrap(), b"bytes");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(root.join("a7")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_no_blob_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    write(&blobs, &id(1), b"1", Durability::Cache).unwrap();
    let elsewhere = folder.path().join(if id(1).0[0] == 0 { "01" } else { "00" });
    fs::write(elsewhere.join(id(1).to_string()), "in the wrong folder").unwrap();
    fs::write(elsewhere.join("README"), "no id").unwrap();
    fs::create_dir(elsewhere.join(format!("{}{}", elsewhere.file_name().unwrap().to_str().unwrap(), "0".repeat(62))))
        .unwrap();
    let listed = block_on(blobs.list(None, 0)).unwrap().blobs;
    assert_eq!(listed.iter().map(|blob| (blob.id, blob.len)).collect::<Vec<_>>(), [(id(1), 1)]);
}

#[test]
fn a_blob_is_as_old_as_the_last_write_to_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    let finished = || block_on(blobs.list(None, 0)).unwrap().blobs[0].finished;
    let a_second = Duration::from_secs(1);
    let before = SystemClock.now();
    write(&blobs, &id(1), b"bytes", Durability::Cache).unwrap();
    // The kernel's clock for files is a little behind the one that programs read.
    assert!(finished().saturating_add(a_second) >= before && finished() <= SystemClock.now().saturating_add(a_second));

    let file = folder.path().join(format!("{:02x}", id(1).0[0])).join(id(1).to_string());
    let file = fs::File::options().write(true).open(file).unwrap();
    for (since_1970, expected) in [(1_234_567_891_234, 1_234_567_891_234), (0, 0)] {
        file.set_modified(UNIX_EPOCH + Duration::from_millis(since_1970)).unwrap();
        assert_eq!(finished(), Timestamp(expected));
    }
    file.set_modified(UNIX_EPOCH - a_second).unwrap();
    assert_eq!(finished(), Timestamp(0));
}

#[test]
fn only_leftovers_of_the_dead_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    let mut writer = block_on(blobs.create(&id(1), Durability::Durable)).unwrap();
    block_on(writer.write(b"alive")).unwrap();
    let leftover = folder.path().join("tmp").join(format!("{}.1-1", id(2)));
    fs::write(&leftover, "dead").unwrap();
    FileBlobs::open(folder.path()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(block_on(writer.finish()).unwrap(), 5);
    assert_eq!(read(&blobs, &id(1)), Some(b"alive".to_vec()));
}

#[test]
fn a_read_only_disk_is_read_and_what_a_writer_left_stays() {
    let disk = SimDisk::new();
    let blobs = FileBlobs::open_on(Arc::new(disk.clone()), ROOT).unwrap();
    write(&blobs, &id(1), b"whole", Durability::Durable).unwrap();
    let leftover = Path::new(ROOT).join("tmp/left.1-1");
    drop(disk.open(&leftover, OpenMode::CreateNew).unwrap());
    let blobs = FileBlobs::open_on(Arc::new(disk.read_only()), ROOT).unwrap();
    assert_eq!(read(&blobs, &id(1)), Some(b"whole".to_vec()));
    assert_eq!(read(&blobs, &id(2)), None);
    assert_eq!(block_on(blobs.list(None, 0)).unwrap().blobs.len(), 1);
    for refused in
        [write(&blobs, &id(2), b"new", Durability::Cache).unwrap_err(), block_on(blobs.delete(&id(1))).unwrap_err()]
    {
        assert!(refused.kind() == ErrorKind::Permission && refused.is_read_only(), "{refused}");
    }
    assert!(disk.exists(&leftover).unwrap());
}

#[test]
fn openings_do_not_disturb_writers() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).unwrap();
    write(&blobs, &id(u64::MAX), b"", Durability::Cache).unwrap();
    thread::scope(|scope| {
        let start = |writer: u64| {
            let blobs = &blobs;
            scope.spawn(move || {
                for number in (0..100).map(|round| writer * 1_000 + round) {
                    assert_eq!(write(blobs, &id(number), &number.to_be_bytes(), Durability::Cache).unwrap(), 8);
                }
            })
        };
        let writers: Vec<_> = (0..4).map(start).collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            FileBlobs::open(folder.path()).unwrap();
        }
    });
    assert_eq!(block_on(blobs.list(None, 0)).unwrap().blobs.len(), 401);
}

#[test]
fn a_file_is_no_place_for_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(FileBlobs::open(&file).unwrap_err().kind(), ErrorKind::Unsuitable);
}

#[test]
fn no_fault_leaves_half_a_blob_or_loses_a_whole_one() {
    // Once without faults, to count. The folders are there already; a second sweep creates them.
    for (title, prepared) in [("blobs", true), ("folders of blobs", false)] {
        let disk = prepare(prepared);
        let before = disk.operations();
        let mut run = Run::new(disk.clone(), Loss::Nothing, prepared);
        run.all();
        let operations = disk.operations();

        let (mut points, mut runs) = (0, 0);
        for fault in Fault::ALL {
            // One folder is like another.
            for at in (before + 1..=operations).filter(|at| prepared || *at < 12 || *at > 250) {
                let mut happens = false;
                for loss in losses(at, prepared) {
                    let disk = prepare(prepared);
                    disk.arm(at, fault);
                    let mut run = Run::new(disk.clone(), loss, prepared);
                    run.all();
                    runs += 1;
                    happens |= disk.fired();
                    if !disk.fired() {
                        break;
                    }
                    run.cut_power();
                    run.check();
                    run.write(99, 10, Durability::Durable);
                    assert_eq!(run.fates[&99].0, Fate::There, "it is usable again");
                    run.cut_power();
                    run.check();
                }
                points += u32::from(happens);
            }
        }
        println!("{title} in files: {points} fault points in {} operations, {runs} runs", operations - before);
        assert!(points > 50, "{points}");
    }
}

#[test]
fn a_writer_that_failed_leaves_nothing_in_the_way() {
    let bytes = Random::new(1).bytes(2_500);
    let mut failures = 0;
    for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Kill) {
        // Whether the caller gives up at the first failure, or does not look.
        for stubborn in [false, true] {
            for after in 1..20 {
                let disk = prepare(true);
                let blobs = FileBlobs::open_on(Arc::new(disk.clone()), ROOT).unwrap();
                disk.arm(disk.operations() + after, fault);
                let written = block_on(async {
                    let mut writer = blobs.create(&id(1), Durability::Durable).await?;
                    for part in bytes.chunks(1_000) {
                        let written = writer.write(part).await;
                        if !stubborn {
                            written?;
                        }
                        if disk.fired() {
                            disk.disarm();
                        }
                    }
                    writer.finish().await
                });
                disk.disarm();
                if written.is_ok() {
                    assert!(!disk.fired());
                    continue;
                }
                failures += 1;
                assert_eq!(read(&blobs, &id(1)), None, "what failed is not seen");
                assert!(disk.list(&Path::new(ROOT).join("tmp")).unwrap().is_empty());
                write(&blobs, &id(1), &bytes, Durability::Durable).unwrap();
                assert_eq!(read(&blobs, &id(1)).as_ref(), Some(&bytes));
            }
        }
    }
    assert!(failures > 20, "{failures}");
}

fn prepare(with_folders: bool) -> SimDisk {
    let disk = SimDisk::new();
    if with_folders {
        let blobs = FileBlobs::open_on(Arc::new(disk.clone()), ROOT).unwrap();
        drop(block_on(blobs.create(&id(0), Durability::Durable)).unwrap());
    }
    disk
}

fn losses(at: u64, many: bool) -> Vec<Loss> {
    let seeds = if many { 4 } else { 1 };
    let seeded = (0..seeds).map(|seed| Loss::Seeded(at * 100 + seed));
    [Loss::Everything, Loss::Nothing].into_iter().chain(seeded).collect()
}

/// What may be found of a blob.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    There,
    Gone,
    /// Whole or gone.
    Either,
    /// Written to be a cache, and the power has failed: anything.
    Anything,
}

/// Steps on a disk with a fault, and what may be found on it.
struct Run {
    disk: SimDisk,
    blobs: Option<FileBlobs>,
    fates: BTreeMap<u64, (Fate, Durability, Vec<u8>)>,
    loss: Loss,
    is_long: bool,
}

impl Run {
    fn new(disk: SimDisk, loss: Loss, is_long: bool) -> Self {
        Self { disk, blobs: None, fates: BTreeMap::new(), loss, is_long }
    }

    fn blobs(&mut self) -> &FileBlobs {
        let disk = self.disk.clone();
        self.blobs.get_or_insert_with(|| FileBlobs::open_on(Arc::new(disk), ROOT).unwrap())
    }

    fn all(&mut self) {
        self.write(1, 2_500, Durability::Durable);
        if self.is_long {
            self.write(2, 0, Durability::Durable);
            self.write(3, 1_500, Durability::Cache);
            self.delete(1);
            self.write(4, 700, Durability::Durable);
            self.write(4, 700, Durability::Durable);
            self.delete(3);
            self.write(5, 3_000, Durability::Cache);
            self.write(6, 513, Durability::Durable);
        }
    }

    fn write(&mut self, number: u64, len: usize, durability: Durability) {
        let bytes = Random::new(number).bytes(len);
        let fate = match write(self.blobs(), &id(number), &bytes, durability) {
            Ok(written) => {
                assert_eq!(written, len as u64);
                Fate::There
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let fate = self.fates.get(&number).map(|(fate, ..)| *fate);
                assert!(matches!(fate, Some(Fate::There | Fate::Either)), "{fate:?}");
                return;
            }
            Err(_) => Fate::Either,
        };
        self.fates.insert(number, (fate, durability, bytes));
        if fate == Fate::Either {
            self.recover();
        }
    }

    fn delete(&mut self, number: u64) {
        let deleted = block_on(self.blobs().delete(&id(number)));
        let fate = &mut self.fates.get_mut(&number).unwrap().0;
        match deleted {
            Ok(found) => {
                assert!(found || *fate != Fate::There);
                *fate = Fate::Gone;
            }
            Err(_) => {
                *fate = Fate::Either;
                self.recover();
            }
        }
    }

    fn recover(&mut self) {
        self.disk.disarm();
        if self.disk.list(Path::new("/")).is_err() {
            // Killed.
            self.blobs = None;
            self.disk = self.disk.reboot();
        }
        self.check();
    }

    fn cut_power(&mut self) {
        self.blobs = None;
        self.disk = self.disk.power_cut(self.loss);
        for (fate, durability, _) in self.fates.values_mut() {
            *fate = match (*fate, *durability) {
                (_, Durability::Cache) | (Fate::Anything, _) => Fate::Anything,
                // A deletion is not durable.
                (Fate::Gone | Fate::Either, Durability::Durable) => Fate::Either,
                (Fate::There, Durability::Durable) => Fate::There,
            };
        }
    }

    fn check(&mut self) {
        let listed: Vec<_> = block_on(self.blobs().list(None, 0)).unwrap().blobs;
        assert!(listed.iter().all(|listed| self.fates.keys().any(|number| id(*number) == listed.id)));
        for (number, (fate, _, bytes)) in self.fates.clone() {
            let found = read(self.blobs(), &id(number));
            let is_listed = listed.iter().any(|listed| listed.id == id(number));
            assert_eq!(is_listed, found.is_some());
            match (fate, found) {
                (Fate::Anything, _) | (Fate::Gone | Fate::Either, None) => {}
                (Fate::There | Fate::Either, Some(found)) => assert_eq!(found, bytes, "whole"),
                (fate, found) => panic!("blob {number} should be {fate:?}, found {:?} bytes", found.map(|b| b.len())),
            }
        }
        let temporary = Path::new(ROOT).join("tmp");
        if self.disk.exists(&temporary).unwrap() {
            assert_eq!(self.disk.list(&temporary).unwrap(), Vec::<std::ffi::OsString>::new(), "nothing is left over");
        }
    }
}
