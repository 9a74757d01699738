//! Readers and writers that fail, end early or go on after an error.

use std::io::{self, Read, Write};

use bulla_seal::{OpenReader, SealError, SealWriter, StreamSealer, Suite};

use super::{SUITES, context, key, message, small_chunks};

#[test]
fn every_length_round_trips_in_pieces_of_every_size() {
    for suite in SUITES.into_iter().filter(|suite| *suite != Suite::Aes256Deterministic) {
        for len in [0, 1, 4_095, 4_096, 4_097, 8_192, 12_288, 20_000] {
            for piece in [1, 1_000, 4_096, 50_000] {
                let message = message(len);
                let mut writer = SealWriter::new(&key(), small_chunks(suite), &context(), Vec::new()).unwrap();
                for part in message.chunks(piece) {
                    writer.write_all(part).unwrap();
                }
                let sealed = writer.finish().unwrap();
                assert_eq!(sealed.len() as u64, small_chunks(suite).sealed_len(len as u64).unwrap());
                assert!(key().open(&context(), &sealed).unwrap() == message);
                let mut opened = Vec::new();
                let mut reader = OpenReader::new(sealed.as_slice()).unwrap().open(&key(), &context()).unwrap();
                let mut part = vec![0; piece];
                while let n @ 1.. = reader.read(&mut part).unwrap() {
                    opened.extend_from_slice(&part[..n]);
                }
                assert!(opened == message);
                assert_eq!(reader.read(&mut part).unwrap(), 0, "the end stays the end");
            }
        }
    }
}

#[test]
fn an_unfinished_value_is_refused_at_its_end() {
    let mut cut = Vec::new();
    let mut writer = SealWriter::new(&key(), small_chunks(Suite::Aes256Gcm), &context(), &mut cut).unwrap();
    writer.write_all(&message(10_000)).unwrap();
    drop(writer);
    let mut released = Vec::new();
    let mut reader = OpenReader::new(cut.as_slice()).unwrap().open(&key(), &context()).unwrap();
    let error = reader.read_to_end(&mut released).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(reader.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::InvalidData, "and stays refused");
    assert!(message(10_000).starts_with(&released));
}

#[test]
fn a_writer_whose_sink_failed_is_of_no_further_use() {
    #[derive(Debug)]
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.min(bytes.len()) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                n => {
                    self.0 -= n;
                    Ok(n)
                }
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = SealWriter::new(&key(), small_chunks(Suite::Aes256Gcm), &context(), Full(5_000)).unwrap();
    let failed = writer.write_all(&message(20_000)).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    assert!(writer.finish().is_err());
}

#[test]
fn deterministic_values_do_not_stream() {
    let params = small_chunks(Suite::Aes256Deterministic);
    assert_eq!(StreamSealer::new(&key(), params, &context()).unwrap_err(), SealError::OneShotOnly);
}

#[test]
fn chunks_have_the_length_they_must_have() {
    let mut sealer = StreamSealer::new(&key(), small_chunks(Suite::Aes256Gcm), &context()).unwrap();
    let full = 4_096 + 16;
    assert_eq!(sealer.seal_next(false, &mut [0; 100]), Err(SealError::ChunkLength));
    assert_eq!(sealer.seal_next(true, &mut [0; 15]), Err(SealError::ChunkLength));
    assert_eq!(sealer.seal_next(true, &mut vec![0; full + 1]), Err(SealError::ChunkLength));
    assert_eq!(sealer.seal_next(false, &mut vec![0; full]), Ok(()));
    assert_eq!(sealer.seal_next(true, &mut [0; 16]), Err(SealError::ChunkLength), "an empty last chunk");
    assert_eq!(sealer.seal_next(true, &mut [0; 17]), Ok(()));
    assert_eq!(sealer.seal_next(true, &mut [0; 17]), Err(SealError::ChunkLength), "nothing follows the last");
}
