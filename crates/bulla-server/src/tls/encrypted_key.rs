//! Private keys under a passphrase: PKCS #8 with PBES2 (RFC 8018), as `openssl pkcs8 -topk8` writes it.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.7");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.11");
const AES_128_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// Most rounds that are gone through.
const MAX_ROUNDS: u32 = 10_000_000;

/// Opens a key. That it cannot be is all that is said: the passphrase may be wrong, or what it is sealed with unknown.
pub(super) fn open(der: &[u8], passphrase: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = SliceReader::new(der).ok()?;
    let (scheme, sealed) = reader
        .sequence(|reader| Ok((AlgorithmIdentifierRef::decode(reader)?, OctetStringRef::decode(reader)?)))
        .ok()?;
    if scheme.oid != PBES2 {
        return None;
    }
    let (derivation, cipher) = pair(scheme.parameters?)?;
    let algorithm: &'static Algorithm = match cipher.oid {
        AES_128_CBC => &AES_128,
        AES_256_CBC => &AES_256,
        _ => return None,
    };
    let vector: [u8; 16] = cipher.parameters?.decode_as::<OctetStringRef<'_>>().ok()?.as_bytes().try_into().ok()?;
    let mut key = Zeroizing::new(vec![0; if cipher.oid == AES_128_CBC { 16 } else { 32 }]);
    derive(&derivation, passphrase, &mut key)?;

    let key = UnboundCipherKey::new(algorithm, &key).ok()?;
    let mut opened = Zeroizing::new(sealed.as_bytes().to_vec());
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut opened, context).ok()?.len();
    opened.truncate(length);
    Some(opened)
}

fn pair(parameters: AnyRef<'_>) -> Option<(AlgorithmIdentifierRef<'_>, AlgorithmIdentifierRef<'_>)> {
    parameters.sequence(|reader| Ok((reader.decode()?, reader.decode()?))).ok()
}

fn derive(derivation: &AlgorithmIdentifierRef<'_>, passphrase: &[u8], key: &mut [u8]) -> Option<()> {
    if derivation.oid != PBKDF2 {
        return None;
    }
    let read = derivation.parameters?.sequence(|reader| {
        let salt = OctetStringRef::decode(reader)?;
        let rounds = u32::decode(reader)?;
        let length = Option::<u16>::decode(reader)?;
        Ok((salt, rounds, length, Option::<AlgorithmIdentifierRef<'_>>::decode(reader)?))
    });
    let (salt, rounds, length, function) = read.ok()?;
    if length.is_some_and(|length| usize::from(length) != key.len()) || rounds > MAX_ROUNDS {
        return None;
    }
    let function = match function.map_or(HMAC_SHA1, |function| function.oid) {
        HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return None,
    };
    pbkdf2::derive(function, NonZeroU32::new(rounds)?, salt.as_bytes(), passphrase, key);
    Some(())
}
