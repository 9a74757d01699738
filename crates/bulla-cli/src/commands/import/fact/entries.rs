//! Entries of FACT's secure cache, and encrypted files, as entries of the store.

use std::io;

use bulla::{ExpectedVersion, GetOptions, Lifetime, Namespace, PutOptions, StoreError};
use bulla_seal::{FernetKey, MAX_FERNET_LEN, SecretVec, sha256};
use data_encoding::{BASE64URL, HEXLOWER};
use serde_json::Value;

use super::walk::Found;
use super::{SUFFIX, refused};
use crate::commands::tally::{Done, Tally};
use crate::failure::{Exit, Failure, Result};
use crate::input::whole;

/// What the names of files end with that hold entries.
const JSON: &str = ".json";
/// Media type of what the cache serialised.
const MEDIA_TYPE: &str = "application/json";

/// Where entries are put.
pub(super) struct Entries {
    pub(super) namespace: Namespace,
    pub(super) lifetime: Lifetime,
    pub(super) plain: bool,
    pub(super) force: bool,
}

/// What is put.
struct Taken {
    value: SecretVec,
    media_type: Option<String>,
    /// Whether FACT had encrypted it.
    sensitive: bool,
}

impl Entries {
    /// Puts what a file holds: an encrypted file under its path without the suffix, cache entries under their names.
    pub(super) async fn import(&self, key: &FernetKey, found: &Found<'_>, tally: &mut Tally<'_>) -> Result<()> {
        let path = found.path();
        let (encrypted, json) = (path.strip_suffix(SUFFIX.as_bytes()), path.strip_suffix(JSON.as_bytes()));
        let stem = match (encrypted, json) {
            (Some(stem), _) | (None, Some(stem)) => stem,
            (None, None) if found.is_named => &path,
            (None, None) => {
                tally.other();
                return Ok(());
            }
        };
        let bytes = match self.read(found) {
            Ok(bytes) => bytes,
            Err(failure) => return tally.failed(&path, &failure),
        };
        if json.is_none() {
            let taken = key.open(bytes.expose()).map_err(refused);
            let taken = taken.map(|opened| Taken { value: opened.message, media_type: None, sensitive: true });
            return self.put(stem, taken, tally).await;
        }
        let entries = match serde_json::from_slice::<Value>(bytes.expose()) {
            Ok(Value::Object(entries)) => entries,
            _ => return tally.failed(&path, &not_an_entry()),
        };
        if entries.get("data").is_some_and(Value::is_string) {
            return self.put(stem, self.take(key, &Value::Object(entries)), tally).await;
        }
        for (name, entry) in &entries {
            self.put(name.as_bytes(), self.take(key, entry), tally).await?;
        }
        Ok(())
    }

    fn read(&self, found: &Found<'_>) -> Result<SecretVec> {
        let shown = found.folder.shown(found.name);
        let failed = |error: io::Error| Failure::file("read", &shown, &error);
        let file = if found.is_named { std::fs::File::open(&shown) } else { found.folder.open_file(found.name) };
        let file = file.map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut bytes = whole(&file, &shown.display().to_string(), len, MAX_FERNET_LEN)?;
        Ok(SecretVec::new(std::mem::take(&mut *bytes)))
    }

    /// Takes the value out of an entry of the cache: `{"encrypted", "data", "checksum"}`, where encrypted data is a token in base64url once more.
    fn take(&self, key: &FernetKey, entry: &Value) -> Result<Taken> {
        let data = entry.get("data").and_then(Value::as_str).ok_or_else(not_an_entry)?;
        let sensitive = match entry.get("encrypted") {
            None => false,
            Some(encrypted) => encrypted.as_bool().ok_or_else(not_an_entry)?,
        };
        let value = if sensitive {
            let token = BASE64URL.decode(data.as_bytes());
            let token = token.map_err(|_| refused(bulla_seal::FernetError::CannotOpen))?;
            key.open(&token).map_err(refused)?.message
        } else if self.plain {
            SecretVec::new(data.as_bytes().to_vec())
        } else {
            let message = "the entry was kept in the clear, and its checksum has no key: anybody may have written it";
            let failure = Failure::new(Exit::Refused, "unauthenticated", message);
            return Err(failure.with_hint("`--plain` takes over such entries too"));
        };
        // It says nothing about who wrote the entry, but a good deal about whether it is whole.
        let checksum = match entry.get("checksum") {
            None | Some(Value::Null) => None,
            Some(checksum) => Some(checksum.as_str().ok_or_else(not_an_entry)?),
        };
        if checksum.is_some_and(|checksum| !checksum.is_empty() && checksum != HEXLOWER.encode(&sha256(value.expose())))
        {
            let message = "the entry does not have its checksum: it was altered after it was written";
            return Err(Failure::new(Exit::Refused, "checksum", message));
        }
        Ok(Taken { value, media_type: Some(MEDIA_TYPE.to_owned()), sensitive })
    }

    async fn put(&self, name: &[u8], taken: Result<Taken>, tally: &mut Tally<'_>) -> Result<()> {
        let put = match taken {
            Ok(taken) => self.try_put(name, taken).await,
            Err(failure) => Err(failure),
        };
        match put {
            Ok((bytes, before)) => tally.done(&Done { path: name.to_vec(), bytes, before }, false),
            Err(failure) => tally.failed(name, &failure),
        }
    }

    async fn try_put(&self, name: &[u8], taken: Taken) -> Result<(u64, bool)> {
        let value = taken.value.expose();
        let len = value.len() as u64;
        let mut options = PutOptions {
            lifetime: self.lifetime,
            media_type: taken.media_type,
            expected: ExpectedVersion::Absent,
            sensitive: taken.sensitive,
            ..PutOptions::default()
        };
        match self.namespace.put(name, value, &options).await {
            Ok(_) => return Ok((len, false)),
            Err(StoreError::VersionMismatch { .. }) => {}
            Err(error) => return Err(bulla::Error::from(error).into()),
        }
        let there = self.namespace.get(name, &GetOptions::default()).await.map_err(bulla::Error::from)?;
        if there.bytes == value {
            return Ok((len, true));
        }
        if !self.force {
            let message = format!("there is an entry {} that holds something else", crate::names::shown(name));
            let failure = Failure::new(Exit::Conflict, "already_exists", message);
            return Err(failure.with_hint("`--force` replaces it"));
        }
        options.expected = ExpectedVersion::Any;
        self.namespace.put(name, value, &options).await.map_err(bulla::Error::from)?;
        Ok((len, false))
    }
}

fn not_an_entry() -> Failure {
    let message =
        "this is no entry of FACT's cache, an object with `encrypted`, `data` and `checksum`, nor an object of them";
    Failure::new(Exit::Refused, "not_an_entry", message)
}
