//! Builds the scalar expression of a loop; equal instructions are made once.

use std::collections::BTreeMap;

use crate::plan::BinaryFunction;
use crate::program::{Instruction, LoopBody, View};

/// An expression in the making, with the views it loads from.
#[derive(Default)]
pub(super) struct BodyBuilder {
    pub(super) reads: Vec<View>,
    instructions: Vec<Instruction>,
    known: BTreeMap<Key, usize>,
}

/// An instruction as an ordered key (constants by their bits).
type Key = (u8, u32, usize, usize, usize);

impl BodyBuilder {
    /// The register that holds the element of `view`.
    pub(super) fn load(&mut self, view: View) -> usize {
        let read = match self.reads.iter().position(|read| *read == view) {
            Some(read) => read,
            None => {
                self.reads.push(view);
                self.reads.len() - 1
            }
        };
        self.push(Instruction::Load(read))
    }

    /// The register that holds the result of an instruction.
    pub(super) fn push(&mut self, instruction: Instruction) -> usize {
        let next = self.instructions.len();
        let register = *self.known.entry(key(&instruction)).or_insert(next);
        if register == next {
            self.instructions.push(instruction);
        }
        register
    }

    /// Adds another loop's expression, its reads replaced by `registers`; gives the registers of its results.
    pub(super) fn append(&mut self, body: &LoopBody, loads: &mut dyn FnMut(&mut Self, usize) -> usize) -> Vec<usize> {
        let mut registers: Vec<usize> = Vec::with_capacity(body.instructions.len());
        for instruction in &body.instructions {
            let register = match *instruction {
                Instruction::Load(read) => loads(self, read),
                Instruction::Constant(value) => self.push(Instruction::Constant(value)),
                Instruction::Unary(function, a) => self.push(Instruction::Unary(function, registers[a])),
                Instruction::Binary(function, a, b) => {
                    self.push(Instruction::Binary(function, registers[a], registers[b]))
                }
                Instruction::Greater(a, b) => self.push(Instruction::Greater(registers[a], registers[b])),
                Instruction::Select(condition, a, b) => {
                    self.push(Instruction::Select(registers[condition], registers[a], registers[b]))
                }
                Instruction::Round(dtype, a) => self.push(Instruction::Round(dtype, registers[a])),
            };
            registers.push(register);
        }
        body.results.iter().map(|&result| registers[result]).collect()
    }

    /// Number of instructions so far.
    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The finished expression and its reads.
    pub(super) fn finish(self, results: Vec<usize>) -> (LoopBody, Vec<View>) {
        (LoopBody { instructions: self.instructions, results }, self.reads)
    }
}

/// A key that is equal exactly for instructions that compute the same value.
fn key(instruction: &Instruction) -> Key {
    match *instruction {
        Instruction::Load(read) => (0, 0, read, 0, 0),
        Instruction::Constant(value) => (1, value.to_bits(), 0, 0, 0),
        Instruction::Unary(function, a) => (2, function as u32, a, 0, 0),
        Instruction::Binary(function, a, b) if commutes(function) => (3, function as u32, a.min(b), a.max(b), 0),
        Instruction::Binary(function, a, b) => (3, function as u32, a, b, 0),
        Instruction::Greater(a, b) => (4, 0, a, b, 0),
        Instruction::Select(condition, a, b) => (5, 0, condition, a, b),
        Instruction::Round(dtype, a) => (6, dtype as u32, a, 0, 0),
    }
}

/// True if the operands may be swapped without a change of a single bit.
fn commutes(function: BinaryFunction) -> bool {
    matches!(function, BinaryFunction::Add | BinaryFunction::Multiply)
}
