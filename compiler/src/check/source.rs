//! Sources of a dataset: their plans, compared with the files that they name.

use llmc_grammar::codes::{DATA_KIND, FEATURE_MISSING, NO_EFFECT, OUT_OF_RANGE, SOURCE_NOT_FOUND, SOURCE_UNFIT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::mismatch::there_are;
use super::nearest::nearest;
use super::record::{Read, Record};
use crate::plan::{About, Columns, ContentType, Layout, MissingColumn, Source, SourceKind, SourcePlan};
use crate::world::{SourceFacts, World};

/// The plan of a source; nothing after a mistake that is reported.
///
/// # Errors
/// A delimiter that is none.
pub fn plan(call: &Record) -> Result<Option<Source>, Box<Diagnostic>> {
    let delimiter = match call.form.field("delimiter").and_then(|_| call.optional("delimiter", Read::text)) {
        Some(Some(text)) => Some(delimiter(call, &text)?),
        _ => None,
    };
    let read = || {
        let place = place(call, delimiter)?;
        Some(Source { place, columns: columns(call)?, about: about(call)? })
    };
    Ok(read())
}

fn place(call: &Record, delimiter: Option<char>) -> Option<SourcePlan> {
    Some(match call.form.name {
        "files" => SourcePlan::Files { pattern: call.text("pattern")? },
        "text" => SourcePlan::Text { path: call.text("path")? },
        "jsonl" => SourcePlan::Jsonl { path: call.text("path")?, field: call.text("field")? },
        "csv" => SourcePlan::Csv { path: call.text("path")?, field: call.text("field")?, delimiter },
        "parquet" => SourcePlan::Parquet { path: call.text("path")?, field: call.text("field")? },
        "folder" => SourcePlan::Folder { path: call.text("path")?, field: call.text("field")? },
        "random_tokens" => SourcePlan::RandomTokens {
            vocab: call.integer("vocab")?,
            count: call.quantity("count")?.whole_in_base()?,
            seed: call.integer("seed")?,
        },
        _ => SourcePlan::Tokens {
            path: call.text("path")?,
            tensor: call.optional("tensor", Read::text)?,
            weights: call.optional("weights", Read::text)?,
        },
    })
}

fn delimiter(call: &Record, text: &str) -> Result<char, Box<Diagnostic>> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one.is_ascii() && !matches!(one, '"' | '\n' | '\r') => Ok(one),
        _ => Err(Box::new(
            Diagnostic::error(OUT_OF_RANGE, "`delimiter` must be one ASCII character")
                .label(call.place("delimiter"), format!("{text:?} is not"))
                .help("for example `delimiter: \";\"`; a quote or an end of line divides no values"),
        )),
    }
}

fn columns(call: &Record) -> Option<Columns> {
    if call.form.field("messages").is_none() {
        return Some(Columns::default());
    }
    let name = |argument| call.optional(argument, Read::text);
    Some(Columns {
        messages: name("messages")?,
        prompt: name("prompt")?,
        context: name("context")?,
        response: name("response")?,
        chosen: name("chosen")?,
        rejected: name("rejected")?,
        score: name("score")?,
    })
}

fn about(call: &Record) -> Option<About> {
    let is_there = |argument| call.form.field(argument).is_some();
    if !is_there("license") {
        return Some(About::default());
    }
    let kind = call.optional("kind", Read::call)?;
    Some(About {
        kind: kind.and_then(|kind| SourceKind::ALL.into_iter().find(|known| known.name() == kind.form.name)),
        license: call.optional("license", Read::text)?,
        weight: if is_there("weight") { call.optional("weight", Read::number)? } else { None },
        notes: call.optional("notes", Read::text)?,
    })
}

/// What the world knows of a source, compared with what the recipe says of it.
pub fn ask(
    call: &Record,
    source: &Source,
    content: ContentType,
    span: &Span,
    name: &Name,
    world: &dyn World,
) -> Result<Option<SourceFacts>, Box<Diagnostic>> {
    if let Some(mistake) = without_meaning(call, source, content, name) {
        return Err(Box::new(mistake));
    }
    if let SourcePlan::RandomTokens { count, .. } = source.place {
        return Ok(Some(SourceFacts::Tokens { rows: None, row_length: None, tokens: count, tensors: Vec::new() }));
    }
    let facts = world.source(&source.place).map_err(|reason| {
        let code = SOURCE_NOT_FOUND;
        let message = format!("dataset `{}` cannot be read here", name.text);
        Box::new(Diagnostic::warning(code, message).label(span, reason).help(
            "the recipe compiles without its data but cannot run; point it elsewhere in the recipe or with `--set`",
        ))
    })?;
    match (&source.place, &facts) {
        (_, SourceFacts::Unavailable { feature }) => {
            let message = format!("this build of llmc has no reader for `{}`", call.form.name);
            Err(Box::new(
                Diagnostic::error(FEATURE_MISSING, message)
                    .label(span, format!("needs the feature `{feature}`"))
                    .help(format!("build it in: `cargo install --path runtime --features {feature}`; or turn the file into `.jsonl`")),
            ))
        }
        (place, SourceFacts::Records { text_fields, fields }) => {
            compare(call, source, content, place, text_fields, fields)?;
            Ok(Some(facts))
        }
        (SourcePlan::Tokens { path, tensor, weights }, SourceFacts::Tokens { tensors, .. })
            if [tensor, weights].into_iter().flatten().any(|name| !tensors.contains(name))
                && (weights.is_some() || !tensors.is_empty()) =>
        {
            let known: Vec<&str> = tensors.iter().map(String::as_str).collect();
            let named = [("tensor", tensor), ("weights", weights)].into_iter();
            let mut named = named.filter_map(|(field, name)| Some((field, name.as_ref()?)));
            let missing = named.find(|(_, name)| !tensors.contains(name));
            let Some((field, name)) = missing else { return Ok(Some(facts)) };
            let message = format!("`{path}` has no tensor `{name}`");
            Err(unfit(call.place(field), message, "not in the file", name, &known))
        }
        (SourcePlan::Tokens { path, tensor: None, .. }, SourceFacts::Tokens { tensors, .. }) if tensors.len() > 1 => {
            let known: Vec<&str> = tensors.iter().map(String::as_str).collect();
            Err(Box::new(
                Diagnostic::error(SOURCE_UNFIT, format!("`{path}` has {} tensors", tensors.len()))
                    .label(span, "which of them?")
                    .help(format!("say `tensor: \"...\"`; {}", there_are(&known))),
            ))
        }
        _ => Ok(Some(facts)),
    }
}

