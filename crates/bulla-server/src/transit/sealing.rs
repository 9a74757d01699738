//! Sealing and opening under the versions of a key. What a request has in common is looked up once.

use std::sync::Arc;

use bulla::{Context, KeyName, KeyVersion, Keyring, KeyringError, OpenError};
use bulla_seal::{Header, KeyVersionId};
use http::StatusCode;
use zeroize::Zeroizing;

use super::fields::Number;
use super::place::Place;
use super::wrapped::{self, Kind};
use crate::ApiError;

/// Makes the error of a key that is not there.
pub(super) fn no_key() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "not_found", "encryption key not found")
}

/// Makes the error of a derived key without a context.
fn no_context(place: &Place) -> ApiError {
    let message = format!(
        "missing 'context': key `{}` is derived, and everything made with it is bound to a context",
        place.name()
    );
    ApiError::new(StatusCode::BAD_REQUEST, "missing_context", message)
}

/// Refuses a nonce: whoever brings one expects it to be used.
pub(super) fn refuse_nonce(nonce: Option<&str>) -> Result<(), ApiError> {
    match nonce {
        None | Some("") => Ok(()),
        Some(_) => Err(ApiError::field("nonce", "a client does not choose one: every message has a key of its own")
            .with_hint("for equal ciphertexts of equal plaintexts, use a key with convergent_encryption")),
    }
}

/// Seals under a key.
pub(super) struct Sealer<'a> {
    keyring: &'a Keyring,
    name: &'a KeyName,
    /// Whether each use is counted, so that the version is asked for anew each time.
    is_counted: bool,
    newest: Arc<KeyVersion>,
    chosen: Option<Arc<KeyVersion>>,
    fresh: bool,
    sealed: Vec<u8>,
}

