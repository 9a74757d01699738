//! Laying the layers over each other.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bulla_keyring::KeyName;

use super::{
    FILE_NAME, Origin, Setting, Settings, SettingsError, Value, data_folder, file, parse_descriptor, parse_project,
};
use crate::{BackendUrl, KeySource, PassphrasePrompt};

/// What begins the names of the variables that are settings.
const PREFIX: &str = "BULLA_";
/// What begins the names of variables that tests use, and that settings leave alone.
const TEST_PREFIX: &str = "BULLA_TEST_";

/// Variables that name a server for sources of keys, as `VAULT_ADDR` and its like do. They are no settings.
const OF_SERVERS: [&str; 6] =
    ["BULLA_ADDR", "BULLA_CACERT", "BULLA_CLIENT_CERT", "BULLA_CLIENT_KEY", "BULLA_TOKEN", "BULLA_TOKEN_FILE"];

/// Says where settings are to come from, and gives some.
#[derive(Clone, Default)]
pub struct SettingsBuilder {
    folder: Option<PathBuf>,
    file: Option<PathBuf>,
    no_file: bool,
    ignore_environment: Option<Origin>,
    variables: Option<Vec<(OsString, OsString)>>,
    given: Vec<Raw>,
    sources: Vec<(KeyName, KeySource)>,
    prompt: Option<PassphrasePrompt>,
}

/// A value before it is read.
#[derive(Clone)]
struct Raw {
    setting: Setting,
    text: OsString,
    origin: Origin,
}

impl fmt::Debug for SettingsBuilder {
    /// Leaves out what was given and what the environment holds: either may be a URL with a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<_> = self.given.iter().map(|raw| (raw.setting, &raw.origin)).collect();
        f.debug_struct("SettingsBuilder")
            .field("folder", &self.folder)
            .field("file", &self.file)
            .field("no_file", &self.no_file)
            .field("ignore_environment", &self.ignore_environment)
            .field("given", &given)
            .finish_non_exhaustive()
    }
}

impl SettingsBuilder {
    /// Takes another folder for the working folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Takes this settings file, instead of looking for one. It must exist, save for [`Project::init`](crate::Project::init), which makes it.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Reads no settings file.
    #[must_use]
    pub fn no_file(mut self) -> Self {
        self.no_file = true;
        self
    }

    /// Says whether `BULLA_*` variables are heard; they are, unless this or the settings file says otherwise.
    #[must_use]
    pub fn environment(mut self, heard: bool) -> Self {
        self.ignore_environment = (!heard).then_some(Origin::Code);
        self
    }

    /// Leaves `BULLA_*` variables alone, on the word of a flag of the command line.
    #[must_use]
    pub fn ignore_environment_by_flag(mut self, flag: &'static str) -> Self {
        self.ignore_environment = Some(Origin::Flag(flag));
        self
    }

