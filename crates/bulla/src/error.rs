use std::io;
use std::path::PathBuf;

use bulla_backend::{BackendError, ErrorKind};
use bulla_guard::access::AccessError;
use bulla_guard::audit::AuditError;
use bulla_keyring::source::SourceError;
use bulla_keyring::{BackupError, IdentityError, KeyName, KeyringError, NameError, PassphraseError, UnlockError};
use bulla_seal::{OpenError, ProjectId, SealError};
use bulla_store::{ArchiveError, StoreError};

use crate::{DecodeError, Dependents, SettingsError};

/// Result of an operation on a project.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are not as they must be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings name no project.
    #[error("there is no project here: `{}` does not name one", file.display())]
    NoProject {
        /// Where it would be named.
        file: PathBuf,
    },
    /// There is a project where a new one was to be made.
    #[error("already initialized: `{}` names project {project}", file.display())]
    AlreadyInitialized {
        /// Where it is named.
        file: PathBuf,
        /// The project.
        project: ProjectId,
    },
    /// The backend holds a project of this machine that was in use, and the settings do not name it.
    #[error("already initialized: the backend holds project {project} of this machine, which `{}` does not name", file.display())]
    ProjectFound {
        /// Where it would be named.
        file: PathBuf,
        /// The project.
        project: ProjectId,
    },
    /// No setting names the identity file, and the user has no folder for it.
    #[error("there is no place for this machine's identity: neither `identity` nor HOME is set")]
    NoIdentityPlace,
    /// The identity file is missing, open to others, or no identity.
    #[error(transparent)]
    Identity(IdentityError),
    /// A passphrase protects the identity, and there is no way to it.
    #[error("the identity `{}` is protected by a passphrase, and none was given", path.display())]
    PassphraseNeeded {
        /// The identity file.
        path: PathBuf,
    },
    /// No setting names a service of the system's own keyring.
    #[error(
        "no service of the system's keyring is named; set `passphrase_keyring`, or BULLA_PASSPHRASE_KEYRING, to `bulla` say"
    )]
    NoOsKeyring,
    /// The system's own keyring refused.
    #[error("the system's keyring failed: {detail}")]
    OsKeyring {
        /// What it said.
        detail: String,
    },
    /// What the settings ask for is not in this program.
    #[error("this program was built without the feature `{feature}`")]
    NotBuilt {
        /// The cargo feature that has it.
        feature: &'static str,
    },
    /// The passphrase of the identity could not be read.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The identity was not unlocked.
    #[error("`{}`: {source}", path.display())]
    Unlock {
        /// The identity file.
        path: PathBuf,
        /// Why.
        source: UnlockError,
    },
    /// A backup cannot be made, read or restored.
    #[error("`{}`: {source}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BackupError,
    },
    /// The file that remembers the trust log is not one.
    #[error("the trust pin `{}` cannot be used: {reason}", path.display())]
    BadPin {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {operation} `{}`: {source}", path.display())]
    File {
        /// What failed.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// A name that no key can have.
    #[error("`{name}` is no name of a key: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// The source of a key gave nothing.
    #[error("the material of key `{name}` could not be fetched from its source {described}: {source}")]
    Source {
        /// Which key.
        name: KeyName,
        /// Its source.
        described: String,
        /// Why.
        source: SourceError,
    },
    /// The source of a key gave something that is not written as it should be.
    #[error("the source {described} of key `{name}` gave no material: {reason}")]
    SourceEncoding {
        /// Which key.
        name: KeyName,
        /// Its source.
        described: String,
        /// What it is not.
        reason: DecodeError,
    },
    /// The source of a key holds nothing new.
    #[error("nothing was rotated: the source {described} of key `{name}` still holds what version {version} has")]
    SourceUnchanged {
        /// Which key.
        name: KeyName,
        /// Its source.
        described: String,
        /// The version that has the material.
        version: u64,
    },
    /// Something depends on the versions of a key that were to go.
    #[error("the versions of key `{}` are needed: {}", .0.key, in_use(.0))]
    InUse(Box<Dependents>),
    /// The keyring failed.
    #[error(transparent)]
    Keyring(KeyringError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// An archive cannot be written or read.
    #[error(transparent)]
    Archive(ArchiveError),
    /// Who may do what cannot be read or changed.
    #[error(transparent)]
    Access(AccessError),
    /// The audit log failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A context is not as it must be.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Io { path, source } => Self::File { operation: "use the identity file", path, source },
            IdentityError::Random(error) => Self::Seal(error),
            error => Self::Identity(error),
        }
    }
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Backend(error) => Self::Backend(error),
            error => Self::Keyring(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Backend(error) | StoreError::Keyring { source: KeyringError::Backend(error), .. } => {
                Self::Backend(error)
            }
            error => Self::Store(error),
        }
    }
}

