//! Entries leave in an archive and come back, whole or not at all, whatever happened to the archive.

use std::io::Read;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_store::{
    ArchiveError, ExportCounts, GetOptions, ImportCounts, Lifetime, Mode, Namespace, NamespaceSettings, OnConflict,
    PutOptions, WalkEvent,
};
use pollster::block_on;

use crate::ground::{Ground, names, pattern, value, write};

const LARGE: usize = 150_000;

fn export(namespace: &Namespace) -> (Vec<u8>, ExportCounts, Vec<String>) {
    let mut findings = Vec::new();
    let mut observer = |event: WalkEvent<'_, _>| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding.code().to_owned());
        }
    };
    let (archive, counts) = block_on(namespace.export(Vec::new(), &mut observer)).unwrap();
    (archive, counts, findings)
}

fn import(namespace: &Namespace, archive: impl Read, on_conflict: OnConflict) -> Result<ImportCounts, ArchiveError> {
    block_on(namespace.import(archive, on_conflict, &mut |_| {}))
}

#[track_caller]
fn refused(result: Result<ImportCounts, ArchiveError>) -> &'static str {
    result.unwrap_err().code()
}

/// Values of every sort, and what is said about them.
fn fill(ground: &Ground, namespace: &Namespace) {
    let until = Timestamp(ground_now(ground).0 + 1_000_000);
    let options = [
        PutOptions::default(),
        PutOptions { media_type: Some("text/plain".into()), tags: vec!["b".into(), "a".into()], ..Default::default() },
        PutOptions { lifetime: Lifetime::Until(until), sensitive: true, ..Default::default() },
        PutOptions { compute_time: Some(Duration::from_millis(12)), ..Default::default() },
    ];
    for (at, len) in [0, 1, 65_535, 65_536, 65_537, LARGE, 131_072].into_iter().enumerate() {
        for (number, options) in options.iter().enumerate() {
            let name = [&b"a/\xff\0"[..], &[u8::try_from(at).unwrap(), u8::try_from(number).unwrap()]].concat();
            block_on(namespace.put(&name, &pattern(len, 3), options)).unwrap();
        }
    }
}

fn ground_now(ground: &Ground) -> Timestamp {
    use bulla_backend::Clock as _;
    ground.clock.now()
}

/// What readers see: names, values, and what is said about them but for version and time.
fn seen(namespace: &Namespace) -> Vec<(Vec<u8>, Vec<u8>, String)> {
    let mut all = names(namespace, b"", 3);
    all.sort();
    let read = |name: &Vec<u8>| block_on(namespace.get(name, &GetOptions::default())).unwrap();
    all.iter()
        .map(|name| {
            let value = read(name);
            let stat = value.stat;
            let said = (stat.expires, stat.media_type, stat.tags, stat.sensitive, stat.compute_time);
            (name.clone(), value.bytes, format!("{said:?}"))
        })
        .collect()
}

#[test]
fn an_archive_holds_everything_whatever_the_namespaces_are() {
    let ground = Ground::new();
    let settings = |mode, blinded_names| NamespaceSettings { mode, blinded_names, ..NamespaceSettings::default() };
    let kinds =
        [(Mode::Sealed, false), (Mode::Authenticated, false), (Mode::Sealed, true), (Mode::Authenticated, true)];
    for (at, from) in kinds.into_iter().enumerate() {
        let source = ground.namespace(&format!("from{at}"));
        block_on(source.set_settings(&settings(from.0, from.1))).unwrap();
        fill(&ground, &source);
        let (archive, counts, findings) = export(&source);
        assert_eq!((counts.exported, counts.failed, findings.len()), (28, 0, 0));
        for (number, to) in kinds.into_iter().enumerate() {
            let target = ground.namespace(&format!("to{at}-{number}"));
            block_on(target.set_settings(&settings(to.0, to.1))).unwrap();
            let counts = import(&target, archive.as_slice(), OnConflict::Fail).unwrap();
            assert_eq!((counts.imported, counts.equal), (28, 0));
            assert_eq!(seen(&target), seen(&source));
            // Again, there is nothing to do.
            let counts = import(&target, archive.as_slice(), OnConflict::Fail).unwrap();
            assert_eq!((counts.imported, counts.equal), (0, 28));
        }
    }
    assert!(ground.check().0.is_clean());
}

#[test]
fn entries_without_an_expiry_live_as_the_namespace_says_and_expired_ones_stay_out() {
    let ground = Ground::new();
    let source = ground.namespace("from");
    write(&source, b"kept", b"1");
    block_on(source.put(
        b"brief",
        b"2",
        &PutOptions { lifetime: Lifetime::For(Duration::from_secs(60)), ..Default::default() },
    ))
    .unwrap();
    let (archive, counts, _) = export(&source);
    assert_eq!(counts.exported, 2);
    ground.clock.forward(Duration::from_mins(2));
    assert_eq!(export(&source).1.exported, 1);
    let target = ground.namespace("to");
    let settings = NamespaceSettings { lifetime: Some(Duration::from_hours(1)), ..NamespaceSettings::default() };
    block_on(target.set_settings(&settings)).unwrap();
    let counts = import(&target, archive.as_slice(), OnConflict::Fail).unwrap();
    assert_eq!((counts.imported, counts.expired), (1, 1));
    ground.clock.forward(Duration::from_mins(59));
    assert_eq!(import(&target, archive.as_slice(), OnConflict::Fail).unwrap().equal, 1);
    ground.clock.forward(Duration::from_mins(2));
    assert_eq!(value(&target, b"kept"), None);
}

