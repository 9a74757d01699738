//! Chunks opened one by one, and what happens to buffers.

use bulla_seal::{
    ChunkOpener, Header, MAX_MATERIAL_LEN, MAX_MESSAGE_LEN, MIN_MATERIAL_LEN, OpenError, Params, SealError, SealKey,
    Suite,
};

use super::{SUITES, context, key, message, small_chunks};

fn opener(sealed: &[u8]) -> ChunkOpener {
    ChunkOpener::new(&key(), &context(), &Header::parse(sealed).unwrap()).unwrap()
}

fn range(range: std::ops::Range<u64>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}

#[test]
fn chunks_open_in_any_order_once_the_end_is_verified() {
    for suite in SUITES.into_iter().filter(|suite| *suite != Suite::Aes256Deterministic) {
        let sealed = key().seal(small_chunks(suite), &context(), &message(10_000)).unwrap();
        let opener = opener(&sealed);
        let len = sealed.len() as u64;
        let last = range(opener.last_chunk(len).unwrap());
        let layout = opener.verify_end(len, &sealed[last.clone()]).unwrap();
        assert_eq!((layout.message_len(), layout.chunks()), (10_000, 3));
        for index in [2, 0, 1] {
            let place = range(layout.chunk(index).unwrap());
            let mut out = vec![0; place.len() - 16];
            opener.open(&layout, index, &sealed[place.clone()], &mut out).unwrap();
            assert!(out == message(10_000)[index as usize * 4_096..][..out.len()]);
            // What is in the way of a chunk that does not verify is wiped, not left.
            let mut damaged = sealed[place].to_vec();
            damaged[0] ^= 1;
            assert_eq!(opener.open(&layout, index, &damaged, &mut out), Err(OpenError::Damaged));
            assert!(out.iter().all(|&byte| byte == 0), "{suite:?}");
        }
        assert_eq!(layout.chunk(3), None);
        assert_eq!(layout.chunk(u64::MAX), None);
        // A length that storage lies about.
        for claimed in [len - 1, len + 1, 72 + 4_112, 72 + 2 * 4_112, 88, 72, 0, u64::MAX] {
            let refused = opener.last_chunk(claimed).and_then(|place| {
                let place = range(place);
                opener.verify_end(claimed, sealed.get(place).unwrap_or_default())
            });
            assert!(matches!(refused, Err(OpenError::Damaged | OpenError::TooShort)), "{claimed}: {refused:?}");
        }
    }
}

#[test]
fn a_layout_serves_its_own_value_only() {
    let short = key().seal(small_chunks(Suite::Aes256Gcm), &context(), &message(5_000)).unwrap();
    let long = key().seal(small_chunks(Suite::Aes256Gcm), &context(), &message(20_000)).unwrap();
    let last = range(opener(&short).last_chunk(short.len() as u64).unwrap());
    let layout = opener(&short).verify_end(short.len() as u64, &short[last]).unwrap();
    let first = range(layout.chunk(0).unwrap());
    let mut out = vec![0; 4_096];
    assert_eq!(opener(&long).open(&layout, 0, &long[first], &mut out), Err(OpenError::Damaged));
}

#[test]
fn a_buffer_that_was_not_decrypted_stays_as_it_is() {
    let sealed = key().seal(Params::default(), &context(), b"a message").unwrap();
    let wrong = SealKey::new(key().id(), &[9; 32]).unwrap();
    let mut buffer = sealed.clone();
    assert_eq!(wrong.open_in_place(&context(), &mut buffer), Err(OpenError::CannotOpen));
    assert_eq!(buffer, sealed, "another key may be tried");
    key().open_in_place(&context(), &mut buffer).unwrap();
    assert_eq!(buffer, b"a message");
}

#[test]
fn deterministic_values_are_equal_by_every_door() {
    let params = small_chunks(Suite::Aes256Deterministic);
    let mut buffer = message(10_000);
    key().seal_in_place(params, &context(), &mut buffer).unwrap();
    assert!(buffer == key().seal(params, &context(), &message(10_000)).unwrap());
}

#[test]
fn material_and_messages_have_bounds() {
    for len in [0, MIN_MATERIAL_LEN - 1, MAX_MATERIAL_LEN + 1] {
        assert_eq!(SealKey::with_derived_id(&vec![1; len]).unwrap_err(), SealError::MaterialLength(len));
    }
    for len in [MIN_MATERIAL_LEN, MAX_MATERIAL_LEN] {
        assert!(SealKey::with_derived_id(&vec![1; len]).is_ok());
    }
    let params = small_chunks(Suite::Aes256Gcm);
    assert_eq!(params.sealed_len(MAX_MESSAGE_LEN), Ok(72 + MAX_MESSAGE_LEN + (MAX_MESSAGE_LEN >> 12) * 16));
    assert_eq!(params.sealed_len(MAX_MESSAGE_LEN + 1), Err(SealError::MessageLength));
    let sealed = key().seal(params, &context(), b"x").unwrap();
    let longest = params.sealed_len(MAX_MESSAGE_LEN).unwrap();
    assert!(opener(&sealed).last_chunk(longest).is_ok());
    assert_eq!(opener(&sealed).last_chunk(longest + 17), Err(OpenError::Damaged));
}
