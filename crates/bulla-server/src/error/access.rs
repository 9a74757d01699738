//! What a failure of users, tokens and roles is to a client.

use bulla_guard::access::AccessError;
use http::StatusCode;

use super::ApiError;

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        let code = error.code();
        let away = || Self::busy(code, "who may do what cannot be read or written now", 1);
        let status = match error {
            AccessError::Keyring(error) => return error.into(),
            AccessError::Seal(error) => return error.into(),
            // What the backend says of itself may name files and hosts: it is for the log of the server.
            AccessError::Backend(_) | AccessError::Stale { .. } => return away(),
            AccessError::Conflict => StatusCode::SERVICE_UNAVAILABLE,
            AccessError::Rollback { .. } | AccessError::Corrupt { .. } => {
                let problem = "what says who may do what is not as it was written";
                let hint = "have the server's operator run `bulla check`";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, problem).with_hint(hint);
            }
            AccessError::NoCommit => StatusCode::NOT_IMPLEMENTED,
            AccessError::Full => StatusCode::INSUFFICIENT_STORAGE,
            AccessError::NotPermitted(_) => StatusCode::FORBIDDEN,
            AccessError::UserExists(_) | AccessError::RoleInUse { .. } => StatusCode::CONFLICT,
            AccessError::UnknownUser(_)
            | AccessError::UnknownRole(_)
            | AccessError::UnknownKey(_)
            | AccessError::UnknownPolicy(_)
            | AccessError::UnknownAppRole(_)
            | AccessError::UnknownBinding(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, code, error.to_string())
    }
}

impl ApiError {
    /// Makes the error of something that a body names: what is not there is a mistake in the body, and not a path that leads nowhere.
    pub(crate) fn of_body(error: AccessError) -> Self {
        let error = Self::from(error);
        if error.status == StatusCode::NOT_FOUND { Self { status: StatusCode::BAD_REQUEST, ..error } } else { error }
    }
}
