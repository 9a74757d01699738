//! Settings of keys and states of versions, through the public interface: each does what it says, and each refusal has its code.

use std::time::Duration;

use bulla_keyring::format::KEYS;
use bulla_keyring::{Algorithm, Capability, Exportable, KeyName, KeySetting, Keyring, VersionState};
use bulla_seal::{Header, SecretVec};
use pollster::block_on as block;

use crate::setting::{code, context, name};
use crate::team::Team;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key with three versions, and a value under each.
fn orders(keyring: &Keyring, settings: &[KeySetting]) -> (KeyName, Vec<Vec<u8>>) {
    let orders = name("orders");
    block(keyring.create_key_with(&orders, Algorithm::default(), settings)).unwrap();
    let mut sealed = Vec::new();
    for number in 1..=3 {
        if number > 1 {
            block(keyring.rotate_key(&orders)).unwrap();
        }
        sealed.push(block(keyring.seal(&orders, &context(keyring, 1), format!("{number}").as_bytes())).unwrap());
    }
    (orders, sealed)
}

fn opens(keyring: &Keyring, orders: &KeyName, sealed: &[Vec<u8>]) -> Vec<&'static str> {
    let context = context(keyring, 1);
    sealed.iter().map(|sealed| code(block(keyring.open_sealed(orders, &context, sealed)))).collect()
}

fn set(keyring: &Keyring, orders: &KeyName, setting: KeySetting) -> &'static str {
    code(block(keyring.change_settings(orders, &[setting])))
}

#[test]
fn a_disabled_version_does_nothing_until_it_is_enabled() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = orders(&keyring, &[KeySetting::Exportable(Exportable::Yes)]);
    block(keyring.disable_version(&orders, 2)).unwrap();
    assert_eq!(opens(&keyring, &orders, &sealed), ["ok", "version_disabled", "ok"]);
    assert_eq!(code(block(keyring.export_version(&orders, 2))), "version_disabled");
    assert_eq!(code(block(keyring.version_of(&orders, 2))), "version_disabled");
    let listed = block(keyring.versions(&orders, None, 0)).unwrap().versions;
    let states: Vec<_> = listed.into_iter().map(|version| version.unwrap().state).collect();
    assert_eq!(states, [VersionState::Enabled, VersionState::Disabled, VersionState::Enabled]);
    assert_eq!(opens(&team.open(&team.founder).unwrap(), &orders, &sealed), ["ok", "version_disabled", "ok"]);
    block(keyring.enable_version(&orders, 2)).unwrap();
    assert_eq!(opens(&keyring, &orders, &sealed), ["ok", "ok", "ok"]);

    // Without its newest version the key does not seal; a rotation helps.
    block(keyring.disable_version(&orders, 3)).unwrap();
    assert_eq!(code(block(keyring.current(&orders))), "version_disabled");
    assert_eq!(code(block(keyring.seal(&orders, &context(&keyring, 1), b"4"))), "version_disabled");
    assert_eq!(code(block(keyring.rewrap(&orders, &context(&keyring, 1), &sealed[0]))), "version_disabled");
    block(keyring.rotate_key(&orders)).unwrap();
    assert_eq!(block(keyring.current(&orders)).unwrap().number(), 4);
    for refused in [block(keyring.disable_version(&orders, 9)), block(keyring.enable_version(&orders, 0))] {
        assert_eq!(code(refused), "not_found");
    }
}

#[test]
fn what_another_process_disables_stops_to_open_within_a_second() {
    let (team, here) = Team::begin();
    let there = team.open(&team.founder).unwrap();
    let (orders, sealed) = orders(&here, &[]);
    assert_eq!(opens(&there, &orders, &sealed), ["ok", "ok", "ok"]);
    block(here.disable_version(&orders, 1)).unwrap();
    assert_eq!(opens(&here, &orders, &sealed[..1]), ["version_disabled"], "this process knows at once");
    team.clock.advance(1_001);
    assert_eq!(opens(&there, &orders, &sealed), ["version_disabled", "ok", "ok"]);
    // What is allowed again is noticed at once: a refusal is looked up.
    block(here.enable_version(&orders, 1)).unwrap();
    assert_eq!(opens(&there, &orders, &sealed), ["ok", "ok", "ok"]);
}

