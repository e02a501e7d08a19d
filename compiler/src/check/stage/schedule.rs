//! Optimizer, precision and learning-rate schedule of a stage.

use llmc_grammar::codes::SCHEDULE_TOO_LONG;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::record::{Read, Record};
use super::batch::Batch;
use super::duration::part;
use crate::plan::{LossScaling, OptimizerPlan, Precision, ScheduleKind, SchedulePlan};

/// The update rule.
pub fn optimizer(record: &Record) -> Option<OptimizerPlan> {
    let call = record.call("optimizer")?;
    Some(OptimizerPlan::Adamw {
        learning_rate: call.number("learning_rate")?,
        betas: call.pair("betas")?,
        epsilon: call.number("epsilon")?,
        weight_decay: call.number("weight_decay")?,
        decay_all: call.bool("decay_all")?,
        clip_norm: call.optional("clip_norm", Read::number)?,
    })
}

/// How exactly it computes.
pub fn precision(record: &Record) -> Option<Precision> {
    let call = record.call("precision")?;
    Some(match call.form.name {
        "tf32" => Precision::Tf32,
        "bf16" => Precision::Bf16 { stochastic: call.bool("stochastic")? },
        "fp16" => Precision::Fp16(LossScaling {
            initial: call.number("scale")?,
            growth: call.number("growth")?,
            backoff: call.number("backoff")?,
            interval: call.integer("interval")?,
        }),
        _ => Precision::F32,
    })
}

/// The schedule over `steps` steps. Warm-up and decay must fit into them.
pub fn schedule(record: &Record, batch: Batch, steps: u64, diagnostics: &mut Diagnostics) -> Option<SchedulePlan> {
    let call = record.call("schedule")?;
    let kind = match call.form.name {
        "constant" => ScheduleKind::Constant,
        "linear" => ScheduleKind::Linear,
        "cosine" => ScheduleKind::Cosine,
        _ => ScheduleKind::WarmupStableDecay,
    };
    let warmup = part(call.quantity("warmup")?, batch, steps)?;
    let floor = match kind {
        ScheduleKind::Constant => 1.0,
        _ => call.quantity("floor")?.in_base(),
    };
    let decay = match kind {
        ScheduleKind::WarmupStableDecay => part(call.quantity("decay")?, batch, steps)?,
        _ => 0,
    };
    if warmup.checked_add(decay).is_none_or(|both| both > steps) {
        let message = match decay {
            0 => "the warm-up is longer than the stage",
            _ => "warm-up and decay together are longer than the stage",
        };
        let mistake = Diagnostic::error(SCHEDULE_TOO_LONG, message)
            .label(call.place("warmup"), format!("{warmup} steps of warm-up"))
            .label(record.place("budget"), format!("{steps} steps in all"));
        let mistake = match decay {
            0 => mistake,
            _ => mistake.label(call.place("decay"), format!("{decay} steps of decay")),
        };
        diagnostics.push(mistake.help("a share fits whatever the budget is: `warmup: 5%`"));
        return None;
    }
    Some(SchedulePlan { kind, warmup, floor, decay, steps })
}
