//! Publishing, verifying what others have published, witnesses, and proofs.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_backend::{Collection, DocumentKey, Documents, Durability, Expected, ListQuery, MemoryDocuments};
use bulla_guard::audit::{
    AuditError, DocumentWitness, NoteError, Proof, PublishedLog, Verdict, Witness, publish, verify_machines,
};
use pollster::block_on;

use super::ground::{Ground, append, event};

const AUDIT: Collection = Collection::new("audit", Durability::Durable);

fn keys(documents: &dyn Documents, ground: &Ground) -> Vec<String> {
    let prefix = format!("log/{}/", ground.origin().line());
    let query = ListQuery { prefix: prefix.clone().into_bytes(), ..ListQuery::default() };
    let page = block_on(documents.list(AUDIT, &query)).unwrap();
    page.documents.iter().map(|document| document.key.to_string().strip_prefix(&prefix).unwrap().to_owned()).collect()
}

/// Logs events in one go.
fn fill(ground: &Ground, count: u64) {
    let log = ground.open();
    (0..count).for_each(|number| log.note(event(number)));
    block_on(log.close()).unwrap();
}

#[test]
fn what_is_published_is_what_tlog_tiles_says_and_verifies_elsewhere() {
    let ground = Ground::new();
    let documents = MemoryDocuments::new();
    let origin = ground.origin();
    let published = PublishedLog::new(&documents, &origin);
    assert_eq!(block_on(published.verify(None)).exit_code(), 12);
    for (more, partial, full) in [(3, 3, 0), (0, 3, 0), (252, 255, 0), (1, 0, 1), (300, 44, 2)] {
        fill(&ground, more);
        let publication = block_on(publish(&ground.reader(), &documents)).unwrap();
        let checkpoint = ground.reader().checkpoint().unwrap();
        assert_eq!(publication.size, checkpoint.size());
        let mut expected: Vec<String> = vec!["checkpoint".to_owned()];
        for number in 0..full {
            expected.push(format!("tile/0/{number:03}"));
            expected.push(format!("tile/entries/{number:03}"));
        }
        let keys = keys(&documents, &ground);
        assert!(expected.iter().all(|path| keys.contains(path)), "{keys:?}");
        if partial > 0 {
            assert!(keys.contains(&format!("tile/entries/{full:03}.p/{partial}")), "{keys:?}");
            assert!(keys.contains(&format!("tile/0/{full:03}.p/{partial}")), "{keys:?}");
        }
        assert!(
            (0..full).all(|number| !keys
                .iter()
                .any(|key| key.contains(&format!("/{number:03}.p/")) && !key.starts_with("tile/1"))),
            "{keys:?}"
        );
        let verdict = block_on(published.verify(Some(&checkpoint)));
        assert!(matches!(&verdict, Verdict::Ok(verified) if verified.size == checkpoint.size()), "{verdict}");
    }
    let machines = ground.keyring.machines();
    let verdicts = block_on(verify_machines(
        &documents,
        &ground.keyring.project(),
        machines.values().map(|machine| &machine.public),
    ));
    assert!(matches!(verdicts.as_slice(), [(_, Verdict::Ok(_))]), "{verdicts:?}");
}

#[test]
fn whatever_is_changed_in_what_is_published_is_found() {
    let ground = Ground::new();
    let documents = MemoryDocuments::new();
    fill(&ground, 300);
    block_on(publish(&ground.reader(), &documents)).unwrap();
    let origin = ground.origin();
    let published = PublishedLog::new(&documents, &origin);
    for path in keys(&documents, &ground) {
        let key = DocumentKey::new(format!("log/{}/{path}", origin.line()).into_bytes()).unwrap();
        let good = block_on(documents.get(AUDIT, &key)).unwrap().unwrap().value;
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            block_on(documents.put(AUDIT, &key, &bad, Expected::Any)).unwrap();
            let verdict = block_on(published.verify(None));
            assert_eq!(verdict.exit_code(), 10, "{path} at {at}: {verdict}");
        }
        block_on(documents.delete(AUDIT, &key, Expected::Any)).unwrap();
        let code = block_on(published.verify(None)).exit_code();
        assert_eq!(code, if path == "checkpoint" { 12 } else { 11 }, "{path}");
        block_on(documents.put(AUDIT, &key, &good, Expected::Any)).unwrap();
    }
    assert_eq!(block_on(published.verify(None)).exit_code(), 0);
}

#[test]
fn nothing_is_published_over_what_does_not_fit() {
    let ground = Ground::new();
    let documents = MemoryDocuments::new();
    ground.fill(5);
    block_on(publish(&ground.reader(), &documents)).unwrap();
    // The volume is rolled back to nothing, and the log begun anew.
    std::fs::remove_dir_all(&ground.folder).unwrap();
    ground.fill(3);
    assert!(matches!(block_on(publish(&ground.reader(), &documents)), Err(AuditError::Truncated(_))));
    ground.fill(2);
    assert!(matches!(block_on(publish(&ground.reader(), &documents)), Err(AuditError::Altered(_))));
    ground.fill(2);
    assert!(matches!(block_on(publish(&ground.reader(), &documents)), Err(AuditError::Altered(_))));
}

#[test]
fn long_events_make_bundles_of_several_documents() {
    let ground = Ground::new();
    let documents = MemoryDocuments::new();
    let log = ground.open();
    for number in 0..260 {
        log.note(event(number).resource(vec![b'x'; 2_000]));
    }
    block_on(log.close()).unwrap();
    block_on(publish(&ground.reader(), &documents)).unwrap();
    assert!(keys(&documents, &ground).contains(&"tile/entries/000+8".to_owned()));
    let origin = ground.origin();
    assert_eq!(block_on(PublishedLog::new(&documents, &origin).verify(None)).exit_code(), 0);
}

