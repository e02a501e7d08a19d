//! The step `score`: a weighted sum of components with a limit.

mod components;

use std::collections::BTreeMap;
use std::sync::Arc;

use llmc_compiler::plan::{Component, Formula, ScorePlan};
use rayon::prelude::*;

use super::distribution::Distribution;
use super::models::quality::{language_of, separation};
use super::models::{Classifier, NgramModel, Resources};
use super::{Document, Outcome, Step, StepReport, recalled, state};
use components::Prose;

/// Drops documents of a low score.
#[derive(Debug)]
pub struct Score {
    formula: Formula,
    quality: Option<Arc<Classifier>>,
    fluency: Option<Arc<NgramModel>>,
    language: Vec<&'static str>,
    scores: Distribution,
    /// Of each component of the sum, in millionths: whole numbers add up the same in any order.
    sums: BTreeMap<Component, u64>,
    documents: u64,
}

impl Score {
    /// As the plan says.
    pub fn new(plan: &ScorePlan, resources: &Resources) -> Score {
        let (least, most) = plan.formula.range();
        Score {
            formula: plan.formula.clone(),
            quality: plan.quality.as_ref().map(|model| resources.classifier(model)),
            fluency: plan.fluency.as_ref().map(|model| resources.language_model(model)),
            language: plan.language.clone(),
            scores: Distribution::between(least, most),
            sums: BTreeMap::new(),
            documents: 0,
        }
    }

    /// The value of each component of the sum, in its order.
    fn measure(&self, text: &str) -> Vec<f64> {
        let prose = Prose::new(text);
        let value = |component: Component| match component {
            Component::Quality => self.quality.as_ref().map_or(0.0, |model| model.probability(text)),
            Component::Fluency => {
                let model = self.fluency.as_ref();
                model.and_then(|model| Some(model.fluency(model.perplexity(text)?))).unwrap_or(0.0)
            }
            Component::Language => match language_of(text) {
                Some((code, confidence)) if self.language.contains(&code) => confidence,
                _ => 0.0,
            },
            other => prose.value(other),
        };
        self.formula.weights.iter().map(|(component, _)| value(*component)).collect()
    }
}

impl Step for Score {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let measured: Vec<Vec<f64>> = batch.par_iter().map(|document| self.measure(&document.text)).collect();
        let outcome = |values: Vec<f64>| {
            let sum = self.formula.weights.iter().zip(&values).map(|((_, weight), value)| weight * value).sum();
            for ((component, _), value) in self.formula.weights.iter().zip(&values) {
                *self.sums.entry(*component).or_default() += (value * 1e6).round() as u64;
            }
            self.scores.add(sum);
            self.documents += 1;
            if self.formula.lets_through(sum) { Outcome::Kept } else { Outcome::dropped("score") }
        };
        measured.into_iter().map(outcome).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        let sums: Vec<(&str, u64)> = self.sums.iter().map(|(component, sum)| (component.name(), *sum)).collect();
        state(&(&self.scores, sums, self.documents))
    }

    fn remember(&mut self, learned: &[u8]) {
        let mut found = (self.scores.clone(), Vec::<(String, u64)>::new(), 0);
        recalled(learned, &mut found);
        (self.scores, self.documents) = (found.0, found.2);
        for (name, sum) in found.1 {
            if let Some(component) = Component::ALL.iter().find(|component| component.name() == name) {
                self.sums.insert(*component, sum);
            }
        }
    }

    fn finish(&self, report: &mut StepReport) {
        if let Some(model) = &self.quality {
            separation(model, report);
        }
        report.notes.extend(self.fluency.as_ref().map(|model| model.describe()));
        let mean = |sum: u64| sum as f64 / 1e6 / self.documents.max(1) as f64;
        let means: Vec<String> =
            self.sums.iter().map(|(component, sum)| format!("{} {:.3}", component.name(), mean(*sum))).collect();
        let named = self.sums.iter().map(|(component, sum)| (format!("mean.{}", component.name()), mean(*sum)));
        report.measures.extend(named);
        self.scores.measure("score", &mut report.measures);
        report.notes.push(format!("means: {}", means.join(", ")));
        report.notes.push(self.scores.line("score"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Origin;

    #[test]
    fn sums_are_weighed_and_compared() {
        let formula = Formula {
            weights: vec![(Component::Alphabetic, 0.5), (Component::Capitals, -0.5)],
            threshold: 0.25,
            inclusive: false,
        };
        let plan = ScorePlan { formula, quality: None, fluency: None, language: Vec::new() };
        let document = |text: &str| Document {
            text: text.to_owned(),
            origin: Origin::new("a", 1),
            done: Vec::new(),
            record: None,
        };
        // Components 1 and 0; 1 and 1; 0.5 and 0: the last sum is the limit itself.
        let documents = ["all are words", "ALL ARE CAPITALS", "half 12"].map(document);
        let mut score = Score::new(&plan, &Resources::default());
        let kept: Vec<bool> = score.decide(&documents).iter().map(|outcome| *outcome == Outcome::Kept).collect();
        assert_eq!(kept, [true, false, false]);
        let mut inclusive = plan.clone();
        inclusive.formula.inclusive = true;
        assert_eq!(Score::new(&inclusive, &Resources::default()).decide(&documents[2..]), [Outcome::Kept]);
        let mut report = StepReport::new("score");
        score.finish(&mut report);
        assert!((report.measures["mean.alphabetic"] - 2.5 / 3.0).abs() < 1e-6);
        assert!((report.measures["score.p95"] - 0.5).abs() < 0.002, "{report:?}");
    }
}