    /// Takes these variables for the environment of the process.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.variables = Some(variables.into_iter().collect());
        self
    }

    /// Gives the backend, as a URL.
    #[must_use]
    pub fn backend(self, url: impl Into<OsString>) -> Self {
        self.give(Setting::Backend, url, Origin::Code)
    }

    /// Gives the identity file.
    #[must_use]
    pub fn identity(self, file: impl Into<OsString>) -> Self {
        self.give(Setting::Identity, file, Origin::Code)
    }

    /// Gives what asks for the passphrase of the identity, where no setting leads to one.
    #[must_use]
    pub fn prompt(mut self, prompt: PassphrasePrompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Gives the source of an external key; it beats that of the settings file.
    #[must_use]
    pub fn source(mut self, name: KeyName, source: KeySource) -> Self {
        self.sources.push((name, source));
        self
    }

    /// Gives one setting as text; a later one beats an earlier one.
    #[must_use]
    pub fn give(mut self, setting: Setting, text: impl Into<OsString>, origin: Origin) -> Self {
        self.given.push(Raw { setting, text: text.into(), origin });
        self
    }

    /// Reads the layers, and checks what is left on top.
    ///
    /// # Errors
    /// Any [`SettingsError`].
    pub fn load(self) -> Result<Settings, SettingsError> {
        self.read(false)
    }

    /// As [`Self::load`], but a file that was named need not exist yet: for [`Project::init`](crate::Project::init), which makes it.
    ///
    /// # Errors
    /// Any [`SettingsError`].
    pub fn load_for_init(self) -> Result<Settings, SettingsError> {
        self.read(true)
    }

    fn read(self, may_be_new: bool) -> Result<Settings, SettingsError> {
        let folder = self.working_folder()?;
        let (path, file) = match &self.file {
            _ if self.no_file => (folder.join(FILE_NAME), None),
            Some(file) => {
                let path = folder.join(file);
                let file = if may_be_new && !path.exists() { None } else { Some(file::open(&path)?) };
                (path, file)
            }
            // A new project is begun where we stand, whatever lies above.
            None if may_be_new && !folder.join(FILE_NAME).exists() => (folder.join(FILE_NAME), None),
            None => match file::find(&folder)? {
                Some((path, file)) => (path, Some(file)),
                None => (folder.join(FILE_NAME), None),
            },
        };
        let exists = file.is_some();
        let from_file = file.map_or_else(|| Ok(file::Written::default()), |file| file::read(&path, file))?;
        let mut raw: Vec<Raw> = from_file
            .settings
            .into_iter()
            .map(|(setting, text)| Raw { setting, text, origin: Origin::File(path.clone()) })
            .collect();

        let variables = self.variables.unwrap_or_else(|| env::vars_os().collect());
        let ignore_environment = match (self.ignore_environment, last(&raw, Setting::IgnoreEnvironment)) {
            (Some(origin), _) => Value { value: true, origin },
            (None, Some(said)) => Value { value: said.text == "true", origin: said.origin.clone() },
            (None, None) => Value { value: false, origin: Origin::Default },
        };
        if !ignore_environment.value {
            raw.extend(from_environment(&variables)?);
        }
        raw.extend(self.given);
        // A source is no setting of the environment: see `Settings::sources`.
        let written = from_file
            .sources
            .into_iter()
            .map(|(name, value)| (name, Value { value, origin: Origin::File(path.clone()) }));
        let given = self.sources.into_iter().map(|(name, value)| (name, Value { value, origin: Origin::Code }));
        let sources = written.chain(given).collect();

        let layers = Layers { raw, working: &folder, file_folder: path.parent().unwrap_or(&folder) };
        Ok(Settings {
            backend: layers.value(
                Setting::Backend,
                || BackendUrl::Sqlite(layers.file_folder.join(".bulla")),
                BackendUrl::parse,
            )?,
            identity: layers.value(
                Setting::Identity,
                || {
                    let variable =
                        |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                    data_folder(variable).map(|folder| folder.join("identity"))
                },
                file_path,
            )?,
            key: layers.value(Setting::Key, || "default".to_owned(), name)?,
            namespace: layers.value(Setting::Namespace, || "default".to_owned(), name)?,
            passphrase_fd: layers.value(Setting::PassphraseFd, || None, |text, _| parse_descriptor(text).map(Some))?,
            passphrase_file: layers.value(Setting::PassphraseFile, || None, file_path)?,
            passphrase_keyring: layers.value(
                Setting::PassphraseKeyring,
                || None,
                |text, base| name(text, base).map(Some),
            )?,
            prompt: self.prompt,
            sources,
            project: layers.value(Setting::Project, || None, |text, _| parse_project(text).map(Some))?,
            ignore_environment,
            file_exists: exists,
            file: path,
        })
    }

    fn working_folder(&self) -> Result<PathBuf, SettingsError> {
        let failed = |source: io::Error| SettingsError::File { operation: "look for", path: FILE_NAME.into(), source };
        let given = self.folder.as_deref().unwrap_or(Path::new("."));
        std::path::absolute(given).map_err(failed)
    }
}

struct Layers<'a> {
    raw: Vec<Raw>,
    working: &'a Path,
    file_folder: &'a Path,
}

impl Layers<'_> {
    /// Reads the topmost value of a setting. A path in a file is meant from the file's folder, any other from the working folder.
    fn value<T>(
        &self,
        setting: Setting,
        default: impl FnOnce() -> T,
        parse: impl FnOnce(&OsStr, &Path) -> Result<T, String>,
    ) -> Result<Value<T>, SettingsError> {
        let Some(raw) = last(&self.raw, setting) else {
            return Ok(Value { value: default(), origin: Origin::Default });
        };
        let base = if matches!(raw.origin, Origin::File(_)) { self.file_folder } else { self.working };
        let origin = raw.origin.clone();
        match parse(&raw.text, base) {
            Ok(value) => Ok(Value { value, origin }),
            Err(detail) => Err(SettingsError::Invalid { setting, origin, detail }),
        }
    }
}

fn last(raw: &[Raw], setting: Setting) -> Option<&Raw> {
    raw.iter().rfind(|raw| raw.setting == setting)
}

fn from_environment(variables: &[(OsString, OsString)]) -> Result<Vec<Raw>, SettingsError> {
    let mut raw = Vec::new();
    for (name, text) in variables {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || name.starts_with(TEST_PREFIX) || OF_SERVERS.contains(&&*name) {
            continue;
        }
        let known = Setting::ALL.into_iter().find_map(|setting| {
            let variable = setting.variable().filter(|variable| *variable == name)?;
            Some(Raw { setting, text: text.clone(), origin: Origin::Environment(variable) })
        });
        raw.push(known.ok_or_else(|| SettingsError::UnknownVariable(name.into_owned()))?);
    }
    Ok(raw)
}

fn file_path(text: &OsStr, base: &Path) -> Result<Option<PathBuf>, String> {
    if text.is_empty() { Err("it names no file".to_owned()) } else { Ok(Some(base.join(text))) }
}

