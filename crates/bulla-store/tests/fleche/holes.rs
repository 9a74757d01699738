//! The holes that are known of fleche's own code, tried on it and on ours.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use allocation_counter::measure;
use bulla_backend::{Event, Recorder};
use bulla_keyring::source::ParseHexKeysError;
use bulla_store::{
    FlecheDirectory, FlecheFault, FlecheFile, FlecheKeys, FlecheKeysError, FlecheName, MAX_FLECHE_LEN, WalkEvent,
};
use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder};
use pollster::block_on;
use serde_json::json;
use tempfile::tempdir;

use super::peer::{take, texts};
use super::{OLD_KEY, assert_code, contents, name, open};

const MIB: usize = 1 << 20;

/// A gzip stream of so many mebibytes of zeros and a STOP; about a thousandth as long. The zeros are compressed once, as a block that
/// needs nothing of those before it (RFC 1951 §3.2.3, RFC 1952 §2.3.1).
fn bomb(mebibytes: u32) -> Vec<u8> {
    let zeros = vec![0; MIB];
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(MIB);
    compress.compress_vec(&zeros, &mut block, FlushCompress::Full).unwrap();
    let mut sum = Crc::new();
    let mut bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for _ in 0..mebibytes {
        sum.update(&zeros);
        bomb.extend_from_slice(&block);
    }
    sum.update(b".");
    bomb.extend_from_slice(b"\x01\x01\0\xfe\xff.");
    bomb.extend_from_slice(&sum.sum().to_le_bytes());
    bomb.extend_from_slice(&sum.amount().to_le_bytes());
    bomb
}

#[test]
fn a_gzip_bomb_is_refused_in_little_memory() {
    let folder = tempdir().unwrap();
    let bomb = bomb(1_024);
    assert!(bomb.len() < 2 * MIB, "{}", bomb.len());
    let file = FlecheName([1; 32]);
    for (max_len, code) in [(MAX_FLECHE_LEN, "file_too_large"), (2 << 30, "unsigned")] {
        let directory = open(folder.path(), Some(OLD_KEY)).with_max_len(max_len);
        fs::write(directory.path(&file), &bomb).unwrap();
        let used = measure(|| assert_code(directory.load(&file), code));
        assert!(used.bytes_max < 4 * MIB as u64, "{} bytes at once", used.bytes_max);
    }
    // Not even without keys, where nothing is verified, more than the bound.
    let directory = open(folder.path(), None).with_max_len(16 << 20);
    let used = measure(|| assert_code(directory.load(&file), "file_too_large"));
    assert!(used.bytes_max < 4 * MIB as u64, "{} bytes at once", used.bytes_max);
    let used = measure(|| assert_code(directory.stat(&file), "file_too_large"));
    assert!(used.bytes_max < 4 * MIB as u64, "{} bytes at once", used.bytes_max);
}

