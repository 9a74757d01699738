//! What only somebody who can open a backup, or signs it, can put together.

use std::io::Write;
use std::sync::Arc;

use bulla_backend::{DocumentKey, MemoryDocuments, SystemClock};
use bulla_seal::{Params, ProjectId, SealWriter, Signature, SigningKey, Suite};

use super::content_key::ContentKey;
use super::format::{Chain, framed, read_framed};
use super::*;
use crate::format::{KEY_IDS, KEYS, TRUST_LOG, WRAPS};
use crate::{Algorithm, Identity, Keyring};

/// A genuine backup, taken apart.
struct Parts {
    identity: Arc<Identity>,
    header: BackupHeader,
    content: ContentKey,
    items: Vec<Vec<u8>>,
}

impl Parts {
    fn new() -> Self {
        let identity = Arc::new(Identity::generate().unwrap());
        let file = pollster::block_on(async {
            let (trust, machine) = (Arc::new(MemoryDocuments::new()), "here".parse().unwrap());
            let keyring = Keyring::create(trust, Arc::clone(&identity), &machine, Arc::new(SystemClock)).await.unwrap();
            keyring.create_key(&"orders".parse().unwrap(), Algorithm::default()).await.unwrap();
            keyring.back_up(|| Ok(Vec::new()), |_| {}).await.unwrap().0
        });
        let mut rest = file.as_slice();
        let header = BackupHeader::read(&mut rest).unwrap();
        let content = ContentKey::unwrap(&header.recipients[0], &header.project, &identity).unwrap();
        let body = content.seal_key().unwrap().open(&header.body_context().unwrap(), rest).unwrap();
        let (mut rest, mut items) = (body.as_slice(), Vec::new());
        while let Some(item) = read_framed(&mut rest, MAX_BACKUP_ITEM_LEN).unwrap() {
            items.push(item);
        }
        // The signature is made anew each time.
        assert!(matches!(BackupItem::decode(&items.pop().unwrap()), Some(BackupItem::End(_))));
        Self { identity, header, content, items }
    }

    /// Puts a backup together and signs it.
    fn file(&self, key: &SigningKey) -> Vec<u8> {
        let mut chain = Chain::begin(&self.header);
        self.items.iter().for_each(|item| chain.add(item));
        let end = BackupItem::End(key.sign(&chain.signed_bytes()).unwrap());
        let items: Vec<_> = self.items.iter().cloned().chain([end.encode()]).collect();
        self.sealed(&items, Suite::default())
    }

    fn sealed(&self, items: &[Vec<u8>], suite: Suite) -> Vec<u8> {
        let (key, context) = (self.content.seal_key().unwrap(), self.header.body_context().unwrap());
        let file = self.header.to_file().unwrap();
        let mut body = SealWriter::new(&key, Params::new(suite), &context, file).unwrap();
        for item in items {
            body.write_all(&framed(item)).unwrap();
        }
        body.finish().unwrap()
    }

    fn read(&self, file: &[u8]) -> Result<Backup, BackupError> {
        let identity = Arc::clone(&self.identity);
        pollster::block_on(Backup::read(file, identity, self.header.project, Arc::new(SystemClock)))
    }

    #[track_caller]
    fn is_refused(&self, code: &str) {
        assert_eq!(self.read(&self.file(self.identity.signing())).unwrap_err().code(), code);
    }

    /// Returns where the documents of a collection begin.
    fn first(&self, collection: bulla_backend::Collection) -> usize {
        let found = self.items.iter().position(|item| {
            matches!(BackupItem::decode(item), Some(BackupItem::Document { collection: found, .. }) if found == collection)
        });
        found.unwrap()
    }
}

#[test]
fn what_was_taken_apart_fits_together() {
    let parts = Parts::new();
    let backup = parts.read(&parts.file(parts.identity.signing())).unwrap();
    assert_eq!(backup.info().documents, parts.items.len() as u64);
    assert!(backup.damaged().is_empty());
    for item in &parts.items {
        assert_eq!(BackupItem::decode(item).unwrap().encode(), *item);
    }
    let encoded = parts.header.encode();
    assert_eq!(BackupHeader::decode(&encoded), Some(parts.header));
}

