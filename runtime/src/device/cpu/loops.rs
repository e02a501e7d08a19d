//! Elementwise loops.

use std::ops::Range;

use llmc_compiler::program::{Instruction, LoopBody};
use smallvec::SmallVec;

use super::operand::Operands;
use super::pool::Pool;
use super::stream::{Stream, StreamPieces};
use super::tile::{TILE, TileProgram};
use super::window::{Bound, Window};

/// Elements of a task: large enough to pay for the hand-out, small enough to balance.
const PER_TASK: usize = 16 * TILE;

/// The reads of a loop, none for one that is found in a write.
pub type Streams<'a> = SmallVec<[Option<Stream<'a>>; 6]>;

/// An elementwise loop made ready to run.
#[derive(Debug)]
pub struct Loop {
    program: TileProgram,
    /// For each read, the write that holds its values when it is in place.
    places: Vec<Option<usize>>,
    /// For each write of integers, the read whose bits it copies.
    copies: Vec<Option<usize>>,
}

impl Loop {
    /// Compiles the body of a step and checks it against the operands.
    pub fn new(body: &LoopBody, bound: &Bound) -> Result<Self, String> {
        let shape = bound.writes.first().map(|write| write.shape.clone()).ok_or("a loop without writes")?;
        if bound.reads.iter().chain(&bound.writes).any(|window| window.shape != shape) {
            return Err("a loop's operands must have one shape".to_owned());
        }
        let place = |(read, window): (usize, &Window)| {
            let same = |write: &Window| write.is_same(window);
            if bound.in_place[read] { bound.writes.iter().position(same) } else { None }
        };
        let direct = |(read, window): (usize, &Window)| window.is_contiguous() && !bound.in_place[read];
        let direct: Vec<bool> = bound.reads.iter().enumerate().map(direct).collect();
        let program = TileProgram::new(body, &direct)?;
        if program.results() != bound.writes.len() {
            return Err("a loop needs one result for each write".to_owned());
        }
        let copy = |(write, register): (&Window, &usize)| match body.instructions[*register] {
            _ if !write.integer => Ok(None),
            Instruction::Load(read) if bound.reads[read].integer && !bound.in_place[read] => Ok(Some(read)),
            _ => Err("a write of integers must copy a read of integers".to_owned()),
        };
        let copies = bound.writes.iter().zip(&body.results).map(copy).collect::<Result<_, _>>()?;
        Ok(Loop { program, places: bound.reads.iter().enumerate().map(place).collect(), copies })
    }

    /// Runs over all elements.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool) {
        let count = operands.written(0).count();
        let streams = self.streams(operands);
        pool.run(count.div_ceil(PER_TASK), operands.streams_mut(0, PER_TASK), |task, mut pieces, scratch| {
            let first = task * PER_TASK;
            let scratch = scratch.floats(self.scratch());
            self.range(&streams, &mut pieces, first..count.min(first + PER_TASK), scratch);
        });
    }

    /// The reads that are not in place.
    pub fn streams<'a>(&self, operands: &Operands<'a>) -> Streams<'a> {
        let order: SmallVec<[usize; 4]> = (0..operands.written(0).shape.len()).collect();
        let reads = self.places.iter().enumerate();
        reads.map(|(read, place)| place.is_none().then(|| operands.stream(read, &order))).collect()
    }

    /// Floats of scratch memory that [`Loop::range`] needs.
    pub fn scratch(&self) -> usize {
        self.program.scratch().max(TILE)
    }

    /// Runs over a task's elements; `pieces` begin with the first of them.
    pub fn range(
        &self,
        streams: &Streams<'_>,
        pieces: &mut StreamPieces<'_>,
        elements: Range<usize>,
        scratch: &mut [f32],
    ) {
        let program = &self.program;
        program.start(scratch);
        let slice = |read: usize, start: usize, length: usize| match &streams[read] {
            Some(stream) => stream.slice(start, length),
            None => &[],
        };
        let Range { start: first, end } = elements;
        for start in (first..end).step_by(TILE) {
            let length = TILE.min(end - start);
            let slice = |read| slice(read, start, length);
            program.run(scratch, length, slice, |read, row| match (&streams[read], self.places[read]) {
                (Some(stream), _) => stream.load(start, row),
                (None, Some(write)) => pieces.load(write, start - first, row),
                (None, None) => {}
            });
            for write in (0..program.results()).filter(|&write| self.copies[write].is_none()) {
                pieces.store(write, start - first, program.result(scratch, write, length, slice));
            }
        }
        for (write, read) in self.copies.iter().enumerate() {
            let Some(stream) = read.and_then(|read| streams[read].as_ref()) else {
                continue;
            };
            for start in (first..end).step_by(TILE) {
                let bits = &mut scratch[..TILE.min(end - start)];
                stream.load_bits(start, bits);
                pieces.store(write, start - first, bits);
            }
        }
    }
}
