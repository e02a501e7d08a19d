//! Decides which values get memory and which exist only inside a loop.
//!
//! Walking from the outputs to the sources, every elementwise value is either computed inside the loops that use it or
//! becomes a loop of its own. It gets memory if something other than a loop reads it, if it is repeated along an axis by its
//! reader, if the loop would grow beyond the bounds below, or if several loops use it and computing it anew is not cheap.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::chunk::ChunkedLoss;
use super::flow::{Flow, ValueId};
use super::sums::{Sum, sums};
use crate::op::Op;
use crate::plan::{BinaryFunction, UnaryFunction};

/// Instructions of one loop at most.
pub(super) const MOST_INSTRUCTIONS: usize = 48;
/// Different operands of one loop at most.
pub(super) const MOST_READS: usize = 12;
/// Estimated cost up to which a value is computed anew in several loops.
const CHEAP: u32 = 16;

/// How a value comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An input, a state or a constant.
    Source,
    /// A view of its operand.
    Movement,
    /// Computed inside the loops that use it.
    Inline,
    /// The result of a loop.
    Loop,
    /// The result of a kernel of its own.
    Kernel,
    /// A sum whose second term's kernel adds to the memory of the first.
    Sum(Sum),
    /// A kernel that runs where its [`Role::Sum`] stands.
    Addend,
    /// Computed with a [`ChunkedLoss`].
    Chunked,
}

/// The readers of a value, seen through movement.
#[derive(Default, Clone)]
struct Readers {
    /// Something other than a loop reads it, or a loop repeats it.
    memory: bool,
    loops: SmallVec<[usize; 2]>,
}

impl Readers {
    fn add_loops(&mut self, loops: &[usize]) {
        for &index in loops {
            if !self.loops.contains(&index) {
                self.loops.push(index);
            }
        }
    }
}

/// A loop in the making.
#[derive(Default)]
struct Group {
    instructions: usize,
    /// (value, operand through which it is read)
    leaves: BTreeSet<(ValueId, ValueId)>,
}

/// The role of every value.
pub(super) fn roles(flow: &Flow, losses: &[ChunkedLoss]) -> Vec<Role> {
    let count = flow.values.len();
    let sums = sums(flow, losses);
    let origin = origins(flow);
    let recomputations = recomputations(flow, &origin);
    let mut roles = vec![Role::Source; count];
    let mut readers = vec![Readers::default(); count];
    let mut groups: Vec<Group> = Vec::new();
    for (_, value) in &flow.outputs {
        readers[*value].memory = true;
    }
    for id in (0..count).rev() {
        let op = flow.op(id);
        let mine = std::mem::take(&mut readers[id]);
        if op.is_movement() {
            roles[id] = Role::Movement;
            let input = flow.inputs(id)[0];
            readers[input].memory |= mine.memory || flow.elements(id) > flow.elements(input);
            readers[input].add_loops(&mine.loops);
            continue;
        }
        let mut loops: SmallVec<[usize; 2]> = SmallVec::new();
        roles[id] = match op {
            Op::Input { .. } | Op::State { .. } | Op::Constant(_) => Role::Source,
            _ if losses.iter().any(|loss| loss.holds(id)) => Role::Chunked,
            _ if sums.addend[id] => Role::Addend,
            _ if sums.at[id].is_some() => sums.at[id].map_or(Role::Kernel, Role::Sum),
            op if op.is_elementwise() => {
                let several = mine.loops.len() > 1;
                let inline = !mine.memory
                    && !mine.loops.is_empty()
                    && (!several || is_cheap(recomputations[id]))
                    && mine.loops.iter().all(|&index| groups[index].admits(flow, &origin, id));
                if inline {
                    loops = mine.loops;
                    Role::Inline
                } else {
                    loops.push(groups.len());
                    groups.push(Group::default());
                    Role::Loop
                }
            }
            Op::Reduce { .. } => {
                loops.push(groups.len());
                groups.push(Group::default());
                Role::Kernel
            }
            _ => Role::Kernel,
        };
        for &index in &loops {
            groups[index].include(flow, &origin, id);
        }
        for &input in flow.inputs(id) {
            if loops.is_empty() {
                readers[input].memory = true;
            } else {
                readers[input].add_loops(&loops);
                readers[input].memory |= op.is_elementwise() && flow.elements(id) > flow.elements(input);
            }
        }
    }
    roles
}

