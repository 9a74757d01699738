//! Directories of fleche, beside fleche itself.

mod holes;
mod import;
mod interop;
mod names;
mod peer;
mod vectors;

use std::fs;
use std::path::Path;

use bulla_store::{FlecheDirectory, FlecheError, FlecheName};

/// The keys of the source's own example.
const OLD_KEY: &str = "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123";
const NEW_KEY: &str = "aabbccdd0011223344556677aabbccdd0011223344556677aabbccdd00112233";

fn open(root: &Path, keys: Option<&str>) -> FlecheDirectory {
    FlecheDirectory::open(root, keys.map(|text| text.parse().unwrap())).unwrap()
}

fn name(text: &str) -> FlecheName {
    text.parse().unwrap()
}

#[track_caller]
fn assert_code<T>(result: Result<T, FlecheError>, code: &str) {
    match result {
        Ok(_) => panic!("it was accepted where `{code}` was expected"),
        Err(error) => assert_eq!(error.code(), code, "{error}"),
    }
}

/// Every file of a folder, to see that nothing in it was touched.
fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}
