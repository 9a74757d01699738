//! What holds for any message, key, context and damage.

use bulla_seal::{Context, KeyVersionId, OpenError, Params, ProjectId, SealKey, text};
use proptest::prelude::*;

use super::{SUITES, small_chunks};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does(
        material in prop::collection::vec(any::<u8>(), 16..80),
        message in prop::collection::vec(any::<u8>(), 0..10_000),
        row in any::<i64>(),
        suite in 0_usize..4,
        flip in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let key = SealKey::with_derived_id(&material).unwrap();
        let context = |row| Context::user(&ProjectId([9; 32])).int("row", row).build().unwrap();
        let params = small_chunks(SUITES[suite]);
        let sealed = key.seal(params, &context(row), &message).unwrap();
        prop_assert_eq!(&key.open(&context(row), &sealed).unwrap(), &message);
        prop_assert_eq!(&text::decode(&text::encode(&sealed)).unwrap(), &sealed);

        prop_assert_eq!(key.open(&context(row.wrapping_add(1)), &sealed), Err(OpenError::CannotOpen));
        let mut other = material.clone();
        other[flip.index(material.len())] ^= 1 << bit;
        let other = SealKey::new(key.id(), &other).unwrap();
        prop_assert_eq!(other.open(&context(row), &sealed), Err(OpenError::CannotOpen));

        let mut altered = sealed.clone();
        altered[flip.index(sealed.len())] ^= 1 << bit;
        prop_assert!(key.open(&context(row), &altered).is_err());
        let mut buffer = altered.clone();
        prop_assert!(key.open_in_place(&context(row), &mut buffer).is_err());
        prop_assert!(buffer.is_empty() || buffer == altered, "nothing half opened is left");
        prop_assert!(key.open(&context(row), &sealed[..flip.index(sealed.len())]).is_err());
    }

    #[test]
    fn sealing_in_place_is_sealing(message in prop::collection::vec(any::<u8>(), 0..20_000), suite in 0_usize..4) {
        let key = super::key();
        let mut buffer = message.clone();
        key.seal_in_place(small_chunks(SUITES[suite]), &super::context(), &mut buffer).unwrap();
        prop_assert_eq!(&key.open(&super::context(), &buffer).unwrap(), &message);
        key.open_in_place(&super::context(), &mut buffer).unwrap();
        prop_assert_eq!(buffer, message);
    }
}

#[test]
fn ids_of_outside_material_follow_from_it() {
    let one = SealKey::with_derived_id(&[5; 32]).unwrap();
    let same = SealKey::with_derived_id(&[5; 32]).unwrap();
    let other = SealKey::with_derived_id(&[6; 32]).unwrap();
    assert_eq!(one.id(), same.id());
    assert_ne!(one.id(), other.id());
    assert_eq!(one.id().to_string().parse::<KeyVersionId>().unwrap(), one.id());
    let sealed = one.seal(Params::default(), &super::context(), b"x").unwrap();
    assert_eq!(other.open(&super::context(), &sealed), Err(OpenError::UnknownVersion(one.id())));
}
