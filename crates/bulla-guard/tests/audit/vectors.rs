//! The vectors that a second implementation wrote, read by ours.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::testing::SimDisk;
use bulla_backend::{Disk, OpenMode};
use bulla_guard::audit::{
    AuditError, Checkpoint, Export, Frontier, Hash, LogReader, LoggedEvent, NoteError, NoteKey, Origin, Proof,
    SignedNote, Stored, Verdict, consistency_proof, inclusion_proof, leaf_hash, tiles_of, verify_consistency,
    verify_inclusion,
};
use bulla_seal::VerifyingKey;
use data_encoding::HEXLOWER;
use serde_json::Value as Json;

fn hex(value: &Json) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn hash(value: &Json) -> Hash {
    hex(value).try_into().unwrap()
}

fn hashes(value: &Json) -> Vec<Hash> {
    value.as_array().unwrap().iter().map(hash).collect()
}

fn origin(vector: &Json) -> Origin {
    let public = VerifyingKey(hash(&vector["public"]));
    Origin::new(vector["origin"].as_str().unwrap(), public).unwrap()
}

fn note(found: Result<(), NoteError>) -> &'static str {
    found.map_or_else(NoteError::code, |()| "ok")
}

/// What our reader finds; it has checked what is said besides.
fn judge(vector: &Json) -> &'static str {
    match vector["kind"].as_str().unwrap() {
        "event" => event(vector),
        "note" => {
            let keys: Vec<NoteKey> =
                vector["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect();
            let bytes = vector["note"].as_str().unwrap().as_bytes();
            note(SignedNote::parse(bytes).and_then(|note| note.open(&keys).map(drop)))
        }
        "checkpoint" => {
            let read = Checkpoint::read(vector["note"].as_str().unwrap().as_bytes(), &origin(vector));
            if let Ok(read) = &read {
                assert_eq!((Some(read.size()), *read.root()), (vector["size"].as_u64(), hash(&vector["root"])));
            }
            note(read.map(drop))
        }
        "tree" => tree(vector),
        "inclusion" => {
            let [leaf, root] = ["leaf", "root"].map(|name| hash(&vector[name]));
            let [index, size] = ["index", "size"].map(|name| vector[name].as_u64().unwrap());
            refused(verify_inclusion(&leaf, index, size, &hashes(&vector["proof"]), &root))
        }
        "consistency" => {
            let [old_root, root] = ["old_root", "root"].map(|name| hash(&vector[name]));
            let [old, size] = ["old", "size"].map(|name| vector[name].as_u64().unwrap());
            refused(verify_consistency(old, &old_root, size, &root, &hashes(&vector["proof"])))
        }
        "tiles" => {
            let paths: Vec<String> =
                tiles_of(0, vector["size"].as_u64().unwrap()).map(|tile| tile.to_string()).collect();
            let expected: Vec<&str> =
                vector["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
            assert_eq!(paths, expected);
            "ok"
        }
        "log" => log(vector),
        "proof" => match vector["proof"].as_str().unwrap().parse::<Proof>() {
            Err(error) => error.code(),
            Ok(proof) => proof
                .verify(&hex(&vector["stored"]), &origin(vector))
                .map_or_else(|error: AuditError| error.code(), |_| "ok"),
        },
        other => panic!("there is no kind {other}"),
    }
}

const fn refused(is_proven: bool) -> &'static str {
    if is_proven { "ok" } else { "refused" }
}

fn event(vector: &Json) -> &'static str {
    let stored = Stored { index: 0, bytes: hex(&vector["stored"]) };
    let Ok(event) = LoggedEvent::parse(&stored.bytes) else { return "malformed" };
    assert_eq!(event.encode(), stored.bytes);
    let mut line: Json = serde_json::from_str(&Export::Json.line(&stored)).unwrap();
    line.as_object_mut().unwrap().remove("time").unwrap();
    assert_eq!(line, vector["json"]);
    "ok"
}

fn tree(vector: &Json) -> &'static str {
    let leaves: Vec<Vec<u8>> = vector["leaves"].as_array().unwrap().iter().map(hex).collect();
    let (roots, size) = (hashes(&vector["roots"]), leaves.len() as u64);
    let mut tree = Frontier::new();
    assert_eq!(tree.root(), roots[0]);
    for (leaf, root) in leaves.iter().zip(&roots[1..]) {
        tree.push(leaf);
        assert_eq!(tree.root(), *root);
    }
    let each = || leaves.iter().map(|leaf| Ok::<_, ()>(leaf_hash(leaf)));
    for (index, proof) in (0..).zip(vector["inclusion"].as_array().unwrap()) {
        assert_eq!(inclusion_proof(index, size, each()).unwrap().unwrap(), hashes(proof));
    }
    for (old, proof) in (1..).zip(vector["consistency"].as_array().unwrap()) {
        assert_eq!(consistency_proof(old, size, each()).unwrap().unwrap(), hashes(proof));
    }
    "ok"
}

fn log(vector: &Json) -> &'static str {
    let (disk, folder) = (SimDisk::new(), Path::new("/log"));
    disk.create_folder(folder).unwrap();
    for (name, bytes) in vector["files"].as_object().unwrap() {
        disk.open(&folder.join(name), OpenMode::CreateNew).unwrap().write_at(0, &hex(bytes)).unwrap();
    }
    let origin = origin(vector);
    let outside = vector["outside"].as_str().map(|note| Checkpoint::read(note.as_bytes(), &origin).unwrap());
    let verdict = LogReader::new(Arc::new(disk), folder, origin).verify(outside.as_ref());
    if let Verdict::Ok(verified) = &verdict {
        assert_eq!((Some(verified.size), verified.root), (vector["size"].as_u64(), hash(&vector["root"])));
    }
    verdict.code()
}

#[test]
fn every_vector_is_judged_as_the_second_implementation_judges_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/audit");
    let (mut all, mut hostile) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let vector: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(judge(&vector), vector["expect"], "{}", path.display());
        all += 1;
        hostile += usize::from(path.file_name().unwrap().to_str().unwrap().starts_with("hostile_"));
    }
    assert!(all > 150 && hostile * 2 > all, "{hostile} of {all}");
}
