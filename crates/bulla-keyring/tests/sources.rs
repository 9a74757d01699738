//! Sources: what each gives, what each refuses, and that none of them tells.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use bulla_keyring::source::{
    CommandSource, FileSource, HexKeys, MAX_VALUE_LEN, SecretPair, SecretValue, Source, SourceError, SourceSpec,
    callable,
};
use proptest::prelude::*;

fn fetch(source: &dyn Source) -> Result<SecretPair, SourceError> {
    pollster::block_on(source.fetch())
}

fn from(spec: &str) -> Result<SecretPair, SourceError> {
    fetch(&*spec.parse::<SourceSpec>().unwrap().source())
}

fn code(result: Result<SecretPair, SourceError>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[test]
fn sources_are_written_as_text() {
    let command = |program: &str, arguments: &[&str]| SourceSpec::Command {
        program: program.into(),
        arguments: arguments.iter().map(|&argument| argument.into()).collect(),
    };
    for (text, spec) in [
        ("generate", SourceSpec::Generate),
        ("env:NAME", SourceSpec::Environment("NAME".into())),
        ("env:a b:c", SourceSpec::Environment("a b:c".into())),
        ("file:/run/secrets/key", SourceSpec::File("/run/secrets/key".into())),
        ("file:a:b c", SourceSpec::File("a:b c".into())),
        ("command:pass show key", command("pass", &["show", "key"])),
        ("command:  a\t b\n", command("a", &["b"])),
        ("command:a 'b c' \"d e\" f\\ g", command("a", &["b c", "d e", "f g"])),
        ("command:a '' \"\" b''c", command("a", &["", "", "bc"])),
        (
            r#"command:a "\"\\\n" '\' \' $HOME `b` ; | > *"#,
            command("a", &["\"\\\\n", "\\", "'", "$HOME", "`b`", ";", "|", ">", "*"]),
        ),
    ] {
        assert_eq!(text.parse::<SourceSpec>(), Ok(spec.clone()), "{text}");
        assert_eq!(spec.to_string().parse::<SourceSpec>(), Ok(spec), "{text}");
    }
    for hostile in [
        "",
        "Generate",
        "generate:",
        "vault:x",
        "env",
        "env:",
        "env:A=B",
        "file:",
        "command:",
        "command: ",
        "command:''",
        "command:a 'b",
        "command:a \"b",
        "command:a \\",
        "env:A\0",
        "file:\0",
        "command:a \0",
    ] {
        let refused = hostile.parse::<SourceSpec>().unwrap_err();
        assert_eq!(refused.code(), "invalid_source", "{hostile:?}");
    }
    assert!(format!("file:{}", "x".repeat(MAX_VALUE_LEN)).parse::<SourceSpec>().is_err());
}

proptest! {
    #[test]
    fn what_a_source_is_written_as_is_read_as_that_source(
        program in "[^\\x00]{1,12}",
        arguments in prop::collection::vec("[^\\x00]{0,12}", 0..4),
    ) {
        let spec = SourceSpec::Command { program, arguments };
        prop_assert_eq!(spec.to_string().parse(), Ok(spec));
    }
}

#[test]
fn generated_material_is_new_each_time() {
    let (one, other) = (from("generate").unwrap(), from("generate").unwrap());
    assert_eq!(one.forward().expose().len(), 32);
    assert!(one.is_single() && !one.forward().is_text());
    assert!(one != other);
}

#[test]
fn a_variable_gives_its_value() {
    // Cargo sets it for every test.
    let folder = from("env:CARGO_MANIFEST_DIR").unwrap();
    assert_eq!(folder.forward().expose_text(), Some(env!("CARGO_MANIFEST_DIR")));
    let missing = from("env:BULLA_NO_SUCH_VARIABLE").unwrap_err();
    assert_eq!(missing.code(), "source_missing");
    assert_eq!(missing.to_string(), "the environment variable `BULLA_NO_SUCH_VARIABLE` is not set");
}

#[test]
fn a_file_is_read_when_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let source = FileSource::new(&path);
    assert_eq!(code(fetch(&source)), "source_missing");
    let mut marks = Vec::new();
    for (content, value) in [
        (&b"hunter2\n"[..], SecretValue::from("hunter2")),
        (b"hunter3\r\n", "hunter3".into()),
        (b"two\nlines\n\n", "two\nlines\n".into()),
        (b"no end", "no end".into()),
        (b"\xff\x00\n", vec![0xFF, 0, b'\n'].into()),
    ] {
        write_private(&path, content);
        assert!(fetch(&source).unwrap() == value.into(), "{content:x?}");
        let mark = source.mark().unwrap().unwrap();
        assert_eq!(source.mark().unwrap(), Some(mark), "unchanged");
        assert!(!marks.contains(&mark), "{content:x?}");
        marks.push(mark);
    }
    // A file of another name that is moved into place, of the same length and times.
    let other = folder.path().join("other");
    write_private(&other, b"renamed\n");
    fs::rename(&other, &path).unwrap();
    assert_eq!(fetch(&source).unwrap().forward().expose(), b"renamed");
    assert!(!marks.contains(&source.mark().unwrap().unwrap()));
}

