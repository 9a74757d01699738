//! What a failure of the keyring is to a client: a status, and a message without paths or addresses of the backend.

use bulla::{ErrorKind, KeyringError, SealError};
use http::StatusCode;

use super::ApiError;

impl From<KeyringError> for ApiError {
    fn from(error: KeyringError) -> Self {
        let (status, code) = (status(&error), error.code());
        match &error {
            // What the backend says of itself may name files and hosts: it is for the log of the server.
            KeyringError::Backend(_) | KeyringError::Stale { .. } => {
                Self::new(status, code, "the backend does not answer as it should").with_hint("try again later")
            }
            KeyringError::Corrupt { document, .. } => {
                let hint = "have the server's operator run `bulla check`";
                Self::new(status, code, format!("{document} is corrupt")).with_hint(hint)
            }
            KeyringError::TrustLog(_) => Self::new(status, code, "the trust log is not valid"),
            KeyringError::Busy { .. } | KeyringError::LeaseLost | KeyringError::Conflict(_) => {
                Self::new(status, code, error.to_string()).with_hint("try again later")
            }
            _ => Self::new(status, code, error.to_string()),
        }
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        KeyringError::Seal(error).into()
    }
}

fn status(error: &KeyringError) -> StatusCode {
    match error {
        KeyringError::NoKey(_) | KeyringError::NoVersion { .. } | KeyringError::NoMachine(_) => StatusCode::NOT_FOUND,
        KeyringError::KeyExists(_) | KeyringError::MachineExists { .. } | KeyringError::ProjectExists { .. } => {
            StatusCode::CONFLICT
        }
        KeyringError::NotAuthorised(_) | KeyringError::RecoveryOnly => StatusCode::FORBIDDEN,
        KeyringError::Backend(backend) if backend.kind() == ErrorKind::Corrupt => StatusCode::INTERNAL_SERVER_ERROR,
        KeyringError::Backend(_)
        | KeyringError::Stale { .. }
        | KeyringError::Busy { .. }
        | KeyringError::LeaseLost
        | KeyringError::Conflict(_)
        // This server may serve nothing: another one may.
        | KeyringError::NoGrant(_)
        | KeyringError::Revoked(_)
        | KeyringError::NoDataKey { .. } => StatusCode::SERVICE_UNAVAILABLE,
        KeyringError::NoProject
        | KeyringError::OtherProject { .. }
        | KeyringError::Rollback { .. }
        | KeyringError::KeyRollback { .. }
        | KeyringError::KeyForked { .. }
        | KeyringError::OldEpoch { .. }
        | KeyringError::TrustLog(_)
        | KeyringError::Corrupt { .. }
        | KeyringError::Seal(SealError::Random | SealError::Library | SealError::Forked) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    }
}
