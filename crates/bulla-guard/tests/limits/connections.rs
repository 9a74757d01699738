//! Open connections.

use std::thread;

use bulla_guard::limits::{ConnectionLimits, ConnectionRefused, Connections};

use super::{numbered, peer};

#[test]
fn a_peer_has_so_many_connections_and_all_have_so_many() {
    let connections = Connections::new(ConnectionLimits { per_peer: 2, total: 3 });
    let one = connections.admit(peer("2001:db8::1")).unwrap();
    let two = connections.admit(peer("2001:db8::2")).unwrap();
    assert_eq!(connections.admit(peer("2001:db8::3")).unwrap_err(), ConnectionRefused::PerPeer(2));
    let three = connections.admit(peer("192.0.2.1")).unwrap();
    assert_eq!(connections.admit(peer("192.0.2.2")).unwrap_err(), ConnectionRefused::Total(3));
    drop(two);
    let again = connections.admit(peer("2001:db8::3")).unwrap();
    assert_eq!(again.peer(), one.peer());
    assert_eq!(connections.open(), 3);
    drop((one, three, again));
    assert_eq!(connections.open(), 0);
}

#[test]
fn what_is_dropped_after_the_counter_does_no_harm() {
    let connection = Connections::default().admit(peer("192.0.2.1")).unwrap();
    drop(connection);
}

#[test]
fn threads_count_right() {
    let connections = Connections::new(ConnectionLimits { per_peer: 5, total: 40 });
    thread::scope(|scope| {
        for thread in 0..8 {
            let connections = &connections;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let held: Vec<_> =
                        (0..7).filter_map(|_| connections.admit(numbered(thread + round % 2)).ok()).collect();
                    assert!(held.len() <= 5 && connections.open() <= 40);
                }
            });
        }
    });
    assert_eq!(connections.open(), 0);
}
