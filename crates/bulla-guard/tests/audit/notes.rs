//! Signed notes and checkpoints, held to what others publish.

use bulla_guard::audit::{Checkpoint, NoteError, NoteKey, Origin, SignedNote};
use bulla_seal::{Secret, SigningKey, VerifyingKey};
use proptest::prelude::*;

/// From C2SP signed-note.
const C2SP_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const C2SP_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// From the tests of Go's sumdb/note.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn go_note() -> String {
    format!("{GO_TEXT}\n{GO_LINE}")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Secret::from_slice(&[seed; 32]).unwrap()).unwrap()
}

#[test]
fn notes_of_others_are_read() {
    for (key, note, text) in
        [(C2SP_KEY, C2SP_NOTE.to_owned(), "This is an example message.\n"), (GO_KEY, go_note(), GO_TEXT)]
    {
        let parsed: NoteKey = key.parse().unwrap();
        assert_eq!(parsed.to_string(), key);
        let signed = SignedNote::parse(note.as_bytes()).unwrap();
        assert_eq!(signed.open(&[parsed]).unwrap(), text);
        assert_eq!(signed.to_string(), note);
    }
}

#[test]
fn a_note_is_believed_only_if_a_known_key_signed_it_and_none_contradicts() {
    let [go, c2sp] = [GO_KEY, C2SP_KEY].map(|key| key.parse::<NoteKey>().unwrap());
    let open = |note: &str, keys: &[NoteKey]| {
        SignedNote::parse(note.as_bytes()).and_then(|note| note.open(keys).map(str::to_owned))
    };
    assert_eq!(open(&go_note(), &[]), Err(NoteError::Unsigned));
    assert_eq!(open(&go_note(), std::slice::from_ref(&c2sp)), Err(NoteError::Unsigned));
    assert_eq!(open(&go_note(), &[c2sp, go.clone()]).unwrap(), GO_TEXT);
    assert_eq!(open(&go_note().replace("then", "than"), std::slice::from_ref(&go)), Err(NoteError::Altered));
    // Signatures by others are passed over, however odd.
    let more = format!("{}— somebody.example AAAAAAA=\n", go_note());
    assert_eq!(open(&more, std::slice::from_ref(&go)).unwrap(), GO_TEXT);
    let short = format!("{}— PeterNeumann x08gowA=\n", go_note());
    assert_eq!(open(&short, std::slice::from_ref(&go)), Err(NoteError::Altered));
    let many = format!("{}{}", go_note(), GO_LINE.repeat(15));
    assert_eq!(open(&many, &[go]).unwrap(), GO_TEXT);
}

#[test]
fn what_is_no_note_is_refused() {
    let note = go_note();
    for bad in [
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        GO_TEXT,
        &note[..note.len() - 1],
        &note.replace("— ", "- "),
        &note.replace("\n\n", "\n"),
        &note.replace('y', "\r"),
        &note.replace('y', "\0"),
        &note.replace('y', "\t"),
        &note.replace("PeterNeumann", ""),
        &note.replace("PeterNeumann", "Peter+Neumann"),
        &note.replace("PeterNeumann", "Peter\u{a0}Neumann"),
        &note.replace("nAM=", "nAM"),
        &note.replace("nAM=", "nAM=="),
        &note.replace("nAM=", "nAN="),
        &format!("{note}\n"),
        &format!("{note}\n\n"),
        &format!("{note}more\n"),
        &format!("{}{}", note, GO_LINE.repeat(64)),
        &format!("{}\n{note}", "a".repeat(70_000)),
    ] {
        assert_eq!(SignedNote::parse(bad.as_bytes()).err(), Some(NoteError::Malformed), "{bad:?}");
    }
    let bytes = [&[0xff], note.as_bytes()].concat();
    assert_eq!(SignedNote::parse(&bytes).err(), Some(NoteError::Malformed));
}

#[test]
fn keys_of_notes_have_one_form() {
    for bad in [
        "",
        "a",
        "a+b",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert_eq!(bad.parse::<NoteKey>().err(), Some(NoteError::Malformed), "{bad}");
    }
    assert!(NoteKey::new("a b", VerifyingKey([0; 32])).is_none());
}

#[test]
fn a_checkpoint_has_three_lines_and_no_others() {
    let key = key(1);
    let origin = Origin::new("example.com/log", key.verifying_key()).unwrap();
    let signed = |text: &str| SignedNote::sign(text.to_owned(), origin.line(), &key).unwrap().to_string();
    let read = |text: &str| Checkpoint::read(signed(text).as_bytes(), &origin);
    let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let good = read(&format!("example.com/log\n7\n{root}\n")).unwrap();
    assert_eq!((good.size(), good.root()), (7, &[0; 32]));
    assert_eq!(good.to_string(), signed(&format!("example.com/log\n7\n{root}\n")));
    for bad in [
        format!("example.com/log\n07\n{root}\n"),
        format!("example.com/log\n+7\n{root}\n"),
        format!("example.com/log\n\n{root}\n"),
        format!("example.com/log\n18446744073709551616\n{root}\n"),
        format!("example.com/log\n7\n{root}\nextension\n"),
        format!("example.com/log\n7\n{}\n", &root[4..]),
        "example.com/log\n7\n".to_owned(),
        "example.com/log\n".to_owned(),
    ] {
        assert_eq!(read(&bad).err(), Some(NoteError::Malformed), "{bad}");
    }
    assert_eq!(read(&format!("example.com/other\n7\n{root}\n")).err(), Some(NoteError::Foreign));
    let stranger = Origin::new("example.com/log", self::key(2).verifying_key()).unwrap();
    assert_eq!(Checkpoint::read(good.to_string().as_bytes(), &stranger).err(), Some(NoteError::Unsigned));
}

proptest! {
    #[test]
    fn what_parses_as_a_note_can_be_written_again(text in "[a— \n=A+/0]{0,80}") {
        if let Ok(note) = SignedNote::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