impl From<AccessError> for Error {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Backend(error) => Self::Backend(error),
            AccessError::Keyring(error) => error.into(),
            error => Self::Access(error),
        }
    }
}

impl From<ArchiveError> for Error {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            error => Self::Archive(error),
        }
    }
}

impl Error {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(error) => error.code(),
            Self::NoProject { .. } => "no_project",
            Self::AlreadyInitialized { .. } | Self::ProjectFound { .. } => "already_initialized",
            Self::NoIdentityPlace | Self::Identity(IdentityError::NotFound(_)) => "no_identity",
            Self::Identity(IdentityError::Exposed { .. }) => "exposed_identity",
            Self::Identity(_) => "bad_identity",
            Self::PassphraseNeeded { .. } => "passphrase_needed",
            Self::NoOsKeyring | Self::OsKeyring { .. } => "os_keyring",
            Self::NotBuilt { .. } => "not_built",
            Self::Passphrase(PassphraseError::Exposed { .. }) => "exposed_passphrase",
            Self::Passphrase(_) => "passphrase",
            Self::Unlock { source: UnlockError::Refused, .. } => "wrong_passphrase",
            Self::Unlock { .. } => "unlock",
            Self::Backup { source, .. } => source.code(),
            Self::BadPin { .. } => "bad_pin",
            Self::File { .. } => "file",
            Self::InvalidName { .. } => "invalid_name",
            Self::Source { source, .. } => source.code(),
            Self::SourceEncoding { .. } => "source_encoding",
            Self::SourceUnchanged { .. } => "source_unchanged",
            Self::InUse(_) => "in_use",
            Self::Keyring(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Access(error) => error.code(),
            Self::Audit(error) => audit_code(error),
            Self::Seal(_) => "cannot_seal",
            Self::Backend(error) => backend_code(error.kind()),
        }
    }

    /// Says what to do about it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Settings(error) => return error.hint(),
            Self::NoProject { .. } => "`bulla init` makes a project in this folder; `bulla config init --project ID --backend URL` \
                 joins one that there is"
                .to_owned(),
            Self::AlreadyInitialized { .. } => "`bulla list` shows its machines".to_owned(),
            Self::ProjectFound { file, project } => {
                format!("if it is the one you want, put `project = \"{project}\"` into `{}`", file.display())
            }
            Self::Identity(IdentityError::NotFound(_)) => {
                "`bulla init` and `bulla enroll` make it; where it lies elsewhere, name it with `--identity`".to_owned()
            }
            Self::Identity(IdentityError::Exposed { path, .. }) => {
                format!("check who read it, then `chmod 600 {}`", path.display())
            }
            Self::PassphraseNeeded { .. } => {
                "name a file of mode 0600 that holds it with BULLA_PASSPHRASE_FILE, or an open descriptor by its number with \
                 BULLA_PASSPHRASE_FD; at a terminal it is asked for"
                    .to_owned()
            }
            Self::Passphrase(PassphraseError::Exposed { path, .. }) => {
                format!("check who read it, then `chmod 600 {}`", path.display())
            }
            Self::Backup { source, .. } => backup_hint(source)?.to_owned(),
            Self::BadPin { .. } => {
                "restore it from a backup; without it, an old copy of the database goes unnoticed".to_owned()
            }
            Self::Source { source: SourceError::Remote { hint, .. }, .. } => (*hint)?.to_owned(),
            Self::SourceEncoding { .. } => {
                "`hex:` or `base64:` before the source says how the material is written; without it, the bytes are taken as they are".to_owned()
            }
            Self::SourceUnchanged { name, .. } => {
                format!("put other material where the source takes it from, then `bulla key rotate {name}`")
            }
            Self::InUse(dependents) => return Some(in_use_hint(dependents)),
            Self::Keyring(error) => return keyring_hint(error),
            Self::Store(error) => return store_hint(error),
            Self::Archive(error) => archive_hint(error)?.to_owned(),
            Self::Access(error) => access_hint(error)?.to_owned(),
            Self::Audit(error) => audit_hint(error)?.to_owned(),
            error if error.is_read_only() => READ_ONLY.to_owned(),
            Self::Backend(error) => backend_hint(error.kind())?.to_owned(),
            _ => return None,
        };
        Some(hint)
    }

    /// Says whether it failed because nothing can be written there: on a disk, or in a database, that is read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_read_only(),
            Self::File { source, .. } => source.kind() == io::ErrorKind::ReadOnlyFilesystem,
            Self::Audit(error) => error.is_read_only(),
            _ => false,
        }
    }

    /// Says whether it failed because there is no room, or nothing can be written there at all.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_read_only() || error.kind() == ErrorKind::Full,
            Self::File { source, .. } => {
                use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
                matches!(source.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
            }
            Self::Audit(error) => error.is_unwritable(),
            _ => false,
        }
    }

    /// Returns why a sealed value was not opened, if that is what failed.
    #[must_use]
    pub fn open_error(&self) -> Option<OpenError> {
        match self {
            Self::Keyring(KeyringError::Open(error)) | Self::Store(StoreError::Open { reason: error, .. }) => {
                Some(*error)
            }
            _ => None,
        }
    }
}

