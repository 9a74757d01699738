//! Settings, in layers: default → file → environment → code or flags. Every value knows where it came from.

mod file;
mod layers;
mod template;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use bulla_keyring::KeyName;
use bulla_seal::ProjectId;

use crate::{BackendUrl, KeySource, PassphrasePrompt};

pub use file::FILE_NAME;
pub(crate) use file::pin_project;
pub use layers::SettingsBuilder;

/// One setting; `docs/settings.md` says what each is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// Where the project's bytes live, and by which driver.
    Backend,
    /// The file that holds this machine's identity.
    Identity,
    /// Whether `BULLA_*` variables are left alone.
    IgnoreEnvironment,
    /// The named key that seals where none is named.
    Key,
    /// The namespace of entries where none is named.
    Namespace,
    /// The number of an open descriptor from which the passphrase of the identity is read.
    PassphraseFd,
    /// The file that holds the passphrase of the identity.
    PassphraseFile,
    /// The service under which the system's own keyring keeps the passphrase of the identity.
    PassphraseKeyring,
    /// The project that the backend must hold.
    Project,
}

impl Setting {
    /// Every setting, in order of their names.
    pub const ALL: [Self; 9] = [
        Self::Backend,
        Self::IgnoreEnvironment,
        Self::Identity,
        Self::Key,
        Self::Namespace,
        Self::PassphraseFd,
        Self::PassphraseFile,
        Self::PassphraseKeyring,
        Self::Project,
    ];

    /// Returns the name, as it stands in the file; a dot stands between a table and its key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Identity => "identity",
            Self::IgnoreEnvironment => "config.ignore_environment",
            Self::Key => "key",
            Self::Namespace => "namespace",
            Self::PassphraseFd => "passphrase_fd",
            Self::PassphraseFile => "passphrase_file",
            Self::PassphraseKeyring => "passphrase_keyring",
            Self::Project => "project",
        }
    }

    /// Returns the environment variable, for settings that have one.
    #[must_use]
    pub const fn variable(self) -> Option<&'static str> {
        match self {
            Self::Backend => Some("BULLA_BACKEND"),
            Self::Identity => Some("BULLA_IDENTITY"),
            // The environment has no say in whether it is heard.
            Self::IgnoreEnvironment => None,
            Self::Key => Some("BULLA_KEY"),
            Self::Namespace => Some("BULLA_NAMESPACE"),
            Self::PassphraseFd => Some("BULLA_PASSPHRASE_FD"),
            Self::PassphraseFile => Some("BULLA_PASSPHRASE_FILE"),
            Self::PassphraseKeyring => Some("BULLA_PASSPHRASE_KEYRING"),
            Self::Project => Some("BULLA_PROJECT"),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// A settings file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
    /// The program that called.
    Code,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Code => f.write_str("code"),
        }
    }
}

/// A value, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<T> {
    value: T,
    origin: Origin,
}

impl<T> Value<T> {
    /// Returns the value.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// Returns where it came from.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// All settings of a project, checked.
///
/// # Examples
/// ```
/// use bulla::{Origin, Settings};
///
/// let settings = Settings::builder().backend("memory:").environment(false).load()?;
/// assert_eq!(settings.backend().origin(), &Origin::Code);
/// # Ok::<(), bulla::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file that was read, or that `init` writes.
    file: PathBuf,
    file_exists: bool,
    backend: Value<BackendUrl>,
    identity: Value<Option<PathBuf>>,
    ignore_environment: Value<bool>,
    key: Value<String>,
    namespace: Value<String>,
    passphrase_fd: Value<Option<u32>>,
    passphrase_file: Value<Option<PathBuf>>,
    passphrase_keyring: Value<Option<String>>,
    project: Value<Option<ProjectId>>,
    sources: BTreeMap<KeyName, Value<KeySource>>,
    /// No setting, but given with them: only the program that calls can have one.
    prompt: Option<PassphrasePrompt>,
}

impl Settings {
    /// Loads the settings that hold in the working folder: its `bulla.toml`, or that of the nearest folder above, and the environment.
    ///
    /// # Errors
    /// Any [`SettingsError`].
    pub fn load() -> Result<Self, SettingsError> {
        Self::builder().load()
    }

