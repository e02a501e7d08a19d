//! The two regions of memory that every program runs in.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use crate::device::DeviceError;

/// Alignment of a region in bytes at least: one cache line, and the widest vector.
#[cfg(any(test, not(unix)))]
const ALIGNMENT: usize = 64;

/// A zeroed block. It takes memory of the machine page by page, as it is first written.
#[derive(Debug)]
pub struct Arena {
    pointer: NonNull<f32>,
    bytes: usize,
    block: Block,
}

impl Arena {
    /// Allocates `bytes`.
    pub fn new(bytes: u64) -> Result<Self, DeviceError> {
        let too_much = DeviceError::Memory { bytes };
        let size = usize::try_from(bytes).map_err(|_| too_much.clone())?;
        if size == 0 {
            return Ok(Arena { pointer: NonNull::<Line>::dangling().cast(), bytes: 0, block: Block::default() });
        }
        let (pointer, block) = Block::new(size).ok_or(too_much)?;
        Ok(Arena { pointer: pointer.cast(), bytes: size, block })
    }

    /// Start of the block.
    pub fn pointer(&self) -> *mut f32 {
        self.pointer.as_ptr()
    }

    /// Bytes of the block.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.block.free();
    }
}

/// Memory straight from the system: zero until it is written, and given back as a whole.
#[cfg(unix)]
#[derive(Debug)]
struct Block {
    start: *mut libc::c_void,
    length: usize,
}

#[cfg(unix)]
impl Default for Block {
    fn default() -> Self {
        Block { start: std::ptr::null_mut(), length: 0 }
    }
}

#[cfg(unix)]
impl Block {
    /// At least `size` bytes and where they begin: at a large page, so that few addresses fill the address cache.
    /// None if the system has not as much.
    fn new(size: usize) -> Option<(NonNull<u8>, Block)> {
        let length = size.checked_add(LARGE_PAGE)?;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, which overlaps no other.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let first = start.wrapping_byte_add((start as usize).next_multiple_of(LARGE_PAGE) - start as usize);
        use_large_pages(first, size / LARGE_PAGE * LARGE_PAGE);
        Some((NonNull::new(first.cast())?, Block { start, length }))
    }

    fn free(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping is this block's, and nobody uses it any more.
            unsafe { libc::munmap(self.start, self.length) };
        }
    }
}

/// Bytes of a large page on the machines that are common.
#[cfg(unix)]
const LARGE_PAGE: usize = 2 << 20;

/// Asks the system for large pages: strided walks then miss the address cache less. The end that does not fill one is left
/// in small pages, so that no memory is taken beyond it. Only advice; whether it is followed makes no difference to any result.
#[cfg(target_os = "linux")]
fn use_large_pages(start: *mut libc::c_void, length: usize) {
    if length > 0 {
        // SAFETY: whole pages inside the mapping; the advice changes no contents.
        unsafe { libc::madvise(start, length, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn use_large_pages(_: *mut libc::c_void, _: usize) {}

/// Zeroed memory of the allocator.
#[cfg(not(unix))]
#[derive(Debug, Default)]
struct Block(Option<(NonNull<u8>, std::alloc::Layout)>);

#[cfg(not(unix))]
impl Block {
    fn new(size: usize) -> Option<(NonNull<u8>, Block)> {
        let layout = std::alloc::Layout::from_size_align(size, ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero.
        let pointer = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
        Some((pointer, Block(Some((pointer, layout)))))
    }

    fn free(&mut self) {
        if let Some((pointer, layout)) = self.0.take() {
            // SAFETY: the pointer came from `alloc_zeroed` with this very layout.
            unsafe { std::alloc::dealloc(pointer.as_ptr(), layout) }
        }
    }
}

/// Gives memory that was freed back to the system, so that what compiling needed does not stay beside the arenas.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn release_freed_memory() {
    // SAFETY: only free memory is touched.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give it back by themselves or not at all.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn release_freed_memory() {}

/// As aligned as an arena.
#[repr(align(64))]
struct Line;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_are_aligned_and_too_large_ones_are_refused() {
        for bytes in [0, 4, 1000, 1 << 20] {
            let arena = Arena::new(bytes).unwrap();
            assert_eq!(arena.pointer() as usize % ALIGNMENT, 0);
            assert_eq!(arena.bytes(), bytes);
            // SAFETY: the block is this test's alone.
            let values = unsafe { std::slice::from_raw_parts_mut(arena.pointer(), bytes as usize / 4) };
            assert!(values.iter().all(|value| value.to_bits() == 0));
            values.fill(1.0);
        }
        assert_eq!(Arena::new(u64::MAX).unwrap_err(), DeviceError::Memory { bytes: u64::MAX });
    }
}
