//! The keys that a listing visits, for engines that look between two keys.

use crate::ListQuery;

/// From `start` up to what lies before `end`, in bytewise order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Vec<u8>,
    /// The first key behind; `None` if the range has no end.
    pub(crate) end: Option<Vec<u8>>,
}

impl Range {
    pub(crate) fn of(query: &ListQuery) -> Self {
        let start = match &query.after {
            // The very next key: nothing lies between a key and the same with a zero byte added.
            Some(after) if *after.as_bytes() >= *query.prefix => [after.as_bytes(), &[0]].concat(),
            _ => query.prefix.clone(),
        };
        // The first key behind all that begin with the prefix: its last byte that can be raised is, and the rest cut off.
        let raised = query.prefix.iter().rposition(|byte| *byte < 0xFF);
        let end = raised.map(|at| {
            let mut end = query.prefix[..=at].to_vec();
            end[at] += 1;
            end
        });
        Self { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentKey;

    #[test]
    fn ranges_hold_what_begins_with_the_prefix() {
        let check = |prefix: &[u8], after: Option<&[u8]>, start: &[u8], end: Option<&[u8]>| {
            let after = after.map(|after| DocumentKey::new(after).unwrap());
            let range = Range::of(&ListQuery { prefix: prefix.to_vec(), after, limit: 0 });
            assert_eq!(range, Range { start: start.to_vec(), end: end.map(<[u8]>::to_vec) });
        };
        check(b"", None, b"", None);
        check(b"", Some(b"a"), b"a\0", None);
        check(b"ab", None, b"ab", Some(b"ac"));
        check(b"ab", Some(b"abc"), b"abc\0", Some(b"ac"));
        check(b"ab", Some(b"aa"), b"ab", Some(b"ac"));
        check(b"ab", Some(b"b"), b"b\0", Some(b"ac"));
        check(b"a\xFF", None, b"a\xFF", Some(b"b"));
        check(b"a\xFF\xFF", None, b"a\xFF\xFF", Some(b"b"));
        check(b"\xFF", None, b"\xFF", None);
        check(b"\xFF\xFF", Some(b"\xFF\xFFa"), b"\xFF\xFFa\0", None);
    }
}
