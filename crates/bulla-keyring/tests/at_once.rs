//! Several administrators at once, each with a keyring of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use bulla_keyring::{Capability, Identity, Keyring, KeyringError};

use crate::setting::code;
use crate::team::{PLAIN, ROTATE, Team, identity, refreshed};

const THREADS: usize = 8;

fn block<T>(work: impl Future<Output = T>) -> T {
    pollster::block_on(work)
}

#[test]
fn no_act_of_eight_administrators_is_lost() {
    const ROUNDS: usize = 6;
    let (team, founder) = Team::begin();
    let admins: Vec<_> =
        (0..THREADS).map(|at| team.join(&founder, &format!("admin-{at}"), Capability::Authorise)).collect();
    let start = Barrier::new(THREADS);
    // Each lets machines in, puts every other one out again, and begins epochs.
    let kept: Vec<(Arc<Identity>, bool)> = thread::scope(|scope| {
        let (team, start) = (&team, &start);
        let threads: Vec<_> = admins
            .iter()
            .enumerate()
            .map(|(thread, admin)| {
                scope.spawn(move || {
                    let keyring = team.open(admin).unwrap();
                    start.wait();
                    let act = |round: usize| {
                        let machine = team.join(&keyring, &format!("m-{thread}-{round}"), Capability::Use);
                        if (thread + round).is_multiple_of(3) {
                            block(keyring.begin_epoch()).unwrap();
                        }
                        let goes = round % 2 == 1;
                        if goes {
                            let revoked = block(keyring.revoke(machine.fingerprint(), PLAIN)).unwrap();
                            assert_eq!(revoked.machines.len(), 1);
                        }
                        (machine, !goes)
                    };
                    (0..ROUNDS).map(act).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    refreshed(&founder).unwrap();
    let epochs = (0..THREADS)
        .flat_map(|thread| (0..ROUNDS).map(move |round| thread + round))
        .filter(|sum| sum.is_multiple_of(3))
        .count();
    assert_eq!(founder.epoch(), 1 + epochs as u64, "each epoch that was begun is one of its own");
    let expected: BTreeSet<_> =
        kept.iter().filter(|(_, stays)| *stays).map(|(machine, _)| machine.fingerprint()).collect();
    let others: BTreeSet<_> =
        admins.iter().map(|admin| admin.fingerprint()).chain([team.founder.fingerprint()]).collect();
    assert_eq!(founder.machines().into_keys().collect::<BTreeSet<_>>(), expected.union(&others).copied().collect());
    for (machine, stays) in &kept {
        let opened = team.open(machine);
        if *stays {
            assert_eq!(opened.unwrap().epoch(), founder.epoch());
            assert_eq!(
                team.copies(machine.fingerprint()).len() as u64,
                founder.epoch(),
                "every data key, and no other"
            );
        } else {
            assert_eq!(code(opened), "revoked");
            assert!(team.copies(machine.fingerprint()).is_empty());
        }
    }
}

#[test]
fn of_two_that_put_each_other_out_one_stays() {
    for _ in 0..8 {
        let (team, founder) = Team::begin();
        let rivals = ["one", "other"].map(|name| team.open(&team.join(&founder, name, Capability::Authorise)).unwrap());
        let start = Barrier::new(2);
        let codes = thread::scope(|scope| {
            let duel = |me: usize| {
                let (rivals, start) = (&rivals, &start);
                scope.spawn(move || {
                    start.wait();
                    code(block(rivals[me].revoke(rivals[1 - me].identity().fingerprint(), ROTATE)))
                })
            };
            [duel(0), duel(1)].map(|thread| thread.join().unwrap())
        });
        let mut sorted = codes;
        sorted.sort_unstable();
        assert_eq!(sorted, ["ok", "revoked"]);
        refreshed(&founder).unwrap();
        for (rival, code) in rivals.iter().zip(codes) {
            assert_eq!(founder.machines().contains_key(&rival.identity().fingerprint()), code == "ok");
        }
    }
}

#[test]
fn two_last_authorisers_do_not_both_go() {
    for _ in 0..8 {
        let (team, founder) = Team::begin();
        let other = team.open(&team.join(&founder, "other", Capability::Authorise)).unwrap();
        refreshed(&founder).unwrap();
        let both: [&Keyring; 2] = [&founder, &other];
        let mut codes = thread::scope(|scope| {
            both.map(|keyring| {
                scope.spawn(move || code(block(keyring.revoke(keyring.identity().fingerprint(), PLAIN))))
            })
            .map(|thread| thread.join().unwrap())
        });
        codes.sort_unstable();
        assert_eq!(codes, ["last_authoriser", "ok"]);
    }
}

#[test]
fn one_name_is_given_once() {
    let (team, founder) = Team::begin();
    let admins: Vec<_> =
        (0..THREADS).map(|at| team.join(&founder, &format!("admin-{at}"), Capability::Authorise)).collect();
    let start = Barrier::new(THREADS);
    let results: Vec<Result<u64, KeyringError>> = thread::scope(|scope| {
        let (team, start) = (&team, &start);
        let grant = |admin| {
            scope.spawn(move || {
                let keyring = team.open(admin).unwrap();
                start.wait();
                team.let_in(&keyring, &identity(), "server", Capability::Use)
            })
        };
        let threads: Vec<_> = admins.iter().map(grant).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| error.code() == "already_exists"));
}

#[test]
fn a_machine_that_comes_back_while_its_copies_are_deleted_has_them_all() {
    for _ in 0..16 {
        let (team, founder) = Team::begin();
        let admin = team.open(&team.join(&founder, "admin", Capability::Authorise)).unwrap();
        let server = team.join(&founder, "server", Capability::Use);
        block(founder.begin_epoch()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| block(founder.revoke(server.fingerprint(), PLAIN)).unwrap());
            scope.spawn(|| {
                while team.let_in(&admin, &server, "server", Capability::Use).is_err() {
                    thread::yield_now();
                }
            });
        });
        assert_eq!(team.open(&server).unwrap().epoch(), 2);
        assert_eq!(team.copies(server.fingerprint()).len(), 2);
    }
}
