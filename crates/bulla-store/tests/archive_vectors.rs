//! The vectors in `spec/vectors/archive/`, written by an independent implementation.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_store::{ArchiveError, ArchivePart, ArchiveReader, ArchiveWriter, ArchivedEntry};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};

#[test]
fn both_implementations_agree_on_every_archive() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/archive");
    let (mut good, mut hostile) = (0, 0);
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        check(&name, &serde_json::from_slice(&fs::read(&path).unwrap()).unwrap());
        let sort = if name.starts_with("ok_") { &mut good } else { &mut hostile };
        *sort += 1;
    }
    assert!(good >= 10 && hostile >= 80, "{good} good, {hostile} hostile");
}

fn check(name: &str, vector: &Value) {
    let bytes = BASE64.decode(vector["archive"].as_str().unwrap().as_bytes()).unwrap();
    let mut entries = Vec::new();
    let code = match read(&bytes, vector, &mut entries) {
        Ok(()) => "ok",
        Err(error) => error.code(),
    };
    assert_eq!(vector["expect"], code, "{name}");
    let said: Vec<_> = entries.iter().map(|(entry, value)| record(entry, value)).collect();
    assert_eq!(vector["entries"], Value::from(said), "{name}");
    if code == "ok" && !name.contains("given_up") {
        assert_eq!(write(&bytes, &entries), bytes, "{name}: written again, it is the same");
    }
}

fn read(bytes: &[u8], vector: &Value, entries: &mut Vec<(ArchivedEntry, Vec<u8>)>) -> Result<(), ArchiveError> {
    let mut reader = ArchiveReader::new(bytes)?;
    assert_eq!((&vector["namespace"], &vector["time"]), (&json!(reader.namespace().as_str()), &json!(reader.time().0)));
    while let Some(entry) = reader.next_entry()? {
        let mut value = Vec::new();
        loop {
            match reader.next_part()? {
                ArchivePart::Piece(piece) => value.extend_from_slice(&piece),
                ArchivePart::End => break entries.push((entry, value)),
                ArchivePart::GivenUp => break,
            }
        }
    }
    Ok(())
}

fn write(bytes: &[u8], entries: &[(ArchivedEntry, Vec<u8>)]) -> Vec<u8> {
    let reader = ArchiveReader::new(bytes).unwrap();
    let mut writer = ArchiveWriter::new(Vec::new(), reader.namespace(), reader.time()).unwrap();
    for (entry, value) in entries {
        writer.entry(entry).unwrap();
        writer.value(value).unwrap();
        writer.end_entry().unwrap();
    }
    writer.finish().unwrap()
}

fn record(entry: &ArchivedEntry, value: &[u8]) -> Value {
    let stat = &entry.stat;
    let mut record = Map::new();
    record.insert("name".into(), HEXLOWER.encode(entry.name.as_bytes()).into());
    record.insert("value".into(), HEXLOWER.encode(value).into());
    record.insert("version".into(), stat.version.into());
    record.insert("created".into(), stat.created.0.into());
    record.extend(stat.expires.map(|Timestamp(at)| ("expires".to_owned(), at.into())));
    record.extend(stat.media_type.clone().map(|media_type| ("media_type".to_owned(), media_type.into())));
    if !stat.tags.is_empty() {
        record.insert("tags".into(), json!(stat.tags));
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    record.extend(stat.compute_time.map(|time| ("compute_time".to_owned(), millis(time).into())));
    if stat.sensitive {
        record.insert("sensitive".into(), true.into());
    }
    record.into()
}
