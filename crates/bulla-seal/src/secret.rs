use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::locked::Locked;
use crate::{SealError, constant_time_eq, fill_random};

/// `N` secret bytes in locked memory: wiped on drop, silent in `Debug`, compared in constant time. `N` is at most 4,096.
pub struct Secret<const N: usize>(Locked<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Fills a new secret where it lies, so that no copy stays on the stack.
    pub fn build(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Locked::new([0; N]));
        fill(&mut secret.0);
        secret
    }

    /// Draws a random secret.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut result = Ok(());
        let secret = Self::build(|bytes| result = fill_random(bytes));
        result.map(|()| secret)
    }

    /// Copies a secret, or returns `None` if it does not have `N` bytes. The source is the caller's to wipe.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == N).then(|| Self::build(|out| out.copy_from_slice(bytes)))
    }

    /// Shows the secret.
    ///
    /// # Security
    /// The one way to the bytes: whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.expose(), other.expose())
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Secret bytes of any length, on the heap: wiped on drop, silent in `Debug`.
pub struct SecretVec(Zeroizing<Vec<u8>>);

impl SecretVec {
    /// Takes bytes over. Copies made while the vector grew are not wiped: reserve before filling it.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Shows the secret.
    ///
    /// # Security
    /// The one way to the bytes: whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Copies as a secret of fixed length, or returns `None` if it has another.
    #[must_use]
    pub fn to_fixed<const N: usize>(&self) -> Option<Secret<N>> {
        Secret::from_slice(&self.0)
    }
}

impl Zeroize for SecretVec {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for SecretVec {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for SecretVec {}

impl fmt::Debug for SecretVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretVec(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_silent() {
        let secret = Secret::<32>::from_slice(&[0x41; 32]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", SecretVec::new(vec![0x41; 8])), "SecretVec(..)");
        assert!(Secret::<16>::from_slice(&[0; 15]).is_none());
    }
}
