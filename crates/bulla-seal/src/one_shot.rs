//! Sealing and opening values that are in memory, over all cores where they are large.

use std::num::NonZero;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use zeroize::Zeroize;

use crate::chunk::ChunkCipher;
use crate::header::{HEADER_LEN, PREFIX_LEN, SALT_LEN};
use crate::primitive::{constant_time_eq, hmac_sha256};
use crate::{Context, Header, Layout, OpenError, Params, SealError, SealKey, Suite, TAG_LEN, random};

/// A message of at least this length is worth a second core: at half of it, waking one costs what it saves.
const PARALLEL_FROM: usize = 2 * 1_024 * 1_024;
/// How many pieces each core works off, if they are not too small.
const SHARES_PER_CORE: usize = 4;
/// Least length of such a piece, in bytes.
const MIN_SHARE: usize = 256 * 1_024;

impl SealKey {
    /// Seals a message.
    ///
    /// # Errors
    /// [`SealError::MessageLength`] or [`SealError::Random`].
    pub fn seal(&self, params: Params, context: &Context, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::new();
        self.seal_into(params, context, message, &mut out)?;
        Ok(out)
    }

    /// Seals a message to a buffer, whose old content is lost and whose memory is used again.
    ///
    /// # Errors
    /// As [`SealKey::seal`]; the buffer is empty then.
    pub fn seal_into(
        &self,
        params: Params,
        context: &Context,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        out.clear();
        let salt = self.salt(params, context, message)?;
        seal_under(self, params, context, &salt, message, out)
    }