fn audit_code(error: &AuditError) -> &'static str {
    match error {
        AuditError::Altered(_) => "audit_altered",
        AuditError::Truncated(_) => "audit_truncated",
        AuditError::Missing(_) => "audit_missing",
        AuditError::Storage { .. } => "audit_storage",
        AuditError::Busy(_) => "audit_busy",
        _ => "audit",
    }
}

fn audit_hint(error: &AuditError) -> Option<&'static str> {
    match error {
        error if error.is_read_only() => Some(READ_ONLY),
        AuditError::Altered(_) | AuditError::Truncated(_) | AuditError::Missing(_) => {
            Some("nothing goes on before somebody has looked into it; docs/runbooks.md says how")
        }
        AuditError::Storage { .. } => Some(
            "nothing is done that cannot be recorded: make room on the disk of the audit log, or see what is wrong with it",
        ),
        _ => None,
    }
}

fn access_hint(error: &AccessError) -> Option<&'static str> {
    match error {
        AccessError::Rollback { .. } | AccessError::Corrupt { .. } => {
            Some("whoever can write the database can do this; docs/runbooks.md says what to look into")
        }
        AccessError::NoCommit => Some("use `sqlite:` or a server as the backend"),
        _ => None,
    }
}

/// How many versions a message names.
const MAX_TOLD: usize = 8;

fn in_use(dependents: &Dependents) -> String {
    let mut parts: Vec<String> = dependents
        .versions
        .iter()
        .take(MAX_TOLD)
        .map(|version| {
            let counted = [
                (version.entries, "entries"),
                (version.records, "settings or records in quarantine"),
                (version.states, "states of key flows"),
            ];
            let what: Vec<_> =
                counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            format!("{} are sealed under version {}", what.join(" and "), version.number)
        })
        .collect();
    match dependents.versions.len() {
        told @ 0..=MAX_TOLD => debug_assert_eq!(told, parts.len()),
        all => parts.push(format!("and so on, for {all} versions")),
    }
    if let Some(number) = dependents.damaged.first() {
        parts.push(format!("version {number} cannot be read, so that what depends on it is not known"));
    }
    parts.join(", ")
}

fn in_use_hint(dependents: &Dependents) -> String {
    let name = &dependents.key;
    if dependents.entries() > 0 {
        "`bulla rotate --reseal` seals all entries anew, `bulla reseal` those of one namespace; then try again"
            .to_owned()
    } else if dependents.records() > 0 {
        "`bulla reseal` seals settings and records anew; what a record in quarantine keeps goes with `bulla quarantine rm`"
            .to_owned()
    } else if dependents.states() > 0 {
        format!("have the application save its states anew; `bulla key where {name}` names them")
    } else {
        "`bulla verify` lists what is damaged; restore the newest copy of the database".to_owned()
    }
}

