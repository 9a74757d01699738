//! The detection matrix: what is done to the files of a log, and who finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bulla_backend::testing::SimDisk;
use bulla_backend::{Disk, OpenMode};
use bulla_guard::audit::{Checkpoint, Frontier, Log, Origin, SignedNote, Verdict};
use data_encoding::BASE64;
use proptest::prelude::*;

use super::ground::{Ground, numbers};

/// The contents of the frames of a segment, with its header.
fn frames(segment: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut frames) = (segment, Vec::new());
    while !rest.is_empty() {
        let len = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push(rest[8..8 + len].to_vec());
        rest = &rest[8 + len..];
    }
    frames
}

/// Writes a segment anew, as whoever knows the format can: check sums included.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut contents = frames(&fs::read(path).unwrap());
    change(&mut contents);
    let mut segment = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let index = number.saturating_sub(1) as u64;
        let len = u32::try_from(content.len()).unwrap();
        let check = crc32c::crc32c(&[&index.to_be_bytes()[..], &len.to_be_bytes(), content].concat());
        segment.extend([&len.to_be_bytes()[..], &check.to_be_bytes(), content].concat());
    }
    fs::write(path, segment).unwrap();
}

/// What is found alone, and with a checkpoint that was kept elsewhere; and whether the log opens.
fn judge(ground: &Ground, outside: &Checkpoint) -> (&'static str, &'static str, bool) {
    // What a writer knows besides of how far the log was durable is nothing an attacker has to leave there.
    fs::write(ground.folder.join("lock"), []).unwrap();
    let alone = ground.reader().verify(None);
    let held = ground.reader().verify(Some(outside));
    let opens = Log::open(ground.disk.clone(), &ground.folder, ground.options()).is_ok();
    (alone.code(), held.code(), opens)
}

fn prepared() -> (Ground, Checkpoint) {
    let ground = Ground::new();
    ground.fill(20);
    let outside = ground.reader().checkpoint().unwrap();
    (ground, outside)
}

fn attack(change: impl FnOnce(&Path)) -> (&'static str, &'static str, bool) {
    let (ground, outside) = prepared();
    change(&ground.folder.join("segment-0000000000"));
    judge(&ground, &outside)
}

#[test]
fn a_log_that_nobody_touched_is_ok() {
    assert_eq!(attack(|_| {}), ("ok", "ok", true));
}

#[test]
fn an_edit_is_found() {
    let edited = attack(|segment| {
        let mut bytes = fs::read(segment).unwrap();
        let at = bytes.windows(8).position(|window| window == b"orders/7").unwrap();
        bytes[at + 7] = b'8';
        fs::write(segment, bytes).unwrap();
    });
    assert_eq!(edited, ("altered", "altered", false));
}

#[test]
fn every_edit_of_one_byte_is_found() {
    let (ground, outside) = prepared();
    let segment = ground.folder.join("segment-0000000000");
    let bytes = fs::read(&segment).unwrap();
    for at in 0..bytes.len() {
        let mut edited = bytes.clone();
        edited[at] ^= 1 << (at % 8);
        fs::write(&segment, edited).unwrap();
        let verdict = ground.reader().verify(None);
        assert!(matches!(verdict.exit_code(), 10 | 11), "{at}: {verdict}");
    }
    fs::write(&segment, bytes).unwrap();
    assert_eq!(judge(&ground, &outside), ("ok", "ok", true));
}

#[test]
fn a_deleted_event_is_found() {
    assert_eq!(attack(|segment| rewrite(segment, |frames| drop(frames.remove(8)))), ("truncated", "truncated", false));
    let plain = attack(|segment| {
        let bytes = fs::read(segment).unwrap();
        let kept: Vec<_> = frames(&bytes);
        let begin: usize = kept[..8].iter().map(|frame| 8 + frame.len()).sum();
        let end = begin + 8 + kept[8].len();
        fs::write(segment, [&bytes[..begin], &bytes[end..]].concat()).unwrap();
    });
    assert_eq!(plain, ("altered", "altered", false));
}

#[test]
fn swapped_events_are_found() {
    assert_eq!(attack(|segment| rewrite(segment, |frames| frames.swap(5, 9))), ("altered", "altered", false));
}

#[test]
fn a_dropped_tail_is_found() {
    assert_eq!(attack(|segment| rewrite(segment, |frames| frames.truncate(12))), ("truncated", "truncated", false));
    let cut = attack(|segment| {
        let bytes = fs::read(segment).unwrap();
        fs::write(segment, &bytes[..bytes.len() - 30]).unwrap();
    });
    assert_eq!(cut, ("altered", "altered", false));
    assert_eq!(attack(|segment| fs::remove_file(segment).unwrap()), ("truncated", "truncated", false));
}

