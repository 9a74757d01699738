//! Headers of segments (`spec/audit.md`, "Local log").

use std::convert::Infallible;

use minicbor::{Decoder, Encoder};

use super::tree::{Frontier, Hash};

const NAME: &str = "bulla-audit-segment";
const VERSION: u64 = 1;
/// Most intents without outcome that a header carries on.
pub(super) const MAX_OPEN: usize = 4_096;

/// An intent without outcome: its index, and which process was about to act.
pub(super) type OpenIntent = (u64, [u8; 8]);

/// What a segment says of itself and of what is before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) origin: String,
    pub(super) ordinal: u64,
    /// How many bytes of the segment before count.
    pub(super) previous: u64,
    /// The tree of all events before.
    pub(super) tree: Frontier,
    pub(super) open: Vec<OpenIntent>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let written = self.write(&mut Encoder::new(&mut out));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        out
    }

    fn write(&self, e: &mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<Infallible>> {
        e.array(8)?.str(NAME)?.u64(VERSION)?.str(&self.origin)?.u64(self.ordinal)?;
        e.u64(self.tree.len())?.u64(self.previous)?.array(self.tree.peaks().len() as u64)?;
        for peak in self.tree.peaks() {
            e.bytes(peak)?;
        }
        e.array(self.open.len() as u64)?;
        for (index, process) in &self.open {
            e.array(2)?.u64(*index)?.bytes(process)?;
        }
        Ok(())
    }

    /// Reads a header; `None` if it is not what [`Self::encode`] makes of one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Self::read(&mut Decoder::new(bytes)).ok()??;
        let is_ordered = header.open.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_before = header.open.last().is_none_or(|(index, _)| *index < header.tree.len());
        (is_ordered && is_before && header.encode() == bytes).then_some(header)
    }

    fn read(d: &mut Decoder<'_>) -> Result<Option<Self>, minicbor::decode::Error> {
        if d.array()? != Some(8) || d.str()? != NAME || d.u64()? != VERSION {
            return Ok(None);
        }
        let (origin, ordinal, first, previous) = (d.str()?.to_owned(), d.u64()?, d.u64()?, d.u64()?);
        let mut peaks = Vec::<Hash>::new();
        let Some(count @ 0..=64) = d.array()? else { return Ok(None) };
        for _ in 0..count {
            let Ok(peak) = d.bytes()?.try_into() else { return Ok(None) };
            peaks.push(peak);
        }
        let mut open = Vec::new();
        let Some(count) = d.array()?.filter(|count| *count <= MAX_OPEN as u64) else { return Ok(None) };
        for _ in 0..count {
            if d.array()? != Some(2) {
                return Ok(None);
            }
            let index = d.u64()?;
            let Ok(process) = d.bytes()?.try_into() else { return Ok(None) };
            open.push((index, process));
        }
        Ok(Frontier::from_peaks(first, peaks).map(|tree| Self { origin, ordinal, previous, tree, open }))
    }
}
