//! The client for callers without async.

use std::fmt;
use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{ClientError, Result};

/// A client with a small runtime of its own, on the thread that calls.
///
/// # Examples
/// ```no_run
/// use bulla_client::{Client, blocking};
///
/// let client = blocking::Client::new(Client::builder("https://127.0.0.1:8200")?.build()?)?;
/// let health = client.wait(client.client().sys().health())?;
/// # Ok::<(), bulla_client::ClientError>(())
/// ```
pub struct Client {
    client: crate::Client,
    /// `Some` until it is dropped.
    runtime: Option<Runtime>,
}

impl Client {
    /// Gives a client a runtime.
    ///
    /// # Errors
    /// [`ClientError::Runtime`] if the system has no resources for it.
    pub fn new(client: crate::Client) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)?;
        Ok(Self { client, runtime: Some(runtime) })
    }

    /// Returns the client whose calls can be waited for.
    #[must_use]
    pub fn client(&self) -> &crate::Client {
        &self.client
    }

    /// Waits for a call.
    ///
    /// # Errors
    /// Those of the call, and [`ClientError::WithinRuntime`] on a thread that an async runtime works on.
    pub fn wait<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.runtime {
            Some(runtime) if Handle::try_current().is_err() => runtime.block_on(call),
            _ => Err(ClientError::WithinRuntime),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A name that is being looked up is not waited for, and it may be dropped within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.client).finish()
    }
}
