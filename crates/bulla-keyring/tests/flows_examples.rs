//! The examples of the README of `keys-management`, in Rust, with the lifetimes of their applications.
//!
//! Data is really encrypted: under a wrong key nothing opens, and nothing that matters is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bulla_keyring::flows::{Change, Flow, KeyDefinition, KeyFlows, OnChange};
use bulla_keyring::source::{SecretPair, SecretValue, Source, callable};
use bulla_seal::{Context, KeyVersionId, Params, ProjectId, SealKey, derive};

use crate::flows_setting::{Application, Place, text};
use crate::setting::name;

/// The environment, or a module of settings, as an application sees it. (Only before there are threads may a program change the environment itself.)
#[derive(Clone, Default)]
struct Settings(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Settings {
    fn set(&self, name: &'static str, value: &str) {
        self.0.lock().unwrap().insert(name, value.to_owned());
    }

    fn get(&self, name: &'static str) -> Result<String, String> {
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| format!("`{name}` is not set"))
    }

    fn source(&self, name: &'static str) -> Arc<dyn Source> {
        let settings = self.clone();
        callable(move || settings.get(name))
    }

    fn pair_source(&self, forward: &'static str, back: &'static str) -> Arc<dyn Source> {
        let settings = self.clone();
        callable(move || Ok::<_, String>((settings.get(forward)?, settings.get(back)?)))
    }
}

/// Where an application keeps its data, encrypted. It outlives the application.
///
/// The pair of keys of "asymmetric" encryption is `encrypt:NAME` and `decrypt:NAME`: what the one encrypts, the other decrypts.
#[derive(Clone, Default)]
struct Data(Arc<Mutex<Vec<u8>>>);

impl Data {
    fn save(&self, message: &str, key: &SecretValue) {
        let sealed = cipher(key).seal(Params::default(), &context(), message.as_bytes()).unwrap();
        *self.0.lock().unwrap() = sealed;
    }

    fn load(&self, key: &SecretValue) -> Option<String> {
        let opened = cipher(key).open(&context(), &self.0.lock().unwrap()).ok()?;
        Some(String::from_utf8(opened).unwrap())
    }
}

fn cipher(key: &SecretValue) -> SealKey {
    let text = key.expose_text().unwrap();
    let shared = text.strip_prefix("encrypt:").or_else(|| text.strip_prefix("decrypt:")).unwrap_or(text);
    let material = derive(shared.as_bytes(), "bulla/test/example", b"").unwrap();
    SealKey::new(KeyVersionId([1; 8]), material.expose()).unwrap()
}

fn context() -> Context {
    Context::user(&ProjectId([1; 32])).build().unwrap()
}

fn asymmetric(number: u32) -> SecretPair {
    (format!("encrypt:{number}"), format!("decrypt:{number}")).into()
}

/// Example 1: a client of somebody else's service keeps an access token, which comes from the environment.
#[test]
fn example_1_authentication_via_a_client_with_a_key_from_the_environment() {
    struct Client {
        access_token: Mutex<String>,
    }
    impl Client {
        fn set_access_token(&self, token: &str) {
            token.clone_into(&mut self.access_token.lock().unwrap());
        }

        fn data(&self, accepted: &str) -> Result<&'static str, &'static str> {
            if *self.access_token.lock().unwrap() == accepted { Ok("data") } else { Err("unauthorised") }
        }
    }

    let settings = Settings::default();
    settings.set("CLIENT_ACCESS_TOKEN", "access_token");
    let (flows, key) = (KeyFlows::new(), name("CLIENT_ACCESS_TOKEN"));
    pollster::block_on(async {
        flows.define_key(&key, settings.source("CLIENT_ACCESS_TOKEN"), KeyDefinition::one_way()).unwrap();
        let client = Arc::new(Client { access_token: Mutex::new(text(flows.key(&key).await)) });
        let told = Arc::clone(&client);
        let callback = OnChange::plain(move |change| {
            assert!(change.old.is_none(), "it was not said");
            let new = change.new.as_ref().ok_or("the new token was not said")?;
            told.set_access_token(new.forward().expose_text().ok_or("a token is text")?);
            Ok(())
        });
        flows.register_on_change(&key, None, callback).unwrap();
        assert_eq!(client.data("access_token"), Ok("data"));
        settings.set("CLIENT_ACCESS_TOKEN", "new_access_token");
        assert_eq!(client.data("new_access_token"), Err("unauthorised"), "the client has the old token still");
        assert!(flows.changed(&key, None, Some("new_access_token".into())).await.unwrap().succeeded());
        assert_eq!(client.data("new_access_token"), Ok("data"));
        assert_eq!(text(flows.key(&key).await), "new_access_token");
    });
}

