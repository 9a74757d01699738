//! Making a backup, in constant memory, while others go on writing.

use std::io::{self, Write};

use bulla_backend::{Document, Documents, ListQuery};
use bulla_seal::{Params, SealWriter, SigningKey};

use super::content_key::ContentKey;
use super::format::{COLLECTIONS, Chain, framed};
use super::{BackupError, BackupHeader, BackupInfo, BackupItem};
use crate::format::{RecordHash, SignedRecord, TRUST_LOG, WRAPS};
use crate::trust_log::{Problem, TrustPin};
use crate::{Fingerprint, Keyring, KeyringError};

/// How often a backup is begun anew because the trust log grew meanwhile. Each time means that somebody changed who may do what.
const MAX_ATTEMPTS: usize = 16;

impl Keyring {
    /// Writes a backup of the project's trust database: its machines, its log and its keys. The entries of a store are not part of it.
    ///
    /// It is sealed to every machine in force, the recovery identity among them, and any one of them can restore it. Others may go on
    /// working: where the trust log grows meanwhile, the backup is begun anew, in a new writer from `begin`. `tell` hears how many documents were
    /// written.
    ///
    /// # Errors
    /// [`BackupError::Io`] if a writer fails; [`KeyringError::Conflict`] if the log grows again and again; otherwise as other operations.
    ///
    /// # Security
    /// Whoever holds the private keys of any one of its machines, later too, can read all keys of the project from the backup. What is revoked
    /// afterwards stays readable in it: rotate keys that mattered, and keep few backups.
    pub async fn back_up<W: Write>(
        &self,
        mut begin: impl FnMut() -> io::Result<W>,
        mut tell: impl FnMut(u64),
    ) -> Result<(W, BackupInfo), BackupError> {
        for _ in 0..MAX_ATTEMPTS {
            let trusted = self.looked().await?;
            let content = ContentKey::draw()?;
            let mut header = BackupHeader {
                project: self.project(),
                author: self.identity().fingerprint(),
                time: self.clock().now(),
                log_length: trusted.pin.length(),
                head: trusted.pin.head(),
                recipients: Vec::new(),
            };
            for machine in trusted.machines.values() {
                header.recipients.push(content.wrap(&header.project, &machine.public)?);
            }
            let mut copy = Copy::begin(header, &content, begin()?)?;
            let documents = self.documents();
            if !copy.log(&*documents, &trusted.pin).await? {
                continue;
            }
            for collection in COLLECTIONS.into_iter().filter(|collection| *collection != TRUST_LOG) {
                let mut query = ListQuery::default();
                loop {
                    let page = documents.list(collection, &query).await?;
                    for document in page.documents {
                        // Copies of data keys for machines that were put out, or never let in, open nothing worth having.
                        if collection != WRAPS
                            || machine_of(&document).is_some_and(|it| trusted.machines.contains_key(&it))
                        {
                            copy.item(&BackupItem::Document { collection, key: document.key, value: document.value })?;
                        }
                    }
                    tell(copy.documents);
                    match page.next {
                        Some(next) => query.after = Some(next),
                        None => break,
                    }
                }
            }
            let finished = copy.finish(self.identity().signing())?;
            // What stood at the beginning stood to the end: the rows that were copied belong to this log.
            if self.looked().await?.pin == trusted.pin {
                return Ok(finished);
            }
        }
        Err(KeyringError::Conflict("the trust log".to_owned()).into())
    }
}

/// A backup that is being written.
struct Copy<W: Write> {
    header: BackupHeader,
    body: SealWriter<W>,
    chain: Chain,
    documents: u64,
}

impl<W: Write> Copy<W> {
    fn begin(header: BackupHeader, content: &ContentKey, mut out: W) -> Result<Self, BackupError> {
        out.write_all(&header.to_file()?)?;
        let chain = Chain::begin(&header);
        let body = SealWriter::new(&content.seal_key()?, Params::default(), &header.body_context()?, out)?;
        Ok(Self { header, body, chain, documents: 0 })
    }

    /// Copies the trust log as it was verified; says whether it still is as long.
    async fn log(&mut self, documents: &dyn Documents, pin: &TrustPin) -> Result<bool, BackupError> {
        let mut query = ListQuery::default();
        let (mut position, mut head) = (0, RecordHash::NONE);
        loop {
            let page = documents.list(TRUST_LOG, &query).await?;
            for document in page.documents {
                if position == pin.length() {
                    return Ok(false);
                }
                let damaged = || KeyringError::from(Problem::Malformed.at(position));
                let record = SignedRecord::decode(&document.value).ok_or_else(damaged)?;
                if record.record().position != position || record.record().previous != head {
                    return Err(KeyringError::from(Problem::Previous.at(position)).into());
                }
                (position, head) = (position + 1, record.hash());
                self.item(&BackupItem::Document { collection: TRUST_LOG, key: document.key, value: document.value })?;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        if (position, head) == (pin.length(), pin.head()) {
            Ok(true)
        } else {
            Err(KeyringError::Rollback { pinned: pin.length(), found: position }.into())
        }
    }

    fn item(&mut self, item: &BackupItem) -> Result<(), BackupError> {
        let encoded = item.encode();
        self.body.write_all(&framed(&encoded))?;
        self.chain.add(&encoded);
        self.documents += 1;
        Ok(())
    }

    /// Writes the author's signature and ends the body.
    fn finish(mut self, key: &SigningKey) -> Result<(W, BackupInfo), BackupError> {
        let end = BackupItem::End(key.sign(&self.chain.signed_bytes())?);
        self.body.write_all(&framed(&end.encode()))?;
        let info = BackupInfo::new(&self.header, self.chain.id(), self.documents);
        Ok((self.body.finish()?, info))
    }
}

/// Returns the machine that a wrap says it is for.
fn machine_of(wrap: &Document) -> Option<Fingerprint> {
    wrap.key.as_bytes().first_chunk().copied().map(Fingerprint)
}
