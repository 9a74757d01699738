use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use bulla_backend::PostgresUrl;

/// Names where a project's bytes live, and by which driver: `sqlite:FOLDER`, `json:FOLDER`, `memory:`, or, with the feature
/// `postgres`, `postgres://USER@HOST/DATABASE`.
///
/// # Security
/// Neither [`fmt::Display`] nor [`fmt::Debug`] nor [`Self::to_os_string`] show the password of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendUrl {
    /// SQLite databases and blob files in a folder: `trust.db`, `entries.db` and `blobs/`. The default.
    Sqlite(PathBuf),
    /// Readable JSON files and blob files in a folder: `trust.json`, `entries.json` and `blobs/`. For small projects.
    Json(PathBuf),
    /// Memory of this process; gone with it. For tests.
    Memory,
    /// Schemas of a PostgreSQL database: `NAME_trust` and `NAME_entries`, which many machines may share.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
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
        if bytes.starts_with(b"postgres:") || bytes.starts_with(b"postgresql:") {
            return Self::parse_postgres(text);
        }
        Err("it is none of `sqlite:FOLDER`, `json:FOLDER`, `memory:` and `postgres://USER@HOST/DATABASE`".to_owned())
    }

    /// Returns the folder that holds everything, if the backend has one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(folder) | Self::Json(folder) => Some(folder),
            Self::Memory => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
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
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Self::Postgres(url.clone()),
        }
    }

    /// Returns the URL, bytes of the folder's name and all, but without a password.
    #[must_use]
    pub fn to_os_string(&self) -> OsString {
        let (scheme, folder) = match self {
            Self::Sqlite(folder) => ("sqlite:", folder.as_os_str().as_bytes()),
            Self::Json(folder) => ("json:", folder.as_os_str().as_bytes()),
            Self::Memory => ("memory:", &[][..]),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => return url.to_string().into(),
        };
        OsString::from_vec([scheme.as_bytes(), folder].concat())
    }

    #[cfg(feature = "postgres")]
    fn parse_postgres(text: &OsStr) -> Result<Self, String> {
        let url: PostgresUrl = match text.to_str() {
            Some(text) => text.parse().map_err(|error: bulla_backend::BackendError| error.to_string())?,
            None => return Err("it is not text".to_owned()),
        };
        Ok(Self::Postgres(Box::new(url)))
    }

    #[cfg(not(feature = "postgres"))]
    fn parse_postgres(_: &OsStr) -> Result<Self, String> {
        Err("this program was built without the driver for PostgreSQL, the feature `postgres`".to_owned())
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
        assert!(parse("mongodb://host").is_err());
    }

    #[test]
    #[cfg(feature = "postgres")]
    fn the_password_of_a_server_is_not_shown() {
        let text = OsStr::new("postgres://bulla:hunter2@db.example.org/vault?schema=orders");
        let url = BackendUrl::parse(text, Path::new("/base")).unwrap();
        let shown = "postgres://bulla@db.example.org/vault?schema=orders";
        assert_eq!(url.to_string(), shown);
        assert_eq!(url.relative_to(Path::new("/base")).to_os_string(), shown);
        assert_eq!(url.folder(), None);
        assert!(!format!("{url:?}").contains("hunter2"));
        let wrong = OsStr::new("postgres://bulla:hunter2@db.example.org/vault?scheme=orders");
        assert!(!BackendUrl::parse(wrong, Path::new("/")).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn names_that_are_not_text_survive() {
        let url = OsStr::from_bytes(b"sqlite:/a/\xff");
        assert_eq!(BackendUrl::parse(url, Path::new("/")).unwrap().to_os_string(), url);
    }
}