#[test]
fn a_log_that_was_rewritten_without_the_keys_is_found() {
    let rewritten = attack(|segment| {
        rewrite(segment, |frames| {
            let at = frames[8].windows(8).position(|window| window == b"orders/7").unwrap();
            frames[8][at + 7] = b'8';
        });
    });
    assert_eq!(rewritten, ("altered", "altered", false));
    // So is one whose checkpoint says what the rewritten events are: nobody else has the key.
    let (ground, outside) = prepared();
    rewrite(&ground.folder.join("segment-0000000000"), |frames| drop(frames.pop()));
    resign(&ground, &Ground::new());
    assert_eq!(judge(&ground, &outside), ("altered", "altered", false));
}

#[test]
fn a_log_that_was_rewritten_with_the_machines_key_is_found_from_outside_only() {
    let (ground, outside) = prepared();
    rewrite(&ground.folder.join("segment-0000000000"), |frames| frames.swap(5, 9));
    resign(&ground, &ground);
    assert_eq!(judge(&ground, &outside), ("ok", "altered", true));
}

#[test]
fn a_volume_that_was_rolled_back_is_found_from_outside_only() {
    let ground = Ground::new();
    ground.fill(10);
    let copy = ground.folder.with_extension("copy");
    fs::create_dir(&copy).unwrap();
    let copy_all = |from: &Path, to: &Path| {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy_all(&ground.folder, &copy);
    ground.fill(10);
    let outside = ground.reader().checkpoint().unwrap();
    fs::remove_dir_all(&ground.folder).unwrap();
    fs::create_dir(&ground.folder).unwrap();
    copy_all(&copy, &ground.folder);
    assert_eq!(judge(&ground, &outside), ("ok", "truncated", true));
    let verdict = ground.reader().verify(None);
    assert!(verdict.to_string().ends_with("rollback not detectable"), "{verdict}");
}

#[test]
fn a_checkpoint_that_is_gone_or_somebody_elses_is_not_overlooked() {
    let (ground, outside) = prepared();
    let checkpoint = ground.folder.join("checkpoint");
    let note = fs::read(&checkpoint).unwrap();
    fs::remove_file(&checkpoint).unwrap();
    assert_eq!(judge(&ground, &outside), ("unverifiable", "unverifiable", false));
    fs::write(&checkpoint, b"nothing").unwrap();
    assert_eq!(judge(&ground, &outside), ("altered", "altered", false));
    // That of another machine.
    let other = Ground::new();
    other.fill(20);
    fs::copy(other.folder.join("checkpoint"), &checkpoint).unwrap();
    assert_eq!(judge(&ground, &outside), ("altered", "altered", false));
    fs::write(&checkpoint, note).unwrap();
    assert_eq!(judge(&ground, &outside), ("ok", "ok", true));
}

#[test]
fn a_log_that_is_gone_is_found_from_outside_only() {
    let (ground, outside) = prepared();
    fs::remove_dir_all(&ground.folder).unwrap();
    assert_eq!(ground.reader().verify(None).exit_code(), 12);
    assert_eq!(ground.reader().verify(Some(&outside)).exit_code(), 11);
}

#[test]
fn a_segment_that_is_gone_or_exchanged_is_found() {
    let ground = Ground::new();
    let mut options = ground.options();
    options.segment_len = 700;
    let log = Log::open(ground.disk.clone(), &ground.folder, options).unwrap();
    super::ground::append(&log, 20);
    let outside = pollster::block_on(log.close()).unwrap();
    let [first, second, last] = [0, 1, 4].map(|ordinal| ground.folder.join(format!("segment-{ordinal:010}")));
    let [one, two, three] = [&first, &second, &last].map(|path| fs::read(path).unwrap());
    let restore = || {
        fs::write(&first, &one).unwrap();
        fs::write(&second, &two).unwrap();
        fs::write(&last, &three).unwrap();
    };
    fs::remove_file(&second).unwrap();
    assert_eq!(judge(&ground, &outside), ("truncated", "truncated", false));
    fs::write(&first, &two).unwrap();
    fs::write(&second, &one).unwrap();
    assert_eq!(judge(&ground, &outside), ("altered", "altered", false));
    restore();
    fs::write(&second, &two[..two.len() - 1]).unwrap();
    assert_eq!(judge(&ground, &outside).0, "altered");
    restore();
    // What was given up behind the end of a segment is nobody's.
    fs::write(&second, [&two[..], b"left over"].concat()).unwrap();
    assert_eq!(judge(&ground, &outside), ("ok", "ok", true));
}

#[test]
fn what_was_acknowledged_but_not_signed_yet_is_missed_by_the_next_writer() {
    let ground = Ground::new();
    let log = ground.open();
    super::ground::append(&log, 5);
    let segment = ground.folder.join("segment-0000000000");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 40]).unwrap();
    let append = pollster::block_on(log.append(super::ground::event(6)));
    assert_eq!(append.unwrap_err().code(), "truncated");
    let checkpoint = pollster::block_on(log.checkpoint());
    assert!(checkpoint.is_err(), "what does not fit is not signed");
}

