//! Sealing, and keeping values, in memory.

use bulla::blocking::Project;
use bulla::{EntryQuery, Error, ExpectedVersion, GetOptions, KeyringError, OpenError, PutOptions, StoreError};

#[test]
fn a_value_opens_in_its_context_only() {
    let project = Project::in_memory().unwrap();
    let key = project.create_key("orders").unwrap();
    let row = |id| project.context().text("table", "orders").int("row", id).build().unwrap();
    let sealed = key.seal(&row(1), b"42 widgets").unwrap();
    assert_eq!(key.open(&row(1), &sealed).unwrap(), b"42 widgets");
    let refused = key.open(&row(2), &sealed).unwrap_err();
    assert_eq!((refused.open_error(), refused.code()), (Some(OpenError::CannotOpen), "cannot_open"));
    assert!(refused.hint().is_some());

    let other = Project::in_memory().unwrap();
    let theirs = other.create_key("orders").unwrap();
    let unknown = theirs.open(&row(1), &sealed).unwrap_err();
    assert!(matches!(unknown.open_error(), Some(OpenError::UnknownVersion(_))), "{unknown:?}");
}

#[test]
fn rewrapping_moves_a_value_to_the_newest_version() {
    let project = Project::in_memory().unwrap();
    let key = project.create_key("orders").unwrap();
    let row = project.context().build().unwrap();
    let sealed = key.seal(&row, b"42 widgets").unwrap();
    assert_eq!(key.rewrap(&row, &sealed).unwrap(), None);
    key.rotate().unwrap();
    let rewrapped = key.rewrap(&row, &sealed).unwrap().unwrap();
    assert_ne!(rewrapped, sealed);
    for value in [&sealed, &rewrapped] {
        assert_eq!(key.open(&row, value).unwrap(), b"42 widgets");
    }
    assert_eq!(key.rewrap(&row, &rewrapped).unwrap(), None);
}

#[test]
fn entries_are_kept_replaced_listed_and_removed() {
    let project = Project::in_memory().unwrap();
    let entries = project.store("features").unwrap();
    assert_eq!(entries.get("user/7").unwrap(), None);
    assert_eq!(entries.put("user/7", "a").unwrap(), 1);
    assert_eq!(entries.put("user/7", "b").unwrap(), 2);
    assert_eq!(entries.stat("user/7").unwrap().unwrap().len, 1);
    let absent = PutOptions { expected: ExpectedVersion::Absent, ..PutOptions::default() };
    let mismatch = entries.put_with("user/7", "c", &absent);
    assert!(matches!(mismatch, Err(Error::Store(StoreError::VersionMismatch { found: Some(2), .. }))));
    let old = entries.get_with("user/7", &GetOptions::version(1)).unwrap_err();
    assert_eq!(old.code(), "version_mismatch");

    let page = entries.list(&EntryQuery::default()).unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.name.as_bytes()).collect::<Vec<_>>(), [b"user/7"]);
    assert!(entries.remove("user/7").unwrap());
    assert!(!entries.remove("user/7").unwrap());
    assert_eq!(project.store("features").unwrap().stat("user/7").unwrap(), None);
}

#[test]
fn resealing_moves_entries_to_the_newest_version() {
    let project = Project::in_memory().unwrap();
    let entries = project.store("features").unwrap();
    for name in ["a", "b", "c"] {
        entries.put(name, name).unwrap();
    }
    project.key("store/features").unwrap().rotate().unwrap();
    entries.put("c", "newer").unwrap();
    let counts = entries.reseal().unwrap();
    assert_eq!((counts.resealed, counts.current, counts.failed), (2, 1, 0));
    assert_eq!((entries.get("a").unwrap(), entries.stat("a").unwrap().unwrap().version), (Some(b"a".to_vec()), 1));
}

#[test]
fn names_are_checked_before_anything_is_done() {
    let project = Project::in_memory().unwrap();
    assert_eq!(project.key("../x").unwrap_err().code(), "invalid_name");
    assert_eq!(project.store("../x").unwrap_err().code(), "invalid_namespace");
    let missing = project.key("missing").unwrap().rotate().unwrap_err();
    assert!(matches!(missing, Error::Keyring(KeyringError::NoKey(_))), "{missing:?}");
    assert!(missing.hint().unwrap().contains("bulla key new missing"));
    assert!(matches!(project.create_key("default"), Err(Error::Keyring(KeyringError::KeyExists(_)))));
}
