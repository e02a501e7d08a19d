//! What steps need beside the documents: models trained on other data sets, lists of terms, texts of evaluations.

pub mod classifier;
pub mod ngrams;
pub mod quality;
mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use llmc_compiler::plan::{ClassifierPlan, DecontaminationPlan, NgramPlan};

use super::bias::Pairs;
use super::decontaminate::Evaluations;
pub use classifier::Classifier;
pub use ngrams::NgramModel;
pub use sample::Sample;

/// Everything that the steps of a data set need, each once.
#[derive(Debug, Default)]
pub struct Resources {
    /// Classifiers by what they are trained on.
    pub classifiers: Vec<(ClassifierPlan, Arc<Classifier>)>,
    /// Language models by what they are trained on.
    pub language_models: Vec<(NgramPlan, Arc<NgramModel>)>,
    /// Lists of terms, by the paths of their files as written.
    pub terms: BTreeMap<String, Vec<String>>,
    /// Lists of pairs, by the paths of their files as written.
    pub pairs: BTreeMap<String, Arc<Pairs>>,
    /// Evaluations that training must not hold, by the steps that ask.
    pub evaluations: Vec<(DecontaminationPlan, Arc<Evaluations>)>,
}

impl Resources {
    /// The classifier trained as planned.
    ///
    /// # Panics
    /// If it was not prepared: preparation and steps disagree about the plan.
    pub fn classifier(&self, plan: &ClassifierPlan) -> Arc<Classifier> {
        let found = self.classifiers.iter().find(|(known, _)| known == plan);
        found.map(|(_, model)| model.clone()).expect("classifiers are trained before the steps begin")
    }

    /// The language model trained as planned.
    ///
    /// # Panics
    /// If it was not prepared: preparation and steps disagree about the plan.
    pub fn language_model(&self, plan: &NgramPlan) -> Arc<NgramModel> {
        let found = self.language_models.iter().find(|(known, _)| known == plan);
        found.map(|(_, model)| model.clone()).expect("language models are trained before the steps begin")
    }

    /// The evaluations of a step.
    ///
    /// # Panics
    /// If they were not read: preparation and steps disagree about the plan.
    pub fn evaluations(&self, plan: &DecontaminationPlan) -> Arc<Evaluations> {
        let found = self.evaluations.iter().find(|(known, _)| known == plan);
        found.map(|(_, evaluations)| evaluations.clone()).expect("evaluations are read before the steps begin")
    }

    /// A list of terms.
    ///
    /// # Panics
    /// If it was not read: preparation and steps disagree about the plan.
    pub fn terms(&self, path: &str) -> &[String] {
        self.terms.get(path).expect("lists are read before the steps begin")
    }

    /// The pairs of a file, or the built-in ones.
    ///
    /// # Panics
    /// If the file was not read: preparation and steps disagree about the plan.
    pub fn pairs(&self, path: Option<&str>) -> Arc<Pairs> {
        match path {
            None => Arc::new(Pairs::gender()),
            Some(path) => self.pairs.get(path).cloned().expect("pairs are read before the steps begin"),
        }
    }
}
