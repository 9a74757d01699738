//! How often somebody may ask, and how long a wrong guess costs.
//!
//! | part | bounds | keyed on |
//! |---|---|---|
//! | [`Connections`] | connections that are open at once | the peer |
//! | [`Guesses`] | wrong secrets: each makes the source wait longer | the peer; alerts on the key id |
//! | [`Limiter`] | requests: a token bucket each | the peer, or the principal that was verified |
//! | [`SharedLimiter`] | the same for several servers together | the same |
//!
//! A door asks in this order: [`Connections::admit`] when a peer connects; for a request with a credential [`Guesses::begin`], then the
//! check of the secret, then [`Limiter::check`] of the *principal* if it was right, or of the *peer* if it was wrong or there was none.
//! What a stranger presents is never a key of any table, so nobody gets a bucket of their own by inventing names.
//!
//! Every table is bounded. All of them are safe for threads, none waits for anything, and time is a parameter.
//!
//! # Examples
//! ```
//! use bulla_backend::Timestamp;
//! use bulla_guard::limits::{Limiter, Quotas};
//!
//! let (limiter, quotas) = (Limiter::default(), Quotas::default());
//! let peer = "2001:db8::7".parse::<std::net::IpAddr>()?.into();
//! let verdict = limiter.check(&quotas.peer(peer, "read"), Timestamp(0));
//! assert!(verdict.admitted);
//! assert_eq!(verdict.fields()[1], ("RateLimit", "\"peer\";r=59;t=1".to_owned()));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod bucket;
mod connections;
mod guesses;
mod limiter;
mod peer;
mod quota;
mod quotas;
mod shared;
mod table;
mod verdict;

pub use connections::{Connection, ConnectionLimits, ConnectionRefused, Connections};
pub use guesses::{Attempt, GuessAlert, GuessSettings, Guesses, TooSoon, Wrong};
pub use limiter::{DEFAULT_ENTRIES, Limiter};
pub use peer::Peer;
pub use quota::{Quota, QuotaError};
pub use quotas::{Quotas, Subject, Verified};
pub use shared::{CounterAway, SHARED_PATIENCE, SharedBucket, SharedCounter, SharedLimiter, Taken, Timer};
pub use verdict::{Policy, Verdict};
