//! What holds for all credentials of a project.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::Timestamp;

use super::Access;
use super::codec::record;
use super::error::{AccessError, Result};
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::Edit;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What holds for all credentials of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessSettings {
    /// How long an API key lives that is made without a lifetime. 90 days.
    pub key_lifetime: Duration,
    /// The longest that an API key may live from when it was made. A year. It binds keys that are made from then on.
    pub max_key_lifetime: Duration,
    /// How long a token lives that is made without a lifetime. 32 days.
    pub token_lifetime: Duration,
    /// The longest that a token may live however often it is renewed, unless it is periodic. 32 days.
    pub max_token_lifetime: Duration,
}

impl Default for AccessSettings {
    fn default() -> Self {
        let token = 32 * DAY;
        Self { key_lifetime: 90 * DAY, max_key_lifetime: 365 * DAY, token_lifetime: token, max_token_lifetime: token }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SettingsRow {
    key_lifetime: Duration,
    max_key_lifetime: Duration,
    token_lifetime: Duration,
    max_token_lifetime: Duration,
    /// Tokens that were made up to here are none any more.
    tokens_since: Option<Timestamp>,
}

record!(SettingsRow { key_lifetime, max_key_lifetime, token_lifetime, max_token_lifetime, tokens_since });

impl SettingsRow {
    fn new(settings: AccessSettings, tokens_since: Option<Timestamp>) -> Self {
        let AccessSettings { key_lifetime, max_key_lifetime, token_lifetime, max_token_lifetime } = settings;
        Self { key_lifetime, max_key_lifetime, token_lifetime, max_token_lifetime, tokens_since }
    }
}

impl Snapshot {
    pub(crate) fn settings(&self) -> AccessSettings {
        let Some((_, row)) = &self.settings else { return AccessSettings::default() };
        let SettingsRow { key_lifetime, max_key_lifetime, token_lifetime, max_token_lifetime, .. } = **row;
        AccessSettings { key_lifetime, max_key_lifetime, token_lifetime, max_token_lifetime }
    }

    /// Returns up to when tokens were all revoked.
    pub(crate) fn tokens_since(&self) -> Option<Timestamp> {
        self.settings.as_ref().and_then(|(_, row)| row.tokens_since)
    }
}

impl Access {
    /// Returns what holds for all credentials.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn settings(&self) -> Result<AccessSettings> {
        Ok(self.fresh().await?.settings())
    }

    /// Changes what holds for all credentials.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] for a lifetime of nothing, or one that is longer than the longest; as [`Access::refresh`].
    pub async fn change_settings(&self, settings: AccessSettings) -> Result<()> {
        let fits = |lifetime: Duration, longest| lifetime >= Duration::from_secs(1) && lifetime <= longest;
        if !fits(settings.key_lifetime, settings.max_key_lifetime)
            || !fits(settings.token_lifetime, settings.max_token_lifetime)
        {
            return Err(AccessError::Invalid {
                what: "a lifetime",
                bound: "is at least a second, and at most the longest",
            });
        }
        self.write_settings(|row| SettingsRow::new(settings, row.and_then(|row| row.tokens_since))).await
    }

    /// Revokes every token that was made until now, in one change that a database put back does not undo.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn revoke_all_tokens(&self) -> Result<()> {
        let now = self.clock.now();
        self.write_settings(|row| {
            let row = row.copied().unwrap_or_else(|| SettingsRow::new(AccessSettings::default(), None));
            SettingsRow { tokens_since: row.tokens_since.max(Some(now)), ..row }
        })
        .await
    }

    async fn write_settings(&self, edit: impl Fn(Option<&SettingsRow>) -> SettingsRow) -> Result<()> {
        let new = Place::random(Kind::Settings)?;
        self.change(|snapshot| {
            let place = snapshot.settings.as_ref().map_or(new, |(place, _)| *place);
            let row = edit(snapshot.settings.as_ref().map(|(_, row)| &**row));
            Ok((vec![Edit::Put(place, Object::Settings(Arc::new(row)))], ()))
        })
        .await
    }
}