#[test]
fn versions_below_the_minimum_do_not_open() {
    let (_, keyring) = Team::begin();
    let (orders, sealed) = orders(&keyring, &[]);
    assert_eq!(set(&keyring, &orders, KeySetting::MinOpen(3)), "ok");
    assert_eq!(opens(&keyring, &orders, &sealed), ["below_minimum", "below_minimum", "ok"]);
    assert_eq!(set(&keyring, &orders, KeySetting::MinOpen(2)), "ok");
    assert_eq!(opens(&keyring, &orders, &sealed), ["below_minimum", "ok", "ok"]);
    assert_eq!(block(keyring.key(&orders)).unwrap().settings.min_open, 2);
    for number in [0, 4] {
        assert_eq!(set(&keyring, &orders, KeySetting::MinOpen(number)), "bad_setting");
        assert_eq!(set(&keyring, &orders, KeySetting::MinSeal(Some(number))), "bad_setting");
    }
}

#[test]
fn an_older_version_is_chosen_to_seal_only_where_that_is_allowed() {
    let (_, keyring) = Team::begin();
    let (orders, _) = orders(&keyring, &[]);
    let seals = |number| code(block(keyring.version_to_seal(&orders, number)));
    assert_eq!([1, 2, 3, 4].map(seals), ["below_minimum", "below_minimum", "ok", "not_found"]);
    assert_eq!(set(&keyring, &orders, KeySetting::MinSeal(Some(2))), "ok");
    assert_eq!([1, 2, 3].map(seals), ["below_minimum", "ok", "ok"]);
    let chosen = block(keyring.version_to_seal(&orders, 2)).unwrap();
    let sealed = chosen.seal_key().seal(chosen.params(), &context(&keyring, 1), b"42").unwrap();
    assert_eq!(block(keyring.open_sealed(&orders, &context(&keyring, 1), &sealed)).unwrap(), b"42");
    block(keyring.disable_version(&orders, 2)).unwrap();
    assert_eq!([1, 2, 3].map(seals), ["below_minimum", "version_disabled", "ok"]);
    assert_eq!(set(&keyring, &orders, KeySetting::MinSeal(None)), "ok");
    assert_eq!([1, 3].map(seals), ["below_minimum", "ok"]);
}

#[test]
fn export_is_allowed_or_not_and_never_is_for_ever() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = orders(&keyring, &[]);
    let exports = |number| code(block(keyring.export_version(&orders, number)));
    assert_eq!(exports(1), "not_exportable");
    assert_eq!(set(&keyring, &orders, KeySetting::Exportable(Exportable::Yes)), "ok");
    let material = block(keyring.export_version(&orders, 1)).unwrap();
    let id = Header::parse(&sealed[0]).unwrap().key_version();
    let outside = bulla_seal::SealKey::new(id, material.expose()).unwrap();
    assert_eq!(outside.open(&context(&keyring, 1), &sealed[0]).unwrap(), b"1");
    assert_eq!(exports(7), "not_found");

    let exportable = team.all(KEYS).remove(0);
    assert_eq!(set(&keyring, &orders, KeySetting::Exportable(Exportable::Never)), "ok");
    for back in [Exportable::Yes, Exportable::No] {
        assert_eq!(set(&keyring, &orders, KeySetting::Exportable(back)), "not_exportable");
    }
    block(keyring.rotate_key(&orders)).unwrap();
    assert_eq!([exports(1), exports(4)], ["not_exportable", "not_exportable"]);

    // An older description is below the floor.
    team.overwrite(KEYS, exportable.key.as_bytes(), &exportable.value);
    let fresh = team.open(&team.founder).unwrap();
    assert_eq!(code(block(fresh.export_version(&orders, 1))), "rollback");
    assert_eq!(code(block(fresh.open_sealed(&orders, &context(&keyring, 1), &sealed[0]))), "rollback");
    assert_eq!(code(block(fresh.key(&orders))), "rollback");
}

