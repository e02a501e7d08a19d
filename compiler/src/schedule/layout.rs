//! Gives every buffer its offset: states in the persistent region, everything else in the scratch region.

use std::collections::BTreeMap;

use super::arena::{Span, most_alive, place};
use super::cost::flops;
use super::draft::{Draft, Storage};
use crate::program::{Buffer, BufferId, MemoryKind, PersistentBuffer, Program, Region, View};

/// The program of an ordered draft.
///
/// # Panics
/// If a state of the draft is not in `persistent`: whoever asks for a program lists the states of its graph.
pub(super) fn layout(draft: Draft, name: &str, persistent: &[PersistentBuffer]) -> Program {
    let offsets: BTreeMap<&str, u64> = persistent.iter().map(|buffer| (buffer.name.as_str(), buffer.offset)).collect();
    let mut renamed: Vec<Option<BufferId>> = vec![None; draft.buffers.len()];
    let mut states: BTreeMap<&str, BufferId> = BTreeMap::new();
    let lives = lives(&draft);
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut spans: Vec<(BufferId, Span)> = Vec::new();
    for (old, buffer) in draft.buffers.iter().enumerate() {
        let Some((birth, death)) = lives[old] else {
            continue;
        };
        let mut offset = 0;
        let mut region = Region::Scratch;
        if let Storage::Initial(state) | Storage::Final(state) = &buffer.storage {
            if let Some(&known) = states.get(state.as_str()) {
                renamed[old] = Some(known);
                continue;
            }
            states.insert(state, buffers.len());
            region = Region::Persistent;
            offset = match offsets.get(state.as_str()) {
                Some(&offset) => offset,
                None => panic!("the program {name} uses the state {state}, which has no memory"),
            };
        } else {
            spans.push((buffers.len(), Span { bytes: buffer.bytes(), birth, death }));
        }
        renamed[old] = Some(buffers.len());
        buffers.push(Buffer {
            name: buffer.name.clone(),
            region,
            offset,
            bytes: buffer.bytes(),
            dtype: buffer.dtype,
            kind: buffer.kind,
        });
    }
    let lifetimes: Vec<Span> = spans.iter().map(|(_, span)| *span).collect();
    let placement = place(&lifetimes);
    for ((buffer, _), offset) in spans.iter().zip(&placement.offsets) {
        buffers[*buffer].offset = *offset;
    }
    let peak_by_kind = peak_by_kind(&buffers, &spans);
    let mut steps = draft.steps;
    let mut outputs = draft.outputs;
    let views = steps.iter_mut().flat_map(|step| step.reads.iter_mut().chain(&mut step.writes));
    for view in views.chain(outputs.iter_mut().map(|(_, view)| view)) {
        rename(view, &renamed);
    }
    let inputs = draft.inputs.iter().filter_map(|(name, old)| Some((name.clone(), renamed[*old]?))).collect();
    let flops = steps.iter().map(flops).sum();
    Program {
        name: name.to_owned(),
        buffers,
        steps,
        inputs,
        outputs,
        scratch_bytes: placement.bytes,
        peak_by_kind,
        flops,
    }
}

fn rename(view: &mut View, renamed: &[Option<BufferId>]) {
    if let Some(new) = renamed[view.buffer] {
        view.buffer = new;
    }
}

/// By buffer: first and last step at which it must keep its value, if it is used at all. Inputs are filled before the
/// first step, results are read after the last.
fn lives(draft: &Draft) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; draft.buffers.len()];
    for (now, step) in draft.steps.iter().enumerate() {
        for view in step.reads.iter().chain(&step.writes) {
            let (birth, _) = lives[view.buffer].unwrap_or((now, now));
            lives[view.buffer] = Some((birth, now));
        }
    }
    for (_, view) in &draft.outputs {
        let (birth, _) = lives[view.buffer].unwrap_or((0, 0));
        lives[view.buffer] = Some((birth, draft.steps.len()));
    }
    for (life, buffer) in lives.iter_mut().zip(&draft.buffers) {
        if let (Some((birth, _)), Storage::Input) = (life, &buffer.storage) {
            *birth = 0;
        }
    }
    lives
}

/// Bytes alive by kind at the step where most are alive.
fn peak_by_kind(buffers: &[Buffer], spans: &[(BufferId, Span)]) -> Vec<(MemoryKind, u64)> {
    let lifetimes: Vec<Span> = spans.iter().map(|(_, span)| *span).collect();
    let (fullest, _) = most_alive(&lifetimes);
    let mut kinds: BTreeMap<MemoryKind, u64> = BTreeMap::new();
    for (buffer, span) in spans {
        if (span.birth..=span.death).contains(&fullest) {
            *kinds.entry(buffers[*buffer].kind).or_insert(0) += span.bytes;
        }
    }
    kinds.into_iter().collect()
}