/// Example 2, first alternative: a change decrypts, encrypts again and saves the state.
#[test]
fn example_2_important_data_that_a_change_encrypts_again() {
    let (application, data, place) = (Application::new(), Data::default(), Place::new(asymmetric(1)));
    let key = name("EXAMPLE2_DATA");
    let lifetime = || {
        let flows = application.lifetime();
        let definition = KeyDefinition::round_trip().with_stateless(false).with_keep_in_cache(true);
        flows.define_key(&key, place.source(), definition).unwrap();
        let data = data.clone();
        let on_changed = move |change: Change| {
            let data = data.clone();
            async move {
                if change.key.last_flow() == Some(Flow::Forward) {
                    let (old, new) = (change.old.ok_or("no old keys")?, change.new.ok_or("no new keys")?);
                    let message = data.load(old.back()).ok_or("the old key does not open")?;
                    data.save(&message, new.forward());
                    // The door of the package: by the name of the key, not by what the callback was given.
                    change.key.handle().save_state().await?;
                }
                Ok(())
            }
        };
        flows.register_on_change(&key, None, OnChange::new(on_changed)).unwrap();
        flows
    };
    pollster::block_on(async {
        // Lifetime 1.
        let flows = lifetime();
        data.save("important", &flows.forward_path_key(&key).await.unwrap());
        flows.save_state(&key).await.unwrap();
        drop(flows);

        // Lifetime 2. The first time from the repository, then from the cache.
        let flows = lifetime();
        let first = flows.back_path_key(&key).await.unwrap();
        assert_eq!(data.load(&first).as_deref(), Some("important"));
        assert!(flows.back_path_key(&key).await.unwrap() == first);
        data.save("more important", &flows.forward_path_key(&key).await.unwrap());
        // The change is declared, and happens a while later.
        let report = flows.changed(&key, Some(place.source().fetch().await.unwrap()), Some(asymmetric(2))).await;
        assert!(report.unwrap().succeeded());
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("more important"));
        place.set(asymmetric(2));
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("more important"));
        drop(flows);

        // Lifetime 3: what the callback saved is the new pair.
        let flows = lifetime();
        place.set(asymmetric(3));
        assert_eq!(text(flows.back_path_key(&key).await), "decrypt:2");
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("more important"));
    });
}

/// Example 2, second alternative: a change only decrypts, and the application saves the states when it ends.
#[test]
fn example_2_important_data_that_a_change_only_decrypts() {
    let (application, data, place) = (Application::new(), Data::default(), Place::new(asymmetric(1)));
    let opened = Arc::new(Mutex::new(None));
    let key = name("EXAMPLE2_DATA");
    let lifetime = || {
        let flows = application.lifetime();
        flows.define_key(&key, place.source(), KeyDefinition::round_trip().with_stateless(false)).unwrap();
        let (data, opened) = (data.clone(), Arc::clone(&opened));
        let on_changed = OnChange::plain(move |change| {
            if change.key.last_flow() == Some(Flow::Forward) {
                let old = change.old.as_ref().ok_or("no old keys")?;
                *opened.lock().unwrap() = data.load(old.back());
                // The data lies open now.
                change.key.set_last_flow(Flow::Back);
            }
            Ok(())
        });
        flows.register_on_change(&key, None, on_changed).unwrap();
        flows
    };
    pollster::block_on(async {
        let flows = lifetime();
        data.save("important", &flows.forward_path_key(&key).await.unwrap());
        flows.save_state(&key).await.unwrap();
        drop(flows);

        // A lifetime that has used nothing yet knows from the state that the data is encrypted.
        let flows = lifetime();
        let report = flows.changed(&key, Some(asymmetric(1)), Some(asymmetric(2))).await.unwrap();
        assert!(report.succeeded());
        assert_eq!(opened.lock().unwrap().as_deref(), Some("important"));
        place.set(asymmetric(2));
        assert_eq!(text(flows.back_path_key(&key).await), "decrypt:2");
        flows.save_states().await.unwrap();
        drop(flows);

        // The next path is the forward one, for the data is open; and the old key is remembered nowhere.
        let flows = lifetime();
        assert_eq!(text(flows.key(&key).await), "encrypt:2");
        let flows = lifetime();
        assert_eq!(text(flows.back_path_key(&key).await), "decrypt:2");
    });
}

