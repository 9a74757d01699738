//! Where the material of external keys comes from, and bringing it in.

mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bulla_backend::{Clock, Timestamp};
use bulla_keyring::source::{ParseSourceError, Source, SourceMark, SourceSpec};
use bulla_keyring::{KeyName, Keyring, VersionInfo};
use bulla_seal::SecretVec;

use self::vault::VaultSpec;
use crate::{Encoding, Error, Result};

/// For how long a source is not asked again. What it holds then is sealed with within this time.
const FRESH: Duration = Duration::from_secs(1);

/// Where a key's material comes from, as settings and the command line write it: `env:NAME`, `file:PATH`, `command:PROGRAM ARGUMENT…` or
/// `vault:PATH#FIELD`, with `hex:` or `base64:` before it where that is how the material is written there.
///
/// `vault:` takes a field of a secret that a server keeps. It needs the feature `vault`, and the environment says which server that is.
///
/// # Examples
/// ```
/// use bulla::KeySource;
///
/// let source: KeySource = "hex:env:ORDERS_KEY".parse()?;
/// assert_eq!(source.to_string(), "hex:env:ORDERS_KEY");
/// assert!("generate".parse::<KeySource>().is_err());
/// # Ok::<(), bulla::ParseKeySourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    encoding: Encoding,
    spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Spec {
    /// On this machine.
    Here(SourceSpec),
    /// On a server.
    Vault(VaultSpec),
}

impl KeySource {
    /// Returns what fetches from it; values are as they lie there, before they are decoded.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        match &self.spec {
            Spec::Here(spec) => spec.source(),
            Spec::Vault(spec) => spec.source(),
        }
    }

    /// Returns how the material is written there.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Takes a file that is not absolute to be meant from `folder`.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        if let Spec::Here(SourceSpec::File(path)) = &mut self.spec {
            *path = folder.join(&path);
        }
        self
    }
}

impl FromStr for KeySource {
    type Err = ParseKeySourceError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseKeySourceError> {
        let (encoding, spec) = [Encoding::Hex, Encoding::Base64]
            .into_iter()
            .find_map(|encoding| Some((encoding, text.strip_prefix(encoding.name())?.strip_prefix(':')?)))
            .unwrap_or((Encoding::Raw, text));
        if let Some(spec) = spec.strip_prefix("vault:") {
            return Ok(Self { encoding, spec: Spec::Vault(spec.parse()?) });
        }
        match spec.parse() {
            Ok(SourceSpec::Generate) => Err(ParseKeySourceError::Generate),
            Ok(spec) => Ok(Self { encoding, spec: Spec::Here(spec) }),
            Err(ParseSourceError::Kind) => Err(ParseKeySourceError::Kind),
            Err(error) => Err(ParseKeySourceError::Spec(error)),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(spec) => spec.fmt(f),
            Self::Vault(spec) => write!(f, "vault:{spec}"),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encoding {
            Encoding::Raw => self.spec.fmt(f),
            encoding => write!(f, "{encoding}:{}", self.spec),
        }
    }
}

/// The text names no source of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeySourceError {
    /// No kind of source that there is.
    #[error(
        "a key's source is `env:NAME`, `file:PATH`, `command:PROGRAM ARGUMENT…` or `vault:PATH#FIELD`, with `hex:` or `base64:` before it \
         where that is how the material is written"
    )]
    Kind,
    /// What is generated has no source.
    #[error("a key without a source is generated; leave the source out")]
    Generate,
    /// No path and field of a secret.
    #[error(
        "`vault:` is followed by the path of a secret, `#`, and the name of a field: `vault:secret/shop/orders#key` say"
    )]
    Vault,
    /// A source that is not as it must be.
    #[error(transparent)]
    Spec(ParseSourceError),
}

/// The sources of a project's external keys, on this machine.
#[derive(Debug)]
pub(crate) struct Sources {
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    attached: RwLock<BTreeMap<KeyName, Arc<Attached>>>,
}

#[derive(Debug)]
struct Attached {
    source: Arc<dyn Source>,
    encoding: Encoding,
    /// What messages call it.
    described: String,
    looked: Mutex<Option<Looked>>,
}

/// What the last look at a source saw.
#[derive(Debug, Clone, Copy)]
struct Looked {
    at: Timestamp,
    mark: Option<SourceMark>,
}

impl Sources {
    pub(crate) fn new(keyring: Arc<Keyring>, clock: Arc<dyn Clock>) -> Self {
        Self { keyring, clock, attached: RwLock::default() }
    }