    /// Begins to load settings with a say in where they come from.
    #[must_use]
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Writes [`Self::file`]: every setting explained, and those that were given as they were given.
    ///
    /// # Errors
    /// [`SettingsError::File`] if a file is there already, or none can be written.
    pub fn write_file(&self) -> Result<(), SettingsError> {
        template::write(self)
    }

    /// Returns the settings file: the one that was read, or the one that [`Project::init`](crate::Project::init) will write.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Says whether [`Self::file`] was there and was read.
    #[must_use]
    pub fn file_exists(&self) -> bool {
        self.file_exists
    }

    /// Returns where the project's bytes live.
    #[must_use]
    pub fn backend(&self) -> &Value<BackendUrl> {
        &self.backend
    }

    /// Returns the file of this machine's identity; `None` if no setting names one and the user has no data folder.
    #[must_use]
    pub fn identity(&self) -> &Value<Option<PathBuf>> {
        &self.identity
    }

    /// Says whether `BULLA_*` variables were left alone.
    #[must_use]
    pub fn ignore_environment(&self) -> &Value<bool> {
        &self.ignore_environment
    }

    /// Returns the named key that seals where none is named.
    #[must_use]
    pub fn key(&self) -> &Value<String> {
        &self.key
    }

    /// Returns the namespace of entries where none is named.
    #[must_use]
    pub fn namespace(&self) -> &Value<String> {
        &self.namespace
    }

    /// Returns the number of the open descriptor from which the passphrase of the identity is read, if there is one.
    #[must_use]
    pub fn passphrase_fd(&self) -> &Value<Option<u32>> {
        &self.passphrase_fd
    }

    /// Returns the file that holds the passphrase of the identity, if one is named.
    #[must_use]
    pub fn passphrase_file(&self) -> &Value<Option<PathBuf>> {
        &self.passphrase_file
    }

    /// Returns the service under which the system's own keyring keeps the passphrase of the identity, if one is named.
    #[must_use]
    pub fn passphrase_keyring(&self) -> &Value<Option<String>> {
        &self.passphrase_keyring
    }

    /// Returns what asks a person for the passphrase of the identity.
    pub(crate) fn prompt(&self) -> Option<&PassphrasePrompt> {
        self.prompt.as_ref()
    }

    /// Returns the project that the backend must hold, if that is pinned.
    #[must_use]
    pub fn project(&self) -> &Value<Option<ProjectId>> {
        &self.project
    }

