//! Loop bodies made ready to run a tile of elements at a time.
//!
//! Every register of the body becomes a short row of floats that stays in the first-level cache; every
//! instruction is one plain loop over such rows. Rows are reused once their last reader has run.

use llmc_compiler::plan::{BinaryFunction, DType, UnaryFunction};
use llmc_compiler::program::{Instruction, LoopBody};

use super::math;
use super::simd::vectorised;

/// Elements of a tile.
pub const TILE: usize = 512;
/// Floats from row to row: equal places of neighbouring rows differ in the low bits of their address, by which
/// processors guess whether a load follows a store.
const PADDED: usize = TILE + 16;

type Row = [f32; PADDED];

/// Where a value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A row of the tile.
    Row(usize),
    /// The memory of a read, where it is contiguous.
    Read(usize),
}

/// One instruction over rows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Load(usize),
    Unary(UnaryFunction, Place),
    Binary(BinaryFunction, Place, Place),
    Greater(Place, Place),
    Select(Place, Place, Place),
    Round(DType, Place),
}

/// A loop body over rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TileProgram {
    /// Rows filled once, before the first tile.
    constants: Vec<(usize, f32)>,
    /// Instructions with the row they fill.
    acts: Vec<(Act, usize)>,
    rows: usize,
    /// Where each result is found.
    results: Vec<Place>,
}

impl TileProgram {
    /// Compiles a body. `direct[r]` says that read `r` is always contiguous and not written in place,
    /// so that it needs no copy.
    pub fn new(body: &LoopBody, direct: &[bool]) -> Result<Self, String> {
        let count = body.instructions.len();
        let mut last_use = vec![0; count];
        for (index, instruction) in body.instructions.iter().enumerate() {
            for register in registers(instruction) {
                if register >= index {
                    return Err(format!("instruction {index} reads register {register} before it is filled"));
                }
                last_use[register] = index;
            }
        }
        for &register in &body.results {
            *last_use.get_mut(register).ok_or("a result names no register")? = count;
        }
        let mut program = TileProgram { constants: Vec::new(), acts: Vec::new(), rows: 0, results: Vec::new() };
        let mut places = Vec::with_capacity(count);
        let mut free = Vec::new();
        // Constants come first, so that no tile overwrites their rows.
        for instruction in &body.instructions {
            if let Instruction::Constant(value) = *instruction {
                program.constants.push((program.rows, value));
                program.rows += 1;
            }
        }
        let mut constants = 0;
        for (index, instruction) in body.instructions.iter().enumerate() {
            let at = |register: usize| -> Place { places[register] };
            let act = match *instruction {
                Instruction::Load(read) => match direct.get(read) {
                    None => {
                        return Err(format!("instruction {index} loads read {read}, which does not exist"));
                    }
                    Some(true) => {
                        places.push(Place::Read(read));
                        continue;
                    }
                    Some(false) => Act::Load(read),
                },
                Instruction::Constant(_) => {
                    places.push(Place::Row(constants));
                    constants += 1;
                    continue;
                }
                Instruction::Unary(function, x) => Act::Unary(function, at(x)),
                Instruction::Binary(function, a, b) => Act::Binary(function, at(a), at(b)),
                Instruction::Greater(a, b) => Act::Greater(at(a), at(b)),
                Instruction::Select(condition, a, b) => Act::Select(at(condition), at(a), at(b)),
                Instruction::Round(dtype, x) => Act::Round(dtype, at(x)),
            };
            // The result's row is never an operand's, so operands are freed after it is chosen.
            let row = free.pop().unwrap_or_else(|| {
                program.rows += 1;
                program.rows - 1
            });
            program.acts.push((act, row));
            places.push(Place::Row(row));
            for register in 0..=index {
                let spent = last_use[register] == index || (register == index && last_use[index] == 0);
                let is_constant = matches!(body.instructions[register], Instruction::Constant(_));
                if let (true, false, Place::Row(row)) = (spent, is_constant, places[register]) {
                    free.push(row);
                }
            }
        }
        program.results = body.results.iter().map(|&register| places[register]).collect();
        Ok(program)
    }

    /// Floats of scratch memory that [`TileProgram::start`] and [`TileProgram::run`] need.
    pub fn scratch(&self) -> usize {
        self.rows * PADDED
    }

    /// Fills the rows of constants.
    pub fn start(&self, scratch: &mut [f32]) {
        let (rows, _) = scratch.as_chunks_mut::<PADDED>();
        for &(row, value) in &self.constants {
            rows[row].fill(value);
        }
    }

