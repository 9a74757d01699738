//! Random bytes and digests.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;

use crate::transit::world::{World, base64};

#[test]
fn as_many_random_bytes_are_drawn_as_are_asked_for() {
    let world = World::new();
    let drawn = |path: &str, body| BASE64.decode(world.post(path, body).text("random_bytes").as_bytes()).unwrap();
    assert_eq!(drawn("random", json!({})).len(), 32);
    assert_ne!(drawn("random", json!({})), drawn("random", json!({})));
    for (path, body, len) in [
        ("random", json!({"bytes": 4}), 4),
        ("random", json!({"bytes": "4", "format": null}), 4),
        ("random/8", json!({"bytes": 4}), 8),
        ("random/platform/8", json!({}), 8),
        ("random/all", json!({"bytes": 8}), 8),
        ("random/seal/131072", json!({}), 131_072),
    ] {
        assert_eq!(drawn(path, body).len(), len, "{path}");
    }
    let hex = world.post("random/16", json!({"format": "hex"})).text("random_bytes");
    assert_eq!(HEXLOWER.decode(hex.as_bytes()).unwrap().len(), 16);
    for (path, body) in [
        ("random", json!({"bytes": 0})),
        ("random", json!({"bytes": -1})),
        ("random", json!({"bytes": 131_073})),
        ("random/131073", json!({})),
        ("random/99999999999999999999", json!({})),
        ("random/platform/x", json!({})),
    ] {
        world.post(path, body).refused("bytes");
    }
    world.post("random/nope", json!({})).refused("source");
    world.post("random", json!({"format": "x"})).refused("format");
}

#[test]
fn digests_are_those_of_the_standards() {
    let world = World::new();
    // FIPS 180-4 and FIPS 202, of "abc".
    let abc = base64("abc");
    for (algorithm, sum) in [
        ("sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ("sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "sha2-384",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    ] {
        assert_eq!(world.post("hash", json!({"input": abc, "algorithm": algorithm})).text("sum"), sum);
        assert_eq!(world.post(&format!("hash/{algorithm}"), json!({"input": abc, "algorithm": "x"})).text("sum"), sum);
    }
    let of_nothing = world.post("hash", json!({"input": "", "format": "base64"})).text("sum");
    assert_eq!(of_nothing, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    for (algorithm, len) in [("sha2-512", 64), ("sha3-384", 48), ("sha3-512", 64)] {
        assert_eq!(world.post(&format!("hash/{algorithm}"), json!({"input": abc})).text("sum").len(), 2 * len);
    }
    world.post("hash", json!({})).refused("missing input");
    world.post("hash", json!({"input": "!!"})).refused("base64");
    world.post("hash", json!({"input": abc, "algorithm": "md5"})).refused("algorithm");
    world.post("hash", json!({"input": abc, "format": "x"})).refused("format");
}