#[test]
fn a_log_that_does_not_open_is_left_as_it_is() {
    let ground = Ground::new();
    let mut options = ground.options();
    options.segment_len = 700;
    let log = Log::open(ground.disk.clone(), &ground.folder, options).unwrap();
    super::ground::append(&log, 12);
    pollster::block_on(log.close()).unwrap();
    fs::write(ground.folder.join("lock"), []).unwrap();
    let files = || {
        let paths = fs::read_dir(&ground.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    for (path, bytes) in before.iter().filter(|(path, _)| path.to_string_lossy().contains("segment-")) {
        // A header, an event, and the last of all.
        for at in [5, bytes.len() / 2, bytes.len() - 1] {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            fs::write(path, &edited).unwrap();
            let found = files();
            assert!(
                Log::open(ground.disk.clone(), &ground.folder, ground.options()).is_err(),
                "{} at {at}",
                path.display()
            );
            assert_eq!(files(), found, "{} at {at}", path.display());
            fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(files(), before);
    drop(ground.open());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_log_opens_if_and_only_if_it_verifies_and_what_was_signed_stays(
        changes in prop::collection::vec((0_usize..4, any::<prop::sample::Index>(), 0_usize..40, prop::collection::vec(any::<u8>(), 0..40)), 1..3),
    ) {
        let (ground, files, signed) = &*SAMPLE;
        let disk = Arc::new(SimDisk::new());
        let ground = Ground { disk: disk.clone(), ..ground.clone() };
        disk.create_folder(&ground.folder).unwrap();
        let mut files = files.clone();
        for (file, at, removed, added) in changes {
            let file = file % files.len();
            let bytes = &mut files[file].1;
            let begin = at.index(bytes.len() + 1);
            let end = (begin + removed).min(bytes.len());
            bytes.splice(begin..end, added);
        }
        for (path, bytes) in &files {
            disk.open(path, OpenMode::CreateNew).unwrap().write_at(0, bytes).unwrap();
        }
        let reader = ground.reader();
        let is_ok = matches!(reader.verify(None), Verdict::Ok(_));
        if is_ok {
            prop_assert!(numbers(&reader).starts_with(signed));
        }
        let opened = Log::open(ground.disk.clone(), &ground.folder, ground.options());
        prop_assert_eq!(opened.is_ok(), is_ok, "{:?}", opened);
        drop(opened);
        prop_assert_eq!(matches!(reader.verify(None), Verdict::Ok(_)), is_ok);
    }
}

type Sample = (Ground, Vec<(PathBuf, Vec<u8>)>, Vec<u64>);

/// The files of a log of a few segments, and the numbers of its events.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let disk = Arc::new(SimDisk::new());
    let ground = Ground::on(disk.clone(), "/log".as_ref());
    let mut options = ground.options();
    options.segment_len = 700;
    let log = Log::open(ground.disk.clone(), &ground.folder, options).unwrap();
    super::ground::append(&log, 10);
    pollster::block_on(log.close()).unwrap();
    let mut files = Vec::new();
    for name in disk.list(&ground.folder).unwrap() {
        if ["segment-", "checkpoint"].iter().any(|kept| name.to_string_lossy().starts_with(kept)) {
            let path = ground.folder.join(name);
            let file = disk.open(&path, OpenMode::Read).unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    let signed = numbers(&ground.reader());
    (ground, files, signed)
});

/// Signs what is in the first segment of a log anew, with the key of a machine.
fn resign(ground: &Ground, by: &Ground) {
    let mut tree = Frontier::new();
    frames(&fs::read(ground.folder.join("segment-0000000000")).unwrap())[1..].iter().for_each(|event| tree.push(event));
    let origin: Origin = ground.origin();
    let text = format!("{}\n{}\n{}\n", origin.line(), tree.len(), BASE64.encode(&tree.root()));
    let note = SignedNote::sign(text, origin.line(), by.identity.signing()).unwrap();
    fs::write(ground.folder.join("checkpoint"), note.to_string()).unwrap();
    assert!(!matches!(ground.reader().verify(None), Verdict::Unverifiable(_)));
}