#[test]
fn publishing_can_fail_at_any_call_and_is_gone_on_with() {
    let ground = Ground::new();
    fill(&ground, 200);
    let documents = Arc::new(MemoryDocuments::new());
    block_on(publish(&ground.reader(), &*documents)).unwrap();
    fill(&ground, 400);
    for failure in Failure::ALL {
        for at in 1.. {
            let copy = Arc::new(MemoryDocuments::new());
            let page = block_on(documents.list(AUDIT, &ListQuery::default())).unwrap();
            for document in page.documents {
                block_on(copy.put(AUDIT, &document.key, &document.value, Expected::Any)).unwrap();
            }
            let faults = CallFaults::new();
            faults.arm(at, failure);
            let faulty = FaultyDocuments::new(Arc::clone(&copy) as _, faults.clone());
            let done = block_on(publish(&ground.reader(), &faulty));
            let origin = ground.origin();
            let seen = block_on(PublishedLog::new(&*copy, &origin).verify(None));
            assert!(matches!(seen, Verdict::Ok(_)), "{failure:?} at {at}: {seen}");
            block_on(publish(&ground.reader(), &*copy)).unwrap();
            let whole = block_on(PublishedLog::new(&*copy, &origin).verify(None));
            assert!(matches!(whole, Verdict::Ok(verified) if verified.size == 600), "{failure:?} at {at}: {whole}");
            if done.is_ok() && faults.calls() < at {
                break;
            }
        }
    }
}

#[test]
fn a_witness_keeps_the_largest_checkpoint_and_refuses_what_contradicts() {
    let ground = Ground::new();
    let witness = DocumentWitness::new(Arc::new(MemoryDocuments::new()));
    let origin = ground.origin();
    assert_eq!(block_on(witness.latest(&origin)).unwrap(), None);
    ground.fill(2);
    let small = ground.reader().checkpoint().unwrap();
    ground.fill(2);
    let large = ground.reader().checkpoint().unwrap();
    block_on(witness.publish(&origin, &small)).unwrap();
    block_on(witness.publish(&origin, &large)).unwrap();
    block_on(witness.publish(&origin, &large)).unwrap();
    assert!(matches!(block_on(witness.publish(&origin, &small)), Err(AuditError::Truncated(_))));
    std::fs::remove_dir_all(&ground.folder).unwrap();
    ground.fill(4);
    let other = ground.reader().checkpoint().unwrap();
    assert!(matches!(block_on(witness.publish(&origin, &other)), Err(AuditError::Altered(_))));
    let seen = block_on(witness.latest(&origin)).unwrap().unwrap();
    assert_eq!(seen, large);
    assert_eq!(ground.reader().verify(Some(&seen)).exit_code(), 10);
}

#[test]
fn a_proof_is_verified_without_the_log() {
    let ground = Ground::new();
    ground.fill(37);
    let reader = ground.reader();
    let bytes: Vec<_> = reader.events(0).unwrap().map(|stored| stored.unwrap().bytes).collect();
    for index in [0, 1, 17, 35, 36] {
        let text = reader.prove(index).unwrap().to_string();
        assert!(text.starts_with(&format!("c2sp.org/tlog-proof@v1\nindex {index}\n")));
        let proof: Proof = text.parse().unwrap();
        assert_eq!(proof.to_string(), text);
        let at = usize::try_from(index).unwrap();
        assert_eq!(proof.verify(&bytes[at], &ground.origin()).unwrap().size(), 37);
        assert!(matches!(proof.verify(&bytes[(at + 1) % 37], &ground.origin()), Err(AuditError::Refused(_))));
        assert_eq!(
            proof.verify(&bytes[at], &Ground::new().origin()).err(),
            Some(AuditError::Note(NoteError::Unsigned))
        );
        let moved: Proof = text.replace(&format!("index {index}"), "index 9").parse().unwrap();
        assert!(moved.verify(&bytes[at], &ground.origin()).is_err());
    }
    assert!(matches!(reader.prove(37), Err(AuditError::Refused(_))));
}

#[test]
fn a_text_that_is_no_proof_is_refused() {
    let ground = Ground::new();
    ground.fill(3);
    let good = ground.reader().prove(1).unwrap().to_string();
    assert!(good.replace("index", "extra AAAA\nindex").parse::<Proof>().is_ok());
    for bad in [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("index 1", "index 01"),
        good.replace("index 1", "index"),
        good.replace("index 1\n", ""),
        good.replace("index 1\n", "index 1\nAAAA\n"),
        good.replace("index", "extra ?\nindex"),
        good.replace("\n\n", "\n"),
        good.replace("index 1\n", &format!("index 1\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(65))),
        good.trim_end().to_owned(),
    ] {
        assert!(bad.parse::<Proof>().is_err(), "{bad}");
    }
}

#[test]
fn publishing_while_others_append_takes_what_is_signed() {
    let ground = Ground::new();
    let documents = MemoryDocuments::new();
    let log = ground.open();
    append(&log, 3);
    block_on(log.checkpoint()).unwrap();
    append(&log, 2);
    assert_eq!(block_on(publish(&ground.reader(), &documents)).unwrap().size, 3);
    let origin = ground.origin();
    assert_eq!(block_on(PublishedLog::new(&documents, &origin).verify(None)).exit_code(), 0);
}