fn name(text: &OsStr, _: &Path) -> Result<String, String> {
    match text.to_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err("a name is text, and not empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn in_folder(folder: &Path, variables: &[(&str, &str)]) -> SettingsBuilder {
        Settings::builder()
            .folder(folder)
            .variables(variables.iter().map(|(name, text)| (OsString::from(name), OsString::from(text))))
    }

    #[test]
    fn later_layers_lie_on_top() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let load = |variables: &[(&str, &str)]| in_folder(folder.path(), variables).load().unwrap();

        let key = load(&[]).key().clone();
        assert_eq!((key.get().as_str(), key.origin()), ("default", &Origin::Default));

        fs::write(&file, "key = 'from-file'\n").unwrap();
        let key = load(&[]).key().clone();
        assert_eq!((key.get().as_str(), key.origin()), ("from-file", &Origin::File(file.clone())));

        let variables = [("BULLA_KEY", "from-environment")];
        let key = load(&variables).key().clone();
        assert_eq!((key.get().as_str(), key.origin()), ("from-environment", &Origin::Environment("BULLA_KEY")));

        let given =
            in_folder(folder.path(), &variables).give(Setting::Key, "from-flag", Origin::Flag("--key")).load().unwrap();
        assert_eq!((given.key().get().as_str(), given.key().origin()), ("from-flag", &Origin::Flag("--key")));
    }

    #[test]
    fn paths_are_meant_from_where_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(folder.path().join(FILE_NAME), "backend = 'sqlite:data'\nidentity = 'me'\n").unwrap();

        let settings = in_folder(&inner, &[]).load().unwrap();
        assert_eq!(settings.file(), folder.path().join(FILE_NAME));
        assert_eq!(settings.backend().get(), &BackendUrl::Sqlite(folder.path().join("data")));
        assert_eq!(settings.identity().get(), &Some(folder.path().join("me")));

        let settings = in_folder(&inner, &[("BULLA_BACKEND", "json:data")]).load().unwrap();
        assert_eq!(settings.backend().get(), &BackendUrl::Json(inner.join("data")));
    }

    #[test]
    fn a_new_project_begins_in_the_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join(FILE_NAME), "key = 'outer'\n").unwrap();
        let settings = in_folder(&inner, &[]).load_for_init().unwrap();
        assert_eq!((settings.file(), settings.file_exists()), (inner.join(FILE_NAME).as_path(), false));
        assert_eq!(settings.key().get(), "default");
    }

    #[test]
    fn the_identity_lies_in_the_users_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let identity =
            |variables: &[(&str, &str)]| in_folder(folder.path(), variables).load().unwrap().identity().get().clone();
        assert_eq!(identity(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Some("/x/bulla/identity".into()));
        assert_eq!(
            identity(&[("HOME", "/h"), ("XDG_DATA_HOME", "not/absolute")]),
            Some("/h/.local/share/bulla/identity".into())
        );
        assert_eq!(identity(&[]), None);
    }

    #[test]
    fn the_environment_can_be_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("BULLA_KEY", "x"), ("BULLA_NONSENSE", "y")];
        let settings = in_folder(folder.path(), &variables).environment(false).load().unwrap();
        assert_eq!((settings.key().get().as_str(), settings.ignore_environment().origin()), ("default", &Origin::Code));

        fs::write(folder.path().join(FILE_NAME), "[config]\nignore_environment = true\n").unwrap();
        let settings = in_folder(folder.path(), &variables).load().unwrap();
        assert_eq!((settings.key().get().as_str(), settings.ignore_environment().get()), ("default", &true));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |variables: &[(&str, &str)]| in_folder(folder.path(), variables).load().unwrap_err().to_string();
        assert_eq!(refused(&[("BULLA_KEYS", "x")]), "the environment has the unknown setting `BULLA_KEYS`");
        assert_eq!(
            refused(&[("BULLA_BACKEND", "mysql:x")]),
            "the setting `backend` (environment BULLA_BACKEND) is not valid: it is none of `sqlite:FOLDER`, `json:FOLDER`, `memory:` and \
             `postgres://USER@HOST/DATABASE`"
        );
        assert!(in_folder(folder.path(), &[("BULLA_TEST_ROUNDS", "3"), ("BULLATIN", "x")]).load().is_ok());
        assert!(in_folder(folder.path(), &[("BULLA_ADDR", "x"), ("BULLA_TOKEN", "x")]).load().is_ok());

        for (text, part) in [
            ("colour = 'red'\n", "has the unknown setting `colour`"),
            ("[config]\nkey = 'x'\n", "has the unknown setting `config.key`"),
            ("key = 3\n", "`key` is text in quotes"),
            ("[config]\nignore_environment = 'yes'\n", "`config.ignore_environment` is `true` or `false`"),
            ("key = 'a'\nkey = 'b'\n", "line 2"),
            ("project = 'ABCD'\n", "64 lower-case hex digits"),
            ("identity = ''\n", "it names no file"),
        ] {
            fs::write(folder.path().join(FILE_NAME), text).unwrap();
            let message = refused(&[]);
            assert!(message.contains(part), "{text:?} gave {message}");
        }
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = in_folder(folder.path(), &[]).file("none.toml").load().unwrap_err();
        assert_eq!(error.code(), "settings_file");
        assert!(in_folder(folder.path(), &[]).file("none.toml").load_for_init().is_ok());
    }
}
