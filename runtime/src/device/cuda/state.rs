//! States and results: what the host reads and writes as 32-bit floats, whatever their type.

use half::{bf16, f16};
use llmc_compiler::plan::DType;
use llmc_compiler::program::{Buffer, PersistentBuffer, View};
use rayon::prelude::*;

use super::memory::{Bits, Memory};
use crate::device::DeviceError;

/// Elements of a part of [`State::fill`].
const FILLED: usize = 1 << 22;
/// Elements that one thread fills at once.
const BY_THREAD: usize = 1 << 14;

/// Elements of a type, from a byte on.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    dtype: DType,
}

impl Place {
    /// Element `index` and those behind it.
    fn from(self, index: u64) -> Place {
        Place { offset: self.offset + self.dtype.bytes() * index, ..self }
    }

    fn read(self, memory: &Memory, count: usize, doing: &str) -> Result<Vec<f32>, DeviceError> {
        match self.dtype {
            DType::F32 => self.decode(memory, count, doing, f32::from_bits),
            DType::I32 => self.decode(memory, count, doing, |bits: u32| bits as i32 as f32),
            DType::Bf16 => self.decode(memory, count, doing, |bits| bf16::from_bits(bits).to_f32()),
            DType::F16 => self.decode(memory, count, doing, |bits| f16::from_bits(bits).to_f32()),
        }
    }

    fn decode<T: Bits>(
        self,
        memory: &Memory,
        count: usize,
        doing: &str,
        value: impl Fn(T) -> f32,
    ) -> Result<Vec<f32>, DeviceError> {
        let mut bits = vec![T::default(); count];
        memory.read(self.offset, &mut bits, doing)?;
        Ok(bits.into_iter().map(value).collect())
    }

    fn write(self, memory: &Memory, values: &[f32]) -> Result<(), DeviceError> {
        let Place { offset, dtype } = self;
        match dtype {
            DType::F32 => memory.write(offset, &encode(values, f32::to_bits)),
            DType::I32 => memory.write(offset, &encode(values, |value| value as i32 as u32)),
            DType::Bf16 => memory.write(offset, &encode(values, |value| bf16::from_f32(value).to_bits())),
            DType::F16 => memory.write(offset, &encode(values, |value| f16::from_f32(value).to_bits())),
        }
    }
}

fn encode<T>(values: &[f32], bits: impl Fn(f32) -> T) -> Vec<T> {
    values.iter().map(|value| bits(*value)).collect()
}

/// A state in the persistent region.
#[derive(Debug)]
pub struct State {
    place: Place,
    /// Values.
    pub elements: u64,
}

impl State {
    /// Where a buffer lies.
    pub fn of(buffer: &PersistentBuffer) -> State {
        let elements = buffer.shape.iter().product();
        State { place: Place { offset: buffer.offset, dtype: buffer.dtype }, elements }
    }

    /// Makes all of it zero.
    pub fn clear(&self, memory: &Memory) -> Result<(), DeviceError> {
        memory.clear(self.place.offset, self.place.dtype.bytes() * self.elements)
    }

    fn check(&self, name: &str, given: u64) -> Result<(), DeviceError> {
        let given = if self.place.dtype.is_float() { given } else { 0 };
        if given == self.elements {
            return Ok(());
        }
        Err(DeviceError::Size { name: name.to_owned(), expected: self.elements, given })
    }

    /// Replaces it.
    pub fn write(&self, memory: &Memory, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        self.check(name, values.len() as u64)?;
        self.place.write(memory, values)
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
            self.place.from(first).write(memory, part)?;
        }
        Ok(())
    }

    /// A copy of some of its values.
    pub fn read(&self, memory: &Memory, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        let end = start.saturating_add(count);
        if end > self.elements {
            return Err(DeviceError::Size { name: name.to_owned(), expected: self.elements, given: end });
        }
        self.place.from(start).read(memory, count as usize, &format!("read `{name}`"))
    }
}

/// A strided result.
#[derive(Debug)]
pub struct Value {
    place: Place,
    view: View,
}

impl Value {
    /// A view of a buffer.
    pub fn of(buffer: &Buffer, view: &View) -> Value {
        Value { place: Place { offset: buffer.offset, dtype: buffer.dtype }.from(view.offset), view: view.clone() }
    }

    /// Its values in row-major order.
    pub fn read(&self, memory: &Memory, doing: &str) -> Result<Vec<f32>, DeviceError> {
        let Some(last) = self.view.last() else { return Ok(Vec::new()) };
        let values = self.place.read(memory, (last + 1 - self.view.offset) as usize, doing)?;
        if self.view.is_contiguous() {
            return Ok(values);
        }
        let mut places = vec![0usize];
        for (&size, &stride) in self.view.shape.iter().zip(&self.view.strides) {
            places = places.iter().flat_map(|at| (0..size).map(move |step| at + (step * stride) as usize)).collect();
        }
        Ok(places.into_iter().map(|at| values[at]).collect())
    }
}
