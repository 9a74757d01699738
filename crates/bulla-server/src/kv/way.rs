//! In which way a secret may be written: by whoever may only make new ones, or only change those that are there.

use crate::ApiError;

/// In which way a secret may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// In either.
    #[default]
    Any,
    /// Where there is none.
    New,
    /// Where there is one.
    Replace,
}

impl Way {
    /// Refuses another way. It is asked on the state that is changed, so that nothing slips in between.
    pub(crate) fn check(self, is_there: bool) -> Result<(), ApiError> {
        match (self, is_there) {
            (Self::New, true) | (Self::Replace, false) => Err(ApiError::forbidden()),
            _ => Ok(()),
        }
    }
}
