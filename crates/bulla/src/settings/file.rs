//! The settings file: finding it, reading it, and adding the project to it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bulla_keyring::KeyName;
use bulla_seal::ProjectId;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{Origin, Setting, Settings, SettingsError};
use crate::{KeySource, files};

/// What a settings file is called.
pub const FILE_NAME: &str = "bulla.toml";

/// The table of sources.
const SOURCES: &str = "sources";

/// Longest settings file, in bytes.
const MAX_LEN: u64 = 64 * 1024;

/// Returns the settings file of `folder` or of the nearest folder above it that has one.
///
/// A file that belongs to neither this user nor root, that anybody may write, or that is a link is refused: whoever may write to a
/// folder above, `/tmp` say, could otherwise choose where our data goes. What is judged is the open file, which is then read.
pub(super) fn find(folder: &Path) -> Result<Option<(PathBuf, File)>, SettingsError> {
    for folder in folder.ancestors() {
        let path = folder.join(FILE_NAME);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let failed = |source, path| SettingsError::File { operation: "open", path, source };
        let file = match opened {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                let link = path.symlink_metadata().map_err(|source| failed(source, path.clone()))?;
                return Err(SettingsError::ForeignFile { owner: link.uid(), mode: link.mode() & 0o7777, path });
            }
            Err(source) => return Err(failed(source, path)),
        };
        let metadata = file.metadata().map_err(|source| failed(source, path.clone()))?;
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        let is_ours = owner == 0 || owner == geteuid().as_raw();
        if !metadata.is_file() || !is_ours || mode & 0o002 != 0 {
            return Err(SettingsError::ForeignFile { path, owner, mode });
        }
        return Ok(Some((path, file)));
    }
    Ok(None)
}

/// Opens a settings file that was named.
pub(super) fn open(path: &Path) -> Result<File, SettingsError> {
    File::open(path).map_err(|source| SettingsError::File { operation: "read", path: path.to_owned(), source })
}

/// What stands in a settings file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) settings: Vec<(Setting, OsString)>,
    pub(super) sources: Vec<(KeyName, KeySource)>,
}

/// Reads the values of a settings file.
pub(super) fn read(path: &Path, file: File) -> Result<Written, SettingsError> {
    let metadata =
        file.metadata().map_err(|source| SettingsError::File { operation: "read", path: path.to_owned(), source })?;
    let table = parse(path, &text(path, file)?)?;
    let mut written = Written::default();
    for (name, value) in &table {
        match value {
            toml::Value::Table(inner) if name == "config" => {
                for (key, value) in inner {
                    written.settings.push(read_value(path, &format!("{name}.{key}"), value)?);
                }
            }
            toml::Value::Table(inner) if name == SOURCES => written.sources = read_sources(path, inner)?,
            value => written.settings.push(read_value(path, name, value)?),
        }
    }
    // Who writes a source has commands run and files read here, so that it is not enough that the file was named.
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let is_ours = owner == 0 || owner == geteuid().as_raw();
    if !written.sources.is_empty() && (!metadata.is_file() || !is_ours || mode & 0o002 != 0) {
        return Err(SettingsError::ForeignFile { path: path.to_owned(), owner, mode });
    }
    Ok(written)
}

fn read_sources(path: &Path, table: &toml::Table) -> Result<Vec<(KeyName, KeySource)>, SettingsError> {
    let read = |(name, value): (&String, &toml::Value)| {
        let invalid = |detail: String| SettingsError::InvalidSource {
            name: name.clone(),
            origin: Origin::File(path.to_owned()),
            detail,
        };
        let key: KeyName = name.parse().map_err(|error| invalid(format!("no key can have that name: {error}")))?;
        let text = value.as_str().ok_or_else(|| invalid("it is text in quotes".to_owned()))?;
        let source: KeySource = text.parse().map_err(|error: crate::ParseKeySourceError| invalid(error.to_string()))?;
        Ok((key, source.within(files::folder(path))))
    };
    table.iter().map(read).collect()
}

/// Adds the source of a key to a settings file.
pub(super) fn add_source(path: &Path, name: &KeyName, source: &KeySource) -> Result<(), SettingsError> {
    let failed = |source| SettingsError::File { operation: "write", path: path.to_owned(), source };
    // Of several that add one at once, each adds to what the others have added.
    let folder = File::open(files::folder(path)).map_err(failed)?;
    folder.lock().map_err(failed)?;
    let old = match open(path).and_then(|file| text(path, file)) {
        Ok(old) => old,
        Err(SettingsError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut wanted = parse(path, &old)?;
    let sources = wanted.entry(SOURCES).or_insert_with(|| toml::Table::new().into());
    let line = format!("{} = {}\n", quoted(name.as_str()), quoted(&source.to_string()));
    let by_hand = || SettingsError::Syntax {
        path: path.to_owned(),
        detail: format!("nothing can be added to `{SOURCES}` as it is written there; add by hand: {}", line.trim_end()),
    };
    let table = sources.as_table_mut().ok_or_else(by_hand)?;
    if table.contains_key(name.as_str()) {
        let found = read_sources(path, table)?.into_iter().find(|(found, _)| found == name).map(|(_, found)| found);
        return match found {
            Some(found) if found == *source => Ok(()),
            Some(found) => {
                Err(SettingsError::SourceExists { path: path.to_owned(), name: name.clone(), found: Box::new(found) })
            }
            None => Err(by_hand()),
        };
    }
    table.insert(name.as_str().to_owned(), source.to_string().into());
    let new = with_source(&old, &line);
    // Text that only looks like the table's head is found out here: the new text says what the old one did, and the source.
    if parse(path, &new).ok().as_ref() != Some(&wanted) {
        return Err(by_hand());
    }
    files::replace(path, new.as_bytes(), files::PUBLIC).map_err(failed)
}

/// Puts a line behind the head of the table of sources, or both at the end.
fn with_source(old: &str, line: &str) -> String {
    let mut new = String::with_capacity(old.len() + line.len() + 16);
    let mut added = false;
    for part in old.split_inclusive('\n') {
        new.push_str(part);
        let head = part.split('#').next().unwrap_or_default().trim();
        if !added && head == format!("[{SOURCES}]") {
            if !new.ends_with('\n') {
                new.push('\n');
            }
            new.push_str(line);
            added = true;
        }
    }
    if !added {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(&format!("\n[{SOURCES}]\n{line}"));
    }
    new
}

fn parse(path: &Path, text: &str) -> Result<toml::Table, SettingsError> {
    let syntax = |detail: String| SettingsError::Syntax { path: path.to_owned(), detail };
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        syntax(match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        })
    })
}

