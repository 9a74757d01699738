//! What keys do besides sealing files: signing, HMAC, data keys, random bytes, sealing to a public key, sealing anew.

use bulla_seal::{Signature, VerifyingKey};
use data_encoding::{BASE64, HEXLOWER};

use crate::sandbox::{Sandbox, noise};

fn with_key(name: &str, algorithm: &str) -> Sandbox {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "new", name, "--algorithm", algorithm]).succeeds();
    sandbox
}

#[test]
fn signatures_verify_and_others_do_not() {
    for algorithm in ["ed25519", "ecdsa-p256", "ml-dsa-65"] {
        let sandbox = with_key("release", algorithm);
        sandbox.write("message", b"v1.0");
        let signature = sandbox.run(["key", "sign", "release", "message"]).succeeds();
        let signature = signature.text().trim();
        sandbox.run(["key", "verify", "release", "message", "--signature", signature]).succeeds();
        // A rotated key still verifies what its older versions signed.
        sandbox.run(["key", "rotate", "release"]).succeeds();
        sandbox.run(["key", "verify", "release", "message", "--signature", signature]).succeeds();
        sandbox
            .feed(b"v1.1", ["key", "verify", "release", "--signature", signature, "--json"])
            .refuses(4, "bad_signature");
        sandbox.feed(b"x", ["key", "verify", "release", "--signature", "!"]).fails(2, "it is not base64");
        sandbox.feed(b"x", ["seal", "--key", "release", "--json"]).refuses(2, "wrong_use");
        sandbox.feed(b"x", ["key", "hmac", "release", "--json"]).refuses(2, "wrong_use");
    }
}

#[test]
fn a_signature_is_verified_by_any_program_that_has_the_public_key() {
    let sandbox = with_key("release", "ed25519");
    let signature = sandbox.feed(b"v1.0", ["key", "sign", "release", "--encoding", "raw"]).succeeds().stdout;
    let public = sandbox.run(["key", "show", "release", "--public"]).succeeds();
    let public = VerifyingKey(HEXLOWER.decode(public.text().trim().as_bytes()).unwrap().try_into().unwrap());
    assert!(public.verifies(b"v1.0", &Signature(signature[8..].try_into().unwrap())));
    sandbox.write("signature", &signature);
    let verify = ["key", "verify", "release", "--signature-file", "signature", "--encoding", "raw"];
    sandbox.feed(b"v1.0", verify).succeeds();
    sandbox.run(["key", "show", "default", "--public", "--json"]).refuses(2, "wrong_use");
}

#[test]
fn hmacs_are_verified_by_the_same_key() {
    let sandbox = with_key("tokens", "hmac-sha256");
    let tag = sandbox.feed(b"user 7", ["key", "hmac", "tokens", "--json"]).succeeds().json()[0]["hmac"].clone();
    let tag = tag.as_str().unwrap();
    sandbox.feed(b"user 7", ["key", "verify", "tokens", "--signature", tag]).succeeds();
    sandbox.feed(b"user 8", ["key", "verify", "tokens", "--signature", tag]).fails(4, "no signature of key `tokens`");
    sandbox.feed(b"x", ["key", "sign", "tokens", "--json"]).refuses(2, "wrong_use");
}

#[test]
fn data_keys_come_back() {
    let sandbox = Sandbox::with_project();
    let made = sandbox.run(["key", "data-key", "default", "--context", "disk=7", "--json"]).succeeds().json();
    let (plain, sealed) = (made[0]["plain"].as_str().unwrap(), made[0]["sealed"].as_str().unwrap());
    assert_eq!(BASE64.decode(plain.as_bytes()).unwrap().len(), 32);
    let opened = sandbox.run(["key", "data-key", "default", "--context", "disk=7", "--open", sealed]).succeeds();
    assert_eq!(opened.text().trim(), plain);
    sandbox
        .run(["key", "data-key", "default", "--context", "disk=8", "--open", sealed, "--json"])
        .refuses(4, "cannot_open");
    let only = sandbox.run(["key", "data-key", "default", "--sealed-only", "--json"]).succeeds().json();
    assert!(only[0]["plain"].is_null() && only[0]["sealed"].is_string());
}

