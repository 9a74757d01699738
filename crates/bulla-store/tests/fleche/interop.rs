use std::fs;
use std::os::unix::fs::PermissionsExt;

use bulla_keyring::source::HexKeys;
use bulla_store::{FlecheKind, FlecheName};
use serde_json::{Value, json};
use tempfile::tempdir;

use super::peer::{take, texts};
use super::{NEW_KEY, OLD_KEY, assert_code, contents, name, open};

const VALUES: [&str; 4] =
    ["{'status': 'secure', 'data': [1, 2, 3]}", "numpy.arange(1000.0)", "'x' * 200_000", "b'.' * 70"];

/// What fleche shows of the values.
fn shown() -> Vec<String> {
    let array = "array([  0.,".to_owned();
    vec![
        "{'status': 'secure', 'data': [1, 2, 3]}".to_owned(),
        array,
        format!("'{}'", "x".repeat(200_000)),
        format!("b'{}'", ".".repeat(70)),
    ]
}

#[test]
fn files_of_fleche_are_read_and_ours_by_fleche() {
    // By which keys it is written, by which read; gzip; the serializer.
    let both = format!("{NEW_KEY}:{OLD_KEY}");
    let cases = [
        (None, None, false, false),
        (None, None, true, false),
        (Some(OLD_KEY), Some(OLD_KEY), false, false),
        (Some(OLD_KEY), Some(OLD_KEY), true, true),
        (Some(OLD_KEY), Some(both.as_str()), false, true),
        (Some(OLD_KEY), Some(both.as_str()), true, false),
    ];
    let folders: Vec<_> = cases.iter().map(|_| (tempdir().unwrap(), tempdir().unwrap())).collect();
    let mut steps = Vec::new();
    for ((theirs, _), (keys, _, gzip, cloudpickle)) in folders.iter().zip(cases) {
        let root = theirs.path();
        steps.push(json!({ "do": "save", "root": root, "keys": keys, "gzip": gzip, "cloudpickle": cloudpickle, "values": VALUES }));
    }
    let saved: Vec<_> = take(&steps).iter().map(|answer| texts(answer, "names")).collect();

    let mut steps = Vec::new();
    for (((theirs, ours), (keys, read_by, gzip, _)), saved) in folders.iter().zip(cases).zip(&saved) {
        let (from, to) = (open(theirs.path(), read_by), open(ours.path(), read_by));
        let listing = from.list().unwrap();
        assert!(listing.others.is_empty());
        assert_eq!(listing.names.len(), 5, "the list within the first value has a file of its own");
        for file in listing.names {
            let stat = from.stat(&file).unwrap();
            assert_eq!((stat.signed, stat.gzipped, stat.kind), (keys.is_some(), gzip, FlecheKind::Value));
            let loaded = from.load(&file).unwrap();
            assert_eq!(loaded.payload.len() as u64, stat.len);
            let verified_by = keys.map(|_| if read_by == keys { 1 } else { 2 });
            assert_eq!((loaded.signed, loaded.verified_by), (keys.is_some(), verified_by));
            let is_array = file.to_string() == saved[1];
            assert_eq!(FlecheName::of_payload(&loaded.payload), (!is_array).then_some(file));
            to.save(&file, &loaded.payload, gzip).unwrap();
            if !gzip && read_by == keys {
                let (theirs, ours) = (fs::read(from.path(&file)).unwrap(), fs::read(to.path(&file)).unwrap());
                assert!(theirs == ours, "byte for byte");
            }
        }
        // No temporary file is left.
        assert_eq!(contents(ours.path()).len(), 5);
        for name in saved {
            steps.push(json!({ "do": "load", "root": ours.path(), "keys": read_by, "name": name }));
        }
    }
    let loaded = take(&steps);
    for (answer, shown) in loaded.iter().zip(shown().iter().cycle()) {
        let value = answer["value"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(value.starts_with(shown.as_str()), "{:.100}", value);
    }
    assert_eq!(loaded.len(), 6 * VALUES.len());
}

#[test]
fn records_of_calls_are_read_and_written() {
    for (keys, gzip) in [(Some(OLD_KEY), false), (Some(OLD_KEY), true), (None, false)] {
        let folder = tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let step = |calls: &str, argument: i32| json!({ "do": "call", "root": at("values"), "calls": at(calls), "keys": keys, "gzip": gzip, "argument": argument });
        let answers = take(&[step("calls", 3), step("calls", 3), step("calls", 4)]);
        let expected = [(5.5, 1), (5.5, 0), (6.5, 1)].map(|(result, ran)| json!({ "result": result, "ran": ran }));
        assert_eq!(answers, expected);

        let (values, calls) = (open(&at("values"), keys), open(&at("calls"), keys));
        let names = calls.list().unwrap().names;
        assert_eq!(names.len(), 2);
        fs::create_dir(at("copies")).unwrap();
        let copies = open(&at("copies"), keys);
        for name in &names {
            let record = calls.load(name).unwrap();
            assert_eq!((record.kind(), calls.stat(name).unwrap().kind), (FlecheKind::Call, FlecheKind::Call));
            assert_eq!(FlecheName::of_payload(&record.payload), Some(*name), "the name follows from the record");
            copies.save(name, &record.payload, !gzip).unwrap();
        }
        for name in values.list().unwrap().names {
            assert_eq!(values.load(&name).unwrap().kind(), FlecheKind::Value);
        }
        // fleche finds what we wrote, and does not run the function again.
        let record = json!({ "do": "record", "calls": at("copies"), "keys": keys, "name": names[0].to_string() });
        let answers = take(&[step("copies", 3), step("copies", 4), record]);
        assert_eq!(answers[0], json!({ "result": 5.5, "ran": 0 }));
        assert_eq!(answers[1], json!({ "result": 6.5, "ran": 0 }));
        assert_eq!(answers[2], json!({ "function": "add", "arguments": ["left", "right"] }));
    }
}

/// What the notebook of the source goes through, step by step, with fleche and Bulla on one folder.
#[test]
fn the_notebook() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let digest = "c38b58619f23f9507daf70dc7ef009512035480102031e8345c7e95fa254dbeb";
    let load = |keys: &str| json!({ "do": "load", "root": root, "keys": keys, "name": digest });
    let answers = take(&[json!({ "do": "save", "root": root, "keys": OLD_KEY, "values": [VALUES[0]] }), load(OLD_KEY)]);
    assert_eq!(texts(&answers[0], "names"), [digest]);
    assert_eq!(answers[1]["value"], VALUES[0]);
    let payload = open(root, Some(OLD_KEY)).load(&name(digest)).unwrap().payload;

    // Tampering.
    let file = root.join(digest);
    let original = fs::read(&file).unwrap();
    fs::write(&file, [b"malicious_payload", &original[..]].concat()).unwrap();
    let tampered = contents(root);
    let refused = &take(&[load(OLD_KEY)])[0];
    assert_eq!(refused["raised"], "KeyError");
    assert!(refused["message"].as_str().unwrap().contains("Value present but failed signature check."));
    assert_code(open(root, Some(OLD_KEY)).load(&name(digest)), "bad_signature");
    assert_eq!(contents(root), tampered, "what is refused stays where it is");

    // Rotation.
    fs::write(&file, &original).unwrap();
    let rotated = format!("{NEW_KEY}:{OLD_KEY}");
    assert_eq!(take(&[load(&rotated)])[0]["value"], VALUES[0]);
    let directory = open(root, Some(&rotated));
    let loaded = directory.load(&name(digest)).unwrap();
    assert_eq!((&loaded.payload, loaded.verified_by), (&payload, Some(2)));
    assert_code(open(root, Some(NEW_KEY)).load(&name(digest)), "bad_signature");
    // What is saved from now on is signed by the new key.
    directory.save(&name(digest), &payload, false).unwrap();
    assert_eq!(open(root, Some(NEW_KEY)).load(&name(digest)).unwrap().verified_by, Some(1));
    assert_code(open(root, Some(OLD_KEY)).load(&name(digest)), "bad_signature");
}