    /// Replaces the message in `buffer` by its sealed value, without a second buffer if its capacity has room for
    /// [`Params::sealed_len`]. One core; [`SealKey::seal_into`] uses all.
    ///
    /// # Errors
    /// As [`SealKey::seal`]; the buffer is as it was, unless the cryptographic library failed: then it is wiped and empty.
    pub fn seal_in_place(&self, params: Params, context: &Context, buffer: &mut Vec<u8>) -> Result<(), SealError> {
        let message_len = buffer.len();
        let sealed_len = sealed_len(params, message_len)?;
        let salt = self.salt(params, context, buffer)?;
        let (cipher, header) = ChunkCipher::for_sealing(self, params, context, &salt)?;
        if buffer.capacity() < sealed_len {
            // Growing would leave the message behind in memory that is given back.
            let mut roomy = Vec::with_capacity(sealed_len);
            roomy.extend_from_slice(buffer);
            buffer.zeroize();
            *buffer = roomy;
        }
        buffer.resize(sealed_len, 0);
        let sealed = seal_chunks_in_place(&cipher, buffer, message_len);
        match sealed {
            Ok(()) => buffer[..HEADER_LEN].copy_from_slice(&header),
            Err(_) => buffer.zeroize(),
        }
        sealed
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    /// Any [`OpenError`] but [`OpenError::BadText`]; nothing of the message is returned then.
    pub fn open(&self, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut out = Vec::new();
        self.open_into(context, sealed, &mut out)?;
        Ok(out)
    }

    /// Opens a sealed value to a buffer, whose old content is lost and whose memory is used again.
    ///
    /// # Errors
    /// As [`SealKey::open`]; the buffer is then empty, and wiped if anything had been decrypted to it.
    pub fn open_into(&self, context: &Context, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        out.clear();
        let (header, cipher, message_len) = self.examine(context, sealed)?;
        set_len(out, message_len);
        let opened = open_chunks(&cipher, &sealed[HEADER_LEN..], out, cores())
            .and_then(|()| self.check_salt(context, &header, out));
        if opened.is_err() {
            out.zeroize();
        }
        opened
    }

    /// Replaces the sealed value in `buffer` by its message, without a second buffer. One core; [`SealKey::open_into`] uses all.
    ///
    /// # Errors
    /// As [`SealKey::open`]. The buffer is as it was if nothing was decrypted ([`OpenError::CannotOpen`] and what comes before it), so that
    /// another key can be tried; otherwise it is wiped and empty.
    pub fn open_in_place(&self, context: &Context, buffer: &mut Vec<u8>) -> Result<(), OpenError> {
        let (header, cipher, message_len) = self.examine(context, buffer)?;
        let opened = open_chunks_in_place(&cipher, buffer).and_then(|()| {
            // What lies behind the message is the rest of its own last chunk, shifted.
            buffer[message_len..].zeroize();
            buffer.truncate(message_len);
            self.check_salt(context, &header, buffer)
        });
        if opened.is_err() {
            buffer.zeroize();
        }
        opened
    }

    /// Takes every step of opening that comes before the first chunk; returns what is needed for it, and the message's length.
    fn examine(&self, context: &Context, sealed: &[u8]) -> Result<(Header, ChunkCipher, usize), OpenError> {
        let header = Header::parse(sealed)?;
        let cipher = ChunkCipher::for_opening(self, context, &header)?;
        let layout = Layout::claimed(header.params(), sealed.len() as u64)?;
        // No message is longer than its sealed value, which is in memory.
        let message_len = usize::try_from(layout.message_len()).map_err(|_| OpenError::Damaged)?;
        Ok((header, cipher, message_len))
    }

    /// Draws a salt, or derives it from the message for the deterministic suite.
    fn salt(&self, params: Params, context: &Context, message: &[u8]) -> Result<[u8; SALT_LEN], SealError> {
        if params.suite == Suite::Aes256Deterministic {
            return self.derived_salt(&Header::prefix(params, self.id()), context, message);
        }
        random::salt()
    }

    fn derived_salt(
        &self,
        prefix: &[u8; PREFIX_LEN],
        context: &Context,
        message: &[u8],
    ) -> Result<[u8; SALT_LEN], SealError> {
        let mac = hmac_sha256(self.deterministic()?.expose(), &[prefix, context.digest(), message]);
        let mut salt = [0; SALT_LEN];
        salt.copy_from_slice(&mac[..SALT_LEN]);
        Ok(salt)
    }

    fn check_salt(&self, context: &Context, header: &Header, message: &[u8]) -> Result<(), OpenError> {
        if header.params().suite != Suite::Aes256Deterministic {
            return Ok(());
        }
        let prefix = Header::prefix(header.params(), header.key_version());
        let salt = self.derived_salt(&prefix, context, message).map_err(|_| OpenError::CannotOpen)?;
        if constant_time_eq(&salt, header.salt()) { Ok(()) } else { Err(OpenError::Damaged) }
    }
}

/// Seals under a given salt.
pub(crate) fn seal_under(
    key: &SealKey,
    params: Params,
    context: &Context,
    salt: &[u8; SALT_LEN],
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let sealed = sealed_len(params, message.len()).and_then(|len| {
        let (cipher, header) = ChunkCipher::for_sealing(key, params, context, salt)?;
        set_len(out, len);
        let (start, chunks) = out.split_at_mut(HEADER_LEN);
        start.copy_from_slice(&header);
        seal_chunks(&cipher, message, chunks, cores())
    });
    if sealed.is_err() {
        out.zeroize();
    }
    sealed
}

fn sealed_len(params: Params, message_len: usize) -> Result<usize, SealError> {
    params.sealed_len(message_len as u64)?.try_into().map_err(|_| SealError::MessageLength)
}

/// Sets the length of a buffer that will be overwritten. Fresh memory comes zeroed from the system, at no cost where it is large.
fn set_len(out: &mut Vec<u8>, len: usize) {
    if out.capacity() < len {
        out.zeroize();
        *out = vec![0; len];
    } else {
        out.resize(len, 0);
    }
}

/// Some neighbouring chunks: the number of the first, and both sides of each.
struct Share<'a> {
    first: usize,
    message: &'a [u8],
    stored: &'a mut [u8],
}