#[test]
fn nothing_but_one_gzip_stream_is_inflated() {
    let keys = OLD_KEY.parse::<FlecheKeys>().unwrap();
    let max = MAX_FLECHE_LEN;
    let signed = FlecheFile::encode(b"K\x01.", Some(&keys), true).unwrap();
    for more in [&b"\0"[..], b"\0\0\0\0\0\0\0\0", &signed, b"."] {
        let content = [&signed[..], more].concat();
        assert_eq!(FlecheFile::open(content, Some(&keys), max).err(), Some(FlecheFault::TrailingBytes));
    }
    // fleche joins streams, and skips zeros.
    let folder = tempdir().unwrap();
    let [padded, split] = [FlecheName([2; 32]), FlecheName([3; 32])];
    fs::write(folder.path().join(padded.to_string()), [&signed[..], b"\0\0"].concat()).unwrap();
    let whole = FlecheFile::encode(b"K\x01.", Some(&keys), false).unwrap();
    let halves: Vec<u8> = whole
        .chunks(30)
        .flat_map(|part| {
            let mut encoder = GzBuilder::new().write(Vec::new(), Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        })
        .collect();
    fs::write(folder.path().join(split.to_string()), halves).unwrap();
    let load =
        |name: FlecheName| json!({ "do": "load", "root": folder.path(), "keys": OLD_KEY, "name": name.to_string() });
    for answer in take(&[load(padded), load(split)]) {
        assert_eq!(answer, json!({ "value": "1" }));
    }
    for name in [padded, split] {
        assert_code(open(folder.path(), Some(OLD_KEY)).load(&name), "trailing_bytes");
    }
}

#[test]
fn a_key_that_everybody_has_is_none() {
    let folder = tempdir().unwrap();
    // What anybody can make: fleche's own code, with a variable that holds nothing but a colon, signs with an empty key.
    let root = folder.path();
    let saved = take(&[json!({ "do": "save", "root": root, "keys": ":", "values": ["'theirs'"] })]);
    let theirs = texts(&saved[0], "names").remove(0);
    let load = |keys: &str| json!({ "do": "load", "root": root, "keys": keys, "name": theirs });
    let (trailing, zero) = (format!("{OLD_KEY}:"), format!("{OLD_KEY}:00"));
    let answers = take(&[load(&trailing), load(&zero), load(OLD_KEY)]);
    assert_eq!(answers[0], json!({ "value": "'theirs'" }), "the colon too many lets anybody in");
    assert_eq!(answers[1], json!({ "value": "'theirs'" }), "and so does a key of zeros");
    assert_eq!(answers[2]["raised"], "KeyError");

    let empty = FlecheKeysError::Text(ParseHexKeysError::Empty { part: 2 });
    assert_eq!(trailing.parse::<FlecheKeys>().err(), Some(empty));
    assert_eq!(zero.parse::<FlecheKeys>().err(), Some(FlecheKeysError::Zero(2)));
    assert_code(open(root, Some(OLD_KEY)).load(&name(&theirs)), "bad_signature");
}

#[test]
fn unsigned_files_are_refused_where_there_is_a_key() {
    let folder = tempdir().unwrap();
    let saved = take(&[
        json!({ "do": "save", "root": folder.path(), "values": ["1"] }),
        json!({ "do": "save", "root": folder.path(), "gzip": true, "values": ["2"] }),
    ]);
    for answer in saved {
        let name = name(&texts(&answer, "names")[0]);
        assert_code(open(folder.path(), Some(OLD_KEY)).load(&name), "unsigned");
        assert_eq!(open(folder.path(), None).load(&name).unwrap().verified_by, None);
    }
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let folder = tempdir().unwrap();
    let root = folder.path().join("cache");
    let secret = folder.path().join("secret");
    take(&[json!({ "do": "save", "root": folder.path(), "values": ["'outside'"] })]);
    let saved = contents(folder.path()).remove(0).0;
    fs::rename(folder.path().join(saved), &secret).unwrap();
    fs::create_dir(&root).unwrap();
    // At least 64 characters, as fleche asks for.
    let escape = format!("{}{}secret", "./".repeat(40), "../");
    let answer = &take(&[json!({ "do": "load", "root": root, "name": escape })])[0];
    assert_eq!(answer, &json!({ "value": "'outside'" }), "fleche follows it");
    assert!(escape.parse::<FlecheName>().is_err(), "ours cannot say it");
    assert!(secret.to_string_lossy().parse::<FlecheName>().is_err());
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempdir().unwrap();
    let outside = tempdir().unwrap();
    let directory = open(folder.path(), Some(OLD_KEY));
    let [good, link, dangling, inner, socket] = [1, 2, 3, 4, 5].map(|byte| FlecheName([byte; 32]));
    directory.save(&good, b"K\x01.", false).unwrap();
    open(outside.path(), Some(OLD_KEY)).save(&good, b"K\x02.", false).unwrap();
    symlink(outside.path().join(good.to_string()), directory.path(&link)).unwrap();
    symlink("/nowhere", directory.path(&dangling)).unwrap();
    fs::create_dir(directory.path(&inner)).unwrap();
    let _listener = UnixListener::bind(directory.path(&socket)).unwrap();
    for name in [link, dangling, inner, socket] {
        assert_code(directory.load(&name), "no_regular_file");
        assert_code(directory.stat(&name), "no_regular_file");
    }
    // fleche would replace what a link leads to nowhere either: the link itself goes.
    directory.save(&link, b"K\x03.", false).unwrap();
    assert_eq!(directory.load(&link).unwrap().payload, b"K\x03.");
    assert_eq!(open(outside.path(), Some(OLD_KEY)).load(&good).unwrap().payload, b"K\x02.");
    assert_code(directory.save(&inner, b"K\x03.", false), "file");
    assert_eq!(contents(folder.path()).len(), 2, "a save that failed leaves nothing");
}

#[test]
fn only_digests_are_listed_as_names() {
    let folder = tempdir().unwrap();
    let directory = open(folder.path(), Some(OLD_KEY));
    let good = FlecheName([1; 32]);
    directory.save(&good, b"K\x01.", false).unwrap();
    let upper = good.to_string().replace('0', "A");
    for other in [".hidden", "old.lock", "README", &upper, &format!("{good}0")] {
        fs::write(folder.path().join(other), "").unwrap();
    }
    let listing = directory.list().unwrap();
    assert_eq!(listing.names, [good]);
    let others: Vec<_> = listing.others.iter().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(others, [&format!("{good}0"), upper.as_str(), "README"]);
    let mut codes = Vec::new();
    let counts = directory.verify(&mut |_| None, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            codes.push(finding.code());
        }
    });
    assert_eq!((codes, counts.unwrap().refused), (vec!["not_a_digest"; 3], 3));
}

