//! What became of a stage's data: tables of its steps, and rows as the model sees them.

use llmc_compiler::plan::About;
use llmc_data::process::{Document, Example, ProcessReport, StepReport};
use llmc_data::sources::Faults;
use llmc_data::tokenizer::Tokenizer;
use llmc_data::{Batch, DatasetReport, IGNORED, Part, Prepared, Record, RowsReport, SourceReport};
use serde_json::{Value, json};

use llmc_grammar::number::{bytes, grouped};

/// The steps of a data set with what each kept, changed and dropped, examples, and the size of what is left.
pub fn table(prepared: &Prepared, rows: &RowsReport) -> String {
    let mut text = String::new();
    for dataset in &prepared.datasets {
        text.push_str(&sources(dataset));
        text.push_str(&steps(&dataset.name, dataset.process.as_ref()));
    }
    let stats = &prepared.stats;
    text.push_str(&format!(
        "{} documents, {} of text{}{}\n",
        grouped(stats.documents),
        bytes(stats.bytes),
        if stats.skipped > 0 { format!(", {} skipped", grouped(stats.skipped)) } else { String::new() },
        if stats.limited { ", cut off by `limit`" } else { "" }
    ));
    let splits = [("to train on", Some(&stats.train)), ("held out", stats.heldout.as_ref())];
    for (name, split) in splits.into_iter().filter_map(|(name, split)| Some((name, split?))) {
        text.push_str(&format!(
            "  {:<12} {} tokens in {} documents\n",
            name,
            grouped(split.tokens),
            grouped(split.documents)
        ));
    }
    text.push_str(&rows.line());
    text.push('\n');
    for line in reading(prepared) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// What every step of a data set kept, changed and dropped.
fn steps(dataset: &str, report: Option<&ProcessReport>) -> String {
    let Some(report) = report else { return String::new() };
    let mut text = String::new();
    let read = (report.documents_read, report.bytes_read);
    text.push_str(&format!("{:<24}{:>14}{:>14}{:>12}{:>12}\n", dataset, "documents", "text", "dropped", "changed"));
    let bar = |kept: u64| bar(kept, read.1);
    text.push_str(&format!(
        "  {:<22}{:>14}{:>14}{:>24}  {}\n",
        "read",
        grouped(read.0),
        bytes(read.1),
        "",
        bar(read.1)
    ));
    for step in &report.steps {
        text.push_str(&format!(
            "  {:<22}{:>14}{:>14}{:>12}{:>12}  {}\n",
            step.step,
            grouped(step.documents_kept),
            bytes(step.bytes_kept),
            grouped(step.dropped_documents()),
            grouped(step.changed),
            bar(step.bytes_kept)
        ));
    }
    text.push('\n');
    report.steps.iter().for_each(|step| text.push_str(&details(step)));
    text
}

/// A plot of what is left of the text that was read, a block for each twentieth.
fn bar(kept: u64, read: u64) -> String {
    let share = kept as f64 / read.max(1) as f64;
    let blocks = ((share * 20.0).round() as usize).min(20);
    format!("{}{} {:.1}%", "█".repeat(blocks), "·".repeat(20 - blocks), share * 100.0)
}

/// What was read of every source, where there is more to say than the sums do.
fn sources(dataset: &DatasetReport) -> String {
    let plain = |source: &SourceReport| source.about == About::default() && source.read.faults == Faults::default();
    if dataset.sources.len() < 2 && dataset.sources.iter().all(plain) {
        return String::new();
    }
    let mut text = format!(
        "{:<34}{:>12}{:>12}  {:<12}{:<14}\n",
        format!("{} sources", dataset.name),
        "documents",
        "text",
        "kind",
        "licence"
    );
    for source in &dataset.sources {
        let About { kind, license, weight, notes } = &source.about;
        let line = format!(
            "  {:<32}{:>12}{:>12}  {:<12}{:<14}",
            source.source,
            grouped(source.read.documents),
            bytes(source.read.bytes),
            kind.map_or("-", |kind| kind.name()),
            license.as_deref().unwrap_or("-")
        );
        let mut more: Vec<String> = weight.iter().map(|weight| format!("weight {weight}")).collect();
        more.extend(Some(source.read.faults.line()).filter(|line| !line.is_empty()));
        more.extend(notes.clone());
        text.push_str(format!("{} {}", line.trim_end(), more.join("; ")).trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

/// What became of a data set's documents, without tokens.
pub fn documents_table(dataset: &DatasetReport) -> String {
    let faults = dataset.faults().line();
    format!(
        "{}{}{} documents, {} of text{}{}\n",
        sources(dataset),
        steps(&dataset.name, dataset.process.as_ref()),
        grouped(dataset.documents),
        bytes(dataset.bytes),
        if faults.is_empty() { String::new() } else { format!(" ({faults})") },
        if dataset.limited { ", cut off by `limit`" } else { "" }
    )
}

/// A document with each of its texts under the part that it plays.
pub fn preview_document(document: &Document, colour: bool) -> String {
    let place = match document.origin.position {
        0 => document.origin.source.clone(),
        line => format!("{}:{line}", document.origin.source),
    };
    let score = match &document.record {
        Some(Record::Scored { score, .. }) => format!(", score {score}"),
        _ => String::new(),
    };
    let mut text = format!("\n{place}{score}\n");
    let texts = match &document.record {
        Some(record) => record.texts(),
        None => vec![("text".to_owned(), document.text.as_str())],
    };
    for (part, content) in texts {
        let part = if colour { format!("\u{1b}[1m{part}\u{1b}[0m") } else { part };
        let lines: Vec<String> = content.lines().map(|line| format!("    {line}\n")).collect();
        text.push_str(&format!("  {part}\n{}", lines.concat()));
    }
    text
}

/// How often each part is read in the stage, and its share of the rows.
pub fn reading(prepared: &Prepared) -> Vec<String> {
    let several = prepared.parts.len() > 1;
    let one = |part: &Part| {
        let share = if several { format!("{:.1}% of the rows, ", part.share * 100.0) } else { String::new() };
        let held = match &part.heldout_stats {
            Some(held) if several => format!(", {} tokens held out", grouped(held.tokens)),
            _ => String::new(),
        };
        format!("{}: {share}read {:.2} times{held}", part.name, part.epochs)
    };
    prepared.parts.iter().map(one).collect()
}

/// `data.json`: data sets with their sources and steps, and the parts that rows are taken from.
pub fn report(prepared: &Prepared) -> Value {
    let part = |part: &Part| {
        json!({
            "name": part.name,
            "share": part.share,
            "epochs": part.epochs,
            "train": part.stats,
            "heldout": part.heldout_stats,
        })
    };
    let parts: Vec<Value> = prepared.parts.iter().map(part).collect();
    json!({ "datasets": prepared.datasets, "parts": parts })
}

/// Why documents were dropped, what was found in them, and examples.
fn details(step: &StepReport) -> String {
    let counts = |counts: &std::collections::BTreeMap<String, u64>| -> String {
        let mut pairs: Vec<(&String, u64)> = counts.iter().map(|(name, count)| (name, *count)).collect();
        pairs.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        let shown: Vec<String> = pairs.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
        shown.join(", ")
    };
    let mut lines = Vec::new();
    lines.extend(step.notes.iter().cloned());
    if !step.dropped.is_empty() {
        lines.push(format!("dropped: {}", counts(&step.dropped)));
    }
    if step.added > 0 {
        lines.push(format!("added: {} copies", grouped(step.added)));
    }
    if !step.found.is_empty() {
        lines.push(format!("found: {}", counts(&step.found)));
    }
    lines.extend(step.examples.iter().map(example));
    if lines.is_empty() {
        return String::new();
    }
    format!("{}\n  {}\n\n", step.step, lines.join("\n  "))
}

fn example(example: &Example) -> String {
    let place = |origin: &llmc_data::process::Origin| match origin.position {
        0 => origin.source.clone(),
        line => format!("{}:{line}", origin.source),
    };
    let like = example.like.as_ref().map(|like| format!(", like {}", place(like))).unwrap_or_default();
    format!("- {} {}{like}\n      {}", example.what, place(&example.origin), example.excerpt)
}

/// The first `rows` rows of a batch, token by token: those whose successor is learned, and those where none is.
/// `|` stands where a document ends. Without colour, tokens that nothing is learned from stand in `{...}`.
pub fn preview(batch: &Batch, rows: usize, step: u64, tokenizer: Option<&Tokenizer>, colour: bool) -> String {
    let mut text = String::new();
    for row in 0..rows.min(batch.rows) {
        let range = row * batch.row_length..(row + 1) * batch.row_length;
        let documents = batch.documents[range.end - 1] - batch.documents[range.start] + 1;
        let learned = batch.targets[range.clone()].iter().filter(|target| **target != IGNORED).count();
        text.push_str(&format!(
            "\nstep {step}, row {row}: {} tokens, {learned} learned from, {documents} document{}\n",
            batch.row_length,
            if documents == 1 { "" } else { "s" }
        ));
        for at in range.clone() {
            if at > range.start && batch.documents[at] != batch.documents[at - 1] {
                text.push_str(if colour { "\u{1b}[1;33m|\u{1b}[0m" } else { "|" });
            }
            let token = shown(batch.tokens[at], tokenizer);
            let masked = batch.targets[at] == IGNORED;
            text.push_str(&match (masked, colour) {
                (true, true) => format!("\u{1b}[2m{token}\u{1b}[0m"),
                (true, false) => format!("{{{token}}}"),
                // Alternating shades show where tokens begin.
                (false, true) if at % 2 == 0 => format!("\u{1b}[32m{token}\u{1b}[0m"),
                (false, true) => format!("\u{1b}[36m{token}\u{1b}[0m"),
                (false, false) => token,
            });
        }
        text.push('\n');
    }
    text
}

/// A token's text with control characters made visible, or its id.
fn shown(id: i32, tokenizer: Option<&Tokenizer>) -> String {
    let id = id as u32;
    let text = tokenizer.and_then(|tokenizer| tokenizer.decode(&[id], false).ok());
    let Some(text) = text else {
        return format!(" {id}");
    };
    let visible = |each: char| match each {
        '\n' => "⏎\n".to_owned(),
        '\t' => "→   ".to_owned(),
        other if other.is_control() => other.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(visible).collect()
}
