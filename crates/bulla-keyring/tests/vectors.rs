//! The vectors in `spec/vectors/keyring/`, written by an independent implementation.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::{Clock, Collection, DocumentKey, Documents, Durability, Expected, MemoryDocuments, Timestamp};
use bulla_keyring::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{
    Capability, Identity, Keyring, KeyringError, PublicKey, RecoveryWords, Request, RotationPhase, TrustPin,
};
use bulla_seal::{Context, ProjectId, SecretVec};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::setting::{code, name};

const JOBS: Collection = Collection::new("jobs", Durability::Durable);
const LEASES: Collection = Collection::new("leases", Durability::Durable);

#[test]
fn every_vector_is_found_as_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/keyring");
    let (mut good, mut hostile, mut differing) = (0, 0, Vec::new());
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        differing.extend(differences(&vector).into_iter().map(|difference| format!("{file}: {difference}")));
        if file.starts_with("ok_") {
            good += 1;
        } else {
            assert!(file.starts_with("hostile_"), "{file}");
            hostile += 1;
        }
    }
    differing.sort();
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert!(good >= 185 && hostile >= 565, "{good} good, {hostile} hostile");
}

/// Says where what is found is not what the vector promises.
fn differences(vector: &Value) -> Vec<String> {
    let mut found = Differences(Vec::new());
    if let Some(request) = vector["request"].as_str() {
        found.request(vector, request);
    } else if let Some(words) = vector["words"].as_str() {
        found.words(vector, words);
    } else if let Some(pin) = vector["pin_text"].as_str() {
        let read = pin.parse::<TrustPin>();
        found.compare("pin", &json!(if read.is_ok() { "ok" } else { "refused" }), &vector["expect"]);
        assert!(read.is_err() || read.unwrap().to_string() == pin, "{pin}");
    } else {
        found.project(vector);
    }
    found.0
}

struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, what: &str, found: &Value, promised: &Value) {
        if found != promised {
            self.0.push(format!("{what}: {found}, promised {promised}"));
        }
    }

    fn request(&mut self, vector: &Value, text: &str) {
        let read = text.parse::<Request>();
        self.compare("request", &json!(if read.is_ok() { "ok" } else { "refused" }), &vector["expect"]);
        if let Ok(request) = read {
            self.compare("fingerprint", &json!(request.fingerprint().to_string()), &vector["fingerprint"]);
            let project = request.project().map(|project| HEXLOWER.encode(&project.0));
            self.compare("project", &json!(project), &vector["project"]);
            self.compare("name", &json!(request.name().as_str()), &vector["name"]);
            self.compare("time", &json!(request.time().0), &vector["time"]);
        }
    }

    fn words(&mut self, vector: &Value, words: &str) {
        let read = words.parse::<RecoveryWords>();
        self.compare("words", &json!(if read.is_ok() { "ok" } else { "refused" }), &vector["expect"]);
        if let Ok(words) = read {
            let identity = words.identity().unwrap();
            self.compare("fingerprint", &json!(identity.fingerprint().to_string()), &vector["fingerprint"]);
        }
    }

    fn project(&mut self, vector: &Value) {
        let documents = MemoryDocuments::new();
        for (collection, rows) in vector["documents"].as_object().unwrap() {
            for (key, value) in rows.as_object().unwrap() {
                let key = DocumentKey::new(hex(key)).unwrap();
                let value = hex(text(value));
                let write = documents.put(collection_of(collection), &key, &value, Expected::Any);
                pollster::block_on(write).unwrap();
            }
        }
        let identity = Arc::new(Identity::from_text(text(&vector["identity"])).unwrap());
        let pin: TrustPin = text(&vector["pin"]).parse().unwrap();
        let clock = Arc::new(ClockOf(Timestamp(vector["now"].as_u64().unwrap())));
        let open = || {
            let (documents, identity, clock) = (Arc::new(documents.clone()), identity.clone(), clock.clone());
            pollster::block_on(Keyring::open(documents, identity, pin.clone(), clock))
        };
        match open() {
            Ok(keyring) => {
                self.compare("expect", &json!("ok"), &vector["expect"]);
                if vector["expect"] == "ok" {
                    self.trusted(vector, &keyring);
                    self.keys(vector, &keyring, "at once");
                    // What the values prepare must not answer for keys that lead astray, nor the other way round.
                    let keyring = open().unwrap();
                    self.values(vector, &keyring);
                    self.keys(vector, &keyring, "behind the values");
                    self.uses(vector, &open().unwrap());
                }
            }
            Err(error) => {
                let position = match &error {
                    KeyringError::TrustLog(error) => json!(error.position),
                    _ => Value::Null,
                };
                self.compare(
                    "expect",
                    &json!([error.code(), position]),
                    &json!([vector["expect"], vector["position"]]),
                );
            }
        }
    }

    fn trusted(&mut self, vector: &Value, keyring: &Keyring) {
        self.compare("head", &json!(keyring.pin().to_string()), &vector["head"]);
        let machines: serde_json::Map<String, Value> = keyring
            .machines()
            .into_iter()
            .map(|(machine, granted)| (machine.to_string(), json!([granted.name.as_str(), number(granted.capability)])))
            .collect();
        self.compare("machines", &Value::Object(machines), &vector["machines"]);
        let waiting = pollster::block_on(keyring.pending()).unwrap();
        let waiting: Vec<u64> = waiting.iter().map(|waits| waits.position).collect();
        self.compare("waiting", &json!(waiting), &vector["waiting"]);
        self.compare("two_person", &json!(pollster::block_on(keyring.two_person()).unwrap()), &vector["two_person"]);
        self.compare("owed", &json!(pollster::block_on(keyring.rotation_owed()).unwrap()), &vector["owed"]);
        let rotation = pollster::block_on(keyring.rotation()).unwrap().map(|found| {
            json!({
                "epoch": found.epoch, "phase": phase(found.phase),
                "keys": found.keys, "versions": found.versions, "damaged": found.damaged, "external": found.external,
                "started": found.started.0, "changed": found.changed.0,
            })
        });
        self.compare("rotation", &json!(rotation), &vector["rotation"]);
    }

    fn keys(&mut self, vector: &Value, keyring: &Keyring, when: &str) {
        for (key, promised) in vector["keys"].as_object().unwrap() {
            let current = pollster::block_on(keyring.current(&name(key)));
            self.compare(&format!("key {key} {when}"), &json!(code(current)), promised);
        }
    }

    fn values(&mut self, vector: &Value, keyring: &Keyring) {
        for (at, value) in vector["values"].as_array().unwrap().iter().enumerate() {
            let (context, sealed) = (context(&value["context"]), hex(text(&value["sealed"])));
            let opened = pollster::block_on(keyring.open_sealed(&name(text(&value["key"])), &context, &sealed));
            let message = opened.as_ref().ok().map(|message| HEXLOWER.encode(message));
            let promised = json!([value["expect"], value["message"]]);
            self.compare(&format!("value {at}"), &json!([code(opened), message]), &promised);
        }
    }

    fn uses(&mut self, vector: &Value, keyring: &Keyring) {
        for (at, asked) in vector["uses"].as_array().unwrap().iter().enumerate() {
            let (found, result) = match used(keyring, asked) {
                Ok(result) => ("ok", result),
                Err(error) => (error.code(), Value::Null),
            };
            let what = format!("use {at}, {} {}", text(&asked["operation"]), text(&asked["key"]));
            self.compare(&what, &json!([found, result]), &json!([asked["expect"], asked["result"]]));
        }
    }
}

