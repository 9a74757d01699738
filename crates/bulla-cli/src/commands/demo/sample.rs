//! What the demo stores: the files of a folder, and a stream that is made up as it goes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use bulla::{Namespace, PutOptions};

use crate::failure::{Failure, Result};

/// Most files that are stored.
const MAX_FILES: usize = 10_000;
/// Most bytes of files that are stored.
const MAX_BYTES: u64 = 512 * 1_024 * 1_024;
/// Most files that are looked at.
const MAX_SEEN: usize = 100_000;
/// Longest name that an entry has.
const MAX_NAME_LEN: usize = 1_024;
/// Folders that hold what programs made, not what people did.
const LEFT_OUT: [&str; 2] = ["target", ".git"];
/// How many put or read at once: enough to share a sync, few enough for small machines.
const WORKERS: usize = 8;
const BUFFER_LEN: usize = 64 * 1_024;

/// The regular files of a folder.
pub(super) struct Sample {
    root: PathBuf,
    /// Paths below the root.
    pub(super) files: Vec<PathBuf>,
    beyond_limits: usize,
}

/// A file that was stored.
pub(super) struct Stored {
    name: Vec<u8>,
    pub(super) len: u64,
    digest: Digest,
}

impl Sample {
    pub(super) fn collect(root: &Path) -> Result<Self> {
        let mut sample = Self { root: root.to_owned(), files: Vec::new(), beyond_limits: 0 };
        let mut bytes = 0;
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = root.join(&folder);
            let failed = |error: io::Error| Failure::file("read the folder", &path, &error);
            let mut entries = fs::read_dir(&path).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let name = entry.file_name();
                let path = folder.join(&name);
                let kind = entry.file_type().map_err(failed)?;
                if kind.is_dir() && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                    folders.push(path);
                } else if kind.is_file() {
                    if sample.files.len() + sample.beyond_limits == MAX_SEEN {
                        return Ok(sample);
                    }
                    let len = entry.metadata().map_err(failed)?.len();
                    if sample.files.len() == MAX_FILES
                        || bytes + len > MAX_BYTES
                        || path.as_os_str().len() > MAX_NAME_LEN
                    {
                        sample.beyond_limits += 1;
                    } else {
                        bytes += len;
                        sample.files.push(path);
                    }
                }
            }
        }
        Ok(sample)
    }

    /// Says what is not stored.
    pub(super) fn left_out(&self) -> String {
        format!(
            "without folders called {}; {} files lie beyond the limits of {MAX_FILES} files and {} MiB",
            LEFT_OUT.join(" or "),
            self.beyond_limits,
            MAX_BYTES >> 20
        )
    }

    /// Stores some of the files. One that was taken away meanwhile is left out.
    pub(super) fn put(&self, files: &[PathBuf], namespace: &Namespace) -> Result<Vec<Stored>> {
        let stored = in_parallel(files, |file| {
            let path = self.root.join(file);
            match File::open(&path) {
                Ok(source) => put_file(source, &path, file.as_os_str().as_bytes(), namespace).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Failure::file("read", &path, &error)),
            }
        })?;
        Ok(stored.into_iter().flatten().collect())
    }
}

fn put_file(mut source: File, path: &Path, name: &[u8], namespace: &Namespace) -> Result<Stored> {
    let mut writer = namespace.writer(name, &PutOptions::default()).map_err(bulla::Error::from)?;
    let mut digest = Context::new(&SHA256);
    let mut len = 0;
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        digest.update(&buffer[..read]);
        len += read as u64;
        pollster::block_on(writer.write(&buffer[..read])).map_err(bulla::Error::from)?;
    }
    pollster::block_on(writer.finish()).map_err(bulla::Error::from)?;
    Ok(Stored { name: name.to_vec(), len, digest: digest.finish() })
}

/// Reads files back, and compares them with what was stored by length and SHA-256.
pub(super) fn compare(stored: &[Stored], namespace: &Namespace) -> Result<()> {
    in_parallel(stored, |file| {
        let mut digest = Context::new(&SHA256);
        let len = pollster::block_on(super::read(namespace, &file.name, |piece| digest.update(piece)));
        let len = len.map_err(bulla::Error::from)?;
        if len == file.len && digest.finish().as_ref() == file.digest.as_ref() {
            return Ok(());
        }
        Err(Failure::demo(format!("`{}` came back other than it was stored", crate::names::shown(&file.name))))
    })?;
    Ok(())
}

/// Does the same with each item, several at a time; stops at the first failure.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<R>> {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(item) {
                Ok(result) => done.push(result),
                Err(failure) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
        Ok(done)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().map_err(|_| Failure::demo("a worker panicked"))??);
        }
        Ok(done)
    })
}

/// A stream of bytes that do not compress, the same each time.
pub(super) struct Generated {
    len: u64,
}

impl Generated {
    pub(super) fn new(len: u64) -> Self {
        Self { len }
    }

    pub(super) async fn put(&self, namespace: &Namespace, name: &str) -> Result<()> {
        let mut writer = namespace.writer(name.as_bytes(), &PutOptions::default()).map_err(bulla::Error::from)?;
        let mut buffer = vec![0; BUFFER_LEN];
        let mut numbers = Numbers(0);
        let mut left = self.len;
        while left > 0 {
            numbers.fill(&mut buffer);
            let taken = usize::try_from(left).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            writer.write(&buffer[..taken]).await.map_err(bulla::Error::from)?;
            left -= taken as u64;
        }
        writer.finish().await.map_err(bulla::Error::from)?;
        Ok(())
    }

    /// Reads the stream back, and compares each byte with what it is made of.
    pub(super) async fn compare(&self, namespace: &Namespace, name: &str) -> Result<()> {
        let mut expected = vec![0; BUFFER_LEN];
        let mut at = BUFFER_LEN;
        let mut numbers = Numbers(0);
        let mut equal = true;
        let compare = |mut piece: &[u8]| {
            while !piece.is_empty() {
                if at == BUFFER_LEN {
                    numbers.fill(&mut expected);
                    at = 0;
                }
                let taken = piece.len().min(BUFFER_LEN - at);
                equal &= piece[..taken] == expected[at..at + taken];
                at += taken;
                piece = &piece[taken..];
            }
        };
        let len = super::read(namespace, name.as_bytes(), compare).await.map_err(bulla::Error::from)?;
        if equal && len == self.len {
            return Ok(());
        }
        Err(Failure::demo("the stream came back other than it was stored"))
    }
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014): sample data, no secret.
struct Numbers(u64);

impl Numbers {
    fn fill(&mut self, buffer: &mut [u8]) {
        for bytes in buffer.chunks_exact_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
    }
}
