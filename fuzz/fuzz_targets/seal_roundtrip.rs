//! What is sealed in any way opens in every way, and no longer once anything about it was changed.
#![no_main]

use std::io::Write;

use bulla_fuzz::{Input, open_in_every_way};
use bulla_seal::{
    ChunkSize, Context, KeyVersionId, OpenError, Params, ProjectId, SealError, SealKey, SealWriter, Suite,
};
use libfuzzer_sys::fuzz_target;

const PROJECT: ProjectId = ProjectId([7; 32]);

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let suite = Suite::try_from(1 + input.byte() % 4).expect("1 to 4");
    let params = Params { suite, chunk_size: ChunkSize::from_log2(12 + input.byte() % 3).expect("12 to 14") };
    let key = SealKey::new(KeyVersionId(input.array()), &[input.byte(); 32]).expect("32 bytes");
    let context = Context::user(&PROJECT).int("row", i64::from(input.byte())).build().expect("a small context");
    let (message_len, pieces, change) = (input.number(), input.number(), input.byte());
    let (place, byte) = (input.number(), input.byte());
    let message: Vec<u8> = input.0.iter().copied().chain([0]).cycle().take(message_len).collect();

    let sealed = key.seal(params, &context, &message).expect("a message in memory");
    assert_eq!(sealed.len() as u64, params.sealed_len(message.len() as u64).expect("a message in memory"));
    assert_eq!(open_in_every_way(&key, &context, &sealed).as_ref(), Ok(&message));

    let mut in_place = message.clone();
    key.seal_in_place(params, &context, &mut in_place).expect("a message in memory");
    assert_eq!(open_in_every_way(&key, &context, &in_place).as_ref(), Ok(&message));
    if suite == Suite::Aes256Deterministic {
        assert_eq!(in_place, sealed);
        let refused = SealWriter::new(&key, params, &context, Vec::new()).map(drop);
        assert_eq!(refused, Err(SealError::OneShotOnly));
    } else {
        let mut writer = SealWriter::new(&key, params, &context, Vec::new()).expect("a suite that streams");
        message.chunks(pieces.max(1)).for_each(|piece| writer.write_all(piece).expect("memory"));
        let streamed = writer.finish().expect("memory");
        assert_eq!(open_in_every_way(&key, &context, &streamed).as_ref(), Ok(&message));
    }

    let elsewhere = Context::user(&PROJECT).text("row", "elsewhere").build().expect("a small context");
    assert_eq!(open_in_every_way(&key, &elsewhere, &sealed), Err(OpenError::CannotOpen));
    let other = SealKey::new(key.id(), &[99; 16]).expect("16 bytes");
    assert_eq!(open_in_every_way(&other, &context, &sealed), Err(OpenError::CannotOpen));
    let changed = changed(&sealed, change, place, byte, params.chunk_size.stored());
    if changed != sealed {
        assert!(open_in_every_way(&key, &context, &changed).is_err());
    }
});

/// Changes a sealed value in one of the ways a storage can.
fn changed(sealed: &[u8], change: u8, place: usize, byte: u8, stored: usize) -> Vec<u8> {
    let mut bytes = sealed.to_vec();
    let place = place % bytes.len();
    match change % 5 {
        0 => bytes[place] ^= byte,
        1 => bytes.truncate(place),
        2 => bytes.push(byte),
        3 => bytes.insert(place, byte),
        _ => {
            // Two chunks change places.
            let mut chunks: Vec<&[u8]> = sealed[72..].chunks(stored).collect();
            let count = chunks.len();
            chunks.swap(place % count, usize::from(byte) % count);
            bytes.truncate(72);
            chunks.into_iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        }
    }
    bytes
}
