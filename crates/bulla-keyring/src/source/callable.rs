//! Closures of the application.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MAX_VALUE_LEN, SecretPair, Source, SourceError};

/// Makes a source of a closure that returns one value or a pair, text or bytes.
///
/// It is called on the thread that polls: one that waits for a network is better an implementation of [`Source`].
///
/// # Examples
/// ```
/// use bulla_keyring::source::{Source, SourceError, callable};
///
/// let source = callable(|| Ok::<_, SourceError>(("public", "private")));
/// let pair = pollster::block_on(source.fetch())?;
/// assert_eq!((pair.forward().expose_text(), pair.back().expose_text()), (Some("public"), Some("private")));
/// # Ok::<(), SourceError>(())
/// ```
pub fn callable<F, V, E>(closure: F) -> Arc<Callable>
where
    F: Fn() -> Result<V, E> + Send + Sync + 'static,
    V: Into<SecretPair>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Arc::new(Callable(Box::new(move || closure().map(Into::into).map_err(Into::into))))
}

/// A closure as a source; [`callable`] makes it.
pub struct Callable(Box<dyn Fn() -> Result<SecretPair, Box<dyn Error + Send + Sync>> + Send + Sync>);

#[async_trait]
impl Source for Callable {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        let pair = (self.0)().map_err(SourceError::Callable)?;
        for value in [pair.forward(), pair.back()] {
            match value.expose().len() {
                0 => return Err(SourceError::Empty(DESCRIPTION.to_owned())),
                1..=MAX_VALUE_LEN => {}
                _ => return Err(SourceError::TooLong(DESCRIPTION.to_owned())),
            }
        }
        Ok(pair)
    }
}

const DESCRIPTION: &str = "the application's own source";

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callable(..)")
    }
}
