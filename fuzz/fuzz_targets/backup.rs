//! An arbitrary header and item of a backup, and a genuine backup that was altered: each part is refused, or is the one encoding of what it
//! says; and no backup but the genuine one is read.
//!
//! Input: the number of alterations; for each an offset, how many bytes are taken out there, and what is put in. What is left is read as a file, a
//! header and an item of its own.
#![no_main]

use std::sync::{Arc, LazyLock};

use bulla_backend::{BlobId, Clock, Collection, DocumentKey, Durability, MemoryDocuments, Timestamp};
use bulla_fuzz::Input;
use bulla_keyring::{
    Algorithm, Backup, BackupError, BackupHeader, BackupItem, Identity, Keyring, MAX_BACKUP_HEADER_LEN,
    MAX_BACKUP_ITEM_LEN,
};
use bulla_seal::ProjectId;
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

/// A backup as its author wrote it.
struct Genuine {
    identity: Arc<Identity>,
    project: ProjectId,
    file: Vec<u8>,
    backup: Backup,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| block_on(genuine()).expect("a backup of a new project"));

fuzz_target!(|data: &[u8]| {
    let genuine = &*GENUINE;
    let mut input = Input(data);
    let mut file = genuine.file.clone();
    for _ in 0..input.byte() % 4 {
        let at = input.number() % (file.len() + 1);
        let end = (at + input.number()).min(file.len());
        file.splice(at..end, input.counted().iter().copied());
    }
    let read = read(genuine, &file);
    assert_eq!(read.is_ok(), file == genuine.file, "{:?}", read.err());
    // Nor is anything of a store read from another file than the one that was verified.
    if let Ok(mut contents) = genuine.backup.contents(file.as_slice()) {
        let mut items = 0;
        let read = loop {
            match contents.next_item() {
                Ok(Some(_)) => items += 1,
                ended => break ended,
            }
        };
        assert_eq!(read.is_ok(), file == genuine.file, "{:?}", read.err());
        assert!(items <= 4);
    }

    let rest = input.0;
    assert!(self::read(genuine, rest).is_err());
    if let Some(header) = BackupHeader::decode(rest) {
        assert!(rest.len() <= MAX_BACKUP_HEADER_LEN);
        assert_eq!(header.encode(), rest);
        let magic: &[u8] = if header.with_entries { b"BLB\x02" } else { b"BLB\x01" };
        let framed = [magic, &u32::try_from(rest.len()).expect("a bounded length").to_be_bytes(), rest];
        let again = BackupHeader::read(&mut framed.concat().as_slice());
        assert_eq!(again.expect("the header in its frame"), header);
    }
    if let Some(item) = BackupItem::decode(rest) {
        assert!(rest.len() <= MAX_BACKUP_ITEM_LEN);
        assert_eq!(item.encode(), rest);
    }
});

fn read(genuine: &Genuine, file: &[u8]) -> Result<Backup, BackupError> {
    block_on(Backup::read(file, genuine.identity.clone(), genuine.project, Arc::new(StoppedClock)))
}

async fn genuine() -> Result<Genuine, Box<dyn std::error::Error>> {
    let identity = Arc::new(Identity::generate()?);
    let documents = Arc::new(MemoryDocuments::new());
    let keyring = Keyring::create(documents, identity.clone(), &"here".parse()?, Arc::new(StoppedClock)).await?;
    keyring.create_key(&"orders".parse()?, Algorithm::Aes256Gcm).await?;
    let mut writing = keyring.begin_backup(Vec::new()).await?;
    let collection = |name| Collection::new(name, Durability::Durable);
    writing.document(collection("namespaces"), DocumentKey::new(*b"orders")?, b"settings".to_vec())?;
    writing.blob_piece(BlobId([1; 32]), 0, vec![7; 100])?;
    writing.blob_end(BlobId([1; 32]), 100)?;
    writing.document(collection("entries"), DocumentKey::new(*b"orders\0a")?, b"entry".to_vec())?;
    let (file, _) = writing.finish(&keyring).await?;
    let project = keyring.project();
    let backup = Backup::read(file.as_slice(), identity.clone(), project, Arc::new(StoppedClock)).await?;
    Ok(Genuine { identity, project, file, backup })
}
