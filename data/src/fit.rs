//! Whether prepared data fits the stage that is to train on it.

use llmc_compiler::plan::{Blend, Packing, StagePlan};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::rows::Rows;
use super::stream::TokenStream;

/// Fails unless the ids of the stream `name` fit the model, rows fit the stage, and there is at least one row.
pub fn check_fits(
    stage: &StagePlan,
    name: &str,
    train: &TokenStream,
    heldout: Option<&TokenStream>,
) -> Result<(), Diagnostic> {
    let ids = train.id_bound().max(heldout.map_or(0, TokenStream::id_bound));
    if ids > stage.model.vocab {
        let message = format!(
            "the data of stage `{}` holds the id {}, but the model's vocabulary is 0..{}",
            stage.name,
            ids - 1,
            stage.model.vocab
        );
        return Err(Diagnostic::error(codes::TOKEN_OUT_OF_RANGE, message)
            .help("make the model's vocabulary as large as the tokenizer's"));
    }
    let length = stage.row_tokens();
    if let Some(row_length) = train.row_length().filter(|&row_length| row_length != length) {
        let message = format!(
            "the rows of `{name}` are {row_length} tokens long, but stage `{}` trains on rows of {length}",
            stage.name
        );
        return Err(Diagnostic::error(codes::ROW_LENGTH, message).help(format!(
            "say `sequence_length = {row_length} tokens`, or store the ids in one dimension to have them cut into rows"
        )));
    }
    if stage.packing != Packing::Concatenate {
        if !Rows::predict(train, stage.packing) {
            let message = format!("no document of the training split of `{name}` holds two tokens");
            return Err(Diagnostic::error(codes::TOO_LITTLE_DATA, message)
                .help("add text, or lower `holdout`; a packed document needs a token that follows another"));
        }
        return Ok(());
    }
    let needed = if train.row_length().is_some() { length } else { length + 1 };
    if train.len() < needed {
        let message = format!("the training split of `{name}` holds {} tokens; one row needs {needed}", train.len());
        return Err(Diagnostic::error(codes::TOO_LITTLE_DATA, message)
            .help("add text, or lower `sequence_length`, `holdout` or `limit`"));
    }
    Ok(())
}

/// Fails where every part of a mixture runs out before `wanted` rows are read.
pub fn check_lasts(stage: &StagePlan, blend: &Blend, wanted: u64) -> Result<(), Diagnostic> {
    let Some(end) = blend.end().filter(|end| *end < wanted) else {
        return Ok(());
    };
    let message = format!(
        "`{}` has {end} rows within its bounds of `epochs`, but stage `{}` needs {wanted}",
        stage.data, stage.name
    );
    let tokens = end * stage.sequence_length;
    Err(Diagnostic::error(codes::BLEND_EXHAUSTED, message).help(format!(
        "raise `epochs` of a part, or write `budget = {} steps` (at most {tokens} tokens)",
        end / stage.global_batch()
    )))
}
