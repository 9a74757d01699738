use std::fmt;
use std::io::{Read, Write};

use bulla_seal::{MAC_LEN, MacStream};
use data_encoding::HEXLOWER;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::{FlecheFault, FlecheKeys};

/// Length of a signature, in bytes: HMAC with SHA-256 in lower-case hex.
const SIGNATURE_LEN: usize = 2 * MAC_LEN;

/// The last byte of every pickle, the opcode STOP. No signature contains it.
const STOP: u8 = b'.';

/// How a gzip stream begins (RFC 1952 §2.3.1), and no pickle.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How much is inflated at once.
const BUFFER_LEN: usize = 64 * 1_024;

/// What a payload holds, as far as its first bytes say; nothing rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlecheKind {
    /// A value.
    Value,
    /// The record of a call.
    Call,
}

impl FlecheKind {
    /// Returns the word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Call => "call",
        }
    }

    /// Recognises the record of a call by the class that its pickle names first.
    fn of(payload: &[u8]) -> Self {
        // PROTO and FRAME, as protocols from 2 and from 4 on begin.
        let body = payload.strip_prefix(&[0x80]).and_then(|rest| rest.get(1..)).unwrap_or(payload);
        let body = body.strip_prefix(&[0x95]).and_then(|rest| rest.get(8..)).unwrap_or(body);
        let by_stack = b"\x8c\x0bfleche.call\x94\x8c\x0cDigestedCall\x94\x93";
        let is_call = body.starts_with(by_stack) || body.starts_with(b"cfleche.call\nDigestedCall\n");
        if is_call { Self::Call } else { Self::Value }
    }
}

/// The payload of a file of fleche: a pickle, which nothing here unpickles (spec, "Files").
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlecheFile {
    /// The pickle.
    pub payload: Vec<u8>,
    /// Whether there is a signature behind it.
    pub signed: bool,
    /// Which key the signature is by, from 1. `None` if there were no keys: then nothing was verified.
    pub verified_by: Option<usize>,
    /// Whether the file was gzipped.
    pub gzipped: bool,
}

impl FlecheFile {
    /// Opens the content of a file. Where there are keys, nothing is returned unless one of them signed it.
    ///
    /// The signature covers the payload as it is inflated. A gzip stream is therefore inflated twice: for the signature, of which
    /// nothing is kept, and then for the payload.
    ///
    /// # Errors
    /// Fails with the first [`FlecheFault`], in the order of the specification ("Reading").
    ///
    /// # Security
    /// Without keys, the payload is whatever somebody put there. Unpickling it runs what they like.
    pub fn open(mut content: Vec<u8>, keys: Option<&FlecheKeys>, max_len: u64) -> Result<Self, FlecheFault> {
        let form = Form::of(&content, keys, max_len)?;
        let Form { payload_len, signed, verified_by, gzipped, .. } = form;
        let len = usize::try_from(payload_len).map_err(|_| FlecheFault::TooLarge(max_len))?;
        if !gzipped {
            content.truncate(len);
            return Ok(Self { payload: content, signed, verified_by, gzipped });
        }
        let mut payload = Vec::with_capacity(len);
        inflate(&content, max_len, |piece| {
            let wanted = piece.len().min(len - payload.len());
            payload.extend_from_slice(&piece[..wanted]);
        })?;
        Ok(Self { payload, signed, verified_by, gzipped })
    }

    /// Returns the content of a file with this payload, signed by the first key if there are keys.
    ///
    /// # Errors
    /// [`FlecheFault::NotAPickle`] unless the payload ends as a pickle, and begins otherwise than a gzip stream: fleche would read
    /// something else; [`FlecheFault::ShortKey`].
    pub fn encode(payload: &[u8], keys: Option<&FlecheKeys>, gzip: bool) -> Result<Vec<u8>, FlecheFault> {
        if payload.last() != Some(&STOP) || payload.starts_with(&GZIP) {
            return Err(FlecheFault::NotAPickle);
        }
        let signature = match keys {
            None => String::new(),
            Some(keys) => HEXLOWER.encode(&keys.sign(payload).ok_or(FlecheFault::ShortKey)?),
        };
        if !gzip {
            return Ok([payload, signature.as_bytes()].concat());
        }
        // No name and no time: equal payloads give equal files. fleche compresses as hard.
        let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new().write(Vec::new(), Compression::best());
        let written = encoder.write_all(payload).and_then(|()| encoder.write_all(signature.as_bytes()));
        // Writing to memory does not fail; should it ever, nothing half is returned.
        written.and_then(|()| encoder.finish()).map_err(|_| FlecheFault::BadGzip)
    }

    /// Returns what the payload holds, as far as its first bytes say.
    #[must_use]
    pub fn kind(&self) -> FlecheKind {
        FlecheKind::of(&self.payload)
    }
}

impl fmt::Debug for FlecheFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlecheFile")
            .field("signed", &self.signed)
            .field("verified_by", &self.verified_by)
            .field("gzipped", &self.gzipped)
            .finish_non_exhaustive()
    }
}

