//! Wraps against Tink, an independent implementation of HPKE with X-Wing, in both directions.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_keyring::format::{WRAPS, Wrap};
use bulla_keyring::{Algorithm, Keyring};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::secrets::seeds;
use crate::setting::{Setting, context, name};

const VARIABLE: &str = "BULLA_TEST_PYTHON";

#[test]
fn tink_unwraps_what_we_wrap_and_we_unwrap_what_tink_wraps() {
    let setting = Setting::new();
    let keyring = setting.create();
    let orders = name("orders");
    let context = context(&keyring, 1);
    let sealed = pollster::block_on(async {
        keyring.create_key(&orders, Algorithm::default()).await.unwrap();
        keyring.seal(&orders, &context, b"42").await.unwrap()
    });

    let document = setting.all(WRAPS).remove(0);
    let wrap = Wrap::decode(&document.value).unwrap();
    let answer = tink(&request(&setting, &keyring, &wrap));
    let theirs = decode(&answer, "wrapped");
    assert_ne!(theirs, wrap.wrapped.as_slice());
    let wrapped = Box::new(theirs.try_into().unwrap());
    setting.overwrite(WRAPS, &document.key, &Wrap { wrapped, ..wrap }.encode());

    let reopened = setting.open(keyring.pin()).unwrap();
    assert_eq!(pollster::block_on(reopened.open_sealed(&orders, &context, &sealed)).unwrap(), b"42");
}

/// Returns the data key of a project, as Tink unwraps it.
pub(crate) fn unwrap_with_tink(setting: &Setting, keyring: &Keyring) -> Vec<u8> {
    let wrap = Wrap::decode(&setting.all(WRAPS)[0].value).unwrap();
    decode(&tink(&request(setting, keyring, &wrap)), "dek")
}

fn request(setting: &Setting, keyring: &Keyring, wrap: &Wrap) -> Value {
    let machine = setting.identity.fingerprint();
    let info = [b"bulla/dek/wrap/v1", &keyring.project().0[..], &wrap.epoch.to_be_bytes(), &machine.0].concat();
    json!({
        "private": HEXLOWER.encode(&seeds(&setting.identity).0),
        "public": HEXLOWER.encode(setting.identity.public().encryption()),
        "info": HEXLOWER.encode(&info),
        "wrapped": HEXLOWER.encode(wrap.wrapped.as_slice()),
    })
}

fn decode(answer: &Value, member: &str) -> Vec<u8> {
    HEXLOWER.decode(answer[member].as_str().unwrap().as_bytes()).unwrap()
}

fn tink(request: &Value) -> Value {
    let python = interpreter();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tink_wrap.py");
    let hint = format!(
        "make the Python environment with `cargo xtask venv`, or set {VARIABLE} to an interpreter that has the packages of \
         spec/requirements.txt"
    );
    let mut child = Command::new(&python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("could not run `{}`: {error}; {hint}", python.display()));
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` failed: {said}\n{hint}", python.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn interpreter() -> PathBuf {
    std::env::var_os(VARIABLE)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python"), PathBuf::from)
}
