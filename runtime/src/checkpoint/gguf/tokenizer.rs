//! The tokenizer in a GGUF file as a `tokenizer.json`, and back.
//!
//! Two kinds: byte-level BPE (`gpt2`), whose way of splitting texts is only named (`tokenizer.ggml.pre`), and SentencePiece's BPE
//! (`llama`), which has scores instead of merges. llmc adds the file that it had as `tokenizer.huggingface.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::super::model::TrainedModel;
use super::header::{Header, Value};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const ADD_BEGIN: &str = "tokenizer.ggml.add_bos_token";
const BEGIN: &str = "tokenizer.ggml.bos_token_id";
const END: &str = "tokenizer.ggml.eos_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
const WHOLE: &str = "tokenizer.huggingface.json";

/// SentencePiece's sign for a space.
const SPACE: &str = "\u{2581}";

/// Kinds of tokens (`llama_token_type`).
mod kind {
    pub const NORMAL: i64 = 1;
    pub const UNKNOWN: i64 = 2;
    pub const CONTROL: i64 = 3;
    pub const USER_DEFINED: i64 = 4;
    pub const UNUSED: i64 = 5;
    pub const BYTE: i64 = 6;
}

/// Ways of splitting a text before byte-level BPE, by llama.cpp's names.
fn splitting(pre: &str) -> Option<Json> {
    let byte_level = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
    let by_pattern = |pattern: &str| {
        let split = json!({
            "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false
        });
        json!({ "type": "Sequence", "pretokenizers": [split, byte_level(false)] })
    };
    // The patterns of Llama 3 and Qwen 2 differ in how many digits go together.
    let pattern = |digits: &str| {
        format!(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\
             \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
        )
    };
    Some(match pre {
        "gpt-2" | "gpt2" => byte_level(true),
        "llama-bpe" | "llama3" | "llama-v3" => by_pattern(&pattern("\\p{N}{1,3}")),
        "qwen2" => by_pattern(&pattern("\\p{N}")),
        "smollm" => {
            let digits = json!({ "type": "Digits", "individual_digits": true });
            json!({ "type": "Sequence", "pretokenizers": [digits, byte_level(true)] })
        }
        _ => return None,
    })
}

/// The text of the `tokenizer.json`.
///
/// # Errors
/// A sentence, if there is no tokenizer, or one of a kind that is not known.
pub fn json(header: &Header) -> Result<String, String> {
    if let Some(whole) = header.text(WHOLE) {
        return Ok(whole.to_owned());
    }
    let model = header.text(MODEL).ok_or("it has no tokenizer")?;
    let tokens = header.texts(TOKENS).ok_or("its tokenizer has no tokens")?;
    let types = match header.metadata.get(TYPES) {
        Some(Value::Integers(types)) if types.len() == tokens.len() => types.clone(),
        _ => vec![kind::NORMAL; tokens.len()],
    };
    let vocab = Vocabulary { tokens, types: &types };
    let json = match model {
        "gpt2" => byte_level(header, &vocab)?,
        "llama" => sentence_piece(header, &vocab)?,
        other => return Err(format!("its tokenizer is of the kind `{other}`; known are gpt2 and llama")),
    };
    Ok(json.to_string())
}

/// Tokens and their kinds.
struct Vocabulary<'a> {
    tokens: &'a [String],
    types: &'a [i64],
}

impl Vocabulary<'_> {
    fn ids(&self) -> Map<String, Json> {
        self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect()
    }

    /// Tokens that stand in texts as they are.
    fn added(&self) -> Vec<Json> {
        let rows = self.tokens.iter().zip(self.types).enumerate();
        rows.filter(|(_, (_, kind))| matches!(**kind, kind::UNKNOWN | kind::CONTROL | kind::USER_DEFINED))
            .map(|(id, (token, kind))| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": *kind != kind::USER_DEFINED
                })
            })
            .collect()
    }

    /// A post-processor that puts the token before every text.
    fn beginning_with(&self, id: u64) -> Json {
        let Some(token) = self.tokens.get(id as usize) else { return Json::Null };
        let special = json!({ "SpecialToken": { "id": token, "type_id": 0 } });
        let text = |name: &str, number: u32| json!({ "Sequence": { "id": name, "type_id": number } });
        json!({
            "type": "TemplateProcessing",
            "single": [special, text("A", 0)],
            "pair": [special, text("A", 0), text("B", 1)],
            "special_tokens": { token: { "id": token, "ids": [id], "tokens": [token] } }
        })
    }
}

