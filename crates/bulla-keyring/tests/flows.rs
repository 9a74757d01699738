//! Keys from sources: the paths, and what happens when one changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bulla_keyring::UseCase;
use bulla_keyring::flows::{CallbackStatus, Change, ErrorStrategy, Flow, FlowError, KeyDefinition, KeyFlows, OnChange};
use bulla_keyring::source::{SecretPair, SourceError};

use crate::flows_setting::{Place, STATEFUL, code, some, text};
use crate::setting::name;

#[test]
fn the_usual_way_of_a_change() {
    let (place, flows, key) = (Place::new("value_1"), KeyFlows::new(), name("my_first_key"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        let callback = OnChange::plain(move |change| {
            hear.lock().unwrap().push(format!("from {} to {}", show(&change.old), show(&change.new)));
            Ok(())
        });
        flows.register_on_change(&key, None, callback).unwrap();
        assert_eq!(text(flows.forward_path_key(&key).await), "value_1");
        assert!(flows.changed(&key, some("value_1"), some("value_2")).await.unwrap().succeeded());
        place.set("value_2");
        assert_eq!(*heard.lock().unwrap(), ["from value_1 to value_2"]);
        assert_eq!(text(flows.back_path_key(&key).await), "value_1", "the old one, from the cache");
        assert_eq!(text(flows.back_path_key(&key).await), "value_2", "once");
        assert_eq!(text(flows.forward_path_key(&key).await), "value_2");
        assert_eq!(text(flows.back_path_key(&key).await), "value_2");
    });
}

#[test]
fn definitions_have_the_defaults_of_keys_management() {
    let definition = KeyDefinition::round_trip();
    assert_eq!(definition.use_case(), UseCase::RoundTrip);
    assert!(definition.is_stateless() && !definition.is_stateful() && definition.keeps_in_cache());
    assert_eq!(definition.on_callback_error(), ErrorStrategy::Halt);
    assert_eq!(KeyDefinition::one_way(), KeyDefinition::new(UseCase::OneWay));
}

#[test]
fn definitions_that_cannot_work_are_refused() {
    let (place, flows) = (Place::new("v"), KeyFlows::new());
    let define = |key: &str, definition| flows.define_key(&name(key), place.source(), definition).map(drop);
    assert_eq!(code(define("k", KeyDefinition::round_trip())), "ok");
    assert_eq!(code(define("k", KeyDefinition::one_way())), "key_already_defined");
    assert_eq!(code(define("sys/k", KeyDefinition::round_trip())), "reserved_name");
    assert_eq!(code(define("s", STATEFUL)), "no_state_repository");
    let uncached = KeyDefinition::round_trip().with_keep_in_cache(false);
    let refused = define("i", uncached.clone().with_implicit_flow(true)).unwrap_err();
    assert_eq!(refused.code(), "no_implicit_flow");
    assert_eq!(refused.to_string(), "the key `i` is defined with implicit flow, which needs `keep_in_cache`");
    assert_eq!(code(define("u", uncached.clone())), "ok");
    assert_eq!(code(define("o", KeyDefinition::one_way().with_keep_in_cache(false))), "ok");
    pollster::block_on(async {
        assert_eq!(code(flows.key(&name("u")).await), "no_implicit_flow");
        assert_eq!(code(flows.key(&name("o")).await), "ok");
    });
    assert_eq!(flows.names(), [name("k"), name("o"), name("u")]);
    assert_eq!(place.reads(), 1, "a definition does not ask the source");
}

#[test]
fn undefined_keys_are_named() {
    let flows = KeyFlows::new();
    let key = name("nope");
    pollster::block_on(async {
        assert_eq!(flows.key(&key).await.unwrap_err().to_string(), "the key `nope` is not defined");
        for refused in [
            code(flows.forward_path_key(&key).await),
            code(flows.back_path_key(&key).await),
            code(flows.changed(&key, None, None).await),
            code(flows.register_on_change(&key, None, OnChange::plain(|_| Ok(())))),
            code(flows.save_state(&key).await),
            code(flows.handle(&key)),
        ] {
            assert_eq!(refused, "key_not_defined");
        }
    });
}

