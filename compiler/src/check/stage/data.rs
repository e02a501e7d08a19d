//! What a stage's `data` stands for, and how often it is read.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, NO_EFFECT, REPEATED_DATA};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::tree::Name;

use super::super::dataset::Dataset;
use super::super::record::Record;
use super::Checking;
use super::batch::Batch;
use crate::plan::{
    ModelPlan, Objective, ObjectivePlan, PartEpochs, Plan, REPEATS_WORTH_IT, Shares, repeats as repeats_of,
};
use crate::world::SourceFacts;

/// A data set, or the data sets of a mixture: all of one type.
#[derive(Debug)]
pub struct StageData<'a> {
    /// The name where the data set or mixture is declared.
    pub name: &'a Name,
    /// The data sets; never empty.
    pub datasets: Vec<&'a Dataset>,
    /// The streams that rows are taken from.
    pub shares: Shares,
}

impl<'a> StageData<'a> {
    /// The data set or mixture of this name, if there is no mistake in it.
    pub fn find(name: &str, checking: &Checking<'a, '_>) -> Option<StageData<'a>> {
        let (declared, datasets) = match checking.mixtures.get(name) {
            Some(mixture) => {
                let mixture = mixture.as_ref()?;
                let parts = mixture.plan.parts.iter().map(|part| checking.datasets.get(&part.dataset)?.as_ref());
                (&mixture.name, parts.collect::<Option<Vec<&Dataset>>>()?)
            }
            None => {
                let dataset = checking.datasets.get(name)?.as_ref()?;
                (&dataset.name, vec![dataset])
            }
        };
        let plan = Plan {
            recipe: String::new(),
            params: BTreeMap::new(),
            datasets: datasets.iter().map(|data| (data.name.text.clone(), data.plan.clone())).collect(),
            mixtures: checking
                .mixtures
                .iter()
                .filter_map(|(name, mixture)| Some((name.clone(), mixture.as_ref()?.plan.clone())))
                .collect(),
            tokenizers: BTreeMap::new(),
            stages: Vec::new(),
        };
        Some(StageData { name: declared, shares: plan.shares(name), datasets })
    }

    /// True if it holds token ids, false if it holds text.
    pub fn is_tokens(&self) -> bool {
        self.datasets[0].is_tokens()
    }

    /// True where a source says how much the loss of each token counts.
    pub fn is_weighted(&self) -> bool {
        self.datasets.iter().any(|data| data.plan.sources.iter().any(|source| source.place.is_weighted()))
    }

    /// The data set, where it is one alone that is read from one end to the other.
    pub fn single(&self) -> Option<&'a Dataset> {
        match (self.datasets.as_slice(), self.shares.parts.len()) {
            ([only], 1) => Some(only),
            _ => None,
        }
    }

    /// Rows to train on of each part, where the sizes are known: token ids without a limit. What is held out is taken off.
    fn rows(&self, row_tokens: u64) -> Option<Vec<u64>> {
        let rows_of = |facts: &Option<SourceFacts>| match facts {
            Some(SourceFacts::Tokens { rows, tokens, .. }) => Some(rows.unwrap_or(tokens / row_tokens)),
            _ => None,
        };
        let part = |part: &crate::plan::PartPlan| {
            let dataset = self.datasets.iter().find(|data| data.name.text == part.dataset)?;
            if dataset.plan.limit_bytes.is_some() {
                return None;
            }
            let all: u64 = match part.source {
                Some(index) => rows_of(dataset.facts.get(index)?)?,
                None => dataset.facts.iter().map(rows_of).sum::<Option<u64>>()?,
            };
            Some((all as f64 * (1.0 - dataset.plan.holdout)) as u64)
        };
        self.shares.parts.iter().map(part).collect()
    }
}

/// Weights belong to tokens that are predicted from those before them.
pub fn weights(
    record: &Record,
    data: &StageData<'_>,
    objective: &ObjectivePlan,
    model: &ModelPlan,
    diagnostics: &mut Diagnostics,
) {
    let keeps_places = |part: &Objective| matches!(part, Objective::CausalLm | Objective::PrefixLm(_));
    if !data.is_weighted() || (objective.kind.parts().into_iter().all(keeps_places) && !model.takes("source")) {
        return;
    }
    let span = data.datasets.iter().flat_map(|data| data.plan.sources.iter().zip(&data.spans));
    let weighted = span.filter(|(source, _)| source.place.is_weighted()).map(|(_, span)| span).next();
    let mut mistake = Diagnostic::error(NO_EFFECT, "these losses have no weights")
        .label(record.place("objective"), "makes other rows of the data than the weights are for");
    if let Some(span) = weighted {
        mistake = mistake.label(span, "says how much the loss of each token counts");
    }
    diagnostics.push(
        mistake.help("weights go with `causal_lm`, and with `prefix_lm` without an encoder; leave `weights` out"),
    );
}

/// Every objective takes data of its type.
pub fn objective(record: &Record, data: Option<&StageData<'_>>, diagnostics: &mut Diagnostics) {
    let Some(data) = data.filter(|data| data.datasets[0].is_record()) else {
        return;
    };
    let Some(objective) = record.call("objective").map(|call| call.form.name) else {
        return;
    };
    let content = data.datasets[0].plan.content;
    diagnostics.push(
        Diagnostic::error(DATA_KIND, format!("`{objective}` takes text or token ids, but `{}` is `{}`", data.name.text, content.name()))
            .label(record.place("objective"), "takes text or token ids")
            .label(&data.datasets[0].name.span, format!("is `{}`", content.name()))
            .help(format!(
                "`{}` data is for {}, which this version does not have yet; without `type`, a column of it is running text: `field: \"...\"`",
                content.name(),
                content.objective()
            )),
    );
}

/// How often the budget reads each part of the data, where the recipe tells its size; a warning where that is more than it is
/// worth.
pub fn repeats(
    record: &Record,
    data: &StageData<'_>,
    batch: Batch,
    steps: u64,
    diagnostics: &mut Diagnostics,
) -> Vec<PartEpochs> {
    let (Some(rows), Some(total)) = (data.rows(batch.row_tokens), steps.checked_mul(batch.rows())) else {
        return Vec::new();
    };
    let blend = data.shares.blend(&rows);
    let repeated = repeats_of(&blend, &rows, total);
    let mut read = Vec::new();
    for (part, epochs) in data.shares.parts.iter().zip(repeated) {
        read.push(PartEpochs { part: part.name.clone(), epochs });
        if epochs > REPEATS_WORTH_IT {
            diagnostics.push(
                Diagnostic::warning(REPEATED_DATA, format!("`{}` is read {epochs:.1} times", part.name))
                    .label(record.place("budget"), format!("{steps} steps of {} rows", batch.rows()))
                    .label(&data.name.span, "the data")
                    .help("beyond 4 epochs repeated data is worth less and less (Muennighoff et al. 2023): add data or lower the budget"),
            );
        }
    }
    read
}
