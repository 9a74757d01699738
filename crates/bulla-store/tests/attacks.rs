//! What somebody who can write to the storage, but has no keys, can try.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Clock, Collection, Durability, Expected, ListQuery, Timestamp};
use bulla_keyring::Algorithm;
use bulla_seal::{HEADER_LEN, Secret, TAG_LEN};
use bulla_store::{BlobRef, Budget, Depth, Entry, GetOptions, Lifetime, PutOptions};
use pollster::block_on;

use crate::ground::{Ground, assert_code, pattern, read, write};

/// Three chunks, the last of them short.
const LARGE: usize = 2 * 65_536 + 1_000;
const CHUNK: usize = 65_536 + TAG_LEN;

#[test]
fn an_entry_opens_in_its_own_place_only() {
    let ground = Ground::new();
    let other_project = Ground::on(Arc::clone(&ground.documents), Arc::clone(&ground.blobs));
    for len in [5, LARGE] {
        write(&ground.namespace("a"), b"n", &pattern(len, 1));
        // The other namespaces have keys, and entries of their own.
        write(&ground.namespace("b"), b"n", b"theirs");
        write(&other_project.namespace("c"), b"n", b"theirs");
        let document = ground.document("a", b"n").value;

        ground.plant("a", b"m", &document);
        assert_code(read(&ground.namespace("a"), b"m"), "cannot_open");
        ground.plant("a", b"m", &document);
        assert_code(block_on(ground.namespace("a").stat(b"m", &GetOptions::default())), "cannot_open");
        ground.plant("b", b"n", &document);
        assert_code(read(&ground.namespace("b"), b"n"), "unknown_version");
        assert_code(read(&other_project.namespace("a"), b"n"), "unknown_version");
        other_project.plant("c", b"n", &document);
        assert_code(read(&other_project.namespace("c"), b"n"), "unknown_version");
        assert_eq!(read(&ground.namespace("a"), b"n").unwrap(), pattern(len, 1));
        for namespace in ["b", "c"] {
            let key = crate::ground::document_key(namespace, b"n");
            block_on(ground.documents.delete(crate::ground::ENTRIES, &key, Expected::Any)).unwrap();
        }
    }
}

#[test]
fn two_entries_cannot_be_swapped() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"alice", b"admin");
    write(&namespace, b"mallory", b"guest");
    let (alice, mallory) = (ground.document("a", b"alice").value, ground.document("a", b"mallory").value);
    ground.plant("a", b"alice", &mallory);
    ground.plant("a", b"mallory", &alice);
    assert_code(read(&namespace, b"alice"), "cannot_open");
    assert_code(read(&namespace, b"mallory"), "cannot_open");
}

#[test]
fn no_bit_of_an_entry_can_be_flipped() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = PutOptions {
        lifetime: Lifetime::For(Duration::from_secs(60)),
        media_type: Some("text/plain".to_owned()),
        tags: vec!["tag".to_owned()],
        ..PutOptions::default()
    };
    block_on(namespace.put(b"n", b"42 widgets", &options)).unwrap();
    let document = ground.document("a", b"n").value;
    let mut codes = std::collections::BTreeMap::<_, usize>::new();
    for byte in 0..document.len() {
        for bit in 0..8 {
            let mut flipped = document.clone();
            flipped[byte] ^= 1 << bit;
            ground.plant("a", b"n", &flipped);
            assert_eq!(ground.check().0.damaged, 1);
            let error = read(&namespace, b"n").unwrap_err();
            assert!(error.is_integrity_failure(), "bit {bit} of byte {byte}: {error}");
            *codes.entry(error.code()).or_default() += 1;
        }
    }
    assert_eq!(codes["not_sealed"], 24);
    assert_eq!(codes["unknown_version"], 64);
    assert_eq!(codes["damaged"], (document.len() - HEADER_LEN) * 8);
    for len in 0..document.len() {
        ground.plant("a", b"n", &document[..len]);
        assert!(read(&namespace, b"n").unwrap_err().is_integrity_failure(), "cut to {len} bytes");
    }
    ground.plant("a", b"n", &[&document[..], b"\0"].concat());
    assert_code(read(&namespace, b"n"), "damaged");
    ground.plant("a", b"n", &document);
    assert_eq!(read(&namespace, b"n").unwrap(), b"42 widgets");
}

