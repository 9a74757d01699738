//! Randomness for the HPKE library.

/// Lends our generator to `hpke`, whose trait has no failure: one is noted, and what was made with it is to be thrown away.
#[derive(Debug, Default)]
pub(crate) struct Random {
    failed: bool,
}

impl Random {
    /// Says whether the system gave no random bytes at some point.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }
}

impl hpke::rand_core::TryRng for Random {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.failed |= bulla_seal::fill_random(out).is_err();
        Ok(())
    }
}

impl hpke::rand_core::TryCryptoRng for Random {}
