//! Memory for secrets: locked, left out of core dumps, wiped when given back. The one module with unsafe code.
//!
//! Small values share pages, since the system limits how many pages a process may lock. Where locking is refused (a limit
//! reached, a system without it) the memory is used all the same: it is still wiped, and on Linux still left out of core dumps. A
//! forked child inherits the secrets, but not the lock on their pages.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smallest and largest slot, in bytes; slots are powers of two and aligned to their size.
const MIN_SLOT: usize = 64;
const MAX_SLOT: usize = 4_096;
const CLASSES: usize = (MAX_SLOT / MIN_SLOT).ilog2() as usize + 1;
/// What is asked of the system at a time.
const REGION_LEN: usize = 64 * 1_024;

/// Free slots by class. The system's pages behind them are never given back: there are as many as at the peak.
type FreeLists = [Vec<Slot>; CLASSES];

/// The free slots of one process.
struct Arena {
    process: u32,
    free: Mutex<FreeLists>,
}

/// The arena in use. A forked child makes its own: the lock of the inherited one may be held by a thread that does not exist there.
static ARENA: AtomicPtr<Arena> = AtomicPtr::new(ptr::null_mut());

/// One value in locked memory.
pub(crate) struct Locked<T> {
    slot: Slot,
    owns: PhantomData<T>,
}

// SAFETY: a `Locked<T>` owns its value as a `Box<T>` does, and gives no other access to it.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: shared access to a `Locked<T>` is shared access to its `T`.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    const CLASS: usize = {
        assert!(size_of::<T>() <= MAX_SLOT && align_of::<T>() <= MIN_SLOT, "the value fits a slot");
        let len = if size_of::<T>() < MIN_SLOT { MIN_SLOT } else { size_of::<T>().next_power_of_two() };
        (len / MIN_SLOT).ilog2() as usize
    };

    /// Moves a value into locked memory. What the move leaves behind on the stack is the caller's to wipe.
    pub(crate) fn new(value: T) -> Self {
        let slot = Slot::take(Self::CLASS);
        // SAFETY: the slot is unused, large enough and aligned for `T` (checked in `CLASS`).
        unsafe { slot.0.cast::<T>().write(value) };
        Self { slot, owns: PhantomData }
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` wrote a valid `T`, which lives as long as `self`.
        unsafe { self.slot.0.cast::<T>().as_ref() }
    }
}

impl<T> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`, and `&mut self` makes the access unique.
        unsafe { self.slot.0.cast::<T>().as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the slot holds a valid `T`, which nobody can use after this.
        unsafe { self.slot.0.cast::<T>().drop_in_place() };
        // SAFETY: the slot is at least as long as its class says, and no longer holds a value.
        unsafe { wipe(self.slot.0, MIN_SLOT << Self::CLASS) };
        Slot(self.slot.0).give_back(Self::CLASS);
    }
}

/// A page that a forked child finds filled with zeros (`MADV_WIPEONFORK`), so that parent and child cannot go on with the same
/// random bytes.
pub(crate) struct ForkWipedPage {
    start: NonNull<u8>,
}

impl ForkWipedPage {
    pub(crate) const LEN: usize = 4_096;

    /// Maps a page, or returns `None` on systems that cannot wipe it at a fork.
    pub(crate) fn new() -> Option<Self> {
        let page = Self { start: map(Self::LEN)? };
        wiped_on_fork(page.start, Self::LEN).then_some(page)
    }

    /// Copies the page's first byte, which no optimisation may remember from before a fork.
    pub(crate) fn first(&self) -> u8 {
        // SAFETY: the page is mapped and readable as long as `self` lives.
        unsafe { ptr::read_volatile(self.start.as_ptr()) }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the page is mapped and writable as long as `self` lives, initialised by the system, and borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), Self::LEN) }
    }
}

impl Drop for ForkWipedPage {
    fn drop(&mut self) {
        // SAFETY: the page is `LEN` bytes long and was mapped by `new`; nobody uses it after this.
        unsafe {
            wipe(self.start, Self::LEN);
            libc::munmap(self.start.as_ptr().cast(), Self::LEN);
        }
    }
}

/// Start of a slot that nobody else uses.
struct Slot(NonNull<u8>);