#[test]
fn the_life_of_an_entry_cannot_be_lengthened() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let expires = Timestamp(ground.clock.now().0 + 1_000);
    let options = PutOptions { lifetime: Lifetime::Until(expires), ..PutOptions::default() };
    block_on(namespace.put(b"n", b"v", &options)).unwrap();
    let mut document = ground.document("a", b"n").value;
    let encoded = ground.entry("a", b"n").encode(b"v", 0);
    let at = encoded.windows(8).position(|bytes| bytes == expires.0.to_be_bytes()).unwrap();
    // Counter mode: whoever knows the plaintext can write any other over it. The tag notices.
    let longer = Timestamp(expires.0 + (1 << 40)).0.to_be_bytes();
    for (offset, (old, new)) in expires.0.to_be_bytes().into_iter().zip(longer).enumerate() {
        document[HEADER_LEN + at + offset] ^= old ^ new;
    }
    ground.plant("a", b"n", &document);
    assert_code(read(&namespace, b"n"), "damaged");
}

#[test]
fn an_old_entry_put_back_is_seen_by_who_knows_the_version() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"small", b"old");
    write(&namespace, b"large", &pattern(LARGE, 1));
    let old = [&b"small"[..], b"large"].map(|name| (name, ground.document("a", name).value));
    write(&namespace, b"small", b"new");
    write(&namespace, b"large", &pattern(LARGE, 2));
    for (name, document) in old {
        ground.plant("a", name, &document);
    }
    assert_eq!(read(&namespace, b"small").unwrap(), b"old", "by itself it is valid, as the documents say");
    assert_code(block_on(namespace.get(b"small", &GetOptions::version(2))), "version_mismatch");
    assert_code(block_on(namespace.get(b"large", &GetOptions::version(2))), "version_mismatch");
    assert_code(read(&namespace, b"large"), "missing_blob");
}

#[test]
fn no_part_of_a_blob_can_be_altered() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let document = ground.document("a", b"n").value;
    // Puts back what a reader puts into quarantine.
    let fresh = || ground.plant("a", b"n", &document);
    let id = ground.blob_ids()[0];
    let blob = ground.blob(&id);
    let second = HEADER_LEN + CHUNK;
    let third = second + CHUNK;
    let spots = (0..HEADER_LEN).chain([
        HEADER_LEN,
        second - TAG_LEN - 1,
        second - TAG_LEN,
        second - 1,
        second,
        third - 1,
        third,
        blob.len() - TAG_LEN,
        blob.len() - 1,
    ]);
    for spot in spots {
        let mut flipped = blob.clone();
        flipped[spot] ^= 0x10;
        ground.plant_blob(&id, &flipped);
        fresh();
        let (counts, findings) = ground.check();
        assert_eq!((counts.ok, counts.damaged, findings.len()), (0, 1, 1), "byte {spot}");
        assert_code(read(&namespace, b"n"), "damaged");
        // A newer format or suite may be a newer program's, and stays.
        let after = if matches!(spot, 3 | 4) { "damaged" } else { "quarantined" };
        assert_code(read(&namespace, b"n"), after);
        fresh();
        let reader = block_on(namespace.reader(b"n", &GetOptions::default()));
        if spot < HEADER_LEN || spot >= third {
            assert_code(reader, "damaged");
        } else {
            let mut reader = reader.unwrap();
            let good = if spot < second { 0 } else { 1 };
            for _ in 0..good {
                assert!(block_on(reader.read_chunk()).unwrap().is_some());
            }
            assert_code(block_on(reader.read_chunk()).map(|chunk| chunk.map(<[u8]>::len)), "damaged");
            assert_code(block_on(reader.read_at(good * 65_536, &mut [0; 1])), "damaged");
            let mut end = [0; 1_000];
            assert_eq!(block_on(reader.read_at(2 * 65_536, &mut end)).unwrap(), 1_000);
            assert!(end == pattern(LARGE, 1)[2 * 65_536..], "other chunks stay readable");
        }
    }
    let first_twice = [&blob[..second], &blob[HEADER_LEN..second], &blob[third..]].concat();
    let swapped = [&blob[..HEADER_LEN], &blob[second..third], &blob[HEADER_LEN..second], &blob[third..]].concat();
    let extended = [&blob[..], &[0]].concat();
    let chunk_more = [&blob[..third], &blob[second..]].concat();
    let mut altered = vec![first_twice, swapped, extended, chunk_more];
    let cuts = [0, 1, HEADER_LEN, HEADER_LEN + TAG_LEN, second, third, third + TAG_LEN, blob.len() - 1];
    altered.extend(cuts.map(|len| blob[..len].to_vec()));
    for bytes in altered {
        ground.plant_blob(&id, &bytes);
        fresh();
        assert_eq!(ground.check().0.damaged, 1);
        assert_code(read(&namespace, b"n"), "damaged");
    }
    ground.plant_blob(&id, &blob);
    fresh();
    assert_eq!(read(&namespace, b"n").unwrap(), pattern(LARGE, 1));
}