#[test]
fn only_the_author_signs() {
    let mut parts = Parts::new();
    let stranger = Identity::generate().unwrap();
    // A recipient can seal a body anew, and cannot sign it.
    let unsigned = parts.file(stranger.signing());
    assert_eq!(parts.read(&unsigned).unwrap_err().code(), "foreign_backup");
    let entry = parts.first(KEY_IDS);
    let removed = parts.items.remove(entry);
    let missing = parts.file(stranger.signing());
    assert_eq!(parts.read(&missing).unwrap_err().code(), "foreign_backup");
    parts.items.insert(entry, removed);
    // Nor does it help to name oneself.
    parts.header.author = stranger.fingerprint();
    let renamed = parts.file(stranger.signing());
    assert_eq!(parts.read(&renamed).unwrap_err().code(), "foreign_backup");
}

#[test]
fn a_body_that_is_not_as_the_format_says_is_refused() {
    let changes: [fn(&mut Parts); 9] = [
        |parts| parts.items.swap(0, 1),
        |parts| parts.items.push(parts.items[parts.items.len() - 1].clone()),
        |parts| parts.items.rotate_left(1),
        |parts| {
            let (key, id) = (parts.first(KEYS), parts.first(KEY_IDS));
            parts.items.swap(key, id);
        },
        |parts| parts.items.push(b"no item".to_vec()),
        |parts| parts.items.push(Vec::new()),
        |parts| parts.items.push(vec![0x83, 0x65, b'o', b't', b'h', b'e', b'r', 0x41, 1, 0x41, 2]),
        |parts| parts.items.push([&parts.items[0][..], &[0]].concat()),
        |parts| parts.items.insert(0, BackupItem::End(Signature([0; 64])).encode()),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut parts = Parts::new();
        change(&mut parts);
        let refused = parts.read(&parts.file(parts.identity.signing())).unwrap_err();
        assert_eq!(refused.code(), "damaged_backup", "change {at}: {refused}");
    }
    let parts = Parts::new();
    assert_eq!(parts.read(&parts.sealed(&parts.items, Suite::default())).unwrap_err().code(), "damaged_backup");
    let open = parts.sealed(&parts.items, Suite::Authenticated);
    assert_eq!(parts.read(&open).unwrap_err().code(), "damaged_backup");
}

#[test]
fn a_log_that_is_not_the_one_named_is_refused() {
    let mut parts = Parts::new();
    parts.header.log_length += 1;
    parts.is_refused("damaged_backup");

    let mut parts = Parts::new();
    parts.header.head = RecordHash([7; 32]);
    parts.is_refused("damaged_backup");

    // Without its root, its last record, or this machine's data key, it is no project at all.
    let mut parts = Parts::new();
    parts.items.remove(parts.first(TRUST_LOG));
    parts.is_refused("not_found");
    let mut parts = Parts::new();
    parts.items.remove(parts.first(KEYS) - 1);
    parts.is_refused("trust_log");
    let mut parts = Parts::new();
    parts.items.remove(parts.first(WRAPS));
    assert!(parts.read(&parts.file(parts.identity.signing())).is_err());
}

#[test]
fn the_longest_documents_have_room() {
    let longest = BackupItem::Document {
        collection: KEYS,
        key: DocumentKey::new(vec![1; bulla_backend::MAX_KEY_LEN]).unwrap(),
        value: vec![2; bulla_backend::MAX_DOCUMENT_LEN],
    };
    assert_eq!(BackupItem::decode(&longest.encode()), Some(longest.clone()));
    let BackupItem::Document { collection, key, mut value } = longest else { unreachable!() };
    value.push(2);
    assert_eq!(BackupItem::decode(&BackupItem::Document { collection, key, value }.encode()), None);
}

#[test]
fn a_header_has_room_for_the_largest_project() {
    let recipients = (0..10_000_u64)
        .map(|machine| {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&machine.to_be_bytes());
            format::Recipient { machine: Fingerprint(fingerprint), wrapped: Box::new([9; crate::format::WRAPPED_LEN]) }
        })
        .collect();
    let mut header = BackupHeader {
        with_entries: true,
        project: ProjectId([1; 32]),
        author: Fingerprint([2; 32]),
        time: Timestamp(3),
        log_length: 1 << 20,
        head: RecordHash([4; 32]),
        recipients,
    };
    let file = header.to_file().unwrap();
    assert_eq!(BackupHeader::read(&mut file.as_slice()).unwrap(), header);
    header.recipients.swap(3, 4);
    assert_eq!(BackupHeader::decode(&header.encode()), None, "out of order");
    header.recipients.swap(3, 4);
    header.recipients[4].machine = header.recipients[3].machine;
    assert_eq!(BackupHeader::decode(&header.encode()), None, "twice");
}
