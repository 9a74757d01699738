//! Settings that somebody altered, lost or put back.

use std::io;
use std::time::Duration;

use bulla_backend::{DocumentKey, Expected};
use bulla_keyring::SystemKey;
use bulla_store::{Budget, ComputeOptions, Depth, GetOptions, Mode, NamespaceSettings, PutOptions};
use pollster::block_on;

use super::{NAMESPACES, fresh, plant_settings, set, settings_of};
use crate::computing::{Never, leases};
use crate::ground::{ENTRIES, Ground, assert_code, read, value, write};

#[test]
fn settings_that_were_lost_find_blinded_entries_again_after_a_rotation() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    block_on(ground.keyring.rotate_system_key(&SystemKey::index(&"a".parse().unwrap()).unwrap())).unwrap();
    let mut settings = settings_of(&ground, "a").value;
    *settings.last_mut().unwrap() ^= 1;
    plant_settings(&ground, "a", &settings);
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), "damaged");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    assert_eq!(value(&namespace, b"n").as_deref(), Some(&b"v"[..]));
}

#[test]
fn settings_with_any_flipped_bit_can_be_set_anew() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"v");
    let good = settings_of(&ground, "a").value;
    let (mut stuck, mut refused) = (Vec::new(), std::collections::BTreeSet::new());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        plant_settings(&ground, "a", &bad);
        let namespace = fresh(&ground).namespace("a").unwrap();
        refused.extend(set(&namespace, |_| {}).err().map(|error| error.code().to_owned()));
        plant_settings(&ground, "a", &bad);
        let namespace = fresh(&ground).namespace("a").unwrap();
        if let Err(error) = block_on(namespace.set_settings_anew(&NamespaceSettings::default())) {
            stuck.push((at, error.code()));
        }
    }
    assert_eq!(stuck, []);
    // What may be a newer program's, or of a key that is not at hand, is not replaced by chance.
    assert_eq!(Vec::from_iter(refused), ["unknown_version", "unsupported_suite", "unsupported_version"]);
}

#[test]
fn settings_that_went_back_are_not_sealed_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let old = settings_of(&ground, "a").value;
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    write(&namespace, b"n", b"v");
    plant_settings(&ground, "a", &old);
    ground.rotate("a");
    // This process has seen newer ones.
    drop(block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})));
    drop(block_on(namespace.put(b"m", b"v", &PutOptions::default())));
    assert!(settings_of(&ground, "a").value == old, "what was put back lives on under the newest key");
}

#[test]
fn blinded_names_stay_blinded_though_the_first_entries_do_not_open() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    // Whoever writes to the storage puts rubbish before all entries, and flips a bit of the settings.
    for number in 0_u8..64 {
        ground.plant("a", &[0, 0, 0, number], b"rubbish");
    }
    let mut settings = settings_of(&ground, "a").value;
    *settings.last_mut().unwrap() ^= 1;
    plant_settings(&ground, "a", &settings);
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert_code(set(&namespace, |_| {}), "invalid_settings");
}

#[test]
fn leases_show_no_name_where_settings_and_entries_were_deleted() {
    let ground = Ground::new();
    set(&ground.namespace("a"), |settings| settings.blinded_names = true).unwrap();
    write(&ground.namespace("a"), b"n", b"v");
    // Whoever writes to the storage deletes the settings and all entries.
    for document in ground.documents() {
        block_on(ground.documents.delete(ENTRIES, &document.key, Expected::Any)).unwrap();
    }
    block_on(ground.documents.delete(NAMESPACES, &DocumentKey::new(*b"a").unwrap(), Expected::Any)).unwrap();
    let namespace = fresh(&ground).namespace("a").unwrap();
    let compute = || async { panic!("nothing is computed that could not be put") };
    let options = ComputeOptions::default();
    let computed = block_on(namespace.get_or_compute::<_, _, io::Error>(b"telling", &options, &Never, compute));
    assert_code(computed, "settings_missing");
    assert_eq!(leases(&ground), Vec::<DocumentKey>::new());
}

#[test]
fn what_is_held_in_memory_goes_with_the_settings_that_allow_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.memory_tier = true).unwrap();
    write(&namespace, b"n", b"v");
    for _ in 0..2 {
        read(&namespace, b"n").unwrap();
    }
    set(&namespace, |settings| settings.memory_tier = false).unwrap();
    ground.clock.forward(Duration::from_secs(5));
    // Anything that looks at the settings notices it.
    write(&namespace, b"m", b"w");
    block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
    let told = format!("{:?}", ground.store);
    let held = told.split("MemoryTier").nth(1).unwrap().split('}').next().unwrap();
    assert!(held.contains("values: 0"), "{held}");
}
