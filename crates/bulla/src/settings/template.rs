//! A settings file to begin with: every setting, explained and commented out.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::file::quoted;
use super::{Origin, Setting, Settings, SettingsError};
use crate::files;

/// What the file says, setting by setting: the setting, what it is for, and an example where there is no default worth showing.
const EXPLANATIONS: &[(Setting, &str, &str)] = &[
    (
        Setting::Project,
        "The project that the backend must hold: 64 hex digits, as `bulla init` writes and `bulla authorize` prints them.",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    (Setting::Backend, "Where the project lives. A folder that is not absolute is beside this file.", "sqlite:.bulla"),
    (
        Setting::Identity,
        "The file that holds this machine's identity, which never leaves it. Without this line it is in the user's data folder.",
        "/etc/bulla/identity",
    ),
    (
        Setting::PassphraseFile,
        "The file that holds the passphrase of the identity, where one protects it: yours, and closed to all others.",
        "/run/secrets/bulla-passphrase",
    ),
    (
        Setting::PassphraseFd,
        "Or the number of an open descriptor that the passphrase is read from. Better given as BULLA_PASSPHRASE_FD.",
        "3",
    ),
    (
        Setting::PassphraseKeyring,
        "Or the service under which the system's own keyring keeps the passphrase, as `bulla identity remember` does.",
        "bulla",
    ),
    (Setting::Key, "The named key that seals where none is named.", "default"),
    (Setting::Namespace, "The namespace of entries where none is named.", "default"),
];

/// Writes a settings file in which everything is explained, and what code, flags or the environment gave stands as they gave it.
///
/// # Errors
/// [`SettingsError::File`] if a file is there, or none can be written.
pub(crate) fn write(settings: &Settings) -> Result<(), SettingsError> {
    let path = settings.file();
    let failed = |source| SettingsError::File { operation: "write", path: path.to_owned(), source };
    create(path, render(settings)?.as_bytes()).map_err(failed)
}

fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // Whole or not at all: the text is written beside the place, and linked to it, which replaces nothing.
    let temporary = files::temporary(path)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(files::PUBLIC).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::hard_link(&temporary, path)
    })();
    // Of no use once it is linked, nor if it could not be.
    let _ = std::fs::remove_file(&temporary);
    written
}

fn render(settings: &Settings) -> Result<String, SettingsError> {
    let mut text = String::from(
        "# Settings of a Bulla project. Environment variables (BULLA_BACKEND and so on) beat this file, and flags beat both;\n\
         # `bulla config show` says what holds and where it came from.\n",
    );
    for (setting, purpose, example) in EXPLANATIONS {
        let given = settings.report().into_iter().find(|(reported, ..)| reported == setting);
        let given = given.filter(|(_, _, origin)| !matches!(origin, Origin::Default)).and_then(|(_, value, _)| value);
        let given = match setting {
            // Beside the file, so that both can be moved together.
            Setting::Backend => {
                given.map(|_| settings.backend().get().relative_to(files::folder(settings.file())).to_os_string())
            }
            _ => given,
        };
        let line = match given {
            Some(value) => {
                let value = value.into_string().map_err(|_| SettingsError::Invalid {
                    setting: *setting,
                    origin: Origin::Code,
                    detail: "a settings file holds text only".to_owned(),
                })?;
                format!("{} = {}\n", setting.name(), quoted(&value))
            }
            None => format!("# {} = {}\n", setting.name(), quoted(example)),
        };
        text.push_str(&format!("\n# {purpose}\n{line}"));
    }
    text.push_str("\n[config]\n# Leave BULLA_* variables alone.\n# ignore_environment = true\n");
    text.push_str(
        "\n# Where the material of external keys comes from: a key, and `env:`, `file:` or `command:`, with `hex:` or `base64:` before it\n\
         # if it is written so.\n[sources]\n# orders = \"hex:env:ORDERS_KEY\"\n",
    );
    for (name, source) in settings.sources() {
        text.push_str(&format!("{} = {}\n", quoted(name.as_str()), quoted(&source.get().to_string())));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use bulla_seal::ProjectId;

    use super::*;

    #[test]
    fn the_file_reads_as_the_settings_that_were_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bulla.toml");
        let project = ProjectId([7; 32]).to_string();
        let given = Settings::builder().folder(folder.path()).environment(false).no_file();
        let given = given.backend("sqlite:/data").give(Setting::Project, &project, Origin::Flag("--project"));
        let mut given = given.load().unwrap();
        given.file.clone_from(&path);
        write(&given).unwrap();
        let read = Settings::builder().file(&path).environment(false).load().unwrap();
        assert_eq!(read.project().get().map(|id| id.to_string()), Some(project));
        assert_eq!(read.backend().get(), given.backend().get());
        assert_eq!(read.key().origin(), &Origin::Default);
        assert!(matches!(write(&given), Err(SettingsError::File { .. })), "a file is there");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn every_setting_is_explained_and_every_example_is_valid() {
        let settings = Settings::builder().environment(false).no_file().load().unwrap();
        let text = render(&settings).unwrap();
        for setting in Setting::ALL {
            let key = setting.name().rsplit('.').next().unwrap();
            assert!(text.contains(&format!("# {key} = ")), "{}", setting.name());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bulla.toml");
        let spelled: String = text
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line).to_owned() + "\n")
            .collect();
        std::fs::write(&path, spelled).unwrap();
        let read = Settings::builder().file(&path).environment(false).load().unwrap();
        assert!(read.project().get().is_some() && *read.ignore_environment().get());
        assert_eq!(read.sources().len(), 1);
    }
}
