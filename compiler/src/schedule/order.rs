//! Chooses the order of the steps: a correct one that keeps little memory alive.
//!
//! List scheduling: of the steps that could run, one that frees at least as much memory as it takes runs at once; else the first in
//! the order of the graph. States are overwritten in place, so a step that needs the old value must run before; where
//! that is impossible it gets a saved copy.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::draft::{Draft, Storage};
use crate::program::{BufferId, Instruction, Kernel, LoopBody, MemoryKind, Step, View};

/// Buffers of so few bytes do not count: scalars, and rows of scalars that are summed up.
const NEGLIGIBLE: u64 = 256;

/// Puts the steps of a draft in the order they run in.
pub(super) fn order(draft: &mut Draft) {
    let mut scheduler = Scheduler::new(draft);
    let mut done: Vec<Step> = Vec::with_capacity(draft.steps.len());
    while done.len() < scheduler.finished_at(draft) {
        match scheduler.next(draft) {
            Some(step) => {
                scheduler.finish(draft, step);
                done.push(draft.steps[step].clone());
            }
            None => done.extend(scheduler.save_old_value(draft)),
        }
    }
    draft.steps = done;
}

/// What the steps wait for.
struct Scheduler {
    /// By step: steps that wait for its results or its reads.
    followers: Vec<Vec<usize>>,
    /// By step: how many steps it waits for.
    waiting: Vec<usize>,
    /// By state: steps yet to run that read its old value, and steps that overwrite it.
    old_readers: BTreeMap<String, BTreeSet<usize>>,
    overwriters: BTreeMap<String, Vec<usize>>,
    /// By buffer: the steps that touch it, how many of them are yet to run, and whether one has run.
    touched_by: Vec<Vec<usize>>,
    untouched: Vec<usize>,
    alive: Vec<bool>,
    /// By buffer: read after the run.
    kept: Vec<bool>,
    finished: Vec<bool>,
    saved: usize,
    ready: BinaryHeap<Reverse<(bool, usize)>>,
}

impl Scheduler {
    fn new(draft: &Draft) -> Scheduler {
        let (steps, buffers) = (draft.steps.len(), draft.buffers.len());
        let mut scheduler = Scheduler {
            followers: vec![Vec::new(); steps],
            waiting: vec![0; steps],
            old_readers: BTreeMap::new(),
            overwriters: BTreeMap::new(),
            touched_by: vec![Vec::new(); buffers],
            untouched: vec![0; buffers],
            alive: draft.buffers.iter().map(|buffer| buffer.storage == Storage::Input).collect(),
            kept: vec![false; buffers],
            finished: vec![false; steps],
            saved: 0,
            ready: BinaryHeap::new(),
        };
        for (_, view) in &draft.outputs {
            scheduler.kept[view.buffer] = true;
        }
        scheduler.connect(draft);
        for step in 0..steps {
            scheduler.offer(draft, step);
        }
        scheduler
    }

    /// Finds what each step waits for: earlier writes of what it touches, earlier reads of what it writes.
    fn connect(&mut self, draft: &Draft) {
        let mut reads: Vec<Vec<(usize, &View)>> = vec![Vec::new(); draft.buffers.len()];
        let mut writes: Vec<Vec<(usize, &View)>> = vec![Vec::new(); draft.buffers.len()];
        for (index, step) in draft.steps.iter().enumerate() {
            let mut before: BTreeSet<usize> = BTreeSet::new();
            let mut wait_for = |earlier: &[(usize, &View)], view: &View| {
                before.extend(earlier.iter().filter(|(_, other)| other.overlaps(view)).map(|(step, _)| *step));
            };
            for view in &step.reads {
                wait_for(&writes[view.buffer], view);
            }
            for view in &step.writes {
                wait_for(&writes[view.buffer], view);
                wait_for(&reads[view.buffer], view);
            }
            for &earlier in &before {
                self.followers[earlier].push(index);
            }
            self.waiting[index] = before.len();
            for view in &step.reads {
                reads[view.buffer].push((index, view));
                if let Storage::Initial(name) = &draft.buffers[view.buffer].storage {
                    self.old_readers.entry(name.clone()).or_default().insert(index);
                }
            }
            for view in &step.writes {
                writes[view.buffer].push((index, view));
                if let Storage::Final(name) = &draft.buffers[view.buffer].storage {
                    self.overwriters.entry(name.clone()).or_default().push(index);
                }
            }
            for buffer in touched(step) {
                self.touched_by[buffer].push(index);
                self.untouched[buffer] += 1;
            }
        }
    }

    /// How many steps the finished program has.
    fn finished_at(&self, draft: &Draft) -> usize {
        draft.steps.len() + self.saved
    }

    /// Whether nothing holds a step back.
    fn is_ready(&self, draft: &Draft, step: usize) -> bool {
        !self.finished[step]
            && self.waiting[step] == 0
            && self.overwritten(draft, step).all(|state| {
                let readers = self.old_readers.get(state);
                readers.is_none_or(|readers| readers.iter().all(|&reader| reader == step))
            })
    }

