//! Listing what is in a folder, of any engine whose secrets are entries by their paths.

use bulla_backend::MAX_PAGE_DOCUMENTS;
use bulla_store::{EntryName, EntryQuery, Namespace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient::{Unsigned, optional};
use crate::ApiError;

/// How many keys are listed at once.
pub const MAX_KEYS: usize = 100_000;
/// How many entries the first page has, and each one behind a folder that was passed over.
const FIRST_PAGE: usize = 32;

/// Which part of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Only keys behind this one.
    #[serde(default)]
    pub after: Option<String>,
    /// At most this many; 0 for all.
    #[serde(default, deserialize_with = "optional")]
    pub limit: Option<Unsigned>,
}

/// The keys of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Keys {
    /// Names of secrets, and of folders with a `/` behind, in bytewise order.
    pub keys: Vec<String>,
}

/// Lists what is directly below a prefix of entry names, which is empty or ends with `/`.
///
/// It is no snapshot: what is written meanwhile may be seen or not.
pub(crate) async fn list_names(namespace: &Namespace, prefix: &str, request: &ListRequest) -> Result<Keys, ApiError> {
    let limit = match request.limit {
        None | Some(Unsigned(0)) => MAX_KEYS + 1,
        Some(Unsigned(limit)) => usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_KEYS),
    };
    let mut keys: Vec<String> = Vec::new();
    let mut after = request.after.as_deref().filter(|after| !after.is_empty()).map(|after| behind(prefix, after));
    let mut page_len = FIRST_PAGE;
    while keys.len() < limit {
        let name = after.take().map(EntryName::new).transpose()?;
        let query = EntryQuery { prefix: prefix.as_bytes().to_vec(), after: name, limit: page_len };
        let page = namespace.list(&query).await?;
        let before = keys.len();
        for entry in &page.entries {
            let key = key(prefix, entry.name.as_bytes());
            if keys.last() != Some(&key) && keys.len() < limit {
                keys.push(key);
            }
        }
        let Some(next) = page.next else { break };
        // However many entries a folder has, it is one key: what is left of it need not be read.
        after = Some(match keys.last() {
            Some(folder) if folder.ends_with('/') => behind(prefix, folder),
            _ => next.as_bytes().to_vec(),
        });
        let is_wasted = (keys.len() - before) * 2 < page.entries.len();
        page_len = if is_wasted { FIRST_PAGE } else { (page_len * 4).min(MAX_PAGE_DOCUMENTS) };
    }
    if keys.len() > MAX_KEYS {
        return Err(ApiError::field("limit", format!("there are more than {MAX_KEYS} keys"))
            .with_hint("ask for a part of them, with `limit` and `after`"));
    }
    if keys.is_empty() {
        return Err(ApiError::not_found("secret in that folder"));
    }
    Ok(Keys { keys })
}

/// Returns the key that an entry has in a listing: what follows the prefix, up to a `/`.
fn key(prefix: &str, name: &[u8]) -> String {
    let rest = name.get(prefix.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'/').map_or(rest.len(), |slash| slash + 1);
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

/// Returns what all entries of a key precede, and all others behind it follow.
fn behind(prefix: &str, key: &str) -> Vec<u8> {
    let mut name = [prefix.as_bytes(), key.as_bytes()].concat();
    if let Some(slash) = key.find('/') {
        // No path contains this byte, so that it follows everything in the folder.
        name.truncate(prefix.len() + slash + 1);
        name.push(0xff);
    }
    // A name is no longer than that, and so this one follows the same ones when it is cut.
    name.truncate(bulla_store::MAX_NAME_LEN);
    name
}
