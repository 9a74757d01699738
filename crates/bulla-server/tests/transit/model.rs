//! Whatever is done to a key, as far as it is allowed: what may be opened opens, and nothing else does.

use proptest::prelude::*;
use serde_json::json;

use crate::transit::world::{World, base64};

#[derive(Debug, Clone)]
enum Step {
    Rotate,
    Encrypt { version: u64, associated: bool },
    Rewrap { which: usize },
    MinDecryption(u64),
    MinEncryption(u64),
    Trim(u64),
    BackUpAndRestore,
}

/// A ciphertext, and what is known of it.
struct Sealed {
    text: String,
    version: u64,
    plaintext: String,
    associated: String,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0_u64..7;
    let step = prop_oneof![
        2 => Just(Step::Rotate),
        4 => (number.clone(), any::<bool>()).prop_map(|(version, associated)| Step::Encrypt { version, associated }),
        2 => any::<usize>().prop_map(|which| Step::Rewrap { which }),
        1 => number.clone().prop_map(Step::MinDecryption),
        1 => number.clone().prop_map(Step::MinEncryption),
        1 => number.prop_map(Step::Trim),
        1 => Just(Step::BackUpAndRestore),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_may_be_opened_opens_after_any_steps(steps in steps(), kind in 0_usize..3) {
        run(&steps, kind);
    }
}

fn run(steps: &[Step], kind: usize) {
    let world = World::new();
    let (body, context) = [
        (json!({}), ""),
        (json!({"type": "chacha20-poly1305"}), ""),
        (json!({"derived": true, "convergent_encryption": true}), "a context"),
    ][kind]
        .clone();
    assert_eq!(world.post("keys/k", body).status, 200);
    let (mut newest, mut min_open, mut min_seal, mut first) = (1, 1, 0, 1);
    let mut sealed: Vec<Sealed> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Rotate => {
                newest += 1;
                assert_eq!(world.post("keys/k/rotate", json!({})).data["latest_version"], newest);
            }
            Step::Encrypt { version, associated } => {
                let (plaintext, associated) =
                    (base64(format!("message {number}")), if associated { base64("row") } else { String::new() });
                let body = json!({"plaintext": plaintext, "context": base64(context), "associated_data": associated, "key_version": version});
                let reply = world.post("encrypt/k", body);
                let allowed =
                    version == 0 || version == newest || (version <= newest && version >= min_seal.max(min_open));
                assert_eq!(reply.status == 200, allowed, "{version} {reply:?}");
                if allowed {
                    let version = if version == 0 { newest } else { version };
                    assert_eq!(reply.data["key_version"], version);
                    sealed.push(Sealed { text: reply.text("ciphertext"), version, plaintext, associated });
                }
            }
            Step::Rewrap { which } if !sealed.is_empty() => {
                let which = which % sealed.len();
                let item = &mut sealed[which];
                let body =
                    json!({"ciphertext": item.text, "context": base64(context), "associated_data": item.associated});
                let reply = world.post("rewrap/k", body);
                assert_eq!(reply.status == 200, item.version >= min_open, "{reply:?}");
                if reply.status == 200 {
                    (item.text, item.version) = (reply.text("ciphertext"), newest);
                }
            }
            Step::Rewrap { .. } => {}
            Step::MinDecryption(version) => {
                let wanted = if version == 0 { first } else { version };
                let allowed = version <= newest && wanted >= first && (min_seal == 0 || min_seal >= wanted);
                let reply = world.post("keys/k/config", json!({"min_decryption_version": version}));
                assert_eq!(reply.status == 200, allowed, "{version} {reply:?}");
                if allowed {
                    min_open = wanted;
                }
            }
            Step::MinEncryption(version) => {
                let reply = world.post("keys/k/config", json!({"min_encryption_version": version}));
                // Below what there is, and at the first, none is excluded: it is shown as the lowest that there is.
                let allowed = version <= newest && (version == 0 || version >= min_open);
                assert_eq!(reply.status == 200, allowed, "{version} {reply:?}");
                if allowed {
                    min_seal = reply.data["min_encryption_version"].as_u64().unwrap();
                }
            }
            Step::Trim(version) => {
                let reply = world.post("keys/k/trim", json!({"min_available_version": version}));
                let allowed = version == first || (version > first && version <= min_seal && version <= min_open);
                assert_eq!(reply.status == 200, allowed, "{version} {reply:?}");
                if allowed {
                    first = version;
                }
            }
            Step::BackUpAndRestore => {
                let backup = world.get("backup/k").text("backup");
                assert_eq!(world.post("restore", json!({"backup": backup, "force": true})).status, 204);
            }
        }
    }
    for item in &sealed {
        let body = json!({"ciphertext": item.text, "context": base64(context), "associated_data": item.associated});
        let reply = world.post("decrypt/k", body);
        if item.version >= min_open {
            assert_eq!(reply.text("plaintext"), item.plaintext);
        } else {
            reply.refused("too old");
        }
    }
}
