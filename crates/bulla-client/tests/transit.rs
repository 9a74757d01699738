//! Named keys, on OpenBao.

use bulla_client::{Ciphertext, ClientError, KeyOptions, Message, Plaintext, Signature};
use serde_json::json;

use crate::setting::Setting;

#[tokio::test]
async fn what_is_encrypted_opens_and_is_rewrapped() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("transit", json!({})).await);
    let transit = client.transit(&mount);
    assert_eq!(transit.keys().await.unwrap(), [""; 0]);
    transit.create_key("orders", &KeyOptions::default()).await.unwrap();
    transit.create_key("orders", &KeyOptions::default()).await.unwrap();
    assert_eq!(transit.keys().await.unwrap(), ["orders"]);

    let sealed = transit.encrypt("orders", &b"42 widgets"[..]).await.unwrap();
    assert!(sealed.ciphertext.starts_with("vault:v1:"));
    assert_eq!(sealed.key_version, 1);
    assert_eq!(transit.decrypt("orders", &*sealed.ciphertext).await.unwrap().expose(), b"42 widgets");
    let empty = transit.encrypt("orders", &b""[..]).await.unwrap();
    assert_eq!(transit.decrypt("orders", &*empty.ciphertext).await.unwrap().expose(), b"");

    let bound = Plaintext { associated_data: Some(b"row 7"), ..Plaintext::new(b"bound") };
    let sealed_to_row = transit.encrypt("orders", bound).await.unwrap();
    let opened = Ciphertext { associated_data: Some(b"row 7"), ..Ciphertext::new(&sealed_to_row.ciphertext) };
    assert_eq!(transit.decrypt("orders", opened).await.unwrap().expose(), b"bound");
    let refused = transit.decrypt("orders", &*sealed_to_row.ciphertext).await.unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(_)), "{refused}");

    transit.rotate("orders").await.unwrap();
    let rewrapped = transit.rewrap("orders", &*sealed.ciphertext).await.unwrap();
    assert!(rewrapped.ciphertext.starts_with("vault:v2:"));
    let old = Plaintext { key_version: Some(1), ..Plaintext::new(b"old") };
    assert_eq!(transit.encrypt("orders", old).await.unwrap().key_version, 1);
    let key = transit.key("orders").await.unwrap();
    assert_eq!((&*key.name, &*key.kind, key.latest_version, key.keys.len()), ("orders", "aes256-gcm96", 2, 2));
    assert!(key.supports_encryption && !key.supports_signing && !key.derived && key.keys[&1].public_key.is_none());

    let data_key = transit.data_key("orders", 256).await.unwrap();
    assert_eq!(data_key.plaintext.expose().len(), 32);
    let again = transit.decrypt("orders", &*data_key.ciphertext).await.unwrap();
    assert_eq!(again.expose(), data_key.plaintext.expose());
    assert!(matches!(transit.data_key("orders", 100).await, Err(ClientError::Request(_))));
    assert!(matches!(transit.key("none").await, Err(ClientError::NotFound(_))));
    assert!(matches!(transit.key("a/b").await, Err(ClientError::Path(_))));
}

#[tokio::test]
async fn derived_keys_want_their_context() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("transit", json!({})).await);
    let transit = client.transit(&mount);
    transit.create_key("tenants", &KeyOptions { derived: Some(true), ..KeyOptions::default() }).await.unwrap();
    let plaintext = Plaintext { context: Some(b"tenant 7"), ..Plaintext::new(b"theirs") };
    let sealed = transit.encrypt("tenants", plaintext).await.unwrap();
    let opened = |context| Ciphertext { context, ..Ciphertext::new(&sealed.ciphertext) };
    assert_eq!(transit.decrypt("tenants", opened(Some(b"tenant 7"))).await.unwrap().expose(), b"theirs");
    for context in [Some(&b"tenant 8"[..]), None] {
        assert!(matches!(transit.decrypt("tenants", opened(context)).await, Err(ClientError::Invalid(_))));
    }
}