fn backend_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict => "backend_conflict",
        ErrorKind::InvalidInput => "backend_input",
        ErrorKind::Unsupported => "backend_unsupported",
        ErrorKind::Unsuitable => "backend_unsuitable",
        ErrorKind::Permission => "backend_permission",
        ErrorKind::Full => "backend_full",
        ErrorKind::Corrupt => "backend_corrupt",
        ErrorKind::Unavailable => "backend_unavailable",
        _ => "backend_io",
    }
}

/// What to do where a disk is mounted read-only.
const READ_ONLY: &str = "mount the disk writable, and start anew; what is on it can be read as it is";

fn backend_hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Conflict | ErrorKind::Unavailable => "try again",
        ErrorKind::Permission => "this user must be let in, and able to write, where the project lives",
        ErrorKind::Full => "make room on the disk; nothing that was acknowledged is lost",
        ErrorKind::Corrupt => "restore the newest copy of the database",
        _ => return None,
    })
}

fn archive_hint(error: &ArchiveError) -> Option<&'static str> {
    Some(match error {
        ArchiveError::EntryExists(_) => {
            "`--on-conflict skip` or `--on-conflict replace` goes on; what was imported is not imported twice"
        }
        ArchiveError::Damaged(_) => {
            "what was imported before is whole and stays; with another copy, the same command goes on"
        }
        ArchiveError::NotAnArchive => "`bulla export` writes archives; a sealed one is opened with `bulla open` first",
        _ => return None,
    })
}

fn backup_hint(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::NotForMachine(_) => {
            "`--recovery` opens it with the recovery words; so does any machine that was in when it was made"
        }
        BackupError::OtherProject { .. } => "the settings name another project",
        BackupError::ProjectExists(_) => {
            "`--entries-only` restores entries into the project that is there; for all of it, name an empty place with `--backend`"
        }
        BackupError::NotEmpty(_) => "name an empty place with `--backend`",
        BackupError::OtherRestore(_) => {
            "restore the same file again to complete it, or name an empty place with `--backend`"
        }
        _ => return None,
    })
}

