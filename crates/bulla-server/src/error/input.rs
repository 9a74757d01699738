use bulla_guard::input::{Fault, InputError};
use http::StatusCode;

use super::ApiError;

/// What a stranger sent, and is not let in. The message names the field and the rule, and no value.
impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let status = match error.fault() {
            Fault::Body(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.fault().code(), error.to_string())
    }
}
