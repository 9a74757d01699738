//! Keys that sign, authenticate or are sealed to; data keys; and the same for many at once.

use bulla_keyring::{Algorithm, KeySetting, Keyring, PublicKey, SealToKey, UseCase};
use bulla_seal::{Context, Secret};
use pollster::block_on as block;

use crate::setting::{Setting, code, context, name};

const SIGNING: [Algorithm; 3] = [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::MlDsa65];

#[test]
fn signatures_verify_by_their_version_and_by_the_public_key_alone() {
    let setting = Setting::new();
    let keyring = setting.create();
    for algorithm in SIGNING {
        assert_eq!(algorithm.use_case(), UseCase::OneWay);
        let key = name(algorithm.name());
        block(keyring.create_key(&key, algorithm)).unwrap();
        let old = block(keyring.sign(&key, b"a message")).unwrap();
        let public = block(keyring.public_key(&key, None)).unwrap();
        let rotated = block(keyring.rotate_key(&key)).unwrap();
        let new = block(keyring.sign(&key, b"a message")).unwrap();
        assert_eq!(new[..8], rotated.id.0);
        for keyring in [&keyring, &setting.open(keyring.pin()).unwrap()] {
            for signature in [&old, &new] {
                assert!(block(keyring.verify(&key, b"a message", signature)).unwrap());
                assert!(!block(keyring.verify(&key, b"another", signature)).unwrap());
                let mut altered = signature.clone();
                *altered.last_mut().unwrap() ^= 1;
                assert!(!block(keyring.verify(&key, b"a message", &altered)).unwrap());
                assert!(!block(keyring.verify(&key, b"a message", &signature[..20])).unwrap());
            }
            assert_eq!(block(keyring.public_key(&key, Some(1))).unwrap(), public);
        }
        assert!(public.verifies(b"a message", &old[8..]) && !public.verifies(b"a message", &new[8..]));
        assert!(!block(keyring.verify(&key, b"a message", &old[..7])).unwrap());
        let unknown = [&[9; 8], &old[8..]].concat();
        assert_eq!(code(block(keyring.verify(&key, b"a message", &unknown))), "unknown_version");
        block(keyring.disable_version(&key, 1)).unwrap();
        assert_eq!(code(block(keyring.verify(&key, b"a message", &old))), "version_disabled");
        assert_eq!(code(block(keyring.public_key(&key, Some(1)))), "version_disabled");
    }
}

#[test]
fn a_version_makes_what_any_program_verifies_for_those_who_write_down_its_number() {
    let setting = Setting::new();
    let keyring = setting.create();
    for algorithm in SIGNING.into_iter().chain([Algorithm::HmacSha256]) {
        let key = name(algorithm.name());
        let settings = [KeySetting::MinSeal(Some(1))];
        block(keyring.create_key_with(&key, algorithm, &settings)).unwrap();
        block(keyring.rotate_key(&key)).unwrap();
        let newest = block(keyring.current_one_way(&key)).unwrap();
        let chosen = block(keyring.one_way_to_make(&key, 1)).unwrap();
        assert_eq!((newest.number(), chosen.number(), newest.algorithm()), (2, 1, algorithm));
        for version in [&newest, &chosen] {
            let same = block(keyring.one_way_of(&key, version.number())).unwrap();
            if algorithm == Algorithm::HmacSha256 {
                let tag = version.hmac(b"a message").unwrap();
                assert_eq!(tag.len(), 32);
                assert!(same.verify_hmac(b"a message", &tag).unwrap() && !same.verify_hmac(b"another", &tag).unwrap());
                assert_eq!(code(version.sign(b"a message")), "wrong_use");
                continue;
            }
            let signature = version.sign(b"a message").unwrap();
            assert!(same.verify(b"a message", &signature).unwrap() && !same.verify(b"another", &signature).unwrap());
            assert!(version.public_key().unwrap().verifies(b"a message", &signature));
            let digest = bulla_seal::sha256(b"a message");
            match version.sign_digest(&digest) {
                Ok(signature) => {
                    assert_eq!(algorithm, Algorithm::EcdsaP256);
                    assert!(same.verify(b"a message", &signature).unwrap());
                    assert!(same.verify_digest(&digest, &signature).unwrap());
                }
                refused => assert_eq!(code(refused), "wrong_use"),
            }
        }
        block(keyring.change_settings(&key, &[KeySetting::MinSeal(Some(2))])).unwrap();
        assert_eq!(code(block(keyring.one_way_to_make(&key, 1))), "below_minimum");
        assert_eq!(block(keyring.one_way_of(&key, 1)).unwrap().number(), 1);
        block(keyring.change_settings(&key, &[KeySetting::MinOpen(2)])).unwrap();
        assert_eq!(code(block(keyring.one_way_of(&key, 1))), "below_minimum");
        assert_eq!(code(block(keyring.one_way_of(&key, 3))), "not_found");
    }
    let sealing = name("sealing");
    block(keyring.create_key(&sealing, Algorithm::default())).unwrap();
    assert_eq!(code(block(keyring.current_one_way(&sealing))), "wrong_use");
    assert_eq!(code(block(keyring.one_way_of(&sealing, 1))), "wrong_use");
    assert_eq!(code(block(keyring.current_one_way(&name("sys/audit")))), "reserved_name");
}

