//! Single entries, between processes and rows that others planted.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bulla_backend::{Collection, DocumentKey, Durability, Expected};
use bulla_store::{ComputeOptions, Eviction, ExpectedVersion, GetOptions, Lifetime, Waiter};
use pollster::block_on;

use super::{LARGE, fresh, only_blob, set};
use crate::ground::{Ground, assert_code, pattern, read, value, write};

const CONDEMNED: Collection = Collection::new("condemned", Durability::Durable);

/// Lets no time pass.
struct AtOnce;

impl Waiter for AtOnce {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if duration.is_zero() { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

#[test]
fn a_computation_without_a_lease_leaves_its_thread_to_others() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"other", b"v");
    let options = ComputeOptions { lease: Duration::ZERO, ..ComputeOptions::default() };
    let polls = AtomicU64::new(0);
    let compute = || {
        std::future::poll_fn(|_| match polls.fetch_add(1, Ordering::SeqCst) {
            // It waits for what runs on the same thread.
            0..10_000 => Poll::Pending,
            _ => Poll::Ready(Err::<Vec<u8>, _>("nobody else was let in")),
        })
    };
    let mut computing = Box::pin(namespace.get_or_compute(b"n", &options, &AtOnce, compute));
    let polled = computing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "{polled:?}");
}

#[test]
fn what_replaces_a_value_without_end_is_seen_by_a_second_process() {
    // The memory tier of one process, while another removes and puts at the same version.
    let ground = Ground::new();
    let (here, there) = (ground.store.clone(), fresh(&ground));
    let (here, there) = (here.namespace("a").unwrap(), there.namespace("a").unwrap());
    set(&here, |settings| settings.memory_tier = true).unwrap();
    for round in 0_u8..20 {
        write(&there, b"n", &[round]);
        assert_eq!(read(&here, b"n").unwrap(), [round]);
        assert_eq!(read(&here, b"n").unwrap(), [round]);
        block_on(there.remove(b"n", ExpectedVersion::Any)).unwrap();
        let expected = GetOptions::version(1);
        assert_code(block_on(here.get(b"n", &expected)), "not_found");
    }
}

#[test]
fn a_lifetime_is_set_though_a_row_stands_of_the_blob_of_the_entry() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    // As a collection leaves it that is killed between its steps, or whoever writes to the storage.
    let key = DocumentKey::new(only_blob(&ground).0).unwrap();
    block_on(ground.documents.put(CONDEMNED, &key, &[0x83, 1, 0xf4, 0], Expected::Absent)).unwrap();
    let set = block_on(namespace.set_lifetime(b"n", Lifetime::For(Duration::from_mins(1)), ExpectedVersion::Any));
    assert_eq!(set.map_err(|error| error.code()), Ok(2));
}

#[test]
fn an_entry_that_is_renewed_does_not_make_room_for_itself() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let limited = |max_bytes| {
        set(&namespace, |settings| {
            (settings.max_bytes, settings.eviction) = (Some(max_bytes), Some(Eviction::LeastRecentlyStored));
        })
        .unwrap();
    };
    limited(1 << 20);
    for name in [&b"a"[..], b"b", b"c", b"d"] {
        write(&namespace, name, &pattern(1_000, 1));
        ground.clock.forward(Duration::from_secs(2));
    }
    limited(block_on(namespace.usage()).unwrap().unwrap().bytes);
    let renewed = block_on(namespace.set_lifetime(b"a", Lifetime::For(Duration::from_hours(9)), ExpectedVersion::Any));
    assert_eq!(renewed.map_err(|error| error.code()), Ok(2));
    assert!(value(&namespace, b"a").is_some());
}
