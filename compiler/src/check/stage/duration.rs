//! How long a stage trains, and parts of it, in steps.

use llmc_grammar::codes::{BUDGET_ROUNDED, EPOCHS_UNKNOWN, NEVER_IN_TIME};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::dataset::Dataset;
use super::super::record::{Read, Record};
use super::super::units::Dimension;
use super::super::value::Quantity;
use super::batch::{Batch, too_large};
use super::data::StageData;
use crate::world::SourceFacts;

/// Steps of the whole stage. `data` is the stage's data set, unless there was a mistake in it.
pub fn budget(
    record: &Record,
    batch: Batch,
    data: Option<&StageData<'_>>,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let quantity = record.quantity("budget")?;
    let steps = match quantity.unit.dimension {
        Dimension::Steps => quantity.whole_in_base()?,
        Dimension::Tokens => {
            let tokens = quantity.whole_in_base()?;
            let steps = tokens.div_ceil(batch.tokens);
            let more = steps.checked_mul(batch.tokens).map(|all| all - tokens);
            if let Some(more) = more.filter(|more| *more > tokens / 100) {
                let message = format!("the budget is rounded up by {more} tokens to {steps} whole steps");
                diagnostics.push(
                    Diagnostic::warning(BUDGET_ROUNDED, message)
                        .label(record.place("budget"), format!("{tokens} tokens"))
                        .label(record.place("global_batch"), format!("{} tokens a step", batch.tokens)),
                );
            }
            steps
        }
        _ => epochs(record, quantity, batch, data?, diagnostics)?,
    };
    if steps.checked_mul(batch.tokens).is_none() {
        diagnostics.push(too_large(record, "budget"));
        return None;
    }
    Some(steps)
}

fn epochs(
    record: &Record,
    quantity: Quantity,
    batch: Batch,
    data: &StageData<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let name = &data.name.text;
    let known = data.single().and_then(|data| rows(data, batch.row_tokens));
    let reason = if data.single().is_none() {
        format!("`{name}` has several parts, each with epochs of its own")
    } else if !data.is_tokens() {
        format!("how many tokens the text of `{name}` makes is known only when it is tokenized")
    } else if data.datasets[0].plan.holdout > 0.0 {
        format!("what `{name}` holds out is known only when it is read; write `holdout = 0%` there")
    } else if data.datasets[0].plan.limit_bytes.is_some() {
        format!("what the `limit` of `{name}` leaves is known only when it is read")
    } else if let Some(rows) = known {
        let steps = (quantity.in_base() * rows as f64 / batch.rows() as f64).ceil();
        if steps < 9e15 {
            return Some((steps as u64).max(1));
        }
        diagnostics.push(too_large(record, "budget"));
        return None;
    } else {
        format!("the size of `{name}` is not known here")
    };
    diagnostics.push(
        Diagnostic::error(EPOCHS_UNKNOWN, "the length of an epoch is not known before the run")
            .label(record.place("budget"), reason)
            .label(&data.name.span, "the data")
            .help("give the budget in tokens or steps: `budget = 2M tokens`"),
    );
    None
}

fn rows(data: &Dataset, row_tokens: u64) -> Option<u64> {
    let mut sum: u64 = 0;
    for facts in &data.facts {
        let SourceFacts::Tokens { rows, tokens, .. } = facts.as_ref()? else {
            return None;
        };
        sum = sum.checked_add(rows.unwrap_or(tokens / row_tokens))?;
    }
    Some(sum).filter(|rows| *rows > 0)
}

/// A part of a stage of `steps` steps: steps, tokens (rounded up) or a share (rounded to the nearest step).
pub fn part(quantity: Quantity, batch: Batch, steps: u64) -> Option<u64> {
    match quantity.unit.dimension {
        Dimension::Share => Some((quantity.in_base() * steps as f64).round() as u64),
        Dimension::Tokens => Some(quantity.whole_in_base()?.div_ceil(batch.tokens)),
        _ => quantity.whole_in_base(),
    }
}

/// Steps between two times that `field = every(...)` asks for: `Some(None)` where the field is not written.
pub fn interval(
    record: &Record,
    field: &str,
    batch: Batch,
    steps: u64,
    diagnostics: &mut Diagnostics,
) -> Option<Option<u64>> {
    let Some(every) = record.optional(field, Read::call)? else {
        return Some(None);
    };
    let interval = part(every.quantity("interval")?, batch, steps)?.max(1);
    if interval > steps {
        diagnostics.push(
            Diagnostic::warning(NEVER_IN_TIME, format!("`{field}` happens only at the end of the stage"))
                .label(every.place("interval"), format!("every {interval} steps"))
                .label(record.place("budget"), format!("{steps} steps in all")),
        );
    }
    Some(Some(interval))
}
