//! The text of the file: `spec/backend.md`, "JSON file".

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::{
    DocumentKey, MAX_DOCUMENT_LEN, Revision,
    table::{MAX_REVISION, Stored, Table},
};

const FORMAT: &str = "bulla-documents";
const VERSION: u64 = 1;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it has version {0} of the format, this program reads up to {VERSION}: use a newer one")]
    Newer(u64),
    #[error("it is no file of documents: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("it says that it is `{0}`, not `{FORMAT}`")]
    Format(String),
    #[error("its document {0} (from 1) has {1}")]
    Document(usize, &'static str),
    #[error("its document `{0}` is longer than {MAX_DOCUMENT_LEN} bytes")]
    Overlong(DocumentKey),
    #[error("its revision is above {MAX_REVISION}")]
    Revision,
}

pub(super) fn read(text: &[u8]) -> Result<Table, Refused> {
    let head: Head = serde_json::from_slice(text)?;
    if head.format != FORMAT {
        return Err(Refused::Format(head.format));
    }
    if head.version > VERSION {
        return Err(Refused::Newer(head.version));
    }
    let file: File<Entry> = serde_json::from_slice(text)?;
    if file.revision > MAX_REVISION {
        return Err(Refused::Revision);
    }
    let mut table = Table::new(file.revision);
    for (index, entry) in file.documents.into_iter().enumerate() {
        let refuse = |why| Refused::Document(index + 1, why);
        if entry.revision == 0 || entry.revision > file.revision {
            return Err(refuse("a revision that was never given"));
        }
        let key = bytes(entry.key, entry.key_base64).ok_or_else(|| refuse("not one key"))?;
        let key = DocumentKey::new(key).map_err(|_| refuse("an empty or overlong key"))?;
        let value = bytes(entry.text, entry.base64).ok_or_else(|| refuse("not one value"))?;
        if value.len() > MAX_DOCUMENT_LEN {
            return Err(Refused::Overlong(key));
        }
        let stored = Stored { revision: Revision(entry.revision), value: value.into(), filing: None };
        if !table.restore(entry.collection, key, stored) {
            return Err(refuse("the key of an earlier one"));
        }
    }
    Ok(table)
}

pub(super) fn write(table: &Table) -> serde_json::Result<Vec<u8>> {
    let documents = table
        .iter()
        .map(|(collection, key, stored)| {
            let (key, key_base64) = text(key.as_bytes());
            let (text, base64) = text(&stored.value);
            Entry { collection, key, key_base64, revision: stored.revision.0, text, base64 }
        })
        .collect();
    let format = FORMAT.to_owned();
    let mut text = serde_json::to_vec_pretty(&File { format, version: VERSION, revision: table.newest(), documents })?;
    text.push(b'\n');
    Ok(text)
}

/// What files of all versions have.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<E> {
    format: String,
    version: u64,
    revision: u64,
    documents: Vec<E>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<C = String, T = String> {
    collection: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Returns bytes in the form that people can read, if they are text, or else in the other.
fn text(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

fn bytes(text: Option<String>, base64: Option<String>) -> Option<Vec<u8>> {
    match (text, base64) {
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(base64)) => BASE64.decode(base64.as_bytes()).ok(),
        _ => None,
    }
}
