use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Names where a project's bytes live, and by which driver: `sqlite:FOLDER`, `json:FOLDER` or `memory:`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendUrl {
    /// SQLite databases and blob files in a folder: `trust.db`, `entries.db` and `blobs/`. The default.
    Sqlite(PathBuf),
    /// Readable JSON files and blob files in a folder: `trust.json`, `entries.json` and `blobs/`. For small projects.
    Json(PathBuf),
    /// Memory of this process; gone with it. For tests.
    Memory,
}

impl BackendUrl {
    /// Reads a URL; a folder that is not absolute lies in `base`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &OsStr, base: &Path) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let folder = |rest: &[u8]| match rest {
            [] => Err("it names no folder; write `sqlite:FOLDER`".to_owned()),
            _ => Ok(base.join(OsStr::from_bytes(rest))),
        };
        if let Some(rest) = bytes.strip_prefix(b"sqlite:") {
            return folder(rest).map(Self::Sqlite);
        }
        if let Some(rest) = bytes.strip_prefix(b"json:") {
            return folder(rest).map(Self::Json);
        }
        if bytes == b"memory:" {
            return Ok(Self::Memory);
        }
        Err("it is none of `sqlite:FOLDER`, `json:FOLDER` and `memory:`".to_owned())
    }

    /// Returns the folder that holds everything, if the backend has one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(folder) | Self::Json(folder) => Some(folder),
            Self::Memory => None,
        }
    }

    /// Returns the same place with its folder as seen from `base`, if it lies there.
    pub(crate) fn relative_to(&self, base: &Path) -> Self {
        let relative = |folder: &Path| match folder.strip_prefix(base) {
            Ok(inner) if inner.as_os_str().is_empty() => PathBuf::from("."),
            Ok(inner) => inner.to_owned(),
            Err(_) => folder.to_owned(),
        };
        match self {
            Self::Sqlite(folder) => Self::Sqlite(relative(folder)),
            Self::Json(folder) => Self::Json(relative(folder)),
            Self::Memory => Self::Memory,
        }
    }

    /// Returns the URL, bytes of the folder's name and all.
    #[must_use]
    pub fn to_os_string(&self) -> OsString {
        let (scheme, folder) = match self {
            Self::Sqlite(folder) => ("sqlite:", folder.as_os_str().as_bytes()),
            Self::Json(folder) => ("json:", folder.as_os_str().as_bytes()),
            Self::Memory => ("memory:", &[][..]),
        };
        OsString::from_vec([scheme.as_bytes(), folder].concat())
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_os_string().to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_taken_from_the_base() {
        let parse = |text: &str| BackendUrl::parse(OsStr::new(text), Path::new("/base"));
        assert_eq!(parse("sqlite:store"), Ok(BackendUrl::Sqlite("/base/store".into())));
        assert_eq!(parse("json:/elsewhere"), Ok(BackendUrl::Json("/elsewhere".into())));
        assert_eq!(parse("memory:"), Ok(BackendUrl::Memory));
        assert_eq!(parse("sqlite:a/b").unwrap().relative_to(Path::new("/base")).to_string(), "sqlite:a/b");
        assert_eq!(parse("json:/elsewhere").unwrap().relative_to(Path::new("/base")).to_string(), "json:/elsewhere");
        assert!(parse("sqlite:").is_err());
        assert!(parse("memory:x").is_err());
        assert!(parse("postgres://host").is_err());
    }

    #[test]
    fn names_that_are_not_text_survive() {
        let url = OsStr::from_bytes(b"sqlite:/a/\xff");
        assert_eq!(BackendUrl::parse(url, Path::new("/")).unwrap().to_os_string(), url);
    }
}