fn seal_chunks(cipher: &ChunkCipher, message: &[u8], stored: &mut [u8], cores: usize) -> Result<(), SealError> {
    let size = cipher.params().chunk_size;
    let last = last_index(message.len(), size.bytes());
    let seal = |share: Share<'_>| {
        if share.message.is_empty() {
            return cipher.seal(0, true, &[], share.stored);
        }
        let pairs = share.message.chunks(size.bytes()).zip(share.stored.chunks_mut(size.stored()));
        (share.first..)
            .zip(pairs)
            .try_for_each(|(index, (chunk, out))| cipher.seal(index as u64, index == last, chunk, out))
    };
    let per_share = chunks_per_share(message.len(), size.bytes(), cores);
    if per_share > last {
        return seal(Share { first: 0, message, stored });
    }
    let shares = message.chunks(per_share * size.bytes()).zip(stored.chunks_mut(per_share * size.stored()));
    on_all_cores(shares.enumerate().map(|(n, (message, stored))| Share { first: n * per_share, message, stored }), seal)
}

fn open_chunks(cipher: &ChunkCipher, stored: &[u8], message: &mut [u8], cores: usize) -> Result<(), OpenError> {
    struct Share<'a> {
        first: usize,
        stored: &'a [u8],
        message: &'a mut [u8],
    }
    let size = cipher.params().chunk_size;
    let last = last_index(message.len(), size.bytes());
    let open = |share: Share<'_>| {
        if share.message.is_empty() {
            return cipher.open(0, true, share.stored, &mut []);
        }
        let pairs = share.stored.chunks(size.stored()).zip(share.message.chunks_mut(size.bytes()));
        (share.first..)
            .zip(pairs)
            .try_for_each(|(index, (chunk, out))| cipher.open(index as u64, index == last, chunk, out))
    };
    let per_share = chunks_per_share(message.len(), size.bytes(), cores);
    if per_share > last {
        return open(Share { first: 0, stored, message });
    }
    let shares = stored.chunks(per_share * size.stored()).zip(message.chunks_mut(per_share * size.bytes()));
    on_all_cores(shares.enumerate().map(|(n, (stored, message))| Share { first: n * per_share, stored, message }), open)
}

/// Seals a message that lies at the start of `buffer`, which is as long as its sealed value: from the last chunk to the first, each
/// moved to its place before it is sealed there.
fn seal_chunks_in_place(cipher: &ChunkCipher, buffer: &mut [u8], message_len: usize) -> Result<(), SealError> {
    let size = cipher.params().chunk_size;
    let last = last_index(message_len, size.bytes());
    for index in (0..=last).rev() {
        let from = index * size.bytes();
        let len = size.bytes().min(message_len - from);
        let to = HEADER_LEN + index * size.stored();
        buffer.copy_within(from..from + len, to);
        cipher.seal_in_place(index as u64, index == last, &mut buffer[to..to + len + TAG_LEN])?;
    }
    Ok(())
}

/// Opens each chunk where it lies and moves the message to the start of `buffer`.
fn open_chunks_in_place(cipher: &ChunkCipher, buffer: &mut [u8]) -> Result<(), OpenError> {
    let size = cipher.params().chunk_size;
    let mut from = HEADER_LEN;
    let mut to = 0;
    let mut index = 0;
    while from < buffer.len() {
        let end = buffer.len().min(from + size.stored());
        cipher.open_in_place(index, end == buffer.len(), &mut buffer[from..end])?;
        buffer.copy_within(from..end - TAG_LEN, to);
        to += end - TAG_LEN - from;
        from = end;
        index += 1;
    }
    Ok(())
}

fn last_index(message_len: usize, chunk_len: usize) -> usize {
    message_len.div_ceil(chunk_len).max(1) - 1
}

/// How many chunks a share has; all of them if more cores would not pay.
///
/// There are more shares than cores, since a core that starts late should leave more to the others.
fn chunks_per_share(message_len: usize, chunk_len: usize, cores: usize) -> usize {
    let chunks = message_len.div_ceil(chunk_len).max(1);
    if cores < 2 || message_len < PARALLEL_FROM {
        return chunks;
    }
    chunks.div_ceil(cores * SHARES_PER_CORE).max(MIN_SHARE / chunk_len).max(1)
}