#[test]
fn the_uses_of_a_version_that_signs_are_counted() {
    let setting = Setting::new();
    let keyring = setting.create();
    let key = name("counted");
    let settings = [KeySetting::MaxUses(Some(2)), KeySetting::MinSeal(Some(1))];
    block(keyring.create_key_with(&key, Algorithm::Ed25519, &settings)).unwrap();
    let numbers: Vec<u64> = (0..3).map(|_| block(keyring.current_one_way(&key)).unwrap().number()).collect();
    assert_eq!(numbers, [1, 1, 2]);
    assert_eq!(code(block(keyring.one_way_to_make(&key, 1))), "used_up");
}

#[test]
fn an_hmac_verifies_by_its_version() {
    let setting = Setting::new();
    let keyring = setting.create();
    let key = name("tags");
    block(keyring.create_key(&key, Algorithm::HmacSha256)).unwrap();
    let old = block(keyring.hmac(&key, b"a message")).unwrap();
    assert_eq!(old, block(keyring.hmac(&key, b"a message")).unwrap());
    block(keyring.rotate_key(&key)).unwrap();
    let new = block(keyring.hmac(&key, b"a message")).unwrap();
    assert_ne!(old, new);
    let reopened = setting.open(keyring.pin()).unwrap();
    for tag in [&old, &new] {
        assert_eq!(tag.len(), 40);
        assert!(block(reopened.verify_hmac(&key, b"a message", tag)).unwrap());
        assert!(!block(reopened.verify_hmac(&key, b"another", tag)).unwrap());
        assert!(!block(reopened.verify_hmac(&key, b"a message", &tag[..39])).unwrap());
    }
}

#[test]
fn a_key_does_what_it_was_made_for_and_nothing_else() {
    let keyring = Setting::new().create();
    let context = context(&keyring, 1);
    let all = [Algorithm::Aes256Gcm, Algorithm::HmacSha256, Algorithm::Ed25519, Algorithm::XWing];
    for algorithm in all.into_iter().chain(SIGNING) {
        let key = name(algorithm.name());
        if block(keyring.key(&key)).is_err() {
            block(keyring.create_key(&key, algorithm)).unwrap();
        }
        let signs = SIGNING.contains(&algorithm);
        let (seals, macs) = (algorithm == Algorithm::Aes256Gcm, algorithm == Algorithm::HmacSha256);
        let is_xwing = algorithm == Algorithm::XWing;
        for (may, did) in [
            (seals || is_xwing, block(keyring.seal(&key, &context, b"42")).map(drop)),
            (seals || is_xwing, block(keyring.derive_data_key(&key, &context)).map(drop)),
            (seals, block(keyring.current(&key)).map(drop)),
            (seals, block(keyring.version_of(&key, 1)).map(drop)),
            (signs, block(keyring.sign(&key, b"42")).map(drop)),
            (macs, block(keyring.hmac(&key, b"42")).map(drop)),
            (signs || is_xwing, block(keyring.public_key(&key, None)).map(drop)),
        ] {
            assert_eq!(code(did), if may { "ok" } else { "wrong_use" }, "{algorithm}");
        }
        let sealed = if seals { block(keyring.seal(&key, &context, b"42")).unwrap() } else { continue };
        let id = &sealed[8..16];
        assert_eq!(code(block(keyring.verify(&key, b"42", &[id, &[0; 64]].concat()))), "wrong_use");
        assert_eq!(code(block(keyring.verify_hmac(&key, b"42", &[id, &[0; 32]].concat()))), "wrong_use");
    }
}

