//! The checked recipe: every name resolved, every default filled, every shape known.
//!
//! A [`Plan`] is plain data and serialises to YAML (`llmc compile` writes it as `plan.yaml`).

mod attention;
mod component;
mod curation;
mod data;
mod einsum;
mod extend;
mod language;
mod layout;
mod mixing;
mod model;
mod objective;
mod pattern;
mod precision;
mod process;
mod quality;
mod rotary;
mod source;
mod stretch;

use std::collections::BTreeMap;

use serde::Serialize;

pub use attention::{AttentionOperands, AttentionSettings, OrderRule, alibi_slope};
pub use component::Component;
pub use curation::{
    Balancing, ClassifierPlan, CounterfactualPlan, DecontaminationPlan, EvaluationText, Formula, LanguagePlan,
    NgramPlan, PerplexityPlan, QualityPlan, ReweightPlan, ScorePlan, TermsPlan,
};
pub use data::{
    About, Columns, DatasetPlan, MixturePart, MixturePlan, Packing, Source, SourceKind, TiktokenEncoding,
    TokenizerModel, TokenizerPlan, TokenizerSource, TrainedTokenizer,
};
pub use einsum::Einsum;
pub use extend::{Align, ExtendPlan};
pub use language::{LANGUAGES, Language};
pub use layout::{Layout, MissingColumn};
pub use mixing::{Blend, PartPlan, REPEATS_WORTH_IT, Shares, repeats};
pub use model::{
    BinaryFunction, DType, INPUTS, Initializer, ModelNode, ModelOp, ModelPlan, Origin, ReduceFunction, UnaryFunction,
    WeightPlan,
};
pub use objective::{
    Corruption, LossPlan, Masking, Objective, ObjectivePlan, Permutation, PrefixLengths, Sentinels, SpecialToken,
};
pub use pattern::{Buckets, Pattern};
pub use precision::{LossScaling, Precision};
pub use process::{LineCleaning, PiiKind, ProcessPlan, Replacement, Scope, TextUnit};
pub use quality::{Rule, RuleLimit, RuleUnit};
pub use rotary::{Rotary, RotaryLayout, RotaryScaling, stretched_base};
pub use source::{ContentType, OnError, SourcePlan};

/// A whole checked recipe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The recipe's name: file name without its extension.
    pub recipe: String,
    /// Every `param` with its final value, as written in a recipe.
    pub params: BTreeMap<String, String>,
    /// Data sets by name.
    pub datasets: BTreeMap<String, DatasetPlan>,
    /// Mixtures of data sets by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mixtures: BTreeMap<String, MixturePlan>,
    /// Tokenizers by name.
    pub tokenizers: BTreeMap<String, TokenizerPlan>,
    /// Stages, each after the one it continues.
    pub stages: Vec<StagePlan>,
}

/// One training stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePlan {
    /// The stage's name.
    pub name: String,
    /// Where its weights start.
    pub init: InitPlan,
    /// What becomes of learned positions on the way to a longer context; none where the weights are taken as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend: Option<ExtendPlan>,
    /// The elaborated model.
    pub model: ModelPlan,
    /// Paths of the weights that stay as they are, in the order of the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// The name of the data set or mixture.
    pub data: String,
    /// The tokenizer's name; none when the data is token ids.
    pub tokenizer: Option<String>,
    /// Whether the data says how much the loss of each token counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weighted: bool,
    /// What is minimised.
    pub objective: ObjectivePlan,
    /// The update rule.
    pub optimizer: OptimizerPlan,
    /// Learning rate over the steps.
    pub schedule: SchedulePlan,
    /// Tokens in a row: the model's `T`, or with an encoder its `S`.
    pub sequence_length: u64,
    /// With an encoder the decoder's tokens in a row: the model's `T`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_length: Option<u64>,
    /// Rows of one forward and backward pass (the model's `B`).
    pub micro_batch: u64,
    /// Micro-batches of one optimizer step.
    pub accumulation: u64,
    /// How often each part of the data is read; empty where that is known only after it is tokenized.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub epochs: Vec<PartEpochs>,
    /// Optimizer steps.
    pub steps: u64,
    /// Steps between held-out evaluations (none: only at the end).
    pub evaluate_every: Option<u64>,
    /// Rows of one evaluation, at most.
    pub evaluate_rows: u64,
    /// Steps between checkpoints (none: only at the end).
    pub checkpoint_every: Option<u64>,
    /// Checkpoints kept besides the last.
    pub keep: u64,
    /// Whether rows are shuffled every epoch.
    pub shuffle: bool,
    /// How documents are put into rows.
    #[serde(skip_serializing_if = "Packing::is_default")]
    pub packing: Packing,
    /// How exactly it computes.
    #[serde(skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Key of every random number of the stage.
    pub seed: u64,
    /// Text to sample from at the end, if any.
    pub sample: Option<SamplePlan>,
}

