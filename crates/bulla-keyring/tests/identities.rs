//! Fingerprints and public keys, as others see them.

use bulla_keyring::{Fingerprint, Identity, PublicIdentity};
use bulla_seal::sha256;

#[test]
fn a_fingerprint_is_the_hash_of_both_public_keys() {
    let identity = Identity::generate().unwrap();
    let public = identity.public();
    let hashed = [b"bulla/fingerprint/v1", public.encryption().as_slice(), &public.signing().0].concat();
    assert_eq!(identity.fingerprint(), Fingerprint(sha256(&hashed)));
    assert_eq!(identity.fingerprint().to_string().parse(), Ok(identity.fingerprint()));
    let text = identity.fingerprint().to_string();
    for wrong in ["", &text[1..], &text.to_uppercase(), &(text.clone() + "0")] {
        assert!(wrong.parse::<Fingerprint>().is_err() || wrong == text, "{wrong}");
    }
}

#[test]
fn a_public_key_must_be_one() {
    let identity = Identity::generate().unwrap();
    let (encryption, signing) = (identity.public().encryption(), identity.public().signing());
    assert_eq!(PublicIdentity::new(encryption, signing).as_ref(), Some(identity.public()));
    assert!(PublicIdentity::new(&encryption[1..], signing).is_none());
    // Coefficients above the modulus, which FIPS 203 §7.2 refuses.
    assert!(PublicIdentity::new(&[0xff; 1_216], signing).is_none());
}
