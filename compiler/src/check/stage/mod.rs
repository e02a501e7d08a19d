//! `stage` declarations: everything that a stage brings together.

mod batch;
mod consistency;
mod data;
mod duration;
mod extend;
mod leak;
mod numbers;
mod objective;
mod order;
mod schedule;
mod training;
mod weights;

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::tree::{Declaration, Field};

use super::dataset::Dataset;
use super::mixture::Mixture;
use super::model::Library;
use super::names::Names;
use super::reader::Reader;
use super::record::{Read, Record};
use super::table::STAGE;
use crate::plan::{SamplePlan, StagePlan, TokenizerPlan};
use crate::world::World;
use data::StageData;

/// What stages are checked against.
pub struct Checking<'a, 't> {
    /// The recipe's names.
    pub names: &'a Names<'t>,
    /// Functions, constants and `huggingface` declarations.
    pub library: &'a Library<'t>,
    /// Whether every `block` and `model` is right by itself; if not, none is written out.
    pub sound_functions: bool,
    /// Data sets by name; none where one has a mistake.
    pub datasets: &'a BTreeMap<String, Option<Dataset>>,
    /// Mixtures by name; none where one or a data set in it has a mistake.
    pub mixtures: &'a BTreeMap<String, Option<Mixture>>,
    /// Tokenizers by name; none where one has a mistake.
    pub tokenizers: &'a BTreeMap<String, Option<TokenizerPlan>>,
    /// Files.
    pub world: &'a dyn World,
    /// Where mistakes go.
    pub diagnostics: &'a mut Diagnostics,
}

/// Checks every stage, each after the one it continues. Stages with mistakes are left out.
pub fn check_all(checking: &mut Checking<'_, '_>) -> Vec<StagePlan> {
    let mut plans: Vec<StagePlan> = Vec::new();
    let mut fields: BTreeMap<&str, Vec<&Field>> = BTreeMap::new();
    for item in order::order(checking.names, checking.diagnostics) {
        let base = item.from.as_ref().map(|from| from.text.as_str());
        let merged = inherit(item, base.and_then(|base| fields.get(base)));
        let parent = base.and_then(|base| plans.iter().find(|plan| plan.name == base));
        let plan = check(item, &merged, parent, checking);
        fields.insert(&item.name.text, merged);
        plans.extend(plan);
    }
    plans
}

/// A stage's own fields after those of its base that it does not write itself. `init` is never taken over.
fn inherit<'t>(item: &'t Declaration, base: Option<&Vec<&'t Field>>) -> Vec<&'t Field> {
    let own = |name: &str| item.fields.iter().any(|field| field.name.text == name);
    let mut fields: Vec<&Field> = base
        .into_iter()
        .flatten()
        .copied()
        .filter(|field| field.name.text != "init" && !own(&field.name.text))
        .collect();
    fields.extend(&item.fields);
    fields
}

