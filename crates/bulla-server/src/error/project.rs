//! What failures of a project are to those who speak to it.

use bulla::Error;

use super::ApiError;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Keyring(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Access(error) => error.into(),
            Error::Backend(error) => bulla::KeyringError::Backend(error).into(),
            // Its message may name files of the server.
            error => {
                tracing::error!(code = error.code(), "a request failed: {error}");
                Self::internal()
            }
        }
    }
}
