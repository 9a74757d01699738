use bulla_guard::access::{Access, CredentialId, Principal, PrincipalKind};

use super::{AccessorRequest, TokenRequest, named, of_accessor};
use crate::ApiError;

/// Revokes a token, and with it all that it made; returns its accessor.
///
/// # Errors
/// 400 for one that is none.
pub async fn revoke_token(access: &Access, request: TokenRequest) -> Result<CredentialId, ApiError> {
    let token = named(access, request.token.as_ref()).await?;
    access.revoke_token(token.accessor).await?;
    Ok(token.accessor)
}

/// Revokes a token, by its accessor, and with it all that it made; returns that.
///
/// # Errors
/// 400 for one that is none.
pub async fn revoke_accessor(access: &Access, request: AccessorRequest) -> Result<CredentialId, ApiError> {
    let token = of_accessor(access, request.accessor.as_deref()).await?;
    access.revoke_token(token.accessor).await?;
    Ok(token.accessor)
}

/// Revokes the token that somebody shows, and with it all that it made.
///
/// # Errors
/// 400 for what is no token.
pub async fn revoke_self(access: &Access, caller: &Principal) -> Result<(), ApiError> {
    if caller.kind() != PrincipalKind::Token {
        let problem = "only a token revokes itself";
        let error = ApiError::new(http::StatusCode::BAD_REQUEST, "not_a_token", problem);
        return Err(error.with_hint("an API key is revoked at /v1/keys/ID/revoke"));
    }
    access.revoke_self(caller).await?;
    Ok(())
}