#[test]
fn blobs_cannot_be_exchanged() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"one", &pattern(LARGE, 1));
    write(&namespace, b"two", &pattern(LARGE, 2));
    let ids = ground.blob_ids();
    let blobs = [ground.blob(&ids[0]), ground.blob(&ids[1])];
    ground.plant_blob(&ids[0], &blobs[1]);
    ground.plant_blob(&ids[1], &blobs[0]);
    for name in [&b"one"[..], b"two"] {
        let document = ground.document("a", name).value;
        assert_code(read(&namespace, name), "damaged");
        ground.plant("a", name, &document);
        assert_code(block_on(namespace.reader(name, &GetOptions::default())), "damaged");
    }
}

#[test]
fn a_blob_belongs_to_one_key_one_id_and_one_namespace() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"theirs", &pattern(LARGE, 1));
    write(&ground.namespace("a"), b"ours", &pattern(LARGE, 2));
    write(&ground.namespace("b"), b"ours", b"v");
    let theirs = ground.entry("a", b"theirs");
    let ours = ground.entry("a", b"ours");
    let (their_blob, our_blob) = (theirs.blob.as_ref().unwrap(), ours.blob.as_ref().unwrap());

    // An entry that refers to another's blob, with its own blob key: what somebody with the namespace's key could
    // write.
    let key = Secret::from_slice(our_blob.key.expose()).unwrap();
    let blob = Some(BlobRef { id: their_blob.id, key });
    ground.forge("a", b"ours", &Entry { stat: ours.stat.clone(), name: None, blob }.encode(b"", 0));
    assert_code(read(&ground.namespace("a"), b"ours"), "damaged");

    // The very same reference from another namespace.
    ground.forge("b", b"ours", &theirs.encode(b"", 0));
    assert_code(read(&ground.namespace("b"), b"ours"), "damaged");

    // Another length than the blob has.
    for len in [LARGE as u64 - 1, LARGE as u64 + 1, 65_536, 0] {
        let key = Secret::from_slice(their_blob.key.expose()).unwrap();
        let blob = Some(BlobRef { id: their_blob.id, key });
        let stat = Entry::parse(&theirs.encode(b"", 0)).unwrap().0.stat;
        let mut entry = Entry { stat, name: None, blob };
        entry.stat.len = len;
        ground.forge("a", b"theirs", &entry.encode(b"", 0));
        assert_code(read(&ground.namespace("a"), b"theirs"), "damaged");
    }
}

#[test]
fn what_is_sealed_but_no_entry_is_refused() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let good = ground.entry("a", b"n").encode(b"v", 0);
    let cases: [&[u8]; 4] = [b"", b"plain text", &good[..good.len() - 1], b"\xa4\x01\x07\x02\x01\x16\x40\x18\x63\x01"];
    for encoded in cases {
        ground.forge("a", b"n", encoded);
        assert_code(read(&namespace, b"n"), "bad_entry");
        ground.forge("a", b"n", encoded);
        assert_code(block_on(namespace.stat(b"n", &GetOptions::default())), "bad_entry");
    }
}

