//! The audit log: what was done, by whom, and the proof that nobody changed it.

mod error;
mod event;
mod folder;
mod frame;
mod local;
mod log;
mod logged;
mod note;
mod proof;
mod publish;
mod queue;
mod reader;
mod recorder;
mod search;
mod segment;
mod tree;
mod turn;
mod value;
mod verdict;
mod witness;

pub use error::{AuditError, Result};
pub use event::{Batch, Class, Event, Level, MAX_FIELDS, Outcome, Phase, Severity};
pub use log::{Intent, Log, LogOptions, LogStatus, Recovery, Reprove};
pub use logged::{LoggedEvent, MAX_EVENT_LEN, MalformedEvent};
pub use note::{Checkpoint, MAX_NOTE_LEN, MAX_SIGNATURES, NoteError, NoteKey, Origin, SignedNote};
pub use proof::Proof;
pub use publish::{Publication, PublishedLog, publish, verify_machines};
pub use reader::{Events, LogReader, Stored};
pub use recorder::AuditRecorder;
pub use search::Filter;
pub use tree::{
    Frontier, Hash, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash, tiles_of, verify_consistency,
    verify_inclusion,
};
pub use value::{Code, Identifier, MAX_TEXT_LEN, ParseCodeError, Text, Value};
pub use verdict::{Verdict, Verified};
pub use witness::{DocumentWitness, Witness};