/// What can be said of a file without keeping its payload.
pub(super) struct Form {
    pub(super) payload_len: u64,
    pub(super) signed: bool,
    pub(super) verified_by: Option<usize>,
    pub(super) gzipped: bool,
    pub(super) kind: FlecheKind,
}

impl Form {
    /// Looks through the content of a file, and verifies its signature if there are keys. However much is inflated, what is held of it is
    /// one buffer.
    pub(super) fn of(content: &[u8], keys: Option<&FlecheKeys>, max_len: u64) -> Result<Self, FlecheFault> {
        if content.len() as u64 > max_len {
            return Err(FlecheFault::TooLarge(max_len));
        }
        let mut scan = Scan::begin(keys);
        let gzipped = content.starts_with(&GZIP);
        if gzipped {
            inflate(content, max_len, |piece| scan.update(piece))?;
        } else {
            scan.update(content);
        }
        scan.finish(gzipped)
    }
}

/// Inflates one gzip stream, and hands it on in pieces of which none is to be believed yet.
fn inflate(content: &[u8], max_len: u64, mut sink: impl FnMut(&[u8])) -> Result<(), FlecheFault> {
    let mut decoder = GzDecoder::new(content);
    let mut buffer = vec![0; BUFFER_LEN];
    let mut len = 0_u64;
    loop {
        let read = decoder.read(&mut buffer).map_err(|_| FlecheFault::BadGzip)?;
        if read == 0 {
            break;
        }
        len += read as u64;
        if len > max_len {
            return Err(FlecheFault::TooLarge(max_len));
        }
        sink(&buffer[..read]);
    }
    // Another stream, or padding: Python would inflate the one and skip the other.
    if decoder.into_inner().is_empty() { Ok(()) } else { Err(FlecheFault::TrailingBytes) }
}

/// Content that goes by. The last bytes are held back from the MACs: they may be the signature.
struct Scan {
    streams: Option<Vec<MacStream>>,
    head: Vec<u8>,
    /// The last byte that went to the MACs.
    before: Option<u8>,
    tail: Vec<u8>,
    len: u64,
    stop_seen: bool,
}

/// Enough to recognise a kind by.
const HEAD_LEN: usize = 64;

impl Scan {
    fn begin(keys: Option<&FlecheKeys>) -> Self {
        Self {
            streams: keys.map(FlecheKeys::streams),
            head: Vec::with_capacity(HEAD_LEN),
            before: None,
            tail: Vec::with_capacity(2 * SIGNATURE_LEN),
            len: 0,
            stop_seen: false,
        }
    }

    fn update(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        let head = piece.len().min(HEAD_LEN - self.head.len());
        self.head.extend_from_slice(&piece[..head]);

        let kept = piece.len().min(SIGNATURE_LEN);
        let (passed, last) = piece.split_at(piece.len() - kept);
        let surplus = (self.tail.len() + kept).saturating_sub(SIGNATURE_LEN);
        let held: Vec<u8> = self.tail.drain(..surplus).collect();
        self.pass(&held);
        self.pass(passed);
        self.tail.extend_from_slice(last);
    }

    fn pass(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.before = Some(*last);
        self.stop_seen = self.stop_seen || bytes.contains(&STOP);
        for stream in self.streams.iter_mut().flatten() {
            stream.update(bytes);
        }
    }

