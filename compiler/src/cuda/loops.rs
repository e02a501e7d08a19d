//! Elementwise loops: neighbouring elements in one thread where operands have them, 16 bytes of the longest operand.

use super::expression::statements;
use super::settings::{joined, offset};
use super::writer::{At, Parameters, THREADS};
use crate::program::{Instruction, LoopBody, View};

/// How a thread meets its elements of an operand.
struct Access {
    offset: String,
    /// Distance of neighbours.
    step: u64,
    /// Whether all of them can be read at once.
    is_run: bool,
}

/// Elementwise: one expression over the writes' shape.
pub(super) fn print(at: &mut At<'_>, body: &LoopBody) -> Result<(), String> {
    let shape = at.write(0)?.shape;
    let count: u64 = shape.iter().product();
    let last = shape.iter().rposition(|size| *size > 1);
    let (reads, writes) = (at.step.reads.clone(), at.step.writes.clone());
    let run = run_of(at, writes.iter().chain(&reads), last);
    let mut text = format!(
        "{{\n    const u64 i = (blockIdx.x * {THREADS}ull + threadIdx.x) * {run}ull;\n    if (i >= {count}ull) return;\n"
    );
    text.push_str(&elements(at, body, &reads, &writes, run)?);
    text.push_str("}\n");
    let mut parameters = Parameters::default();
    operands(at, &mut parameters, &reads, &writes);
    at.launch("loop", "", &text, THREADS, [(count / run).div_ceil(THREADS), 1], parameters)
}

/// The statements that compute `run` elements from number `i` on: reads into `x0..`, results in `y0..` and written.
pub(super) fn elements(
    at: &At<'_>,
    body: &LoopBody,
    reads: &[View],
    writes: &[View],
    run: u64,
) -> Result<String, String> {
    let last = writes.first().and_then(|view| view.shape.iter().rposition(|size| *size > 1));
    let access = |view: &View| access(at, view, last, run);
    let (from, to): (Vec<Access>, Vec<Access>) =
        (reads.iter().map(access).collect(), writes.iter().map(access).collect());
    let copies = copies(at, body, writes)?;
    let mut text = String::new();
    for (number, access) in from.iter().enumerate() {
        let Access { offset, step, is_run } = access;
        let load = match (is_run, step) {
            (true, _) => format!("load_run(x{number}, r{number} + {offset});"),
            (false, step) => format!("load_steps(x{number}, r{number} + {offset}, {step});"),
        };
        if copies.contains(&Some(number)) {
            text.push_str(&format!("    int n{number}[{run}];\n    for (int l = 0; l < {run}; ++l) n{number}[l] = r{number}[{offset} + l * {step}];\n"));
        }
        text.push_str(&format!("    float x{number}[{run}];\n    {load}\n"));
    }
    let floats = || (0..writes.len()).filter(|write| copies[*write].is_none());
    for write in floats() {
        text.push_str(&format!("    float y{write}[{run}];\n"));
    }
    text.push_str(&format!("#pragma unroll\n    for (int l = 0; l < {run}; ++l) {{\n"));
    text.push_str(&statements(body, "        ", |read| format!("x{read}[l]")));
    for write in floats() {
        text.push_str(&format!("        y{write}[l] = t{};\n", body.results[write]));
    }
    text.push_str("    }\n");
    for (write, access) in to.iter().enumerate() {
        let Access { offset, step, is_run } = access;
        let value = copies[write].map_or_else(|| format!("y{write}"), |read| format!("n{read}"));
        let store = match is_run {
            true => format!("store_run(w{write} + {offset}, {value});"),
            false => format!("store_steps(w{write} + {offset}, {value}, {step});"),
        };
        text.push_str(&format!("    {store}\n"));
    }
    Ok(text)
}

/// The reads `r0..` and writes `w0..` of a loop.
pub(super) fn operands(at: &At<'_>, parameters: &mut Parameters, reads: &[View], writes: &[View]) {
    for (number, view) in reads.iter().enumerate() {
        at.operand(parameters, &format!("r{number}"), view);
    }
    for (number, view) in writes.iter().enumerate() {
        at.result(parameters, &format!("w{number}"), view);
    }
}

/// Elements of a thread: eight where all operands that have neighbours are halves, else four, if rows can be cut into them.
fn run_of<'v>(at: &At<'_>, mut views: impl Iterator<Item = &'v View>, last: Option<usize>) -> u64 {
    let eight = |view: &View| step(view, last) == 0 || at.dtype(view).is_half() && is_run(at, view, last, 8);
    let Some(first) = views.next() else { return 1 };
    match last.map_or(1, |axis| first.shape[axis]) {
        width if width.is_multiple_of(8) && eight(first) && views.all(eight) => 8,
        width if width.is_multiple_of(4) => 4,
        _ => 1,
    }
}

/// Distance of neighbours.
fn step(view: &View, last: Option<usize>) -> u64 {
    last.map_or(0, |axis| view.strides[axis])
}

fn axes(view: &View) -> Vec<(u64, u64)> {
    view.shape.iter().copied().zip(view.strides.iter().copied()).collect()
}

/// Whether a thread's elements lie side by side at a multiple of their size.
pub(super) fn is_run(at: &At<'_>, view: &View, last: Option<usize>, run: u64) -> bool {
    let others = joined(&axes(view)).iter().all(|(_, stride)| *stride == 1 || stride.is_multiple_of(run));
    run > 1 && step(view, last) == 1 && !at.is_integer(view) && others && at.is_aligned(view, run)
}

fn access(at: &At<'_>, view: &View, last: Option<usize>, run: u64) -> Access {
    let offset = format!("({})", offset("i", &axes(view)));
    Access { offset, step: step(view, last), is_run: is_run(at, view, last, run) }
}

/// For each write of whole numbers the read that it copies.
fn copies(at: &At<'_>, body: &LoopBody, writes: &[View]) -> Result<Vec<Option<usize>>, String> {
    let copy =
        |(write, view): (usize, &View)| match body.results.get(write).map(|register| body.instructions[*register]) {
            _ if !at.is_integer(view) => Ok(None),
            Some(Instruction::Load(read)) => Ok(Some(read)),
            _ => Err("a loop that computes whole numbers".to_owned()),
        };
    writes.iter().enumerate().map(copy).collect()
}
