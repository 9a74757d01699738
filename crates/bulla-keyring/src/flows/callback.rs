//! Callbacks of a change, and how they went.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::ChangedKey;
use crate::{KeyName, source::SecretPair};

/// Why a callback failed: the application's own error.
pub type CallbackError = Box<dyn Error + Send + Sync>;

pub(super) type CallbackFuture = Pin<Box<dyn Future<Output = Result<(), CallbackError>> + Send>>;

/// What a callback is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The values until now, as the change was declared with.
    pub old: Option<SecretPair>,
    /// The values from now on, as the change was declared with.
    pub new: Option<SecretPair>,
    /// The key, with its last flow.
    pub key: ChangedKey,
}

/// What runs when a key is declared as changed.
///
/// It may call any method of [`KeyFlows`](super::KeyFlows), also for its own key. [`ChangedKey::handle`] gives the door; one that a closure has captured works as
/// well, but keeps itself and all definitions alive for ever.
#[doc(alias = "KeyChangedCallback")]
#[derive(Clone)]
pub struct OnChange(Arc<dyn Fn(Change) -> CallbackFuture + Send + Sync>);

impl OnChange {
    /// Takes a closure that returns a future.
    pub fn new<F, R>(callback: F) -> Self
    where
        F: Fn(Change) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), CallbackError>> + Send + 'static,
    {
        Self(Arc::new(move |change| Box::pin(callback(change))))
    }

    /// Takes a plain closure.
    pub fn plain<F>(callback: F) -> Self
    where
        F: Fn(&Change) -> Result<(), CallbackError> + Send + Sync + 'static,
    {
        let callback = Arc::new(callback);
        Self::new(move |change| {
            let callback = Arc::clone(&callback);
            // Called when the future is polled: only then is it known whose call it is.
            async move { callback(&change) }
        })
    }

    pub(super) fn call(&self, change: Change) -> CallbackFuture {
        // The closure of an asynchronous callback may itself do work, so that it too runs within the future.
        let callback = Arc::clone(&self.0);
        Box::pin(async move { callback(change).await })
    }
}

impl fmt::Debug for OnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnChange(..)")
    }
}

/// How far a callback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackStatus {
    /// It has not run yet, or never will.
    Pending,
    /// It runs.
    InProgress,
    /// It returned an error.
    Failed,
    /// It returned.
    Succeeded,
}

impl fmt::Display for CallbackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::InProgress => "in progress",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
        })
    }
}

/// How one callback went.
#[derive(Debug)]
#[non_exhaustive]
pub struct CallbackReport {
    /// Its name.
    pub name: String,
    /// How far it came.
    pub status: CallbackStatus,
    /// Why it failed.
    pub error: Option<CallbackError>,
}

/// How a change went.
#[doc(alias = "KeyChangedContext")]
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "under some strategies a callback that failed is seen here only"]
pub struct ChangeReport {
    /// The key that was declared as changed.
    pub key: KeyName,
    /// Its callbacks, in the order in which they were registered.
    pub callbacks: Vec<CallbackReport>,
}

impl ChangeReport {
    /// Says whether every callback ran and none failed.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.callbacks.iter().all(|callback| callback.status == CallbackStatus::Succeeded)
    }

    /// Returns the callbacks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CallbackReport> {
        self.callbacks.iter().filter(|callback| callback.status == CallbackStatus::Failed)
    }
}