// SAFETY: a slot is plain memory without ties to a thread.
unsafe impl Send for Slot {}

impl Slot {
    fn take(class: usize) -> Self {
        let arena = Arena::of_this_process();
        if let Some(slot) = arena.free()[class].pop() {
            return slot;
        }
        let len = MIN_SLOT << class;
        let region = map(REGION_LEN).unwrap_or_else(|| out_of_memory(REGION_LEN));
        // SAFETY: each offset lies within the region just mapped.
        let others = (len..REGION_LEN).step_by(len).map(|offset| Self(unsafe { region.add(offset) }));
        arena.free()[class].extend(others);
        Self(region)
    }

    fn give_back(self, class: usize) {
        Arena::of_this_process().free()[class].push(self);
    }
}

impl Arena {
    fn of_this_process() -> &'static Self {
        let process = std::process::id();
        let current = ARENA.load(Ordering::Acquire);
        // SAFETY: the pointer is null or came from `Box::leak` below, and is never freed.
        if let Some(arena) = unsafe { current.as_ref() }.filter(|arena| arena.process == process) {
            return arena;
        }
        let fresh = Box::leak(Box::new(Self { process, free: Mutex::new([const { Vec::new() }; CLASSES]) }));
        match ARENA.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            // SAFETY: another thread of this process was faster; what it stored came from `Box::leak` too. Ours is lost, some bytes.
            Err(theirs) => unsafe { &*theirs },
        }
    }

    fn free(&self) -> MutexGuard<'_, FreeLists> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maps fresh memory of the system, locked and left out of core dumps where it lets us.
fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range was just mapped; locking and advice do not change what it holds, and a refusal is harmless.
    unsafe {
        libc::mlock(start, len);
        #[cfg(target_os = "linux")]
        libc::madvise(start, len, libc::MADV_DONTDUMP);
    }
    NonNull::new(start.cast())
}

#[cfg(target_os = "linux")]
fn wiped_on_fork(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the range is a private anonymous mapping of ours, as this advice requires.
    unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_WIPEONFORK) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn wiped_on_fork(_start: NonNull<u8>, _len: usize) -> bool {
    false
}

/// Overwrites memory with zeros in a way that the compiler may not leave out.
///
/// # Safety
/// `len` bytes from `start` on are writable and hold no live value.
unsafe fn wipe(start: NonNull<u8>, len: usize) {
    for offset in (0..len).step_by(size_of::<u64>()) {
        // SAFETY: slots and pages are multiples of 8 bytes and aligned to at least that; the caller answers for the range.
        unsafe { ptr::write_volatile(start.as_ptr().add(offset).cast::<u64>(), 0) };
    }
    compiler_fence(Ordering::SeqCst);
}

fn out_of_memory(len: usize) -> ! {
    handle_alloc_error(Layout::from_size_align(len, MIN_SLOT).unwrap_or(Layout::new::<u64>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_wiped_and_used_again() {
        let first = Locked::new([0xAA_u8; 300]);
        let start = first.slot.0;
        drop(first);
        // SAFETY: regions are never unmapped, and no other thread writes to this slot: its class is used by this test alone.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), 300) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        assert_eq!(Locked::new([0xBB_u8; 300]).slot.0, start, "used again");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn pages_are_locked_and_not_dumped() {
        let secret = Locked::new([1_u8; 64]);
        let address = secret.slot.0.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = None;
        for line in maps.lines() {
            if let Some((start, end)) = line.split_whitespace().next().and_then(|range| range.split_once('-')) {
                let bounds = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16));
                if let (Ok(start), Ok(end)) = bounds {
                    inside = (start..end).contains(&address);
                }
            }
            if inside && line.starts_with("VmFlags:") {
                flags = Some(line.to_owned());
            }
        }
        let flags = flags.expect("the mapping is listed");
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "left out of core dumps: {flags}");
        let locked = flags.split_whitespace().any(|flag| flag == "lo");
        // SAFETY: the range is a mapping of ours.
        let lockable = unsafe { libc::mlock(secret.slot.0.as_ptr().cast(), 64) } == 0;
        assert_eq!(locked, lockable, "locked where the system lets us: {flags}");
    }
}