/// Two values, one name: the later file takes the place of the earlier. Nothing of ours is found by that digest.
#[test]
fn collisions_of_digests_are_not_inherited() {
    let folder = tempdir().unwrap();
    let save = |value: &str| json!({ "do": "save", "root": folder.path(), "keys": OLD_KEY, "values": [value] });
    let digests = json!({ "do": "digests", "values": ["-1.0", "-2.0", "1.0", "1"] });
    let answers = take(&[save("-1.0"), save("-2.0"), digests]);
    let digests = texts(&answers[2], "names");
    assert_eq!((&digests[0], &digests[2]), (&digests[1], &digests[3]), "fleche gives two values one name");
    let saved = name(&digests[0]);
    let directory = open(folder.path(), Some(OLD_KEY));
    assert_eq!(directory.load(&saved).unwrap().payload, b"\x80\x04\x95\n\0\0\0\0\0\0\0G\xc0\0\0\0\0\0\0\0.");

    // In a store, each has the name that its owner gives it, and an entry that is there is never taken for another's.
    let ground = crate::ground::Ground::new();
    let namespace = ground.namespace("cache");
    let (one, two) = (b"G\xbf\xf0\0\0\0\0\0\0.", b"G\xc0\0\0\0\0\0\0\0.");
    assert_eq!(FlecheName::of_payload(one), FlecheName::of_payload(two));
    crate::ground::write(&namespace, b"-1.0", one);
    crate::ground::write(&namespace, b"-2.0", two);
    assert_eq!(crate::ground::read(&namespace, b"-1.0").unwrap(), one);
    assert_eq!(crate::ground::read(&namespace, b"-2.0").unwrap(), two);
    crate::ground::write(&namespace, saved.to_string().as_bytes(), one);
    let imported =
        block_on(directory.import(&namespace, &Default::default(), &mut FlecheName::of_payload, &mut |_| {}));
    assert_eq!((imported.unwrap().refused, imported_value(&namespace, &saved)), (1, one.to_vec()));
}

fn imported_value(namespace: &bulla_store::Namespace, name: &FlecheName) -> Vec<u8> {
    crate::ground::read(namespace, name.to_string().as_bytes()).unwrap()
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Recorder for Notes {
    fn record(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

#[test]
fn violations_are_told_and_the_files_stay() {
    let folder = tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let directory = open(folder.path(), Some(OLD_KEY)).with_recorder(Arc::clone(&notes) as Arc<dyn Recorder>);
    let [good, unsigned, altered, moved, link, missing] = [1, 2, 3, 4, 5, 6].map(|byte| FlecheName([byte; 32]));
    directory.save(&good, b"K\x01.", false).unwrap();
    let content = fs::read(directory.path(&good)).unwrap();
    fs::write(directory.path(&unsigned), b"K\x01.").unwrap();
    fs::write(directory.path(&altered), [b"N", &content[..]].concat()).unwrap();
    fs::write(directory.path(&moved), &content).unwrap();
    symlink(directory.path(&good), directory.path(&link)).unwrap();
    let before = contents(folder.path());
    assert_code(directory.load(&missing), "not_found");
    let mut digest = |_: &[u8]| Some(good);
    let counts = directory.verify(&mut digest, &mut |_| {}).unwrap();
    assert_eq!((counts.files, counts.refused), (1, 4));
    assert_eq!(contents(folder.path()), before);
    let notes = notes.0.lock().unwrap();
    let codes = ["unsigned", "bad_signature", "wrong_digest", "no_regular_file"];
    assert_eq!(notes.len(), codes.len(), "{notes:?}");
    for (note, code) in notes.iter().zip(codes) {
        assert!(note.starts_with(&format!("SecurityViolation({code}: ")), "{note}");
        assert!(!note.contains("deadbeef"), "{note}");
    }
}

#[test]
fn a_short_folder_of_files_that_are_too_large_is_read_on() {
    let folder = tempdir().unwrap();
    let directory = FlecheDirectory::open(folder.path(), None).unwrap();
    let [small, large] = [1, 2].map(|byte| FlecheName([byte; 32]));
    directory.save(&small, b"K\x01.", false).unwrap();
    directory.save(&large, &[&[b'x'; 100][..], b"."].concat(), false).unwrap();
    let directory = directory.with_max_len(100);
    assert_code(directory.load(&large), "file_too_large");
    assert_code(directory.save(&large, &[&[b'x'; 100][..], b"."].concat(), false), "file_too_large");
    let counts = directory.verify(&mut |_| None, &mut |_| {}).unwrap();
    assert_eq!((counts.files, counts.refused, counts.bytes), (1, 1, 3));
}
