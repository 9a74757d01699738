//! How much of anything is read.

use super::error::{Fault, InputError};

/// What a route reads at most. Lengths are in bytes unless they say characters.
///
/// # Examples
/// ```
/// use bulla_guard::input::Bounds;
///
/// let narrow = Bounds { body: 4_096, ..Bounds::DEFAULT };
/// assert_eq!(narrow.depth, 32);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// All header fields together; also a query string.
    pub headers: usize,
    /// A body that is read as a whole.
    pub body: usize,
    /// Lists and objects within each other, of JSON; 128 at most, whatever is set.
    pub depth: usize,
    /// Members of one object.
    pub members: usize,
    /// Elements of one list.
    pub elements: usize,
    /// Elements and members of a document together: each may become a value in memory that is much larger than its text.
    pub values: usize,
    /// One text of a document.
    pub text: usize,
    /// The name of a member or parameter.
    pub member_name: usize,
    /// Parameters of a query string.
    pub parameters: usize,
    /// A query text, in characters.
    pub query_text: usize,
    /// A context, in characters.
    pub context: usize,
    /// Items of one page.
    pub page: u64,
}

impl Bounds {
    /// For routes that say nothing else.
    pub const DEFAULT: Self = Self {
        headers: 16 << 10,
        body: 1 << 20,
        depth: 32,
        members: 1_000,
        elements: 10_000,
        values: 1_000_000,
        text: 1 << 20,
        member_name: 1_024,
        parameters: 100,
        query_text: 10_000,
        context: 50_000,
        page: 1_000,
    };

    /// For routes that take many items, or a whole value, at once.
    pub const BATCH: Self = Self { body: 64 << 20, text: 64 << 20, elements: 100_000, ..Self::DEFAULT };

    /// Says how many items a page has, of what was asked for: what the bound allows if nothing was.
    ///
    /// # Errors
    /// [`Fault::Range`] for none, or for more than the bound.
    pub fn page(&self, field: &str, asked: Option<u64>) -> Result<u64, InputError> {
        match asked {
            None => Ok(self.page),
            Some(items) if (1..=self.page).contains(&items) => Ok(items),
            Some(_) => Err(InputError::of_field(field, Fault::Range { least: 1, most: self.page })),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}
