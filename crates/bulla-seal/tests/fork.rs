//! A forked child draws other random bytes than its parent.

use std::io::{Read, Write};

use bulla_seal::fill_random;

#[test]
#[cfg(target_os = "linux")]
fn parent_and_child_share_no_randomness() {
    // Fill the buffer first, so that there is something to inherit.
    fill_random(&mut [0; 24]).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let mut bytes = [0; 24];
            let sent = fill_random(&mut bytes).is_ok() && writer.write_all(&bytes).is_ok();
            // Does not return to the test harness, of which the child has half.
            std::process::exit(i32::from(!sent))
        }
        fork::Fork::Parent(child) => {
            let mut own = [0; 24];
            fill_random(&mut own).unwrap();
            let mut childs = [0; 24];
            reader.read_exact(&mut childs).unwrap();
            assert!(fork::waitpid(child).is_ok());
            assert_ne!(childs, [0; 24]);
            assert_ne!(childs, own);
        }
    }
}