/// How often a stage reads a part of its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartEpochs {
    /// The data set, or a source of it that has a weight.
    pub part: String,
    /// Times, the last perhaps not whole.
    pub epochs: f64,
}

impl StagePlan {
    /// Rows of one optimizer step.
    pub fn global_batch(&self) -> u64 {
        self.micro_batch * self.accumulation
    }

    /// Whether the weight is trained.
    pub fn trains(&self, weight: &WeightPlan) -> bool {
        !self.frozen.contains(&weight.path)
    }

    /// The weights that are trained, in the order of the model.
    pub fn trained(&self) -> impl Iterator<Item = &WeightPlan> {
        self.model.weights.iter().filter(|weight| self.trains(weight))
    }

    /// The model's `T`: tokens in a row of logits.
    pub fn target_tokens(&self) -> u64 {
        self.target_length.unwrap_or(self.sequence_length)
    }

    /// Tokens of the data that one row is made from: with an encoder more than its input holds, where spans are cut out of it.
    pub fn row_tokens(&self) -> u64 {
        match self.target_length {
            Some(_) => self.objective.kind.decoder_lengths(self.sequence_length).0,
            None => self.sequence_length,
        }
    }

    /// Tokens of the whole stage.
    pub fn tokens(&self) -> u64 {
        self.steps * self.global_batch() * self.sequence_length
    }
}

/// A sample drawn when a stage ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplePlan {
    /// The text it continues.
    pub prompt: String,
    /// Tokens to draw.
    pub tokens: u64,
    /// Softmax temperature; 0 is greedy.
    pub temperature: f64,
    /// Candidates kept (none: all).
    pub top_k: Option<u64>,
}

/// Where a stage's weights start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InitPlan {
    /// Each weight's own initialiser.
    Random,
    /// The end of another stage of this recipe.
    Stage(String),
    /// A Hugging Face directory.
    HuggingFace(String),
    /// A GGUF file.
    Gguf(String),
}

/// The update rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerPlan {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw {
        /// Peak learning rate.
        learning_rate: f64,
        /// Decay rates of the two moments.
        betas: [f64; 2],
        /// Added to the denominator.
        epsilon: f64,
        /// Decoupled decay, on tensors of two or more dimensions.
        weight_decay: f64,
        /// Whether tensors of fewer than two dimensions decay too.
        decay_all: bool,
        /// Bound on the global gradient norm (none: no clipping).
        clip_norm: Option<f64>,
    },
}

/// Learning rate over the steps, as a factor of the peak. Step `t` counts from 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SchedulePlan {
    /// Shape after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up: factor `(t + 1) / warmup`.
    pub warmup: u64,
    /// Factor at the end of the decay.
    pub floor: f64,
    /// Steps of the final decay (`warmup_stable_decay` only, else 0).
    pub decay: u64,
    /// All steps of the stage.
    pub steps: u64,
}

impl SchedulePlan {
    /// The factor on the peak learning rate at step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        // Share of the way from the end of the warm-up, or from the start of the final decay, to the last step.
        let progress = |start: u64| {
            let length = self.steps.saturating_sub(start).max(1);
            (step.saturating_sub(start) as f64 / length as f64).min(1.0)
        };
        let line = |share: f64| 1.0 + (self.floor - 1.0) * share;
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => line(progress(self.warmup)),
            ScheduleKind::Cosine => {
                let half_cosine = (1.0 + (std::f64::consts::PI * progress(self.warmup)).cos()) / 2.0;
                self.floor + (1.0 - self.floor) * half_cosine
            }
            ScheduleKind::WarmupStableDecay => line(progress(self.steps.saturating_sub(self.decay).max(self.warmup))),
        }
    }
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// 1.
    Constant,
    /// From 1 to `floor` in a straight line.
    Linear,
    /// From 1 to `floor` along half a cosine (Loshchilov and Hutter 2017).
    Cosine,
    /// 1, then to `floor` in a straight line over the last `decay` steps (Hu et al. 2024, MiniCPM).
    WarmupStableDecay,
}
