//! The vectors of `spec/vectors/fleche`: files that fleche itself wrote, and hostile ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bulla_store::{FlecheFile, FlecheKeys, FlecheName};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

#[test]
fn every_vector_ends_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/fleche");
    let mut outcomes = BTreeMap::<String, usize>::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let label = path.file_name().unwrap().to_string_lossy().into_owned();
        let expect = vector["expect"].as_str().unwrap();
        match read(&vector) {
            Err(code) => assert_eq!(code, expect, "{label}"),
            Ok(file) => {
                assert_eq!(expect, "ok", "{label}");
                assert_eq!(file.payload, bytes(&vector["payload"]), "{label}");
                assert_eq!(file.verified_by.map(|position| position as u64), vector["verified_by"].as_u64(), "{label}");
                assert_eq!(
                    (file.signed, file.gzipped),
                    (vector["signed"] == true, vector["gzipped"] == true),
                    "{label}"
                );
                assert_eq!(file.kind().name(), vector["kind"], "{label}");
                let told = FlecheName::of_payload(&file.payload).map(|name| name.to_string());
                assert_eq!(told.as_deref(), vector["name"].as_str(), "{label}");
            }
        }
        *outcomes.entry(expect.to_owned()).or_default() += 1;
    }
    println!("{outcomes:?}");
    assert!(outcomes["ok"] >= 12 && outcomes.values().sum::<usize>() >= 40, "the vectors are all there: {outcomes:?}");
}

fn read(vector: &Value) -> Result<FlecheFile, &'static str> {
    let keys = vector["keys"].as_str().map(str::parse::<FlecheKeys>).transpose().map_err(|error| error.code())?;
    let max_len = vector["max_len"].as_u64().unwrap();
    FlecheFile::open(bytes(&vector["file"]), keys.as_ref(), max_len).map_err(|fault| fault.code())
}

fn bytes(value: &Value) -> Vec<u8> {
    match value["base64"].as_str() {
        Some(text) => BASE64.decode(text.as_bytes()).unwrap(),
        None => HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap(),
    }
}