/// Arguments for columns that the data set's type has no use for.
fn without_meaning(call: &Record, source: &Source, content: ContentType, name: &Name) -> Option<Diagnostic> {
    let mut useless = source.columns.without_meaning(content);
    // `field` has a default; what is written of it matters only where running text is read.
    let text = matches!(content, ContentType::Text | ContentType::Scored);
    if source.place.has_columns() && call.is_written("field") && !text {
        useless.insert(0, "field");
    }
    let argument = useless.first()?;
    let message = format!("`{argument}` has no effect: `{}` is {}", name.text, content.name());
    Some(Diagnostic::error(NO_EFFECT, message).label(call.place(argument), "not read").help(match content {
        ContentType::Text => "write the dataset's `type`, such as `type = dialogue`, or remove it",
        _ => "remove it",
    }))
}

/// The columns that are asked for, among those of the first record.
fn compare(
    call: &Record,
    source: &Source,
    content: ContentType,
    place: &SourcePlan,
    text_fields: &[String],
    fields: &[String],
) -> Result<(), Box<Diagnostic>> {
    let path = place.describe();
    let field = place.field().unwrap_or_default();
    if content == ContentType::Text && !text_fields.iter().any(|text| text == field) {
        let texts: Vec<&str> = text_fields.iter().map(String::as_str).collect();
        let (message, label) = match fields.iter().any(|known| known == field) {
            true => (format!("`{field}` in `{path}` is not a text"), "another kind of value"),
            false => (format!("`{path}` has no field `{field}`"), "not in the first record"),
        };
        return Err(unfit(call.place("field"), message, label, field, &texts));
    }
    match Layout::find(content, &source.columns, field, fields) {
        Ok(_) => Ok(()),
        Err(missing) => Err(missing_column(call, &missing, content, &path, fields)),
    }
}

fn missing_column(
    call: &Record,
    missing: &MissingColumn,
    content: ContentType,
    path: &str,
    fields: &[String],
) -> Box<Diagnostic> {
    let known: Vec<&str> = fields.iter().map(String::as_str).collect();
    let MissingColumn { role, written, usual } = missing;
    let span = if call.is_written(role) { call.place(role) } else { &call.span };
    let mistake = match written {
        Some(name) => Diagnostic::error(SOURCE_UNFIT, format!("`{path}` has no column `{name}`"))
            .label(span, "not in the first record"),
        None => {
            let message = format!("`{path}` has no column that `{}` data usually has", content.name());
            let usual: Vec<String> = usual.iter().map(|name| format!("`{name}`")).collect();
            Diagnostic::error(DATA_KIND, message).label(span, format!("none of {}", usual.join(", ")))
        }
    };
    let wanted = written.as_deref().or(usual.first().copied()).unwrap_or_default();
    let there = there_are(&known);
    Box::new(match (nearest(wanted, known.iter().copied()), known.is_empty()) {
        (_, true) => mistake.help("the first record has no column"),
        (Some(near), _) => mistake.help(format!("did you mean `{role}: \"{near}\"`? {there}")),
        (None, _) => mistake.help(format!("name it, as in `{role}: \"...\"`; {there}")),
    })
}

fn unfit(span: &Span, message: String, label: &str, name: &str, known: &[&str]) -> Box<Diagnostic> {
    let mistake = Diagnostic::error(SOURCE_UNFIT, message).label(span, label);
    Box::new(match (nearest(name, known.iter().copied()), known) {
        (Some(near), [_]) => mistake.help(format!("did you mean `{near}`?")),
        (Some(near), _) => mistake.help(format!("did you mean `{near}`? {}", there_are(known))),
        (None, []) => mistake.help("no field of the first record is a text"),
        (None, _) => mistake.help(there_are(known)),
    })
}
