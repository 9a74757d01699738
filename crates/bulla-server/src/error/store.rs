//! What failures of the store are to those who speak to it.

use bulla_backend::ErrorKind;
use bulla_store::StoreError;
use http::StatusCode;

use crate::ApiError;

/// The code of a write that others were faster than.
const LOST_RACE: &str = "conflict";

impl ApiError {
    /// Makes the error of a write that others were faster than, each time that it was tried: 503, since it may succeed later.
    pub(crate) fn lost_race() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, LOST_RACE, "others change the same thing all the time")
            .with_hint("try again")
    }

    /// Says whether the write can be tried again at once.
    pub(crate) fn is_lost_race(&self) -> bool {
        self.code() == LOST_RACE
    }

    /// Makes the error of something that is not as it was written: 500. `what` is the beginning of a sentence, as `a secret is`.
    pub(crate) fn corrupt(what: &str) -> Self {
        let message = format!("{what} not in the form that this program writes");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", message)
            .with_hint("restore it from a backup, or update the server if a newer one wrote it")
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = error.code();
        match &error {
            StoreError::Conflict(_)
            | StoreError::TransactionConflict(_)
            | StoreError::SettingsConflict(_)
            // The value was written too slowly, or as the settings do not have it any more: it is to be put again.
            | StoreError::BlobCollected(_)
            | StoreError::ModeChanged(_) => Self::lost_race(),
            StoreError::InvalidName(_) | StoreError::InvalidNamespace { .. } | StoreError::InvalidEntry { .. } => {
                Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
            }
            StoreError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, code, error.to_string()),
            StoreError::VersionMismatch { .. } => Self::new(StatusCode::BAD_REQUEST, code, error.to_string()),
            StoreError::TooLarge { .. } | StoreError::OverLimit { .. } | StoreError::TransactionTooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, error.to_string())
            }
            StoreError::LimitReached(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, code, error.to_string()),
            // What a backend says may name files and machines, which concern nobody outside.
            StoreError::Backend(backend) => match backend.kind() {
                ErrorKind::Unavailable | ErrorKind::Conflict => {
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "backend", "the storage is busy or away for now")
                        .with_hint("try again")
                }
                ErrorKind::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, "backend", "the storage is full"),
                ErrorKind::Unsupported => Self::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "backend",
                    "the storage of this project changes one document at a time, and secrets need one that changes several",
                )
                .with_hint("use SQLite or PostgreSQL"),
                _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "backend", "the storage failed"),
            },
            StoreError::Keyring { .. } | StoreError::KeyMissing(_) | StoreError::UnsuitableKey(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "the key of what was asked for cannot be used")
                    .with_hint("the log of the server says why")
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, error.to_string()),
        }
    }
}
