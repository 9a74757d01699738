use std::fs;

use bulla_store::{FlecheError, FlecheName};
use serde_json::json;
use tempfile::tempdir;

use super::peer::{take, texts};
use super::{OLD_KEY, assert_code, open};

/// Plain data of every kind, as Python writes it.
const PLAIN: &[&str] = &[
    "None",
    "True",
    "False",
    "0",
    "1",
    "-1",
    "127",
    "128",
    "255",
    "256",
    "-128",
    "-129",
    "65535",
    "65536",
    "-65536",
    "2**31 - 1",
    "2**31",
    "-2**31",
    "-2**31 - 1",
    "2**63",
    "-2**63",
    "2**64 - 1",
    "2**100",
    "-2**100",
    "2**126",
    "0.0",
    "-0.0",
    "1.0",
    "-1.0",
    "-2.0",
    "0.1",
    "-0.1",
    "2.5",
    "1e300",
    "-1e300",
    "5e-324",
    "1.7976931348623157e308",
    "float('inf')",
    "float('-inf')",
    "float('nan')",
    "1e15",
    "123456789.125",
    "2.0**61",
    "2.0**61 - 2.0**9",
    "''",
    "'a'",
    "'größe'",
    "'\\U0001f600'",
    "'x' * 300",
    "b''",
    "b'a.'",
    "bytes(range(256))",
    "b'x' * 70_000",
    "[]",
    "()",
    "{}",
    "[1]",
    "(1,)",
    "(1, 2)",
    "(1, 2, 3)",
    "(1, 2, 3, 4)",
    "[[1], [2, [3]]]",
    "{'a': 1}",
    "{1: 'a', 'b': (2.5, None)}",
    "{'z': {'y': {'x': []}}}",
    "[{'a': [1, 2]}, {'a': [1, 2]}]",
    "((), [], {})",
    "list(range(3000))",
    "{n: str(n) for n in range(2000)}",
    "[True, 1, 1.0]",
    "{(1, 2): 'pair'}",
];

/// What takes more than reading.
const OTHER: &[&str] =
    &["numpy.float64(1.5)", "numpy.zeros(3)", "{1, 2}", "frozenset([1])", "complex(1, 2)", "2**200", "range(3)"];

#[test]
fn the_name_of_plain_data_follows_from_its_file() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    // A folder for each: fleche gives one name to 1 and 1.0.
    let steps: Vec<_> = PLAIN
        .iter()
        .chain(OTHER)
        .enumerate()
        .map(|(at, value)| json!({ "do": "save", "root": root.join(at.to_string()), "keys": OLD_KEY, "values": [value] }))
        .collect();
    let mut files = 0;
    for (at, (answer, value)) in take(&steps).iter().zip(PLAIN.iter().chain(OTHER)).enumerate() {
        let [saved] = &texts(answer, "names")[..] else { panic!("{answer}") };
        let directory = open(&root.join(at.to_string()), Some(OLD_KEY));
        let names = directory.list().unwrap().names;
        assert!(names.iter().any(|name| name.to_string() == *saved), "{value}");
        for name in names {
            let told = FlecheName::of_payload(&directory.load(&name).unwrap().payload);
            let is_other = at >= PLAIN.len() && name.to_string() == *saved;
            assert_eq!(told, (!is_other).then_some(name), "{value}");
            files += 1;
        }
    }
    println!("{files} files");
    assert!(files > 80, "{files} files");
}

#[test]
fn a_signed_file_that_was_moved_is_found_by_its_payload() {
    let folder = tempdir().unwrap();
    let (values, calls) = (folder.path().join("values"), folder.path().join("calls"));
    let call =
        |argument: i32| json!({ "do": "call", "root": values, "calls": calls, "keys": OLD_KEY, "argument": argument });
    take(&[call(1), call(2)]);
    for root in [&values, &calls] {
        let directory = open(root, Some(OLD_KEY));
        let names = directory.list().unwrap().names;
        let (first, second) = (names[0], names[1]);
        let content = fs::read(directory.path(&first)).unwrap();
        fs::write(directory.path(&second), content).unwrap();

        // The signature alone does not tell.
        let payload = directory.load(&second).unwrap().payload;
        assert_eq!(payload, directory.load(&first).unwrap().payload);
        let mut findings = Vec::new();
        let counts = directory
            .verify(&mut FlecheName::of_payload, &mut |event| {
                if let bulla_store::WalkEvent::Found(finding) = event {
                    findings.push(finding);
                }
            })
            .unwrap();
        assert_eq!((counts.files + 1, counts.names + 1, counts.refused), (names.len() as u64, names.len() as u64, 1));
        let [bulla_store::Finding::Fleche(FlecheError::WrongDigest { digest, .. })] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert_eq!((*digest, findings[0].code()), (first, "wrong_digest"));
    }
    // fleche returns the other's value, or says that the other call was made.
    let moved = open(&values, Some(OLD_KEY)).list().unwrap().names[1];
    let answer = &take(&[json!({ "do": "load", "root": values, "keys": OLD_KEY, "name": moved.to_string() })])[0];
    assert!(answer["value"].is_string(), "{answer}");
    assert_code(open(&values, None).load(&FlecheName([1; 32])), "not_found");
}