#[test]
fn the_cache_keeps_what_opens() {
    let (place, flows, key) = (Place::new(("e1", "d1")), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        assert_eq!(text(flows.encrypt_key(&key).await), "e1");
        // Nobody declared it.
        place.set(("e2", "d2"));
        assert_eq!(text(flows.decrypt_key(&key).await), "d1");
        assert_eq!(text(flows.decrypt_key(&key).await), "d1");
        assert_eq!(place.reads(), 1);
        assert_eq!(text(flows.encrypt_key(&key).await), "e2");
        assert_eq!(text(flows.decrypt_key(&key).await), "d2");
        assert_eq!(place.reads(), 2, "the forward path always asks the source");
    });
}

#[test]
fn nothing_is_kept_of_a_key_that_is_not_kept_in_the_cache() {
    let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        let definition = KeyDefinition::round_trip().with_keep_in_cache(false);
        flows.define_key(&key, place.source(), definition).unwrap();
        assert_eq!(text(flows.forward_path_key(&key).await), "v1");
        place.set("v2");
        assert_eq!(text(flows.back_path_key(&key).await), "v2");
        assert!(flows.changed(&key, some("v2"), some("v3")).await.unwrap().succeeded());
        assert_eq!(text(flows.back_path_key(&key).await), "v2");
        place.set("v3");
        assert_eq!(text(flows.back_path_key(&key).await), "v3");
    });
}

#[test]
fn keys_that_are_asked_for_without_a_path_alternate() {
    let (place, flows, key) = (Place::new(("e", "d")), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        for expected in ["e", "d", "e", "d"] {
            assert_eq!(text(flows.key(&key).await), expected);
        }
        // After the back path comes the forward path, however the back path was asked for.
        assert_eq!(text(flows.back_path_key(&key).await), "d");
        assert_eq!(text(flows.key(&key).await), "e");
        assert_eq!(text(flows.forward_path_key(&key).await), "e");
        assert_eq!(text(flows.key(&key).await), "d");
        assert_eq!(text(flows.key_for(&key, Flow::Back).await), "d");
    });
}

#[test]
fn a_key_used_one_way_has_one_value() {
    let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::one_way()).unwrap();
        assert_eq!(text(flows.key(&key).await), "v1");
        place.set("v2");
        assert_eq!(text(flows.key_for(&key, Flow::OneWay).await), "v2");
        let refused = flows.back_path_key(&key).await.unwrap_err();
        assert_eq!(refused.code(), "wrong_flow");
        assert_eq!(refused.to_string(), "the key `k` is used one-way and has no back path");
        assert_eq!(code(flows.forward_path_key(&key).await), "wrong_flow");
        place.set(("a", "b"));
        assert_eq!(code(flows.key(&key).await), "pair_one_way");
        let round = name("r");
        flows.define_key(&round, place.source(), KeyDefinition::round_trip()).unwrap();
        assert_eq!(code(flows.key_for(&round, Flow::OneWay).await), "wrong_flow");
    });
}

#[test]
fn a_source_that_fails_changes_nothing() {
    let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        flows.forward_path_key(&key).await.unwrap();
        place.break_down();
        let refused = flows.forward_path_key(&key).await.unwrap_err();
        assert_eq!(refused.to_string(), "could not fetch the key `k`: the application's own source failed");
        assert!(matches!(refused, FlowError::Source { source: SourceError::Callable(_), .. }));
        assert_eq!(text(flows.key(&key).await), "v1", "the back path, from the cache");
        place.set("v2");
        assert_eq!(text(flows.key(&key).await), "v2");
    });
}

#[test]
fn flows_have_the_names_of_keys_management_too() {
    for (text, flow) in [
        ("forward", Flow::Forward),
        ("FORWARD_PATH", Flow::Forward),
        ("encryption", Flow::Forward),
        ("back", Flow::Back),
        ("BACK_PATH", Flow::Back),
        ("Decryption", Flow::Back),
        ("default", Flow::OneWay),
        ("AUTHENTICATION", Flow::OneWay),
        ("one-way", Flow::OneWay),
    ] {
        assert_eq!(text.parse(), Ok(flow), "{text}");
        assert_eq!(flow.to_string().parse(), Ok(flow));
    }
    let refused = "sideways".parse::<Flow>().unwrap_err();
    assert_eq!(refused.to_string(), "the flows are `one-way`, `forward` and `back`");
}

