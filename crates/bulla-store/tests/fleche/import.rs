use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_store::{
    FLECHE_MEDIA_TYPE, Finding, FlecheDirectory, FlecheError, FlecheImport, FlecheImportCounts, FlecheName, GetOptions,
    Namespace, NamespaceSettings, WalkEvent,
};
use pollster::block_on;
use serde_json::json;
use tempfile::tempdir;

use super::peer::take;
use super::{OLD_KEY, open};
use crate::ground::{self, Ground, names, pattern, read};

fn import(
    directory: &FlecheDirectory,
    namespace: &Namespace,
    options: &FlecheImport,
) -> (Result<FlecheImportCounts, FlecheError>, Vec<Finding>) {
    let mut findings = Vec::new();
    let counts = block_on(directory.import(namespace, options, &mut FlecheName::of_payload, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding);
        }
    }));
    (counts, findings)
}

/// A few files, one of them too large for an entry.
fn sample(root: &Path) -> FlecheDirectory {
    let directory = open(root, Some(OLD_KEY));
    for (byte, len) in [(1, 10), (2, 200_000), (3, 70_000), (4, 1)] {
        let payload = [&pattern(len, byte)[..], b"."].concat();
        let payload = [&b"\x80\x04"[..], &payload].concat();
        directory.save(&FlecheName([byte; 32]), &payload, byte == 2).unwrap();
    }
    directory
}

fn bytes(name: &FlecheName) -> Vec<u8> {
    name.to_string().into_bytes()
}

#[test]
fn values_and_calls_of_fleche_become_entries() {
    let folder = tempdir().unwrap();
    let (values, calls) = (folder.path().join("values"), folder.path().join("calls"));
    let call =
        |argument: i32| json!({ "do": "call", "root": values, "calls": calls, "keys": OLD_KEY, "argument": argument });
    let array =
        json!({ "do": "save", "root": values, "keys": OLD_KEY, "gzip": true, "values": ["numpy.zeros(100_000)"] });
    take(&[call(1), call(2), array]);
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    for (root, prefix, kind) in [(&values, "values/", "fleche:value"), (&calls, "calls/", "fleche:call")] {
        let directory = open(root, Some(OLD_KEY));
        let files = directory.list().unwrap().names;
        let options =
            FlecheImport { prefix: prefix.into(), tags: vec!["from-ci".to_owned()], ..FlecheImport::default() };
        let (counts, findings) = import(&directory, &namespace, &options);
        let counts = counts.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        let arrays = u64::from(kind == "fleche:value");
        assert_eq!((counts.imported, counts.names), (files.len() as u64, files.len() as u64 - arrays));
        for file in &files {
            let entry = [prefix.as_bytes(), &bytes(file)].concat();
            let value = block_on(namespace.get(&entry, &GetOptions::default())).unwrap();
            assert_eq!(value.bytes, directory.load(file).unwrap().payload);
            assert_eq!(value.stat.media_type.as_deref(), Some(FLECHE_MEDIA_TYPE));
            assert_eq!(value.stat.tags, ["fleche", kind, "from-ci"]);
        }
        let (counts, findings) = import(&directory, &namespace, &options);
        let counts = counts.unwrap();
        assert_eq!((counts.imported, counts.present, counts.refused), (0, files.len() as u64, 0), "{findings:?}");
        assert_eq!(names(&namespace, prefix.as_bytes(), 0).len(), files.len());
    }
}

#[test]
fn every_refused_file_is_a_finding_and_hides_no_other() {
    let folder = tempdir().unwrap();
    let directory = sample(folder.path());
    let content = fs::read(directory.path(&FlecheName([1; 32]))).unwrap();
    let mut altered = content.clone();
    altered[5] ^= 1;
    fs::write(directory.path(&FlecheName([5; 32])), altered).unwrap();
    fs::write(directory.path(&FlecheName([6; 32])), b"K\x01.").unwrap();
    fs::write(folder.path().join("README"), "").unwrap();
    // Plain data under the name of something else, signed.
    directory.save(&FlecheName([7; 32]), b"K\x01.", false).unwrap();
    let before = super::contents(folder.path());
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    let (counts, findings) = import(&directory, &namespace, &FlecheImport::default());
    let codes: Vec<_> = findings.iter().map(Finding::code).collect();
    assert_eq!(codes, ["not_a_digest", "bad_signature", "unsigned", "wrong_digest"]);
    let counts = counts.unwrap();
    assert_eq!((counts.imported, counts.refused), (4, 4));
    assert_eq!(names(&namespace, b"", 0).len(), 4);
    assert_eq!(super::contents(folder.path()), before);
    for finding in findings {
        assert!(finding.to_string().contains(&*folder.path().to_string_lossy()), "{finding}");
    }
}

