//! What must agree between the parts of a stage.

use llmc_grammar::codes::{
    DOCUMENTS_MIXED, NO_EFFECT, ROW_LENGTH, SEQUENCE_TOO_LONG, TOKENIZER_MISSING, VOCABULARY_MISMATCH,
};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::tree::Declaration;

use super::super::model::rows_looked_up;
use super::super::record::{Read, Record};
use super::Checking;
use super::batch::Batch;
use super::data::StageData;
use crate::plan::{ModelPlan, ObjectivePlan, Packing, SourcePlan, TokenizerPlan, TokenizerSource};
use crate::world::SourceFacts;

/// True if the stage itself (not its base) writes the field, and not as `none`.
fn writes(item: &Declaration, record: &Record, field: &str) -> bool {
    record.is_written(field) && item.fields.iter().any(|written| written.name.text == field)
}

/// Text needs a tokenizer; token ids take none, and cannot be sampled as text.
pub fn data_and_tokenizer(
    item: &Declaration,
    record: &Record,
    data: Option<&StageData<'_>>,
    checking: &mut Checking<'_, '_>,
) {
    let Some(data) = data else { return };
    let name = &data.name.text;
    if !data.is_tokens() {
        if matches!(record.optional("tokenizer", Read::declaration), Some(None)) {
            let known = checking.names.of_kind("tokenizer");
            let mistake =
                Diagnostic::error(TOKENIZER_MISSING, format!("`{name}` is text, so the stage needs a tokenizer"))
                    .label(&record.span, "has no `tokenizer`")
                    .label(record.place("data"), "text");
            checking.diagnostics.push(match known.first() {
                Some(known) => mistake.help(format!("write `tokenizer = {known}`")),
                None => mistake.help(format!(
                    "declare one and name it here: `tokenizer bpe {{ train = byte_bpe(vocab: 8192, on: {name}) }}`"
                )),
            });
        }
        return;
    }
    for (field, reason) in [
        ("tokenizer", "token ids are not tokenized again"),
        ("sample", "a sample is text, and there is no tokenizer to make it"),
    ] {
        if writes(item, record, field) {
            checking.diagnostics.push(
                Diagnostic::error(NO_EFFECT, format!("`{field}` has no effect: `{name}` is token ids already"))
                    .label(record.place(field), reason)
                    .label(&data.name.span, "token ids")
                    .help(format!("remove `{field}`")),
            );
        }
    }
}

/// Evaluation needs held-out documents.
pub fn held_out(item: &Declaration, record: &Record, data: Option<&StageData<'_>>, diagnostics: &mut Diagnostics) {
    let Some(data) = data.filter(|data| data.datasets.iter().all(|dataset| dataset.plan.holdout == 0.0)) else {
        return;
    };
    for field in ["evaluate", "evaluate_on"] {
        if writes(item, record, field) {
            diagnostics.push(
                Diagnostic::error(
                    NO_EFFECT,
                    format!("`{field}` has no effect: `{}` holds nothing out", data.name.text),
                )
                .label(record.place(field), "nothing to evaluate on")
                .label(&data.name.span, "`holdout` is 0% here")
                .help(format!("hold some documents out, as in `holdout = 1%`, or remove `{field}`")),
            );
        }
    }
}

/// Fields that other fields of the same stage make meaningless.
pub fn without_effect(item: &Declaration, record: &Record, diagnostics: &mut Diagnostics) {
    if writes(item, record, "keep") && matches!(record.optional("checkpoint", Read::call), Some(None)) {
        diagnostics.push(
            Diagnostic::error(NO_EFFECT, "`keep` has no effect: the only checkpoint is the last one")
                .label(record.place("keep"), "nothing to keep")
                .help("write more checkpoints, as in `checkpoint = every(500 steps)`, or remove `keep`"),
        );
    }
    if let (Some(from), true) = (&item.from, writes(item, record, "init")) {
        diagnostics.push(
            Diagnostic::error(NO_EFFECT, format!("the weights come from `{}` already", from.text))
                .label(record.place("init"), "`init` has no effect")
                .label(&from.span, "starts from these weights")
                .help("remove `init` or `from`"),
        );
    }
}

/// The tokenizer's ids are the model's; random ids are among them.
pub fn vocabulary(record: &Record, data: Option<&StageData<'_>>, model: &ModelPlan, checking: &mut Checking<'_, '_>) {
    if let Some(data) = data.filter(|data| data.is_tokens()) {
        checking.diagnostics.extend(random_ids_outside(record, data, model));
        return;
    }
    let Some(name) = record.declaration("tokenizer") else {
        return;
    };
    let Some(Some(tokenizer)) = checking.tokenizers.get(name) else {
        return;
    };
    // Published models often have more rows than their tokenizer has ids, to be a round number.
    let padded = tokenizer.vocab < model.vocab && record.is_written("init");
    if tokenizer.vocab == model.vocab || padded {
        return;
    }
    let mistake = Diagnostic::error(
        VOCABULARY_MISMATCH,
        format!("the model has {} token ids, the tokenizer {}", model.vocab, tokenizer.vocab),
    )
    .label(record.place("model"), format!("logits over {} ids", model.vocab));
    let mistake = match checking.names.declaration("tokenizer", name) {
        Some(item) => mistake.label(&item.name.span, origin(tokenizer)),
        None => mistake,
    };
    checking
        .diagnostics
        .push(mistake.help(format!("write the size once: `vocab: {name}.vocab` in the model's arguments")));
}

