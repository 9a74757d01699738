//! States of keys: sealed in a database, and read by a later lifetime.

use bulla_backend::testing::Failure;
use bulla_keyring::flows::{CryptoTool, FlowError, KEY_STATES, KeyDefinition};

use crate::flows_setting::{Application, Place, STATEFUL, code, text};
use crate::setting::name;

#[test]
fn a_state_outlives_the_application() {
    let (application, place, key) = (Application::new(), Place::new(("e1", "d1")), name("k"));
    let lifetime = || {
        let flows = application.lifetime();
        flows.define_key(&key, place.source(), STATEFUL).unwrap();
        flows
    };
    pollster::block_on(async {
        let flows = lifetime();
        assert_eq!(text(flows.back_path_key(&key).await), "d1", "without a state, from the source");
        flows.forward_path_key(&key).await.unwrap();
        flows.save_state(&key).await.unwrap();
        assert_eq!(text(flows.key(&key).await), "d1", "saving is no use of the key: the back path is next");

        place.set(("e2", "d2"));
        let flows = lifetime();
        assert_eq!(text(flows.back_path_key(&key).await), "d1", "from the state");
        assert_eq!(text(flows.back_path_key(&key).await), "d1", "from the cache");
        let flows = lifetime();
        assert_eq!(text(flows.key(&key).await), "d1", "the path behind the one of the state");
        assert_eq!(text(flows.key(&key).await), "e2");
        flows.save_states().await.unwrap();
        assert_eq!(text(lifetime().back_path_key(&key).await), "d2");

        // The back path leaves what opens in the state.
        let flows = lifetime();
        flows.back_path_key(&key).await.unwrap();
        place.set(("e3", "d3"));
        flows.save_states().await.unwrap();
        assert_eq!(text(lifetime().back_path_key(&key).await), "d2");
        assert_eq!(text(lifetime().key(&key).await), "e3");

        // Nothing was used, nothing is written.
        lifetime().save_states().await.unwrap();
        lifetime().save_state(&key).await.unwrap();
        assert_eq!(text(lifetime().back_path_key(&key).await), "d2");
    });
}

#[test]
fn a_state_serves_a_key_that_is_not_kept_in_the_cache() {
    let (application, place, key) = (Application::new(), Place::new("v1"), name("k"));
    let lifetime = || {
        let flows = application.lifetime();
        flows.define_key(&key, place.source(), STATEFUL.with_keep_in_cache(false)).unwrap();
        flows
    };
    pollster::block_on(async {
        let flows = lifetime();
        flows.forward_path_key(&key).await.unwrap();
        flows.save_state(&key).await.unwrap();
        place.set("v2");
        assert_eq!(text(flows.back_path_key(&key).await), "v1", "from the state");
        flows.save_state(&key).await.unwrap();
        assert_eq!(text(lifetime().back_path_key(&key).await), "v1", "which the back path leaves as it is");
        flows.forward_path_key(&key).await.unwrap();
        place.set("v3");
        assert_eq!(text(flows.back_path_key(&key).await), "v3", "the state is behind the forward path");
    });
}

#[test]
fn only_stateful_keys_have_a_state() {
    let (application, place) = (Application::new(), Place::new("v1"));
    let flows = application.lifetime();
    pollster::block_on(async {
        let stateless = flows.define_key(&name("a"), place.source(), KeyDefinition::round_trip()).unwrap();
        stateless.forward_path_key().await.unwrap();
        assert_eq!(code(stateless.save_state().await), "stateless");
        let one_way = KeyDefinition::one_way().with_stateless(false);
        let stateful = flows.define_key(&name("b"), place.source(), one_way).unwrap();
        stateful.key().await.unwrap();
        flows.save_states().await.unwrap();
        let stored: Vec<_> = application.setting.all(KEY_STATES).into_iter().map(|document| document.key).collect();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].as_bytes(), b"b");
    });
}