#[test]
fn an_imported_entry_is_bound_to_its_name() {
    let folder = tempdir().unwrap();
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    import(&sample(folder.path()), &namespace, &FlecheImport::default()).0.unwrap();
    let [one, four] = [bytes(&FlecheName([1; 32])), bytes(&FlecheName([4; 32]))];
    let document = ground.document("cache", &one).value;
    ground.plant("cache", &four, &document);
    ground::assert_code(read(&namespace, &four), "cannot_open");
}

/// In a directory, the name of a file confirms a guess at its value to everybody who sees it.
#[test]
fn a_namespace_with_blinded_names_shows_no_digest() {
    let folder = tempdir().unwrap();
    let directory = open(folder.path(), Some(OLD_KEY));
    let guessed = FlecheName::of_payload(b"K\x01.").unwrap();
    directory.save(&guessed, b"K\x01.", false).unwrap();
    assert!(folder.path().join(guessed.to_string()).exists());

    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    import(&directory, &namespace, &FlecheImport::default()).0.unwrap();
    assert_eq!(read(&namespace, &bytes(&guessed)).unwrap(), b"K\x01.");
    let documents = ground.documents();
    assert!(!documents.is_empty());
    for document in documents {
        for shown in [&bytes(&guessed)[..], &guessed.0] {
            let stored = [document.key.as_bytes(), &document.value].concat();
            assert!(!stored.windows(shown.len()).any(|part| part == shown), "{:?}", document.key);
        }
    }
}

/// In a directory an older file that is put back is as good as new. Once imported, who knows the version sees it.
#[test]
fn a_replayed_file_does_not_get_past_the_import_unseen() {
    let folder = tempdir().unwrap();
    let directory = sample(folder.path());
    let name = FlecheName([1; 32]);
    let older = fs::read(directory.path(&name)).unwrap();
    directory.save(&name, b"\x80\x04newer.", false).unwrap();
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    import(&directory, &namespace, &FlecheImport::default()).0.unwrap();
    assert_eq!(read(&namespace, &bytes(&name)).unwrap(), b"\x80\x04newer.");

    fs::write(directory.path(&name), older).unwrap();
    let replayed = directory.load(&name).unwrap().payload;
    let (counts, findings) = import(&directory, &namespace, &FlecheImport::default());
    assert_eq!(counts.unwrap().present, 3);
    assert_eq!(findings.iter().map(Finding::code).collect::<Vec<_>>(), ["differs"]);
    assert_eq!(read(&namespace, &bytes(&name)).unwrap(), b"\x80\x04newer.");

    // Asked for, it is replaced: with a new version.
    let replace = FlecheImport { replace: true, ..FlecheImport::default() };
    let (counts, findings) = import(&directory, &namespace, &replace);
    assert_eq!((counts.unwrap().imported, findings.len()), (1, 0));
    assert_eq!(read(&namespace, &bytes(&name)).unwrap(), replayed);
    let expected = block_on(namespace.get(&bytes(&name), &GetOptions::version(1)));
    ground::assert_code(expected, "version_mismatch");
}

#[test]
fn an_import_that_was_stopped_anywhere_is_completed_by_the_next() {
    let folder = tempdir().unwrap();
    let directory = sample(folder.path());
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let (stopped, findings) = import(&directory, &faulty.namespace("cache").unwrap(), &FlecheImport::default());
            assert!(findings.is_empty(), "{failure:?} at {at}: {findings:?}");
            let namespace = ground.namespace("cache");
            let (counts, findings) = import(&directory, &namespace, &FlecheImport::default());
            let counts = counts.unwrap();
            assert_eq!((counts.imported + counts.present, findings.len()), (4, 0), "{failure:?} at {at}");
            for name in directory.list().unwrap().names {
                assert!(read(&namespace, &bytes(&name)).unwrap() == directory.load(&name).unwrap().payload);
            }
            if faults.calls() < at {
                stopped.unwrap();
                break;
            }
            points += 1;
        }
    }
    println!("{points} fault points");
    assert!(points > 30, "{points} fault points");
}

#[test]
fn a_directory_without_keys_is_imported_as_it_is() {
    let folder = tempdir().unwrap();
    sample(folder.path());
    let ground = Ground::new();
    let (counts, findings) = import(&open(folder.path(), None), &ground.namespace("a"), &FlecheImport::default());
    assert_eq!((counts.unwrap().imported, findings.len()), (4, 0));
    let missing = folder.path().join("gone");
    assert_eq!(FlecheDirectory::open(&missing, None).unwrap_err().code(), "not_found");
}
