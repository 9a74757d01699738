//! Which namespaces and entries there are.

use bulla::{EntryName, EntryQuery};
use data_encoding::BASE64URL_NOPAD;
use schemars::JsonSchema;
use serde::Serialize;

use super::name::{ShownName, bytes, namespace};
use crate::table::Data;
use crate::{ApiError, Call};

/// Most entries of a page.
const MAX_PAGE: u64 = 1_000;

/// The namespaces that have settings or entries.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Namespaces {
    keys: Vec<String>,
}

/// A page of entries.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page {
    entries: Vec<Shown>,
    /// What to give as `after` for the next page; `null` if this was the last.
    next: Option<String>,
}

/// An entry of a listing.
#[derive(Debug, Serialize, JsonSchema)]
struct Shown {
    #[serde(flatten)]
    name: ShownName,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    /// When it was put, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    /// From when on it is gone, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Why it does not open, by a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'static str>,
}

pub(super) async fn namespaces(call: Call) -> Result<Data<Namespaces>, ApiError> {
    let names = call.project().entries().namespaces().await?;
    Ok(Data::new(Namespaces { keys: names.iter().map(ToString::to_string).collect() }))
}

pub(super) async fn entries(call: Call) -> Result<Data<Page>, ApiError> {
    let after = match call.query().text("after").filter(|after| !after.is_empty()) {
        None => None,
        Some(after) => {
            let bytes = BASE64URL_NOPAD.decode(after.as_bytes());
            let bytes = bytes.map_err(|_| ApiError::field("after", "is not the `next` of a page"))?;
            Some(EntryName::new(bytes).map_err(|_| ApiError::field("after", "is not the `next` of a page"))?)
        }
    };
    let limit = call.query().number("limit", 1..=MAX_PAGE)?.unwrap_or(MAX_PAGE);
    let query = EntryQuery {
        prefix: bytes(&call, "prefix", "prefix_base64")?.unwrap_or_default(),
        after,
        limit: usize::try_from(limit).unwrap_or_default(),
    };
    let page = namespace(&call)?.list(&query).await?;
    let entries = page.entries.into_iter().map(|entry| {
        let name = ShownName::new(entry.name.as_bytes());
        match entry.stat {
            Ok(stat) => Shown {
                name,
                version: Some(stat.version),
                length: Some(stat.len),
                media_type: stat.media_type,
                created: Some(stat.created.0),
                expires: stat.expires.map(|expires| expires.0),
                tags: stat.tags,
                damage: None,
            },
            Err(error) => Shown {
                name,
                version: None,
                length: None,
                media_type: None,
                created: None,
                expires: None,
                tags: Vec::new(),
                damage: Some(error.code()),
            },
        }
    });
    let next = page.next.map(|next| BASE64URL_NOPAD.encode(next.as_bytes()));
    Ok(Data::new(Page { entries: entries.collect(), next }))
}
