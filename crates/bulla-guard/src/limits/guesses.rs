//! What a wrong secret costs its source.

use std::time::Duration;

use bulla_backend::Timestamp;

use super::peer::Peer;
use super::table::{Key, Table, Value, Weight};

/// Seconds that a source waits after its first wrong secret, its second, and so on; after more of them, the last.
const DELAYS: [u64; 7] = [1, 3, 5, 10, 20, 30, 60];

/// How wrong secrets are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuessSettings {
    /// What the source waits after its first wrong secret, its second, and so on. After more, the last.
    pub delays: Vec<Duration>,
    /// After so long without a wrong secret, a source begins anew.
    pub quiet: Duration,
    /// How many secrets of a source that guessed wrong are looked at side by side.
    pub parallel: u16,
    /// So many wrong secrets for one key id within [`alert_within`](Self::alert_within) raise an alert.
    pub alert_after: u32,
    /// See [`alert_after`](Self::alert_after). There is one alert in this time for each key id.
    pub alert_within: Duration,
    /// Sources that are remembered, and as many key ids.
    pub entries: usize,
}

impl Default for GuessSettings {
    /// Delays of 1, 3, 5, 10, 20, 30 and then 60 seconds, forgotten after 15 quiet minutes; an alert at 10 wrong secrets for a key id within 10
    /// minutes; 4 secrets side by side; 100,000 entries.
    fn default() -> Self {
        Self {
            delays: DELAYS.map(Duration::from_secs).to_vec(),
            quiet: Duration::from_secs(15 * 60),
            parallel: 4,
            alert_after: 10,
            alert_within: Duration::from_secs(10 * 60),
            entries: super::DEFAULT_ENTRIES,
        }
    }
}

/// Slows down sources of wrong secrets.
///
/// # Security
/// - A source waits, a key id never does: otherwise a stranger could lock its owner out by guessing.
/// - While a source waits, right secrets are refused too; else waiting would cost a guesser nothing. Others behind the same address wait with it,
///   a minute at most; an administrator can [`reset`](Self::reset) it.
/// - A right secret does not take the delay away. Somebody with a key of their own would otherwise guess others' at full speed, one right one in between.
/// - Once a source has guessed wrong, only a few of its secrets are looked at side by side, so that a thousand connections are not a thousand guesses a delay.
#[derive(Debug)]
pub struct Guesses {
    settings: GuessSettings,
    sources: Table<Source>,
    key_ids: Table<KeyId>,
}

/// What is known of a source that guessed wrong. Moments are in milliseconds.
#[derive(Debug, Default)]
struct Source {
    wrong: u32,
    /// Secrets that are being looked at.
    open: u16,
    not_before: u64,
    forget_at: u64,
}

/// What is known of a key id that wrong secrets were presented for.
#[derive(Debug, Default)]
struct KeyId {
    wrong: u32,
    until: u64,
}

impl Guesses {
    /// Makes one that knows of no wrong secret.
    #[must_use]
    pub fn new(settings: GuessSettings) -> Self {
        let (sources, key_ids) = (Table::new(settings.entries), Table::new(settings.entries));
        Self { settings, sources, key_ids }
    }

