//! A stolen database: no secret of the project is in it, in any encoding.

use bulla_keyring::format::{Act, KEY_IDS, KEY_VERSIONS, KEYS, SignedRecord, TRUST_LOG, WRAPS};
use bulla_keyring::{Algorithm, Identity, Keyring};
use bulla_seal::{Context, Params, SealKey, Secret, derive, sha256};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use crate::interoperability::unwrap_with_tink;
use crate::setting::{Setting, context, name};

#[test]
fn no_secret_is_stored_in_the_clear() {
    let setting = Setting::new();
    let keyring = setting.create();
    pollster::block_on(async {
        for (at, key) in ["orders", "letters"].map(name).iter().enumerate() {
            keyring.create_key(key, Algorithm::default()).await.unwrap();
            for _ in 0..=at {
                keyring.rotate_key(key).await.unwrap();
            }
        }
    });
    let secrets = secrets(&setting, &keyring);
    assert_eq!(secrets.len(), 2 + 1 + 2 + 5, "seeds, data key, keys derived from it, version material");
    let mut searched = 0;
    for collection in [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS] {
        let documents = setting.all(collection);
        assert!(!documents.is_empty());
        for document in documents {
            for secret in &secrets {
                for needle in encodings(secret) {
                    for hay in [&document.value[..], document.key.as_bytes()] {
                        assert!(!hay.windows(needle.len()).any(|window| window == needle), "{}", collection.name());
                        searched += 1;
                    }
                }
            }
        }
    }
    assert!(searched > 2_000, "{searched} searches");
}

/// Collects every secret of the project, from outside: with the identity, Tink, and the specification.
fn secrets(setting: &Setting, keyring: &Keyring) -> Vec<Vec<u8>> {
    let (encryption, signing) = seeds(&setting.identity);
    let dek = unwrap_with_tink(setting, keyring);
    let wrap = derive(&dek, "bulla/wrap/v1", &[]).unwrap();
    let capability = derive(&dek, "bulla/capability/v1", &[]).unwrap();
    let mut secrets = vec![encryption, signing, dek, wrap.expose().to_vec(), capability.expose().to_vec()];

    let wrap = SealKey::with_derived_id(wrap.expose()).unwrap();
    for document in setting.all(KEY_VERSIONS) {
        let row = bulla_keyring::format::VersionRow::decode(&document.value).unwrap();
        let zero = document.key.as_bytes().iter().position(|&byte| byte == 0).unwrap();
        let key = std::str::from_utf8(&document.key.as_bytes()[..zero]).unwrap();
        let context = Context::in_domain("bulla/keyring/version", &keyring.project())
            .text("key", key)
            .uint("number", row.number)
            .bytes("id", &row.id.0)
            .uint("algorithm", 1)
            .uint("origin", 1)
            .flag("never exported", false)
            .uint("created", row.created.0)
            .uint("born", row.born)
            .build()
            .unwrap();
        let material = wrap.open(&context, &row.sealed).unwrap();
        check_is_the_key(keyring, key, &row, &material);
        secrets.push(material);
    }
    secrets
}

/// Makes sure that what is searched for is what the keyring seals with.
fn check_is_the_key(keyring: &Keyring, key: &str, row: &bulla_keyring::format::VersionRow, material: &[u8]) {
    let version = pollster::block_on(keyring.version(&name(key), row.id)).unwrap();
    let context = context(keyring, 1);
    let sealed = SealKey::new(row.id, material).unwrap().seal(Params::default(), &context, b"42").unwrap();
    assert_eq!(version.seal_key().open(&context, &sealed).unwrap(), b"42");
}

pub(crate) fn seeds(identity: &Identity) -> (Vec<u8>, Vec<u8>) {
    let text = identity.expose_text();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        HEXLOWER.decode(line.as_bytes()).unwrap()
    };
    (field("encryption: "), field("signing: "))
}

/// Each encoding at each alignment, without the characters that depend on neighbours.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![secret[..16].to_vec(), secret[16..].to_vec()];
    all.extend([HEXLOWER.encode(secret), HEXUPPER.encode(secret)].map(String::into_bytes));
    for skip in 0..3 {
        let aligned = &secret[skip..skip + 27];
        for base64 in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
            all.push(base64.encode(aligned).into_bytes());
        }
    }
    all
}

#[test]
fn the_commitment_is_the_one_of_the_specification() {
    let setting = Setting::new();
    let keyring = setting.create();
    let dek = Secret::<32>::from_slice(&unwrap_with_tink(&setting, &keyring)).unwrap();
    let info = [&keyring.project().0[..], &1_u64.to_be_bytes()].concat();
    let computed = derive(dek.expose(), "bulla/dek/commitment/v1", &info).unwrap();
    let log = setting.all(TRUST_LOG);
    let record = SignedRecord::decode(&log[2].value).unwrap();
    let Act::Epoch { epoch: 1, commitment, .. } = record.record().act else { unreachable!() };
    assert_eq!(&commitment, computed.expose());
    let root = [b"bulla/trust-log/record/v1\0", &log[0].value[..]].concat();
    assert_eq!(keyring.project().0, sha256(&root));
}
