//! A dataset's `process`.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, NO_EFFECT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;

use super::curation;
use super::dataset::Dataset;
use super::record::{Read, Record};
use crate::plan::{ContentType, LineCleaning, PiiKind, ProcessPlan, Replacement, Rule, RuleLimit, Scope, TextUnit};
use crate::world::World;

/// What steps are checked against beside their own fields.
pub struct Surroundings<'a> {
    /// The data sets declared so far.
    pub datasets: &'a BTreeMap<String, Option<Dataset>>,
    /// What is known of files.
    pub world: &'a dyn World,
    /// Where mistakes go.
    pub diagnostics: &'a mut Diagnostics,
}

/// The steps of a data set of this type. Nothing after a mistake.
pub fn steps(
    record: &Record,
    content: ContentType,
    spans: &[Span],
    around: &mut Surroundings<'_>,
) -> Option<Vec<ProcessPlan>> {
    let written = record.optional("process", |read| match read {
        Read::List(items) => Some(items),
        _ => None,
    })?;
    let Some(written) = written else {
        return Some(Vec::new());
    };
    if content == ContentType::Tokens {
        around.diagnostics.push(
            Diagnostic::error(DATA_KIND, "token ids cannot be processed as text")
                .label(record.place("process"), "reads text")
                .label(&spans[0], "token ids")
                .help("process the text that the ids were made from, or remove `process`"),
        );
        return None;
    }
    let mut steps = Vec::new();
    let mut sound = true;
    for (item, span) in written {
        let Some(step) = item.call().and_then(|call| step(call, around)) else {
            sound = false;
            continue;
        };
        if let ProcessPlan::Filter { name, rules, lines, .. } = &step
            && rules.is_empty()
            && *lines == LineCleaning::default()
        {
            let wrong = Diagnostic::error(NO_EFFECT, format!("`{name}` asks for nothing")).label(span, "no rule");
            around.diagnostics.push(wrong.help("write the rules that documents must keep: `filter(min_bytes: 200)`"));
            return None;
        }
        if content.is_record() && step.scope() == Scope::Cleaning {
            let wrong =
                Diagnostic::error(DATA_KIND, format!("lines of `{}` records cannot be removed", content.name()))
                    .label(span, "removes lines of a text that consists of several");
            around.diagnostics.push(wrong.help("give the limits without the cleaning: `terminal_punctuation: false, min_line_words: none, boilerplate: false`"));
            return None;
        }
        if steps.contains(&step) {
            let wrong =
                Diagnostic::error(NO_EFFECT, "the same step stands twice").label(span, "finds nothing more to do");
            around.diagnostics.push(wrong.help("remove it"));
            return None;
        }
        steps.push(step);
    }
    sound.then_some(steps)
}

fn step(call: &Record, around: &mut Surroundings<'_>) -> Option<ProcessPlan> {
    if let Some(step) = curation::step(call, around) {
        return step;
    }
    Some(match call.form.name {
        "dedup_exact" => ProcessPlan::DedupExact,
        "dedup_near" => ProcessPlan::DedupNear {
            threshold: call.number("threshold")?,
            shingle: call.integer("shingle")?,
            hashes: call.integer("hashes")?,
        },
        "dedup_lines" => ProcessPlan::DedupLines {
            unit: match call.call("unit")?.form.name {
                "line" => TextUnit::Line,
                _ => TextUnit::Paragraph,
            },
            min_length: call.integer("min_length")?,
        },
        "pii" => ProcessPlan::Pii {
            kinds: kinds(call)?,
            replace: match call.call("replace")?.form.name {
                "tag" => Replacement::Tag,
                "fake" => Replacement::Fake,
                _ => Replacement::Drop,
            },
            seed: call.integer("seed")?,
        },
        name => ProcessPlan::Filter {
            name: name.to_owned(),
            lines: line_cleaning(call)?,
            short_line: if call.form.field("short_line").is_some() { call.integer("short_line")? } else { 0 },
            rules: rules(call)?,
        },
    })
}

/// Every rule of the form that has a limit, in the order of [`Rule::ALL`].
fn rules(call: &Record) -> Option<Vec<RuleLimit>> {
    let mut rules = Vec::new();
    for &rule in Rule::ALL.iter().filter(|rule| call.form.field(rule.name()).is_some()) {
        let limit = call.optional(rule.name(), |read| match read {
            Read::Integer(value) => Some(*value as f64),
            Read::Number(value) => Some(*value),
            Read::Quantity(value) => Some(value.in_base()),
            _ => None,
        })?;
        rules.extend(limit.map(|limit| RuleLimit { rule, limit }));
    }
    Some(rules)
}

fn line_cleaning(call: &Record) -> Option<LineCleaning> {
    if call.form.field("terminal_punctuation").is_none() {
        return Some(LineCleaning::default());
    }
    Some(LineCleaning {
        terminal_punctuation: call.bool("terminal_punctuation")?,
        min_line_words: call.optional("min_line_words", Read::integer)?,
        boilerplate: call.bool("boilerplate")?,
    })
}

fn kinds(call: &Record) -> Option<Vec<PiiKind>> {
    let written = call.optional("kinds", Read::list)?;
    let Some(written) = written else {
        return Some(PiiKind::ALL.to_vec());
    };
    let names: Option<Vec<&str>> = written.iter().map(|(item, _)| Some(item.call()?.form.name)).collect();
    let names = names?;
    Some(PiiKind::ALL.into_iter().filter(|kind| names.contains(&kind.name())).collect())
}