    fn finish(mut self, gzipped: bool) -> Result<Form, FlecheFault> {
        let kind = FlecheKind::of(&self.head);
        if self.tail.last() == Some(&STOP) {
            return match self.streams {
                Some(_) => Err(FlecheFault::Unsigned),
                None => Ok(Form { payload_len: self.len, signed: false, verified_by: None, gzipped, kind }),
            };
        }
        let signature = HEXLOWER.decode(&self.tail).ok().filter(|tag| tag.len() == MAC_LEN);
        let Some(signature) = signature.filter(|_| self.before == Some(STOP)) else {
            let has_end = self.stop_seen || self.tail.contains(&STOP);
            return Err(if has_end { FlecheFault::TrailingBytes } else { FlecheFault::NotAPickle });
        };
        let payload_len = self.len - SIGNATURE_LEN as u64;
        let mut verified_by = None;
        if let Some(streams) = self.streams.take() {
            // Every key is tried, whichever it was.
            for (stream, position) in streams.into_iter().zip(1..) {
                if stream.verifies(&signature) && verified_by.is_none() {
                    verified_by = Some(position);
                }
            }
            if verified_by.is_none() {
                return Err(FlecheFault::BadSignature);
            }
        }
        Ok(Form { payload_len, signed: true, verified_by, gzipped, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1 << 20;

    fn keys(byte: u8) -> FlecheKeys {
        format!("{byte:02x}").repeat(16).parse().unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let keys = keys(7);
        for len in [1, 2, 63, 64, 65, 128, BUFFER_LEN - 1, BUFFER_LEN + 65, 5 * BUFFER_LEN] {
            let mut payload: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            payload[0] = 0x80;
            payload[len - 1] = STOP;
            for gzip in [false, true] {
                let content = FlecheFile::encode(&payload, Some(&keys), gzip).unwrap();
                let file = FlecheFile::open(content.clone(), Some(&keys), MAX).unwrap();
                assert_eq!((file.payload.as_slice(), file.verified_by, file.gzipped), (&payload[..], Some(1), gzip));
                let unverified = FlecheFile::open(content.clone(), None, MAX).unwrap();
                assert_eq!((unverified.payload.as_slice(), unverified.verified_by), (&payload[..], None));
                assert!(unverified.signed);

                let unsigned = FlecheFile::encode(&payload, None, gzip).unwrap();
                assert_eq!(FlecheFile::open(unsigned.clone(), Some(&keys), MAX).err(), Some(FlecheFault::Unsigned));
                assert_eq!(FlecheFile::open(unsigned, None, MAX).unwrap().payload, payload);
            }
        }
    }

    #[test]
    fn pieces_of_any_size_verify() {
        let keys = keys(7);
        let mut payload = vec![b'x'; 300];
        payload.push(STOP);
        let content = FlecheFile::encode(&payload, Some(&keys), false).unwrap();
        for size in 1..content.len() {
            let mut scan = Scan::begin(Some(&keys));
            content.chunks(size).for_each(|piece| scan.update(piece));
            assert_eq!(scan.finish(false).unwrap().payload_len, 301, "{size}");
        }
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(7);
        for gzip in [false, true] {
            let content = FlecheFile::encode(b"\x80\x04K\x01.", Some(&keys), gzip).unwrap();
            for at in 0..content.len() {
                for bit in 0..8 {
                    let mut altered = content.clone();
                    altered[at] ^= 1 << bit;
                    match FlecheFile::open(altered, Some(&keys), MAX) {
                        // Some bits of a gzip stream stand for nothing, such as its time, and the signature is within it.
                        Ok(file) => assert!(gzip && file.payload == b"\x80\x04K\x01.", "{at} {bit}"),
                        Err(fault) => assert!(fault.is_violation(), "{at} {bit} {fault}"),
                    }
                }
            }
            for end in 0..content.len() {
                assert!(FlecheFile::open(content[..end].to_vec(), Some(&keys), MAX).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn each_fault_has_its_reason() {
        let keys = keys(7);
        let signed = FlecheFile::encode(b"K\x01.", Some(&keys), false).unwrap();
        let gzipped = FlecheFile::encode(b"K\x01.", Some(&keys), true).unwrap();
        let upper = signed.iter().map(u8::to_ascii_uppercase).collect();
        for (content, fault) in [
            (Vec::new(), FlecheFault::NotAPickle),
            (b"K\x01".to_vec(), FlecheFault::NotAPickle),
            (vec![b'0'; 64], FlecheFault::NotAPickle),
            (b"K\x01.".to_vec(), FlecheFault::Unsigned),
            ([&signed[..], b"0"].concat(), FlecheFault::TrailingBytes),
            ([&signed[..], b"."].concat(), FlecheFault::Unsigned),
            (upper, FlecheFault::TrailingBytes),
            ([b"x", &signed[..]].concat(), FlecheFault::BadSignature),
            ([&gzipped[..], b"\0"].concat(), FlecheFault::TrailingBytes),
            ([&gzipped[..], &gzipped[..]].concat(), FlecheFault::TrailingBytes),
            (gzipped[..gzipped.len() - 1].to_vec(), FlecheFault::BadGzip),
            (vec![0; (1 << 20) + 1], FlecheFault::TooLarge(MAX)),
        ] {
            assert_eq!(FlecheFile::open(content, Some(&keys), MAX).err(), Some(fault));
        }
        let other = self::keys(8);
        assert_eq!(FlecheFile::open(signed, Some(&other), MAX).err(), Some(FlecheFault::BadSignature));
    }

    #[test]
    fn what_fleche_would_misread_is_not_written() {
        let short: FlecheKeys = "07".repeat(15).parse().unwrap();
        assert_eq!(FlecheFile::encode(b"K\x01", None, false).err(), Some(FlecheFault::NotAPickle));
        assert_eq!(FlecheFile::encode(b"\x1f\x8b.", None, false).err(), Some(FlecheFault::NotAPickle));
        assert_eq!(FlecheFile::encode(b"K\x01.", Some(&short), false).err(), Some(FlecheFault::ShortKey));
    }

    #[test]
    fn calls_are_recognised_by_the_class_they_name_first() {
        let call = b"\x80\x04\x95\x29\x02\0\0\0\0\0\0\x8c\x0bfleche.call\x94\x8c\x0cDigestedCall\x94\x93\x94).";
        assert_eq!(FlecheKind::of(call), FlecheKind::Call);
        assert_eq!(FlecheKind::of(b"\x80\x02cfleche.call\nDigestedCall\nq\0."), FlecheKind::Call);
        assert_eq!(FlecheKind::of(b"\x80\x04\x95\x0f\0\0\0\0\0\0\0\x8c\x0bfleche.call\x94."), FlecheKind::Value);
        assert_eq!(FlecheKind::of(b"\x80"), FlecheKind::Value);
        assert_eq!(FlecheKind::of(b"\x80\x04\x95"), FlecheKind::Value);
    }
}
