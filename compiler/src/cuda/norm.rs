//! Layer and root-mean-square normalisation, alone, behind a loop, and their gradients.

use super::Argument;
use super::expression::statements;
use super::loops::operands;
use super::rows::{rows, shape, threads};
use super::settings::{Settings, offset};
use super::writer::{At, Parameters, THREADS};
use crate::program::{LoopBody, View};

/// Ranges of rows whose sums for scale and shift are made side by side.
const PARTS: u64 = 128;
/// Rows of such a range at least.
const SHORTEST: u64 = 16;

fn settings(width: u64, centred: bool, eps: f64) -> Settings {
    let mut settings = shape(width);
    settings.flag("centred", centred).double("eps", eps);
    settings
}

/// `(x [.., D], scale [D], shift [D]?) -> [.., D]`
pub(super) fn forward(at: &mut At<'_>, centred: bool, eps: f64) -> Result<(), String> {
    let (x, scale, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, rows) = rows(&x);
    let mut settings = settings(width, centred, eps);
    settings.rows("x", &x).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "scale", &scale);
    shift(at, &mut parameters, centred, 2)?;
    at.result(&mut parameters, "out", &out);
    at.template("norm", "norm", &settings, threads(width), [rows, 1], parameters)
}

fn shift(at: &At<'_>, parameters: &mut Parameters, centred: bool, read: usize) -> Result<(), String> {
    match centred {
        true => at.operand(parameters, "shift", &at.read(read)?),
        false => parameters.absent("const float *", "shift"),
    }
    Ok(())
}

/// A loop whose first result is normalised by the threads that made it.
pub(super) fn after_loop(at: &mut At<'_>, body: &LoopBody, centred: bool, eps: f64) -> Result<(), String> {
    let out = at.write(0)?;
    let first = at.write(1)?;
    let count = at.step.reads.len().checked_sub(1 + usize::from(centred)).ok_or("a normalised loop without a scale")?;
    let (reads, results) = (at.step.reads[..count].to_vec(), at.step.writes[1..].to_vec());
    let (width, rows) = rows(&out);
    let mut settings = settings(width, centred, eps);
    settings.rows("first", &first).rows("out", &out);
    let place = |view: &View| {
        let axes: Vec<(u64, u64)> = view.shape.iter().copied().zip(view.strides.iter().copied()).collect();
        offset("i", &axes)
    };
    let load = |read: usize| match at.is_integer(&reads[read]) {
        true => format!("static_cast<float>(r{read}[{}])", place(&reads[read])),
        false => format!("r{read}[{}]", place(&reads[read])),
    };
    let mut text = format!(
        "{{\n    for (u64 column = threadIdx.x; column < {width}ull; column += {}) {{\n        const u64 i = blockIdx.x * {width}ull + column;\n",
        threads(width)
    );
    text.push_str(&statements(body, "        ", load));
    for (write, (view, register)) in results.iter().zip(&body.results).enumerate() {
        text.push_str(&format!("        w{write}[{}] = t{register};\n", place(view)));
    }
    text.push_str("    }\n    normalise<@_settings>(w0 + @_settings::first(blockIdx.x), scale, shift, out + @_settings::out(blockIdx.x));\n}\n");
    let mut parameters = Parameters::default();
    operands(at, &mut parameters, &reads, &results);
    at.operand(&mut parameters, "scale", &at.read(count)?);
    shift(at, &mut parameters, centred, count + 1)?;
    at.result(&mut parameters, "out", &out);
    at.launch("loop_norm", &settings.text(), &text, threads(width), [rows, 1], parameters)
}

/// `(x, scale, dy) -> (dx?, dscale?, dshift?)`
pub(super) fn gradient(
    at: &mut At<'_>,
    centred: bool,
    eps: f64,
    accumulate: bool,
    writes: [bool; 3],
) -> Result<(), String> {
    let (x, scale, dy) = (at.read(0)?, at.read(1)?, at.read(2)?);
    let (width, count) = rows(&x);
    let mut next = 0;
    let mut take = |present: bool| {
        next += usize::from(present);
        if present { at.write(next - 1).map(Some) } else { Ok(None) }
    };
    let [dx, dscale, dshift] = [take(writes[0])?, take(writes[1])?, take(writes[2])?];
    let has_sums = dscale.is_some() || dshift.is_some();
    let rows_a_part = count.div_ceil(PARTS).max(SHORTEST);
    let parts = count.div_ceil(rows_a_part);
    let kept = Argument::Workspace(at.workspace(if has_sums { 8 * count } else { 0 }));
    let partial = Argument::Workspace(at.workspace(if has_sums { 8 * parts * width } else { 0 }));

    let mut own = settings(width, centred, eps);
    own.rows("x", &x).rows("dy", &dy).flag("accumulate", accumulate);
    own.flag("keeps", has_sums).flag("value", dx.is_some());
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "scale", &scale);
    at.operand(&mut parameters, "dy", &dy);
    match &dx {
        Some(dx) => {
            own.rows("dx", dx);
            at.result(&mut parameters, "dx", dx);
        }
        None => parameters.absent("float *", "dx"),
    }
    parameters.push("float2 *", "kept", kept);
    at.template("norm_gradient", "norm_gradient", &own, threads(width), [count, 1], parameters)?;
    if !has_sums {
        return Ok(());
    }

    let mut sums = Settings::default();
    sums.small("threads", THREADS).whole("width", width).whole("rows", count).whole("rows_a_part", rows_a_part);
    sums.rows("x", &x).rows("dy", &dy);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "dy", &dy);
    parameters.push("const float2 *", "kept", kept);
    parameters.push("float *", "partial", partial);
    let name = "norm_gradient_sums";
    at.template(name, name, &sums, THREADS, [width.div_ceil(THREADS), parts], parameters)?;

    let mut total = Settings::default();
    total.small("threads", THREADS).whole("width", width).whole("parts", parts);
    total.flag("scale", dscale.is_some()).flag("shift", dshift.is_some());
    let mut parameters = Parameters::default();
    parameters.push("const float *", "partial", partial);
    for (name, view) in [("dscale", dscale), ("dshift", dshift)] {
        match view {
            Some(view) => at.result(&mut parameters, name, &view),
            None => parameters.absent("float *", name),
        }
    }
    let name = "norm_gradient_total";
    at.template(name, name, &total, THREADS, [width.div_ceil(THREADS), 1], parameters)
}
