//! Steps of `process` that learn from other data sets, weigh documents, balance groups and keep evaluations out.

use llmc_grammar::codes::{DATA_KIND, MISSING_FIELD, NO_EFFECT, OUT_OF_RANGE, SOURCE_NOT_FOUND};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::process::Surroundings;
use super::record::{Read, Record};
use crate::plan::{
    Balancing, ClassifierPlan, Component, CounterfactualPlan, DecontaminationPlan, EvaluationText, LANGUAGES,
    LanguagePlan, NgramPlan, PerplexityPlan, ProcessPlan, QualityPlan, ReweightPlan, ScorePlan, SourcePlan, TermsPlan,
};

/// Words of the shortest text that is sought whole (Brown et al. 2020, appendix C).
const FEWEST_WORDS: u64 = 8;

/// The step that a call stands for; none where the call is not one of these, nothing inside after a mistake.
pub fn step(call: &Record, around: &mut Surroundings<'_>) -> Option<Option<ProcessPlan>> {
    Some(match call.form.name {
        "quality" => quality(call, around),
        "perplexity" => perplexity(call, around),
        "language" => language(call),
        "score" => score(call, around),
        "drop_terms" => drop_terms(call, around),
        "counterfactual" => counterfactual(call, around),
        "reweight" => reweight(call, around),
        "decontaminate" => decontaminate(call, around),
        _ => return None,
    })
}

fn quality(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    let model = classifier(call.call("model")?, around)?;
    Some(ProcessPlan::Quality(QualityPlan { model, min: call.number("min")? }))
}

fn perplexity(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    let model = language_model(call.call("model")?, around)?;
    let (min, max) = (call.optional("min", Read::number)?, call.optional("max", Read::number)?);
    match (min, max) {
        (None, None) => {
            around.diagnostics.push(
                Diagnostic::error(NO_EFFECT, "`perplexity` asks for nothing")
                    .label(&call.span, "neither `min` nor `max`")
                    .help("write the largest perplexity that is let through: `max: 1000`"),
            );
            None
        }
        (Some(least), Some(most)) if least > most => {
            around.diagnostics.push(
                Diagnostic::error(OUT_OF_RANGE, "no document can pass: `min` is larger than `max`")
                    .label(call.place("min"), format!("at least {least}"))
                    .label(call.place("max"), format!("at most {most}")),
            );
            None
        }
        _ => Some(ProcessPlan::Perplexity(PerplexityPlan { model, min, max })),
    }
}

fn language(call: &Record) -> Option<ProcessPlan> {
    Some(ProcessPlan::Language(LanguagePlan { keep: languages(call, "keep")?, min: call.number("min")? }))
}

/// The languages of a field, none twice, in the order of the codes; none where the field is not written.
fn languages(call: &Record, field: &str) -> Option<Vec<&'static str>> {
    let written = call.optional(field, items)?.unwrap_or(&[]);
    let codes: Option<Vec<String>> = written.iter().map(|(item, _)| item.text()).collect();
    let codes = codes?;
    let known = LANGUAGES.iter().map(|language| language.code);
    Some(known.filter(|code| codes.iter().any(|written| written == code)).collect())
}

fn score(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    let formula = call.optional("formula", |read| match read {
        Read::Formula(formula) => Some(formula.clone()),
        _ => None,
    })??;
    let mut sound = true;
    for (component, field) in
        [(Component::Quality, "quality"), (Component::Fluency, "fluency"), (Component::Language, "language")]
    {
        let used = formula.weights.iter().any(|(each, _)| *each == component);
        let mistake = match (used, call.is_written(field)) {
            (true, false) => {
                Diagnostic::error(MISSING_FIELD, format!("the component `{field}` needs the argument `{field}`"))
                    .label(call.place("formula"), format!("`{field}` is a part of this sum"))
                    .help(format!("for example `{field}: {}`", call.form.field(field)?.example))
            }
            (false, true) => Diagnostic::error(NO_EFFECT, format!("`{field}` is no part of this score"))
                .label(call.place(field), "not used")
                .label(call.place("formula"), format!("has no `{field}`"))
                .help("remove it, or give it a weight"),
            _ => continue,
        };
        around.diagnostics.push(mistake);
        sound = false;
    }
    let quality = match call.optional("quality", Read::call)? {
        Some(model) => Some(classifier(model, around)?),
        None => None,
    };
    let fluency = match call.optional("fluency", Read::call)? {
        Some(model) => Some(language_model(model, around)?),
        None => None,
    };
    let language = languages(call, "language")?;
    sound.then_some(ProcessPlan::Score(ScorePlan { formula, quality, fluency, language }))
}

fn drop_terms(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    Some(ProcessPlan::DropTerms(TermsPlan {
        file: file(call, "file", around)??,
        max: call.integer("max")?,
        leetspeak: call.bool("leetspeak")?,
    }))
}