fn post_processor(header: &Header, vocab: &Vocabulary<'_>, by_default: bool) -> Json {
    match (header.truth(ADD_BEGIN).unwrap_or(by_default), header.whole(BEGIN)) {
        (true, Some(id)) => vocab.beginning_with(id),
        _ => Json::Null,
    }
}

fn byte_level(header: &Header, vocab: &Vocabulary<'_>) -> Result<Json, String> {
    let pre = header.text(PRE).unwrap_or("default");
    let pre_tokenizer =
        splitting(pre).ok_or_else(|| format!("its tokenizer splits texts by the unknown rule `{pre}`"))?;
    let merges = header.texts(MERGES).ok_or("its tokenizer has no merges")?;
    let merges: Option<Vec<Json>> =
        merges.iter().map(|merge| merge.split_once(' ').map(|(left, right)| json!([left, right]))).collect();
    let merges = merges.ok_or("its tokenizer has a merge of less than two tokens")?;
    let llama3 = matches!(pre, "llama-bpe" | "llama3" | "llama-v3");
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": vocab.added(),
        "normalizer": if pre == "qwen2" { json!({ "type": "NFC" }) } else { Json::Null },
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(header, vocab, llama3),
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": llama3,
            "vocab": vocab.ids(), "merges": merges
        }
    }))
}

/// SentencePiece joins the pair whose token has the highest score; BPE the pair that stands first among its merges.
fn sentence_piece(header: &Header, vocab: &Vocabulary<'_>) -> Result<Json, String> {
    let scores = match header.metadata.get(SCORES) {
        Some(Value::Floats(scores)) if scores.len() == vocab.tokens.len() => scores,
        _ => return Err("its tokenizer has no scores".to_owned()),
    };
    let normal = |id: usize| vocab.types[id] == kind::NORMAL;
    let known: BTreeMap<&str, usize> =
        vocab.tokens.iter().enumerate().filter(|(id, _)| normal(*id)).map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges: Vec<(f32, &str, &str)> = Vec::new();
    for (id, token) in vocab.tokens.iter().enumerate().filter(|(id, _)| normal(*id)) {
        let cuts = token.char_indices().skip(1).map(|(place, _)| token.split_at(place));
        let pairs = cuts.filter(|(left, right)| known.contains_key(left) && known.contains_key(right));
        merges.extend(pairs.map(|(left, right)| (scores[id], left, right)));
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let merges: Vec<Json> = merges.into_iter().map(|(_, left, right)| json!([left, right])).collect();
    let unknown = header.whole(UNKNOWN).and_then(|id| vocab.tokens.get(id as usize));
    let space = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let prefixed = header.truth("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let prefix = prefixed.then(|| json!({ "type": "Prepend", "prepend": SPACE }));
    let back = json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " });
    let strip = prefixed.then(|| json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    let decoders: Vec<Json> =
        [back, json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })].into_iter().chain(strip).collect();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": vocab.added(),
        "normalizer": { "type": "Sequence", "normalizers": prefix.into_iter().chain([space]).collect::<Vec<_>>() },
        "pre_tokenizer": null,
        "post_processor": post_processor(header, vocab, true),
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab.ids(), "merges": merges
        }
    }))
}