#[test]
fn callbacks_run_in_order_under_their_names() {
    let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
    let order = Arc::new(Mutex::new(Vec::new()));
    let callback = |label: &'static str| {
        let order = Arc::clone(&order);
        OnChange::plain(move |_| {
            order.lock().unwrap().push(label);
            Ok(())
        })
    };
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        let register = |name, label| flows.register_on_change(&key, name, callback(label)).unwrap();
        assert_eq!(register(None, "first"), "k_callback_1");
        assert_eq!(register(Some("x"), "replaced"), "x");
        assert_eq!(register(Some("k_callback_4"), "taken"), "k_callback_4");
        assert_eq!(register(None, "free"), "k_callback_5", "the first that is free");
        assert_eq!(register(Some("x"), "instead"), "x");
        let report = flows.changed(&key, None, None).await.unwrap();
        let names: Vec<_> = report.callbacks.iter().map(|callback| callback.name.as_str()).collect();
        assert_eq!(names, ["k_callback_1", "x", "k_callback_4", "k_callback_5"]);
        assert_eq!(*order.lock().unwrap(), ["first", "instead", "taken", "free"]);
    });
}

#[test]
fn each_strategy_deals_with_a_callback_that_fails() {
    use CallbackStatus::{Failed, Pending, Succeeded};

    for (strategy, statuses, fails) in [
        (ErrorStrategy::Halt, [Succeeded, Failed, Pending], false),
        (ErrorStrategy::Skip, [Succeeded, Failed, Succeeded], false),
        (ErrorStrategy::SkipAndFail, [Succeeded, Failed, Succeeded], true),
        (ErrorStrategy::FailImmediately, [Succeeded, Failed, Pending], true),
    ] {
        let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
        pollster::block_on(async {
            let definition = KeyDefinition::round_trip().with_on_callback_error(strategy);
            let handle = flows.define_key(&key, place.source(), definition).unwrap();
            handle.register_on_change(None, OnChange::plain(|_| Ok(())));
            handle.register_on_change(None, OnChange::plain(|_| Err("boom".into())));
            handle.register_on_change(None, OnChange::plain(|_| Ok(())));
            handle.forward_path_key().await.unwrap();
            let (report, failed) = match handle.changed(some("v1"), some("v2")).await {
                Ok(report) => (report, false),
                Err(error) => {
                    let message = "the key `k` is declared as changed, but 1 of its callbacks failed";
                    assert_eq!((error.code(), error.to_string().as_str()), ("callback_failed", message));
                    let FlowError::Callbacks(report) = error else { panic!("{error}") };
                    (report, true)
                }
            };
            assert_eq!(failed, fails, "{strategy:?}");
            let found: Vec<_> = report.callbacks.iter().map(|callback| callback.status).collect();
            assert_eq!(found, statuses, "{strategy:?}");
            let failures: Vec<_> =
                report.failures().map(|callback| callback.error.as_ref().unwrap().to_string()).collect();
            assert_eq!(failures, ["boom"]);
            assert!(!report.succeeded());
            // What nobody has dealt with can still be opened, more than once.
            place.set("v2");
            assert_eq!(text(handle.back_path_key().await), "v1");
            assert_eq!(text(handle.back_path_key().await), "v1");
        });
    }
}