    /// Lets a source present a secret. Ask before the secret is looked at.
    ///
    /// # Errors
    /// [`TooSoon`] if the source has to wait. The secret is not to be looked at then.
    pub fn begin(&self, source: Peer, now: Timestamp) -> Result<Attempt<'_>, TooSoon> {
        let key = self.source_key(source);
        let outcome = self.sources.change_present(key, |state| {
            if now.0 >= state.forget_at {
                return Ok(false);
            }
            let delay = self.delay(state.wrong);
            // After the clock was set back, nobody waits longer than they were told.
            state.not_before = state.not_before.min(now.saturating_add(delay).0);
            state.forget_at = state.forget_at.min(now.saturating_add(self.settings.quiet).0);
            match state.not_before.checked_sub(now.0) {
                Some(left) if left > 0 => Err(TooSoon { wait: Duration::from_millis(left) }),
                _ if state.open >= self.settings.parallel.max(1) => Err(TooSoon { wait: delay }),
                _ => {
                    state.open += 1;
                    Ok(true)
                }
            }
        });
        Ok(Attempt { guesses: self, source, counted: outcome.unwrap_or(Ok(false))? })
    }

    /// Forgets a source's wrong secrets, for an administrator. Says whether there were any.
    #[must_use = "tell the administrator"]
    pub fn reset(&self, source: Peer) -> bool {
        self.sources.remove(self.source_key(source))
    }

    /// Drops what was quiet for long enough. Call it about once a minute.
    pub fn sweep(&self, now: Timestamp) {
        self.sources.sweep(now.0);
        self.key_ids.sweep(now.0);
    }

    /// Counts the sources that are remembered.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    fn wrong(&self, attempt: &Attempt<'_>, key_id: Option<&str>, now: Timestamp) -> Wrong {
        let delay = self.sources.change(self.source_key(attempt.source), now.0, |state| {
            if now.0 >= state.forget_at {
                state.wrong = 0;
            }
            state.wrong = state.wrong.saturating_add(1);
            let delay = self.delay(state.wrong);
            state.not_before = now.saturating_add(delay).0;
            // Whatever is set, nobody is forgotten while they wait.
            state.forget_at = now.saturating_add(self.settings.quiet.max(delay)).0;
            delay
        });
        Wrong { delay, alert: key_id.and_then(|key_id| self.count(key_id, attempt.source, now)) }
    }

    fn count(&self, key_id: &str, source: Peer, now: Timestamp) -> Option<GuessAlert> {
        let key = self.key_ids.key([key_id.as_bytes(), b""]);
        let wrong = self.key_ids.change(key, now.0, |state| {
            let until = now.saturating_add(self.settings.alert_within).0;
            if now.0 >= state.until {
                *state = KeyId { wrong: 0, until };
            }
            state.until = state.until.min(until);
            state.wrong = state.wrong.saturating_add(1);
            state.wrong
        });
        (wrong == self.settings.alert_after.max(1)).then(|| GuessAlert {
            key_id: key_id.to_owned(),
            wrong,
            within: self.settings.alert_within,
            last_source: source,
        })
    }

    fn delay(&self, wrong: u32) -> Duration {
        let index = usize::try_from(wrong.saturating_sub(1)).unwrap_or(usize::MAX);
        self.settings.delays.get(index).or(self.settings.delays.last()).copied().unwrap_or_default()
    }

    fn source_key(&self, source: Peer) -> Key {
        self.sources.key([&source.bytes(), b""])
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self::new(GuessSettings::default())
    }
}

/// A secret that is being looked at. Dropped without a word, it counts as neither right nor wrong.
#[derive(Debug)]
#[must_use = "say whether the secret was right"]
pub struct Attempt<'a> {
    guesses: &'a Guesses,
    source: Peer,
    counted: bool,
}

impl Attempt<'_> {
    /// The secret was right. What the source guessed wrong before stays counted.
    pub fn right(self) {}

    /// The secret was wrong. `key_id` is the id of a key that there is, or nothing if there is none of that id.
    #[must_use = "it may hold an alert"]
    pub fn wrong(self, key_id: Option<&str>, now: Timestamp) -> Wrong {
        self.guesses.wrong(&self, key_id, now)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.counted {
            let key = self.guesses.source_key(self.source);
            // Nothing is there any more after a reset.
            let _gone =
                self.guesses.sources.change_present(key, |state| state.open = state.open.saturating_sub(1)).is_none();
        }
    }
}

/// What a wrong secret led to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrong {
    /// How long the source waits now.
    pub delay: Duration,
    /// An alert, if this was the wrong secret that raises one.
    pub alert: Option<GuessAlert>,
}

/// Many wrong secrets were presented for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuessAlert {
    /// The key's id, which is not a secret.
    pub key_id: String,
    /// How many.
    pub wrong: u32,
    /// Within what time.
    pub within: Duration,
    /// Where the last came from; others may have come from elsewhere.
    pub last_source: Peer,
}

/// A source has to wait before it may present a secret again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong secrets from this address: wait {} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))]
#[non_exhaustive]
pub struct TooSoon {
    /// How long.
    pub wait: Duration,
}

impl Value for Source {
    fn weight(&self, now: u64) -> Weight {
        Weight { load: if now >= self.forget_at { 0 } else { self.wrong }, since: self.forget_at }
    }
}

impl Value for KeyId {
    fn weight(&self, now: u64) -> Weight {
        Weight { load: if now >= self.until { 0 } else { self.wrong }, since: self.until }
    }
}
