//! The tree, held to RFC 6962, to a naive implementation, and to another library.

use std::convert::Infallible;

use bulla_guard::audit::{
    Frontier, Hash, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash, tiles_of, verify_consistency,
    verify_inclusion,
};
use bulla_seal::sha256;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

/// MTH of RFC 6962 §2.1, as it is written there.
fn naive(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => sha256(&[&[0], leaf.as_slice()].concat()),
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            sha256(&[&[1], &naive(left)[..], &naive(right)[..]].concat())
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
fn naive_path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), naive(right))
    } else {
        (naive_path(index - left.len(), right), naive(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962 §2.1.2.
fn naive_subproof(old: usize, leaves: &[Vec<u8>], is_whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_whole { Vec::new() } else { vec![naive(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, other) = if old <= left.len() {
        (naive_subproof(old, left, is_whole), naive(right))
    } else {
        (naive_subproof(old - left.len(), right, false), naive(left))
    };
    proof.push(other);
    proof
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_string().into_bytes()).collect()
}

fn hashes(leaves: &[Vec<u8>]) -> impl Iterator<Item = Result<Hash, Infallible>> {
    leaves.iter().map(|leaf| Ok(leaf_hash(leaf)))
}

fn tree(leaves: &[Vec<u8>]) -> Frontier {
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.push(leaf));
    tree
}

#[test]
fn roots_are_those_that_certificate_transparency_publishes() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::new();
    assert_eq!(data_encoding::HEXLOWER.encode(&tree.root()), roots[0]);
    for (leaf, root) in leaves.iter().zip(&roots[1..]) {
        tree.push(leaf);
        assert_eq!(data_encoding::HEXLOWER.encode(&tree.root()), *root);
    }
}

#[test]
fn every_small_tree_and_proof_is_that_of_a_naive_implementation_and_of_another_library() {
    let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 0..=70 {
        let leaves = leaves(size);
        let root = tree(&leaves).root();
        assert_eq!(root, naive(&leaves));
        if size > 0 {
            oracle.push(leaves[size - 1].clone());
            assert_eq!(oracle.root().as_bytes().as_slice(), root);
        }
        for index in 0..size {
            let proof = inclusion_proof(index as u64, size as u64, hashes(&leaves)).unwrap().unwrap();
            assert_eq!(proof, naive_path(index, &leaves));
            assert_eq!(oracle.prove_inclusion(index).as_bytes(), proof.concat());
            let leaf = leaf_hash(&leaves[index]);
            assert!(verify_inclusion(&leaf, index as u64, size as u64, &proof, &root));
            assert!(!verify_inclusion(&leaf, index as u64 + 1, size as u64, &proof, &root));
            assert!(!verify_inclusion(&[7; 32], index as u64, size as u64, &proof, &root));
        }
        for old in 0..=size {
            let proof = consistency_proof(old as u64, size as u64, hashes(&leaves)).unwrap().unwrap();
            let old_root = naive(&leaves[..old]);
            if old > 0 {
                assert_eq!(proof, naive_subproof(old, &leaves, true));
            }
            assert!(verify_consistency(old as u64, &old_root, size as u64, &root, &proof), "{old} {size}");
            assert!(!verify_consistency(old as u64, &[7; 32], size as u64, &root, &proof));
            assert!(!verify_consistency(old as u64, &old_root, size as u64, &[7; 32], &proof) || old == 0);
            let longer = [proof.as_slice(), &[[0; 32]]].concat();
            assert!(!verify_consistency(old as u64, &old_root, size as u64, &root, &longer));
        }
        assert_eq!(inclusion_proof(size as u64, size as u64, hashes(&leaves)).unwrap(), None);
    }
}

#[test]
fn a_frontier_goes_on_from_its_peaks() {
    for size in 0..40 {
        let leaves = leaves(40);
        let begun = tree(&leaves[..size]);
        let mut gone_on = Frontier::from_peaks(begun.len(), begun.peaks().to_vec()).unwrap();
        leaves[size..].iter().for_each(|leaf| gone_on.push(leaf));
        assert_eq!(gone_on, tree(&leaves));
    }
    assert_eq!(Frontier::from_peaks(3, vec![[0; 32]]), None);
}

#[test]
fn paths_of_tiles_are_those_of_tlog_tiles() {
    let tile = |kind, index, width| Tile { kind, index, width };
    let cases = [
        (tile(TileKind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067"),
        (tile(TileKind::Hashes(1), 0, 17), "tile/1/000.p/17"),
        (tile(TileKind::Hashes(63), 999, 1), "tile/63/999.p/1"),
        (tile(TileKind::Entries, 1_000, 255), "tile/entries/x001/000.p/255"),
        (tile(TileKind::Entries, u64::MAX, 256), "tile/entries/x018/x446/x744/x073/x709/x551/615"),
    ];
    for (tile, path) in cases {
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse::<Tile>().unwrap(), tile);
    }
    for bad in [
        "",
        "tile/0",
        "tile/0/",
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/001/000",
        "tile/0/x000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x001",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/+00",
    ] {
        assert!(bad.parse::<Tile>().is_err(), "{bad}");
    }
}

#[test]
fn a_tree_has_the_tiles_that_tlog_tiles_counts() {
    let count = |size| {
        let (mut full, mut partial) = ([0; 3], [None; 3]);
        for tile in tiles_of(0, size) {
            let TileKind::Hashes(level) = tile.kind else { continue };
            if tile.is_full() { full[usize::from(level)] += 1 } else { partial[usize::from(level)] = Some(tile.width) }
        }
        (full, partial)
    };
    assert_eq!(count(70_000), ([273, 1, 0], [Some(112), Some(17), Some(1)]));
    assert_eq!(count(256), ([1, 0, 0], [None, Some(1), None]));
    assert_eq!(tiles_of(0, 0).count(), 0);
    assert_eq!(tiles_of(70_000, 70_000).count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn large_trees_are_those_of_a_naive_implementation(size in 1_usize..2_000, old in any::<prop::sample::Index>()) {
        let leaves = leaves(size);
        let (old, root) = (old.index(size + 1), tree(&leaves).root());
        prop_assert_eq!(root, naive(&leaves));
        let proof = consistency_proof(old as u64, size as u64, hashes(&leaves)).unwrap().unwrap();
        prop_assert!(verify_consistency(old as u64, &naive(&leaves[..old]), size as u64, &root, &proof));
        let index = old.min(size - 1);
        let proof = inclusion_proof(index as u64, size as u64, hashes(&leaves)).unwrap().unwrap();
        prop_assert!(verify_inclusion(&leaf_hash(&leaves[index]), index as u64, size as u64, &proof, &root));
    }

    #[test]
    fn no_proof_makes_anybody_panic(
        index in any::<u64>(), size in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let hash = [1; 32];
        prop_assert!(!verify_inclusion(&hash, index, size, &proof, &[2; 32]));
        let _ = verify_consistency(index, &hash, size, &hash, &proof);
    }

    #[test]
    fn what_was_a_tile_of_an_older_tree_is_not_listed_again(old in 0_u64..80_000, more in 0_u64..80_000) {
        let (then, all, new): (Vec<_>, Vec<_>, Vec<_>) =
            (tiles_of(0, old).collect(), tiles_of(0, old + more).collect(), tiles_of(old, old + more).collect());
        for tile in &all {
            prop_assert_eq!(new.contains(tile), !then.contains(tile), "{}", tile);
        }
        prop_assert!(new.iter().all(|tile| all.contains(tile)));
    }
}
