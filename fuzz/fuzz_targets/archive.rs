//! An arbitrary archive, and a genuine one that was altered: whole entries come out of it, and as they were written; and what is read to its end is
//! the one encoding of what it says.
//!
//! Input: the number of alterations; for each an offset, how many bytes are taken out there, and what is put in. What is left is read as an archive of
//! its own.
#![no_main]

use bulla_backend::Timestamp;
use bulla_fuzz::Input;
use bulla_store::{ArchiveError, ArchivePart, ArchiveReader, ArchiveWriter, ArchivedEntry, EntryName};
use libfuzzer_sys::fuzz_target;

type Entries = Vec<(ArchivedEntry, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let (genuine, entries) = genuine();
    let mut input = Input(data);
    let mut archive = genuine.clone();
    for _ in 0..input.byte() % 4 {
        let at = input.number() % (archive.len() + 1);
        let end = (at + input.number()).min(archive.len());
        archive.splice(at..end, input.counted().iter().copied());
    }
    let (found, read) = read(&archive);
    assert_eq!(read.is_ok(), archive == genuine, "{:?}", read.err());
    // Whoever has no digest to put in place gets nothing but what was there, in its order.
    assert!(entries.starts_with(&found), "{found:?}");

    let rest = input.0;
    let (found, read) = self::read(rest);
    let Ok(has_given_up) = read else { return };
    if !has_given_up {
        assert_eq!(write(rest, &found), rest);
    }
});

/// An archive as its author wrote it, and what is in it.
fn genuine() -> (Vec<u8>, Entries) {
    let header = ArchiveWriter::new(Vec::new(), &"orders".parse().expect("a name"), Timestamp(7)).expect("memory");
    let empty = header.finish().expect("memory");
    let entry = |name: &[u8], value: &[u8]| {
        let name = EntryName::new(name).expect("a name");
        let mut stat = stat();
        stat.len = value.len() as u64;
        (ArchivedEntry { name, stat }, value.to_vec())
    };
    let entries = vec![entry(b"a", b"first"), entry(b"b", b""), entry(b"\xff", &[7; 300])];
    (write(&empty, &entries), entries)
}

/// What an entry says; there is no other way to one than to read it.
fn stat() -> bulla_store::EntryStat {
    let encoded = b"\xa3\x01\x07\x02\x01\x16\x40";
    bulla_store::Entry::parse(encoded).expect("an entry").0.stat
}

/// Reads an archive; returns what was whole, and whether there were entries that were given up.
fn read(bytes: &[u8]) -> (Entries, Result<bool, ArchiveError>) {
    let mut entries = Vec::new();
    let read = read_to(bytes, &mut entries);
    (entries, read)
}

fn read_to(bytes: &[u8], entries: &mut Entries) -> Result<bool, ArchiveError> {
    let mut reader = ArchiveReader::new(bytes)?;
    let mut has_given_up = false;
    while let Some(entry) = reader.next_entry()? {
        let mut value = Vec::new();
        loop {
            match reader.next_part()? {
                ArchivePart::Piece(piece) => value.extend_from_slice(&piece),
                ArchivePart::End => {
                    assert_eq!(value.len() as u64, entry.stat.len);
                    entries.push((entry, value));
                    break;
                }
                ArchivePart::GivenUp => {
                    has_given_up = true;
                    break;
                }
            }
        }
    }
    assert!(reader.next_entry()?.is_none(), "an end stays one");
    Ok(has_given_up)
}

/// Writes entries under the header of an archive.
fn write(like: &[u8], entries: &Entries) -> Vec<u8> {
    let reader = ArchiveReader::new(like).expect("an archive");
    let mut writer = ArchiveWriter::new(Vec::new(), reader.namespace(), reader.time()).expect("memory");
    for (entry, value) in entries {
        writer.entry(entry).expect("memory");
        writer.value(value).expect("the length it says");
        writer.end_entry().expect("the length it says");
    }
    writer.finish().expect("memory")
}
