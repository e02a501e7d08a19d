//! Joins loops that stand near each other, run over the same shape and share an operand: one pass over memory instead of two.

use std::collections::BTreeSet;

use super::body::BodyBuilder;
use super::draft::{Draft, Storage};
use super::fuse::{MOST_INSTRUCTIONS, MOST_READS};
use crate::program::{BufferId, Kernel, LoopBody, Step, View};

/// How many steps apart two loops may stand: moving a loop up makes its results live longer.
const WINDOW: usize = 8;
/// Results of one loop at most.
const MOST_WRITES: usize = 4;

/// Joins loops of an ordered draft, and drops results that nobody reads any more.
pub(super) fn merge(draft: &mut Draft) {
    let memory: Vec<BufferId> = memories(draft);
    let mut merged: Vec<Step> = Vec::with_capacity(draft.steps.len());
    for step in std::mem::take(&mut draft.steps) {
        let first = merged.len().saturating_sub(WINDOW);
        let mut joined = None;
        for earlier in (first..merged.len()).rev() {
            if let Some(both) = join(&memory, &merged[earlier], &step) {
                joined = Some((earlier, both));
                break;
            }
            if conflicts(&memory, &merged[earlier], &step) {
                break;
            }
        }
        match joined {
            Some((earlier, both)) => merged[earlier] = both,
            None => merged.push(step),
        }
    }
    draft.steps = merged;
    drop_unread(draft);
}

/// By buffer: a number of its memory, the same for a state's old and new value.
pub(super) fn memories(draft: &Draft) -> Vec<BufferId> {
    let mut states = std::collections::BTreeMap::new();
    let number = |(id, buffer): (usize, &super::draft::DraftBuffer)| match &buffer.storage {
        Storage::Initial(name) | Storage::Final(name) => *states.entry(name.clone()).or_insert(id),
        _ => id,
    };
    draft.buffers.iter().enumerate().map(number).collect()
}

/// Whether two views may share an element.
pub(super) fn meet(memory: &[BufferId], a: &View, b: &View) -> bool {
    memory[a.buffer] == memory[b.buffer] && a.overlaps(&View { buffer: a.buffer, ..b.clone() })
}

/// Whether `later` may not run before `earlier`.
pub(super) fn conflicts(memory: &[BufferId], earlier: &Step, later: &Step) -> bool {
    let any = |these: &[View], those: &[View]| these.iter().any(|a| those.iter().any(|b| meet(memory, a, b)));
    any(&earlier.writes, &later.reads) || any(&earlier.writes, &later.writes) || any(&earlier.reads, &later.writes)
}

/// The loop that does the work of both, if that is possible and saves an operand.
fn join(memory: &[BufferId], first: &Step, second: &Step) -> Option<Step> {
    let (Kernel::Loop(first_body), Kernel::Loop(second_body)) = (&first.kernel, &second.kernel) else {
        return None;
    };
    let shape = &first.writes[0].shape;
    let together = first.writes.len() + second.writes.len();
    if *shape != second.writes[0].shape || together > MOST_WRITES || !shares(first, second) {
        return None;
    }
    let apart = |a: &View, b: &View| a == b || !meet(memory, a, b);
    let safe = second.reads.iter().all(|read| first.writes.iter().all(|write| apart(read, write)))
        && second.writes.iter().all(|write| first.reads.iter().all(|read| apart(read, write)))
        && second.writes.iter().all(|write| first.writes.iter().all(|other| !meet(memory, write, other)));
    if !safe {
        return None;
    }
    let mut builder = BodyBuilder::default();
    let mut results = builder.append(first_body, &mut |builder, read| builder.load(first.reads[read].clone()));
    let written = results.clone();
    results.extend(builder.append(second_body, &mut |builder, read| {
        let view = &second.reads[read];
        match first.writes.iter().position(|write| write == view) {
            Some(position) => written[position],
            None => builder.load(view.clone()),
        }
    }));
    if builder.len() > MOST_INSTRUCTIONS || builder.reads.len() > MOST_READS {
        return None;
    }
    let (body, reads) = builder.finish(results);
    let writes = first.writes.iter().chain(&second.writes).cloned().collect();
    Some(Step { kernel: Kernel::Loop(body), reads, writes, origin: second.origin.clone() })
}

/// Whether the second loop reads something as large as the loop that the first reads or writes.
fn shares(first: &Step, second: &Step) -> bool {
    let full_size = |view: &View| view.elements() > 1 && view.is_injective();
    second
        .reads
        .iter()
        .filter(|view| full_size(view))
        .any(|view| first.reads.contains(view) || first.writes.contains(view))
}

/// Drops the results of loops that no step reads, and steps without results.
fn drop_unread(draft: &mut Draft) {
    let mut read: BTreeSet<BufferId> = draft.outputs.iter().map(|(_, view)| view.buffer).collect();
    for step in draft.steps.iter_mut().rev() {
        if let Kernel::Loop(body) = &step.kernel {
            let wanted =
                |view: &View| read.contains(&view.buffer) || draft.buffers[view.buffer].storage != Storage::Scratch;
            let keep: Vec<usize> = (0..step.writes.len()).filter(|&write| wanted(&step.writes[write])).collect();
            if keep.len() < step.writes.len() {
                let results = keep.iter().map(|&write| body.results[write]).collect();
                step.writes = keep.iter().map(|&write| step.writes[write].clone()).collect();
                let trimmed = LoopBody { instructions: body.instructions.clone(), results };
                let (body, reads) = trim(&trimmed, &step.reads);
                (step.kernel, step.reads) = (Kernel::Loop(body), reads);
            }
        }
        read.extend(step.reads.iter().map(|view| view.buffer));
    }
    draft.steps.retain(|step| !step.writes.is_empty());
}

/// The expression without the instructions that no result needs.
fn trim(body: &LoopBody, reads: &[View]) -> (LoopBody, Vec<View>) {
    use crate::program::Instruction::{Binary, Constant, Greater, Load, Round, Select, Unary};
    let mut needed = vec![false; body.instructions.len()];
    for &result in &body.results {
        needed[result] = true;
    }
    for index in (0..needed.len()).rev() {
        if needed[index] {
            match body.instructions[index] {
                Load(_) | Constant(_) => {}
                Unary(_, a) | Round(_, a) => needed[a] = true,
                Binary(_, a, b) | Greater(a, b) => (needed[a], needed[b]) = (true, true),
                Select(condition, a, b) => {
                    (needed[condition], needed[a], needed[b]) = (true, true, true);
                }
            }
        }
    }
    let mut builder = BodyBuilder::default();
    let mut registers = vec![0; needed.len()];
    for (index, &instruction) in body.instructions.iter().enumerate() {
        if needed[index] {
            registers[index] = match instruction {
                Load(read) => builder.load(reads[read].clone()),
                Constant(value) => builder.push(Constant(value)),
                Unary(function, a) => builder.push(Unary(function, registers[a])),
                Round(dtype, a) => builder.push(Round(dtype, registers[a])),
                Binary(function, a, b) => builder.push(Binary(function, registers[a], registers[b])),
                Greater(a, b) => builder.push(Greater(registers[a], registers[b])),
                Select(condition, a, b) => builder.push(Select(registers[condition], registers[a], registers[b])),
            };
        }
    }
    builder.finish(body.results.iter().map(|&result| registers[result]).collect())
}