fn keyring_hint(error: &KeyringError) -> Option<String> {
    let hint = match error {
        KeyringError::NoKey(name) => format!("`bulla key new {name}` makes it; `bulla key ls` lists keys"),
        KeyringError::KeyExists(name) => format!("`bulla key rotate {name}` makes a new version of it"),
        KeyringError::NoVersion { name, .. }
        | KeyringError::BelowMinimum { name, .. }
        | KeyringError::WrongUse { name, .. }
        | KeyringError::VersionDestroyed { name, .. } => format!("`bulla key show {name}` shows what it is and its versions"),
        KeyringError::VersionDisabled { name, number } => {
            format!("`bulla key enable {name} {number}` enables it; `bulla key rotate {name}` makes one to seal with")
        }
        KeyringError::KeyDeleted(name) => format!("`bulla key undelete {name}` takes it back, as long as it waits"),
        KeyringError::DeletionNotAllowed(name) => format!("`bulla key set {name} --deletion yes` allows it"),
        KeyringError::NotExportable(name) => {
            format!("`bulla key set {name} --exportable yes` allows it, unless it was set to `never`")
        }
        KeyringError::ExternalKey(name) => {
            format!("`bulla key import {name} FILE` brings material in; a source is named in the table `[sources]` of the settings file")
        }
        KeyringError::OtherProject { .. } => "the settings name another project than the backend holds".to_owned(),
        KeyringError::RequestElsewhere { .. } => {
            "have `bulla enroll` print it again, where the settings name this project or none".to_owned()
        }
        KeyringError::NoGrant(_) => {
            "`bulla enroll` prints its request; take that to `bulla authorize` on a machine that may let others in".to_owned()
        }
        KeyringError::Revoked(_) => {
            "what it sealed is safe; if it was put out by mistake, have it let in again (`bulla enroll`, `bulla authorize`)".to_owned()
        }
        KeyringError::NotAuthorised(_) => {
            "`bulla list` shows which machines may; one of them can put this machine out and let it in anew with `--authoriser`".to_owned()
        }
        KeyringError::Stale { .. } => "it goes on by itself once the backend answers".to_owned(),
        KeyringError::MachineExists { .. } => {
            "`bulla list` shows who is in; another friendly name is given with `bulla enroll --name`".to_owned()
        }
        KeyringError::NoMachine(_) => "`bulla list` shows who is in, `bulla list --all` also who was".to_owned(),
        KeyringError::AmbiguousMachine { .. } => "give more digits, or the friendly name".to_owned(),
        KeyringError::EmptyMachine => "`bulla list` shows names and fingerprints".to_owned(),
        KeyringError::LastAuthoriser | KeyringError::TooFewAuthorisers => {
            "`bulla authorize --authoriser` lets in another that may".to_owned()
        }
        KeyringError::RecoveryOnly => "`bulla accept-rollback --recovery`".to_owned(),
        KeyringError::NotPending(_) => "`bulla status` lists what waits".to_owned(),
        KeyringError::OwnRequest(_) => "`bulla approve` it on another machine that may let others in".to_owned(),
        KeyringError::NoDataKey { .. } => {
            "if it waits for a second authoriser, have it approved; otherwise have this machine put out and let in again".to_owned()
        },
        KeyringError::Rollback { .. } => {
            "if an older copy was restored on purpose, `bulla accept-rollback` on a machine that may let others in lets all go on"
                .to_owned()
        }
        KeyringError::OldEpoch { .. } => {
            "`bulla rotate --resume`, on a machine that may let others in, completes the rotation that is under way; `bulla key rotate` renews one key".to_owned()
        }
        KeyringError::TrustLog(_) => "somebody has altered the database; restore the newest copy of it".to_owned(),
        KeyringError::Corrupt { .. } => "restore the newest copy of the database; `bulla verify` lists all that is damaged".to_owned(),
        KeyringError::Conflict(_) => "try again".to_owned(),
        KeyringError::Busy { .. } => "`bulla status` shows how far it is; try again later".to_owned(),
        KeyringError::LeaseLost => "`bulla status` shows how far it is".to_owned(),
        KeyringError::Open(error) => return open_hint(*error),
        _ => return None,
    };
    Some(hint)
}

fn store_hint(error: &StoreError) -> Option<String> {
    match error {
        StoreError::MissingBlob { .. } => Some(
            "the entry stays: look whether the folder of large values is there on this machine; if so, put it again, restore it from a backup, or `bulla quarantine add` moves it aside".to_owned(),
        ),
        StoreError::DamagedBlob { .. } => Some(
            "nothing of it was returned; it lies in quarantine (`bulla quarantine ls`); put it again, or restore it from a backup".to_owned(),
        ),
        StoreError::Quarantined(_) => Some(
            "`bulla quarantine ls` shows what was found; `bulla put` it again, or `bulla quarantine restore` it once it verifies".to_owned(),
        ),
        StoreError::NotQuarantined { .. } => Some("`bulla quarantine ls` lists records".to_owned()),
        StoreError::BadQuarantineRecord { .. } => Some("`bulla quarantine rm` removes it".to_owned()),
        StoreError::Occupied(_) => Some("`bulla rm` removes it".to_owned()),
        StoreError::OpenSettings { .. }
        | StoreError::BadSettings { .. }
        | StoreError::SettingsMissing(_)
        | StoreError::SettingsRolledBack { .. } => Some(
            "restore them from a backup; or set them anew with `bulla namespace set --anew` and all that they said".to_owned(),
        ),
        StoreError::Keyring { source, .. } => keyring_hint(source),
        StoreError::NotFound(_) => Some("`bulla ls` lists entries".to_owned()),
        _ => None,
    }
}

fn open_hint(error: OpenError) -> Option<String> {
    match error {
        OpenError::CannotOpen => Some("name the context it was sealed in, all of it".to_owned()),
        OpenError::UnknownVersion(_) => {
            Some("it was sealed in another project, or under a key that this one lacks".to_owned())
        }
        _ => None,
    }
}
