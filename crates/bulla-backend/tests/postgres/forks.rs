//! A forked child makes connections of its own, and leaves its parent's alone.

use std::io::{Read, Write};

use bulla_backend::{DocumentKey, Documents, Expected, PostgresDocuments};
use pollster::block_on;

use super::{DURABLE, Place};

fn count_up(documents: &PostgresDocuments, rounds: u8) -> bool {
    let key = DocumentKey::new(*b"sum").unwrap();
    let mut left = rounds;
    while left > 0 {
        let Ok(found) = block_on(documents.get(DURABLE, &key)) else { return false };
        let expected = found.as_ref().map_or(Expected::Absent, |found| Expected::Revision(found.revision));
        let sum = found.map_or(0, |found| found.value[0]);
        match block_on(documents.put(DURABLE, &key, &[sum + 1], expected)) {
            Ok(_) => left -= 1,
            Err(error) if error.kind().is_temporary() => {}
            Err(_) => return false,
        }
    }
    true
}

#[test]
fn a_child_and_its_parent_use_one_place_at_once() {
    let place = Place::new();
    let documents = place.documents();
    assert!(count_up(&documents, 1), "connections that a child can inherit");
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let counted = count_up(&documents, 20);
            drop(documents);
            let sent = writer.write_all(&[u8::from(counted)]).is_ok();
            // Does not return to the test harness, of which the child has half.
            std::process::exit(i32::from(!sent));
        }
        fork::Fork::Parent(child) => {
            drop(writer);
            assert!(count_up(&documents, 20));
            let mut report = [0];
            reader.read_exact(&mut report).unwrap();
            assert!(fork::waitpid(child).is_ok());
            assert_eq!(report, [1], "the child counted");
            assert!(count_up(&documents, 1), "the child's end disturbs nobody");
        }
    }
    let sum = block_on(documents.get(DURABLE, &DocumentKey::new(*b"sum").unwrap())).unwrap().unwrap();
    assert_eq!(sum.value, [42], "no increment is lost");
}
