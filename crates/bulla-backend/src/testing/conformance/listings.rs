//! Listings: order, prefixes, pages.

use std::{collections::BTreeSet, sync::Arc};

use super::{DURABLE, OTHER, Waiting, key};
use crate::{
    DocumentKey, Documents, Expected, ListQuery, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_DOCUMENT_LEN, MAX_KEY_LEN,
    MAX_PAGE_BYTES, MAX_PAGE_DOCUMENTS, Page, Write,
};

pub(super) fn check<P>(new_place: &impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    let fresh = || Waiting(new_place()());
    order_and_prefixes(&fresh());
    many_documents(&fresh());
    large_documents(&fresh());
    changes_between_pages(&fresh());
}

impl Waiting {
    fn page(&self, prefix: &[u8], after: Option<DocumentKey>, limit: usize) -> Page {
        let query = ListQuery { prefix: prefix.to_vec(), after, limit };
        pollster::block_on(self.0.list(DURABLE, &query)).expect("a listing")
    }

    /// Lists all pages, and checks what holds for each.
    fn keys(&self, prefix: &[u8], limit: usize) -> Vec<DocumentKey> {
        let mut keys: Vec<DocumentKey> = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(prefix, after, limit);
            let most = if limit == 0 { MAX_PAGE_DOCUMENTS } else { limit.min(MAX_PAGE_DOCUMENTS) };
            assert!(page.documents.len() <= most);
            let bytes: usize = page.documents.iter().map(|document| document.value.len()).sum();
            let last = page.documents.last().map_or(0, |document| document.value.len());
            assert!(bytes - last <= MAX_PAGE_BYTES, "a page ends once its values pass the bound");
            keys.extend(page.documents.into_iter().map(|document| document.key));
            let Some(next) = page.next else { return keys };
            assert_eq!(keys.last(), Some(&next), "the next page begins behind this one");
            after = Some(next);
        }
    }
}

fn order_and_prefixes(documents: &Waiting) {
    let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
    let bytes = [0, 1, b'%', b'A', b'_', b'a', b'b', 0x7f, 0x80, 0xfe, 0xff];
    for first in bytes {
        names.insert(vec![first]);
        for second in [0, b'a', 0xff] {
            names.insert(vec![first, second]);
        }
    }
    names.extend([vec![0xff; 3], vec![0xff; MAX_KEY_LEN], [&[0xff; 3][..], &[0]].concat(), b"a%".to_vec()]);
    // Not in the order of keys, and with neighbours that belong to another collection.
    let mut shuffled: Vec<_> = names.iter().collect();
    shuffled.sort_by_key(|name| name.iter().rev().collect::<Vec<_>>());
    for name in shuffled {
        documents.put(DURABLE, name, name.get(..1).unwrap_or_default());
        documents.put(OTHER, [&name[..1], b"other"].concat(), "");
    }

    let mut prefixes: BTreeSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
    prefixes.extend([&b""[..], b"c", b"aa", &[0xff; 4], &[0xfe, 0xff, 0xff], &[0, 0, 0]]);
    for prefix in prefixes {
        let inside: Vec<_> = names.iter().filter(|name| name.starts_with(prefix)).map(key).collect();
        for limit in [0, 1, 2, inside.len().max(1), 7, MAX_PAGE_DOCUMENTS, usize::MAX] {
            assert_eq!(documents.keys(prefix, limit), inside, "prefix {:?}", prefix.escape_ascii().to_string());
        }
        let page = documents.page(prefix, None, inside.len().max(1));
        assert_eq!(page.next, None, "a page that holds all is the last");
        for document in page.documents {
            assert_eq!(document.value, document.key.as_bytes()[..1], "each key with its own value");
            assert_eq!(documents.get(DURABLE, document.key.as_bytes()), Some((document.revision, document.value)));
        }
        for after in [&b"\0"[..], b"a", b"a\0", b"aZ", &[0xfe], &[0xff; MAX_KEY_LEN]] {
            let behind: Vec<_> = inside.iter().filter(|inside| inside.as_bytes() > after).cloned().collect();
            let page = documents.page(prefix, Some(key(after)), 0);
            let listed: Vec<_> = page.documents.into_iter().map(|document| document.key).collect();
            assert_eq!((listed, page.next), (behind, None), "only what lies behind, whatever the prefix");
        }
    }
}

fn many_documents(documents: &Waiting) {
    let names: Vec<_> = (0..MAX_PAGE_DOCUMENTS + 1).map(|number| format!("{number:05}")).collect();
    put_all(documents, names.iter().map(|name| (name.as_str(), Vec::new())));
    let expected: Vec<_> = names.iter().map(key).collect();
    for limit in [0, MAX_PAGE_DOCUMENTS + 1, 999] {
        assert_eq!(documents.keys(b"", limit), expected);
    }
    assert_eq!(documents.page(b"", None, 0).documents.len(), MAX_PAGE_DOCUMENTS);
    assert!(documents.delete(DURABLE, "00000"));
    let page = documents.page(b"", None, 0);
    assert_eq!((page.documents.len(), page.next), (MAX_PAGE_DOCUMENTS, None));
}

fn large_documents(documents: &Waiting) {
    let count = MAX_PAGE_BYTES / MAX_DOCUMENT_LEN + 5;
    let names: Vec<_> = (0..count).map(|number| format!("{number:05}")).collect();
    put_all(documents, names.iter().map(|name| (name.as_str(), vec![b'v'; MAX_DOCUMENT_LEN])));
    assert_eq!(documents.keys(b"", 0), names.iter().map(key).collect::<Vec<_>>());
    let page = documents.page(b"", None, 0);
    assert!(page.documents.len() < count && page.next.is_some());
}

fn changes_between_pages(documents: &Waiting) {
    for name in ["b", "d", "f", "h"] {
        documents.put(DURABLE, name, "stands");
    }
    let first = documents.page(b"", None, 2);
    documents.put(DURABLE, "a", "new, before");
    documents.put(DURABLE, "g", "new, behind");
    assert!(documents.delete(DURABLE, "d"), "the key that the next page begins behind");
    let second = documents.page(b"", first.next, 0);
    let mut seen: Vec<_> = first.documents.into_iter().chain(second.documents).map(|document| document.key).collect();
    seen.retain(|key| *key.as_bytes() != *b"g" && *key.as_bytes() != *b"d");
    assert_eq!(seen, ["b", "f", "h"].map(key), "what stands throughout is seen exactly once");
}

/// Writes many documents, several at a time where the driver can.
fn put_all<'a>(documents: &Waiting, all: impl Iterator<Item = (&'a str, Vec<u8>)>) {
    let mut writes: Vec<Write> = Vec::new();
    let mut bytes = 0;
    let flush = |writes: &mut Vec<Write>| {
        if !writes.is_empty() {
            pollster::block_on(documents.0.commit(writes)).expect("a commit");
            writes.clear();
        }
    };
    for (name, value) in all {
        if !documents.0.capabilities().commit {
            documents.put(DURABLE, name, value);
            continue;
        }
        if writes.len() == MAX_COMMIT_WRITES || bytes + value.len() > MAX_COMMIT_BYTES {
            flush(&mut writes);
            bytes = 0;
        }
        bytes += value.len();
        writes.push(Write::Put { collection: DURABLE, key: key(name), value, expected: Expected::Absent });
    }
    flush(&mut writes);
}
