//! Directories of fleche, a Python cache of pickled results (`spec/fleche.md`): read, verified, listed, written, imported.
//!
//! Nothing here unpickles. A payload is handed over as bytes, once its signature has verified; the data in it is at most read, to tell the
//! name that it belongs under.

mod digest;
mod directory;
mod error;
mod file;
mod import;
mod keys;
mod name;
mod pickle;
mod verify;

pub use directory::{FlecheDirectory, FlecheListing, FlecheStat, MAX_FLECHE_LEN};
pub use error::{FlecheError, FlecheFault};
pub use file::{FlecheFile, FlecheKind};
pub use import::{FLECHE_MEDIA_TYPE, FlecheImport, FlecheImportCounts};
pub use keys::{FlecheKeys, FlecheKeysError};
pub use name::{FlecheName, ParseFlecheNameError};
pub use verify::{DigestOf, FlecheCounts};