#[test]
fn a_callback_sees_how_far_the_change_is() {
    let (place, flows, key) = (Place::new(("e1", "d1")), KeyFlows::new(), name("k"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    pollster::block_on(async {
        let handle = flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        handle.register_on_change(Some("before"), OnChange::new(|_| async { Ok(()) }));
        let see = Arc::clone(&seen);
        let look = move |change: Change| {
            let see = Arc::clone(&see);
            async move {
                let key = &change.key;
                assert_eq!((key.name().as_str(), key.last_flow()), ("k", Some(Flow::Forward)));
                assert_eq!(key.definition(), &KeyDefinition::round_trip());
                assert!(key.previous_pair() == Some(("e1", "d1").into()));
                assert!(key.source().fetch().await? == ("e1", "d1").into(), "the source has not changed yet");
                assert!(change.old.is_none() && change.new == some("new"));
                assert!(!format!("{change:?}").contains("new\""));
                see.lock()
                    .unwrap()
                    .extend(key.statuses().into_iter().map(|(name, status)| format!("{name}: {status}")));
                Ok(())
            }
        };
        handle.register_on_change(Some("look"), OnChange::new(look));
        handle.register_on_change(Some("after"), OnChange::plain(|_| Err("boom".into())));
        handle.forward_path_key().await.unwrap();
        let report = handle.changed(None, some("new")).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["before: succeeded", "look: in progress", "after: pending"]);
        assert_eq!(report.callbacks[2].status.to_string(), "failed");
    });
}

#[test]
fn callbacks_that_call_each_other_for_ever_are_stopped() {
    let (place, flows, key) = (Place::new("v1"), KeyFlows::new(), name("k"));
    let runs = Arc::new(AtomicUsize::new(0));
    pollster::block_on(async {
        let definition = KeyDefinition::round_trip().with_on_callback_error(ErrorStrategy::FailImmediately);
        let handle = flows.define_key(&key, place.source(), definition).unwrap();
        let count = Arc::clone(&runs);
        let callback = move |change: Change| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                let _ = change.key.handle().changed(None, None).await?;
                Ok(())
            }
        };
        handle.register_on_change(None, OnChange::new(callback));
        assert_eq!(code(handle.changed(None, None).await), "callback_failed");
        assert_eq!(runs.load(Ordering::SeqCst), 16);
    });
}

#[test]
fn a_callback_says_what_it_has_done_with_the_data() {
    // What the callback does, the next two values of the back path, and the path whose turn it is then.
    type Deal = fn(&Change);
    let deals: [(Deal, [&str; 2]); 5] = [
        (|_| {}, ["d1", "d2"]),
        (|change| change.key.adopt_new(), ["new-d", "new-d"]),
        (|change| change.key.set_last_flow(Flow::Back), ["new-d", "new-d"]),
        (|change| change.key.set_previous_pair(("own-e", "own-d").into()), ["own-d", "own-d"]),
        (|change| change.key.forget_pair(), ["d2", "d2"]),
    ];
    for (deal, expected) in deals {
        let (place, flows, key) = (Place::new(("e1", "d1")), KeyFlows::new(), name("k"));
        pollster::block_on(async {
            let handle = flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
            handle.register_on_change(
                None,
                OnChange::plain(move |change| {
                    deal(change);
                    Ok(())
                }),
            );
            handle.forward_path_key().await.unwrap();
            let new = SecretPair::from(("new-e", "new-d"));
            assert!(handle.changed(None, Some(new)).await.unwrap().succeeded());
            place.set(("e2", "d2"));
            for expected in expected {
                assert_eq!(text(handle.back_path_key().await), expected);
            }
        });
    }
}

#[test]
fn a_handle_is_the_key() {
    let (place, flows, key) = (Place::new(("e", "d")), KeyFlows::new(), name("k"));
    pollster::block_on(async {
        flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
        let handle = flows.handle(&key).unwrap();
        assert_eq!((handle.name(), handle.definition()), (&key, &KeyDefinition::round_trip()));
        assert_eq!(text(handle.key().await), "e");
        assert_eq!(text(flows.key(&key).await), "d");
        assert_eq!(text(handle.encrypt_key().await), "e");
        assert_eq!(text(handle.decrypt_key().await), "d");
        assert_eq!(text(handle.key_for(Flow::Forward).await), "e");
        assert_eq!(code(handle.save_state().await), "stateless");
        assert!(handle.changed(None, None).await.unwrap().callbacks.is_empty());
    });
}

fn show(pair: &Option<SecretPair>) -> String {
    pair.as_ref().map_or("nothing", |pair| pair.forward().expose_text().unwrap()).to_owned()
}