    /// Returns the sources of external keys. They come from the settings file or from the program that calls: never from the environment, and never from
    /// the database, whose writers could have commands run here.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<KeyName, Value<KeySource>> {
        &self.sources
    }

    /// Writes the source of a key into the table `[sources]` of [`Self::file`]; what else stands there stays.
    ///
    /// # Errors
    /// [`SettingsError::SourceExists`] if the file names another source for the key; [`SettingsError::Syntax`] if the table is written in a way that nothing
    /// can be added to; [`SettingsError::File`].
    pub fn add_source(&self, name: &KeyName, source: &KeySource) -> Result<(), SettingsError> {
        file::add_source(&self.file, name, source)
    }

    /// Returns every setting as text, with where it came from; `None` where there is no value.
    #[must_use]
    pub fn report(&self) -> Vec<(Setting, Option<OsString>, &Origin)> {
        Setting::ALL
            .into_iter()
            .map(|setting| match setting {
                Setting::Backend => (setting, Some(self.backend.value.to_os_string()), &self.backend.origin),
                Setting::Identity => {
                    (setting, self.identity.value.as_ref().map(|path| path.clone().into()), &self.identity.origin)
                }
                Setting::IgnoreEnvironment => {
                    (setting, Some(self.ignore_environment.value.to_string().into()), &self.ignore_environment.origin)
                }
                Setting::Key => (setting, Some(self.key.value.clone().into()), &self.key.origin),
                Setting::Namespace => (setting, Some(self.namespace.value.clone().into()), &self.namespace.origin),
                Setting::PassphraseFd => (
                    setting,
                    self.passphrase_fd.value.map(|number| number.to_string().into()),
                    &self.passphrase_fd.origin,
                ),
                Setting::PassphraseFile => (
                    setting,
                    self.passphrase_file.value.as_ref().map(|path| path.clone().into()),
                    &self.passphrase_file.origin,
                ),
                Setting::PassphraseKeyring => (
                    setting,
                    self.passphrase_keyring.value.as_ref().map(|service| service.clone().into()),
                    &self.passphrase_keyring.origin,
                ),
                Setting::Project => (setting, self.project.value.map(|id| id.to_string().into()), &self.project.origin),
            })
            .collect()
    }
}

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A file could not be read or written.
    #[error("could not {operation} the settings file `{}`: {source}", path.display())]
    File {
        /// What failed.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// The settings file is not of the form it must have.
    #[error("the settings file `{}` is not valid: {detail}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        detail: String,
    },
    /// The settings file was found, not named, and others than this user and root may have written it, or it is no plain file.
    #[error(
        "the settings file `{}` may be another user's (uid {owner}, mode {mode:04o}), or it is not a plain file",
        path.display()
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// The settings file has a key that means nothing.
    #[error("the settings file `{}` has the unknown setting `{name}`", path.display())]
    UnknownSetting {
        /// The file.
        path: PathBuf,
        /// The key.
        name: String,
    },
    /// The environment has a `BULLA_` variable that means nothing.
    #[error("the environment has the unknown setting `{0}`")]
    UnknownVariable(String),
    /// A source that is none, or of what cannot be a key.
    #[error("the source of key `{name}` ({origin}) is not valid: {detail}")]
    InvalidSource {
        /// The key, as it is written there.
        name: String,
        /// Where it came from.
        origin: Origin,
        /// What is wrong with it.
        detail: String,
    },
    /// The settings file names another source for the key.
    #[error("the settings file `{}` names another source for key `{name}` already: `{found}`", path.display())]
    SourceExists {
        /// The file.
        path: PathBuf,
        /// The key.
        name: KeyName,
        /// Its source.
        found: Box<KeySource>,
    },
    /// A value is not one that its setting can have.
    #[error("the setting `{}` ({origin}) is not valid: {detail}", setting.name())]
    Invalid {
        /// The setting.
        setting: Setting,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        detail: String,
    },
}

impl SettingsError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "settings_file",
            Self::Syntax { .. } => "settings_syntax",
            Self::ForeignFile { .. } => "settings_foreign",
            Self::UnknownSetting { .. } | Self::UnknownVariable(_) => "settings_unknown",
            Self::Invalid { .. } | Self::InvalidSource { .. } => "settings_invalid",
            Self::SourceExists { .. } => "already_exists",
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ForeignFile { .. } => Some(
                "name it with `--config` if you trust it; one with `[sources]` must be yours or root's all the same"
                    .to_owned(),
            ),
            Self::SourceExists { .. } => Some("change it there, if that is what you want".to_owned()),
            Self::UnknownSetting { .. } | Self::UnknownVariable(_) => {
                let names = Setting::ALL.into_iter();
                let known: Vec<_> = match self {
                    Self::UnknownSetting { .. } => names.map(|setting| setting.name()).collect(),
                    _ => names.filter_map(Setting::variable).collect(),
                };
                Some(format!("settings are {}", known.join(", ")))
            }
            _ => None,
        }
    }
}

/// Returns the folder that the user's programs keep their data in (XDG Base Directory Specification).
fn data_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    variable("XDG_DATA_HOME")
        .and_then(absolute)
        .or_else(|| variable("HOME").and_then(absolute).map(|home| home.join(".local/share")))
        .map(|folder| folder.join("bulla"))
}

/// Reads the number of a descriptor.
fn parse_descriptor(text: &OsStr) -> Result<u32, String> {
    text.to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "it is not the number of an open descriptor".to_owned())
}

/// Reads a project id.
fn parse_project(text: &OsStr) -> Result<ProjectId, String> {
    text.to_str()
        .and_then(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .map(ProjectId)
        .ok_or_else(|| "a project id is 64 lower-case hex digits".to_owned())
}
