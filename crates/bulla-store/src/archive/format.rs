//! The items of an archive, written and read one after the other.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_seal::sha256;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use super::ArchiveError;
use crate::entry::{BlobRef, Entry};
use crate::{EntryName, EntryStat, MAX_TAGS, NamespaceName};

/// Longest item, in bytes: a whole piece of a value.
const PIECE_LEN: usize = 65_536;
const NAME: &str = "bulla-archive";
const VERSION: u64 = 1;
const LABEL: &[u8] = b"bulla/archive/v1\0";

const MALFORMED: ArchiveError = ArchiveError::Damaged("an item of it is not well-formed");
const CUT_OFF: ArchiveError = ArchiveError::Damaged("it is cut off");

/// An entry of an archive, less its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedEntry {
    /// Its name.
    pub name: EntryName,
    /// What it says about its value; version and time of creation are those that it had where it came from.
    pub stat: EntryStat,
}

/// Writes an archive, in constant memory.
pub struct ArchiveWriter<W> {
    out: W,
    chain: Chain,
    count: u64,
    /// How much of a value is still to come.
    left: Option<u64>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive of the entries of a namespace.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn new(out: W, namespace: &NamespaceName, now: Timestamp) -> Result<Self, ArchiveError> {
        let header = encode(|e| {
            e.array(4)?.str(NAME)?.u64(VERSION)?.str(namespace.as_str())?.u64(now.0)?;
            Ok(())
        });
        let mut writer = Self { out, chain: Chain::begin(&header), count: 0, left: None };
        writer.raw(&header)?;
        Ok(writer)
    }

    /// Begins an entry; the value comes behind it, in [`Self::value`].
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; [`ArchiveError::Damaged`] if the value before has not come to its end.
    pub fn entry(&mut self, entry: &ArchivedEntry) -> Result<(), ArchiveError> {
        if self.left.is_some() {
            return Err(ArchiveError::Damaged("a value of it was not ended"));
        }
        self.left = Some(entry.stat.len);
        self.item(&entry.encode())
    }

    /// Adds a part of the value, of any length: all of it in one, or pieces of [`ArchiveWriter::PIECE_LEN`] bytes.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; [`ArchiveError::Damaged`] if a piece but the last has another length, or there is more than the entry said.
    pub fn value(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        for piece in bytes.chunks(PIECE_LEN) {
            let left = self.left.unwrap_or_default();
            if piece.len() as u64 != left.min(PIECE_LEN as u64) {
                return Err(ArchiveError::Damaged("a value of it is not as long as its entry says"));
            }
            self.item(piece)?;
            self.left = Some(left - piece.len() as u64);
        }
        Ok(())
    }

    /// Ends an entry, all of whose value has come.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn end_entry(&mut self) -> Result<(), ArchiveError> {
        if self.left.take() != Some(0) {
            return Err(ArchiveError::Damaged("a value of it is not as long as its entry says"));
        }
        self.count += 1;
        self.raw(&self.chain.0.clone())
    }

    /// Gives an entry up whose value turns out not to be had. Readers will forget it.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn give_up(&mut self) -> Result<(), ArchiveError> {
        self.left = None;
        self.item(&[])
    }

    /// Ends the archive, and returns what it was written to.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        if self.left.is_some() {
            return Err(ArchiveError::Damaged("a value of it was not ended"));
        }
        let end = encode(|e| e.array(1)?.u64(self.count).map(drop));
        self.item(&end)?;
        self.raw(&self.chain.0.clone())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Length of every piece of a value but the last, in bytes.
    pub const PIECE_LEN: usize = PIECE_LEN;

    fn item(&mut self, item: &[u8]) -> Result<(), ArchiveError> {
        self.chain.add(item);
        self.raw(item)
    }

    fn raw(&mut self, item: &[u8]) -> Result<(), ArchiveError> {
        let head = encode(|e| e.bytes_len(item.len() as u64).map(drop));
        self.out.write_all(&head)?;
        Ok(self.out.write_all(item)?)
    }
}

impl<W> fmt::Debug for ArchiveWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWriter").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What comes next in an archive, behind an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum ArchivePart {
    /// A piece of its value.
    Piece(Zeroizing<Vec<u8>>),
    /// Its end: all of the value has come, as it was written.
    End,
    /// The entry was given up: what came of it is to be forgotten.
    GivenUp,
}

