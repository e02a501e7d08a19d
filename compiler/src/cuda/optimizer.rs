//! Gradient norm, learning rate, AdamW, dropout and rounding at random.

use super::Argument;
use super::settings::Settings;
use super::writer::{At, Parameters, THREADS};
use crate::op::{AdamConstants, RandomFunction};
use crate::plan::{ScheduleKind, SchedulePlan};
use crate::random::stream_of;

/// Elements whose squares a block adds up.
const PART: u64 = 1 << 16;

/// `(x) -> scalar`
pub(super) fn sum_squares(at: &mut At<'_>) -> Result<(), String> {
    let (x, out) = (at.read(0)?, at.write(0)?);
    let count = x.elements();
    let parts = count.div_ceil(PART);
    let mut settings = Settings::default();
    settings.small("threads", THREADS).whole("count", count).whole("part", PART).whole("parts", parts);
    let partial = Argument::Workspace(at.workspace(4 * parts));
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    parameters.push("float *", "partial", partial);
    at.template("sum_squares_parts", "sum_squares_parts", &settings, THREADS, [parts, 1], parameters)?;
    let mut parameters = Parameters::default();
    parameters.push("const float *", "partial", partial);
    at.result(&mut parameters, "out", &out);
    at.template("sum_parts", "sum_parts", &settings, 1, [1, 1], parameters)
}

/// `(step) -> learning rate`
pub(super) fn learning_rate(at: &mut At<'_>, peak: f64, schedule: &SchedulePlan) -> Result<(), String> {
    let (step, out) = (at.read(0)?, at.write(0)?);
    let SchedulePlan { kind, warmup, floor, decay, steps } = *schedule;
    let start = match kind {
        ScheduleKind::WarmupStableDecay => steps.saturating_sub(decay).max(warmup),
        ScheduleKind::Constant | ScheduleKind::Linear | ScheduleKind::Cosine => warmup,
    };
    let mut settings = Settings::default();
    settings.double("peak", peak).whole("warmup", warmup).flag("falls", kind != ScheduleKind::Constant);
    settings.whole("start", start).whole("length", steps.saturating_sub(start).max(1));
    settings.flag("cosine", kind == ScheduleKind::Cosine).double("floor", floor);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "step", &step);
    at.result(&mut parameters, "out", &out);
    at.template("learning_rate", "learning_rate", &settings, 1, [1, 1], parameters)
}

/// `(gradient, learning_rate, gradient_scale, step) -> (weight, first, second)`
pub(super) fn adamw(at: &mut At<'_>, constants: &AdamConstants) -> Result<(), String> {
    let (gradient, weight, first, second) = (at.read(0)?, at.write(0)?, at.write(1)?, at.write(2)?);
    let count = weight.elements();
    let is_run =
        count.is_multiple_of(4) && [&gradient, &weight, &first, &second].iter().all(|view| at.is_aligned(view, 4));
    let run = if is_run { 4 } else { 1 };
    let mut settings = Settings::default();
    settings.small("threads", THREADS).small("run", run);
    settings.double("beta1", constants.beta1).double("beta2", constants.beta2);
    settings.double("epsilon", constants.epsilon).double("weight_decay", constants.weight_decay);
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "gradient", &gradient);
    for (name, read) in [("learning_rate", 1), ("gradient_scale", 2), ("step", 3)] {
        at.operand(&mut parameters, name, &at.read(read)?);
    }
    for (name, view) in [("weight", &weight), ("first", &first), ("second", &second)] {
        at.result(&mut parameters, name, view);
    }
    parameters.push("u64 ", "count", Argument::Word(count));
    at.template("adamw", "adamw", &settings, THREADS, [(count / run).div_ceil(THREADS), 1], parameters)
}

/// `(x, step) -> same shape`
pub(super) fn random(at: &mut At<'_>, function: RandomFunction, seed: u64, site: u64) -> Result<(), String> {
    let (x, step, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let count = out.elements();
    let mut settings = Settings::default();
    settings.small("threads", THREADS);
    if let RandomFunction::Dropout(rate) = function {
        settings.double("rate", rate).float("factor", 1.0 / (1.0 - rate));
    }
    // The seed of `Stream::at_step`.
    settings.word("seed", seed ^ stream_of(function.name()));
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "x", &x);
    at.operand(&mut parameters, "step", &step);
    at.result(&mut parameters, "out", &out);
    parameters.push("u64 ", "site", Argument::Word(site));
    parameters.push("u64 ", "count", Argument::Word(count));
    let template = match function {
        RandomFunction::Dropout(_) => "dropout",
        RandomFunction::Round => "round_at_random",
    };
    at.template(function.name(), template, &settings, THREADS, [count.div_ceil(4 * THREADS), 1], parameters)
}