#[test]
fn a_version_made_never_to_be_exported_survives_every_description() {
    let (_, keyring) = Team::begin();
    let orders = name("orders");
    let never = [KeySetting::Exportable(Exportable::Never), KeySetting::DeletionAllowed(true)];
    block(keyring.create_key_with(&orders, Algorithm::default(), &never)).unwrap();
    let backup = block(keyring.backup_key(&orders)).unwrap();
    block(keyring.delete_key(&orders, Duration::ZERO)).unwrap();
    block(keyring.restore_key(&backup)).unwrap();
    assert_eq!(block(keyring.key(&orders)).unwrap().settings.exportable, Exportable::Never);
    assert_eq!(set(&keyring, &orders, KeySetting::Exportable(Exportable::Yes)), "not_exportable");
    assert_eq!(code(block(keyring.export_version(&orders, 1))), "not_exportable");
}

#[test]
fn restricting_needs_an_authoriser_and_allowing_does_not() {
    let (team, founder) = Team::begin();
    let (orders, _) = orders(&founder, &[KeySetting::DeletionAllowed(true)]);
    block(founder.disable_version(&orders, 1)).unwrap();
    let member = team.join(&founder, "member", Capability::Use);
    let member = team.open(&member).unwrap();
    for refused in [
        block(member.disable_version(&orders, 2)),
        block(member.destroy_version(&orders, 2, DAY)).map(drop),
        block(member.trim_key(&orders, 1)).map(drop),
        block(member.delete_key(&orders, DAY)),
        block(member.change_settings(&orders, &[KeySetting::MinOpen(2)])).map(drop),
        block(member.change_settings(&orders, &[KeySetting::Exportable(Exportable::Never)])).map(drop),
        block(member.change_settings(&orders, &[KeySetting::DeletionAllowed(false)])).map(drop),
    ] {
        assert_eq!(code(refused), "not_authorised");
    }
    assert_eq!(block(founder.key(&orders)).unwrap().serial, 4, "nothing was written");
    let allowed = [KeySetting::Period(Some(DAY)), KeySetting::MaxUses(Some(9)), KeySetting::MinSeal(Some(1))];
    block(member.change_settings(&orders, &allowed)).unwrap();
    block(member.enable_version(&orders, 1)).unwrap();
    block(member.rotate_key(&orders)).unwrap();
    assert_eq!(block(founder.key(&orders)).unwrap().newest, 4);
}

#[test]
fn settings_are_changed_all_or_none_and_within_their_bounds() {
    let (_, keyring) = Team::begin();
    let (orders, _) = orders(&keyring, &[]);
    let before = block(keyring.key(&orders)).unwrap();
    let half = [KeySetting::MinOpen(2), KeySetting::MaxUses(Some(0))];
    assert_eq!(code(block(keyring.change_settings(&orders, &half))), "bad_setting");
    for refused in [Duration::ZERO, Duration::from_secs(59), Duration::MAX] {
        assert_eq!(set(&keyring, &orders, KeySetting::Period(Some(refused))), "bad_setting");
    }
    assert_eq!(block(keyring.key(&orders)).unwrap(), before);
    assert_eq!(code(block(keyring.change_settings(&name("none"), &[]))), "not_found");
    assert_eq!(code(block(keyring.delete_key(&orders, DAY))), "deletion_not_allowed");
    let all = [
        KeySetting::MinOpen(2),
        KeySetting::MinSeal(Some(2)),
        KeySetting::Period(Some(DAY)),
        KeySetting::MaxUses(Some(1_000)),
        KeySetting::Exportable(Exportable::Yes),
        KeySetting::DeletionAllowed(true),
    ];
    let changed = block(keyring.change_settings(&orders, &all)).unwrap();
    assert_eq!(changed.serial, before.serial + 1);
    assert_eq!((changed.settings.min_open, changed.settings.min_seal), (2, Some(2)));
    assert_eq!((changed.settings.period, changed.settings.max_uses), (Some(DAY), Some(1_000)));
    assert_eq!((changed.settings.exportable, changed.settings.deletion_allowed), (Exportable::Yes, true));
    assert_eq!(block(keyring.change_settings(&orders, &all)).unwrap().serial, changed.serial, "nothing to change");
}

