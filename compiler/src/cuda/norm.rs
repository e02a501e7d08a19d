//! Layer and root-mean-square normalisation, alone, behind a loop, and their gradients.

use super::Argument;
use super::loops::{elements, operands};
use super::rows::{Sweep, rows};
use super::settings::Settings;
use super::writer::{At, Parameters, THREADS, type_name};
use crate::program::{LoopBody, View};

/// Ranges of rows whose sums for scale and shift are made side by side.
const PARTS: u64 = 128;
/// Rows of such a range at least.
const SHORTEST: u64 = 16;

fn settings(sweep: &Sweep, centred: bool, eps: f64) -> Settings {
    let mut settings = sweep.settings();
    settings.flag("centred", centred).double("eps", eps);
    settings
}

/// `(x [.., D], scale [D], shift [D]?) -> [.., D]`
pub(super) fn forward(at: &mut At<'_>, centred: bool, eps: f64) -> Result<(), String> {
    let (x, scale, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let (width, rows) = rows(&x);
    let shift = shift_of(at, centred, 2)?;
    let sweep = Sweep::of(at, width, 1, &[&x, &out, &scale].into_iter().chain(&shift).collect::<Vec<_>>());
    let mut settings = settings(&sweep, centred, eps);
    settings.rows("x", &x).rows("out", &out);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "scale", &scale);
    push_shift(at, &mut parameters, shift.as_ref());
    at.result(&mut parameters, "out", &out);
    at.template("norm", "norm", &settings, sweep.threads, [rows, 1], parameters)
}

fn shift_of(at: &At<'_>, centred: bool, read: usize) -> Result<Option<View>, String> {
    if centred { at.read(read).map(Some) } else { Ok(None) }
}

fn push_shift(at: &At<'_>, parameters: &mut Parameters, shift: Option<&View>) {
    match shift {
        Some(shift) => at.operand(parameters, "shift", shift),
        None => parameters.absent("const float *", "shift"),
    }
}

/// A loop whose first result is normalised by the threads that made it.
pub(super) fn after_loop(at: &mut At<'_>, body: &LoopBody, centred: bool, eps: f64) -> Result<(), String> {
    let out = at.write(0)?;
    let first = at.write(1)?;
    let count = at.step.reads.len().checked_sub(1 + usize::from(centred)).ok_or("a normalised loop without a scale")?;
    let (reads, results) = (at.step.reads[..count].to_vec(), at.step.writes[1..].to_vec());
    let (width, rows) = rows(&out);
    let (scale, shift) = (at.read(count)?, shift_of(at, centred, count + 1)?);
    let rows_of: Vec<&View> = [&first, &out, &scale].into_iter().chain(&shift).collect();
    let sweep = Sweep::of(at, width, 1, &rows_of);
    let mut settings = settings(&sweep, centred, eps);
    settings.rows("first", &first).rows("out", &out);
    let kind = type_name(at.dtype(&first));
    let mut text = format!("{{\n    Runs<@_settings, {kind}> row(w0 + @_settings::first(blockIdx.x));\n");
    text.push_str("    each_run<@_settings>([&](int step, u64 column) {\n");
    text.push_str(&format!("        const u64 i = blockIdx.x * {width}ull + column;\n"));
    for line in elements(at, body, &reads, &results, sweep.run)?.lines() {
        let indent = if line.starts_with('#') { "" } else { "    " };
        text.push_str(&format!("{indent}{line}\n"));
    }
    text.push_str("        row.keep(step, y0);\n    });\n");
    text.push_str("    normalise<@_settings>(row, scale, shift, out + @_settings::out(blockIdx.x));\n}\n");
    let mut parameters = Parameters::default();
    operands(at, &mut parameters, &reads, &results);
    at.operand(&mut parameters, "scale", &scale);
    push_shift(at, &mut parameters, shift.as_ref());
    at.result(&mut parameters, "out", &out);
    at.launch("loop_norm", &settings.text(), &text, sweep.threads, [rows, 1], parameters)
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

    let sweep = Sweep::of(at, width, 2, &[&x, &scale, &dy].into_iter().chain(&dx).collect::<Vec<_>>());
    let mut own = settings(&sweep, centred, eps);
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
    at.template("norm_gradient", "norm_gradient", &own, sweep.threads, [count, 1], parameters)?;
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
