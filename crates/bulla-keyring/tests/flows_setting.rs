//! What the tests of flows share: places where keys lie, and an application with lifetimes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bulla_backend::testing::CallFaults;
use bulla_keyring::flows::{ChangeLock, KeyCryptoTool, KeyDefinition, KeyFlows, Result, SealedStates};
use bulla_keyring::source::{SecretPair, SecretValue, Source, callable};
use bulla_keyring::{Algorithm, Keyring};

use crate::setting::{Setting, name};

/// Where a key lies: changed by an administrator, read by the application.
#[derive(Clone)]
pub(crate) struct Place {
    value: Arc<Mutex<Option<SecretPair>>>,
    reads: Arc<AtomicUsize>,
}

impl Place {
    pub(crate) fn new(value: impl Into<SecretPair>) -> Self {
        Self { value: Arc::new(Mutex::new(Some(value.into()))), reads: Arc::default() }
    }

    pub(crate) fn set(&self, value: impl Into<SecretPair>) {
        *self.value.lock().unwrap() = Some(value.into());
    }

    pub(crate) fn break_down(&self) {
        *self.value.lock().unwrap() = None;
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        let place = self.clone();
        callable(move || {
            place.reads.fetch_add(1, Ordering::SeqCst);
            place.value.lock().unwrap().clone().ok_or("the place is away")
        })
    }
}

/// An application whose states lie in a database, and are sealed under the key `states` of its project.
pub(crate) struct Application {
    pub(crate) setting: Setting,
    pub(crate) keyring: Arc<Keyring>,
}

impl Application {
    pub(crate) fn new() -> Self {
        let setting = Setting::new();
        let keyring = Arc::new(setting.create());
        pollster::block_on(keyring.create_key(&name("states"), Algorithm::default())).unwrap();
        Self { setting, keyring }
    }

    pub(crate) fn tool(&self) -> Arc<KeyCryptoTool> {
        Arc::new(KeyCryptoTool::new(Arc::clone(&self.keyring), name("states")))
    }

    /// Begins a lifetime: nothing is known but what the repository holds.
    pub(crate) fn lifetime(&self) -> KeyFlows {
        let states = Arc::new(SealedStates::new(Arc::new(self.setting.documents.clone())));
        KeyFlows::builder().states(states, self.tool()).build()
    }

    pub(crate) fn lifetime_with_lock(&self, lock: impl ChangeLock + 'static) -> KeyFlows {
        let states = Arc::new(SealedStates::new(Arc::new(self.setting.documents.clone())));
        KeyFlows::builder().states(states, self.tool()).lock(Arc::new(lock)).build()
    }

    pub(crate) fn faulty_lifetime(&self) -> (KeyFlows, CallFaults) {
        let faults = CallFaults::new();
        let states = Arc::new(SealedStates::new(self.setting.faulty(&faults)));
        (KeyFlows::builder().states(states, self.tool()).build(), faults)
    }
}

pub(crate) fn text(value: Result<SecretValue>) -> String {
    value.unwrap().expose_text().unwrap().to_owned()
}

pub(crate) fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

pub(crate) fn some(text: &str) -> Option<SecretPair> {
    Some(text.into())
}

pub(crate) const STATEFUL: KeyDefinition = KeyDefinition::round_trip().with_stateless(false);