#[test]
fn a_file_that_others_can_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write_private(&path, b"hunter2\n");
    for mode in [0o640, 0o604, 0o660, 0o666, 0o644] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = fetch(&FileSource::new(&path)).unwrap_err();
        assert_eq!(refused.code(), "source_exposed", "{mode:o}");
        assert!(refused.to_string().contains(&format!("{mode:04o}")), "{refused}");
        assert_eq!(FileSource::new(&path).mark().unwrap_err().code(), "source_exposed");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(code(fetch(&FileSource::new(&path))), "ok");
}

#[test]
fn a_file_is_bounded_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for (len, expected) in [(0, "source_empty"), (MAX_VALUE_LEN, "ok"), (MAX_VALUE_LEN + 1, "source_too_long")] {
        write_private(&path, &vec![b'k'; len]);
        assert_eq!(code(fetch(&FileSource::new(&path))), expected, "{len}");
    }
    write_private(&path, b"\n");
    assert_eq!(code(fetch(&FileSource::new(&path))), "source_empty");
    assert!(matches!(code(fetch(&FileSource::new(folder.path()))), "source_file" | "source_exposed"));
    // Nobody writes to it, and nobody waits for that.
    let pipe = make_pipe(folder.path());
    assert_eq!(code(fetch(&FileSource::new(&pipe))), "source_file");
    // As container platforms mount secrets: a link that is turned to the next version.
    let link = folder.path().join("link");
    write_private(&path, b"linked");
    symlink(&path, &link).unwrap();
    assert_eq!(fetch(&FileSource::new(&link)).unwrap().forward().expose(), b"linked");
}

