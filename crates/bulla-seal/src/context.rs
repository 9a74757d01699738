use std::fmt;

use data_encoding::HEXLOWER;
use minicbor::Encoder;

use crate::{SealError, sha256};

/// Longest encoded context, in bytes.
pub const MAX_CONTEXT_LEN: usize = 65_536;

/// The project that a value belongs to: the SHA-256 of the root record of its trust log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub [u8; 32]);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectId({self})")
    }
}

/// What a sealed value is bound to; it opens in exactly the context it was sealed in.
///
/// A context is not stored with the value: whoever opens it has to know the same fields. It is public, and its encoding is
/// `[domain, project, map]` in deterministic CBOR (RFC 8949 §4.2.1).
///
/// # Examples
/// ```
/// use bulla_seal::{Context, ProjectId};
///
/// let context = Context::user(&ProjectId([0; 32])).text("table", "orders").int("row", 7).build()?;
/// # Ok::<(), bulla_seal::SealError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    digest: [u8; 32],
}

impl Context {
    /// Begins a context of an application's own values.
    pub fn user(project: &ProjectId) -> ContextBuilder {
        Self::in_domain("user", project)
    }

    /// Begins a context of another domain. Those that begin with `bulla/` belong to Bulla's own formats.
    pub fn in_domain(domain: &str, project: &ProjectId) -> ContextBuilder {
        ContextBuilder { domain: domain.to_owned(), project: *project, fields: Vec::new() }
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", HEXLOWER.encode(&self.digest))
    }
}

/// Collects the fields of a [`Context`]. Their order does not matter.
#[derive(Debug, Clone)]
#[must_use]
pub struct ContextBuilder {
    domain: String,
    project: ProjectId,
    /// Encoded key and encoded value.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl ContextBuilder {
    /// Adds a text field.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.field(name, encoded(|e| e.str(value).map(drop)))
    }

    /// Adds a field of bytes.
    pub fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.field(name, encoded(|e| e.bytes(value).map(drop)))
    }

    /// Adds an integer field.
    pub fn int(self, name: &str, value: i64) -> Self {
        self.field(name, encoded(|e| e.i64(value).map(drop)))
    }

    /// Adds an integer field that cannot be negative.
    pub fn uint(self, name: &str, value: u64) -> Self {
        self.field(name, encoded(|e| e.u64(value).map(drop)))
    }

    /// Adds a field that is true or false.
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.field(name, encoded(|e| e.bool(value).map(drop)))
    }

    /// Finishes the context.
    ///
    /// # Errors
    /// [`SealError::DomainLength`], [`SealError::DuplicateField`] or [`SealError::ContextLength`].
    pub fn build(self) -> Result<Context, SealError> {
        Ok(Context { digest: sha256(&self.encode()?) })
    }

    /// Returns the encoded context, whose SHA-256 enters a sealed value.
    ///
    /// # Errors
    /// As [`ContextBuilder::build`].
    pub fn encode(mut self) -> Result<Vec<u8>, SealError> {
        if self.domain.is_empty() || self.domain.len() > 255 {
            return Err(SealError::DomainLength(self.domain.len()));
        }
        self.fields.sort_unstable();
        if self.fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(SealError::DuplicateField);
        }
        let mut out =
            encoded(|e| e.array(3)?.str(&self.domain)?.bytes(&self.project.0)?.map(self.fields.len() as u64).map(drop));
        for (name, value) in &self.fields {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        }
        if out.len() > MAX_CONTEXT_LEN {
            return Err(SealError::ContextLength(out.len()));
        }
        Ok(out)
    }

    fn field(mut self, name: &str, value: Vec<u8>) -> Self {
        self.fields.push((encoded(|e| e.str(name).map(drop)), value));
        self
    }
}

type Infallible = minicbor::encode::Error<core::convert::Infallible>;

/// Encodes to memory, which cannot fail: the writer's error type has no values.
fn encoded(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), Infallible>) -> Vec<u8> {
    let mut out = Vec::new();
    let written = write(&mut Encoder::new(&mut out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_their_encoding() {
        let project = ProjectId([1; 32]);
        let one = Context::user(&project).int("bb", 1).int("a", 2).int("c", 3);
        let other = Context::user(&project).int("c", 3).int("bb", 1).int("a", 2);
        let bytes = one.encode().unwrap();
        assert_eq!(bytes, other.encode().unwrap());
        // Shorter keys come first: their encoding begins with a smaller length.
        assert!(bytes.ends_with(b"\xa3\x61a\x02\x61c\x03\x62bb\x01"));
    }

    #[test]
    fn bounds_are_held() {
        let project = ProjectId([1; 32]);
        assert_eq!(Context::user(&project).int("a", 1).text("a", "x").build(), Err(SealError::DuplicateField));
        assert_eq!(Context::in_domain("", &project).build(), Err(SealError::DomainLength(0)));
        assert_eq!(Context::in_domain(&"d".repeat(256), &project).build(), Err(SealError::DomainLength(256)));
        let room = MAX_CONTEXT_LEN - Context::user(&project).bytes("b", &[]).encode().unwrap().len() - 2;
        assert!(Context::user(&project).bytes("b", &vec![0; room]).build().is_ok());
        let over = Context::user(&project).bytes("b", &vec![0; room + 1]).build();
        assert_eq!(over, Err(SealError::ContextLength(MAX_CONTEXT_LEN + 1)));
    }
}