#[test]
fn anybody_seals_to_a_public_key_and_the_project_opens() {
    let setting = Setting::new();
    let keyring = setting.create();
    let inbox = name("inbox");
    block(keyring.create_key(&inbox, Algorithm::XWing)).unwrap();
    let context = context(&keyring, 1);
    let PublicKey::XWing(public) = block(keyring.public_key(&inbox, None)).unwrap() else { unreachable!() };
    let producer: SealToKey = public.to_string().parse().unwrap();
    let mut sealed = vec![producer.seal(&context, b"from outside").unwrap()];
    sealed.push(block(keyring.seal(&inbox, &context, b"from outside")).unwrap());
    block(keyring.rotate_key(&inbox)).unwrap();
    sealed.push(block(keyring.rewrap(&inbox, &context, &sealed[0])).unwrap().unwrap());
    assert_eq!(block(keyring.rewrap(&inbox, &context, &sealed[2])).unwrap(), None);
    let reopened = setting.open(keyring.pin()).unwrap();
    for sealed in &sealed {
        assert_eq!(block(reopened.open_sealed(&inbox, &context, sealed)).unwrap(), b"from outside");
    }
    block(keyring.disable_version(&inbox, 1)).unwrap();
    assert_eq!(code(block(keyring.open_sealed(&inbox, &context, &sealed[0]))), "version_disabled");
    // A value of the other form that names a version of this key opens as little.
    let orders = name("orders");
    block(keyring.create_key(&orders, Algorithm::default())).unwrap();
    assert_eq!(code(block(keyring.open_sealed(&orders, &context, &sealed[1]))), "unknown_version");
}

#[test]
fn data_keys_come_with_what_opens_them() {
    let setting = Setting::new();
    let keyring = setting.create();
    let orders = name("orders");
    block(keyring.create_key(&orders, Algorithm::default())).unwrap();
    let context = context(&keyring, 1);
    let first = block(keyring.derive_data_key(&orders, &context)).unwrap();
    let second = block(keyring.derive_data_key(&orders, &context)).unwrap();
    assert!(first.plain != second.plain);
    block(keyring.rotate_key(&orders)).unwrap();
    let opened: Secret<32> = block(keyring.open_data_key(&orders, &context, &first.wrapped)).unwrap();
    assert!(opened == first.plain);
    assert!(!format!("{first:?}").contains(&format!("{:?}", first.plain.expose()[0..4].to_vec())));
    let short = block(keyring.seal(&orders, &context, b"42")).unwrap();
    assert_eq!(code(block(keyring.open_data_key(&orders, &context, &short))), "damaged");
    assert_eq!(keyring.random(32).unwrap().expose().len(), 32);
    assert_ne!(keyring.random(32).unwrap().expose(), keyring.random(32).unwrap().expose());
    for refused in [0, (1 << 16) + 1] {
        assert_eq!(code(keyring.random(refused)), "bad_setting");
    }
}