#[test]
fn keys_of_the_storage_that_name_no_entry_hide_none() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"m"[..], b"p"] {
        write(&namespace, name, b"v");
    }
    let document = ground.document("a", b"m").value;
    let long = [b"a\0n".as_slice(), &[b'x'; 1_300]].concat();
    for key in [&b"a\0"[..], &long, b"a", b"..\0x", b"\xff", b"zz\0"] {
        ground.plant_at(&bulla_backend::DocumentKey::new(key).unwrap(), &document);
    }
    for limit in [0, 1, 2] {
        assert_eq!(crate::ground::names(&namespace, b"", limit), [b"m", b"p"]);
    }
    let (counts, findings) = ground.check();
    assert_eq!((counts.ok, counts.damaged), (2, 6));
    assert!(findings.iter().all(|finding| finding.code() == "bad_key"), "{findings:?}");
    assert_eq!(block_on(ground.store.namespaces()).unwrap().len(), 1);
}

#[test]
fn a_key_that_is_gone_is_not_made_anew_under_its_entries() {
    const TRUST: [Collection; 3] = [
        Collection::new("keys", Durability::Durable),
        Collection::new("key_versions", Durability::Durable),
        Collection::new("key_ids", Durability::Durable),
    ];
    let mut ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"v");
    let mut lost = Vec::new();
    for collection in TRUST {
        for row in block_on(ground.trust.list(collection, &ListQuery::default())).unwrap().documents {
            block_on(ground.trust.delete(collection, &row.key, Expected::Any)).unwrap();
            lost.push((collection, row));
        }
    }
    assert!(lost.len() >= 3);
    ground.reopen();

    let namespace = ground.namespace("a");
    assert_code(read(&namespace, b"n"), "unknown_version");
    assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), "key_missing");
    for len in [3, LARGE] {
        let refused = block_on(namespace.put(b"other", &pattern(len, 1), &PutOptions::default())).unwrap_err();
        assert_eq!(refused.code(), "key_missing");
        assert!(refused.to_string().contains("`a`") && refused.to_string().contains("restore"), "{refused}");
    }
    assert_code(block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})), "key_missing");
    assert_eq!((ground.documents().len(), ground.blob_ids().len()), (1, 0), "nothing was written");
    write(&ground.namespace("b"), b"n", b"a namespace of no entries gets its key");

    for (collection, row) in lost {
        block_on(ground.trust.put(collection, &row.key, &row.value, Expected::Any)).unwrap();
    }
    ground.reopen();
    write(&ground.namespace("a"), b"other", b"w");
    assert_eq!(read(&ground.namespace("a"), b"n").unwrap(), b"v");
    assert!(ground.check().0.is_clean());
}

#[test]
fn a_key_made_beforehand_cannot_make_a_namespace_deterministic() {
    let ground = Ground::new();
    let make = |namespace: &str, algorithm| {
        block_on(ground.keyring.create_key(ground.namespace(namespace).name().key(), algorithm)).unwrap();
        ground.namespace(namespace)
    };
    let deterministic = make("a", Algorithm::Aes256Deterministic);
    for len in [3, LARGE] {
        let refused = block_on(deterministic.put(b"n", &pattern(len, 1), &PutOptions::default())).unwrap_err();
        assert_eq!(refused.code(), "unsuitable_key");
        assert!(refused.to_string().contains("`store/a`"), "{refused}");
    }
    assert_eq!((ground.documents().len(), ground.blob_ids().len()), (0, 0));
    ground.plant("a", b"n", b"not an entry");
    assert_code(block_on(deterministic.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})), "unsuitable_key");

    let other = make("b", Algorithm::ChaCha20Poly1305);
    write(&other, b"n", b"v");
    assert_eq!(read(&other, b"n").unwrap(), b"v");
}

// From here on: what stores of this kind were found to fall for elsewhere, each tried here. Checksums without a key, names used as paths,
// digests that collide, values that are decoded, sizes that are believed.