fn check(
    item: &Declaration,
    fields: &[&Field],
    parent: Option<&StagePlan>,
    checking: &mut Checking<'_, '_>,
) -> Option<StagePlan> {
    let record =
        Reader { names: checking.names, constants: &checking.library.constants, diagnostics: checking.diagnostics }
            .declaration(&STAGE, &item.name, fields, item.from.is_none());
    let before = checking.diagnostics.len();
    let data_name = record.declaration("data");
    let stage_data = data_name.and_then(|name| StageData::find(name, checking));
    let data = stage_data.as_ref();
    let tokenizer = record.optional("tokenizer", Read::declaration);
    data::objective(&record, data, checking.diagnostics);
    consistency::data_and_tokenizer(item, &record, data, checking);
    consistency::held_out(item, &record, data, checking.diagnostics);
    consistency::without_effect(item, &record, checking.diagnostics);
    let extended = weights::model(item, &record, parent, checking);
    let (model, extend) = extended.map_or((None, None), |(model, extend)| (Some(model), extend));
    if let Some(model) = &model {
        consistency::vocabulary(&record, data, model, checking);
        consistency::context(&record, model, parent.is_some() || record.is_written("init"), checking.diagnostics);
    }
    let objective = objective::check(&record, checking.diagnostics);
    if let (Some(model), Some(objective)) = (&model, &objective) {
        let before = checking.diagnostics.len();
        objective::fits_model(&record, objective, model, checking.diagnostics);
        if checking.diagnostics.len() == before {
            leak::check(&record, objective, model, checking.diagnostics);
        }
    }
    if let (Some(data), Some(objective), Some(model)) = (data, &objective, &model) {
        data::weights(&record, data, objective, model, checking.diagnostics);
    }
    let packing = consistency::packing(item, &record, data, model.as_ref(), checking.diagnostics);
    let with_encoder = objective.as_ref().filter(|_| model.as_ref().is_some_and(|model| model.takes("source")));
    let batch = batch::check(&record, with_encoder, checking.diagnostics);
    if let (Some(data), Some(batch)) = (data, batch) {
        consistency::row_length(&record, data, batch, with_encoder, checking.diagnostics);
    }
    let steps = batch.and_then(|batch| duration::budget(&record, batch, data, checking.diagnostics));
    let epochs = match (batch, steps, data) {
        (Some(batch), Some(steps), Some(data)) => data::repeats(&record, data, batch, steps, checking.diagnostics),
        _ => Vec::new(),
    };
    let timed = batch.zip(steps).map(|(batch, steps)| {
        (
            schedule::schedule(&record, batch, steps, checking.diagnostics),
            duration::interval(&record, "evaluate", batch, steps, checking.diagnostics),
            duration::interval(&record, "checkpoint", batch, steps, checking.diagnostics),
        )
    });
    let init = model.as_ref().and_then(|model| weights::init(&record, parent, model, extend.as_ref(), checking));
    let frozen = model.as_ref().and_then(|model| training::frozen(&record, model, checking.diagnostics));
    if let (Some(model), Some(frozen)) = (&model, &frozen) {
        training::check(&record, model, frozen, checking.diagnostics);
        if let Some(init) = &init {
            training::frozen_at_random(&record, frozen, init, checking.diagnostics);
        }
    }
    if let Some(model) = &model {
        numbers::check(&record, model, checking.diagnostics);
    }
    if checking.diagnostics[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    let (batch, (schedule, evaluate_every, checkpoint_every)) = (batch?, timed?);
    let (data, model, objective) = (data?, model?, objective?);
    Some(StagePlan {
        name: item.name.text.clone(),
        init: init?,
        extend,
        model,
        frozen: frozen?,
        data: data_name?.to_owned(),
        tokenizer: tokenizer?.filter(|_| !data.is_tokens()).map(str::to_owned),
        weighted: data.is_weighted(),
        objective,
        optimizer: schedule::optimizer(&record)?,
        schedule: schedule?,
        sequence_length: batch.sequence_length,
        target_length: batch.target_length,
        micro_batch: batch.micro_batch,
        accumulation: batch.accumulation,
        epochs,
        steps: steps?,
        evaluate_every: evaluate_every?,
        evaluate_rows: record.quantity("evaluate_on")?.whole_in_base()?,
        checkpoint_every: checkpoint_every?,
        keep: record.integer("keep")?,
        shuffle: record.optional("shuffle", Read::call)?.is_some(),
        packing: packing?,
        precision: schedule::precision(&record)?,
        seed: record.integer("seed")?,
        sample: sample(&record, data)?,
    })
}

/// Nothing after a mistake; `Some(None)` where nothing is sampled.
fn sample(record: &Record, data: &StageData<'_>) -> Option<Option<SamplePlan>> {
    let Some(call) = record.optional("sample", Read::call)?.filter(|_| !data.is_tokens()) else {
        return Some(None);
    };
    Some(Some(SamplePlan {
        prompt: call.text("prompt")?,
        tokens: call.integer("tokens")?,
        temperature: call.number("temperature")?,
        top_k: call.optional("top_k", Read::integer)?,
    }))
}
