//! Keys as text: what others verify with, and what is handed out to sign elsewhere.

use bulla::{PublicKey, SecretVec};
use bulla_seal::EcdsaKey;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::fields::SecretText;
use crate::ApiError;

/// A public key of P-256 (RFC 5480) is the point behind these.
const P256_PUBLIC: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// A private key of P-256 (RFC 5915) is its scalar behind the first, and its point behind the second.
const P256_SCALAR: [u8; 7] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
const P256_POINT: [u8; 17] =
    [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00];

/// Length of a line of PEM.
const LINE: usize = 64;

/// Writes a public key: ECDSA in PEM, others in base64.
pub(super) fn text(key: &PublicKey) -> String {
    match key {
        PublicKey::Ed25519(key) => BASE64.encode(&key.0),
        PublicKey::EcdsaP256(key) => {
            pem("PUBLIC KEY", &[&P256_PUBLIC[..], key.as_bytes()].concat()).as_str().to_owned()
        }
        PublicKey::MlDsa65(key) => BASE64.encode(key.as_bytes()),
        PublicKey::XWing(key) => key.to_string(),
        _ => String::new(),
    }
}

/// Writes the material of a key of P-256 in PEM.
pub(super) fn p256_private(material: &SecretVec) -> Result<SecretText, ApiError> {
    let scalar = material.to_fixed().ok_or(bulla::SealError::NoPrivateKey)?;
    let key = EcdsaKey::from_secret(scalar)?;
    let mut der = Zeroizing::new(Vec::with_capacity(128));
    der.extend_from_slice(&P256_SCALAR);
    der.extend_from_slice(material.expose());
    der.extend_from_slice(&P256_POINT);
    der.extend_from_slice(key.public().as_bytes());
    Ok(SecretText::from(std::mem::take(&mut *pem("EC PRIVATE KEY", &der))))
}

/// Writes DER in PEM (RFC 7468), without an end to its last line.
pub(super) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / LINE + 2 * label.len() + 64));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----");
    text
}