#[test]
fn a_command_is_run_by_no_shell() {
    let pair = from("command:printf '%s|' $HOME 'a  b' ; * \"c\"").unwrap();
    assert_eq!(pair.forward().expose_text(), Some("$HOME|a  b|;|*|c|"));
    assert_eq!(from("command:echo hunter2").unwrap().forward().expose_text(), Some("hunter2"));
    // The environment is passed, standard input is empty.
    let folder = from("command:printenv CARGO_MANIFEST_DIR").unwrap();
    assert_eq!(folder.forward().expose_text(), Some(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(code(from("command:cat")), "source_empty");
    let bytes = from(r"command:printf \\377\\012").unwrap();
    assert!(!bytes.forward().is_text());
    assert_eq!(bytes.forward().expose(), b"\xff\n");
}

#[test]
fn a_command_that_fails_is_named_and_not_quoted() {
    let failed = from("command:sh -c 'echo hunter2; echo hunter3 >&2; exit 7'").unwrap_err();
    assert_eq!(failed.code(), "source_command");
    assert!(failed.to_string().starts_with("the command `sh` ended with exit code 7"), "{failed}");
    assert!(!format!("{failed} {failed:?}").contains("hunter"), "{failed:?}");
    let killed = from("command:sh -c 'kill -9 $$'").unwrap_err();
    assert!(killed.to_string().contains("signal 9"), "{killed}");
    let absent = from("command:/no/such/program --token hunter2").unwrap_err();
    assert_eq!(absent.code(), "source_command");
    assert!(absent.to_string().contains("`/no/such/program` could not be run"), "{absent}");
    assert!(!format!("{absent} {absent:?}").contains("hunter"), "{absent:?}");
}

#[test]
fn the_output_of_a_command_is_bounded() {
    let whole = from(&format!("command:head -c {MAX_VALUE_LEN} /dev/zero")).unwrap();
    assert_eq!(whole.forward().expose().len(), MAX_VALUE_LEN);
    assert_eq!(code(from(&format!("command:head -c {} /dev/zero", MAX_VALUE_LEN + 1))), "source_too_long");
    assert_eq!(code(from("command:yes")), "source_too_long");
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = make_pipe(folder.path());
    let watcher = until_nobody_writes(&pipe);
    let script = format!("exec 3>{}; sleep 600 & sleep 600", pipe.display());
    let source = CommandSource::new("sh", ["-c", &script]).with_time(Duration::from_millis(300));
    let refused = fetch(&source).unwrap_err();
    assert_eq!(refused.code(), "source_timed_out");
    assert_eq!(refused.to_string(), "the command `sh` was not done after 300 ms and was killed");
    // It ends once neither the shell nor what it started is left.
    watcher.join().unwrap();
}

#[test]
fn what_a_command_leaves_behind_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = make_pipe(folder.path());
    let watcher = until_nobody_writes(&pipe);
    let script = format!("exec 3>{}; sleep 600 >&- & echo hunter2", pipe.display());
    let source = CommandSource::new("sh", ["-c", &script]);
    assert_eq!(fetch(&source).unwrap().forward().expose(), b"hunter2");
    watcher.join().unwrap();
}

#[test]
fn a_closure_gives_a_value_or_a_pair() {
    let single = fetch(&*callable(|| Ok::<_, SourceError>("value"))).unwrap();
    assert!(single.is_single() && single.is_symmetric());
    let pair = fetch(&*callable(|| Ok::<_, SourceError>(("public", vec![1_u8])))).unwrap();
    assert!(!pair.is_single() && !pair.is_symmetric());
    assert_eq!((pair.forward().expose_text(), pair.back().expose()), (Some("public"), &[1_u8][..]));
    let same = fetch(&*callable(|| Ok::<_, SourceError>(("a", "a")))).unwrap();
    assert!(!same.is_single() && same.is_symmetric());
    let failed = fetch(&*callable(|| Err::<&str, _>("the vault is sealed"))).unwrap_err();
    assert_eq!(failed.code(), "source_callable");
    assert_eq!(failed.source().unwrap().to_string(), "the vault is sealed");
    assert_eq!(code(fetch(&*callable(|| Ok::<_, SourceError>("")))), "source_empty");
    assert_eq!(code(fetch(&*callable(|| Ok::<_, SourceError>(("a", ""))))), "source_empty");
    assert_eq!(code(fetch(&*callable(|| Ok::<_, SourceError>(vec![0; MAX_VALUE_LEN + 1])))), "source_too_long");
}

#[test]
fn printed_secrets_are_censored() {
    for (text, censored) in [
        ("", ""),
        ("a", "*"),
        ("aa", "**"),
        ("aaa", "***"),
        ("aaaa", "a**a"),
        ("abcdefgh", "ab****gh"),
        ("aaaaaaaaaaaaaaaab", "aaaa*********aaab"),
        ("0123456789abcdefghijklmnop", "0123******************mnop"),
        ("größe", "g***e"),
    ] {
        assert_eq!(SecretValue::from(text).to_string(), censored);
    }
    let bytes = SecretValue::from(&b"abcdefgh"[..]);
    assert_eq!(bytes.to_string(), "<8 bytes>");
    assert!(bytes != SecretValue::from("abcdefgh"));
    assert_eq!(bytes.expose_text(), None);
    let (single, pair) = (SecretPair::from("abcdefgh"), SecretPair::from(("abcdefgh", "ijklmnop")));
    assert_eq!(single.to_string(), r#""ab****gh""#);
    assert_eq!(pair.to_string(), r#"encrypt: "ab****gh", decrypt: "ij****op""#);
    assert_eq!(format!("{bytes:?} {single:?} {pair:?}"), "SecretValue(..) SecretPair(..) SecretPair(..)");
}

#[test]
fn hex_lists_are_read_as_fleche_reads_them() {
    let keys: HexKeys = "000102030405060708090A0B0C0D0E0F: c0ffee \n:ff".parse().unwrap();
    let signing: Vec<u8> = (0..16).collect();
    assert_eq!(keys.signing().unwrap().expose(), signing);
    let verifying: Vec<_> = keys.verifying().map(bulla_seal::SecretVec::expose).collect();
    assert_eq!(verifying, [&signing[..], b"\xc0\xff\xee", b"\xff"]);
    let warnings: Vec<_> = keys.warnings().map(|warning| warning.to_string()).collect();
    assert_eq!(
        warnings,
        [
            "part 2 of the key list has 3 bytes, fewer than 16: it verifies, but never signs",
            "part 3 of the key list has 1 bytes, fewer than 16: it verifies, but never signs",
        ]
    );
    // A short key verifies, also where it comes first; but then nothing is signed.
    let short: HexKeys = "c0ffee:000102030405060708090a0b0c0d0e0f".parse().unwrap();
    assert!(short.signing().unwrap_err().to_string().contains("the first key has 3 bytes"));
    assert_eq!(short.verifying().len(), 2);
    assert!(!format!("{keys:?} {short:?}").contains("c0ff"));
    // As an environment variable gives them.
    assert!(HexKeys::try_from(&SecretValue::from("c0ffee:000102030405060708090a0b0c0d0e0f")).unwrap() == short);
    let bytes = HexKeys::try_from(&SecretValue::from(&b"aa"[..])).unwrap_err();
    assert_eq!(bytes.to_string(), "a key list is text: hexadecimal, joined by `:`");
}

#[test]
fn a_bad_part_of_a_hex_list_is_named_by_its_number() {
    for (text, expected) in [
        ("", "part 1 of the key list is empty"),
        ("aa:", "part 2 of the key list is empty"),
        (":aa", "part 1 of the key list is empty"),
        ("aa: :bb", "part 2 of the key list is empty"),
        ("aa:bb:zz5ecret", "part 3 of the key list has a character"),
        ("aa:b b", "part 2 of the key list has a character"),
        ("aa:abc", "part 2 of the key list has an odd number"),
        ("aa:0xbb", "part 2 of the key list has a character"),
        ("é0", "part 1 of the key list has a character"),
    ] {
        let refused = text.parse::<HexKeys>().unwrap_err();
        assert!(refused.to_string().starts_with(expected), "{text:?}: {refused}");
        assert!(!refused.to_string().contains("5ecret"), "{refused}");
        assert_eq!(refused.code(), "invalid_hex_keys");
    }
    let many = vec!["aa"; 1_025].join(":");
    assert!(many.parse::<HexKeys>().unwrap_err().to_string().contains("at most"));
    assert!(many[3..].parse::<HexKeys>().is_ok());
    assert!("a".repeat(MAX_VALUE_LEN + 2).parse::<HexKeys>().is_err());
}

fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn make_pipe(folder: &Path) -> PathBuf {
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
    pipe
}

/// Waits until a pipe has been opened by others and all of them are gone.
fn until_nobody_writes(pipe: &Path) -> thread::JoinHandle<()> {
    let pipe = pipe.to_owned();
    thread::spawn(move || {
        let mut read = Vec::new();
        File::open(pipe).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"");
    })
}