#[test]
fn a_rewritten_value_with_its_own_checksum_is_refused() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let good = ground.document("a", b"n").value;
    // What a checksum without a key protects: the header stays, the rest is exchanged, and its digest computed anew.
    let body = b"another value";
    let digest = bulla_seal::sha256(body);
    for forged in [
        [&good[..HEADER_LEN], &body[..], &digest[..TAG_LEN]].concat(),
        [&good[..HEADER_LEN], &body[..], &digest].concat(),
        [&body[..], &digest].concat(),
        body.to_vec(),
        ground_entry(body),
    ] {
        ground.plant("a", b"n", &forged);
        let error = read(&namespace, b"n").unwrap_err();
        assert!(error.is_integrity_failure(), "{error}");
    }
}

/// An entry in the clear, as the encoding has it before it is sealed.
fn ground_entry(value: &[u8]) -> Vec<u8> {
    [&b"\xa3\x01\x07\x02\x01\x16\x4d"[..], value].concat()
}

#[test]
fn names_are_never_paths() {
    let ground = Ground::in_folder();
    let namespace = ground.namespace("a");
    let long = [&b"../"[..]; 300].concat();
    let names: [&[u8]; 9] =
        [b"../../escaped", b"/etc/passwd", b"C:\\con", b"a/../b", b"a\0b", b".", b"\xff\xfe", &long, &[b'k'; 64]];
    let outside = ground.folder().path().parent().unwrap().to_owned();
    let before =
        std::fs::read_dir(&outside).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() == "escaped").count();
    for (at, name) in names.into_iter().enumerate() {
        write(&namespace, name, &pattern(LARGE, u8::try_from(at).unwrap()));
    }
    for (at, name) in names.into_iter().enumerate() {
        assert_eq!(read(&namespace, name).unwrap(), pattern(LARGE, u8::try_from(at).unwrap()));
    }
    assert_eq!(ground.documents().len(), names.len(), "each name is its own");
    let after =
        std::fs::read_dir(&outside).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() == "escaped").count();
    assert_eq!(before, after);
    assert!(ground.check().0.is_clean());
}

#[test]
fn values_are_told_apart_and_never_decoded() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    // Values that elsewhere share a digest, or run what they hold when they are read: here they are bytes under names.
    let values: [&[u8]; 6] = [
        b"-1.0",
        b"-2.0",
        b"",
        b"\0",
        b"cos\nsystem\n(S'false'\ntR.",
        b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x05false\x94\x85\x94R\x94.",
    ];
    for value in values {
        write(&namespace, &[b"v", value].concat(), value);
    }
    for value in values {
        assert_eq!(read(&namespace, &[b"v", value].concat()).unwrap(), value);
    }
    assert_eq!(ground.documents().len(), values.len());
}

#[test]
fn nothing_is_inflated_or_believed_before_it_verified() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    // A gzip member of zeroes, and an entry that claims a petabyte: neither is looked into without its seal.
    let gzip = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[0; 1_000]].concat();
    let huge = b"\xa3\x01\x07\x02\x01\x16\x5b\0\x03\x8d\x7e\xa4\xc6\x80\0";
    for planted in [&gzip[..], huge] {
        ground.plant("a", b"n", planted);
        assert_code(read(&namespace, b"n"), "not_sealed");
    }
    ground.forge("a", b"n", huge);
    assert_code(read(&namespace, b"n"), "bad_entry");
}

#[test]
fn a_longer_life_from_an_older_entry_is_seen_by_who_knows_the_version() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let put = |seconds| {
        let lifetime = Lifetime::For(Duration::from_secs(seconds));
        block_on(namespace.put(b"n", b"v", &PutOptions { lifetime, ..PutOptions::default() })).unwrap()
    };
    put(1_000_000);
    let long_lived = ground.document("a", b"n").value;
    let version = put(1);
    ground.clock.forward(Duration::from_secs(2));
    assert_code(read(&namespace, b"n"), "not_found");
    ground.plant("a", b"n", &long_lived);
    assert_code(block_on(namespace.get(b"n", &GetOptions::version(version))), "version_mismatch");
}
