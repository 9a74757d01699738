//! How much of the file a filed document takes.

use super::schema::PAGE_LEN;

/// How a document is filed, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: i64,
    pub(super) due: Option<i64>,
    pub(super) rank: Option<i64>,
    pub(super) extra: i64,
}

/// Length of a page.
const PAGE: u64 = PAGE_LEN.cast_unsigned() as u64;
/// What a page holds of cells, and of the pointers to them.
const ROOM: u64 = PAGE - 8;
/// What a row of the table has beside its key and value: the lengths and types of its columns, its number, its revision, and the
/// pointer to it.
const ROW: u64 = 22;
/// What a moment, or a rank, takes in the row.
const NUMBER: u64 = 6;
/// What an entry of the index of keys has beside the key.
const ENTRY: u64 = 11;
/// What an entry of the index of moments, or of ranks, takes.
const ORDER: u64 = 18;

/// Returns how many bytes a filed document is counted with: its [`Place::extra`], and what it takes of the file if all documents
/// are about as long.
///
/// Rows lie in pages that fill up one after the other; of a row too long for one, all but the start is in pages of its own
/// (<https://www.sqlite.org/fileformat2.html>, section 1.6). Keys come in no order, so the pages of their index are about three quarters full.
///
/// Never changed for a schema that was released: what is subtracted for a document must be what was added.
pub(super) fn share(key_len: usize, value_len: u64, place: &Place) -> i64 {
    let key = key_len as u64;
    let orders = u64::from(place.due.is_some()) + u64::from(place.rank.is_some());
    let bytes = row(key + value_len + ROW + NUMBER * orders) + entry(key + ENTRY) * 4 / 3 + ORDER * orders;
    place.extra.max(0).saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// A row of the table: at most `PAGE - 35` bytes of it are in the tree.
fn row(len: u64) -> u64 {
    let (in_tree, overflow) = split(len, PAGE - 35);
    // As many as there is room for share a page.
    PAGE / (ROOM / in_tree.max(1)).max(1) + overflow
}

/// An entry of an index: four have room in a page.
fn entry(len: u64) -> u64 {
    let (in_tree, overflow) = split(len, (PAGE - 12) * 64 / 255 - 23);
    in_tree + overflow
}

/// Splits a cell into what is in the tree, and the pages that hold the rest.
const fn split(len: u64, most: u64) -> (u64, u64) {
    if len <= most {
        return (len, 0);
    }
    let least = (PAGE - 12) * 32 / 255 - 23;
    let rest = least + (len - least) % (PAGE - 4);
    let in_tree = if rest <= most { rest } else { least };
    (in_tree, (len - in_tree).div_ceil(PAGE - 4) * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Place = Place { group: 1, due: None, rank: None, extra: 0 };

    #[test]
    fn a_share_is_no_less_than_what_is_stored() {
        for key_len in [1, 20, 1_024, 2_304] {
            let mut before = 0;
            for value_len in (0..131_072).step_by(97) {
                let share = share(key_len, value_len, &PLAIN);
                assert!(share >= 2 * key_len as i64 + value_len as i64, "{key_len} {value_len}: {share}");
                assert!(
                    share <= 6 * key_len as i64 + 2 * value_len as i64 + 2 * 8_192,
                    "{key_len} {value_len}: {share}"
                );
                // The start of a longer one may be shorter than all of a shorter one.
                assert!(share + 8_192 >= before);
                before = share;
            }
        }
    }

    #[test]
    fn each_order_and_what_it_refers_to_are_counted() {
        let plain = share(20, 1_000, &PLAIN);
        assert_eq!(share(20, 1_000, &Place { due: Some(0), ..PLAIN }), plain + 18);
        assert_eq!(share(20, 1_000, &Place { due: Some(0), rank: Some(7), ..PLAIN }), plain + 36);
        assert_eq!(share(20, 100, &Place { rank: Some(7), ..PLAIN }), 8_192 / (8_184 / 148) + 31 * 4 / 3 + 18);
        assert_eq!(share(20, 1_000, &Place { extra: 5_000, ..PLAIN }), plain + 5_000);
        assert_eq!(share(20, 1_000, &Place { extra: -1, ..PLAIN }), plain);
        assert_eq!(share(20, 1_000, &Place { extra: i64::MAX, ..PLAIN }), i64::MAX);
    }

    #[test]
    fn rows_share_pages() {
        assert_eq!(row(1_150), 8_192 / 7);
        assert_eq!(row(4_000), 4_096);
        assert_eq!(row(8_000), 8_192);
        assert_eq!(row(20_000), 8_192 * 2 + 8_192 / (8_184 / 3_624));
    }
}
