//! Bodies, of which nothing stays behind.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{ClientError, Result};

/// Longest body of a request, in bytes: the most that servers take by default.
const MAX_REQUEST: usize = 32 << 20;

/// Bytes that are wiped, also those that were copied because the room was too small.
#[derive(Default)]
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2))));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len().saturating_add(bytes.len()) > MAX_REQUEST {
            return Err(io::Error::other("too long"));
        }
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the body of a request. It is wiped once it was sent.
pub(crate) fn json(value: &impl Serialize) -> Result<Bytes> {
    let mut body = Wiped::with_capacity(1_024);
    serde_json::to_writer(&mut body, value).map_err(|error| {
        ClientError::Request(if error.is_io() { "its body is longer than 32 MiB" } else { "its body is no JSON" })
    })?;
    Ok(Bytes::from_owner(body.0))
}