impl<'a> Sealer<'a> {
    /// Finds the newest version of the key at a place: of the one that is derived, if there is a context.
    pub(super) async fn new(
        keyring: &'a Keyring,
        place: &'a Place,
        with_context: bool,
        items: usize,
    ) -> Result<Self, ApiError> {
        for name in place.both(with_context) {
            let newest = match keyring.current(name).await {
                Ok(newest) => newest,
                Err(KeyringError::NoKey(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            if place.is_derived(name) && !with_context {
                return Err(no_context(place));
            }
            let is_counted = items > 1 && keyring.key(name).await?.settings.max_uses.is_some();
            return Ok(Self { keyring, name, is_counted, newest, chosen: None, fresh: true, sealed: Vec::new() });
        }
        Err(no_key())
    }

    /// Seals a message under the newest version, or under one that was chosen.
    pub(super) async fn seal(
        &mut self,
        version: Option<Number>,
        context: &Context,
        message: &[u8],
    ) -> Result<(String, u64), ApiError> {
        let version = self.version(version).await?;
        version.seal_key().seal_into(version.params(), context, message, &mut self.sealed)?;
        Ok((wrapped::wrap(version.number(), &self.sealed), version.number()))
    }

    /// Returns the number of the version that would seal.
    pub(super) fn target(&self, number: Option<Number>) -> Option<u64> {
        match number {
            None | Some(Number(0)) => Some(self.newest.number()),
            Some(Number(number)) => u64::try_from(number).ok(),
        }
    }

    async fn version(&mut self, number: Option<Number>) -> Result<Arc<KeyVersion>, ApiError> {
        let number = match number {
            None | Some(Number(0)) => None,
            Some(Number(number)) => Some(u64::try_from(number).map_err(|_| refused("is negative"))?),
        };
        let Some(number) = number.filter(|number| *number != self.newest.number()) else {
            if self.is_counted && !std::mem::take(&mut self.fresh) {
                self.newest = self.keyring.current(self.name).await?;
            }
            return Ok(Arc::clone(&self.newest));
        };
        if let Some(chosen) = &self.chosen
            && chosen.number() == number
            && !self.is_counted
        {
            return Ok(Arc::clone(chosen));
        }
        let chosen = self.keyring.version_to_seal(self.name, number).await.map_err(|error| match error {
            KeyringError::NoVersion { .. } if number > self.newest.number() => {
                refused("is higher than the latest key version")
            }
            KeyringError::NoVersion { .. } | KeyringError::BelowMinimum { .. } => {
                refused("is less than the minimum encryption key version")
            }
            error => error.into(),
        })?;
        self.chosen = Some(Arc::clone(&chosen));
        Ok(chosen)
    }
}

fn refused(problem: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "below_minimum", format!("requested version for encryption {problem}"))
}

/// Opens under the versions of a key.
pub(super) struct Opener<'a> {
    keyring: &'a Keyring,
    place: &'a Place,
    with_context: bool,
    last: Option<Arc<KeyVersion>>,
    sealed: Zeroizing<Vec<u8>>,
    opened: Zeroizing<Vec<u8>>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(keyring: &'a Keyring, place: &'a Place, with_context: bool) -> Self {
        Self { keyring, place, with_context, last: None, sealed: Zeroizing::default(), opened: Zeroizing::default() }
    }

    /// Requires that there is a key, before anything is said about a ciphertext.
    pub(super) async fn require_key(&self) -> Result<(), ApiError> {
        for name in self.place.both(self.with_context) {
            match self.keyring.key(name).await {
                Ok(_) => return Ok(()),
                Err(KeyringError::NoKey(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(no_key())
    }

    /// Opens a ciphertext; returns the message, and the number of the version that it was under.
    pub(super) async fn open(&mut self, text: &str, context: &Context) -> Result<(&[u8], u64), ApiError> {
        let claimed = Kind::Ciphertext.decode(text, &mut self.sealed)?.version;
        let version = match Header::parse(&self.sealed) {
            Ok(header) => self.version(header.key_version(), claimed).await?,
            Err(_) => return Err(self.unknown(claimed).await),
        };
        match version.seal_key().open_into(context, &self.sealed, &mut self.opened) {
            Ok(()) => {
                let opened: &[u8] = &self.opened;
                Ok((opened, version.number()))
            }
            Err(_) => Err(cannot_open()),
        }
    }

    /// Returns the version that a ciphertext names inside, which has to be the one that it names outside.
    async fn version(&mut self, id: KeyVersionId, claimed: u64) -> Result<Arc<KeyVersion>, ApiError> {
        let version = match &self.last {
            Some(last) if last.id() == id => Arc::clone(last),
            _ => self.find(id, claimed).await?,
        };
        if version.number() != claimed {
            let error = self.unknown(claimed).await;
            return Err(if error.code() == CANNOT_OPEN {
                Kind::Ciphertext.invalid("it names another version than it was made with")
            } else {
                error
            });
        }
        self.last = Some(Arc::clone(&version));
        Ok(version)
    }

    async fn find(&self, id: KeyVersionId, claimed: u64) -> Result<Arc<KeyVersion>, ApiError> {
        for name in self.place.both(self.with_context) {
            match self.keyring.version(name, id).await {
                Ok(_) if self.place.is_derived(name) && !self.with_context => return Err(no_context(self.place)),
                Ok(version) => return Ok(version),
                Err(KeyringError::NoKey(_) | KeyringError::Open(OpenError::UnknownVersion(_))) => {}
                Err(KeyringError::BelowMinimum { .. }) => return Err(Kind::too_old()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(self.unknown(claimed).await)
    }

    /// Says why a ciphertext that no version of the key made is refused: by the number that it claims, which anybody can write.
    async fn unknown(&self, claimed: u64) -> ApiError {
        for name in self.place.both(self.with_context) {
            match self.keyring.key(name).await {
                Ok(_) if self.place.is_derived(name) && !self.with_context => return no_context(self.place),
                Ok(key) if claimed > key.newest => return Kind::Ciphertext.too_new(),
                Ok(key) if claimed < key.settings.min_open => return Kind::too_old(),
                Ok(_) => return cannot_open(),
                Err(KeyringError::NoKey(_)) => {}
                Err(error) => return error.into(),
            }
        }
        no_key()
    }
}

const CANNOT_OPEN: &str = "cannot_open";

/// Makes the error of a ciphertext that does not open; whether it is the key, the context or the bytes is not said.
fn cannot_open() -> ApiError {
    let message = "the ciphertext cannot be opened: it was made with another key or context, or was altered";
    ApiError::new(StatusCode::BAD_REQUEST, CANNOT_OPEN, message)
}
