//! Sums and maxima over some axes, in two launches: parts of fixed size, then their combination in order.

use super::Argument;
use super::expression::statements;
use super::loops::operands;
use super::settings::{Settings, offset};
use super::writer::{At, Parameters, THREADS};
use crate::op::Reduction;
use crate::program::{LoopBody, View};

/// Parts of a result at most.
const MOST_PARTS: u64 = 128;
/// Elements that a thread adds up alone at least.
const ALONE: u64 = 32;
/// So many results fill a card by themselves.
const PLENTY: u64 = 512;

/// The expression's value reduced over some axes.
pub(super) fn print(at: &mut At<'_>, kind: Reduction, axes: &[usize], body: &LoopBody) -> Result<(), String> {
    let (out, reads) = (at.write(0)?, at.step.reads.clone());
    let shape = reads.first().unwrap_or(&out).shape.clone();
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<u64>();
    let (results, reduced) = (size(&kept), size(axes));
    let last = shape.iter().rposition(|size| *size > 1);
    let down = reduced <= 2 * ALONE || last.is_some_and(|axis| kept.contains(&axis));
    let part = match down {
        true => reduced.div_ceil(MOST_PARTS).max(ALONE),
        false if results >= PLENTY => reduced,
        false => reduced.div_ceil(MOST_PARTS).max(16 * THREADS),
    };
    let parts = reduced.div_ceil(part);
    let result = *body.results.first().ok_or("a reduction without a result")?;

    let mut settings = Settings::default();
    settings.kind("Kind", if kind == Reduction::Sum { "Sum" } else { "Maximum" });
    settings.small("threads", THREADS).whole("results", results).whole("reduced", reduced).whole("part", part);
    settings.whole("parts", parts).elements("out", &out);
    let place = |view: &View| {
        let of = |axes: &[usize]| axes.iter().map(|&axis| (view.shape[axis], view.strides[axis])).collect::<Vec<_>>();
        format!("{} + {}", offset("result", &of(&kept)), offset("i", &of(axes)))
    };
    let places: Vec<String> = reads.iter().map(place).collect();
    let load = |read: usize| format!("r{read}[{}]", places[read]);
    let template = if down { "reduce_down" } else { "reduce_across" };
    let text = format!(
        "{{\n    {template}<@_settings>(partial, [=](u64 result, u64 i) {{\n{}        return t{result};\n    }});\n}}\n",
        statements(body, "        ", load)
    );
    let workspace = at.workspace(4 * parts * results);
    let mut parameters = Parameters::default();
    operands(at, &mut parameters, &reads, &[]);
    parameters.push("float *", "partial", Argument::Workspace(workspace));
    let blocks = if down { results.div_ceil(THREADS) } else { results };
    at.launch("reduce", &settings.text(), &text, THREADS, [blocks, parts], parameters)?;

    let mut parameters = Parameters::default();
    parameters.push("const float *", "partial", Argument::Workspace(workspace));
    at.result(&mut parameters, "out", &out);
    at.template("reduce_parts", "reduce_parts", &settings, THREADS, [results.div_ceil(THREADS), 1], parameters)
}