/// How many cores this process may use.
fn cores() -> usize {
    pool().map_or(1, |pool| pool.current_num_threads() + 1)
}

/// The threads that work beside the caller's, one for each further core. They are started once, at the first large value.
///
/// A forked child has none of them and works alone; so does a process that may not start threads.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<(u32, Option<ThreadPool>)> = OnceLock::new();
    let (process, pool) = POOL.get_or_init(|| {
        let others = thread::available_parallelism().map_or(1, NonZero::get) - 1;
        let builder = ThreadPoolBuilder::new().num_threads(others).thread_name(|n| format!("bulla-seal-{n}"));
        (std::process::id(), (others > 0).then(|| builder.build().ok()).flatten())
    });
    pool.as_ref().filter(|_| *process == std::process::id())
}

/// Works on every share, this thread and those of the pool. Whoever is free takes the next.
fn on_all_cores<S: Send, E: Send>(
    shares: impl Iterator<Item = S>,
    work: impl Fn(S) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let shares = Mutex::new(shares.collect::<Vec<_>>().into_iter());
    let next = || shares.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || std::iter::from_fn(next).try_for_each(&work);
    let Some(pool) = pool() else { return drain() };
    let failed = Mutex::new(Ok(()));
    let done = pool.in_place_scope(|scope| {
        for _ in 0..pool.current_num_threads() {
            scope.spawn(|_| {
                if let Err(error) = drain() {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
                }
            });
        }
        drain()
    });
    done.and(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChunkSize, KeyVersionId, ProjectId};

    /// Any number of cores gives the same bytes, and finds damage wherever it lies.
    #[test]
    fn shares_of_every_shape_are_sealed_and_opened_alike() {
        let key = SealKey::new(KeyVersionId([2; 8]), &[1; 32]).unwrap();
        let context = Context::user(&ProjectId([4; 32])).build().unwrap();
        for len in [PARALLEL_FROM - 1, PARALLEL_FROM, PARALLEL_FROM + 1, 3 * PARALLEL_FROM + 12_345] {
            for log2 in [12, 16, 21, 24] {
                let chunk_size = ChunkSize::from_log2(log2).unwrap();
                let params = Params { suite: Suite::Aes256Gcm, chunk_size };
                let (cipher, _) = ChunkCipher::for_sealing(&key, params, &context, &[3; SALT_LEN]).unwrap();
                // Consecutive chunks of any size differ: their length is no multiple of 65,521.
                let message: Vec<u8> = (0..len).map(|at: usize| (at % 65_521).to_le_bytes()[0]).collect();
                let stored_len = sealed_len(params, len).unwrap() - HEADER_LEN;
                let mut expected = vec![0; stored_len];
                seal_chunks(&cipher, &message, &mut expected, 1).unwrap();
                for cores in [2, 3, 7, 64] {
                    let mut stored = vec![0; stored_len];
                    seal_chunks(&cipher, &message, &mut stored, cores).unwrap();
                    assert!(stored == expected, "{len} bytes in chunks of 2^{log2} on {cores} cores");
                    let mut opened = vec![0; len];
                    open_chunks(&cipher, &stored, &mut opened, cores).unwrap();
                    assert!(opened == message);
                    for at in [0, stored_len / 2, stored_len - 1] {
                        stored[at] ^= 1;
                        assert_eq!(open_chunks(&cipher, &stored, &mut opened, cores), Err(OpenError::Damaged));
                        stored[at] ^= 1;
                    }
                }
            }
        }
    }

    #[test]
    fn every_share_is_worked_on_once() {
        let done = Mutex::new(Vec::new());
        let worked = on_all_cores(0..20, |share| {
            done.lock().unwrap().push(share);
            if share == 13 { Err(share) } else { Ok(()) }
        });
        assert_eq!(worked, Err(13));
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        done.dedup();
        assert!(done.contains(&13));
        assert_eq!(on_all_cores(0..20, |_| Ok::<(), ()>(())), Ok(()));
        assert_eq!(on_all_cores(0..0, |_: i32| Err::<(), ()>(())), Ok(()));
    }
}