fn random_ids_outside(record: &Record, data: &StageData<'_>, model: &ModelPlan) -> Option<Diagnostic> {
    let too_many = |source: &SourcePlan| match source {
        SourcePlan::RandomTokens { vocab, .. } if *vocab > model.vocab => Some(*vocab),
        _ => None,
    };
    let mut sources = data.datasets.iter().flat_map(|data| data.plan.sources.iter().zip(&data.spans));
    let (span, vocab) = sources.find_map(|(source, span)| Some((span, too_many(&source.place)?)))?;
    Some(
        Diagnostic::error(
            VOCABULARY_MISMATCH,
            format!("the model has {} token ids, its data draws from {vocab}", model.vocab),
        )
        .label(record.place("model"), format!("logits over {} ids", model.vocab))
        .label(span, format!("ids up to {}", vocab - 1))
        .help(format!("write `vocab: {}` in `random_tokens`, or enlarge the model's vocabulary", model.vocab)),
    )
}

fn origin(tokenizer: &TokenizerPlan) -> String {
    let vocab = tokenizer.vocab;
    match &tokenizer.source {
        TokenizerSource::Trained(_) => format!("is trained to {vocab} ids"),
        TokenizerSource::File { path } | TokenizerSource::Tiktoken { path, .. } => {
            format!("has {vocab} ids in `{path}`")
        }
        TokenizerSource::Bytes => format!("has {vocab} ids: the bytes and end-of-text"),
    }
}

/// Rows must not be longer than the model's learned positions. A model that is `trained` can be extended.
pub fn context(record: &Record, model: &ModelPlan, trained: bool, diagnostics: &mut Diagnostics) {
    let Some(length) = record.quantity("sequence_length").and_then(|quantity| quantity.whole_in_base()) else {
        return;
    };
    if let Some(context) = rows_looked_up(model, "positions").filter(|context| length > *context) {
        diagnostics.push(
            Diagnostic::error(
                SEQUENCE_TOO_LONG,
                format!("rows of {length} tokens are longer than the model's context of {context}"),
            )
            .label(record.place("sequence_length"), format!("{length} tokens in a row"))
            .label(record.place("model"), format!("has positions for {context} tokens"))
            .help(match model.arguments.contains_key("context") {
                true if trained => format!(
                    "write `extend = interpolate(to: {length} tokens)`, or `sequence_length = {context} tokens`"
                ),
                true => format!(
                    "write `context: {length}` in the model's arguments, or `sequence_length = {context} tokens`"
                ),
                false => format!("write `sequence_length = {context} tokens`"),
            }),
        );
    }
}

/// Finished rows of token ids are trained on as they are. `with_encoder` is the objective of a model with an encoder.
pub fn row_length(
    record: &Record,
    data: &StageData<'_>,
    batch: Batch,
    with_encoder: Option<&ObjectivePlan>,
    diagnostics: &mut Diagnostics,
) {
    let Batch { sequence_length: length, row_tokens: needed, .. } = batch;
    for (facts, span) in data.datasets.iter().flat_map(|data| data.facts.iter().zip(&data.spans)) {
        let Some(&SourceFacts::Tokens { row_length: Some(row), .. }) = facts.as_ref() else {
            continue;
        };
        if row == needed {
            continue;
        }
        let (made, fitting) = match with_encoder {
            Some(objective) => (
                format!("an encoder's input of {length} is made from rows of {needed}"),
                objective.kind.source_length(row),
            ),
            None => (format!("{length} tokens in a row"), Some(row)),
        };
        let mistake =
            Diagnostic::error(ROW_LENGTH, format!("rows of {row} token ids, but the stage reads rows of {needed}"))
                .label(record.place("sequence_length"), made)
                .label(span, format!("holds finished rows of {row}"));
        diagnostics.push(match fitting {
            Some(length) => mistake.help(format!("write `sequence_length = {length} tokens`")),
            None => mistake.help("store the ids in one dimension to have them cut into rows"),
        });
    }
}

/// How documents are put into rows. Token ids come as rows or as a stream; documents side by side should not see
/// one another.
pub fn packing(
    item: &Declaration,
    record: &Record,
    data: Option<&StageData<'_>>,
    model: Option<&ModelPlan>,
    diagnostics: &mut Diagnostics,
) -> Option<Packing> {
    let packing = match record.call("packing")?.form.name {
        "best_fit" => Packing::BestFit,
        "pad" => Packing::Pad,
        _ => Packing::Concatenate,
    };
    if let Some(data) = data.filter(|data| data.is_tokens()) {
        if !writes(item, record, "packing") {
            return Some(Packing::default());
        }
        diagnostics.push(
            Diagnostic::error(NO_EFFECT, format!("`packing` has no effect: `{}` is token ids already", data.name.text))
                .label(record.place("packing"), "whole rows are taken as they are, a stream is cut into rows")
                .label(&data.name.span, "token ids")
                .help("remove `packing`"),
        );
    }
    if let Some(model) = model.filter(|model| packing == Packing::BestFit && !model.takes("documents")) {
        diagnostics.push(
            Diagnostic::warning(DOCUMENTS_MIXED, "documents that are packed together see one another")
                .label(record.place("packing"), "puts several documents into one row")
                .label(record.place("model"), format!("`{}` does not take `documents`", model.name))
                .help("give the model an input `documents: [B, T]` and hand it to `attend(..., documents: documents)`, or write `packing = pad`"),
        );
    }
    Some(packing)
}