fn counterfactual(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    Some(ProcessPlan::Counterfactual(CounterfactualPlan {
        pairs: file(call, "pairs", around)?,
        share: call.quantity("share")?.in_base(),
        keep_original: call.call("action")?.form.name == "add",
        attributes: file(call, "attributes", around)?,
        seed: call.integer("seed")?,
    }))
}

fn reweight(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    let by = match call.call("by")?.form.name {
        "drop" => Balancing::Drop,
        _ => Balancing::Copy,
    };
    if by == Balancing::Drop && call.is_written("max_repeat") {
        around.diagnostics.push(
            Diagnostic::error(NO_EFFECT, "`max_repeat` has no effect where documents are left out")
                .label(call.place("max_repeat"), "nothing is repeated")
                .help("remove it, or write `by: copy`"),
        );
        return None;
    }
    Some(ProcessPlan::Reweight(ReweightPlan {
        pairs: file(call, "pairs", around)?,
        ratio: call.number("ratio")?,
        by,
        max_repeat: call.integer("max_repeat")?,
        attributes: file(call, "attributes", around)?,
        seed: call.integer("seed")?,
    }))
}

fn decontaminate(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    let mut against = Vec::new();
    for (item, span) in call.optional("against", items)?? {
        let text = match item {
            Read::Declaration(name) => EvaluationText::Dataset(of_text(name, span, around)?),
            Read::Text(path) => {
                warn_if_missing(path, span, around);
                EvaluationText::File(path.clone())
            }
            _ => return None,
        };
        if against.contains(&text) {
            let mistake = Diagnostic::error(NO_EFFECT, "the same evaluation stands twice").label(span, "again");
            around.diagnostics.push(mistake.help("remove it"));
            return None;
        }
        against.push(text);
    }
    let ngram = call.integer("ngram")?;
    let min_words = call.optional("min_words", Read::integer)?.unwrap_or(FEWEST_WORDS.min(ngram));
    if min_words > ngram {
        around.diagnostics.push(
            Diagnostic::error(OUT_OF_RANGE, "`min_words` is larger than `ngram`")
                .label(call.place("min_words"), format!("{min_words}, where an n-gram has {ngram} words"))
                .help("texts of fewer words than an n-gram are sought whole from `min_words` on"),
        );
        return None;
    }
    let drop = call.call("action")?.form.name == "drop";
    Some(ProcessPlan::Decontaminate(DecontaminationPlan { against, ngram, min_words, drop }))
}

fn classifier(call: &Record, around: &mut Surroundings<'_>) -> Option<ClassifierPlan> {
    let good = dataset(call, "good", around);
    let bad = dataset(call, "bad", around);
    let (good, bad) = (good?, bad?);
    if good == bad {
        around.diagnostics.push(
            Diagnostic::error(NO_EFFECT, format!("`{good}` is both good and bad: nothing can be learned"))
                .label(call.place("good"), "good")
                .label(call.place("bad"), "bad")
                .help("name two data sets"),
        );
        return None;
    }
    Some(ClassifierPlan { good, bad, sample_bytes: call.quantity("sample")?.whole_in_base()? })
}

fn language_model(call: &Record, around: &mut Surroundings<'_>) -> Option<NgramPlan> {
    Some(NgramPlan {
        on: dataset(call, "on", around)?,
        order: call.integer("order")?,
        sample_bytes: call.quantity("sample")?.whole_in_base()?,
    })
}

/// The data set of text that a field names.
fn dataset(call: &Record, field: &str, around: &mut Surroundings<'_>) -> Option<String> {
    of_text(call.declaration(field)?, call.place(field), around)
}

/// The data set's name if it is without mistakes and holds text.
fn of_text(name: &str, span: &Span, around: &mut Surroundings<'_>) -> Option<String> {
    let declared = around.datasets.get(name)?.as_ref()?;
    if !declared.is_tokens() {
        return Some(name.to_owned());
    }
    let mistake = Diagnostic::error(DATA_KIND, format!("`{name}` is token ids, but this step reads text"))
        .label(span, "token ids")
        .label(&declared.name.span, "declared here");
    around.diagnostics.push(mistake.help("name a data set of text"));
    None
}

/// The path in a field that may be left out. A file that is not there is a warning, as for a source.
fn file(call: &Record, field: &str, around: &mut Surroundings<'_>) -> Option<Option<String>> {
    let path = call.optional(field, Read::text)?;
    if let Some(path) = &path {
        warn_if_missing(path, call.place(field), around);
    }
    Some(path)
}

fn warn_if_missing(path: &str, span: &Span, around: &mut Surroundings<'_>) {
    if let Err(reason) = around.world.source(&SourcePlan::Text { path: path.to_owned() }) {
        around.diagnostics.push(
            Diagnostic::warning(SOURCE_NOT_FOUND, format!("`{path}` cannot be read here"))
                .label(span, reason)
                .help("the recipe compiles without it but cannot run; relative paths start at the recipe's directory"),
        );
    }
}

fn items(read: &Read) -> Option<&[(Read, Span)]> {
    match read {
        Read::List(items) => Some(items),
        _ => None,
    }
}
