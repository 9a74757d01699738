//! What OpenBao 2.7.2 answered to the same requests, recorded as statuses and names of fields, and where we differ on purpose.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::transit::world::{Reply, World};

/// How our answer is to be.
enum Ours {
    /// As OpenBao's: its status, and at least its fields.
    Same,
    /// With another status.
    Status(u16, &'static str),
    /// Without some of its fields.
    Without(&'static [&'static str], &'static str),
}

use Ours::{Same, Status, Without};

/// A request, and the status and the fields under `data` of OpenBao's answer.
struct Fact(&'static str, &'static str, &'static str, u16, &'static [&'static str], Ours);

/// What is shown of every key.
const KEY: &[&str] = &[
    "allow_plaintext_backup",
    "auto_rotate_period",
    "deletion_allowed",
    "derived",
    "exportable",
    "imported_key",
    "keys",
    "latest_version",
    "min_available_version",
    "min_decryption_version",
    "min_encryption_version",
    "name",
    "soft_deleted",
    "supports_decryption",
    "supports_derivation",
    "supports_encryption",
    "supports_signing",
    "type",
];
const DERIVED: &[&str] = &["convergent_encryption", "derived", "kdf", "keys", "latest_version", "name", "type"];
const CIPHERTEXT: &[&str] = &["ciphertext", "key_version"];
const BATCH: &[&str] = &["batch_results"];
const EXPORT: &[&str] = &["keys", "name", "type"];

const REFUSED: &str = "what a client sends wrong is an error of the client";
const NONCE: &str = "a nonce that is brought is refused, not passed over";
const FIELDS: &str = "a field that there is not is refused, not passed over";
const SEALED: &str = "backups are sealed, and need no permission to be in plaintext";
const BATCHES: &str = "rewrapping answers as encrypting and decrypting do";

/// In order: each request finds what those before it have left. `$C`, `$S`, `$E`, `$H` and `$B` stand for the last ciphertext, signatures of `ed` and `ec`,
/// HMAC and backup.
const FACTS: &[Fact] = &[
    Fact("POST", "keys/k", "", 200, KEY, Same),
    Fact("POST", "keys/k", "{}", 200, KEY, Same),
    Fact("GET", "keys/k", "", 200, KEY, Same),
    Fact("GET", "keys/none", "", 404, &[], Same),
    Fact("LIST", "keys", "", 200, &["keys"], Same),
    Fact("POST", "keys/t1", r#"{"type":"aes128-gcm96"}"#, 200, KEY, Status(400, "there is AES with 256 bits only")),
    Fact("POST", "keys/t2", r#"{"type":"chacha20-poly1305"}"#, 200, KEY, Same),
    Fact(
        "POST",
        "keys/t3",
        r#"{"type":"xchacha20-poly1305"}"#,
        200,
        KEY,
        Status(400, "there are no nonces to lengthen"),
    ),
    Fact("POST", "keys/ed", r#"{"type":"ed25519"}"#, 200, KEY, Same),
    Fact("POST", "keys/ec", r#"{"type":"ecdsa-p256"}"#, 200, KEY, Same),
    Fact("POST", "keys/t4", r#"{"type":"hmac"}"#, 500, &[], Status(200, "without a size, an HMAC key has 32 bytes")),
    Fact("POST", "keys/t5", r#"{"type":"ml-dsa-65"}"#, 400, &[], Status(200, "there is ML-DSA here")),
    Fact("POST", "keys/t6", r#"{"type":"rsa-2048"}"#, 200, KEY, Status(400, "there is no RSA")),
    Fact("POST", "keys/t7", r#"{"type":"nope"}"#, 400, &[], Same),
    Fact("POST", "keys/d", r#"{"derived":true}"#, 200, DERIVED, Same),
    Fact("POST", "keys/cv", r#"{"derived":true,"convergent_encryption":true}"#, 200, DERIVED, Same),
    Fact("POST", "keys/cv2", r#"{"convergent_encryption":true}"#, 400, &[], Same),
    Fact("POST", "keys/ar", r#"{"auto_rotate_period":"30m"}"#, 400, &[], Same),
    Fact("POST", "keys/ar", r#"{"auto_rotate_period":"2h"}"#, 200, KEY, Same),
    Fact("POST", "keys/bad", r#"{"type":5}"#, 400, &[], Same),
    Fact("POST", "keys/bad", r#"{"derived":"x"}"#, 400, &[], Same),
    Fact("POST", "keys/tags", r#"{"type":"hmac","key_size":16}"#, 400, &[], Same),
    Fact(
        "POST",
        "keys/tags",
        r#"{"type":"hmac","key_size":32}"#,
        200,
        &["key_size", "latest_version", "name", "type"],
        Without(&["key_size"], "it is always 32"),
    ),
    Fact("POST", "keys/k", r#"{"type":"ed25519"}"#, 200, KEY, Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"aGk="}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"$C"}"#, 200, &["plaintext"], Same),
    Fact("POST", "encrypt/k", "{}", 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"!!"}"#, 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":null}"#, 200, CIPHERTEXT, Status(400, "null is as if it were not there")),
    Fact("POST", "encrypt/k", r#"{"plaintext":""}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","key_version":2}"#, 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","key_version":-1}"#, 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","key_version":"1"}"#, 200, CIPHERTEXT, Same),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"plaintext":"YQ==","nonce":"MTIzNDU2Nzg5MDEy"}"#,
        200,
        CIPHERTEXT,
        Status(400, NONCE),
    ),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","unknown":1}"#, 200, CIPHERTEXT, Status(400, FIELDS)),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","associated_data":"!"}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "encrypt/new", r#"{"plaintext":"YQ=="}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "encrypt/newd", r#"{"plaintext":"YQ==","context":"Yw=="}"#, 200, CIPHERTEXT, Same),
    Fact("GET", "keys/newd", "", 200, DERIVED, Same),
    Fact("POST", "encrypt/newx", r#"{"plaintext":"YQ==","type":"ed25519"}"#, 400, &[], Same),
    Fact("POST", "encrypt/newcv", r#"{"plaintext":"YQ==","convergent_encryption":true}"#, 400, &[], Same),
    Fact("POST", "encrypt/d", r#"{"plaintext":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "encrypt/d", r#"{"plaintext":"YQ==","context":"!"}"#, 400, &[], Same),
    Fact("POST", "encrypt/ed", r#"{"plaintext":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "encrypt/d", r#"{"plaintext":"YQ==","context":"Yw=="}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "decrypt/d", r#"{"ciphertext":"$C","context":"eA=="}"#, 400, &[], Same),
    Fact("POST", "decrypt/d", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","context":"Yw=="}"#, 200, CIPHERTEXT, Same),
    Fact(
        "POST",
        "decrypt/k",
        r#"{"ciphertext":"$C"}"#,
        200,
        &["plaintext"],
        Status(400, "a context binds, whatever the key"),
    ),
    Fact("POST", "encrypt/k", r#"{"plaintext":"aGk="}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "decrypt/k", "{}", 400, &[], Same),
    Fact("POST", "decrypt/none", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"x"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:v1"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:v1:!!"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:vx:AAAA"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:v9:AAAA"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:v-1:AAAA"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"vault:v1:AAAA"}"#, 400, &[], Same),
    Fact("POST", "decrypt/cv", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "decrypt/new", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":5}"#, 400, &[], Same),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"batch_input":[{"plaintext":"YQ==","reference":"r1"},{"plaintext":"!!"}]}"#,
        400,
        BATCH,
        Same,
    ),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"!!"}],"partial_failure_response_code":207}"#,
        207,
        BATCH,
        Same,
    ),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"batch_input":[{"plaintext":"!!"}],"partial_failure_response_code":207}"#,
        400,
        BATCH,
        Same,
    ),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"!!"}],"partial_failure_response_code":700}"#,
        400,
        BATCH,
        Same,
    ),
    Fact("POST", "encrypt/k", r#"{"batch_input":[]}"#, 400, &[], Same),
    Fact("POST", "encrypt/k", r#"{"batch_input":[{}]}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "encrypt/k", r#"{"batch_input":[{"plaintext":5}]}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "encrypt/k", r#"{"batch_input":5}"#, 500, &[], Status(400, REFUSED)),
    Fact(
        "POST",
        "encrypt/k",
        r#"{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"YQ==","context":"Yw=="}]}"#,
        400,
        &[],
        Same,
    ),
    Fact(
        "POST",
        "decrypt/k",
        r#"{"batch_input":[{"ciphertext":"$C"},{"ciphertext":"x"},{"ciphertext":""}]}"#,
        400,
        BATCH,
        Same,
    ),
    Fact("POST", "decrypt/k", r#"{"batch_input":[{}]}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "keys/k/rotate", "", 200, KEY, Same),
    Fact("POST", "keys/none/rotate", "", 400, &[], Same),
    Fact("POST", "rewrap/k", "{}", 400, &[], Same),
    Fact("POST", "rewrap/none", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "rewrap/k", r#"{"ciphertext":"x"}"#, 400, &[], Same),
    Fact(
        "POST",
        "rewrap/k",
        r#"{"batch_input":[{"ciphertext":"$C"},{"ciphertext":"x"}]}"#,
        200,
        BATCH,
        Status(400, BATCHES),
    ),
    Fact("POST", "rewrap/k", r#"{"ciphertext":"$C","key_version":1}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "rewrap/k", r#"{"ciphertext":"$C"}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "encrypt/k", r#"{"plaintext":"YQ==","key_version":1}"#, 200, CIPHERTEXT, Same),
    Fact("POST", "keys/k/config", r#"{"min_decryption_version":2}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"min_decryption_version":9}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", r#"{"min_decryption_version":-1}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", r#"{"min_encryption_version":1}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", r#"{"min_encryption_version":2}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"min_encryption_version":5}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", r#"{"min_encryption_version":0}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"deletion_allowed":true}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"exportable":true}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"allow_plaintext_backup":true}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"auto_rotate_period":"1h"}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"auto_rotate_period":0}"#, 200, KEY, Same),
    Fact("POST", "keys/k/config", r#"{"auto_rotate_period":"5s"}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", "{}", 200, KEY, Same),
    Fact("POST", "keys/none/config", r#"{"deletion_allowed":true}"#, 400, &[], Same),
    Fact("POST", "decrypt/k", r#"{"ciphertext":"$C"}"#, 400, &[], Same),
    Fact("POST", "keys/k/trim", r#"{"min_available_version":2}"#, 400, &[], Same),
    Fact("POST", "keys/k/config", r#"{"min_encryption_version":2}"#, 200, KEY, Same),
    Fact("POST", "keys/k/trim", r#"{"min_available_version":2}"#, 200, KEY, Same),
    Fact("POST", "keys/k/trim", r#"{"min_available_version":1}"#, 400, &[], Same),
    Fact("POST", "keys/k/trim", "{}", 400, &[], Same),
    Fact("POST", "keys/k/trim", r#"{"min_available_version":9}"#, 400, &[], Same),
    Fact("POST", "keys/none/trim", r#"{"min_available_version":1}"#, 400, &[], Same),
    Fact("GET", "export/encryption-key/k", "", 200, EXPORT, Same),
    Fact("GET", "export/encryption-key/k/latest", "", 200, EXPORT, Same),
    Fact("GET", "export/encryption-key/k/9", "", 400, &[], Same),
    Fact("GET", "export/encryption-key/k/x", "", 400, &[], Same),
    Fact("GET", "export/encryption-key/k/1", "", 400, &[], Same),
    Fact("GET", "export/signing-key/k", "", 400, &[], Same),
    Fact("GET", "export/hmac-key/k", "", 200, EXPORT, Status(400, "keys that encrypt authenticate nothing besides")),
    Fact("GET", "export/nope/k", "", 400, &[], Same),
    Fact("GET", "export/encryption-key/none", "", 404, &[], Same),
    Fact("GET", "export/encryption-key/new", "", 400, &[], Same),
    Fact("GET", "export/public-key/ed", "", 200, EXPORT, Same),
    Fact("GET", "export/public-key/k", "", 500, &[], Status(400, REFUSED)),
    Fact("GET", "backup/k", "", 200, &["backup"], Same),
    Fact("GET", "backup/new", "", 500, &[], Status(200, SEALED)),
    Fact("GET", "backup/none", "", 500, &[], Status(404, REFUSED)),
    Fact("GET", "backup/k", "", 200, &["backup"], Same),
    Fact("POST", "restore", r#"{"backup":"$B"}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "restore/k3", r#"{"backup":"$B"}"#, 204, &[], Status(400, "a key is restored under its own name")),
    Fact("POST", "restore/k", r#"{"backup":"$B","force":true}"#, 204, &[], Same),
    Fact("POST", "restore", r#"{"backup":"!!"}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "restore", "{}", 400, &[], Same),
    Fact("DELETE", "keys/new", "", 400, &[], Same),
    Fact("DELETE", "keys/none", "", 400, &[], Same),
    Fact("DELETE", "keys/k", "", 204, &[], Same),
    Fact("GET", "keys/k", "", 404, &[], Same),
    Fact("POST", "keys/e", "{}", 200, KEY, Same),
    Fact("POST", "datakey/plaintext/none", "{}", 400, &[], Same),
    Fact("POST", "datakey/plaintext/e", "{}", 200, &["ciphertext", "key_version", "plaintext"], Same),
    Fact("POST", "datakey/plaintext/e", r#"{"bits":128}"#, 200, &["ciphertext", "key_version", "plaintext"], Same),
    Fact("POST", "datakey/plaintext/e", r#"{"bits":"256"}"#, 200, &["ciphertext", "key_version", "plaintext"], Same),
    Fact("POST", "datakey/plaintext/e", r#"{"bits":64}"#, 400, &[], Same),
    Fact("POST", "datakey/plaintext/e", r#"{"bits":null}"#, 400, &[], Status(200, "null is as if it were not there")),
    Fact("POST", "datakey/plaintext/e", r#"{"nonce":"bg=="}"#, 200, CIPHERTEXT, Status(400, NONCE)),
    Fact("POST", "datakey/wrapped/e", "", 200, CIPHERTEXT, Same),
    Fact("POST", "datakey/nope/e", "{}", 400, &[], Same),
    Fact("POST", "datakey/plaintext/ed", "{}", 400, &[], Same),
    Fact("POST", "random", "{}", 200, &["random_bytes"], Same),
    Fact("POST", "random/platform/8", "{}", 200, &["random_bytes"], Same),
    Fact("POST", "random/seal", r#"{"bytes":8}"#, 200, &["random_bytes"], Same),
    Fact("POST", "random", r#"{"format":"x"}"#, 400, &[], Same),
    Fact("POST", "random", r#"{"bytes":0}"#, 400, &[], Same),
    Fact("POST", "random", r#"{"bytes":10000000}"#, 400, &[], Same),
    Fact("POST", "random/nope", "{}", 400, &[], Same),
    Fact("POST", "hash", r#"{"input":"YQ=="}"#, 200, &["sum"], Same),
    Fact("POST", "hash", "{}", 400, &[], Same),
    Fact("POST", "hash", r#"{"input":"!!"}"#, 400, &[], Same),
    Fact("POST", "hash", r#"{"input":"YQ==","algorithm":"md5"}"#, 400, &[], Same),
    Fact("POST", "hash/sha2-512", r#"{"input":"YQ=="}"#, 200, &["sum"], Same),
    Fact("POST", "hmac/tags", r#"{"input":"YQ=="}"#, 200, &["hmac"], Same),
    Fact("POST", "verify/tags", r#"{"input":"YQ==","hmac":"$H"}"#, 200, &["valid"], Same),
    Fact("POST", "verify/tags", r#"{"input":"Yg==","hmac":"$H"}"#, 200, &["valid"], Same),
    Fact("POST", "verify/tags", r#"{"input":"Yg=="}"#, 400, &[], Same),
    Fact("POST", "verify/tags", r#"{"input":"YQ==","hmac":"x"}"#, 400, &[], Same),
    Fact("POST", "verify/tags", r#"{"input":"YQ==","hmac":"vault:v9:AAAA"}"#, 400, &[], Same),
    Fact("POST", "verify/tags", r#"{"input":"YQ==","hmac":"vault:v1:!!"}"#, 400, &[], Same),
    Fact(
        "POST",
        "verify/tags",
        r#"{"batch_input":[{"input":"YQ==","hmac":"$H"},{"input":"Yg==","hmac":"x"}]}"#,
        200,
        BATCH,
        Same,
    ),
    Fact("POST", "verify/tags", r#"{"batch_input":[{"input":"YQ=="}]}"#, 400, &[], Same),
    Fact("POST", "verify/tags", r#"{"batch_input":[]}"#, 400, &[], Same),
    Fact(
        "POST",
        "hmac/e",
        r#"{"input":"YQ=="}"#,
        200,
        &["hmac"],
        Status(400, "keys that encrypt authenticate nothing besides"),
    ),
    Fact("POST", "hmac/tags", "{}", 400, &[], Same),
    Fact("POST", "hmac/tags/sha2-512", r#"{"input":"YQ=="}"#, 200, &["hmac"], Status(400, "HMAC is with SHA-256")),
    Fact("POST", "hmac/tags/md5", r#"{"input":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "hmac/tags", r#"{"input":"YQ==","key_version":5}"#, 400, &[], Same),
    Fact("POST", "hmac/none", r#"{"input":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "hmac/tags", r#"{"batch_input":[{"input":"YQ=="},{},{"input":"!!"}]}"#, 200, BATCH, Same),
    Fact("POST", "sign/ed", r#"{"input":"YQ=="}"#, 200, &["key_version", "signature"], Same),
    Fact("POST", "sign/ec", r#"{"input":"YQ=="}"#, 200, &["key_version", "signature"], Same),
    Fact("POST", "verify/ed", r#"{"input":"YQ==","signature":"$S"}"#, 200, &["valid"], Same),
    Fact("POST", "verify/ec", r#"{"input":"YQ==","signature":"$E"}"#, 200, &["valid"], Same),
    Fact("POST", "verify/ed", r#"{"input":"Yg==","signature":"$S"}"#, 200, &["valid"], Same),
    Fact(
        "POST",
        "verify/ec",
        r#"{"input":"YQ==","signature":"$E","hash_algorithm":"sha2-512"}"#,
        200,
        &["valid"],
        Status(400, "ECDSA is with SHA-256"),
    ),
    Fact("POST", "verify/ec", r#"{"input":"YQ==","signature":"$E","marshaling_algorithm":"jws"}"#, 400, &[], Same),
    Fact("POST", "verify/ec", r#"{"input":"YQ==","signature":"vault:v1:AAAA"}"#, 400, &[], Same),
    Fact("POST", "verify/ed", r#"{"input":"YQ==","signature":"x"}"#, 400, &[], Same),
    Fact("POST", "verify/ed", r#"{"input":"YQ==","signature":"vault:v9:AAAA"}"#, 400, &[], Same),
    Fact(
        "POST",
        "sign/ed",
        "{}",
        200,
        &["key_version", "signature"],
        Status(400, "nothing is signed unless it is said what"),
    ),
    Fact("POST", "sign/ed", r#"{"input":"!!"}"#, 400, &[], Same),
    Fact(
        "POST",
        "sign/ed",
        r#"{"input":"YQ==","hash_algorithm":"sha2-512"}"#,
        200,
        &["key_version", "signature"],
        Same,
    ),
    Fact("POST", "sign/ed", r#"{"input":"YQ==","hash_algorithm":"x"}"#, 400, &[], Same),
    Fact(
        "POST",
        "sign/ed",
        r#"{"input":"YQ==","marshaling_algorithm":"jws"}"#,
        200,
        &["key_version", "signature"],
        Same,
    ),
    Fact("POST", "sign/ed", r#"{"input":"YQ==","marshaling_algorithm":"x"}"#, 400, &[], Same),
    Fact(
        "POST",
        "sign/ed",
        r#"{"input":"YQ==","signature_algorithm":"pss"}"#,
        200,
        &["key_version", "signature"],
        Same,
    ),
    Fact(
        "POST",
        "sign/ed",
        r#"{"input":"YQ==","signature_algorithm":"x"}"#,
        200,
        &["key_version", "signature"],
        Status(400, REFUSED),
    ),
    Fact(
        "POST",
        "sign/ed",
        r#"{"input":"YQ==","prehashed":true}"#,
        200,
        &["key_version", "signature"],
        Status(400, "Ed25519 signs messages"),
    ),
    Fact("POST", "sign/ed", r#"{"input":"YQ==","key_version":4}"#, 500, &[], Status(400, REFUSED)),
    Fact(
        "POST",
        "sign/ec",
        r#"{"input":"MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=","prehashed":true}"#,
        200,
        &["key_version", "signature"],
        Same,
    ),
    Fact(
        "POST",
        "sign/ec",
        r#"{"input":"YQ==","prehashed":true}"#,
        200,
        &["key_version", "signature"],
        Status(400, "a digest has its length"),
    ),
    Fact("POST", "sign/ec", r#"{"input":"YQ==","hash_algorithm":"none"}"#, 400, &[], Same),
    Fact("POST", "sign/ec/x", r#"{"input":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "sign/e", r#"{"input":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "sign/none", r#"{"input":"YQ=="}"#, 400, &[], Same),
    Fact("POST", "verify/none", r#"{"input":"YQ==","signature":"x"}"#, 400, &[], Same),
    Fact("POST", "keys/imp/import", "{}", 500, &[], Status(400, REFUSED)),
    Fact("POST", "keys/imp/import", r#"{"ciphertext":"!!"}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "keys/none/import_version", r#"{"ciphertext":"YQ=="}"#, 500, &[], Status(400, REFUSED)),
    Fact("POST", "keys/imp/import", r#"{"ciphertext":"YQ==","hash_function":"X"}"#, 400, &[], Same),
    Fact("LIST", "keys", r#"{"limit":2}"#, 200, &["keys"], Same),
    Fact("POST", "keys/a..b", "{}", 200, KEY, Status(400, "no name of a key has two dots in a row")),
];

#[test]
fn openbao_is_answered_alike_or_otherwise_on_purpose() {
    let world = World::new();
    compare(|method, path, body| world.ask(method, path, body));
}

/// Sends all requests, and compares the answers.
pub(super) fn compare(mut ask: impl FnMut(&str, &str, &str) -> Reply) {
    let (mut ciphertext, mut signatures, mut hmac, mut backup) =
        (String::new(), [String::new(), String::new()], String::new(), String::new());
    let mut differ = 0;
    for Fact(method, path, body, status, fields, ours) in FACTS {
        let body = body
            .replace("$C", &ciphertext)
            .replace("$S", &signatures[0])
            .replace("$E", &signatures[1])
            .replace("$H", &hmac)
            .replace("$B", &backup);
        let reply = ask(method, path, &body);
        let (expected, without) = match ours {
            Same => (*status, &[][..]),
            Status(other, why) => {
                assert!(other != status && !why.is_empty(), "{method} {path} {body}");
                (*other, &[][..])
            }
            Without(fields, why) => {
                assert!(!fields.is_empty() && !why.is_empty());
                (*status, *fields)
            }
        };
        differ += usize::from(!matches!(ours, Same));
        assert_eq!(reply.status, expected, "{method} {path} {body}: {reply:?}");
        if reply.status == *status {
            let has: BTreeSet<&str> =
                reply.data.as_object().into_iter().flat_map(|data| data.keys().map(String::as_str)).collect();
            let lacks: Vec<&&str> =
                fields.iter().filter(|field| !has.contains(**field) && !without.contains(field)).collect();
            assert!(lacks.is_empty(), "{method} {path} {body}: {lacks:?}");
        }
        let text = |field: &str| reply.data.get(field).and_then(Value::as_str).map(str::to_owned);
        ciphertext = text("ciphertext").unwrap_or(ciphertext);
        hmac = text("hmac").unwrap_or(hmac);
        backup = text("backup").unwrap_or(backup);
        if let (Some(signature), Some(index)) =
            (text("signature"), ["sign/ed", "sign/ec"].iter().position(|sign| sign == path))
        {
            signatures[index] = signature;
        }
    }
    assert!(FACTS.len() > 150 && differ < FACTS.len() / 3, "{differ} of {}", FACTS.len());
}
