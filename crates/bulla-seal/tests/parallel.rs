//! Large values, which more than one core works on.

use std::io::{Read, Seek, SeekFrom, Write};

use bulla_seal::{OpenError, Params, RangeReader, SealWriter, SealedStream, Suite, danger};

use super::{SUITES, context, key, message};

const LEN: usize = 9 * 1_024 * 1_024 + 5;

#[test]
fn large_values_are_the_same_by_every_door() {
    let message = message(LEN);
    for suite in SUITES {
        let params = Params::new(suite);
        let sealed = key().seal(params, &context(), &message).unwrap();
        assert_eq!(sealed.len() as u64, params.sealed_len(LEN as u64).unwrap());
        assert!(key().open(&context(), &sealed).unwrap() == message);

        let mut in_place = sealed.clone();
        key().open_in_place(&context(), &mut in_place).unwrap();
        assert!(in_place == message);
        key().seal_in_place(params, &context(), &mut in_place).unwrap();
        assert!(key().open(&context(), &in_place).unwrap() == message);

        if suite != Suite::Aes256Deterministic {
            let salt = sealed[16..40].try_into().unwrap();
            assert!(danger::seal_with_salt(&key(), params, &context(), &salt, &message).unwrap() == sealed);
        }
    }
}

#[test]
fn damage_is_found_in_whichever_share_it_lies() {
    let message = message(LEN);
    let mut sealed = key().seal(Params::default(), &context(), &message).unwrap();
    for at in [72, sealed.len() / 4, sealed.len() / 2, sealed.len() - 20, sealed.len() - 1] {
        sealed[at] ^= 0x10;
        let mut out = vec![1; 10];
        assert_eq!(key().open_into(&context(), &sealed, &mut out), Err(OpenError::Damaged));
        assert!(out.is_empty());
        sealed[at] ^= 0x10;
    }
    assert!(key().open(&context(), &sealed).is_ok());
}

#[test]
fn buffers_are_used_again() {
    let mut sealed = Vec::new();
    let mut opened = Vec::new();
    for len in [LEN, 100, 0, 70_000, LEN] {
        let message = message(len);
        key().seal_into(Params::default(), &context(), &message, &mut sealed).unwrap();
        key().open_into(&context(), &sealed, &mut opened).unwrap();
        assert!(opened == message);
    }
}

#[test]
fn ranges_open_only_what_they_need() {
    let message = message(LEN);
    let mut writer = SealWriter::new(&key(), Params::default(), &context(), Vec::new()).unwrap();
    writer.write_all(&message).unwrap();
    let mut sealed = writer.finish().unwrap();
    // Damage in the second chunk does not concern a range elsewhere.
    sealed[72 + 65_552 + 7] ^= 1;
    let mut reader = RangeReader::open(std::io::Cursor::new(&sealed), &key(), &context()).unwrap();
    assert_eq!(reader.message_len(), LEN as u64);
    for (start, len) in [(0, 100), (65_000, 536), (131_072, 300_000), (LEN - 3, 3)] {
        let mut range = vec![0; len];
        reader.seek(SeekFrom::Start(start as u64)).unwrap();
        reader.read_exact(&mut range).unwrap();
        assert!(range == message[start..start + len]);
    }
    reader.seek(SeekFrom::Start(65_536)).unwrap();
    assert!(reader.read(&mut [0; 1]).is_err());
    assert_eq!(reader.seek(SeekFrom::End(10)).unwrap(), LEN as u64 + 10);
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);

    let mut all = Vec::new();
    let error = SealedStream::new(sealed.as_slice()).unwrap().open(&key(), &context()).unwrap().read_to_end(&mut all);
    assert!(error.is_err());
    assert!(all == message[..65_536], "the stream released what had verified, and no more");
}
