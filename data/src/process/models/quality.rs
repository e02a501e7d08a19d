//! The steps `quality`, `perplexity` and `language`.

use std::collections::BTreeMap;
use std::sync::Arc;

use llmc_compiler::plan::{LANGUAGES, LanguagePlan, PerplexityPlan};
use llmc_grammar::number::grouped;
use rayon::prelude::*;

use super::super::distribution::Distribution;
use super::super::{Document, Outcome, Step, StepReport, recalled, state};
use super::{Classifier, NgramModel};

/// Drops documents that a classifier finds bad.
#[derive(Debug)]
pub struct Quality {
    model: Arc<Classifier>,
    min: f64,
    scores: Distribution,
}

impl Quality {
    /// Lets documents of probability `min` and more through.
    pub fn new(model: Arc<Classifier>, min: f64) -> Quality {
        Quality { model, min, scores: Distribution::between(0.0, 1.0) }
    }
}

impl Step for Quality {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let scores: Vec<f64> = batch.par_iter().map(|document| self.model.probability(&document.text)).collect();
        scores.iter().for_each(|score| self.scores.add(*score));
        let outcome = |score: f64| if score >= self.min { Outcome::Kept } else { Outcome::dropped("quality") };
        scores.into_iter().map(outcome).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        state(&self.scores)
    }

    fn remember(&mut self, learned: &[u8]) {
        recalled(learned, &mut self.scores);
    }

    fn finish(&self, report: &mut StepReport) {
        separation(&self.model, report);
        self.scores.measure("score", &mut report.measures);
        report.notes.push(self.scores.line("score"));
    }
}

/// How well the classifier does, in numbers and words.
pub fn separation(model: &Classifier, report: &mut StepReport) {
    let quality = &model.quality;
    report.measures.insert("classifier.accuracy".to_owned(), quality.accuracy);
    report.measures.insert("classifier.auc".to_owned(), quality.auc);
    report.notes.push(format!(
        "classifier: {} good and {} bad pieces of text; of {} and {} held out it tells {:.1}% rightly (area under the curve {:.4})",
        grouped(quality.trained[0]),
        grouped(quality.trained[1]),
        grouped(quality.heldout[0]),
        grouped(quality.heldout[1]),
        quality.accuracy * 100.0,
        quality.auc
    ));
}

/// Drops documents by their perplexity.
#[derive(Debug)]
pub struct Perplexity {
    model: Arc<NgramModel>,
    min: Option<f64>,
    max: Option<f64>,
    values: Distribution,
}

impl Perplexity {
    /// Lets documents between the plan's bounds through.
    pub fn new(model: Arc<NgramModel>, plan: &PerplexityPlan) -> Perplexity {
        Perplexity { model, min: plan.min, max: plan.max, values: Distribution::logarithmic() }
    }
}

impl Step for Perplexity {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let values: Vec<_> = batch.par_iter().map(|document| self.model.perplexity(&document.text)).collect();
        values.iter().flatten().for_each(|value| self.values.add(*value));
        let outcome = |value: Option<f64>| match value {
            None => Outcome::dropped("no_words"),
            Some(value) if self.min.is_some_and(|min| value < min) => Outcome::dropped("min"),
            Some(value) if self.max.is_some_and(|max| value > max) => Outcome::dropped("max"),
            Some(_) => Outcome::Kept,
        };
        values.into_iter().map(outcome).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        state(&self.values)
    }

    fn remember(&mut self, learned: &[u8]) {
        recalled(learned, &mut self.values);
    }

    fn finish(&self, report: &mut StepReport) {
        report.measures.insert("model.median".to_owned(), self.model.median());
        self.values.measure("perplexity", &mut report.measures);
        report.notes.extend([self.model.describe(), self.values.line("perplexity")]);
    }
}

/// Characters of a text by which its language is told, from its beginning.
const HEAD: usize = 1000;

/// The language of a text (ISO 639-1) and how sure that is, 0 to 1; none where nothing tells.
pub fn language_of(text: &str) -> Option<(&'static str, f64)> {
    let head = text.char_indices().nth(HEAD).map_or(text, |(end, _)| &text[..end]);
    let found = whatlang::detect(head)?;
    let language = LANGUAGES.iter().find(|language| language.long_code == found.lang().code())?;
    Some((language.code, found.confidence()))
}

/// Drops documents in other languages.
#[derive(Debug)]
pub struct Language {
    keep: Vec<&'static str>,
    min: f64,
    confidences: Distribution,
    documents: BTreeMap<&'static str, u64>,
}

impl Language {
    /// Lets documents in the plan's languages through.
    pub fn new(plan: &LanguagePlan) -> Language {
        let confidences = Distribution::between(0.0, 1.0);
        Language { keep: plan.keep.clone(), min: plan.min, confidences, documents: BTreeMap::new() }
    }
}

impl Step for Language {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let languages: Vec<_> = batch.par_iter().map(|document| language_of(&document.text)).collect();
        for (code, confidence) in languages.iter().flatten() {
            *self.documents.entry(code).or_default() += 1;
            self.confidences.add(*confidence);
        }
        let outcome = |found: Option<(&str, f64)>| match found {
            None => Outcome::dropped("no_language"),
            Some((code, _)) if !self.keep.contains(&code) => Outcome::dropped("other_language"),
            Some((_, confidence)) if confidence < self.min => Outcome::dropped("low_confidence"),
            Some(_) => Outcome::Kept,
        };
        languages.into_iter().map(outcome).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        state(&(&self.confidences, &self.documents))
    }

    fn remember(&mut self, learned: &[u8]) {
        let mut found = (self.confidences.clone(), BTreeMap::<String, u64>::new());
        recalled(learned, &mut found);
        self.confidences = found.0;
        let code = |code: &str| LANGUAGES.iter().find(|language| language.code == code).map(|language| language.code);
        self.documents = found.1.iter().filter_map(|(name, count)| Some((code(name)?, *count))).collect();
    }

    fn finish(&self, report: &mut StepReport) {
        let mut documents: Vec<(&str, u64)> = self.documents.iter().map(|(code, count)| (*code, *count)).collect();
        report.measures.extend(documents.iter().map(|(code, count)| (format!("documents.{code}"), *count as f64)));
        self.confidences.measure("confidence", &mut report.measures);
        documents.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        let shown: Vec<String> =
            documents.iter().take(10).map(|(code, count)| format!("{code} {}", grouped(*count))).collect();
        report
            .notes
            .push(format!("languages: {}", if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }));
        report.notes.push(self.confidences.line("confidence"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_of_the_recipe_language_can_be_told_and_no_other() {
        let ours: Vec<&str> = LANGUAGES.iter().map(|language| language.long_code).collect();
        for code in &ours {
            assert!(whatlang::Lang::from_code(*code).is_some(), "{code}");
        }
        for language in whatlang::Lang::all() {
            assert!(ours.contains(&language.code()), "{language:?}");
        }
    }

    #[test]
    fn languages_are_told() {
        for (text, code) in [
            ("The children walked slowly through the quiet forest before it began to rain.", "en"),
            ("Die Kinder gingen langsam durch den stillen Wald, bevor es zu regnen begann.", "de"),
            ("Les enfants marchaient lentement dans la forêt avant que la pluie ne commence.", "fr"),
            ("Дети медленно шли через тихий лес, прежде чем начался дождь.", "ru"),
            ("孩子们在下雨之前慢慢地走过安静的森林。", "zh"),
        ] {
            assert_eq!(language_of(text).map(|found| found.0), Some(code), "{text}");
        }
        assert_eq!(language_of("12 + 34 = 46"), None);
    }
}
