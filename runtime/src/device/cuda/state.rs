//! States and results: what the host reads and writes.

use llmc_compiler::plan::DType;
use llmc_compiler::program::{Buffer, PersistentBuffer, View};
use rayon::prelude::*;

use super::driver::Memory;
use crate::device::DeviceError;

/// Words of a part of [`State::fill`].
const FILLED: usize = 1 << 22;
/// Words that one thread fills at once.
const BY_THREAD: usize = 1 << 14;

/// A state in the persistent region.
#[derive(Debug)]
pub struct State {
    /// First byte.
    pub offset: u64,
    /// Values.
    pub elements: u64,
    is_integer: bool,
}

impl State {
    /// Where a buffer lies.
    pub fn of(buffer: &PersistentBuffer) -> State {
        let elements = buffer.shape.iter().product();
        State { offset: buffer.offset, elements, is_integer: buffer.dtype == DType::I32 }
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        4 * self.elements
    }

    fn check(&self, name: &str, given: u64) -> Result<(), DeviceError> {
        let given = if self.is_integer { 0 } else { given };
        if given == self.elements {
            return Ok(());
        }
        Err(DeviceError::Size { name: name.to_owned(), expected: self.elements, given })
    }

    /// Replaces it.
    pub fn write(&self, memory: &Memory, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        self.check(name, values.len() as u64)?;
        let words: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        memory.write(self.offset, &words)
    }

    /// Replaces it part by part, each made on all threads.
    pub fn fill(
        &self,
        memory: &Memory,
        name: &str,
        fill: &(dyn Fn(u64, &mut [f32]) + Sync),
    ) -> Result<(), DeviceError> {
        self.check(name, self.elements)?;
        let mut values = vec![0.0; (self.elements as usize).min(FILLED)];
        for first in (0..self.elements).step_by(FILLED) {
            let count = (self.elements - first).min(FILLED as u64) as usize;
            let part = &mut values[..count];
            part.par_chunks_mut(BY_THREAD).enumerate().for_each(|(number, part)| {
                fill(first + (number * BY_THREAD) as u64, part);
            });
            let words: Vec<u32> = part.iter().map(|value| value.to_bits()).collect();
            memory.write(self.offset + 4 * first, &words)?;
        }
        Ok(())
    }

    /// A copy of some of its values.
    pub fn read(&self, memory: &Memory, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        let end = start.saturating_add(count);
        if end > self.elements {
            return Err(DeviceError::Size { name: name.to_owned(), expected: self.elements, given: end });
        }
        let mut words = vec![0; count as usize];
        memory.read(self.offset + 4 * start, &mut words, &format!("read `{name}`"))?;
        Ok(words.into_iter().map(|word| value(word, self.is_integer)).collect())
    }
}

fn value(word: u32, is_integer: bool) -> f32 {
    if is_integer { word as i32 as f32 } else { f32::from_bits(word) }
}

/// A strided result.
#[derive(Debug)]
pub struct Value {
    offset: u64,
    view: View,
    is_integer: bool,
}

impl Value {
    /// A view of a buffer.
    pub fn of(buffer: &Buffer, view: &View) -> Value {
        Value { offset: buffer.offset, view: view.clone(), is_integer: buffer.dtype == DType::I32 }
    }

    /// Its values in row-major order.
    pub fn read(&self, memory: &Memory, doing: &str) -> Result<Vec<f32>, DeviceError> {
        let Some(last) = self.view.last() else { return Ok(Vec::new()) };
        let mut words = vec![0; (last + 1 - self.view.offset) as usize];
        memory.read(self.offset + 4 * self.view.offset, &mut words, doing)?;
        if self.view.is_contiguous() {
            return Ok(words.into_iter().map(|word| value(word, self.is_integer)).collect());
        }
        let mut places = vec![0usize];
        for (&size, &stride) in self.view.shape.iter().zip(&self.view.strides) {
            places = places.iter().flat_map(|at| (0..size).map(move |step| at + (step * stride) as usize)).collect();
        }
        Ok(places.into_iter().map(|at| value(words[at], self.is_integer)).collect())
    }
}
