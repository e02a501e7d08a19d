//! The two regions of memory that every program runs in.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::device::DeviceError;

/// Alignment of a region in bytes: one cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// A zeroed block of exactly the bytes asked for.
#[derive(Debug)]
pub struct Arena {
    pointer: NonNull<f32>,
    layout: Layout,
}

impl Arena {
    /// Allocates `bytes`.
    pub fn new(bytes: u64) -> Result<Self, DeviceError> {
        let too_much = DeviceError::Memory { bytes };
        let size = usize::try_from(bytes).map_err(|_| too_much.clone())?;
        let layout = Layout::from_size_align(size, ALIGNMENT).map_err(|_| too_much.clone())?;
        if size == 0 {
            return Ok(Arena {
                pointer: NonNull::<Line>::dangling().cast(),
                layout,
            });
        }
        // SAFETY: the layout's size is not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let pointer = NonNull::new(pointer.cast::<f32>()).ok_or(too_much)?;
        use_large_pages(pointer, size);
        Ok(Arena { pointer, layout })
    }

    /// Start of the block.
    pub fn pointer(&self) -> *mut f32 {
        self.pointer.as_ptr()
    }

    /// Bytes of the block.
    pub fn bytes(&self) -> u64 {
        self.layout.size() as u64
    }
}

/// Asks the system for large pages where the block is large: strided walks then miss the address cache less.
/// Only advice; whether it is followed makes no difference to any result.
#[cfg(target_os = "linux")]
fn use_large_pages(pointer: NonNull<f32>, size: usize) {
    const PAGE: usize = 2 << 20;
    let start = (pointer.as_ptr() as usize).next_multiple_of(PAGE);
    let end = (pointer.as_ptr() as usize + size) / PAGE * PAGE;
    if start < end {
        let address = pointer
            .as_ptr()
            .wrapping_byte_add(start - pointer.as_ptr() as usize);
        // SAFETY: whole pages inside the block; the advice changes no contents.
        unsafe { libc::madvise(address.cast(), end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn use_large_pages(_: NonNull<f32>, _: usize) {}

/// As aligned as an arena.
#[repr(align(64))]
struct Line;

impl Drop for Arena {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: the pointer came from `alloc_zeroed` with this very layout.
            unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_are_aligned_and_too_large_ones_are_refused() {
        for bytes in [0, 4, 1000, 1 << 20] {
            let arena = Arena::new(bytes).unwrap();
            assert_eq!(arena.pointer() as usize % ALIGNMENT, 0);
            assert_eq!(arena.bytes(), bytes);
        }
        assert_eq!(
            Arena::new(u64::MAX).unwrap_err(),
            DeviceError::Memory { bytes: u64::MAX }
        );
    }
}