fn text(path: &Path, file: File) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::File { operation: "read", path: path.to_owned(), source };
    let mut text = String::new();
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_LEN {
        let detail = format!("it is longer than {MAX_LEN} bytes");
        return Err(SettingsError::Syntax { path: path.to_owned(), detail });
    }
    Ok(text)
}

fn read_value(path: &Path, name: &str, value: &toml::Value) -> Result<(Setting, OsString), SettingsError> {
    let unknown = || SettingsError::UnknownSetting { path: path.to_owned(), name: name.to_owned() };
    let setting = Setting::ALL.into_iter().find(|setting| setting.name() == name).ok_or_else(unknown)?;
    match value {
        toml::Value::String(text) if setting != Setting::IgnoreEnvironment => Ok((setting, text.into())),
        toml::Value::Boolean(value) if setting == Setting::IgnoreEnvironment => Ok((setting, value.to_string().into())),
        _ => {
            let kind = if setting == Setting::IgnoreEnvironment { "`true` or `false`" } else { "text in quotes" };
            Err(SettingsError::Syntax { path: path.to_owned(), detail: format!("`{name}` is {kind}") })
        }
    }
}

/// Writes the project into the settings file, and the backend unless the file says it; what else stands there stays.
///
/// The file is replaced in one step: it holds the old text or the new. A backend whose folder lies beside the file is written so
/// that both can be moved together.
pub(crate) fn pin_project(settings: &Settings, project: &ProjectId) -> Result<(), SettingsError> {
    let path = settings.file();
    let mut new = format!("project = \"{project}\"\n");
    if !matches!(settings.backend().origin(), Origin::File(_)) {
        let url = settings.backend().get().relative_to(files::folder(path)).to_os_string();
        let url = url.into_string().map_err(|_| SettingsError::Invalid {
            setting: Setting::Backend,
            origin: settings.backend().origin().clone(),
            detail: "the settings file holds text only, and this folder's name is none".to_owned(),
        })?;
        new.push_str(&format!("backend = {}\n", quoted(&url)));
    }
    // Keys outside of tables come first, so that they are not taken for keys of the table above them.
    match open(path).and_then(|file| text(path, file)) {
        Ok(old) => new.push_str(&old),
        Err(SettingsError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    files::replace(path, new.as_bytes(), files::PUBLIC).map_err(|source| SettingsError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

/// Writes text as a basic string of TOML (TOML 1.0, "String").
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_others_may_have_put_there_is_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let found = || find(&below).map(|found| found.map(|(path, _)| path));
        let refused = || matches!(found(), Err(SettingsError::ForeignFile { .. }));

        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(found().unwrap(), Some(path.clone()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(refused(), "everybody may write it");

        let real = folder.path().join("real.toml");
        fs::rename(&path, &real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&real, &path).unwrap();
        assert!(refused(), "a link leads somewhere else at the next look");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refused(), "a folder");
    }

    #[test]
    fn quoted_text_reads_as_it_was() {
        for text in ["", "sqlite:.bulla", "a \"b\" \\ c", "\u{1}\t\n\u{7f}\u{85}", "ä/\u{1f600}"] {
            let table: toml::Table = format!("x = {}", quoted(text)).parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }

    #[test]
    fn a_pin_stands_before_tables_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "# ours\nkey = \"orders\"\n[config]\nignore_environment = true\n").unwrap();
        let settings = Settings::builder().file(&path).environment(false).backend("sqlite:/data").load().unwrap();
        pin_project(&settings, &ProjectId([7; 32])).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("# ours\nkey = \"orders\"\n[config]\nignore_environment = true\n"));
        let mut values = read(&path, open(&path).unwrap()).unwrap().settings;
        values.sort_by_key(|(setting, _)| setting.name());
        let names: Vec<_> = values.iter().map(|(setting, _)| setting.name()).collect();
        assert_eq!(names, ["backend", "config.ignore_environment", "key", "project"]);
        assert_eq!(values[3].1.to_str().unwrap(), "07".repeat(32));
        // Nothing else is left in the folder.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