/// Example 3: data that is not to be lost within a lifetime; the change runs no callbacks.
#[test]
fn example_3_data_that_outlives_a_change_within_a_lifetime() {
    let (data, settings) = (Data::default(), Settings::default());
    settings.set("EXAMPLE3_DATA_KEY", "key_1");
    let key = name("EXAMPLE3_DATA");
    let lifetime = || {
        let flows = KeyFlows::new();
        let definition = KeyDefinition::round_trip().with_stateless(true).with_keep_in_cache(true);
        flows.define_key(&key, settings.source("EXAMPLE3_DATA_KEY"), definition).unwrap();
        flows
    };
    pollster::block_on(async {
        let flows = lifetime();
        data.save("data", &flows.forward_path_key(&key).await.unwrap());
        drop(flows);

        // The first time from the source.
        let flows = lifetime();
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("data"));
        data.save("newer data", &flows.forward_path_key(&key).await.unwrap());
        let report = flows.changed(&key, Some("key_1".into()), Some("key_2".into())).await.unwrap();
        assert!(report.succeeded() && report.callbacks.is_empty());
        settings.set("EXAMPLE3_DATA_KEY", "key_2");
        // The old key, from the cache; then the new one, on either path.
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("newer data"));
        assert_eq!(text(flows.back_path_key(&key).await), "key_2");
        assert_eq!(text(flows.forward_path_key(&key).await), "key_2");
    });
}

/// Example 4: data that may be lost; nothing is kept in memory.
#[test]
fn example_4_data_that_may_be_lost_with_keys_of_another_service() {
    let (data, service) = (Data::default(), Place::new("key_1"));
    let (flows, key) = (KeyFlows::new(), name("EXAMPLE4_DATA"));
    pollster::block_on(async {
        let definition = KeyDefinition::round_trip().with_stateless(true).with_keep_in_cache(false);
        flows.define_key(&key, service.source(), definition).unwrap();
        data.save("data", &flows.forward_path_key(&key).await.unwrap());
        // From the service, not from the cache.
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()).as_deref(), Some("data"));
        data.save("newer data", &flows.forward_path_key(&key).await.unwrap());
        service.set("key_2");
        assert_eq!(text(flows.back_path_key(&key).await), "key_2");
        assert_eq!(data.load(&flows.back_path_key(&key).await.unwrap()), None, "lost, as it may be");
    });
}

/// Example 5: a library that asks for *the* key is given the one of the path whose turn it is.
#[test]
fn example_5_implicit_use_by_a_library() {
    struct Library<F> {
        key: F,
        data: Data,
    }
    impl<F: Fn() -> SecretValue> Library<F> {
        fn create_data(&self, message: &str) {
            self.data.save(message, &(self.key)());
        }

        fn data(&self) -> Option<String> {
            self.data.load(&(self.key)())
        }
    }

    let (application, data, settings) = (Application::new(), Data::default(), Settings::default());
    settings.set("FAKE_LIBRARY_ENCRYPT_KEY", "encrypt:1");
    settings.set("FAKE_LIBRARY_DECRYPT_KEY", "decrypt:1");
    let key = name("FAKE_LIBRARY_KEY");
    let lifetime = || {
        let flows = application.lifetime();
        let source = settings.pair_source("FAKE_LIBRARY_ENCRYPT_KEY", "FAKE_LIBRARY_DECRYPT_KEY");
        let definition = KeyDefinition::round_trip().with_stateless(false).with_keep_in_cache(true);
        let handle = flows.define_key(&key, source, definition).unwrap();
        let library = Library { key: move || pollster::block_on(handle.key()).unwrap(), data: data.clone() };
        (flows, library)
    };

    // Lifetime 1: the forward path.
    let (flows, library) = lifetime();
    library.create_data("created");
    pollster::block_on(flows.save_states()).unwrap();
    drop((flows, library));

    // Lifetime 2: the back path, though the environment has another key now; then the forward path.
    settings.set("FAKE_LIBRARY_ENCRYPT_KEY", "encrypt:2");
    settings.set("FAKE_LIBRARY_DECRYPT_KEY", "decrypt:2");
    let (_flows, library) = lifetime();
    assert_eq!(library.data().as_deref(), Some("created"));
    library.create_data("created again");
    assert_eq!(library.data().as_deref(), Some("created again"));
    assert_eq!(data.load(&"decrypt:2".into()).as_deref(), Some("created again"));
}
