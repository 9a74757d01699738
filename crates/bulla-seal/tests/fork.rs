//! A forked child draws other salts than its parent, continues none of its messages, and can keep secrets of its own.

use std::io::{Read, Write};

use bulla_seal::{Header, Params, SealError, Secret, StreamSealer};

use super::{context, key};

const LEN: usize = bulla_seal::HEADER_LEN + 1;

#[test]
#[cfg(target_os = "linux")]
fn a_child_shares_no_salt_and_continues_no_message() {
    // Fill the buffer first, so that there is something to inherit.
    let mut begun = StreamSealer::new(&key(), Params::default(), &context()).unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let refused = begun.seal_next(true, &mut [0; 20]) == Err(SealError::Forked);
            let secret = Secret::<32>::random().is_ok_and(|secret| *secret.expose() != [0; 32]);
            let own = StreamSealer::new(&key(), Params::default(), &context());
            let sent = own.is_ok_and(|own| {
                let report = [own.header(), [u8::from(refused && secret)].as_slice()].concat();
                writer.write_all(&report).is_ok()
            });
            // Does not return to the test harness, of which the child has half.
            std::process::exit(i32::from(!sent));
        }
        fork::Fork::Parent(child) => {
            drop(writer);
            let own = StreamSealer::new(&key(), Params::default(), &context()).unwrap();
            let mut report = [0; LEN];
            reader.read_exact(&mut report).unwrap();
            assert!(fork::waitpid(child).is_ok());
            assert_eq!(report[LEN - 1], 1, "the child refused to go on, and drew a secret");
            let childs = &report[..LEN - 1];
            assert!(Header::parse(&[childs, &[0; 16]].concat()).is_ok());
            assert_ne!(childs, own.header());
            assert_ne!(childs, begun.header());
            assert_eq!(begun.seal_next(true, &mut [0; 20]), Ok(()), "the parent goes on");
        }
    }
}
