//! `tokenizer` declarations.

use std::collections::BTreeMap;
use std::path::Path;

use llmc_grammar::codes::{DATA_KIND, EXCLUSIVE_FIELDS, TOKENIZER_UNFIT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::dataset::Dataset;
use super::mismatch::there_are;
use super::record::{Read, Record};
use crate::plan::{TiktokenEncoding, TokenizerModel, TokenizerPlan, TokenizerSource, TrainedTokenizer};
use crate::world::World;

/// Builds the plan of a tokenizer. Nothing after a mistake.
pub fn check(
    record: &Record,
    name: &Name,
    datasets: &BTreeMap<String, Option<Dataset>>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let train = record.optional("train", Read::call);
    let load = record.optional("load", Some);
    let end_of_text = record.optional("end_of_text", Read::text);
    if record.is_written("train") && record.is_written("load") {
        diagnostics.push(
            Diagnostic::error(EXCLUSIVE_FIELDS, format!("tokenizer `{}` is both trained and loaded", name.text))
                .label(record.place("load"), "loaded")
                .label(record.place("train"), "trained")
                .help("keep one of `train` and `load`"),
        );
        return None;
    }
    match (train?, load?) {
        (Some(call), _) => trained(call, end_of_text?, datasets, diagnostics),
        (None, Some(Read::Text(path))) => loaded(record, path, end_of_text?, world, diagnostics),
        (None, Some(Read::Call(call))) if call.form.name == "tiktoken" => {
            ranks(record, call, end_of_text?, world, diagnostics)
        }
        (None, Some(_)) => {
            let end_of_text = end_of_text?;
            Some(TokenizerPlan {
                source: TokenizerSource::Bytes,
                vocab: if end_of_text.is_some() { 257 } else { 256 },
                end_of_text,
            })
        }
        (None, None) => {
            diagnostics.push(
                Diagnostic::error(EXCLUSIVE_FIELDS, format!("tokenizer `{}` is neither trained nor loaded", name.text))
                    .label(&name.span, "needs `train` or `load`")
                    .help("for example `train = byte_bpe(vocab: 8192, on: DATASET)` or `load = \"tokenizer.json\"`"),
            );
            None
        }
    }
}

fn trained(
    call: &Record,
    end_of_text: Option<String>,
    datasets: &BTreeMap<String, Option<Dataset>>,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let dataset = call.declaration("on")?.to_owned();
    if let Some(Some(data)) = datasets.get(&dataset).filter(|data| data.as_ref().is_some_and(Dataset::is_tokens)) {
        diagnostics.push(
            Diagnostic::error(DATA_KIND, format!("a tokenizer is trained on text, but `{dataset}` is token ids"))
                .label(call.place("on"), "token ids")
                .label(&data.name.span, "declared here"),
        );
        return None;
    }
    if let Some(Some(data)) = datasets.get(&dataset).filter(|data| data.as_ref().is_some_and(Dataset::is_record)) {
        let content = data.plan.content.name();
        diagnostics.push(
            Diagnostic::error(DATA_KIND, format!("a tokenizer is trained on text, but `{dataset}` is `{content}`"))
                .label(call.place("on"), "records of several texts")
                .label(&data.name.span, "declared here")
                .help("declare a dataset of the same files as text: `field: \"...\"` and no `type`"),
        );
        return None;
    }
    let model = match call.form.name {
        "wordpiece" => TokenizerModel::WordPiece { lowercase: call.bool("lowercase")? },
        "unigram" => TokenizerModel::Unigram,
        _ => TokenizerModel::ByteBpe,
    };
    let special = special(call, diagnostics)?.unwrap_or_default();
    let limit_bytes = call.quantity("sample")?.whole_in_base()?;
    Some(TokenizerPlan {
        source: TokenizerSource::Trained(TrainedTokenizer { model, dataset, limit_bytes, special }),
        vocab: call.integer("vocab")?,
        end_of_text,
    })
}

/// The special tokens that a call adds, if any are written. Nothing after a mistake.
fn special(call: &Record, diagnostics: &mut Diagnostics) -> Option<Option<Vec<String>>> {
    let Some(written) = call.optional("special", Read::list)? else {
        return Some(None);
    };
    let mut names: Vec<String> = Vec::new();
    for (item, span) in written {
        let name = item.text()?;
        if name.is_empty() || names.contains(&name) {
            let reason = if name.is_empty() { "no text" } else { "written twice" };
            let mistake = Diagnostic::error(TOKENIZER_UNFIT, format!("{name:?} is no further special token"));
            diagnostics.push(mistake.label(span, reason).help("write each special token once"));
            return None;
        }
        names.push(name);
    }
    Some(Some(names))
}

fn loaded(
    record: &Record,
    path: &str,
    end_of_text: Option<String>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let facts = match world.tokenizer(path) {
        Ok(facts) => facts,
        Err(reason) => {
            let help = match path.ends_with(".tiktoken") {
                true => format!("a file of ranks is loaded by `load = tiktoken({path:?})`"),
                false => "the path of a Hugging Face `tokenizer.json`, relative to the recipe".to_owned(),
            };
            diagnostics.push(unreadable(path, record.place("load"), reason).help(help));
            return None;
        }
    };
    ends_text(record, path, end_of_text.as_deref(), &facts.special, diagnostics)?;
    Some(TokenizerPlan { source: TokenizerSource::File { path: path.to_owned() }, vocab: facts.vocab, end_of_text })
}

fn ranks(
    record: &Record,
    call: &Record,
    end_of_text: Option<String>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let path = call.text("path")?;
    let named = call.optional("encoding", Read::call)?.map(|encoding| encoding.form.name);
    let named = named.or_else(|| Path::new(&path).file_stem()?.to_str());
    let Some(encoding) = TiktokenEncoding::ALL.into_iter().find(|encoding| Some(encoding.name()) == named) else {
        let names = TiktokenEncoding::ALL.map(|encoding| format!("`{}`", encoding.name())).join(", ");
        diagnostics.push(
            Diagnostic::error(TOKENIZER_UNFIT, format!("`{path}` does not say which encoding it is of"))
                .label(call.place("path"), "not the name of an encoding")
                .help(format!("write which it is, as in `tiktoken({path:?}, encoding: cl100k_base)`: {names}")),
        );
        return None;
    };
    let special = special(call, diagnostics)?;
    let ids = match world.tiktoken(&path) {
        Ok(ids) => ids,
        Err(reason) => {
            let help = "the path of a file of ranks as tiktoken has it, relative to the recipe";
            diagnostics.push(unreadable(&path, call.place("path"), reason).help(help));
            return None;
        }
    };
    let (vocab, names) = match &special {
        Some(names) => (ids + names.len() as u64, names.clone()),
        None => {
            let own = encoding.special();
            let largest = own.iter().map(|(_, id)| id + 1).max().unwrap_or(0);
            (ids.max(largest), own.iter().map(|(name, _)| (*name).to_owned()).collect())
        }
    };
    ends_text(record, &path, end_of_text.as_deref(), &names, diagnostics)?;
    Some(TokenizerPlan { source: TokenizerSource::Tiktoken { path, encoding, special }, vocab, end_of_text })
}

fn unreadable(path: &str, place: &Span, reason: String) -> Diagnostic {
    Diagnostic::error(TOKENIZER_UNFIT, format!("cannot load the tokenizer `{path}`")).label(place, reason)
}

/// The token put after each document must be one of the special tokens of a loaded tokenizer.
fn ends_text(
    record: &Record,
    path: &str,
    end_of_text: Option<&str>,
    special: &[String],
    diagnostics: &mut Diagnostics,
) -> Option<()> {
    let Some(end) = end_of_text.filter(|end| !special.iter().any(|known| known == end)) else {
        return Some(());
    };
    let known: Vec<String> = special.iter().map(|each| format!("{each:?}")).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).take(8).collect();
    let mistake = Diagnostic::error(TOKENIZER_UNFIT, format!("`{path}` has no special token `{end}`"));
    let mistake = match record.entry("end_of_text").filter(|entry| entry.written) {
        Some(entry) => mistake.label(&entry.span, "not in the file"),
        None => mistake.label(record.place("load"), format!("`end_of_text` is {end:?} unless it is written")),
    };
    diagnostics.push(match known.is_empty() {
        true => mistake.help("it has no special tokens: write `end_of_text = none`"),
        false => mistake.help(format!(
            "{}; write one, as in `end_of_text = {}`, or `end_of_text = none`",
            there_are(&known),
            known.last().copied().unwrap_or_default()
        )),
    });
    None
}
