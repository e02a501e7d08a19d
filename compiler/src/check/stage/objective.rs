//! What a stage minimises, and whether its model and data are made for it.

use llmc_grammar::codes::{NO_EFFECT, OBJECTIVE_UNFIT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::record::{Read, Record};
use crate::plan::{
    Corruption, LossPlan, Masking, ModelPlan, Objective, ObjectivePlan, Permutation, PrefixLengths, Sentinels,
    SpecialToken,
};

/// Builds the objective. Nothing after a mistake.
pub fn check(record: &Record, diagnostics: &mut Diagnostics) -> Option<ObjectivePlan> {
    let call = record.call("objective")?;
    let loss = LossPlan { label_smoothing: call.number("label_smoothing")?, z_loss: call.number("z_loss")? };
    Some(ObjectivePlan { kind: kind(call, diagnostics)?, loss })
}

fn kind(call: &Record, diagnostics: &mut Diagnostics) -> Option<Objective> {
    let share = |name: &str| call.quantity(name).map(|quantity| quantity.in_base());
    Some(match call.form.name {
        "masked_lm" => {
            let (random, keep) = (share("random")?, share("unchanged")?);
            if random + keep > 1.0 {
                diagnostics.push(
                    Diagnostic::error(OBJECTIVE_UNFIT, "more tokens are replaced and kept than are hidden")
                        .label(call.place("random"), format!("{}%", random * 100.0))
                        .label(call.place("unchanged"), format!("{}%", keep * 100.0))
                        .help("the two shares together are at most 100%; what is left becomes the mask"),
                );
                return None;
            }
            let mask = special(call, "mask", "mask_id", diagnostics)?;
            Objective::MaskedLm(Masking {
                rate: share("rate")?,
                random,
                keep,
                whole_words: call.bool("whole_words")?,
                mask: match mask {
                    (_, Some(id)) => SpecialToken::Id(id),
                    (text, None) => SpecialToken::Text(text?),
                },
            })
        }
        "prefix_lm" => {
            let lengths = PrefixLengths { shortest: share("shortest")?, longest: share("longest")? };
            if lengths.shortest > lengths.longest {
                diagnostics.push(
                    Diagnostic::error(OBJECTIVE_UNFIT, "the shortest prefix is longer than the longest")
                        .label(call.place("shortest"), format!("{}%", lengths.shortest * 100.0))
                        .label(call.place("longest"), format!("{}%", lengths.longest * 100.0)),
                );
                return None;
            }
            Objective::PrefixLm(lengths)
        }
        "span_corruption" => {
            let sentinels = special(call, "sentinel", "first_sentinel", diagnostics)?;
            Objective::SpanCorruption(Corruption {
                density: share("density")?,
                mean_span: call.number("mean_span")?,
                sentinels: match sentinels {
                    (_, Some(id)) => Sentinels::From(id),
                    (pattern, None) => Sentinels::Pattern(pattern?),
                },
            })
        }
        "permutation_lm" => Objective::PermutationLm(Permutation { predict: share("predict")? }),
        "mixture_of" => Objective::Mixture(mixture(call, diagnostics)?),
        _ => Objective::CausalLm,
    })
}

/// A special token by its text (perhaps a default) or by its id.
fn special(
    call: &Record,
    text: &str,
    id: &str,
    diagnostics: &mut Diagnostics,
) -> Option<(Option<String>, Option<u64>)> {
    let found = (call.optional(text, Read::text)?, call.optional(id, Read::integer)?);
    if found.1.is_some() && call.is_written(text) {
        diagnostics.push(
            Diagnostic::error(NO_EFFECT, format!("`{text}` has no effect beside `{id}`"))
                .label(call.place(text), "has no effect")
                .label(call.place(id), "says which token")
                .help(format!("keep one of `{text}` and `{id}`")),
        );
        return None;
    }
    if found == (None, None) {
        diagnostics.push(
            Diagnostic::error(OBJECTIVE_UNFIT, format!("`{}` needs `{text}` or `{id}`", call.form.name))
                .label(&call.span, "has neither"),
        );
        return None;
    }
    Some(found)
}

fn mixture(call: &Record, diagnostics: &mut Diagnostics) -> Option<Vec<(f64, Objective)>> {
    let list = |name: &str| {
        call.optional(name, |read| match read {
            Read::List(items) => Some(items),
            _ => None,
        })
    };
    let objectives = list("objectives")??;
    let mut kinds = Vec::new();
    for (item, span) in objectives {
        let part = item.call()?;
        for field in ["label_smoothing", "z_loss"] {
            if part.is_written(field) {
                diagnostics.push(
                    Diagnostic::error(NO_EFFECT, format!("`{field}` is one for the whole mixture"))
                        .label(part.place(field), "has no effect here")
                        .label(span, "a part of a mixture")
                        .help(format!("write `{field}` in `mixture_of`")),
                );
                return None;
            }
        }
        kinds.push(kind(part, diagnostics)?);
    }
    let weights: Vec<f64> = match list("weights")? {
        None => vec![1.0; kinds.len()],
        Some(items) => items.iter().map(|(item, _)| item.number()).collect::<Option<_>>()?,
    };
    if weights.len() != kinds.len() {
        diagnostics.push(
            Diagnostic::error(OBJECTIVE_UNFIT, format!("{} objectives, but {} weights", kinds.len(), weights.len()))
                .label(call.place("weights"), format!("{} weights", weights.len()))
                .label(call.place("objectives"), format!("{} objectives", kinds.len()))
                .help("write a weight for each objective, or leave `weights` out"),
        );
        return None;
    }
    let total: f64 = weights.iter().sum();
    Some(weights.into_iter().map(|weight| weight / total).zip(kinds).collect())
}

/// Whether the model takes what the objective makes of a row.
pub fn fits_model(record: &Record, objective: &ObjectivePlan, model: &ModelPlan, diagnostics: &mut Diagnostics) {
    let encoder = model.takes("source");
    let mut unfit = |message: String, label: String, help: &str| {
        diagnostics.push(
            Diagnostic::error(OBJECTIVE_UNFIT, message)
                .label(record.place("objective"), label)
                .label(record.place("model"), format!("takes {}", model.inputs().join(", ")))
                .help(help),
        );
    };
    for part in objective.kind.parts() {
        let (name, model) = (part.name(), &model.name);
        match part {
            Objective::SpanCorruption(_) if !encoder => unfit(
                format!("`{name}` needs an encoder and a decoder, `{model}` has no `source`"),
                "fills `source` and `tokens`".to_owned(),
                "take a model such as `t5`, or another objective",
            ),
            Objective::CausalLm | Objective::MaskedLm(_) | Objective::PermutationLm(_) if encoder => unfit(
                format!("`{name}` fills `tokens` alone, `{model}` also reads `source`"),
                "has nothing for the encoder".to_owned(),
                "take `span_corruption` or `prefix_lm`, or a model without an encoder",
            ),
            _ => {}
        }
    }
}