    /// Computes one tile of `length` elements. `slice(read)` is the memory of a direct read at this tile,
    /// `load(read, row)` copies the elements of any other.
    #[inline]
    pub fn run<'s>(
        &self,
        scratch: &mut [f32],
        length: usize,
        slice: impl Fn(usize) -> &'s [f32],
        mut load: impl FnMut(usize, &mut [f32]),
    ) {
        let (rows, _) = scratch.as_chunks_mut::<PADDED>();
        for &(act, row) in &self.acts {
            let (before, rest) = rows.split_at_mut(row);
            let Some((out, after)) = rest.split_first_mut() else {
                continue;
            };
            let out = &mut out[..length];
            let find = |place| find(before, after, place, length, &slice);
            match act {
                Act::Load(read) => load(read, out),
                Act::Unary(function, x) => unary(function, out, find(x)),
                Act::Binary(function, a, b) => binary(function, out, find(a), find(b)),
                Act::Greater(a, b) => greater(out, find(a), find(b)),
                Act::Select(condition, a, b) => select(out, find(condition), find(a), find(b)),
                Act::Round(DType::Bf16, x) => round_bf16(out, find(x)),
                Act::Round(DType::F16, x) => round_f16(out, find(x)),
                Act::Round(DType::F32 | DType::I32, x) => out.copy_from_slice(find(x)),
            }
        }
    }

    /// Result `index` of the tile just computed.
    #[inline]
    pub fn result<'t>(
        &self,
        scratch: &'t [f32],
        index: usize,
        length: usize,
        slice: impl Fn(usize) -> &'t [f32],
    ) -> &'t [f32] {
        let (rows, _) = scratch.as_chunks::<PADDED>();
        find(rows, &[], self.results[index], length, &slice)
    }

    /// Number of results.
    pub fn results(&self) -> usize {
        self.results.len()
    }
}

/// A row around the one being written (which is left out of `before` and `after`), or a read's memory.
#[inline]
fn find<'t, 's: 't>(
    before: &'t [Row],
    after: &'t [Row],
    place: Place,
    length: usize,
    slice: &impl Fn(usize) -> &'s [f32],
) -> &'t [f32] {
    match place {
        Place::Row(row) if row < before.len() => &before[row][..length],
        Place::Row(row) => &after[row - before.len() - 1][..length],
        Place::Read(read) => slice(read),
    }
}

/// The registers an instruction reads.
fn registers(instruction: &Instruction) -> impl Iterator<Item = usize> {
    let list = match *instruction {
        Instruction::Load(_) | Instruction::Constant(_) => [None; 3],
        Instruction::Unary(_, x) | Instruction::Round(_, x) => [Some(x), None, None],
        Instruction::Binary(_, a, b) | Instruction::Greater(a, b) => [Some(a), Some(b), None],
        Instruction::Select(condition, a, b) => [Some(condition), Some(a), Some(b)],
    };
    list.into_iter().flatten()
}

/// Runs the same code once for each variant, as a constant, so that every function gets a loop of its own.
macro_rules! each {
    ($function:expr, $enum:ident, [$($variant:ident),*], $name:ident => $body:expr) => {
        match $function {
            $($enum::$variant => {
                const $name: $enum = $enum::$variant;
                $body
            })*
        }
    };
}

vectorised! {
    /// One unary instruction.
    fn unary(function: UnaryFunction, out: &mut [f32], x: &[f32]) {
        each!(
            function,
            UnaryFunction,
            [
                Negate, Exp, Log, Sqrt, Rsqrt, Reciprocal, Square, Abs, Sin, Cos, Tanh, Sigmoid, Erf, Relu, Silu, Gelu,
                GeluTanh
            ],
            FUNCTION => for (out, &x) in out.iter_mut().zip(x) {
                *out = math::unary(FUNCTION, x);
            }
        )
    }
}

vectorised! {
    /// One binary instruction.
    fn binary(function: BinaryFunction, out: &mut [f32], a: &[f32], b: &[f32]) {
        each!(
            function,
            BinaryFunction,
            [Add, Subtract, Multiply, Divide, Maximum, Minimum, Power],
            FUNCTION => for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = math::binary(FUNCTION, a, b);
            }
        )
    }
}

vectorised! {
    /// To the nearest bf16, ties to even.
    fn round_bf16(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = math::round_bf16(x);
        }
    }
}

vectorised! {
    /// To the nearest half precision number, ties to even.
    fn round_f16(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = math::round_f16(x);
        }
    }
}

vectorised! {
    /// One comparison.
    fn greater(out: &mut [f32], a: &[f32], b: &[f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = math::greater(a, b);
        }
    }
}

vectorised! {
    /// One selection.
    fn select(out: &mut [f32], condition: &[f32], a: &[f32], b: &[f32]) {
        for (((out, &condition), &a), &b) in out.iter_mut().zip(condition).zip(a).zip(b) {
            *out = math::select(condition, a, b);
        }
    }
}
