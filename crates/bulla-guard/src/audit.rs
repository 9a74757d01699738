//! The audit log: what was done, by whom, and the proof that nobody changed it.

mod event;
mod logged;
mod note;
mod tree;
mod value;

pub use event::{Batch, Class, Event, Level, MAX_FIELDS, Outcome, Phase, Severity};
pub use logged::{LoggedEvent, MAX_EVENT_LEN, MalformedEvent};
pub use note::{Checkpoint, MAX_NOTE_LEN, MAX_SIGNATURES, NoteError, NoteKey, Origin, SignedNote};
pub use tree::{
    Frontier, Hash, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash, tiles_of, verify_consistency,
    verify_inclusion,
};
pub use value::{Code, Identifier, MAX_TEXT_LEN, ParseCodeError, Text, Value};