#[test]
fn a_cut_archive_gives_whole_entries_and_the_next_import_completes_it() {
    let ground = Ground::new();
    let source = ground.namespace("from");
    for name in 0_u8..4 {
        write(&source, &[name], &pattern(usize::from(name) * 40, name));
    }
    let (archive, ..) = export(&source);
    let target = ground.namespace("to");
    for end in 0..archive.len() {
        let code = refused(import(&target, &archive[..end], OnConflict::Fail));
        assert!(matches!(code, "damaged_archive" | "not_an_archive"), "cut at {end}: {code}");
        for name in names(&target, b"", 0) {
            assert_eq!(value(&target, &name), value(&source, &name), "cut at {end}");
        }
    }
    // All that was whole is there: the last cut was behind the last entry.
    let counts = import(&target, archive.as_slice(), OnConflict::Fail).unwrap();
    assert_eq!((counts.imported, counts.equal), (0, 4));
    assert_eq!(refused(import(&target, &[&archive[..], b"\0"].concat()[..], OnConflict::Fail)), "damaged_archive");
}

#[test]
fn a_flipped_bit_never_becomes_a_value() {
    let ground = Ground::new();
    let source = ground.namespace("from");
    for name in 0_u8..3 {
        write(&source, &[name], &pattern(usize::from(name) * 30, name));
    }
    let (archive, ..) = export(&source);
    for at in 0..archive.len() {
        let target = ground.namespace(&format!("to{at}"));
        let mut altered = archive.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(import(&target, altered.as_slice(), OnConflict::Fail).is_err(), "byte {at}");
        for name in names(&target, b"", 0) {
            assert_eq!(value(&target, &name), value(&source, &name), "byte {at}");
        }
    }
}

#[test]
fn what_is_there_decides_as_asked() {
    let ground = Ground::new();
    let source = ground.namespace("from");
    let ours = pattern(LARGE, 1);
    write(&source, b"large", &ours);
    write(&source, b"small", b"ours");
    let (archive, ..) = export(&source);

    // Different from the first byte, from a later piece on, in length, and in what is said.
    let mut late = ours.clone();
    late[LARGE - 1] ^= 1;
    let tagged = PutOptions { tags: vec!["theirs".into()], ..PutOptions::default() };
    let others = [
        (pattern(LARGE, 2), PutOptions::default()),
        (late, PutOptions::default()),
        (pattern(LARGE + 1, 1), PutOptions::default()),
        (ours.clone(), tagged),
    ];
    for (at, (theirs, options)) in others.into_iter().enumerate() {
        let target = ground.namespace(&format!("to{at}"));
        block_on(target.put(b"large", &theirs, &options)).unwrap();
        assert_eq!(refused(import(&target, archive.as_slice(), OnConflict::Fail)), "entry_exists", "{at}");
        assert!(value(&target, b"large").unwrap() == theirs);
        assert_eq!(value(&target, b"small"), None);
        let counts = import(&target, archive.as_slice(), OnConflict::Skip).unwrap();
        assert_eq!((counts.imported, counts.skipped), (1, 1), "{at}");
        assert!(value(&target, b"large").unwrap() == theirs);
        let counts = import(&target, archive.as_slice(), OnConflict::Replace).unwrap();
        assert_eq!((counts.imported, counts.equal), (1, 1), "{at}");
        assert_eq!(seen(&target), seen(&source));
    }
    assert!(ground.check().0.is_clean());
}

#[test]
fn what_is_damaged_is_named_and_left_out() {
    let ground = Ground::new();
    let source = ground.namespace("from");
    for name in [&b"blob"[..], b"cut", b"good", b"torn"] {
        write(&source, name, &pattern(LARGE, 5));
    }
    let blob = |name: &[u8]| ground.entry("from", name).blob.unwrap().id;
    // One in its first chunk, which is not looked at before the entry is begun; one in its end; one document.
    let mut bytes = ground.blob(&blob(b"blob"));
    bytes[200] ^= 1;
    ground.plant_blob(&blob(b"blob"), &bytes);
    let bytes = ground.blob(&blob(b"cut"));
    ground.plant_blob(&blob(b"cut"), &bytes[..bytes.len() - 1]);
    ground.plant("from", b"torn", b"no entry");
    let (archive, counts, findings) = export(&source);
    assert_eq!((counts.exported, counts.failed, findings.len()), (1, 3, 3), "{findings:?}");
    let target = ground.namespace("to");
    let counts = import(&target, archive.as_slice(), OnConflict::Fail).unwrap();
    assert_eq!(counts.imported, 1);
    assert_eq!(names(&target, b"", 0), [b"good"]);
}

#[test]
fn something_else_is_no_archive() {
    let ground = Ground::new();
    let target = ground.namespace("to");
    let future = b"\x53\x84\x6dbulla-archive\x02\x61a\x00";
    for (bytes, code) in [
        (&b""[..], "not_an_archive"),
        (b"\x40", "not_an_archive"),
        (b"PK\x03\x04", "not_an_archive"),
        (b"\x45hello", "not_an_archive"),
        (future, "newer_archive"),
    ] {
        assert_eq!(refused(import(&target, bytes, OnConflict::Fail)), code, "{}", bytes.escape_ascii());
    }
    assert!(names(&target, b"", 0).is_empty());
}