/// Reads an archive, in constant memory.
pub struct ArchiveReader<R> {
    source: R,
    namespace: NamespaceName,
    time: Timestamp,
    chain: Chain,
    count: u64,
    left: Option<u64>,
    ended: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Begins to read an archive.
    ///
    /// # Errors
    /// [`ArchiveError::NotAnArchive`], [`ArchiveError::Newer`], [`ArchiveError::Damaged`], [`ArchiveError::Io`].
    pub fn new(mut source: R) -> Result<Self, ArchiveError> {
        let header = match read_item(&mut source) {
            Ok(Some(header)) => header,
            Ok(None) | Err(ArchiveError::Damaged(_)) => return Err(ArchiveError::NotAnArchive),
            Err(error) => return Err(error),
        };
        let mut decoder = Decoder::new(&header);
        let starts = matches!(decoder.array(), Ok(Some(_))) && matches!(decoder.str(), Ok(NAME));
        let version = decoder.u64().ok().filter(|_| starts).ok_or(ArchiveError::NotAnArchive)?;
        if version != VERSION {
            return Err(ArchiveError::Newer);
        }
        let rest = (|| Some((decoder.str().ok()?.parse().ok()?, Timestamp(decoder.u64().ok()?))))();
        let (namespace, time): (NamespaceName, _) = rest.ok_or(MALFORMED)?;
        let again = ArchiveWriter::new(Vec::new(), &namespace, time)?;
        let chain = Chain::begin(&header);
        if again.chain != chain {
            return Err(MALFORMED);
        }
        Ok(Self { source, namespace, time, chain, count: 0, left: None, ended: false })
    }

    /// Returns the namespace that the entries come from.
    #[must_use]
    pub fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// Returns when the archive was made.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Reads the next entry, or `None` behind the last: only then it is certain that nothing is missing. What is left of the value of the one
    /// before is passed over.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`], [`ArchiveError::Io`].
    pub fn next_entry(&mut self) -> Result<Option<ArchivedEntry>, ArchiveError> {
        while self.left.is_some() {
            self.next_part()?;
        }
        if self.ended {
            return Ok(None);
        }
        let item = self.item()?;
        if let Some(entry) = ArchivedEntry::decode(&item) {
            self.left = Some(entry.stat.len);
            return Ok(Some(entry));
        }
        if *item != encode(|e| e.array(1)?.u64(self.count).map(drop)) {
            return Err(MALFORMED);
        }
        self.digest()?;
        match self.source.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(ArchiveError::Damaged("something comes behind its end")),
            Err(error) => return Err(error.into()),
        }
        self.ended = true;
        Ok(None)
    }

    /// Reads what comes behind an entry: pieces of its value, and how it ends. `End` once it has ended.
    ///
    /// # Errors
    /// As [`Self::next_entry`].
    pub fn next_part(&mut self) -> Result<ArchivePart, ArchiveError> {
        let Some(left) = self.left else { return Ok(ArchivePart::End) };
        let item = read_item(&mut self.source)?.ok_or(CUT_OFF)?;
        if item.is_empty() {
            self.chain.add(&item);
            self.left = None;
            return Ok(ArchivePart::GivenUp);
        }
        if left == 0 {
            self.check(&item)?;
            self.count += 1;
            self.left = None;
            return Ok(ArchivePart::End);
        }
        if item.len() as u64 != left.min(PIECE_LEN as u64) {
            return Err(ArchiveError::Damaged("a value of it is not as long as its entry says"));
        }
        self.chain.add(&item);
        self.left = Some(left - item.len() as u64);
        Ok(ArchivePart::Piece(item))
    }

    fn item(&mut self) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        let item = read_item(&mut self.source)?.ok_or(CUT_OFF)?;
        self.chain.add(&item);
        Ok(item)
    }

    fn digest(&mut self) -> Result<(), ArchiveError> {
        let item = read_item(&mut self.source)?.ok_or(CUT_OFF)?;
        self.check(&item)
    }

    fn check(&self, digest: &[u8]) -> Result<(), ArchiveError> {
        if *digest == self.chain.0 { Ok(()) } else { Err(ArchiveError::Damaged("it was altered")) }
    }
}

