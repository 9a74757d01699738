//! The state of a key, as `spec/key-states.md` has it.

use minicbor::Decoder;
use zeroize::Zeroize;

use super::Flow;
use crate::cbor::{Malformed, encode};
use crate::source::{MAX_VALUE_LEN, SecretPair, SecretValue};

/// Longest encoded state, in bytes: sealed, it fits a document.
pub const MAX_STATE_LEN: usize = 122_880;

const VERSION: u64 = 1;

/// What is remembered of a key across lifetimes of the application: the path used last, and the values that went with it.
///
/// # Security
/// Its encoding holds secrets in the clear. Nothing but a [`CryptoTool`](super::CryptoTool) is to be given it.
#[doc(alias = "SecretKeyState")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The path that was used last.
    pub last_flow: Flow,
    /// The values, if there are any to remember.
    pub pair: Option<SecretPair>,
}

impl KeyState {
    /// Encodes the state, or returns `None` if it were longer than [`MAX_STATE_LEN`].
    ///
    /// # Security
    /// The bytes are secret, and the caller's to wipe.
    #[must_use]
    pub fn expose_encoded(&self) -> Option<Vec<u8>> {
        let values: Vec<_> = match &self.pair {
            None => vec![],
            Some(pair) if pair.is_single() => vec![pair.forward()],
            Some(pair) => vec![pair.forward(), pair.back()],
        };
        // At most two values, each with a head of at most five bytes.
        let room = values.iter().map(|value| value.expose().len() + 5).sum::<usize>() + 8;
        if room > MAX_STATE_LEN {
            return None;
        }
        let mut encoded = encode(|e| {
            // Reserved at once, so that no copy is left behind by growing.
            e.writer_mut().reserve(room);
            e.array(3)?.u64(VERSION)?.u64(number(self.last_flow))?.array(values.len() as u64)?;
            for value in &values {
                match value.expose_text() {
                    Some(text) => e.str(text)?,
                    None => e.bytes(value.expose())?,
                };
            }
            Ok(())
        });
        if values.iter().all(|value| (1..=MAX_VALUE_LEN).contains(&value.expose().len())) {
            return Some(encoded);
        }
        encoded.zeroize();
        None
    }

    /// Decodes a state; `None` if the bytes are not exactly what a writer would have written.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_STATE_LEN {
            return None;
        }
        let state = read(bytes).ok()?;
        let mut again = state.expose_encoded()?;
        let same = again == bytes;
        again.zeroize();
        same.then_some(state)
    }
}

fn read(bytes: &[u8]) -> Result<KeyState, Malformed> {
    let mut items = Decoder::new(bytes);
    if items.array()? != Some(3) || items.u64()? != VERSION {
        return Err(Malformed);
    }
    let last_flow = flow(items.u64()?)?;
    let pair = match items.array()? {
        Some(0) => None,
        Some(1) => Some(SecretPair::from(value(&mut items)?)),
        Some(2) => Some(SecretPair::new(value(&mut items)?, value(&mut items)?)),
        _ => return Err(Malformed),
    };
    Ok(KeyState { last_flow, pair })
}

fn value(items: &mut Decoder<'_>) -> Result<SecretValue, Malformed> {
    use minicbor::data::Type;

    match items.datatype()? {
        Type::String => Ok(items.str()?.into()),
        Type::Bytes => Ok(items.bytes()?.into()),
        _ => Err(Malformed),
    }
}

const fn number(flow: Flow) -> u64 {
    match flow {
        Flow::OneWay => 1,
        Flow::Forward => 2,
        Flow::Back => 3,
    }
}

fn flow(number: u64) -> Result<Flow, Malformed> {
    match number {
        1 => Ok(Flow::OneWay),
        2 => Ok(Flow::Forward),
        3 => Ok(Flow::Back),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_one_encoding() {
        for (pair, encoded) in [
            (None, &b"\x83\x01\x03\x80"[..]),
            (Some("k".into()), b"\x83\x01\x03\x81\x61k"),
            (Some(vec![0xFF].into()), b"\x83\x01\x03\x81\x41\xFF"),
            (Some(("a", vec![0xFF]).into()), b"\x83\x01\x03\x82\x61a\x41\xFF"),
            (Some(("a", "a").into()), b"\x83\x01\x03\x82\x61a\x61a"),
        ] {
            let state = KeyState { last_flow: Flow::Back, pair };
            assert_eq!(state.expose_encoded().unwrap(), encoded);
            assert_eq!(KeyState::decode(encoded), Some(state));
        }
    }

    #[test]
    fn other_bytes_are_no_state() {
        for hostile in [
            &b""[..],
            b"\x83\x01\x03",
            b"\x83\x01\x03\x80\x00",
            b"\x83\x02\x03\x80",
            b"\x83\x01\x00\x80",
            b"\x83\x01\x04\x80",
            b"\x83\x01\x18\x03\x80",
            b"\x83\x01\x03\x81\x60",
            b"\x83\x01\x03\x81\x01",
            b"\x83\x01\x03\x83\x61a\x61a\x61a",
            b"\x83\x01\x03\x9f\x61a\xff",
            b"\x83\x01\x03\x81\x7f\x61a\xff",
            b"\x83\x01\x03\x81\x61\xff",
            b"\x84\x01\x03\x80\x80",
        ] {
            assert_eq!(KeyState::decode(hostile), None, "{hostile:x?}");
        }
    }

    #[test]
    fn bounds_are_held() {
        let state = |pair: SecretPair| KeyState { last_flow: Flow::Forward, pair: Some(pair) };
        let long = "k".repeat(MAX_VALUE_LEN);
        let encoded = state(long.as_str().into()).expose_encoded().unwrap();
        assert!(KeyState::decode(&encoded).is_some());
        assert_eq!(state(format!("{long}k").into()).expose_encoded(), None);
        assert_eq!(state((long.as_str(), long.as_str()).into()).expose_encoded(), None);
    }
}
