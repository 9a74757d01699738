//! Proofs that a leaf is in a tree, and that a tree is the beginning of another.

use std::ops::Range;

use super::{Frontier, Hash, node_hash};

/// Names the subtrees, from the leaf's sibling up, whose roots prove that leaf `index` is in a tree of `size`. Empty if it is not.
fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut from, mut to, mut ranges) = (0, size, Vec::new());
    if index >= size {
        return ranges;
    }
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            ranges.push(middle..to);
            to = middle;
        } else {
            ranges.push(from..middle);
            from = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// Names the subtrees whose roots prove that a tree of `old` leaves is the beginning of one of `new` (RFC 6962 §2.1.2).
fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    let (mut from, mut to, mut ranges) = (0, new, Vec::new());
    if old == 0 || old >= new {
        return ranges;
    }
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            ranges.push(middle..to);
            to = middle;
        } else {
            ranges.push(from..middle);
            from = middle;
        }
    }
    // The root of all of the old tree is known to who verifies.
    if from > 0 {
        ranges.push(from..to);
    }
    ranges.reverse();
    ranges
}

/// Returns the largest power of two below `len`, which is at least 2.
const fn split(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

/// Makes the roots of some subtrees while the hashes of all leaves come by once.
fn roots<E>(ranges: &[Range<u64>], leaves: impl IntoIterator<Item = Result<Hash, E>>) -> Result<Option<Vec<Hash>>, E> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_unstable_by_key(|at| ranges[*at].start);
    let mut found = vec![None; ranges.len()];
    let (mut waiting, mut tree) = (order.into_iter().peekable(), Frontier::new());
    for (index, leaf) in (0..).zip(leaves) {
        let leaf = leaf?;
        let Some(at) = waiting.peek().copied() else { break };
        if ranges[at].contains(&index) {
            tree.push_hash(leaf);
        }
        if index + 1 == ranges[at].end {
            found[at] = Some(std::mem::take(&mut tree).root());
            waiting.next();
        }
    }
    Ok(found.into_iter().collect())
}

/// Proves that leaf `index` is in the tree of the first `size` leaves, whose hashes are read once, in order; `None` if there are not as many.
///
/// # Errors
/// The first error of `leaves`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    leaves: impl IntoIterator<Item = Result<Hash, E>>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size { Ok(None) } else { roots(&inclusion_ranges(index, size), leaves) }
}

/// Proves that the first `old` leaves are the beginning of the first `new`, as [`inclusion_proof`] does; of no leaves, or the same, there is
/// nothing to prove.
///
/// # Errors
/// The first error of `leaves`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    leaves: impl IntoIterator<Item = Result<Hash, E>>,
) -> Result<Option<Vec<Hash>>, E> {
    if old > new { Ok(None) } else { roots(&consistency_ranges(old, new), leaves) }
}

/// Says whether `proof` proves that a leaf of this hash is at `index` in the tree of `size` leaves and this root.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    let ranges = inclusion_ranges(index, size);
    if index >= size || ranges.len() != proof.len() {
        return false;
    }
    let hash = ranges.iter().zip(proof).fold(*leaf, |hash, (range, sibling)| {
        if range.start > index { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) }
    });
    hash == *root
}

/// Says whether `proof` proves that the tree of `old` leaves and root `old_root` is the beginning of that of `new` leaves and root `new_root`.
#[must_use]
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == Frontier::new().root();
    }
    let ranges = consistency_ranges(old, new);
    if ranges.len() != proof.len() {
        return false;
    }
    // Where the old tree is perfect its root is not in the proof.
    let is_known = ranges.first().is_none_or(|range| range.start >= old);
    let mut steps = ranges.iter().zip(proof);
    let seed = if is_known { Some(old_root) } else { steps.next().map(|(_, hash)| hash) };
    let Some(seed) = seed else { return false };
    let (mut was, mut is) = (*seed, *seed);
    for (range, hash) in steps {
        if range.start >= old {
            is = node_hash(&is, hash);
        } else {
            (was, is) = (node_hash(hash, &was), node_hash(hash, &is));
        }
    }
    was == *old_root && is == *new_root
}
