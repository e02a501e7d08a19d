//! What the steps of a data set read beside its own sources.

use std::io::Write;
use std::sync::Arc;

use llmc_compiler::plan::{
    ClassifierPlan, CounterfactualPlan, DecontaminationPlan, EvaluationText, NgramPlan, ProcessPlan, ReweightPlan,
};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::{FORMAT, Preparation, key};
use crate::process::models::{Classifier, NgramModel, Resources, Sample};
use crate::process::{Evaluations, Pairs, terms_of, words_of};
use crate::sources::text::read_whole;
use crate::{Phase, Progress, paths};

impl Preparation<'_> {
    /// The name under which the cache keeps what the steps make of the files of a listing.
    pub(super) fn documents_name(
        &mut self,
        steps: &[ProcessPlan],
        listing: blake3::Hash,
    ) -> Result<String, Diagnostic> {
        let mut inputs = vec![*listing.as_bytes()];
        inputs.extend(self.requirements(steps)?);
        let steps = serde_json::to_string(steps).expect("steps are plain data");
        Ok(format!("documents-{}", key(&format!("{FORMAT} {steps}"), &inputs)))
    }

    /// Hashes of all that the steps read beside their data set's sources: documents of other data sets, and files.
    fn requirements(&mut self, steps: &[ProcessPlan]) -> Result<Vec<[u8; 32]>, Diagnostic> {
        let mut hashes = Vec::new();
        for step in steps {
            for name in step.datasets() {
                hashes.push(self.corpus(name)?.1.content);
            }
            for path in step.files() {
                hashes.push(*blake3::hash(self.file(path)?.as_bytes()).as_bytes());
            }
        }
        Ok(hashes)
    }

    /// Trains and reads what the steps need.
    pub(super) fn resources(&mut self, steps: &[ProcessPlan]) -> Result<Resources, Diagnostic> {
        let mut resources = Resources::default();
        for step in steps {
            if let Some(plan) = step.classifier().filter(|plan| resources.classifiers.iter().all(|(it, _)| it != *plan))
            {
                let model = Arc::new(self.classifier(plan)?);
                resources.classifiers.push((plan.clone(), model));
            }
            if let Some(plan) =
                step.language_model().filter(|plan| resources.language_models.iter().all(|(it, _)| it != *plan))
            {
                let model = Arc::new(self.language_model(plan)?);
                resources.language_models.push((plan.clone(), model));
            }
            match step {
                ProcessPlan::Decontaminate(plan) => {
                    let evaluations = Arc::new(self.evaluations(plan)?);
                    resources.evaluations.push((plan.clone(), evaluations));
                }
                ProcessPlan::DropTerms(plan) => {
                    let terms = terms_of(&self.file(&plan.file)?).map_err(|wrong| wrong.diagnostic(&plan.file))?;
                    resources.terms.insert(plan.file.clone(), terms);
                }
                ProcessPlan::Counterfactual(CounterfactualPlan { pairs, attributes, .. })
                | ProcessPlan::Reweight(ReweightPlan { pairs, attributes, .. }) => {
                    if let Some(path) = pairs {
                        let read = Pairs::parse(&self.file(path)?).map_err(|wrong| wrong.diagnostic(path))?;
                        resources.pairs.insert(path.clone(), Arc::new(read));
                    }
                    if let Some(path) = attributes {
                        let words = words_of(&self.file(path)?).map_err(|wrong| wrong.diagnostic(path))?;
                        resources.terms.insert(path.clone(), words);
                    }
                }
                _ => {}
            }
        }
        Ok(resources)
    }

    fn evaluations(&mut self, plan: &DecontaminationPlan) -> Result<Evaluations, Diagnostic> {
        let mut evaluations = Evaluations::new(plan.ngram as usize, plan.min_words as usize);
        for text in &plan.against {
            match text {
                EvaluationText::Dataset(name) => {
                    let texts = self.corpus(name)?.0;
                    evaluations.begin(name);
                    texts.documents().zip(1..).try_for_each(|(document, number)| {
                        evaluations.add(&document?.text, number);
                        Ok::<(), Diagnostic>(())
                    })?;
                }
                EvaluationText::File(path) => {
                    evaluations.begin(path);
                    evaluations.add_file(&paths::resolve(path, self.base)?)?;
                }
            }
        }
        Ok(evaluations)
    }

    fn file(&self, path: &str) -> Result<String, Diagnostic> {
        read_whole(&paths::resolve(path, self.base)?)
    }

    fn sample(&mut self, dataset: &str, limit: u64) -> Result<Sample, Diagnostic> {
        let (texts, survey) = self.corpus(dataset)?;
        (self.progress)(Progress { phase: Phase::TrainingFilter, done: 0, total: Some(limit.min(survey.all.bytes)) });
        Sample::take(texts.documents(), &survey, limit)
    }

    fn classifier(&mut self, plan: &ClassifierPlan) -> Result<Classifier, Diagnostic> {
        let contents = [self.corpus(&plan.good)?.1.content, self.corpus(&plan.bad)?.1.content];
        let name = format!("classifier-{}", key(&format!("{FORMAT} {}", plan.sample_bytes), &contents));
        if let Some(model) = self.cached(&name).and_then(|bytes| Classifier::from_bytes(&bytes)) {
            return Ok(model);
        }
        let good = self.sample(&plan.good, plan.sample_bytes)?;
        let bad = self.sample(&plan.bad, plan.sample_bytes)?;
        let model = Classifier::train(&good, &bad)
            .ok_or_else(|| too_little(&format!("`train(good: {}, bad: {})`", plan.good, plan.bad)))?;
        self.cache.write(&name, |file| Ok(file.write_all(&model.to_bytes())?))?;
        Ok(model)
    }

    fn language_model(&mut self, plan: &NgramPlan) -> Result<NgramModel, Diagnostic> {
        let content = self.corpus(&plan.on)?.1.content;
        let name = format!("ngrams-{}", key(&format!("{FORMAT} {} {}", plan.order, plan.sample_bytes), &[content]));
        if let Some(model) = self.cached(&name).and_then(|bytes| NgramModel::from_bytes(&bytes)) {
            return Ok(model);
        }
        let sample = self.sample(&plan.on, plan.sample_bytes)?;
        let model = NgramModel::train(plan.order as usize, &sample)
            .ok_or_else(|| too_little(&format!("`train(on: {})`", plan.on)))?;
        self.cache.write(&name, |file| Ok(file.write_all(&model.to_bytes())?))?;
        Ok(model)
    }
}

fn too_little(what: &str) -> Diagnostic {
    Diagnostic::error(codes::TOO_LITTLE_DATA, format!("there is too little text for {what}"))
        .help("a tenth of the text measures the model and the rest trains it: each needs some; a few dozen documents are the least that makes sense")
}