/// The metadata of a model's tokenizer, and what a reader should know of it.
pub fn metadata(text: &str, model: &TrainedModel) -> (Vec<(String, Value)>, Option<String>) {
    let whole = (WHOLE.to_owned(), Value::Text(text.to_owned()));
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    let (bpe, Some(vocab)) = (&json["model"], json["model"]["vocab"].as_object()) else {
        let note = "the tokenizer is no BPE: the file holds it as tokenizer.json alone, which llama.cpp does not read";
        return (vec![whole], Some(note.to_owned()));
    };
    let size = model.stage.model.vocab as usize;
    let mut tokens: Vec<String> = (0..size).map(|id| format!("[PAD{id}]")).collect();
    let mut types = vec![kind::UNUSED; size];
    let mut put = |id: Option<u64>, token: &str, kind: i64| {
        if let Some(id) = id.map(|id| id as usize).filter(|&id| id < size) {
            (tokens[id], types[id]) = (token.to_owned(), kind);
        }
    };
    let fallback = bpe["byte_fallback"] == true;
    for (token, id) in vocab {
        let byte = fallback && token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        put(id.as_u64(), token, if byte { kind::BYTE } else { kind::NORMAL });
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let token = added["content"].as_str().unwrap_or_default();
        let kind = match added["special"] == true {
            true if bpe["unk_token"] == token => kind::UNKNOWN,
            true => kind::CONTROL,
            false => kind::USER_DEFINED,
        };
        put(added["id"].as_u64(), token, kind);
    }
    let merges: Vec<(String, String)> = bpe["merges"].as_array().into_iter().flatten().filter_map(pair).collect();
    let mut rows = Vec::new();
    let mut note = None;
    if fallback {
        // The earlier a merge stands, the higher the score of what it makes.
        let mut scores = vec![0.0f32; size];
        for (rank, (left, right)) in merges.iter().enumerate().rev() {
            let id = vocab.get(&format!("{left}{right}")).and_then(Json::as_u64);
            if let Some(score) = id.and_then(|id| scores.get_mut(id as usize)) {
                *score = -(rank as f32) - 1.0;
            }
        }
        rows.push((MODEL.to_owned(), Value::Text("llama".to_owned())));
        rows.push((SCORES.to_owned(), Value::Floats(scores)));
    } else {
        let pre = ["gpt-2", "llama-bpe", "qwen2", "smollm"]
            .into_iter()
            .find(|pre| splitting(pre).is_some_and(|known| same_splitting(&known, &json["pre_tokenizer"])));
        if pre.is_none() {
            note = Some(
                "llama.cpp has no name for how this tokenizer splits texts, and may split them otherwise".to_owned(),
            );
        }
        let joined = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        rows.push((MODEL.to_owned(), Value::Text("gpt2".to_owned())));
        rows.push((PRE.to_owned(), Value::Text(pre.unwrap_or("default").to_owned())));
        rows.push((MERGES.to_owned(), Value::Texts(joined)));
    }
    rows.push((TOKENS.to_owned(), Value::Texts(tokens)));
    rows.push((TYPES.to_owned(), Value::Integers(types)));
    let begins = json["post_processor"]["single"][0].get("SpecialToken").is_some();
    rows.push((ADD_BEGIN.to_owned(), Value::Bool(begins)));
    let unknown = bpe["unk_token"].as_str().and_then(|token| vocab.get(token)?.as_u64());
    let ids = [
        (BEGIN, model.begin_of_text.map(u64::from)),
        (END, model.end_of_text.first().copied().map(u64::from)),
        (UNKNOWN, unknown),
    ];
    rows.extend(ids.into_iter().filter_map(|(key, id)| Some((key.to_owned(), Value::Integer(id?.into())))));
    rows.push(whole);
    (rows, note)
}

/// A merge in either of its two spellings.
fn pair(merge: &Json) -> Option<(String, String)> {
    match merge {
        Json::String(text) => text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
        _ => Some((merge[0].as_str()?.to_owned(), merge[1].as_str()?.to_owned())),
    }
}

/// Whether two pre-tokenizers split alike: `trim_offsets` changes no id, and `use_regex` is true where it is not said.
fn same_splitting(known: &Json, found: &Json) -> bool {
    let plain = |json: &Json| {
        let mut json = json.clone();
        spell_out(&mut json);
        json
    };
    plain(known) == plain(found)
}

fn spell_out(json: &mut Json) {
    let byte_level = json["type"] == "ByteLevel";
    let Some(object) = json.as_object_mut() else { return };
    object.remove("trim_offsets");
    if byte_level {
        object.entry("use_regex").or_insert(Json::Bool(true));
    }
    if let Some(steps) = object.get_mut("pretokenizers").and_then(Json::as_array_mut) {
        steps.iter_mut().for_each(spell_out);
    }
}