impl Group {
    /// Whether the loop stays within bounds with `id` computed inside.
    fn admits(&self, flow: &Flow, origin: &[ValueId], id: ValueId) -> bool {
        let entries = self.leaves.range((id, 0)..=(id, ValueId::MAX)).count();
        let added = flow
            .inputs(id)
            .iter()
            .filter(|&&input| is_read(flow, origin[input]) && !self.leaves.contains(&(origin[input], input)))
            .count();
        // Read through several different views it would be computed once for each.
        entries <= 1 && self.instructions < MOST_INSTRUCTIONS && self.leaves.len() + added <= MOST_READS + entries
    }

    /// Computes `id` inside the loop.
    fn include(&mut self, flow: &Flow, origin: &[ValueId], id: ValueId) {
        self.instructions += 1;
        let entries: Vec<_> = self.leaves.range((id, 0)..=(id, ValueId::MAX)).copied().collect();
        for entry in entries {
            self.leaves.remove(&entry);
        }
        for &input in flow.inputs(id) {
            if is_read(flow, origin[input]) {
                self.leaves.insert((origin[input], input));
            } else {
                self.instructions += 1;
            }
        }
    }
}

/// Constants are instructions, not operands.
fn is_read(flow: &Flow, id: ValueId) -> bool {
    !matches!(flow.op(id), Op::Constant(_))
}

/// For every value, the value it is a view of.
fn origins(flow: &Flow) -> Vec<ValueId> {
    let mut origins: Vec<ValueId> = Vec::with_capacity(flow.values.len());
    for id in 0..flow.values.len() {
        let origin = if flow.op(id).is_movement() { origins[flow.inputs(id)[0]] } else { id };
        origins.push(origin);
    }
    origins
}

/// What computing a value anew takes, everything elementwise above it included.
#[derive(Clone, Copy)]
struct Recomputation {
    /// Estimated work for one element.
    cost: u32,
    /// Operands in memory of the value's own size.
    operands: Operands,
}

/// Distinct operands, counted up to two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operands {
    None,
    One(ValueId),
    Several,
}

impl Operands {
    fn join(self, other: Operands) -> Operands {
        match (self, other) {
            (Operands::None, any) | (any, Operands::None) => any,
            (a, b) if a == b => a,
            _ => Operands::Several,
        }
    }
}

/// What computing each value anew takes.
fn recomputations(flow: &Flow, origin: &[ValueId]) -> Vec<Recomputation> {
    let mut all: Vec<Recomputation> = Vec::with_capacity(flow.values.len());
    for (id, value) in flow.values.iter().enumerate() {
        let full_size = |input: &&ValueId| flow.elements(**input) == flow.elements(id);
        let this = if value.op.is_elementwise() {
            let above = value.inputs.iter().map(|&input| all[input].cost);
            let operands = value.inputs.iter().filter(full_size).map(|&input| all[input].operands);
            Recomputation {
                cost: above.fold(cost(&value.op), u32::saturating_add),
                operands: operands.fold(Operands::None, Operands::join),
            }
        } else if value.op.is_movement() && full_size(&&value.inputs[0]) {
            all[value.inputs[0]]
        } else {
            Recomputation { cost: 0, operands: Operands::One(origin[id]) }
        };
        all.push(this);
    }
    all
}

/// Whether several loops may each compute a value: little work, and no more memory to read or to keep than the value itself.
fn is_cheap(recomputation: Recomputation) -> bool {
    recomputation.cost <= CHEAP && recomputation.operands != Operands::Several
}

/// Relative cost of one element.
fn cost(op: &Op) -> u32 {
    use UnaryFunction::*;
    match op {
        Op::Unary(Negate | Abs | Square | Relu) => 1,
        Op::Unary(Sqrt | Rsqrt | Reciprocal) => 2,
        Op::Unary(_) => 8,
        Op::Binary(BinaryFunction::Power) => 16,
        _ => 1,
    }
}
