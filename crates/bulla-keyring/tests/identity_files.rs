//! The vectors in `spec/vectors/identity/`, written by an independent implementation.

use std::fs;
use std::path::Path;

use bulla_keyring::{Identity, Passphrase, StoredIdentity, UnlockError};
use data_encoding::HEXLOWER;
use serde_json::Value;

#[test]
fn every_identity_file_is_found_as_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/identity");
    let (mut good, mut hostile) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let outcome = read(&vector);
        assert_eq!(outcome.as_ref().err().copied().unwrap_or("ok"), vector["expect"], "{file}");
        match outcome {
            Ok(identity) => {
                good += 1;
                let expected = Identity::from_text(vector["identity"].as_str().unwrap()).unwrap();
                assert_eq!(identity.expose_text(), expected.expose_text(), "{file}");
            }
            Err(_) => hostile += 1,
        }
    }
    assert!(good >= 5 && hostile >= 30, "{good} good, {hostile} hostile");
}

fn read(vector: &Value) -> Result<Identity, &'static str> {
    match StoredIdentity::from_text(vector["file"].as_str().unwrap()).map_err(|_| "refused")? {
        StoredIdentity::Plain(identity) => Ok(identity),
        StoredIdentity::Locked(locked) => {
            let passphrase = HEXLOWER.decode(vector["passphrase"].as_str().unwrap().as_bytes()).unwrap();
            locked.unlock(&Passphrase::new(passphrase).unwrap()).map_err(|error| match error {
                UnlockError::Refused => "wrong_passphrase",
                other => panic!("{other}"),
            })
        }
    }
}
