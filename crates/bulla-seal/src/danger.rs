//! Sealing with a chosen salt, to reproduce test vectors.

use crate::{Context, Params, SealError, SealKey};

/// Seals a message under a salt of the caller's choice.
///
/// # Errors
/// As [`SealKey::seal`].
///
/// # Security
/// Two messages under one salt, key and context share a key and a nonce: whoever has both sealed values can read and forge.
pub fn seal_with_salt(
    key: &SealKey,
    params: Params,
    context: &Context,
    salt: &[u8; 24],
    message: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::new();
    crate::one_shot::seal_under(key, params, context, salt, message, &mut out)?;
    Ok(out)
}
