//! Random bytes from a buffer that a forked child does not inherit.

use std::cell::RefCell;

use aws_lc_rs::rand;
use zeroize::Zeroize;

use crate::SealError;
use crate::header::SALT_LEN;
use crate::locked::ForkWipedPage;

/// The first bytes of the page say whether the rest is filled; the kernel zeroes them at a fork along with the rest.
const FILLED: u8 = 1;
const START: usize = 8;

thread_local! {
    static BUFFER: RefCell<Option<Buffer>> = RefCell::new(Buffer::new());
}

/// Fills `out` with bytes from the cryptographically secure generator of aws-lc, seeded by the system.
///
/// # Errors
/// [`SealError::Random`] if the generator fails.
pub fn fill_random(out: &mut [u8]) -> Result<(), SealError> {
    rand::fill(out).map_err(|_| SealError::Random)
}

/// Draws a salt.
///
/// Salts come from a buffer, one a thread, which lies in locked memory and which the kernel wipes in a forked child; keys and ids
/// never do. Where the kernel cannot wipe it, nothing is buffered.
pub(crate) fn salt() -> Result<[u8; SALT_LEN], SealError> {
    let mut salt = [0; SALT_LEN];
    // The buffer is out of reach while a thread ends.
    let served = BUFFER.try_with(|buffer| match buffer.try_borrow_mut().as_deref_mut() {
        Ok(Some(buffer)) => Some(buffer.serve(&mut salt)),
        _ => None,
    });
    match served {
        Ok(Some(result)) => result?,
        _ => fill_random(&mut salt)?,
    }
    Ok(salt)
}

struct Buffer {
    page: ForkWipedPage,
    used: usize,
}

impl Buffer {
    fn new() -> Option<Self> {
        ForkWipedPage::new().map(|page| Self { page, used: ForkWipedPage::LEN })
    }

    fn serve(&mut self, out: &mut [u8]) -> Result<(), SealError> {
        if self.page.first() != FILLED || self.used + out.len() > ForkWipedPage::LEN {
            self.refill()?;
        }
        let served = &mut self.page.bytes()[self.used..self.used + out.len()];
        out.copy_from_slice(served);
        served.zeroize();
        self.used += out.len();
        Ok(())
    }

    fn refill(&mut self) -> Result<(), SealError> {
        let bytes = self.page.bytes();
        bytes[0] = 0;
        fill_random(&mut bytes[START..])?;
        bytes[0] = FILLED;
        self.used = START;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_repeats_over_many_refills() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            assert!(seen.insert(salt().unwrap()));
        }
    }

    #[test]
    fn a_wiped_page_is_filled_anew() {
        let mut buffer = Buffer::new().expect("this system wipes pages at a fork");
        let mut first = [0; 24];
        buffer.serve(&mut first).unwrap();
        // What a fork does to the child's copy.
        buffer.page.bytes().fill(0);
        let mut second = [0; 24];
        buffer.serve(&mut second).unwrap();
        assert_ne!(second, [0; 24]);
        assert_ne!(second, first);
    }
}
