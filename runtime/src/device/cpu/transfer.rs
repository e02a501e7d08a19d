//! Copies between the host's tensors and the arenas, and the opening of a step's operands.
#![allow(unsafe_code)]

use llmc_compiler::program::{BufferId, PersistentBuffer, Program, View};
use smallvec::smallvec;

use super::bind::Memory;
use super::operand::Operands;
use super::window::{Bound, Window};
use crate::device::{DeviceError, HostTensor};

impl Memory {
    /// The window of a state.
    pub fn state(&self, state: &PersistentBuffer) -> Result<Window, DeviceError> {
        let elements: u64 = state.shape.iter().product();
        let fits = elements.checked_mul(state.dtype.bytes()) == Some(state.bytes)
            && state.offset.checked_add(state.bytes).is_some_and(|end| end <= self.persistent.bytes())
            && state.offset.is_multiple_of(4);
        if !fits {
            return Err(DeviceError::Program(format!("state {} does not fit its region", state.name)));
        }
        Ok(Window {
            // SAFETY: inside the arena, as was just checked.
            pointer: unsafe { self.persistent.pointer().add((state.offset / 4) as usize) },
            shape: smallvec![elements as usize],
            strides: smallvec![1],
            integer: false,
        })
    }

    /// The window of a whole buffer.
    pub fn buffer(&self, program: &Program, buffer: BufferId) -> Result<Window, DeviceError> {
        let bytes = program.buffers.get(buffer).map_or(0, |buffer| buffer.bytes);
        let view = View { buffer, offset: 0, shape: smallvec![bytes / 4], strides: smallvec![1] };
        self.window(program, &view)
    }

    /// Copies host values into a contiguous window.
    pub fn write(&mut self, name: &str, window: &Window, values: HostTensor<'_>) -> Result<(), DeviceError> {
        let given = match values {
            HostTensor::F32(values) if !window.integer => values.len(),
            HostTensor::I32(values) if window.integer => values.len(),
            _ => 0,
        };
        if given != window.count() {
            let (expected, given) = (window.count() as u64, given as u64);
            return Err(DeviceError::Size { name: name.to_owned(), expected, given });
        }
        // SAFETY: the window has as many elements of this type, and `self` is borrowed alone.
        unsafe {
            match values {
                HostTensor::F32(values) => std::ptr::copy_nonoverlapping(values.as_ptr(), window.pointer, given),
                HostTensor::I32(values) => {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), window.pointer.cast(), given);
                }
            }
        }
        Ok(())
    }

    /// The values of a contiguous window of floats.
    pub fn values_mut(&mut self, name: &str, window: &Window) -> Result<&mut [f32], DeviceError> {
        let count = window.count();
        if !window.is_contiguous() {
            return Err(DeviceError::Size { name: name.to_owned(), expected: count as u64, given: 0 });
        }
        // SAFETY: the window lies side by side inside the arena, and `self` is borrowed alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(window.pointer, count) })
    }

    /// A copy of a window, in row-major order; integers are converted.
    pub fn read(&self, window: &Window) -> Vec<f32> {
        let mut values = Vec::new();
        self.read_into(window, &mut values);
        values
    }

    /// As [`Memory::read`], in the place of `values`.
    pub fn read_into(&self, window: &Window, values: &mut Vec<f32>) {
        values.clear();
        let layout = window.layout();
        if window.is_contiguous() && !window.integer {
            // SAFETY: the elements of the window; nothing runs meanwhile, because a run borrows the memory alone.
            values.extend_from_slice(unsafe { std::slice::from_raw_parts(window.pointer, window.count()) });
            return;
        }
        // SAFETY: inside the window; nothing runs meanwhile, because a run borrows the memory alone.
        let element = |index| unsafe { *window.pointer.add(layout.offset(index)) };
        let elements = (0..layout.count()).map(element);
        match window.integer {
            true => values.extend(elements.map(|bits| bits.to_bits() as i32 as f32)),
            false => values.extend(elements),
        }
    }

    /// A copy of the elements `start..start + count` of a contiguous window.
    pub fn read_part(&self, name: &str, window: &Window, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        let (elements, given) = (window.count() as u64, start.saturating_add(count));
        if given > elements {
            return Err(DeviceError::Size { name: name.to_owned(), expected: elements, given });
        }
        // SAFETY: inside the window, as was just checked; nothing runs meanwhile, because a run borrows the device alone.
        let part = unsafe { std::slice::from_raw_parts(window.pointer.add(start as usize), count as usize) };
        Ok(part.to_vec())
    }

    /// Fills a state with zeros.
    pub fn zero(&mut self, window: &Window) {
        // SAFETY: the window is contiguous and `self` is borrowed alone.
        unsafe { std::ptr::write_bytes(window.pointer, 0, window.count()) }
    }

    /// Opens the operands of a step that was bound to this memory.
    pub fn open<'a>(&'a mut self, bound: &'a Bound) -> Operands<'a> {
        // SAFETY: `self` is borrowed alone for as long as the operands live.
        unsafe { Operands::open(bound) }
    }
}
