//! Digests, for clients that have no hash function at hand.

use aws_lc_rs::digest::{self, Algorithm};
use data_encoding::{BASE64, HEXLOWER};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::fields::SecretText;
use super::sign::input;
use crate::ApiError;

/// What is to be hashed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HashRequest {
    /// The message, in base64.
    pub input: Option<SecretText>,
    /// The algorithm; `sha2-256` unless given.
    pub algorithm: Option<String>,
    /// How the digest is written: `hex`, unless `base64` is given.
    pub format: Option<String>,
}

/// A digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hashed {
    /// The digest.
    pub sum: String,
}

/// Hashes a message. The path may name the algorithm, which is taken before that of the body.
///
/// # Errors
/// 400 for an algorithm or a format that there is not.
pub fn hash(algorithm: Option<&str>, request: &HashRequest) -> Result<Answer<Hashed>, ApiError> {
    let algorithm = by_name(algorithm.or(request.algorithm.as_deref()))?;
    let input = input(request.input.as_ref())?;
    let sum = digest::digest(algorithm, &input);
    let sum = match request.format.as_deref() {
        None | Some("" | "hex") => HEXLOWER.encode(sum.as_ref()),
        Some("base64") => BASE64.encode(sum.as_ref()),
        Some(_) => return Err(unsupported_format()),
    };
    Ok(Answer::ok(Hashed { sum }))
}

/// Makes the error of a format that there is not.
pub(super) fn unsupported_format() -> ApiError {
    ApiError::field("format", "it is `hex` or `base64`")
}

fn by_name(name: Option<&str>) -> Result<&'static Algorithm, ApiError> {
    match name {
        None | Some("" | "sha2-256") => Ok(&digest::SHA256),
        Some("sha2-224") => Ok(&digest::SHA224),
        Some("sha2-384") => Ok(&digest::SHA384),
        Some("sha2-512") => Ok(&digest::SHA512),
        Some("sha3-256") => Ok(&digest::SHA3_256),
        Some("sha3-384") => Ok(&digest::SHA3_384),
        Some("sha3-512") => Ok(&digest::SHA3_512),
        Some(_) => {
            let known = "unsupported algorithm; there are sha2-224, sha2-256, sha2-384, sha2-512, sha3-256, sha3-384 and sha3-512";
            Err(ApiError::field("algorithm", known))
        }
    }
}
