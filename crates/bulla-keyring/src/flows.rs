//! Keys that come from a [`Source`](crate::source::Source): which value serves which path, and what happens when one changes.
//!
//! For applications that use a key themselves, or hand it to a library, rather than have Bulla seal for them. A [`KeyFlows`] knows
//! definitions of keys; each names a source and a [`UseCase`](crate::UseCase). A key of a *round trip* has two paths: the **forward path** (seal, encrypt)
//! takes the value that the source has now; the **back path** (open, decrypt) takes the value that went with it, which is kept, so that what
//! was sealed under it is not lost when the source changes. A key used *one way* (authenticate, sign) has one value, the source's.
//!
//! Sealed data of [named keys](crate::Keyring) says itself which version sealed it, so that nothing has to be remembered: prefer those where Bulla can do
//! the sealing.
//!
//! # The back path
//!
//! The value comes from the first of these that has one:
//!
//! 1. the **cache**: the pair of the last forward path, or of the last back path (`keep_in_cache`);
//! 2. the **state** in the repository, if the key is stateful, unless the forward path was used since the state was last saved;
//! 3. the source.
//!
//! A change is declared with [`KeyFlows::changed`] *before* the source changes. Its callbacks run then: to decrypt with the old value and encrypt
//! with the new one, or to tell a client of the new password. A callback that has dealt with the data says so, by [`ChangedKey::save_state`],
//! [`ChangedKey::set_last_flow`] or [`ChangedKey::adopt_new`], and the new pair takes the place of the old one. Where none does, and none failed, the first use of the back
//! path after the change still gets the old value from the cache, and later ones look further.
//!
//! # Callers at once
//!
//! Each use of a key takes effect as a whole, in some order, without holding a lock while a source, a repository or a callback runs. Changes of one key,
//! and writes of its state, happen one at a time, as far as the [`ChangeLock`] reaches: [`InProcess`] unless something else is said, [`AcrossProcesses`] where
//! several processes share a repository. The lock is re-entrant: a callback may call anything, also for its own key.
//!
//! Callbacks belong to the process that registered them. Where several processes declare one change, each runs its own callbacks once; under
//! [`AcrossProcesses`] never two at once. One that re-encrypts data which all of them share asks [`ChangedKey::is_stored`] first whether another process has done it.
//!
//! # Examples
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use bulla_keyring::KeyName;
//! use bulla_keyring::flows::{KeyDefinition, KeyFlows, OnChange};
//! use bulla_keyring::source::{SourceError, callable};
//!
//! # pollster::block_on(async {
//! let setting = Arc::new(Mutex::new("value_1"));
//! let read = Arc::clone(&setting);
//! let source = callable(move || Ok::<_, SourceError>(*read.lock().unwrap()));
//!
//! let flows = KeyFlows::new();
//! let name: KeyName = "my_first_key".parse()?;
//! flows.define_key(&name, source, KeyDefinition::round_trip())?;
//! flows.register_on_change(&name, None, OnChange::plain(|change| Ok(assert!(change.old != change.new))))?;
//!
//! assert_eq!(flows.forward_path_key(&name).await?.expose_text(), Some("value_1"));
//! let report = flows.changed(&name, Some("value_1".into()), Some("value_2".into())).await?;
//! assert!(report.succeeded());
//! *setting.lock().unwrap() = "value_2";
//! // What was encrypted with the old value can still be decrypted.
//! assert_eq!(flows.back_path_key(&name).await?.expose_text(), Some("value_1"));
//! assert_eq!(flows.forward_path_key(&name).await?.expose_text(), Some("value_2"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod callback;
mod cell;
mod change;
mod definition;
mod error;
mod handle;
mod key;
mod lock;
mod manager;
mod running;
mod state;
mod states;

pub use callback::{CallbackError, CallbackReport, CallbackStatus, Change, ChangeReport, OnChange};
pub use definition::{ErrorStrategy, Flow, KeyDefinition, ParseFlowError};
pub use error::{FlowError, Result};
pub use handle::KeyHandle;
pub use lock::{AcrossProcesses, ChangeLock, HeldLock, InProcess, Unlocked};
pub use manager::{KeyFlows, KeyFlowsBuilder};
pub use running::ChangedKey;
pub use state::{KeyState, MAX_STATE_LEN};
pub use states::{CryptoTool, KEY_STATES, KeyCryptoTool, SealedStates, StateError, StateRepo};
