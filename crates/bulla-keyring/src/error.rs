//! What can go wrong in a keyring, with stable codes.

use bulla_backend::{BackendError, Timestamp};
use bulla_seal::{OpenError, ProjectId, SealError};

use crate::{Algorithm, Fingerprint, KeyName, MachineName, TrustLogError};

/// Result of a keyring operation.
pub type Result<T> = std::result::Result<T, KeyringError>;

/// Failure of a keyring operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The database holds no project.
    #[error("there is no project in this database; create one")]
    NoProject,
    /// The database holds a project already.
    #[error("this database is already initialized: it holds project {project}")]
    ProjectExists {
        /// The project, as its root record names it.
        project: ProjectId,
        /// Whether the calling machine's identity signed that root record.
        ours: bool,
    },
    /// The database holds another project than the one that was pinned.
    #[error("this database holds project {found}, expected was {pinned}")]
    OtherProject {
        /// The project that the caller pinned.
        pinned: ProjectId,
        /// The project that the database holds.
        found: ProjectId,
    },
    /// No key of that name.
    #[error("there is no key named `{0}`")]
    NoKey(KeyName),
    /// A key of that name exists.
    #[error("there is a key named `{0}` already")]
    KeyExists(KeyName),
    /// A name that belongs to Bulla itself.
    #[error("`{0}` cannot be used: names under `sys` belong to Bulla itself")]
    Reserved(KeyName),
    /// The key has no version of that number.
    #[error("key `{name}` has no version {number}")]
    NoVersion {
        /// Which key.
        name: KeyName,
        /// The number.
        number: u64,
    },
    /// The key does something else.
    #[error("key `{name}` ({algorithm}) cannot {operation}; it was made for another use")]
    WrongUse {
        /// Which key.
        name: KeyName,
        /// What it does.
        algorithm: Algorithm,
        /// What was asked of it, in words.
        operation: &'static str,
    },
    /// The version was disabled.
    #[error("version {number} of key `{name}` is disabled; enable it, or, to seal, rotate the key")]
    VersionDisabled {
        /// Which key.
        name: KeyName,
        /// Which version.
        number: u64,
    },
    /// The version was destroyed, or waits for it.
    #[error(
        "version {number} of key `{name}` was destroyed, or waits for that; as long as it waits it can be taken back"
    )]
    VersionDestroyed {
        /// Which key.
        name: KeyName,
        /// Which version.
        number: u64,
    },
    /// The version is below the lowest that may be used so.
    #[error("version {number} of key `{name}` may not be used so any more: the lowest that may is {minimum}")]
    BelowMinimum {
        /// Which key.
        name: KeyName,
        /// Which version.
        number: u64,
        /// The lowest version that may be used.
        minimum: u64,
    },
    /// The version that seals cannot be destroyed.
    #[error(
        "version {number} of key `{name}` is its newest, which is not destroyed; rotate the key first, or delete it"
    )]
    NewestVersion {
        /// Which key.
        name: KeyName,
        /// Which version.
        number: u64,
    },
    /// The key was deleted, or waits for it.
    #[error("key `{0}` was deleted, or waits for that; as long as it waits it can be taken back")]
    KeyDeleted(KeyName),
    /// The key may not be deleted.
    #[error("key `{0}` may not be deleted; allow it in its settings first")]
    DeletionNotAllowed(KeyName),
    /// The material may not be handed out.
    #[error("key `{0}`, or this version of it, is not exportable")]
    NotExportable(KeyName),
    /// Only its source rotates the key.
    #[error("the material of key `{0}` comes from outside: only its source can rotate it")]
    ExternalKey(KeyName),
    /// The key takes no material from outside.
    #[error("the material of key `{0}` is drawn here: it takes none from outside")]
    GeneratedKey(KeyName),
    /// Material has one place only.
    #[error("this material is no new one for key `{name}`: key `{other}` has it")]
    MaterialInUse {
        /// The key that was to have it.
        name: KeyName,
        /// The key that has it.
        other: KeyName,
    },
    /// The version was used as often as it may be, and only its source can make another.
    #[error("version {number} of key `{name}` was used as often as it may be, and only its source can make another")]
    UsedUp {
        /// Which key.
        name: KeyName,
        /// Which version.
        number: u64,
    },
    /// A setting that the key cannot have.
    #[error("key `{name}` cannot have this setting: {reason}")]
    Setting {
        /// Which key.
        name: KeyName,
        /// Why not.
        reason: &'static str,
    },
    /// More states than a description holds.
    #[error(
        "too many separate versions of key `{0}` are disabled or wait to be destroyed; trim it, or raise its lowest version to open"
    )]
    TooManyStates(KeyName),
    /// A key too large for a backup of its own.
    #[error("key `{0}` has too many versions for a backup of its own; trim it, or back up the project")]
    BackupLength(KeyName),
    /// Bytes that are no backup of a key of this project.
    #[error("this is no backup of a key of this project, or it was altered")]
    BadBackup,
    /// More or fewer random bytes than are given at a time.
    #[error("1 to 65,536 random bytes are given at a time, not {0}")]
    RandomLength(usize),
    /// The machine was not let in.
    #[error("machine {0} was not let in to this project; authorize it on a machine that may")]
    NoGrant(Fingerprint),
    /// The machine was put out.
    #[error("machine {0} was put out of this project; it may be let in again by a machine that may")]
    Revoked(Fingerprint),
    /// The machine was let in to use the project, not to change who may.
    #[error("machine {0} may not do this: it was let in to use the project, not to authorise")]
    NotAuthorised(Fingerprint),
    /// The trust log was not read for too long.
    #[error("the trust log could not be read for {seconds} s; nothing secret is revealed meanwhile")]
    Stale {
        /// How long ago it was read last.
        seconds: u64,
        /// Why it could not be read.
        source: BackendError,
    },
    /// The machine, or one of its name, is in the project.
    #[error("machine `{name}` ({fingerprint}) is in the project already")]
    MachineExists {
        /// Its friendly name.
        name: MachineName,
        /// Which machine it is.
        fingerprint: Fingerprint,
    },
    /// No machine of that name or fingerprint.
    #[error("no machine is named `{0}`, or has a fingerprint that begins so")]
    NoMachine(String),
    /// Several machines have fingerprints that begin so.
    #[error("`{text}` begins the fingerprints of several machines: {}", shortened(.matches))]
    AmbiguousMachine {
        /// What was looked for.
        text: String,
        /// Their fingerprints.
        matches: Vec<Fingerprint>,
    },
    /// A machine was looked for by nothing.
    #[error("a machine is named by its friendly name or the beginning of its fingerprint, not by nothing")]
    EmptyMachine,
    /// Nobody would be left to let others in.
    #[error(
        "this would leave the project without a machine that may authorise (one for recovery does not count); authorise another first"
    )]
    LastAuthoriser,
    /// A project with one authoriser cannot ask for two.
    #[error("two authorisers cannot be asked for where there is only one; authorise another first")]
    TooFewAuthorisers,
    /// Where two have to agree, an older copy is for the recovery identity to accept.
    #[error(
        "two authorisers have to agree in this project: an older copy of its database can be accepted with the recovery words only"
    )]
    RecoveryOnly,
    /// Nothing waits for an approval there.
    #[error("record {0} does not wait for an approval")]
    NotPending(u64),
    /// Who asks cannot also approve.
    #[error("record {0} was made by this machine; another authoriser must approve it")]
    OwnRequest(u64),
    /// A request was made for another project.
    #[error("the request was made for project {requested}, this is {project}")]
    RequestElsewhere {
        /// The project that the request names.
        requested: ProjectId,
        /// The project at hand.
        project: ProjectId,
    },
    /// The machine was let in, but a data key is missing or unreadable.
    #[error("the data key of epoch {epoch} is not available to this machine: {reason}")]
    NoDataKey {
        /// Which data key.
        epoch: u64,
        /// Why it is not available.
        reason: &'static str,
    },
    /// The trust log is older than, or differs from, what was seen before.
    #[error(
        "the trust log went back: {pinned} records were seen before, now {found} agree with them; \
         restore the newest copy of the database"
    )]
    Rollback {
        /// Length of the log that was seen before.
        pinned: u64,
        /// How many records of it there are now, at most.
        found: u64,
    },
    /// A key is older than what this process has seen.
    #[error("key `{name}` went back from version {seen} to {found}; restore the newest copy of the database")]
    KeyRollback {
        /// Which key.
        name: KeyName,
        /// The newest version seen before.
        seen: u64,
        /// The newest version there is now.
        found: u64,
    },
    /// A key has another newest version than this process has seen, under the same number.
    #[error(
        "key `{name}` has another version {number} than was seen before: an older copy of the database was restored, and the key \
         rotated; restore the newest copy"
    )]
    KeyForked {
        /// Which key.
        name: KeyName,
        /// The number of both versions.
        number: u64,
    },
    /// A key, or its newest version, is protected by the data key of an older epoch: it opens, but nothing may be sealed under it.
    #[error(
        "{document} is of epoch {epoch}, the project is in epoch {current}: it opens, but nothing is sealed under it before it is \
         written anew"
    )]
    OldEpoch {
        /// Which document, in words.
        document: String,
        /// Its epoch.
        epoch: u64,
        /// The current epoch.
        current: u64,
    },
    /// A record of the trust log is not what it must be.
    #[error("the trust log is not valid: {0}")]
    TrustLog(#[from] TrustLogError),
    /// A document is not what it must be.
    #[error("{document} is corrupt: {reason}")]
    Corrupt {
        /// Which document, in words.
        document: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Other writers were faster, again and again.
    #[error("{0} was changed by others again and again; try once more")]
    Conflict(String),
    /// Another process does the same work just now.
    #[error(
        "{work} is under way already, by machine {machine}; it goes on by itself, or can be taken over soon if that process died"
    )]
    Busy {
        /// Which work.
        work: &'static str,
        /// The machine that does it.
        machine: Fingerprint,
        /// When its claim ends if it is not renewed.
        until: Timestamp,
    },
    /// Another process has taken over the work that this one did.
    #[error("another process has taken this work over, since this one was not heard of for too long; nothing is lost")]
    LeaseLost,
    /// A sealed value was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A value was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl KeyringError {
    /// Returns the stable code of the failure, as `spec/keyring.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoProject | Self::NoKey(_) | Self::NoVersion { .. } => "not_found",
            Self::ProjectExists { .. } | Self::KeyExists(_) | Self::MachineExists { .. } => "already_exists",
            Self::OtherProject { .. } | Self::RequestElsewhere { .. } => "other_project",
            Self::Reserved(_) => "reserved_name",
            Self::NoGrant(_) => "no_grant",
            Self::Revoked(_) => "revoked",
            Self::NotAuthorised(_) => "not_authorised",
            Self::Stale { .. } => "stale",
            Self::NoMachine(_) => "no_machine",
            Self::AmbiguousMachine { .. } => "ambiguous_machine",
            Self::EmptyMachine => "empty_machine",
            Self::LastAuthoriser => "last_authoriser",
            Self::TooFewAuthorisers => "too_few_authorisers",
            Self::RecoveryOnly => "recovery_only",
            Self::NotPending(_) => "not_pending",
            Self::OwnRequest(_) => "own_request",
            Self::NoDataKey { .. } => "no_data_key",
            Self::Rollback { .. } | Self::KeyRollback { .. } | Self::KeyForked { .. } => "rollback",
            Self::OldEpoch { .. } => "old_epoch",
            Self::TrustLog(_) => "trust_log",
            Self::Corrupt { .. } => "corrupt",
            Self::Conflict(_) => "conflict",
            Self::WrongUse { .. } => "wrong_use",
            Self::VersionDisabled { .. } => "version_disabled",
            Self::VersionDestroyed { .. } => "version_destroyed",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::NewestVersion { .. } => "newest_version",
            Self::KeyDeleted(_) => "key_deleted",
            Self::DeletionNotAllowed(_) => "deletion_not_allowed",
            Self::NotExportable(_) => "not_exportable",
            Self::ExternalKey(_) => "external_key",
            Self::GeneratedKey(_) => "generated_key",
            Self::MaterialInUse { .. } => "material_in_use",
            Self::UsedUp { .. } => "used_up",
            Self::Setting { .. } | Self::RandomLength(_) => "bad_setting",
            Self::TooManyStates(_) | Self::BackupLength(_) => "too_many",
            Self::BadBackup => "bad_backup",
            Self::Busy { .. } => "busy",
            Self::LeaseLost => "lease_lost",
            Self::Open(error) => error.code(),
            Self::Seal(_) => "cannot_seal",
            Self::Backend(_) => "backend",
        }
    }

    pub(crate) fn corrupt(document: impl Into<String>, reason: &'static str) -> Self {
        Self::Corrupt { document: document.into(), reason }
    }
}

/// How many characters of a fingerprint tell it from others.
const SHORT_LEN: usize = 16;

fn shortened(fingerprints: &[Fingerprint]) -> String {
    let short = |fingerprint: &Fingerprint| fingerprint.to_string().chars().take(SHORT_LEN).collect::<String>();
    fingerprints.iter().map(short).collect::<Vec<_>>().join(", ")
}
