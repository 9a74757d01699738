//! What a ciphertext of the API is bound to.

use bulla::{Context, ProjectId};

use super::fields;
use super::place::Place;
use crate::ApiError;

/// The domain of these contexts, apart from those of applications and of the store.
const DOMAIN: &str = "bulla/transit";

/// Makes the contexts of one key.
pub(super) struct Binding<'a> {
    project: ProjectId,
    place: &'a Place,
    /// The texts of the last item, and what they made: in a batch, neighbours mostly bring the same.
    last: Option<(String, String, Context)>,
}

impl<'a> Binding<'a> {
    pub(super) fn new(project: ProjectId, place: &'a Place) -> Self {
        Self { project, place, last: None }
    }

    /// Returns the context of an item: its mount, the name of its key, and, where they are given, its associated data and its context.
    /// Without bytes, either is as if it were not given.
    pub(super) fn context(&mut self, associated: Option<&str>, context: Option<&str>) -> Result<Context, ApiError> {
        let (associated, context) = (associated.unwrap_or_default(), context.unwrap_or_default());
        if let Some((last_associated, last_context, made)) = &self.last
            && last_associated == associated
            && last_context == context
        {
            return Ok(made.clone());
        }
        let mut builder =
            Context::in_domain(DOMAIN, &self.project).text("mount", self.place.mount()).text("key", self.place.name());
        if !associated.is_empty() {
            builder = builder.bytes("associated_data", &fields::decode("associated_data", associated)?);
        }
        if !context.is_empty() {
            builder = builder.bytes("context", &fields::decode("context", context)?);
        }
        let made = builder.build()?;
        self.last = Some((associated.to_owned(), context.to_owned(), made.clone()));
        Ok(made)
    }
}