#[test]
fn random_bytes_need_no_project() {
    let sandbox = Sandbox::empty();
    let (one, other) = (sandbox.run(["random"]).succeeds(), sandbox.run(["random", "32"]).succeeds());
    assert_eq!(HEXLOWER.decode(one.text().trim().as_bytes()).unwrap().len(), 32);
    assert_ne!(one.stdout, other.stdout);
    assert_eq!(sandbox.run(["random", "100", "--encoding", "raw"]).succeeds().stdout.len(), 100);
    for bad in ["0", "65537"] {
        sandbox.run(["random", bad, "--json"]).refuses(2, "bad_setting");
    }
}

#[test]
fn anybody_seals_to_a_public_key_and_the_project_opens() {
    let sandbox = with_key("inbox", "xwing");
    let public = sandbox.run(["key", "show", "inbox", "--public"]).succeeds();
    let public = public.text().trim();
    // A producer has the public key and no project.
    let producer = Sandbox::empty();
    producer.write("public", format!("{public}\n"));
    let message = noise(200_000, 7);
    for to in [public, "public"] {
        let sealed = producer.feed(&message, ["seal", "--to", to, "--context", "from=sensor"]).succeeds().stdout;
        let opened = sandbox.feed(&sealed, ["open", "--key", "inbox", "--context", "from=sensor"]).succeeds();
        assert!(opened.stdout == message);
        sandbox.feed(&sealed, ["open", "--key", "inbox", "--json"]).refuses(4, "cannot_open");
        sandbox.feed(&sealed, ["open", "--json"]).refuses(4, "unknown_version");
    }
    producer.feed(b"x", ["seal", "--to", "bulla-seal-to:v1:AAAA"]).fails(2, "no public key to seal to");
    producer.feed(b"x", ["seal", "--to", "none"]).fails(3, "none");

    // The project itself seals so too, and seals anew once the key was rotated.
    let sealed = sandbox.feed(b"x", ["seal", "--key", "inbox"]).succeeds().stdout;
    sandbox.run(["key", "rotate", "inbox"]).succeeds();
    let anew = sandbox.feed(&sealed, ["rewrap", "--key", "inbox"]).succeeds().stdout;
    assert_ne!(anew, sealed);
    assert_eq!(sandbox.feed(&anew, ["open", "--key", "inbox"]).succeeds().stdout, b"x");
}

#[test]
fn sealed_files_are_sealed_anew_in_their_place() {
    let sandbox = Sandbox::with_project();
    let message = noise(300_000, 9);
    sandbox.write("data", &message);
    sandbox.run(["seal", "data", "--context", "row=1"]).succeeds();
    let before = sandbox.read("data.bulla");
    let rewrap = ["rewrap", "data.bulla", "--context", "row=1", "--json"];
    assert_eq!(sandbox.run(rewrap).succeeds().json()[0]["rewrapped"], false);
    assert!(sandbox.read("data.bulla") == before);

    sandbox.run(["key", "rotate", "default"]).succeeds();
    let rewrapped = sandbox.run(rewrap).succeeds().json();
    assert_eq!((&rewrapped[0]["rewrapped"], &rewrapped[0]["version"]), (&true.into(), &2.into()));
    let after = sandbox.read("data.bulla");
    assert!(after != before && after.len() == before.len());
    sandbox.run(["key", "disable", "default", "1"]).succeeds();
    assert!(sandbox.feed(&after, ["open", "--context", "row=1"]).succeeds().stdout == message);

    // What does not verify to its end is left as it is.
    sandbox.run(["key", "rotate", "default"]).succeeds();
    let mut damaged = after;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    sandbox.write("data.bulla", &damaged);
    sandbox.run(rewrap).refuses(4, "damaged");
    assert!(sandbox.read("data.bulla") == damaged);
    assert_eq!(sandbox.names(), [".bulla", "bulla.toml", "data", "data.bulla"]);
}
