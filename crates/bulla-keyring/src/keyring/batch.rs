//! The same for many at once: each item has a result of its own, and the key is looked up once.

use std::sync::Arc;

use bulla_seal::{Context, KeyVersionId};
use zeroize::Zeroizing;

use super::one_way::split;
use super::values::id_of;
use super::{Keyring, refuse_system};
use crate::key::Version;
use crate::{KeyName, Result};

impl Keyring {
    /// Seals many messages, each with its context, as [`Keyring::seal`] does.
    ///
    /// # Errors
    /// As [`Keyring::current`], if the key cannot be used at all; otherwise each item has its own.
    pub async fn seal_batch(&self, name: &KeyName, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        self.with_newest(name, items, |version, (context, message)| version.seal(context, message)).await
    }

    /// Opens many sealed values, each with its context, as [`Keyring::open_sealed`] does.
    ///
    /// # Errors
    /// [`KeyringError::Reserved`](crate::KeyringError::Reserved); otherwise each item has its own.
    pub async fn open_batch(&self, name: &KeyName, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        refuse_system(name)?;
        let mut versions = Versions::new(self, name);
        let mut opened = Vec::with_capacity(items.len());
        for (context, sealed) in items {
            opened.push(match id_of(sealed) {
                Ok(id) => versions.find(id).await.and_then(|version| version.open(context, sealed)),
                Err(error) => Err(error),
            });
        }
        Ok(opened)
    }

    /// Brings many sealed values, each with its context, under the newest version, as [`Keyring::rewrap`] does; `None` for those that are
    /// under it already.
    ///
    /// # Errors
    /// As [`Keyring::seal_batch`].
    pub async fn rewrap_batch(
        &self,
        name: &KeyName,
        items: &[(&Context, &[u8])],
    ) -> Result<Vec<Result<Option<Vec<u8>>>>> {
        let opened: Vec<Result<Zeroizing<Vec<u8>>>> =
            self.open_batch(name, items).await?.into_iter().map(|opened| opened.map(Zeroizing::new)).collect();
        let newest = self.described_now(name).await?.body.newest_id;
        let mut messages = Vec::new();
        for ((context, sealed), opened) in items.iter().zip(&opened) {
            if let Ok(message) = opened
                && id_of(sealed)? != newest
            {
                messages.push((*context, message.as_slice()));
            }
        }
        let mut sealed_anew = self.seal_batch(name, &messages).await?.into_iter();
        let mut rewrapped = Vec::with_capacity(items.len());
        for ((_, sealed), opened) in items.iter().zip(opened) {
            rewrapped.push(match opened {
                Err(error) => Err(error),
                Ok(_) if id_of(sealed)? == newest => Ok(None),
                Ok(_) => sealed_anew.next().transpose(),
            });
        }
        Ok(rewrapped)
    }

    /// Signs many messages, as [`Keyring::sign`] does.
    ///
    /// # Errors
    /// As [`Keyring::seal_batch`].
    pub async fn sign_batch(&self, name: &KeyName, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        self.with_newest(name, messages, |version, message| version.sign(message)).await
    }

    /// Verifies many signatures, each behind its message, as [`Keyring::verify`] does.
    ///
    /// # Errors
    /// As [`Keyring::open_batch`].
    pub async fn verify_batch(&self, name: &KeyName, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        self.with_named(name, items, Version::verify).await
    }

    /// Computes the HMACs of many messages, as [`Keyring::hmac`] does.
    ///
    /// # Errors
    /// As [`Keyring::seal_batch`].
    pub async fn hmac_batch(&self, name: &KeyName, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        self.with_newest(name, messages, |version, message| version.hmac(message)).await
    }

    /// Verifies many HMACs, each behind its message, as [`Keyring::verify_hmac`] does.
    ///
    /// # Errors
    /// As [`Keyring::open_batch`].
    pub async fn verify_hmac_batch(&self, name: &KeyName, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        self.with_named(name, items, Version::verify_hmac).await
    }

    /// Uses the newest version for each item; where its uses end within the batch, the next one for the rest.
    async fn with_newest<T: Copy, R>(
        &self,
        name: &KeyName,
        items: &[T],
        each: impl Fn(&Version, T) -> Result<R>,
    ) -> Result<Vec<Result<R>>> {
        refuse_system(name)?;
        let mut done = Vec::with_capacity(items.len());
        while done.len() < items.len() {
            let rest = &items[done.len()..];
            let (version, uses) = self.newest(name, rest.len() as u64).await?;
            let uses = usize::try_from(uses).unwrap_or(rest.len());
            done.extend(rest.iter().take(uses).map(|item| each(&version, *item)));
        }
        Ok(done)
    }

    async fn with_named(
        &self,
        name: &KeyName,
        items: &[(&[u8], &[u8])],
        each: impl Fn(&Version, &[u8], &[u8]) -> Result<bool>,
    ) -> Result<Vec<Result<bool>>> {
        refuse_system(name)?;
        let mut versions = Versions::new(self, name);
        let mut verified = Vec::with_capacity(items.len());
        for (message, signature) in items {
            verified.push(match split(signature) {
                None => Ok(false),
                Some((id, signature)) => versions.find(id).await.and_then(|version| each(&version, message, signature)),
            });
        }
        Ok(verified)
    }
}

/// The versions that the items of one batch name: neighbours mostly name the same.
struct Versions<'a> {
    keyring: &'a Keyring,
    name: &'a KeyName,
    last: Option<Arc<Version>>,
}

impl<'a> Versions<'a> {
    fn new(keyring: &'a Keyring, name: &'a KeyName) -> Self {
        Self { keyring, name, last: None }
    }

    async fn find(&mut self, id: KeyVersionId) -> Result<Arc<Version>> {
        if let Some(last) = &self.last
            && last.id == id
        {
            return Ok(Arc::clone(last));
        }
        let found = self.keyring.find(id, Some(self.name)).await?;
        self.last = Some(Arc::clone(&found));
        Ok(found)
    }
}
