//! An arbitrary settings file: it is refused, or each of its values is one that code could have given. The same for the source of a key alone.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bulla::{BackendUrl, KeySource, Origin, Settings};
use libfuzzer_sys::fuzz_target;

/// A folder of this process, in memory where the system has such.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("bulla-fuzz-settings-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
});

fuzz_target!(|data: &[u8]| {
    if let Ok(url) = BackendUrl::parse(OsStr::from_bytes(data), Path::new("/")) {
        assert_eq!(BackendUrl::parse(&url.to_os_string(), Path::new("/elsewhere")), Ok(url));
    }
    if let Some(source) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<KeySource>().ok()) {
        assert_eq!(source.to_string().parse(), Ok(source));
    }

    let file = FOLDER.join("bulla.toml");
    fs::write(&file, data).expect("a folder of ours");
    let Ok(settings) = Settings::builder().folder(&*FOLDER).environment(false).load() else { return };
    let mut again = Settings::builder().folder("/").file(&file).environment(false);
    if settings.backend().origin() == &Origin::File(file.clone()) {
        again = again.backend(settings.backend().get().to_os_string());
    }
    let again = again.load().expect("values that were read once");
    assert_eq!(again.backend().get(), settings.backend().get());
    assert_eq!(again.identity(), settings.identity());
});