    pub(crate) fn attach_spec(&self, name: &KeyName, spec: &KeySource) {
        self.attach(name, spec.source(), spec.encoding, format!("`{spec}`"));
    }

    pub(crate) fn attach(&self, name: &KeyName, source: Arc<dyn Source>, encoding: Encoding, described: String) {
        let attached = Arc::new(Attached { source, encoding, described, looked: Mutex::default() });
        self.attached.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), attached);
    }

    /// Returns what fetches the material of a key.
    pub(crate) fn source(&self, name: &KeyName) -> Option<Arc<dyn Source>> {
        self.find(name).map(|attached| Arc::clone(&attached.source))
    }

    /// Describes where the material of a key comes from.
    pub(crate) fn described(&self, name: &KeyName) -> Option<String> {
        self.find(name).map(|attached| attached.described.clone())
    }

    /// Brings in what the source of a key holds, unless it was asked a moment ago or says that nothing has changed.
    ///
    /// For keys without a source, there is nothing to do.
    pub(crate) async fn refresh(&self, name: &KeyName) -> Result<()> {
        let Some(attached) = self.find(name) else { return Ok(()) };
        let now = self.clock.now();
        let last = *attached.looked();
        if last.is_some_and(|last| last.at <= now && now < last.at.saturating_add(FRESH)) {
            return Ok(());
        }
        // The mark comes first: what changes between the two is noticed at the next look.
        let mark = attached.source.mark().map_err(|source| attached.failed(name, source))?;
        if mark.is_none() || last.is_none_or(|last| last.mark != mark) {
            self.keyring.import_version(name, &attached.fetch(name).await?).await?;
        }
        *attached.looked() = Some(Looked { at: now, mark });
        Ok(())
    }

    /// Brings in what the source of a key holds now; `None` if the key has no source here.
    pub(crate) async fn import(&self, name: &KeyName) -> Result<Option<VersionInfo>> {
        let Some(attached) = self.find(name) else { return Ok(None) };
        let material = attached.fetch(name).await?;
        Ok(Some(self.keyring.import_version(name, &material).await?))
    }

    fn find(&self, name: &KeyName) -> Option<Arc<Attached>> {
        self.attached.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Fetches material from a source that is attached to no key yet.
pub(crate) async fn fetch(name: &KeyName, spec: &KeySource) -> Result<SecretVec> {
    let described = format!("`{spec}`");
    let attached = Attached { source: spec.source(), encoding: spec.encoding, described, looked: Mutex::default() };
    attached.fetch(name).await
}

impl Attached {
    async fn fetch(&self, name: &KeyName) -> Result<SecretVec> {
        let pair = self.source.fetch().await.map_err(|source| self.failed(name, source))?;
        self.encoding.decode(pair.forward().expose()).map_err(|reason| Error::SourceEncoding {
            name: name.clone(),
            described: self.described.clone(),
            reason,
        })
    }

    fn failed(&self, name: &KeyName, source: bulla_keyring::source::SourceError) -> Error {
        Error::Source { name: name.clone(), described: self.described.clone(), source }
    }

    fn looked(&self) -> std::sync::MutexGuard<'_, Option<Looked>> {
        // One assignment changes it, so that what a panicking thread left behind is whole.
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_they_are_read() {
        for text in [
            "env:KEY",
            "hex:env:KEY",
            "base64:file:/run/secrets/key",
            "command:pass show \"my key\"",
            "hex:vault:secret/shop/a b#c#d",
        ] {
            let source: KeySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for (text, part) in [
            ("generate", "leave the source out"),
            ("hex:generate", "leave the source out"),
            ("", "`env:NAME`"),
            ("hex:", "`env:NAME`"),
            ("raw:env:KEY", "`env:NAME`"),
            ("hex:base64:env:KEY", "`env:NAME`"),
            ("env:", "name of a variable"),
            ("vault:", "path of a secret"),
            ("vault:secret/a", "path of a secret"),
            ("vault:secret/a#", "path of a secret"),
            ("vault:secret#a", "path of a secret"),
            ("vault:/secret/a#b", "path of a secret"),
            ("vault:secret/../a#b", "path of a secret"),
            ("vault:secret/a\n#b", "path of a secret"),
        ] {
            let error = text.parse::<KeySource>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_relative_file_is_meant_from_the_folder_that_is_named() {
        let within = |text: &str| text.parse::<KeySource>().unwrap().within(Path::new("/srv")).to_string();
        assert_eq!(within("hex:file:keys/a"), "hex:file:/srv/keys/a");
        assert_eq!(within("file:/keys/a"), "file:/keys/a");
        assert_eq!(within("env:A"), "env:A");
    }
}
