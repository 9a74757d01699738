use bulla::{Encoding, MAX_RANDOM_LEN};
use bulla_seal::fill_random;
use zeroize::Zeroizing;

use super::Desk;
use crate::failure::{Failure, Result};

/// Print random bytes, from the generator that keys come from
///
/// No project is needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many bytes: 1 to 65,536
    #[arg(default_value_t = 32)]
    bytes: usize,
    /// How to write them: `hex`, `base64`, or `raw`
    #[arg(long, default_value_t = Encoding::Hex)]
    encoding: Encoding,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    if !(1..=MAX_RANDOM_LEN).contains(&args.bytes) {
        let refused = bulla::KeyringError::RandomLength(args.bytes);
        return Err(Failure::from(bulla::Error::from(refused)));
    }
    let mut bytes = Zeroizing::new(vec![0; args.bytes]);
    fill_random(&mut bytes).map_err(Failure::from)?;
    desk.output.encoded(&bytes, "random", args.encoding)
}