    /// The states that a step overwrites.
    fn overwritten<'a>(&self, draft: &'a Draft, step: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        draft.steps[step].writes.iter().filter_map(|view| match &draft.buffers[view.buffer].storage {
            Storage::Final(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Puts a step among the ready ones if it is.
    fn offer(&mut self, draft: &Draft, step: usize) {
        if self.is_ready(draft, step) {
            let takes_memory = self.takes_memory(draft, step);
            self.ready.push(Reverse((takes_memory, step)));
        }
    }

    /// The step to run next.
    fn next(&mut self, draft: &Draft) -> Option<usize> {
        while let Some(Reverse((took_memory, step))) = self.ready.pop() {
            // A step may stand here several times: once for each rank it has had.
            if self.finished[step] {
                continue;
            }
            if !took_memory && self.takes_memory(draft, step) {
                self.ready.push(Reverse((true, step)));
                continue;
            }
            return Some(step);
        }
        None
    }

    /// Whether more memory is alive after the step than before.
    fn takes_memory(&self, draft: &Draft, step: usize) -> bool {
        let (mut taken, mut freed) = (0, 0);
        for buffer in touched(&draft.steps[step]) {
            let bytes = match draft.buffers[buffer].storage {
                Storage::Scratch | Storage::Input => draft.buffers[buffer].bytes(),
                Storage::Initial(_) | Storage::Final(_) => 0,
            };
            if bytes <= NEGLIGIBLE {
                continue;
            }
            if !self.alive[buffer] {
                taken += bytes;
            }
            if !self.kept[buffer] && self.untouched[buffer] == 1 {
                freed += bytes;
            }
        }
        taken > freed
    }

    /// Notes that a step has run.
    fn finish(&mut self, draft: &Draft, step: usize) {
        self.finished[step] = true;
        let mut affected: Vec<usize> = Vec::new();
        for buffer in touched(&draft.steps[step]) {
            self.alive[buffer] = true;
            self.untouched[buffer] -= 1;
            if self.untouched[buffer] == 1 {
                let last = self.touched_by[buffer].iter().find(|&&step| !self.finished[step]);
                affected.extend(last);
            }
            if let Storage::Initial(name) = &draft.buffers[buffer].storage
                && let Some(readers) = self.old_readers.get_mut(name)
            {
                readers.remove(&step);
                if readers.len() <= 1 {
                    affected.extend(self.overwriters.get(name).into_iter().flatten());
                }
            }
        }
        for index in 0..self.followers[step].len() {
            let follower = self.followers[step][index];
            self.waiting[follower] -= 1;
            if self.waiting[follower] == 0 {
                affected.push(follower);
            }
        }
        affected.sort_unstable();
        affected.dedup();
        for step in affected {
            self.offer(draft, step);
        }
    }

    /// Every step left waits for a reader of an old value that itself waits: the first that overwrites a state may run,
    /// and the readers left get a copy of the old value.
    fn save_old_value(&mut self, draft: &mut Draft) -> Vec<Step> {
        let stuck = (0..draft.steps.len()).find(|&step| !self.finished[step] && self.waiting[step] == 0);
        let Some(stuck) = stuck else {
            unreachable!("the first unfinished step waits for no result");
        };
        let states: Vec<String> = self.overwritten(draft, stuck).map(str::to_owned).collect();
        let mut copies = Vec::new();
        for state in states {
            let readers = self.old_readers.remove(&state).unwrap_or_default();
            let others: Vec<usize> = readers.into_iter().filter(|&reader| reader != stuck).collect();
            let old = draft.buffers.iter().position(|buffer| buffer.storage == Storage::Initial(state.clone()));
            if let (Some(old), false) = (old, others.is_empty()) {
                copies.push(self.save(draft, old, &others));
                self.saved += 1;
            }
        }
        for step in 0..draft.steps.len() {
            self.offer(draft, step);
        }
        copies
    }

    /// Makes the copy of a buffer for some readers.
    fn save(&mut self, draft: &mut Draft, old: BufferId, readers: &[usize]) -> Step {
        let source = draft.buffers[old].clone();
        let shape = [source.elements].into_iter().collect();
        let kind = MemoryKind::Activations;
        let copy = draft.allocate(&source.name, &shape, source.dtype, kind, Storage::Scratch);
        self.touched_by.push(readers.to_vec());
        self.untouched.push(readers.len());
        self.alive.push(true);
        self.kept.push(false);
        for &reader in readers {
            for view in &mut draft.steps[reader].reads {
                if view.buffer == old {
                    view.buffer = copy.buffer;
                }
            }
        }
        let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
        let reads = vec![View { buffer: old, ..copy.clone() }];
        Step { kernel: Kernel::Loop(body), reads, writes: vec![copy], origin: draft.steps[readers[0]].origin.clone() }
    }
}

/// The buffers of a step, each once.
fn touched(step: &Step) -> BTreeSet<BufferId> {
    step.reads.iter().chain(&step.writes).map(|view| view.buffer).collect()
}
