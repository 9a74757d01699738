//! Seeds for fuzz targets out of test vectors, so that no byte of them is kept twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Larger vectors slow a fuzzer down more than they tell it.
const LARGEST_SEED: usize = 16 * 1_024;

/// Cuts seeds out of a vector.
type Cut = fn(&Value) -> Vec<Vec<u8>>;

/// Writes seeds for the target, if there are vectors for it, and returns the folder they are in.
pub(crate) fn from_vectors(workspace: &Workspace, target: &str) -> Result<Option<PathBuf>, Failure> {
    let (of, cut): (&str, Cut) = match target {
        // Behind a zero: the genuine archive is not altered, and this one is read.
        "archive" => ("archive", |vector| {
            base64(&vector["archive"]).map(|file| [b"\0", &file[..]].concat()).into_iter().collect()
        }),
        "audit_event" => ("audit", |vector| hex(&vector["stored"]).into_iter().collect()),
        "audit_note" => ("audit", |vector| [text(&vector["note"]), text(&vector["proof"])].concat()),
        "context" => ("seal", |vector| hex(&vector["context_cbor"]).into_iter().collect()),
        "entry" => ("store", |vector| hex(&vector["entry"]).into_iter().collect()),
        "fleche_file" => ("fleche", |vector| hex(&vector["file"]).into_iter().collect()),
        "identity" => ("identity", |vector| text(&vector["file"])),
        "keyring_rows" => ("keyring", |vector| documents(vector, &["wraps", "keys", "key_versions", "key_ids"])),
        "namespace_settings" => ("store_settings", |vector| hex(&vector["message"]).into_iter().collect()),
        "quarantine_record" => ("store_quarantine", |vector| hex(&vector["message"]).into_iter().collect()),
        "seal_open" => ("seal", |vector| sealed_value(vector).into_iter().collect()),
        "seal_text" => ("seal", |vector| text(&vector["text"])),
        "seal_to" => ("sealed_to", |vector| hex(&vector["sealed"]).into_iter().chain(text(&vector["text"])).collect()),
        "trust_record" => ("keyring", |vector| documents(vector, &["trust_log"])),
        _ => return Ok(None),
    };
    let mut seeds = BTreeSet::new();
    for vector in vectors(&workspace.root.join("spec/vectors").join(of))? {
        seeds.extend(cut(&vector).into_iter().filter(|seed| seed.len() <= LARGEST_SEED));
    }
    if seeds.is_empty() {
        return Err(Failure::new(format!("no vector of spec/vectors/{of} is a seed for the fuzz target {target}")));
    }

    let folder = workspace.root.join("fuzz/target/seeds").join(target);
    if folder.exists() {
        // Vectors may have gone since.
        fs::remove_dir_all(&folder).map_err(Failure::on(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(Failure::on(&folder))?;
    for (number, seed) in seeds.iter().enumerate() {
        let file = folder.join(format!("{number:04}"));
        fs::write(&file, seed).map_err(Failure::on(&file))?;
    }
    Ok(Some(folder))
}

fn vectors(folder: &Path) -> Result<Vec<Value>, Failure> {
    let mut vectors = Vec::new();
    for entry in folder.read_dir().map_err(Failure::on(folder))? {
        let path = entry.map_err(Failure::on(folder))?.path();
        if path.extension().is_some_and(|end| end == "json") {
            let json = fs::read(&path).map_err(Failure::on(&path))?;
            let vector = serde_json::from_slice(&json);
            vectors.push(vector.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?);
        }
    }
    Ok(vectors)
}

/// What `fuzz/fuzz_targets/seal_open.rs` reads: material, key-version id, context and sealed value.
fn sealed_value(vector: &Value) -> Option<Vec<u8>> {
    let material = hex(&vector["material"])?;
    let context = hex(&vector["context_cbor"])?;
    let mut seed = u16::try_from(material.len()).ok()?.to_be_bytes().to_vec();
    seed.extend(material);
    seed.extend(hex(&vector["key_version"])?);
    seed.extend(u16::try_from(context.len()).ok()?.to_be_bytes());
    seed.extend(context);
    seed.extend(hex(&vector["sealed"])?);
    Some(seed)
}

/// The documents of some collections of a database.
fn documents(vector: &Value, collections: &[&str]) -> Vec<Vec<u8>> {
    let found = collections.iter().filter_map(|name| vector["documents"][name].as_object());
    found.flat_map(|documents| documents.values().filter_map(hex)).collect()
}

fn text(value: &Value) -> Vec<Vec<u8>> {
    value.as_str().map(|text| text.as_bytes().to_vec()).into_iter().collect()
}

fn base64(value: &Value) -> Option<Vec<u8>> {
    BASE64.decode(value.as_str()?.as_bytes()).ok()
}

/// Bytes in hex or, where they are many, in base64.
fn hex(value: &Value) -> Option<Vec<u8>> {
    match base64(&value["base64"]) {
        Some(bytes) => Some(bytes),
        None => HEXLOWER.decode(value.as_str()?.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vector_becomes_a_seed() {
        let mut vector =
            json!({ "material": "0102", "key_version": "aaaaaaaaaaaaaaaa", "context_cbor": "83", "sealed": "424c41" });
        let seed = b"\0\x02\x01\x02\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\0\x01\x83BLA";
        assert_eq!(sealed_value(&vector).unwrap(), seed);
        vector["sealed"] = json!({ "base64": "QkxB" });
        assert_eq!(sealed_value(&vector).unwrap(), seed);
    }

    #[test]
    fn documents_are_those_of_their_collections() {
        let vector = json!({ "documents": { "keys": { "61": "00", "62": "01" }, "wraps": { "63": "02" } } });
        assert_eq!(documents(&vector, &["keys", "key_ids"]), [[0], [1]]);
    }

    #[test]
    fn a_vector_without_the_member_is_no_seed() {
        let vector = json!({ "text": "bulla:v1:" });
        assert_eq!(sealed_value(&vector), None);
        assert_eq!(text(&vector["text"]), [b"bulla:v1:"]);
        assert_eq!(documents(&vector, &["keys"]), Vec::<Vec<u8>>::new());
    }
}
