//! How signatures are made and written.

use bulla::Algorithm;
use bulla_keyring::OneWayVersion;
use data_encoding::{BASE64, BASE64URL_NOPAD};

use super::wrapped::{self, Kind};
use crate::ApiError;

/// Length of each half of an ECDSA signature, in bytes.
const HALF: usize = 32;

/// What of a request says how a signature is made.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    /// The algorithm that the path names, or the body.
    pub(super) hash_algorithm: Option<&'a str>,
    pub(super) prehashed: bool,
    pub(super) signature_algorithm: Option<&'a str>,
    pub(super) marshaling_algorithm: Option<&'a str>,
}

/// How signatures of one key are made and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    algorithm: Algorithm,
    prehashed: bool,
    jws: bool,
}

impl Manner {
    /// Settles it for a key. What Vault knows for other types of keys only is taken and has no effect, as there.
    pub(super) fn of(algorithm: Algorithm, asked: &Asked<'_>) -> Result<Self, ApiError> {
        let jws = match asked.marshaling_algorithm {
            None | Some("" | "asn1") => false,
            Some("jws") => true,
            Some(_) => return Err(ApiError::field("marshaling_algorithm", "it is `asn1` or `jws`")),
        };
        match asked.signature_algorithm {
            None | Some("" | "pss" | "pkcs1v15") => {}
            Some(_) => {
                return Err(ApiError::field(
                    "signature_algorithm",
                    "it is `pss` or `pkcs1v15`, for keys that there are not here",
                ));
            }
        }
        match (algorithm, asked.hash_algorithm) {
            (_, None | Some("" | "sha2-256")) => {}
            (Algorithm::EcdsaP256, Some("sha1" | "sha2-224" | "sha2-384" | "sha2-512" | "none"))
            | (_, Some("none")) => return Err(ApiError::field("hash_algorithm", "it is `sha2-256`")),
            (Algorithm::EcdsaP256, Some("sha3-224" | "sha3-256" | "sha3-384" | "sha3-512")) => {
                return Err(ApiError::field("hash_algorithm", "it is `sha2-256`"));
            }
            // These sign the message itself.
            (
                _,
                Some("sha1" | "sha2-224" | "sha2-384" | "sha2-512" | "sha3-224" | "sha3-256" | "sha3-384" | "sha3-512"),
            ) => {}
            _ => return Err(ApiError::field("hash_algorithm", "there is no hash algorithm of this name")),
        }
        if asked.prehashed && algorithm != Algorithm::EcdsaP256 {
            return Err(ApiError::field("prehashed", "keys of this type sign messages, not digests"));
        }
        Ok(Self { algorithm, prehashed: asked.prehashed, jws })
    }

    /// Signs, and writes the signature.
    pub(super) fn sign(self, version: &OneWayVersion, input: &[u8]) -> Result<String, ApiError> {
        let signature = if self.prehashed { version.sign_digest(digest(input)?)? } else { version.sign(input)? };
        Ok(match (self.jws, self.algorithm) {
            (true, _) => wrapped::wrap_encoded(version.number(), &BASE64URL_NOPAD.encode(&signature)),
            (false, Algorithm::EcdsaP256) => wrapped::wrap(version.number(), &der(&signature)),
            (false, _) => wrapped::wrap(version.number(), &signature),
        })
    }

    /// Reads a signature, and says whether it is the version's.
    pub(super) fn verify(self, version: &OneWayVersion, input: &[u8], encoded: &str) -> Result<bool, ApiError> {
        let encoding = if self.jws { BASE64URL_NOPAD } else { BASE64 };
        let bytes =
            encoding.decode(encoded.as_bytes()).map_err(|_| Kind::Signature.invalid("could not decode base64"))?;
        let bytes = match self.algorithm {
            Algorithm::EcdsaP256 if !self.jws => {
                from_der(&bytes).ok_or_else(|| Kind::Signature.invalid("it is no ECDSA signature in ASN.1"))?
            }
            _ => bytes,
        };
        Ok(if self.prehashed {
            version.verify_digest(digest(input)?, &bytes)?
        } else {
            version.verify(input, &bytes)?
        })
    }
}

fn digest(input: &[u8]) -> Result<&[u8; 32], ApiError> {
    input.try_into().map_err(|_| ApiError::field("input", "a digest of SHA-256 has 32 bytes"))
}

/// Writes r and s as a SEQUENCE of two INTEGERs (RFC 3279, §2.2.3).
fn der(signature: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::with_capacity(2 * (HALF + 3));
    for half in signature.chunks(HALF) {
        let zeros = half.iter().take_while(|byte| **byte == 0).count().min(half.len().saturating_sub(1));
        let number = &half[zeros..];
        let sign = usize::from(number.first().is_some_and(|byte| *byte >= 0x80));
        numbers.push(0x02);
        numbers.push(short(number.len() + sign));
        numbers.extend_from_slice(&[0][..sign]);
        numbers.extend_from_slice(number);
    }
    let mut out = Vec::with_capacity(2 + numbers.len());
    out.extend_from_slice(&[0x30, short(numbers.len())]);
    out.extend_from_slice(&numbers);
    out
}

/// Writes a length below 128, which those of P-256 are.
fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// Reads what [`der`] writes, and nothing else.
fn from_der(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(2 * HALF);
    let [0x30, len, rest @ ..] = bytes else { return None };
    let mut rest = (usize::from(*len) == rest.len()).then_some(rest)?;
    for _ in 0..2 {
        let [0x02, len, behind @ ..] = rest else { return None };
        let (number, behind) = behind.split_at_checked((*len).into())?;
        let number = if let [0, number @ ..] = number { number } else { number };
        out.resize(out.len() + HALF.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
        rest = behind;
    }
    (der(&out) == bytes).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_asn1_are_read_as_they_are_written_only() {
        let mut small = [0; 64];
        small[31] = 1;
        small[63] = 0x80;
        for signature in [[0xff; 64], [0x7f; 64], [0; 64], small] {
            let written = der(&signature);
            assert_eq!(from_der(&written), Some(signature.to_vec()));
            for end in 0..written.len() {
                assert_eq!(from_der(&written[..end]), None);
            }
            assert_eq!(from_der(&[&written[..], &[0]].concat()), None);
        }
        assert_eq!(der(&small), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        // Longer than it has to be, negative, and not two.
        for other in [
            &[0x30, 8, 2, 2, 0, 1, 2, 2, 0, 0x80][..],
            &[0x30, 6, 2, 1, 1, 2, 1, 0x80],
            &[0x30, 3, 2, 1, 1],
            &[0x30, 0],
        ] {
            assert_eq!(from_der(other), None);
        }
    }
}