impl<R> fmt::Debug for ArchiveReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl ArchivedEntry {
    fn encode(&self) -> Vec<u8> {
        let stat = &self.stat;
        let optional = [
            stat.expires.is_some(),
            stat.media_type.is_some(),
            !stat.tags.is_empty(),
            stat.compute_time.is_some(),
            stat.sensitive,
        ];
        encode(|e| {
            e.map(4 + optional.into_iter().map(u64::from).sum::<u64>())?;
            e.u64(1)?.u64(stat.version)?.u64(2)?.u64(stat.created.0)?;
            if let Some(expires) = stat.expires {
                e.u64(3)?.u64(expires.0)?;
            }
            if let Some(media_type) = &stat.media_type {
                e.u64(4)?.str(media_type)?;
            }
            if !stat.tags.is_empty() {
                e.u64(5)?.array(stat.tags.len() as u64)?;
                for tag in &stat.tags {
                    e.str(tag)?;
                }
            }
            e.u64(6)?.bytes(self.name.as_bytes())?;
            if let Some(time) = stat.compute_time {
                e.u64(7)?.u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))?;
            }
            if stat.sensitive {
                e.u64(8)?.bool(true)?;
            }
            e.u64(9)?.u64(stat.len).map(drop)
        })
    }

    /// Reads an encoded entry, in its one encoding.
    fn decode(encoded: &[u8]) -> Option<Self> {
        let entry = Self::parse(encoded)?;
        // What a value in a blob may say, any value may here.
        let blob = Some(BlobRef { id: bulla_backend::BlobId([0; 32]), key: bulla_seal::Secret::build(|_| ()) });
        let checked = Entry { stat: entry.stat, name: None, blob };
        checked.check().ok()?;
        let entry = Self { name: entry.name, stat: checked.stat };
        (entry.encode() == encoded).then_some(entry)
    }

    fn parse(encoded: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(encoded);
        let mut name = None;
        let mut stat = EntryStat {
            version: 0,
            created: Timestamp(0),
            expires: None,
            media_type: None,
            tags: Vec::new(),
            compute_time: None,
            sensitive: false,
            len: 0,
        };
        for _ in 0..d.map().ok()?? {
            match d.u64().ok()? {
                1 => stat.version = d.u64().ok()?,
                2 => stat.created = Timestamp(d.u64().ok()?),
                3 => stat.expires = Some(Timestamp(d.u64().ok()?)),
                4 => stat.media_type = Some(d.str().ok()?.to_owned()),
                5 => {
                    let count = d.array().ok()?.filter(|count| *count <= MAX_TAGS as u64)?;
                    for _ in 0..count {
                        stat.tags.push(d.str().ok()?.to_owned());
                    }
                }
                6 => name = Some(EntryName::new(d.bytes().ok()?).ok()?),
                7 => stat.compute_time = Some(Duration::from_millis(d.u64().ok()?)),
                8 => stat.sensitive = d.bool().ok()?,
                9 => stat.len = d.u64().ok()?,
                _ => return None,
            }
        }
        Some(Self { name: name?, stat })
    }
}

/// The digest of all items so far.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain([u8; 32]);

impl Chain {
    fn begin(header: &[u8]) -> Self {
        Self(sha256(&[LABEL, header].concat()))
    }

    fn add(&mut self, item: &[u8]) {
        let both = Zeroizing::new([&self.0[..], item].concat());
        self.0 = sha256(&both);
    }
}

/// Reads a byte string of at most [`PIECE_LEN`] bytes, in its shortest form; `None` at the end.
fn read_item(source: &mut impl Read) -> Result<Option<Zeroizing<Vec<u8>>>, ArchiveError> {
    /// What begins a byte string.
    const BYTES: u8 = 0x40;
    let mut head = [0];
    match source.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (len, shortest) = match head[0].checked_sub(BYTES) {
        Some(len @ 0..24) => (usize::from(len), 0),
        Some(24) => (usize::from(u8::from_be_bytes(fixed(source)?)), 24),
        Some(25) => (usize::from(u16::from_be_bytes(fixed(source)?)), 256),
        Some(26) => (usize::try_from(u32::from_be_bytes(fixed(source)?)).unwrap_or(usize::MAX), 65_536),
        _ => return Err(MALFORMED),
    };
    if len < shortest || len > PIECE_LEN {
        return Err(MALFORMED);
    }
    let mut item = Zeroizing::new(vec![0; len]);
    source.read_exact(&mut item).map_err(cut_off)?;
    Ok(Some(item))
}

fn fixed<const N: usize>(source: &mut impl Read) -> Result<[u8; N], ArchiveError> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

fn cut_off(error: io::Error) -> ArchiveError {
    if error.kind() == io::ErrorKind::UnexpectedEof { CUT_OFF } else { error.into() }
}

