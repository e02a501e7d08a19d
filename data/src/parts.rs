//! The streams of a stage side by side: whether they fit, and how often each is read.

use llmc_compiler::plan::{REPEATS_WORTH_IT, Shares, StagePlan, repeats};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::fit::{check_fits, check_lasts};
use super::rows::Rows;
use super::stream::TokenStream;
use super::{Part, SplitStats};

/// The streams of a stage, to train on and held out, in the order of `shares`.
///
/// # Errors
/// Where one does not fit the stage, and where all run out before its budget.
pub fn checked(
    stage: &StagePlan,
    shares: &Shares,
    streams: impl Iterator<Item = (TokenStream, TokenStream)>,
) -> Result<Vec<Part>, Diagnostic> {
    let mut parts = Vec::new();
    for (plan, (train, heldout)) in shares.parts.iter().zip(streams) {
        let heldout = Some(heldout).filter(|stream| Rows::predict(stream, stage.packing));
        check_fits(stage, &plan.name, &train, heldout.as_ref())?;
        let stats = SplitStats::of(&train);
        let heldout_stats = heldout.as_ref().map(SplitStats::of);
        let rows = Rows::training(train.clone(), stage);
        let name = plan.name.clone();
        parts.push(Part { name, train, rows, heldout, share: 0.0, epochs: 0.0, stats, heldout_stats });
    }
    let rows: Vec<u64> = parts.iter().map(|part| part.rows.count()).collect();
    let blend = shares.blend(&rows);
    let wanted = stage.steps.saturating_mul(stage.global_batch());
    check_lasts(stage, &blend, wanted)?;
    let (read, of) = (repeats(&blend, &rows, wanted), shares.of(&rows));
    for (part, (epochs, share)) in parts.iter_mut().zip(read.into_iter().zip(of)) {
        (part.epochs, part.share) = (epochs, share);
    }
    Ok(parts)
}

/// A warning where a part is read too often. Of data whose size the recipe tells, the compiler has warned already.
pub fn repeated(part: &Part) -> Option<Diagnostic> {
    if part.epochs <= REPEATS_WORTH_IT || part.stats.text_bytes == 0 {
        return None;
    }
    let message = format!("`{}` is read {:.1} times", part.name, part.epochs);
    Some(Diagnostic::warning(codes::REPEATED_DATA, message).help(
        "beyond 4 epochs repeated data is worth less and less (Muennighoff et al. 2023): add data or lower the budget",
    ))
}
