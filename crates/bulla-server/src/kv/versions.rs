//! Deleting, undeleting and destroying versions by their numbers.

use bulla_backend::Timestamp;
use bulla_store::Store;
use schemars::JsonSchema;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::change::{Change, Spot, Verdict};
use super::lenient::{Lenient as _, Unsigned};
use super::record::Version;
use crate::ApiError;
use crate::engines::Engine;

/// How many numbers a request can have.
const MAX_NUMBERS: usize = 1_000;

/// Which versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsRequest {
    /// Their numbers. Those that are not kept are passed over.
    #[serde(default, deserialize_with = "numbers")]
    pub versions: Vec<u64>,
}

/// Deletes versions: they are hidden, and can be undeleted.
///
/// # Errors
/// 400 without a number; fails if the store cannot be written.
pub async fn delete_versions(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &VersionsRequest,
    now: Timestamp,
) -> Result<(), ApiError> {
    each(store, engine, path, request, |change, number| {
        Ok(visit(change, number, |version| {
            let is_due = !version.is_hidden(now);
            if is_due {
                version.deleted = Some(now);
            }
            is_due
        }))
    })
    .await
}

/// Makes deleted versions readable again, for as long as a new one would be.
///
/// # Errors
/// As [`delete_versions`].
pub async fn undelete_versions(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &VersionsRequest,
    now: Timestamp,
) -> Result<(), ApiError> {
    each(store, engine, path, request, |change, number| {
        let deleted = change.lifetime().map(|lifetime| now.saturating_add(lifetime));
        Ok(visit(change, number, |version| {
            let is_due = !version.destroyed && version.deleted != deleted;
            if is_due {
                version.deleted = deleted;
            }
            is_due
        }))
    })
    .await
}

/// Removes the data of versions for good.
///
/// # Errors
/// As [`delete_versions`].
pub async fn destroy_versions(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &VersionsRequest,
) -> Result<(), ApiError> {
    each(store, engine, path, request, |change, number| {
        if !visit(change, number, |version| !std::mem::replace(&mut version.destroyed, true)) {
            return Ok(false);
        }
        match &mut change.secret {
            Some(secret) if secret.current == number => secret.data = None,
            _ => change.remove_version(number)?,
        }
        Ok(true)
    })
    .await
}

/// Does something to each version of a request, in one transaction; `act` says whether it changed anything.
async fn each(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &VersionsRequest,
    mut act: impl FnMut(&mut Change<'_>, u64) -> Result<bool, ApiError>,
) -> Result<(), ApiError> {
    if request.versions.is_empty() {
        return Err(ApiError::field("versions", "no version number provided"));
    }
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| {
        let mut is_changed = false;
        for number in &request.versions {
            is_changed |= act(change, *number)?;
        }
        Ok(if is_changed { Verdict::Write(()) } else { Verdict::Keep(()) })
    })
    .await
}

/// Changes what is known of a version, if it is kept.
fn visit(change: &mut Change<'_>, number: u64, act: impl FnOnce(&mut Version) -> bool) -> bool {
    change.secret.as_mut().and_then(|secret| secret.version_mut(number)).is_some_and(act)
}

/// Reads numbers: a list of numbers or of texts, one alone, or a text with commas.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    deserializer.deserialize_any(Numbers)
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of version numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(vec![number])
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let read = |part: &str| Unsigned::of_text(part.trim()).map(|number| number.0);
        let numbers: Option<Vec<_>> =
            text.split(',').filter(|part| !part.is_empty()).take(MAX_NUMBERS + 1).map(read).collect();
        numbers.filter(|numbers| numbers.len() <= MAX_NUMBERS).ok_or_else(|| E::custom("expected version numbers"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut numbers = Vec::new();
        while numbers.len() < MAX_NUMBERS {
            let Some(Unsigned(number)) = list.next_element()? else { return Ok(numbers) };
            numbers.push(number);
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(numbers),
            Some(_) => Err(A::Error::custom(format!("there are more than {MAX_NUMBERS}"))),
        }
    }
}
