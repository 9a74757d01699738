//! Readers and writers that fail, end early or go on after an error.

use std::io::{self, Read, Write};

use bulla_seal::{OpenError, SealError, SealKey, SealWriter, SealedStream, StreamSealer, Suite};

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
                let mut reader = SealedStream::new(sealed.as_slice()).unwrap().open(&key(), &context()).unwrap();
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
    let mut reader = SealedStream::new(cut.as_slice()).unwrap().open(&key(), &context()).unwrap();
    let error = reader.read_to_end(&mut released).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(reader.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::InvalidData, "and stays refused");
    assert!(released.len() >= 4_096 && message(10_000).starts_with(&released));
}

/// Interrupts its reader with an error before every part.
struct Interrupting<'a> {
    rest: &'a [u8],
    kind: io::ErrorKind,
    interrupt: bool,
}

impl Read for Interrupting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(self.kind.into());
        }
        let taken = out.len().min(self.rest.len()).min(700);
        out[..taken].copy_from_slice(&self.rest[..taken]);
        self.rest = &self.rest[taken..];
        Ok(taken)
    }
}

#[test]
fn a_stream_that_is_interrupted_goes_on_where_it_was() {
    let sealed = key().seal(small_chunks(Suite::Aes256Gcm), &context(), &message(10_000)).unwrap();
    let (start, rest) = sealed.split_at(88);
    let source = start.chain(Interrupting { rest, kind: io::ErrorKind::WouldBlock, interrupt: false });
    let mut reader = SealedStream::new(source).unwrap().open(&key(), &context()).unwrap();
    let mut opened = Vec::new();
    let mut part = [0; 999];
    loop {
        match reader.read(&mut part) {
            Ok(0) => break,
            Ok(n) => opened.extend_from_slice(&part[..n]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    assert!(opened == message(10_000));
}

#[test]
fn an_end_that_the_source_calls_unexpected_is_not_taken_for_the_end_of_the_message() {
    let sealed = key().seal(small_chunks(Suite::Aes256Gcm), &context(), &message(10_000)).unwrap();
    let kind = io::ErrorKind::UnexpectedEof;
    let source = sealed[..6_000].chain(Interrupting { rest: &[], kind, interrupt: false });
    let mut reader = SealedStream::new(source).unwrap().open(&key(), &context()).unwrap();
    let mut record = [0; 1_000];
    let error = loop {
        if let Err(error) = reader.read_exact(&mut record) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_wrong_key_or_context_is_found_before_a_chunk_is_read() {
    let sealed = key().seal(small_chunks(Suite::Aes256Gcm), &context(), b"x").unwrap();
    let wrong = SealKey::new(key().id(), &[9; 32]).unwrap();
    let stream = SealedStream::new(sealed.as_slice()).unwrap();
    assert_eq!(stream.header().key_version(), key().id());
    assert_eq!(stream.open(&wrong, &context()).unwrap_err(), OpenError::CannotOpen);
    let deterministic = key().seal(small_chunks(Suite::Aes256Deterministic), &context(), b"x").unwrap();
    let refused = SealedStream::new(deterministic.as_slice()).unwrap_err().into_inner().unwrap();
    assert_eq!(*refused.downcast::<OpenError>().unwrap(), OpenError::OneShotOnly);
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
