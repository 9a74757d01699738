//! A server is killed while it works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::serving::{Done, Ends, Serving, events, project};
use crate::sandbox::number;

const WORKERS: u64 = 4;

/// What a worker was told.
#[derive(Default)]
struct Told {
    /// Of each secret the number that was acknowledged last, and one that was sent behind it and not answered.
    secrets: BTreeMap<String, (u64, Option<u64>)>,
    /// Ciphertexts, by the plaintext.
    sealed: Vec<(String, String)>,
    /// Accessors of tokens.
    tokens: Vec<String>,
    /// How many changes were acknowledged.
    changes: u64,
}

#[test]
fn what_a_server_acknowledged_is_there_and_on_record_however_it_is_killed() {
    let rounds = number("BULLA_TEST_ROUNDS", 6);
    let (sandbox, root) = project();
    let mut told: Vec<Told> = (0..WORKERS).map(|_| Told::default()).collect();
    {
        let server = Serving::start(&sandbox);
        server.client(&root).good("POST", "transit/keys/k", "{}");
        server.stop();
    }
    for round in 0..rounds {
        let server = Serving::start(&sandbox);
        let (ends, done) = (AtomicBool::new(false), Done::default());
        thread::scope(|scope| {
            for (worker, told) in told.iter_mut().enumerate() {
                let (server, root, ends, done) = (&server, &root, &ends, &done);
                scope.spawn(move || work(server, root, worker, told, ends, done));
            }
            let ends = Ends(&ends);
            // After some changes, and not always after as many.
            done.wait_for(20 + round * 137 % 300);
            drop(ends);
            server.cut();
        });
        server.kill();
        sandbox.run(["audit", "verify"]).succeeds();
    }

    let server = Serving::start(&sandbox);
    let mut client = server.client(&root);
    let mut changes = 0;
    for told in &told {
        for (path, (acknowledged, sent)) in &told.secrets {
            let found = client.good("GET", &format!("secret/data/{path}"), "")["data"]["data"]["n"].as_u64();
            assert!(found == Some(*acknowledged) || (sent.is_some() && found == *sent), "{path}: {found:?}");
        }
        for (plaintext, ciphertext) in &told.sealed {
            let opened = client.good("POST", "transit/decrypt/k", &json!({ "ciphertext": ciphertext }).to_string());
            assert_eq!(opened["data"]["plaintext"], json!(plaintext));
        }
        for accessor in &told.tokens {
            client.good("POST", "auth/token/lookup-accessor", &json!({ "accessor": accessor }).to_string());
        }
        changes += told.changes;
    }
    server.stop();

    let sum = |part: fn(&Told) -> usize| told.iter().map(part).sum::<usize>() as u64;
    let (sealed, tokens) = (sum(|told| told.sealed.len()), sum(|told| told.tokens.len()));
    assert!(
        changes > rounds * 10 && sealed > rounds && tokens > 0,
        "{changes} changes, {sealed} sealed, {tokens} tokens"
    );
    let events = events(&sandbox);
    let of = |action: &str, phase: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["action"] == action && event["phase"] == phase).collect()
    };
    let outcomes: BTreeMap<u64, &str> =
        events.iter().filter_map(|event| Some((event["intent"].as_u64()?, event["outcome"].as_str()?))).collect();
    // An intent for each, with an outcome: success of all that was acknowledged, and unknown of what was cut off.
    let mut unknown = 0;
    for (action, acknowledged) in [("kv2.write", changes), ("token.create", tokens)] {
        let mut good = 0;
        for intent in of(action, "intent") {
            match outcomes.get(&intent["index"].as_u64().unwrap()) {
                Some(&"success") => good += 1,
                Some(&"unknown") => unknown += 1,
                outcome => panic!("{intent}: {outcome:?}"),
            }
        }
        assert!(good >= acknowledged, "{action}: {good} of {acknowledged} are on record");
    }
    assert!(of("transit.encrypt", "notice").len() as u64 >= sealed);
    let verified = sandbox.run(["audit", "verify", "--json"]).succeeds();
    eprintln!(
        "{rounds} kills, {changes} changes, {sealed} ciphertexts, {unknown} unknown, {} events: {}",
        events.len(),
        verified.text().trim()
    );
}

fn work(server: &Serving, root: &str, worker: usize, told: &mut Told, ends: &AtomicBool, done: &Done) {
    let mut client = server.client(root);
    for n in 1_u64.. {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        let path = format!("w{worker}/{}", n % 5);
        let (last, sent) = told.secrets.get(&path).copied().unwrap_or_default();
        let number = last.max(sent.unwrap_or_default()) + 1;
        let body = json!({ "data": { "n": number } }).to_string();
        match client.ask("POST", &format!("secret/data/{path}"), &body) {
            Ok(reply) => {
                assert_eq!(reply.status, 200, "{reply:?}");
                told.secrets.insert(path, (number, None));
                told.changes += 1;
                done.one_more();
            }
            Err(_) => {
                // One that was never acknowledged need not be there at all.
                if last > 0 {
                    told.secrets.insert(path, (last, Some(number)));
                }
                return;
            }
        }
        let plaintext = data_encoding::BASE64.encode(format!("{worker} {number}").as_bytes());
        let Ok(reply) = client.ask("POST", "transit/encrypt/k", &json!({ "plaintext": plaintext }).to_string()) else {
            return;
        };
        assert_eq!(reply.status, 200, "{reply:?}");
        told.sealed.push((plaintext, reply.json["data"]["ciphertext"].as_str().unwrap().to_owned()));
        if n % 7 == 0 {
            let Ok(reply) = client.ask("POST", "auth/token/create", r#"{"policies": ["default"]}"#) else { return };
            assert_eq!(reply.status, 200, "{reply:?}");
            told.tokens.push(reply.json["auth"]["accessor"].as_str().unwrap().to_owned());
        }
    }
}
