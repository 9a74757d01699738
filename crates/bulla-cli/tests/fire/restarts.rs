//! Two servers on one project, each restarted in its turn while clients work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::client::Reply;
use super::serving::{Done, Ends, Serving, port, project};

const WORKERS: usize = 4;
/// What is done at one server counts at the other within a second; and the machine may be busy.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn a_rolling_restart_fails_nobody_who_tries_again_and_loses_nothing() {
    let (sandbox, root) = project();
    let addresses: Vec<String> = (0..2).map(|_| format!("127.0.0.1:{}", port())).collect();
    let start = |n: usize| Serving::start_with(&sandbox, &addresses[n], &[]);
    let mut servers = vec![start(0), start(1)];
    servers[0].client(&root).good("POST", "transit/keys/k", "{}");
    let (ends, again, done) = (AtomicBool::new(false), AtomicU64::new(0), Done::default());
    let written: Vec<u64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (addresses, root, ends, again, done) = (&addresses, &root, &ends, &again, &done);
                scope.spawn(move || work(addresses, root, worker, ends, again, done))
            })
            .collect();
        let stop = Ends(&ends);
        for round in 0..6 {
            done.wait_for(100);
            let server = servers.remove(0);
            // The last is not asked.
            if round == 5 {
                server.kill();
            } else {
                server.stop();
            }
            servers.push(start(round % 2));
        }
        done.wait_for(100);
        drop(stop);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut client = servers[0].client(&root);
    for (worker, last) in written.iter().enumerate() {
        assert!(*last > 20, "worker {worker} wrote {last}");
        for number in 1..=*last {
            let found = client.good("GET", &format!("secret/data/r{worker}/{number}"), "");
            assert_eq!(found["data"]["data"]["n"], json!(number));
        }
    }
    eprintln!("{} written, {} asked again", written.iter().sum::<u64>(), again.load(Ordering::Relaxed));
    servers.into_iter().for_each(Serving::stop);
    sandbox.run(["audit", "verify"]).succeeds();
    sandbox.run(["check"]).succeeds();
}

/// Writes, encrypts and decrypts until it is told to end; asks again, the other server, what was not answered. Returns how much it wrote.
fn work(addresses: &[String], root: &str, worker: usize, ends: &AtomicBool, again: &AtomicU64, done: &Done) -> u64 {
    let mut clients: Vec<Client> = addresses.iter().map(|address| Client::new(address, root)).collect();
    let mut ask = |number: u64, method: &str, path: &str, body: &str| -> Reply {
        let begun = Instant::now();
        let mut at = usize::try_from(number).unwrap() + worker;
        loop {
            match clients[at % 2].ask(method, path, body) {
                Ok(reply) if reply.status != 503 => return reply,
                _ => {}
            }
            again.fetch_add(1, Ordering::Relaxed);
            assert!(begun.elapsed() < Duration::from_secs(10), "{method} {path} is not answered by either");
            at += 1;
        }
    };
    for number in 1_u64.. {
        if ends.load(Ordering::Relaxed) {
            return number - 1;
        }
        let body = json!({ "data": { "n": number } }).to_string();
        let written = ask(number, "POST", &format!("secret/data/r{worker}/{number}"), &body);
        assert_eq!(written.status, 200, "{written:?}");
        let sealed = ask(number, "POST", "transit/encrypt/k", r#"{"plaintext": "AAAA"}"#);
        assert_eq!(sealed.status, 200, "{sealed:?}");
        let body = json!({ "ciphertext": sealed.json["data"]["ciphertext"] }).to_string();
        let opened = ask(number + 1, "POST", "transit/decrypt/k", &body);
        assert_eq!((opened.status, &opened.json["data"]["plaintext"]), (200, &json!("AAAA")), "{opened:?}");
        done.one_more();
    }
    unreachable!("there are more numbers")
}

#[test]
fn what_is_done_at_one_server_counts_at_the_other() {
    let (sandbox, root) = project();
    let servers = [Serving::start(&sandbox), Serving::start(&sandbox)];
    let (mut here, mut there) = (servers[0].client(&root), servers[1].client(&root));
    let until = |what: &str, mut is_so: Box<dyn FnMut() -> bool + '_>| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < SOON, "{what}");
        }
        eprintln!("{what}: {} ms", begun.elapsed().as_millis());
    };
    here.good("POST", "transit/keys/k", "{}");
    // Both know it.
    let sealed = |client: &mut Client| client.good("POST", "transit/encrypt/k", r#"{"plaintext": "AAAA"}"#);
    sealed(&mut there);
    here.good("POST", "transit/keys/k/rotate", "{}");
    until("a rotation", Box::new(|| sealed(&mut there)["data"]["key_version"] == json!(2)));
    // What the new version has sealed opens at once.
    here.good("POST", "transit/keys/k/rotate", "{}");
    let body = json!({ "ciphertext": sealed(&mut here)["data"]["ciphertext"] }).to_string();
    there.good("POST", "transit/decrypt/k", &body);

    let policy = json!({ "policy": r#"path "transit/keys/*" { capabilities = ["read"] }"# }).to_string();
    here.good("PUT", "sys/policies/acl/reader", &policy);
    let token = |made: Value| made["auth"]["client_token"].as_str().unwrap().to_owned();
    let reader = token(here.good("POST", "auth/token/create", r#"{"policies": ["reader"]}"#));
    let mut by_reader = servers[1].client(&reader);
    until("a token", Box::new(|| by_reader.ask("GET", "transit/keys/k", "").unwrap().status == 200));
    here.good(
        "PUT",
        "sys/policies/acl/reader",
        r#"{"policy": "path \"transit/keys/*\" { capabilities = [\"deny\"] }"}"#,
    );
    until("a policy that denies", Box::new(|| by_reader.ask("GET", "transit/keys/k", "").unwrap().status == 403));
    here.good("PUT", "sys/policies/acl/reader", &policy);
    until("a policy that allows", Box::new(|| by_reader.ask("GET", "transit/keys/k", "").unwrap().status == 200));
    here.good("POST", "auth/token/revoke", &json!({ "token": reader }).to_string());
    until("a revocation", Box::new(|| by_reader.ask("GET", "transit/keys/k", "").unwrap().status == 403));

    here.good("POST", "users/ann", r#"{"roles": [{"role": "operator"}]}"#);
    let made = here.good("POST", "users/ann/keys", "{}");
    let key = made["data"]["key"].as_str().unwrap().to_owned();
    let mut by_ann = servers[1].client(&key);
    until("an API key", Box::new(|| by_ann.ask("LIST", "transit/keys", "").unwrap().status != 403));
    let revoke = format!("keys/{}/revoke", made["data"]["id"].as_str().unwrap());
    here.good("POST", &revoke, r#"{"reason": "compromised"}"#);
    until("the end of an API key", Box::new(|| by_ann.ask("LIST", "transit/keys", "").unwrap().status == 403));
    here.good("POST", "sys/mounts/more", r#"{"type": "kv"}"#);
    until("a mount", Box::new(|| there.ask("POST", "more/a", r#"{"k": "v"}"#).unwrap().status == 204));
    servers.into_iter().for_each(Serving::stop);
}
