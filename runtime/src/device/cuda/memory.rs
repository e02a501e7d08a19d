//! Memory of a card, and memory of the host that a card copies from by itself, given back when it is dropped.
#![allow(unsafe_code)]

use std::rc::Rc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::driver::{Card, Mark, failed};
use crate::device::DeviceError;

/// Memory of a card.
#[derive(Debug)]
pub struct Memory {
    start: sys::CUdeviceptr,
    bytes: u64,
    card: Rc<Card>,
}

/// Any bits are a value of it.
pub trait Bits: Copy + Default {}

impl Bits for u16 {}
impl Bits for u32 {}

impl Memory {
    /// So many bytes, all zero.
    ///
    /// # Errors
    /// If the card has not as much.
    pub fn new(card: &Rc<Card>, bytes: u64) -> Result<Memory, DeviceError> {
        let mut memory = Memory { start: 0, bytes, card: Rc::clone(card) };
        if bytes > 0 {
            let (free, _) = card.memory()?;
            // SAFETY: memory that nobody else has.
            let start = unsafe { result::malloc_sync(bytes as usize) };
            memory.start = start.map_err(|_| DeviceError::CardMemory { bytes, free })?;
        }
        memory.clear_all()?;
        Ok(memory)
    }

    /// Zeros in all of it, in the order of the stream.
    pub fn clear_all(&self) -> Result<(), DeviceError> {
        if self.bytes > 0 { self.clear(0, self.bytes) } else { Ok(()) }
    }

    /// The address of a byte.
    pub fn address(&self, offset: u64) -> u64 {
        self.start + offset
    }

    /// Whether a range lies inside.
    pub fn check(&self, offset: u64, bytes: u64) -> Result<(), DeviceError> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.bytes => Ok(()),
            _ => Err(DeviceError::Program(format!("{bytes} bytes at {offset} of {} on the card", self.bytes))),
        }
    }

    /// Zeros in a range, in the order of the stream.
    pub fn clear(&self, offset: u64, bytes: u64) -> Result<(), DeviceError> {
        self.check(offset, bytes)?;
        // SAFETY: inside the allocation.
        let done = unsafe { result::memset_d8_async(self.start + offset, 0, bytes as usize, self.card.stream()) };
        done.map_err(|error| failed("clear memory", error))
    }

    /// Copies words to a place; they may change once this returns.
    pub fn write<T: Bits>(&self, offset: u64, words: &[T]) -> Result<(), DeviceError> {
        self.check(offset, size_of_val(words) as u64)?;
        // SAFETY: inside the allocation; the words live until the copy is waited for.
        let done = unsafe { result::memcpy_htod_async(self.start + offset, words, self.card.stream()) };
        done.map_err(|error| failed("copy to the card", error))?;
        self.card.synchronize("copy to the card")
    }

    /// Copies words from pinned memory, in the order of the stream: they must not change before that.
    pub fn write_pinned(&self, offset: u64, pinned: &Pinned, from: usize, count: usize) -> Result<(), DeviceError> {
        self.check(offset, 4 * count as u64)?;
        let words = &pinned.words()[from..from + count];
        // SAFETY: inside the allocation; whoever writes pinned memory waits for its event first.
        let done = unsafe { result::memcpy_htod_async(self.start + offset, words, self.card.stream()) };
        done.map_err(|error| failed("copy a batch to the card", error))
    }

    /// A copy of words, after all that was asked for before.
    pub fn read<T: Bits>(&self, offset: u64, words: &mut [T], doing: &str) -> Result<(), DeviceError> {
        self.check(offset, size_of_val(words) as u64)?;
        // SAFETY: inside the allocation; the words are borrowed until the copy is waited for.
        let done = unsafe { result::memcpy_dtoh_async(words, self.start + offset, self.card.stream()) };
        done.map_err(|error| failed(doing, error))?;
        self.card.synchronize(doing)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.start != 0 {
            // SAFETY: allocated by `new`. An error means that the context is lost, and the memory with it.
            let _ = unsafe { result::free_sync(self.start) };
        }
    }
}

/// Memory of the host that the card copies from by itself.
#[derive(Debug)]
pub struct Pinned {
    start: *mut u32,
    count: usize,
    copied: Mark,
}

impl Pinned {
    /// So many words.
    pub fn new(card: &Rc<Card>, count: usize) -> Result<Pinned, DeviceError> {
        // SAFETY: memory that nobody else has.
        let start = unsafe { result::malloc_host(4 * count.max(1), 0) };
        let start: *mut u32 = start.map_err(|error| failed("pin memory of the host", error))?.cast();
        // SAFETY: as many words were just allocated.
        unsafe { std::ptr::write_bytes(start, 0, count) };
        Ok(Pinned { start, count, copied: Mark::new(card)? })
    }

    fn words(&self) -> &[u32] {
        // SAFETY: as many words as were allocated and cleared.
        unsafe { std::slice::from_raw_parts(self.start, self.count) }
    }

    /// The words, once the copies of the last use are done.
    pub fn words_mut(&mut self) -> Result<&mut [u32], DeviceError> {
        self.copied.wait("copy a batch to the card")?;
        // SAFETY: as above; nobody reads any more, and `self` is borrowed alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.start, self.count) })
    }

    /// All copies of this use have been asked for.
    pub fn is_used(&self) -> Result<(), DeviceError> {
        self.copied.set()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.copied.wait("copy a batch to the card");
        // SAFETY: allocated by `new`, and no copy reads it any more.
        let _ = unsafe { result::free_host(self.start.cast()) };
    }
}