#[test]
fn a_short_key_verifies_and_never_signs() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let saved = take(&[json!({ "do": "save", "root": root, "keys": "c0ffee", "values": ["1"] })]);
    let one = name(&texts(&saved[0], "names")[0]);
    let keys: HexKeys = "c0ffee".parse().unwrap();
    assert_eq!(keys.warnings().map(|warning| warning.part).collect::<Vec<_>>(), [1]);
    let directory = open(root, Some("c0ffee"));
    let payload = directory.load(&one).unwrap().payload;
    assert_code(directory.save(&one, &payload, false), "short_key");
    let directory = open(root, Some(&format!("{NEW_KEY}:c0ffee")));
    assert_eq!(directory.load(&one).unwrap().verified_by, Some(2));
    directory.save(&one, &payload, false).unwrap();
    assert_eq!(directory.load(&one).unwrap().verified_by, Some(1));
}

#[test]
fn a_file_has_the_mode_that_the_umask_leaves() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let saved = take(&[json!({ "do": "save", "root": root, "keys": OLD_KEY, "values": ["1"] })]);
    let theirs = texts(&saved[0], "names").remove(0);
    let ours = FlecheName([7; 32]);
    open(root, Some(OLD_KEY)).save(&ours, b"K\x01.", false).unwrap();
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode();
    assert_eq!(mode(&theirs), mode(&ours.to_string()));
}

#[test]
fn a_folder_is_made_where_there_is_none() {
    let folder = tempdir().unwrap();
    let root = folder.path().join("a/b");
    assert_code(bulla_store::FlecheDirectory::open(&root, None), "not_found");
    let made = bulla_store::FlecheDirectory::create(&root, None).unwrap();
    assert_code(made.load(&FlecheName([0; 32])), "not_found");
    assert_code(made.stat(&FlecheName([0; 32])), "not_found");
    let file = root.join("file");
    fs::write(&file, "").unwrap();
    assert_code(bulla_store::FlecheDirectory::open(&file, None), "file");
    let answers: Vec<Value> = take(&[json!({ "do": "load", "root": root, "name": "0".repeat(64) })]);
    assert_eq!(answers[0]["raised"], "KeyError");
}
