//! Every call of creating and rotating a key fails once, in every way; afterwards everything opens.

use bulla_backend::testing::{CallFaults, Failure};
use bulla_keyring::{Algorithm, Keyring, KeyringError};

use crate::setting::{Setting, context, name};

#[test]
fn creating_a_key_can_fail_at_any_call() {
    sweep(false, |keyring| pollster::block_on(keyring.create_key(&name("orders"), Algorithm::default())).map(|_| ()));
}

#[test]
fn rotating_a_key_can_fail_at_any_call() {
    sweep(true, |keyring| pollster::block_on(keyring.rotate_key(&name("orders"))).map(|_| ()));
}

/// Lets each call of an operation fail in each way, and looks at what is left, with this process and with another.
fn sweep(exists: bool, operation: impl Fn(&Keyring) -> Result<(), KeyringError>) {
    let calls = {
        let (_, keyring, faults, _) = begin(exists);
        let before = faults.calls();
        operation(&keyring).unwrap();
        faults.calls() - before
    };
    assert!(calls >= 4, "{calls} calls");
    for (at, failure) in (1..=calls).flat_map(|at| Failure::ALL.map(|failure| (at, failure))) {
        let (setting, keyring, faults, sealed) = begin(exists);
        faults.arm(faults.calls() + at, failure);
        // The last call looks whether an epoch has begun meanwhile: by then the work is done, and said to be.
        match operation(&keyring) {
            Ok(()) => assert_eq!(at, calls, "{failure:?}"),
            Err(failed) => assert_eq!(failed.code(), "backend", "call {at}, {failure:?}"),
        }
        faults.disarm();
        let reopened = setting.open(keyring.pin()).unwrap();
        for keyring in [&keyring, &reopened] {
            check(keyring, sealed.as_deref(), &format!("call {at}, {failure:?}"));
        }
    }
}

fn begin(exists: bool) -> (Setting, Keyring, CallFaults, Option<Vec<u8>>) {
    let setting = Setting::new();
    let created = setting.create();
    let (keyring, faults) = setting.open_faulty(created.pin());
    let sealed = exists.then(|| {
        pollster::block_on(async {
            let orders = name("orders");
            keyring.create_key(&orders, Algorithm::default()).await.unwrap();
            keyring.seal(&orders, &context(&keyring, 1), b"before").await.unwrap()
        })
    });
    (setting, keyring, faults, sealed)
}

fn check(keyring: &Keyring, sealed_before: Option<&[u8]>, at: &str) {
    let orders = name("orders");
    let context = context(keyring, 1);
    pollster::block_on(async {
        match keyring.create_key(&orders, Algorithm::default()).await {
            Ok(_) => assert!(sealed_before.is_none(), "{at}: the key was lost"),
            Err(KeyringError::KeyExists(_)) => {}
            Err(error) => unreachable!("{at}: {error}"),
        }
        // Exactly one newest version, described as the one that seals.
        let newest = keyring.key(&orders).await.unwrap().newest;
        let current = keyring.current(&orders).await.unwrap();
        assert_eq!(current.number(), newest, "{at}");
        for version in keyring.versions(&orders, None, 0).await.unwrap().versions {
            assert!(version.unwrap().number <= newest, "{at}");
        }
        if let Some(sealed) = sealed_before {
            assert_eq!(keyring.open_sealed(&orders, &context, sealed).await.unwrap(), b"before", "{at}");
        }
        let sealed = keyring.seal(&orders, &context, b"between").await.unwrap();
        let rotated = keyring.rotate_key(&orders).await.unwrap();
        assert!(rotated.number > newest, "{at}");
        assert_eq!(keyring.current(&orders).await.unwrap().id(), rotated.id, "{at}");
        let rewrapped = keyring.rewrap(&orders, &context, &sealed).await.unwrap().unwrap();
        for sealed in [sealed, rewrapped] {
            assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await.unwrap(), b"between", "{at}");
        }
    });
}