#[test]
fn a_description_below_its_floor_is_refused() {
    let (team, keyring) = Team::begin();
    let (orders, sealed) = orders(&keyring, &[]);
    let old = team.all(KEYS).remove(0);
    block(keyring.disable_version(&orders, 1)).unwrap();
    team.overwrite(KEYS, old.key.as_bytes(), &old.value);
    let fresh = team.open(&team.founder).unwrap();
    for refused in [
        block(fresh.open_sealed(&orders, &context(&keyring, 1), &sealed[0])).map(drop),
        block(fresh.seal(&orders, &context(&keyring, 1), b"42")).map(drop),
        block(fresh.rotate_key(&orders)).map(drop),
        block(fresh.create_key(&orders, Algorithm::default())).map(drop),
    ] {
        assert_eq!(code(refused), "rollback");
    }
    assert_eq!(code(block(fresh.keys(None, 0)).unwrap().keys.remove(0)), "rollback");
}

#[test]
fn states_are_bounded() {
    let (_, keyring) = Team::begin();
    let orders = name("orders");
    block(keyring.create_key(&orders, Algorithm::default())).unwrap();
    for _ in 0..515 {
        block(keyring.rotate_key(&orders)).unwrap();
    }
    let disabled: Vec<_> =
        (1..=257_u64).map(|number| code(block(keyring.disable_version(&orders, 2 * number - 1)))).collect();
    assert!(disabled[..256].iter().all(|code| *code == "ok"));
    assert_eq!(disabled[256], "too_many");
    assert_eq!(block(keyring.current(&orders)).unwrap().number(), 516);
}

#[test]
fn material_from_outside_is_rotated_by_its_source_only() {
    let (team, keyring) = Team::begin();
    let (orders, letters) = (name("orders"), name("letters"));
    let material = |byte: u8| SecretVec::new(vec![byte; 20]);
    let create = |key: &KeyName, material: &SecretVec| {
        block(keyring.create_external_key(key, Algorithm::default(), &[], material))
    };
    create(&orders, &material(1)).unwrap();
    let context = context(&keyring, 1);
    let first = block(keyring.seal(&orders, &context, b"1")).unwrap();
    // Others who have the material agree on the id without the project.
    let theirs = bulla_seal::SealKey::with_derived_id(material(1).expose()).unwrap();
    assert_eq!(theirs.open(&context, &first).unwrap(), b"1");

    assert_eq!(code(block(keyring.rotate_key(&orders))), "external_key");
    assert_eq!(block(keyring.rotate_due(&orders)).unwrap(), None);
    assert_eq!(set(&keyring, &orders, KeySetting::Period(Some(DAY))), "bad_setting");
    let other = team.open(&team.founder).unwrap();
    let imported = block(keyring.import_version(&orders, &material(2))).unwrap();
    assert_eq!(imported.number, 2);
    for keyring in [&keyring, &other] {
        assert_eq!(block(keyring.import_version(&orders, &material(2))).unwrap(), imported, "the same, once");
        assert_eq!(block(keyring.current(&orders)).unwrap().id(), imported.id);
        assert_eq!(block(keyring.open_sealed(&orders, &context, &first)).unwrap(), b"1");
    }
    assert_eq!(block(keyring.import_version(&orders, &material(1))).unwrap().number, 1, "older, and still there");
    assert_eq!(block(keyring.key(&orders)).unwrap().newest, 2);

    assert_eq!(code(create(&letters, &material(2))), "material_in_use");
    assert_eq!(code(create(&letters, &SecretVec::new(vec![3; 15]))), "cannot_seal");
    block(keyring.create_key(&letters, Algorithm::default())).unwrap();
    assert_eq!(code(block(keyring.import_version(&letters, &material(4)))), "generated_key");
    block(keyring.destroy_version(&orders, 1, Duration::ZERO)).unwrap();
    assert_eq!(code(block(keyring.import_version(&orders, &material(1)))), "version_destroyed");
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::MlDsa65, Algorithm::XWing] {
        let created = block(keyring.create_external_key(&name("short"), algorithm, &[], &SecretVec::new(vec![9; 31])));
        assert_eq!(code(created), "cannot_seal");
    }
}

