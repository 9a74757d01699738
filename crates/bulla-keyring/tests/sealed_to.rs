//! The vectors in `spec/vectors/sealed_to/`, written by an independent implementation.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use bulla_keyring::{SealToKey, SealedToStream, XWingKey};
use bulla_seal::{Context, KeyVersionId, OpenError, ProjectId, Secret};
use data_encoding::HEXLOWER;
use serde_json::Value;

#[test]
fn every_vector_is_opened_or_refused_as_it_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/sealed_to");
    let mut outcomes = BTreeMap::<String, usize>::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        match vector.get("text") {
            Some(text) => check_text(&file, &vector, text.as_str().unwrap()),
            None => check_sealed(&file, &vector),
        }
        *outcomes.entry(vector["expect"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let good = outcomes["ok"];
    let hostile = outcomes.values().sum::<usize>() - good;
    assert!(good >= 6 && hostile >= 50, "{outcomes:?}");
}

fn check_text(file: &str, vector: &Value, text: &str) {
    let read = text.parse::<SealToKey>();
    if vector["expect"] == "ok" {
        let read = read.unwrap();
        assert_eq!(read, holder(vector).seal_to(vector["key"].as_str().unwrap().parse().unwrap()), "{file}");
        assert_eq!(read.to_string(), text, "{file}");
        // What we seal to the key that another implementation wrote opens with its private key.
        let context = Context::user(&read.project()).build().unwrap();
        let sealed = read.seal(&context, b"a message").unwrap();
        assert_eq!(holder(vector).open(&context, &sealed).unwrap(), b"a message");
    } else {
        assert!(read.is_err(), "{file}");
    }
}

fn check_sealed(file: &str, vector: &Value) {
    let sealed = hex(&vector["sealed"]);
    let context = context(vector);
    for (door, opened) in
        [("open", holder(vector).open(&context, &sealed)), ("stream", stream(&holder(vector), &context, &sealed))]
    {
        match opened {
            Ok(message) => {
                assert_eq!(vector["expect"], "ok", "{file} was opened by {door}");
                assert_eq!(message, hex(&vector["message"]), "{file}");
            }
            Err(error) => assert_eq!(error.code(), vector["expect"], "{file}: refused by {door}"),
        }
    }
}

fn stream(holder: &XWingKey, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut message = Vec::new();
    let mut reader = SealedToStream::new(sealed).and_then(|stream| stream.open(holder, context)).map_err(open_error)?;
    reader.read_to_end(&mut message).map_err(open_error)?;
    Ok(message)
}

fn open_error(error: io::Error) -> OpenError {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    *error.into_inner().unwrap().downcast().unwrap()
}

fn holder(vector: &Value) -> XWingKey {
    let id = KeyVersionId(hex(&vector["key_version"]).try_into().unwrap());
    let seed = Secret::from_slice(&hex(&vector["seed"])).unwrap();
    XWingKey::new(project(&vector["project"]), id, seed).unwrap()
}

fn context(vector: &Value) -> Context {
    let json = &vector["context"];
    let builder = Context::in_domain(json["domain"].as_str().unwrap(), &project(&json["project"]));
    let builder = json["map"].as_object().unwrap().iter().fold(builder, |builder, (name, value)| match value {
        Value::String(text) => builder.text(name, text),
        number => builder.uint(name, number.as_u64().unwrap()),
    });
    assert_eq!(builder.clone().encode().unwrap(), hex(&vector["context_cbor"]));
    builder.build().unwrap()
}

fn project(json: &Value) -> ProjectId {
    ProjectId(hex(json).try_into().unwrap())
}

fn hex(json: &Value) -> Vec<u8> {
    HEXLOWER.decode(json.as_str().unwrap().as_bytes()).unwrap()
}