#[tokio::test]
async fn one_of_many_that_goes_wrong_leaves_the_others() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("transit", json!({})).await);
    let transit = client.transit(&mount);
    transit.create_key("orders", &KeyOptions::default()).await.unwrap();
    let texts: Vec<String> = (0..300).map(|at| format!("order {at}")).collect();
    let plaintexts: Vec<_> = texts.iter().map(|text| Plaintext::new(text.as_bytes())).collect();
    let sealed = transit.encrypt_batch("orders", &plaintexts).await.unwrap();
    let sealed: Vec<String> = sealed.into_iter().map(|item| item.unwrap().ciphertext).collect();
    let mut ciphertexts: Vec<_> = sealed.iter().map(|text| Ciphertext::new(text)).collect();
    transit.rotate("orders").await.unwrap();
    let rewrapped = transit.rewrap_batch("orders", &ciphertexts).await.unwrap();
    assert!(rewrapped.iter().all(|item| item.as_ref().unwrap().ciphertext.starts_with("vault:v2:")));
    ciphertexts[7] = Ciphertext::new("vault:v1:AAAA");
    let opened = transit.decrypt_batch("orders", &ciphertexts).await.unwrap();
    for (at, (item, text)) in opened.iter().zip(&texts).enumerate() {
        match item {
            Ok(plaintext) => assert_eq!(plaintext.expose(), text.as_bytes()),
            Err(error) => assert!(at == 7 && !error.0.is_empty(), "{at}: {error}"),
        }
    }
    assert!(opened[7].is_err());
    let all_wrong = transit.decrypt_batch("orders", &[Ciphertext::new("x"), Ciphertext::new("y")]).await.unwrap();
    assert!(all_wrong.iter().all(Result::is_err));
    // The server's own word on the whole of it.
    let refused = transit.decrypt_batch("none", &[Ciphertext::new(&sealed[0])]).await.unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(_)), "{refused}");
    assert!(matches!(transit.encrypt_batch("orders", &[]).await, Err(ClientError::Request(_))));
}

#[tokio::test]
async fn signatures_and_hmacs_verify() {
    let setting = Setting::shared();
    let (client, mount) = (setting.root(), setting.mount("transit", json!({})).await);
    let transit = client.transit(&mount);
    for kind in ["ed25519", "ecdsa-p256"] {
        transit.create_key(kind, &KeyOptions { kind: Some(kind), ..KeyOptions::default() }).await.unwrap();
        let signature = transit.sign(kind, &b"message"[..]).await.unwrap();
        let signature = Signature::Signature(&signature);
        assert!(transit.verify(kind, &b"message"[..], signature).await.unwrap());
        assert!(!transit.verify(kind, &b"another"[..], signature).await.unwrap());
        let key = transit.key(kind).await.unwrap();
        assert!(key.supports_signing && key.keys[&1].public_key.is_some());
    }
    let digest = bulla_seal::sha256(b"message");
    let hashed = Message { prehashed: true, hash_algorithm: Some("sha2-256"), ..Message::new(&digest) };
    let signature = transit.sign("ecdsa-p256", hashed).await.unwrap();
    assert!(transit.verify("ecdsa-p256", &b"message"[..], Signature::Signature(&signature)).await.unwrap());

    transit.create_key("tags", &KeyOptions::default()).await.unwrap();
    let long = Message { hash_algorithm: Some("sha2-512"), ..Message::new(b"message") };
    let (short_tag, long_tag) =
        (transit.hmac("tags", &b"message"[..]).await.unwrap(), transit.hmac("tags", long).await.unwrap());
    assert!(long_tag.len() > short_tag.len());
    assert!(transit.verify("tags", &b"message"[..], Signature::Hmac(&short_tag)).await.unwrap());
    assert!(!transit.verify("tags", &b"another"[..], Signature::Hmac(&short_tag)).await.unwrap());
    let refused = transit.verify("ed25519", &b"message"[..], Signature::Signature("none")).await.unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(_)), "{refused}");
}