#[test]
fn system_keys_are_made_at_their_first_use() {
    let (team, keyring) = Team::begin();
    let other = team.open(&team.founder).unwrap();
    let index = bulla_keyring::SystemKey::index(&name("cache/pages")).unwrap();
    assert_eq!(index.to_string(), "sys/index/cache/pages");
    for key in [bulla_keyring::SystemKey::pepper(), bulla_keyring::SystemKey::audit(), index] {
        let (here, there) = (block(keyring.system_key(&key)).unwrap(), block(other.system_key(&key)).unwrap());
        assert_eq!(here.id(), there.id());
        let tag = here.tag(b"a secret");
        assert!(there.verifies(b"a secret", &tag) && !there.verifies(b"another", &tag));
        let rotated = block(keyring.rotate_system_key(&key)).unwrap();
        assert_eq!(block(other.system_key(&key)).unwrap().id(), rotated.id);
        assert!(block(other.system_version(&key, here.id())).unwrap().verifies(b"a secret", &tag));
    }
    let pepper = bulla_keyring::SystemKey::pepper();
    let audit = block(keyring.system_key(&bulla_keyring::SystemKey::audit())).unwrap();
    assert_eq!(code(block(keyring.system_version(&pepper, audit.id()))), "unknown_version");
    assert!(bulla_keyring::SystemKey::index(&name("1/2/3/4/5/6/7")).is_err());
}

#[test]
fn the_system_key_that_seals_renews_as_all_others() {
    let (team, keyring) = Team::begin();
    let other = team.open(&team.founder).unwrap();
    let access = bulla_keyring::SystemKey::access();
    assert_eq!(access.to_string(), "sys/access");
    assert!(block(other.find_system_seal_key(&access)).unwrap().is_none(), "a look makes none");
    let (here, there) =
        (block(keyring.system_seal_key(&access)).unwrap(), block(other.system_seal_key(&access)).unwrap());
    assert_eq!(here.id(), there.id());
    let context = bulla_seal::Context::in_domain("bulla/test", &team.project).build().unwrap();
    let sealed = here.seal_key().seal(here.params(), &context, b"a row").unwrap();
    block(keyring.begin_epoch()).unwrap();
    block(keyring.renew_key(&access.to_string().parse().unwrap())).unwrap();
    team.clock.advance(1_000);
    let newest = block(other.find_system_seal_key(&access)).unwrap().unwrap();
    assert!(newest.id() != here.id() && newest.number() > here.number());
    let old = block(other.system_seal_version(&access, here.id())).unwrap();
    assert_eq!(old.seal_key().open(&context, &sealed).unwrap(), b"a row");
    // Neither kind serves as the other, and no key of a user is one of Bulla's own.
    let pepper = bulla_keyring::SystemKey::pepper();
    let of_hmac = block(keyring.system_key(&pepper)).unwrap();
    assert_eq!(code(block(keyring.system_key(&access))), "wrong_use");
    assert_eq!(code(block(keyring.system_seal_key(&pepper))), "wrong_use");
    assert_eq!(code(block(keyring.system_seal_version(&access, of_hmac.id()))), "unknown_version");
    let orders = block(keyring.create_key(&name("orders"), Algorithm::default())).unwrap();
    let orders = block(keyring.current(&orders.name)).unwrap();
    assert_eq!(code(block(keyring.system_seal_version(&access, orders.id()))), "unknown_version");
}
