//! Query texts.

use super::bounds::Bounds;
use super::error::{Fault, InputError};

/// A text that asks something: not empty, not too long, and exactly as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryText(String);

impl QueryText {
    /// Takes the text of a field.
    ///
    /// # Errors
    /// [`Fault::Characters`] if it is longer than the bound, [`Fault::Empty`] if it is nothing but white space.
    pub fn new(field: &str, text: String, bounds: &Bounds) -> Result<Self, InputError> {
        let fault = if text.chars().nth(bounds.query_text).is_some() {
            Fault::Characters(bounds.query_text)
        } else if text.trim().is_empty() {
            Fault::Empty
        } else {
            return Ok(Self(text));
        };
        Err(InputError::within(fault, None).under(field))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}