#[test]
fn of_many_at_once_each_has_its_own_result() {
    let setting = Setting::new();
    let keyring = setting.create();
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), &[KeySetting::MaxUses(Some(70))])).unwrap();
    let contexts: Vec<Context> = (0..100).map(|row| context(&keyring, row)).collect();
    let messages: Vec<Vec<u8>> = (0..100).map(|row| format!("message {row}").into_bytes()).collect();
    let items: Vec<_> = contexts.iter().zip(messages.iter().map(Vec::as_slice)).collect();
    let sealed: Vec<Vec<u8>> =
        block(keyring.seal_batch(&orders, &items)).unwrap().into_iter().map(Result::unwrap).collect();
    // Where the uses of one version end, the next one goes on.
    let newest = block(keyring.key(&orders)).unwrap().newest;
    assert_eq!(newest, 2);

    let mut mixed: Vec<_> = contexts.iter().zip(sealed.iter().map(Vec::as_slice)).collect();
    mixed[3].0 = &contexts[4];
    mixed[5].1 = b"not sealed";
    mixed[7].1 = &sealed[7][..sealed[7].len() - 1];
    let opened = block(keyring.open_batch(&orders, &mixed)).unwrap();
    let rewrapped = block(keyring.rewrap_batch(&orders, &mixed)).unwrap();
    for (row, (opened, rewrapped)) in opened.into_iter().zip(rewrapped).enumerate() {
        let expected = match row {
            3 => "cannot_open",
            5 => "not_sealed",
            7 => "damaged",
            _ => "ok",
        };
        match opened {
            Ok(message) => assert_eq!(message, messages[row]),
            Err(error) => assert_eq!(error.code(), expected, "{row}"),
        }
        match rewrapped {
            Ok(None) => assert!(row >= 70, "{row} was sealed under the second version"),
            Ok(Some(sealed)) => {
                assert!(row < 70);
                assert_eq!(block(keyring.open_sealed(&orders, &contexts[row], &sealed)).unwrap(), messages[row]);
            }
            Err(error) => assert_eq!(error.code(), expected, "{row}"),
        }
    }
    assert!(block(keyring.seal_batch(&orders, &[])).unwrap().is_empty());
    assert_eq!(code(block(keyring.seal_batch(&name("none"), &items))), "not_found");
    assert_eq!(
        block(keyring.open_batch(&name("none"), &mixed)).unwrap().remove(0).unwrap_err().code(),
        "unknown_version"
    );
}

#[test]
fn signatures_and_tags_come_in_batches_too() {
    let keyring = Setting::new().create();
    let (signer, tags) = (name("signer"), name("tags"));
    block(keyring.create_key(&signer, Algorithm::Ed25519)).unwrap();
    block(keyring.create_key(&tags, Algorithm::HmacSha256)).unwrap();
    let messages: Vec<&[u8]> = vec![b"1", b"2", b"3"];
    check(&keyring, &messages, block(keyring.sign_batch(&signer, &messages)).unwrap(), |items| {
        block(keyring.verify_batch(&signer, items)).unwrap()
    });
    check(&keyring, &messages, block(keyring.hmac_batch(&tags, &messages)).unwrap(), |items| {
        block(keyring.verify_hmac_batch(&tags, items)).unwrap()
    });
    let wrong = block(keyring.sign_batch(&tags, &messages)).unwrap();
    assert!(wrong.into_iter().all(|signed| code(signed) == "wrong_use"));
}

fn check(
    keyring: &Keyring,
    messages: &[&[u8]],
    made: Vec<bulla_keyring::Result<Vec<u8>>>,
    verify: impl Fn(&[(&[u8], &[u8])]) -> Vec<bulla_keyring::Result<bool>>,
) {
    let made: Vec<Vec<u8>> = made.into_iter().map(Result::unwrap).collect();
    let mut items: Vec<_> = messages.iter().copied().zip(made.iter().map(Vec::as_slice)).collect();
    items.push((b"1", &made[1]));
    items.push((b"1", b"short"));
    let unknown = keyring.random(40).unwrap();
    items.push((b"1", unknown.expose()));
    let verified: Vec<_> = verify(&items).into_iter().map(|one| one.map_err(|error| error.code())).collect();
    assert_eq!(verified, [Ok(true), Ok(true), Ok(true), Ok(false), Ok(false), Err("unknown_version")]);
}