/// Does what a vector asks of a key.
fn used(keyring: &Keyring, asked: &Value) -> Result<Value, KeyringError> {
    let key = name(text(&asked["key"]));
    let bytes = |member: &str| hex(asked[member].as_str().unwrap_or_default());
    let (message, signature, number) = (bytes("message"), bytes("signature"), asked["number"].as_u64());
    pollster::block_on(async {
        Ok(match text(&asked["operation"]) {
            "seal" => keyring.version_to_seal(&key, number.unwrap()).await.map(|_| Value::Null)?,
            "sign" => keyring.sign(&key, &message).await.map(|_| Value::Null)?,
            "hmac" => json!(HEXLOWER.encode(&keyring.hmac(&key, &message).await?)),
            "verify" => json!(keyring.verify(&key, &message, &signature).await?),
            "verify_hmac" => json!(keyring.verify_hmac(&key, &message, &signature).await?),
            "export" => json!(HEXLOWER.encode(keyring.export_version(&key, number.unwrap()).await?.expose())),
            "restore" => json!(keyring.restore_key(&bytes("backup")).await?.versions),
            "newest" => json!(keyring.key(&key).await?.newest),
            "bring" => json!(keyring.import_version(&key, &SecretVec::new(bytes("material"))).await?.number),
            "resume" => keyring.resume_rotation(&mut |_| {}).await.map(|_| Value::Null)?,
            "public" => match keyring.public_key(&key, number).await? {
                PublicKey::Ed25519(key) => json!(HEXLOWER.encode(&key.0)),
                PublicKey::EcdsaP256(key) => json!(HEXLOWER.encode(key.as_bytes())),
                PublicKey::MlDsa65(key) => json!(HEXLOWER.encode(key.as_bytes())),
                PublicKey::XWing(key) => json!(key.to_string()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other}"),
        })
    })
}

#[derive(Debug)]
struct ClockOf(Timestamp);

impl Clock for ClockOf {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn number(capability: Option<Capability>) -> Option<u64> {
    capability.map(|capability| match capability {
        Capability::Use => 1,
        Capability::Authorise => 2,
        Capability::Recovery => 3,
        other => panic!("{other}"),
    })
}

fn phase(phase: RotationPhase) -> u64 {
    match phase {
        RotationPhase::Owed => 2,
        RotationPhase::Keys => 4,
        RotationPhase::Versions => 5,
        RotationPhase::Wraps => 6,
        RotationPhase::Done => 7,
        other => panic!("{other}"),
    }
}

fn context(context: &Value) -> Context {
    let project = ProjectId(hex(text(&context["project"])).try_into().unwrap());
    let fields = context["map"].as_object().unwrap().iter();
    let begun = Context::in_domain(text(&context["domain"]), &project);
    fields.fold(begun, |built, (field, value)| built.uint(field, value.as_u64().unwrap())).build().unwrap()
}

fn collection_of(collection: &str) -> Collection {
    let all = [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES, JOBS, LEASES];
    all.into_iter().find(|known| known.name() == collection).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    HEXLOWER.decode(digits.as_bytes()).unwrap()
}
