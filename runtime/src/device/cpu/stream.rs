//! Operands element by element in row-major order, loaded and stored a tile at a time.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use smallvec::SmallVec;

use super::layout::Layout;
use super::pool::Partition;
use super::window::Window;

/// A read as a stream of floats (i32 elements are converted).
#[derive(Debug, Clone)]
pub struct Stream<'a> {
    pointer: *const f32,
    layout: Layout,
    integer: bool,
    owner: PhantomData<&'a [f32]>,
}
// SAFETY: shared, read-only memory.
unsafe impl Send for Stream<'_> {}
// SAFETY: as above.
unsafe impl Sync for Stream<'_> {}

impl<'a> Stream<'a> {
    /// The elements of a window, in the order of `layout`.
    ///
    /// # Safety
    /// `layout` stays inside the window, whose memory nobody writes for `'a`.
    pub unsafe fn new(window: &'a Window, layout: Layout) -> Self {
        Stream { pointer: window.pointer, layout, integer: window.integer, owner: PhantomData }
    }

    /// Elements `start..start + length` of a contiguous stream.
    #[inline]
    pub fn slice(&self, start: usize, length: usize) -> &'a [f32] {
        assert!(self.is_contiguous() && start + length <= self.layout.count());
        // SAFETY: floats side by side, inside the window.
        unsafe { std::slice::from_raw_parts(self.pointer.add(start), length) }
    }

    /// Whether the elements are floats that lie side by side.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        !self.integer && self.layout.is_contiguous()
    }

    /// Copies elements from `start` on into `tile`.
    #[inline]
    pub fn load(&self, start: usize, tile: &mut [f32]) {
        assert!(start + tile.len() <= self.layout.count());
        if self.integer {
            self.layout.runs(start, tile.len(), |position, offset, stride, run| {
                for (step, value) in tile[position..position + run].iter_mut().enumerate() {
                    // SAFETY: inside the window, whose elements are i32.
                    *value = unsafe { *self.pointer.cast::<i32>().add(offset + step * stride) } as f32;
                }
            });
        } else {
            self.load_bits(start, tile);
        }
    }

    /// Copies the bits of elements from `start` on into `tile`, whatever their type.
    #[inline]
    pub fn load_bits(&self, start: usize, tile: &mut [f32]) {
        assert!(start + tile.len() <= self.layout.count());
        // SAFETY: inside the window.
        unsafe { gather(self.pointer, &self.layout, start, tile) }
    }
}

/// Copies floats of a strided space into a tile.
///
/// # Safety
/// Every offset of the layout from `start` on may be read behind `pointer`.
#[inline]
unsafe fn gather(pointer: *const f32, layout: &Layout, start: usize, tile: &mut [f32]) {
    layout.runs(start, tile.len(), |position, offset, stride, run| {
        let part = &mut tile[position..position + run];
        // SAFETY: the caller's promise.
        unsafe {
            let from = pointer.add(offset);
            match stride {
                0 => part.fill(*from),
                1 => part.copy_from_slice(std::slice::from_raw_parts(from, run)),
                _ => {
                    for (step, value) in part.iter_mut().enumerate() {
                        *value = *from.add(step * stride);
                    }
                }
            }
        }
    });
}

/// A write as a stream of floats, cut into runs of tasks.
#[derive(Clone)]
struct StreamMut<'a> {
    pointer: *mut f32,
    layout: Layout,
    owner: PhantomData<&'a mut [f32]>,
}

impl StreamMut<'_> {
    /// Copies the present values of elements `start..` into `tile`.
    ///
    /// # Safety
    /// Nobody writes these elements meanwhile.
    unsafe fn load(&self, start: usize, tile: &mut [f32]) {
        // SAFETY: the caller's promise; the caller has checked that the elements exist.
        unsafe { gather(self.pointer, &self.layout, start, tile) }
    }

    /// Stores `tile` at the elements `start..`.
    ///
    /// # Safety
    /// The elements exist, and nobody else touches them meanwhile.
    unsafe fn store(&self, start: usize, tile: &[f32]) {
        self.layout.runs(start, tile.len(), |position, offset, stride, run| {
            let part = &tile[position..position + run];
            // SAFETY: the caller's promise.
            unsafe {
                let to = self.pointer.add(offset);
                if stride == 1 {
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, run);
                } else {
                    for (step, value) in part.iter().enumerate() {
                        *to.add(step * stride) = *value;
                    }
                }
            }
        });
    }
}

/// Several writes of one shape, cut into runs of tasks alike.
pub struct StreamsMut<'a> {
    streams: SmallVec<[StreamMut<'a>; 2]>,
    per_task: usize,
}

impl<'a> StreamsMut<'a> {
    /// The elements of windows of one shape in row-major order, `per_task` a task.
    ///
    /// # Safety
    /// The windows' memory belongs to the caller alone for `'a`.
    pub unsafe fn new(windows: impl Iterator<Item = &'a Window>, per_task: usize) -> Self {
        let stream =
            |window: &Window| StreamMut { pointer: window.pointer, layout: window.layout(), owner: PhantomData };
        StreamsMut { streams: windows.map(stream).collect(), per_task }
    }
}

// SAFETY: it stands for several `&mut [f32]` of which only disjoint pieces are handed out.
unsafe impl Sync for StreamsMut<'_> {}
// SAFETY: tasks get different elements, and elements of the writes do not overlap.
unsafe impl<'a> Partition for StreamsMut<'a> {
    type Piece = StreamPieces<'a>;
    unsafe fn piece(&self, task: usize) -> StreamPieces<'a> {
        let whole = self.streams.first().map_or(0, |stream| stream.layout.count());
        let first = task.saturating_mul(self.per_task).min(whole);
        StreamPieces { streams: self.streams.clone(), first, count: self.per_task.min(whole - first) }
    }
}

/// One task's runs of several writes, numbered from 0.
pub struct StreamPieces<'a> {
    streams: SmallVec<[StreamMut<'a>; 2]>,
    first: usize,
    count: usize,
}

impl StreamPieces<'_> {
    /// Copies the present values of write `index` from element `start` of the run on.
    #[inline]
    pub fn load(&self, index: usize, start: usize, tile: &mut [f32]) {
        assert!(start + tile.len() <= self.count);
        // SAFETY: elements of this task alone; `store` needs `self` alone.
        unsafe { self.streams[index].load(self.first + start, tile) }
    }

    /// Stores `tile` into write `index` at element `start` of the run.
    #[inline]
    pub fn store(&mut self, index: usize, start: usize, tile: &[f32]) {
        assert!(start + tile.len() <= self.count);
        // SAFETY: as above.
        unsafe { self.streams[index].store(self.first + start, tile) }
    }
}
