//! Random bytes.

use bulla::{MAX_RANDOM_LEN, Project};
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::fields::{Number, SecretText};
use super::hash::unsupported_format;
use crate::ApiError;

/// Most random bytes at a time, as in Vault.
pub const MAX_RANDOM_BYTES: usize = 128 * 1_024;
const DEFAULT_BYTES: usize = 32;

/// How many random bytes are wanted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomRequest {
    /// How many; 32 unless given.
    pub bytes: Option<Number>,
    /// How they are written: `base64`, unless `hex` is given.
    pub format: Option<String>,
    /// Where they come from: `platform`, `seal` and `all` are one generator here.
    pub source: Option<String>,
}

/// Random bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RandomBytes {
    /// The bytes.
    pub random_bytes: SecretText,
}

/// Draws random bytes. The path may name the source, how many, or first the one and then the other: its segments are `first` and `second`.
///
/// # Errors
/// 400 for none, too many, or a source or a format that there is not.
pub fn random(
    project: &Project,
    first: Option<&str>,
    second: Option<&str>,
    request: &RandomRequest,
) -> Result<Answer<RandomBytes>, ApiError> {
    let (source, bytes) = match (first, second) {
        (Some(first), None) if first.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(first)),
        (first, second) => (first, second),
    };
    match source.or(request.source.as_deref()) {
        None | Some("" | "platform" | "seal" | "all") => {}
        Some(_) => return Err(ApiError::field("source", "it is `platform`, `seal` or `all`, which are one here")),
    }
    let wanted = match bytes {
        Some(text) => {
            text.parse::<usize>().map_err(|_| ApiError::field("bytes", "it is no number that can be given"))?
        }
        None => request.bytes.map_or(Ok(DEFAULT_BYTES), |Number(bytes)| usize::try_from(bytes)).unwrap_or(0),
    };
    if !(1..=MAX_RANDOM_BYTES).contains(&wanted) {
        return Err(ApiError::field("bytes", format_args!("1 to {MAX_RANDOM_BYTES} are given at a time")));
    }
    let encode: fn(&[u8]) -> SecretText = match request.format.as_deref() {
        None | Some("" | "base64") => SecretText::base64,
        Some("hex") => |bytes| HEXLOWER.encode(bytes).into(),
        Some(_) => return Err(unsupported_format()),
    };
    let mut drawn = Zeroizing::new(Vec::with_capacity(wanted));
    while drawn.len() < wanted {
        let piece = project.keyring().random((wanted - drawn.len()).min(MAX_RANDOM_LEN))?;
        drawn.extend_from_slice(piece.expose());
    }
    Ok(Answer::ok(RandomBytes { random_bytes: encode(&drawn) }))
}