#[test]
fn states_are_sealed_bound_to_their_key_and_outlive_the_rotation_of_their_own_key() {
    let application = Application::new();
    let (a, b) = (name("a"), name("b"));
    let lifetime = || {
        let flows = application.lifetime();
        flows.define_key(&a, Place::new("source-a").source(), STATEFUL).unwrap();
        flows.define_key(&b, Place::new("source-b").source(), STATEFUL).unwrap();
        flows
    };
    pollster::block_on(async {
        let flows = lifetime();
        flows.forward_path_key(&a).await.unwrap();
        flows.forward_path_key(&b).await.unwrap();
        flows.save_states().await.unwrap();
        let stored = application.setting.all(KEY_STATES);
        for document in &stored {
            assert!(!document.value.windows(6).any(|window| window == b"source"));
        }
        for _ in 0..3 {
            application.keyring.rotate_key(&name("states")).await.unwrap();
        }
        assert_eq!(text(lifetime().key(&a).await), "source-a");

        // Somebody with access to the database gives one key the values of the other, or none.
        application.setting.overwrite(KEY_STATES, &stored[0].key, &stored[1].value);
        let refused = lifetime().key(&a).await.unwrap_err();
        assert_eq!(refused.code(), "state");
        assert!(refused.to_string().starts_with("could not decrypt the state of the key `a`: "), "{refused}");
        assert_eq!(code(lifetime().back_path_key(&a).await), "state");
        assert_eq!(code(lifetime().changed(&a, None, None).await), "state");
        application.setting.overwrite(KEY_STATES, &stored[0].key, b"garbage");
        assert_eq!(code(lifetime().key(&a).await), "state");
        // The forward path needs no state, and mends it.
        let flows = lifetime();
        assert_eq!(text(flows.forward_path_key(&a).await), "source-a");
        flows.save_state(&a).await.unwrap();
        assert_eq!(code(lifetime().key(&a).await), "ok");

        // What was sealed for this key by this tool, and is no state.
        let tool = application.tool().encrypt(&a, b"\x80").await.unwrap();
        application.setting.overwrite(KEY_STATES, &stored[0].key, &tool);
        let refused = lifetime().key(&a).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_state");
    });
}

#[test]
fn a_repository_that_fails_is_named_and_hides_no_other_state() {
    let application = Application::new();
    let (flows, faults) = application.faulty_lifetime();
    let keys = ["a", "b", "c"].map(name);
    pollster::block_on(async {
        for key in &keys {
            flows.define_key(key, Place::new("v").source(), STATEFUL).unwrap();
            flows.forward_path_key(key).await.unwrap();
        }
        faults.arm(faults.calls() + 2, Failure::Before);
        let FlowError::States(failures) = flows.save_states().await.unwrap_err() else { panic!("all were saved") };
        let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("could not write the state of the key `b`: "), "{failures:?}");
        assert_eq!(application.setting.all(KEY_STATES).len(), 2);
        faults.disarm();
        flows.save_states().await.unwrap();
        assert_eq!(application.setting.all(KEY_STATES).len(), 3);
        let (flows, faults) = application.faulty_lifetime();
        let handle = flows.define_key(&keys[0], Place::new("v").source(), STATEFUL).unwrap();
        faults.arm(1, Failure::Before);
        assert!(handle.back_path_key().await.unwrap_err().to_string().starts_with("could not read the state"));
        assert_eq!(text(handle.back_path_key().await), "v");
    });
}

#[test]
fn values_too_long_for_a_state_are_refused() {
    let application = Application::new();
    let flows = application.lifetime();
    pollster::block_on(async {
        let long = "k".repeat(65_536);
        let pair = Place::new((long.as_str(), long.as_str()));
        let pair = flows.define_key(&name("pair"), pair.source(), STATEFUL).unwrap();
        pair.forward_path_key().await.unwrap();
        assert_eq!(code(pair.save_state().await), "state_too_long");
        let single = flows.define_key(&name("single"), Place::new(long.as_str()).source(), STATEFUL).unwrap();
        single.forward_path_key().await.unwrap();
        single.save_state().await.unwrap();
    });
}
