//! Preparation and batches together, on real files.

mod batches;
mod curating;
mod mixtures;
mod preparing;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use llmc_compiler::plan::{
    DatasetPlan, InitPlan, ModelPlan, ObjectivePlan, OptimizerPlan, Packing, Plan, ScheduleKind, SchedulePlan,
    SourcePlan, StagePlan, TokenizerModel, TokenizerPlan, TokenizerSource, TrainedTokenizer,
};
use llmc_grammar::diagnostic::Diagnostic;
use tempfile::TempDir;

use super::{Cache, Prepared, prepare_in};

/// A directory with files and a cache, and a plan over them.
struct Project {
    directory: TempDir,
    plan: Plan,
    stage: StagePlan,
}

impl Project {
    /// One data set of `sources`, read by the byte tokenizer (or as ids) into rows of 8 tokens.
    fn new(sources: Vec<SourcePlan>, holdout: f64) -> Project {
        let is_tokens = sources.iter().any(SourcePlan::is_tokens);
        let dataset = DatasetPlan { holdout, ..DatasetPlan::of(sources) };
        let tokenizer = TokenizerPlan { source: TokenizerSource::Bytes, vocab: 257, end_of_text: None };
        let plan = Plan {
            recipe: "test".to_owned(),
            params: BTreeMap::new(),
            datasets: BTreeMap::from([("text".to_owned(), dataset)]),
            mixtures: BTreeMap::new(),
            tokenizers: BTreeMap::from([("tokens".to_owned(), tokenizer)]),
            stages: Vec::new(),
        };
        Project { directory: tempfile::tempdir().unwrap(), plan, stage: stage(is_tokens) }
    }

    fn files(pattern: &str, holdout: f64) -> Project {
        Project::new(vec![SourcePlan::Files { pattern: pattern.to_owned() }], holdout)
    }

    fn tokens(path: &str, holdout: f64) -> Project {
        Project::new(vec![SourcePlan::Tokens { path: path.to_owned(), tensor: None, weights: None }], holdout)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn dataset(&mut self) -> &mut DatasetPlan {
        self.plan.datasets.get_mut("text").unwrap()
    }

    fn train_bpe(&mut self, vocab: u64) {
        self.train_tokenizer(TokenizerModel::ByteBpe, vocab);
    }

    fn train_tokenizer(&mut self, model: TokenizerModel, vocab: u64) {
        let dataset = "text".to_owned();
        let trained = TrainedTokenizer { model, dataset, limit_bytes: 1 << 20, special: Vec::new() };
        let source = TokenizerSource::Trained(trained);
        let end_of_text = Some(crate::tokenizer::END_OF_TEXT.to_owned());
        self.plan.tokenizers.insert("tokens".to_owned(), TokenizerPlan { source, vocab, end_of_text });
    }

    fn prepare(&self) -> Result<Prepared, Diagnostic> {
        let cache = Cache::new(self.path().join("cache"));
        prepare_in(&cache, &self.plan, &self.stage, self.path(), &|_| {})
    }

    /// The cache entries whose names start so.
    fn entries(&self, start: &str) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(self.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(start);
        entries.filter(named).collect()
    }
}

fn stage(is_tokens: bool) -> StagePlan {
    let model = ModelPlan {
        name: "gpt".to_owned(),
        arguments: BTreeMap::new(),
        weights: Vec::new(),
        nodes: Vec::new(),
        output: 0,
        vocab: 1000,
        config: None,
    };
    let optimizer = OptimizerPlan::Adamw {
        learning_rate: 1e-3,
        betas: [0.9, 0.95],
        epsilon: 1e-8,
        weight_decay: 0.1,
        decay_all: false,
        clip_norm: None,
    };
    StagePlan {
        name: "pretrain".to_owned(),
        init: InitPlan::Random,
        frozen: Vec::new(),
        weighted: false,
        extend: None,
        model,
        data: "text".to_owned(),
        tokenizer: (!is_tokens).then(|| "tokens".to_owned()),
        objective: ObjectivePlan::causal_lm(),
        optimizer,
        schedule: SchedulePlan { kind: ScheduleKind::Constant, warmup: 0, floor: 1.0, decay: 0, steps: 10 },
        sequence_length: 8,
        target_length: None,
        micro_batch: 3,
        accumulation: 2,
        epochs: Vec::new(),
        steps: 10,
        evaluate_every: None,
        evaluate_rows: 100,
        checkpoint_every: None,
        keep: 1,
        shuffle: true,
        packing: Packing::Concatenate,
        precision: Default::default(),
        seed: 5,
        sample: None,
    }
}
