//! What does not open hides nothing, and can be set aside.

use std::time::Duration;

use bulla_backend::{Collection, DocumentKey, Durability, Expected, ListQuery};
use bulla_store::{EntryQuery, ExpectedVersion, PutOptions};
use pollster::block_on;

use super::{fresh, set};
use crate::ground::{Ground, assert_code, read, write};

#[test]
fn what_no_key_opens_any_more_can_be_set_aside() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.rotate("a");
    write(&namespace, b"other", b"v");
    block_on(ground.keyring.destroy_version(namespace.name().key(), 1, Duration::ZERO)).unwrap();
    ground.clock.forward(Duration::from_hours(24 * 400));
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert!(read(&namespace, b"n").is_err());
    assert!(block_on(namespace.put(b"n", b"w", &PutOptions::default())).is_err());
    assert!(block_on(namespace.remove(b"n", ExpectedVersion::Any)).is_err());
    let aside = block_on(namespace.set_aside(b"n"));
    assert_eq!(aside.map_err(|error| error.code()), Ok(true), "else nothing frees the name");
}

#[test]
fn rows_that_are_no_records_hide_no_record() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.plant("a", b"n", b"rubbish");
    assert!(read(&namespace, b"n").is_err());
    let quarantine = Collection::new("quarantine", Durability::Durable);
    for number in 0..1_000_u16 {
        let key = DocumentKey::new([&b"a\0\0"[..], &number.to_be_bytes()].concat()).unwrap();
        block_on(ground.documents.put(quarantine, &key, b"x", Expected::Absent)).unwrap();
    }
    let (mut after, mut found) = (None, 0);
    loop {
        let page = block_on(namespace.quarantine(after)).unwrap();
        found += page.records.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn planted_rows_do_not_hide_that_an_entry_lies_in_quarantine() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.plant("a", b"n", b"rubbish");
    assert!(read(&namespace, b"n").is_err());
    assert_code(read(&namespace, b"n"), "quarantined");
    // Beside the record, and before it.
    let quarantine = Collection::new("quarantine", Durability::Durable);
    let record = block_on(ground.documents.list(quarantine, &ListQuery::default())).unwrap().documents.remove(0);
    let beside = &record.key.as_bytes()[..b"a\0".len() + 8];
    for number in 0..1_100_u64 {
        let key = DocumentKey::new([beside, &number.to_be_bytes()[..]].concat()).unwrap();
        block_on(ground.documents.put(quarantine, &key, &record.value, Expected::Any)).unwrap();
    }
    assert_code(read(&namespace, b"n"), "quarantined");
}

#[test]
fn a_long_stored_name_that_does_not_open_is_listed() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    ground.plant("a", &[0xff; 1_024], b"rubbish");
    let page = block_on(namespace.list(&EntryQuery::default())).unwrap();
    assert_eq!(page.entries.len(), 2);
    assert!(page.entries.iter().all(|entry| entry.name.as_bytes() == b"n" || entry.name.as_bytes().len() == 72));
    assert_eq!(ground.check().0.damaged, 1);
}