fn encode(
    write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<core::convert::Infallible>>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let written = write(&mut Encoder::new(&mut out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], len: u64) -> ArchivedEntry {
        let stat = EntryStat {
            version: 7,
            created: Timestamp(1_000),
            expires: Some(Timestamp(2_000)),
            media_type: Some("text/plain".to_owned()),
            tags: vec!["a".to_owned(), "b".to_owned()],
            compute_time: Some(Duration::from_millis(5)),
            sensitive: true,
            len,
        };
        ArchivedEntry { name: EntryName::new(name).unwrap(), stat }
    }

    /// An archive with an empty value, one of several pieces, one given up, and one plain.
    fn archive() -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), &"orders".parse().unwrap(), Timestamp(9)).unwrap();
        for (name, len) in [(&b"empty"[..], 0), (b"long", PIECE_LEN + 10)] {
            writer.entry(&entry(name, len as u64)).unwrap();
            writer.value(&vec![7; len]).unwrap();
            writer.end_entry().unwrap();
        }
        writer.entry(&entry(b"lost", PIECE_LEN as u64 + 1)).unwrap();
        writer.value(&[8; PIECE_LEN]).unwrap();
        writer.give_up().unwrap();
        let stat = EntryStat {
            expires: None,
            media_type: None,
            tags: Vec::new(),
            compute_time: None,
            sensitive: false,
            ..entry(b"x", 3).stat
        };
        writer.entry(&ArchivedEntry { stat, ..entry(b"x", 3) }).unwrap();
        writer.value(b"abc").unwrap();
        writer.end_entry().unwrap();
        writer.finish().unwrap()
    }

    /// Names and lengths of values.
    type Whole = Vec<(Vec<u8>, usize)>;

    /// Reads an archive as an importer does: what ended whole, and how it all ended.
    fn read(bytes: &[u8]) -> (Whole, Result<(), ArchiveError>) {
        let mut whole = Vec::new();
        let result = (|| {
            let mut reader = ArchiveReader::new(bytes)?;
            while let Some(entry) = reader.next_entry()? {
                let mut len = 0;
                loop {
                    match reader.next_part()? {
                        ArchivePart::Piece(piece) => len += piece.len(),
                        ArchivePart::End => break whole.push((entry.name.as_bytes().to_vec(), len)),
                        ArchivePart::GivenUp => break,
                    }
                }
            }
            Ok(())
        })();
        (whole, result)
    }

    fn expected() -> Whole {
        vec![(b"empty".to_vec(), 0), (b"long".to_vec(), PIECE_LEN + 10), (b"x".to_vec(), 3)]
    }

    #[test]
    fn what_is_written_is_read() {
        let (whole, result) = read(&archive());
        result.unwrap();
        assert_eq!(whole, expected());
        let reader = ArchiveReader::new(archive().as_slice()).map(|reader| (reader.namespace.clone(), reader.time));
        assert_eq!(reader.unwrap(), ("orders".parse().unwrap(), Timestamp(9)));
        for entry in [entry(b"name", 5), entry(&[0xff; 1_024], 1 << 48)] {
            assert_eq!(ArchivedEntry::decode(&entry.encode()), Some(entry));
        }
        assert_eq!(ArchivedEntry::decode(&entry(b"name", (1 << 48) + 1).encode()), None);
    }

    #[test]
    fn every_truncation_is_seen_and_hands_on_whole_entries_only() {
        let good = archive();
        // The long pieces are cut in some places only.
        let ends = (0..good.len()).filter(|end| end % 997 == 0 || *end < 600 || *end > good.len() - 600);
        for end in ends {
            let (whole, result) = read(&good[..end]);
            let code = result.unwrap_err().code();
            assert!(matches!(code, "damaged_archive" | "not_an_archive"), "cut at {end}: {code}");
            assert!(expected().starts_with(&whole), "cut at {end}");
        }
        assert_eq!(read(&[&good[..], b"\0"].concat()).1.unwrap_err().code(), "damaged_archive");
    }

    #[test]
    fn every_flipped_bit_is_seen_before_its_entry_is_whole() {
        let good = archive();
        let places = (0..good.len()).filter(|at| at % 1_009 == 0 || *at < 400 || *at > good.len() - 400);
        for at in places {
            for bit in [0, 3, 7] {
                let mut altered = good.clone();
                altered[at] ^= 1 << bit;
                let (whole, result) = read(&altered);
                assert!(result.is_err(), "byte {at}, bit {bit}");
                assert!(expected().starts_with(&whole), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_writer_holds_values_to_their_lengths() {
        let writer = || ArchiveWriter::new(Vec::new(), &"orders".parse().unwrap(), Timestamp(9)).unwrap();
        let mut short = writer();
        short.entry(&entry(b"a", 2)).unwrap();
        assert_eq!(short.end_entry().unwrap_err().code(), "damaged_archive");
        let mut long = writer();
        long.entry(&entry(b"a", 2)).unwrap();
        assert_eq!(long.value(b"abc").unwrap_err().code(), "damaged_archive");
        let mut open = writer();
        open.entry(&entry(b"a", 2)).unwrap();
        assert_eq!(open.finish().unwrap_err().code(), "damaged_archive");
    }
}
