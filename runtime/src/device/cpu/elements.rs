//! Operands element by element, for kernels that look at few of them.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::layout::Layout;
use super::window::Window;

/// Elements of a read.
#[derive(Debug, Clone)]
pub struct Elements<'a, T> {
    pointer: *const T,
    layout: Layout,
    owner: PhantomData<&'a [T]>,
}
// SAFETY: shared, read-only memory.
unsafe impl<T: Sync> Send for Elements<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Elements<'_, T> {}

impl<'a, T: Copy> Elements<'a, T> {
    /// The elements of a window in row-major order.
    ///
    /// # Safety
    /// The window holds values of type `T`, and nobody writes its memory for `'a`.
    pub unsafe fn new(window: &'a Window) -> Self {
        Elements { pointer: window.pointer.cast(), layout: window.layout(), owner: PhantomData }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.layout.count()
    }

    /// Element `index` in row-major order.
    #[inline]
    pub fn get(&self, index: usize) -> T {
        assert!(index < self.count());
        // SAFETY: inside the window.
        unsafe { *self.pointer.add(self.layout.offset(index)) }
    }
}

/// Elements of a write, for one thread.
#[derive(Debug)]
pub struct ElementsMut<'a> {
    pointer: *mut f32,
    layout: Layout,
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> ElementsMut<'a> {
    /// The elements of a window in row-major order.
    ///
    /// # Safety
    /// The window's memory belongs to the caller alone for `'a`.
    pub unsafe fn new(window: &'a Window) -> Self {
        ElementsMut { pointer: window.pointer, layout: window.layout(), owner: PhantomData }
    }

    /// Sets element `index` in row-major order.
    #[inline]
    pub fn set(&mut self, index: usize, value: f32) {
        assert!(index < self.layout.count());
        // SAFETY: inside the window, which is this object's alone.
        unsafe { *self.pointer.add(self.layout.offset(index)) = value }
    }
}
