//! How often the allocator is asked, counted on one thread.

use allocation_counter::measure;
use bulla_seal::{Params, Suite};

use super::{context, key};

#[test]
fn sealing_and_opening_allocate_once() {
    let key = key();
    let context = context();
    for suite in [Suite::Aes256Gcm, Suite::Authenticated] {
        for len in [64, 1_024, 65_536] {
            let message = vec![7; len];
            // The first use of a thread maps its random buffer.
            let sealed = key.seal(Params::new(suite), &context, &message).unwrap();
            let sealing = measure(|| drop(key.seal(Params::new(suite), &context, &message)));
            assert_eq!(sealing.count_total, 1, "seal {len}");
            let opening = measure(|| drop(key.open(&context, &sealed)));
            assert_eq!(opening.count_total, 1, "open {len}");
        }
    }
}
