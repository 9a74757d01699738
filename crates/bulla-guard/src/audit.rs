//! The audit log: what was done, by whom, and the proof that nobody changed it.
//!
//! Each machine has one log, which all its processes append to. An event is durable before what it tells of goes on; every ten seconds the machine
//! signs the root of a Merkle tree over all events so far, so that who has seen one signature notices any change of what was before it.
//! `spec/audit.md` states formats and rules.
//!
//! # Which door
//!
//! | you want | use |
//! |---|---|
//! | to log what happened | [`Log::record`]; an [`Event`] knows whether anybody has to wait for it |
//! | to log what is about to be done, and how it went | [`Log::intent`], [`Intent::outcome`] |
//! | checkpoints in time | [`Log::tick`], about each second |
//! | what the store and the keyring report | [`AuditRecorder`] |
//! | to read a log, search and export it | [`LogReader`], [`Filter`], [`Export`] |
//! | to know that nobody changed it | [`LogReader::verify`], and a checkpoint from outside |
//! | to prove one event to somebody else | [`LogReader::prove`], [`Proof::verify`] |
//! | that other machines can verify it | [`publish()`]; there, [`PublishedLog`] and [`verify_machines`] |
//! | somebody who remembers | a [`Witness`], as [`DocumentWitness`] |
//! | to be woken | [`AlertWatch`], [`Alert::to_syslog`], [`sign_webhook`] |
//!
//! # Security
//! Who holds the machine's key can write another log and sign it, and who can put back all of the disk can put back an older one: only a checkpoint that is
//! kept elsewhere shows that. Public fields are for all who read the log; identifiers are blinded; secrets are not logged.

mod alert;
mod error;
mod event;
mod export;
mod folder;
mod frame;
mod json;
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
mod time;
mod tree;
mod turn;
mod value;
mod verdict;
mod witness;

pub use alert::{Alert, AlertKind, AlertRules, AlertWatch, Threshold, sign_webhook, verify_webhook};
pub use error::{AuditError, Result};
pub use event::{Batch, Class, Event, Level, MAX_FIELDS, Outcome, Phase, Severity};
pub use export::Export;
pub use log::{Intent, Log, LogOptions, LogStatus, Recovery, Reprove};
pub use logged::{LoggedEvent, MAX_EVENT_LEN, MalformedEvent};
pub use note::{Checkpoint, MAX_NOTE_LEN, MAX_SIGNATURES, NoteError, NoteKey, Origin, SignedNote};
pub use proof::Proof;
pub use publish::{Publication, PublishedLog, publish, verify_machines};
pub use reader::{Events, LogReader, Stored};
pub use recorder::AuditRecorder;
pub use search::Filter;
pub use time::rfc3339;
pub use tree::{
    Frontier, Hash, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash, tiles_of, verify_consistency,
    verify_inclusion,
};
pub use value::{Code, Identifier, MAX_TEXT_LEN, ParseCodeError, Text, Value};
pub use verdict::{Verdict, Verified};
pub use witness::{DocumentWitness, Witness};
