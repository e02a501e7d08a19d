//! The encoder against the `tokenizers` library.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tokenizer::Tokenizer;

/// cl100k's, of tiktoken, without what only some libraries understand, and as Llama 3 has it; Qwen 2's; o200k's.
const CL100K: &str =
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]|\s+(?!\S)|\s";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn by_pattern(pattern: &str) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

/// The 256 bytes and merges of every kind of word, tokens that are made in two ways among them.
fn tokenizer(pre_tokenizer: Value, change: impl FnOnce(&mut Value)) -> Tokenizer {
    let mut facts: Value = serde_json::from_str(Tokenizer::bytes().unwrap().json()).unwrap();
    facts["pre_tokenizer"] = pre_tokenizer;
    let pairs = [
        "a a",
        "aa aa",
        "aaaa aaaa",
        "a b",
        "b a",
        "ab c",
        "b c",
        "a bc",
        "Ġ Ġ",
        "ĠĠ ĠĠ",
        "Ġ a",
        "Ġ ab",
        "' s",
        "' S",
        "1 2",
        "12 3",
        "Ċ Ċ",
        "č Ċ",
        "Ġ Ċ",
        "= =",
        "== ==",
        "Ã ¤",
        "Ã ¶",
        "å ľ",
        "åľ ĭ",
        "Ġ =",
        "/ /",
        "; Ċ",
        "l l",
        "' ll",
        "d '",
    ];
    for (number, pair) in pairs.iter().enumerate() {
        facts["model"]["vocab"][pair.replace(' ', "")] = json!(257 + number);
    }
    facts["model"]["merges"] = json!(pairs);
    change(&mut facts);
    let tokenizer = Tokenizer::from_json(facts.to_string(), "test").unwrap();
    assert!(ByteBpe::of(&tokenizer.facts()).is_some(), "{}", facts["pre_tokenizer"]);
    tokenizer
}

fn tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let digits = |each| json!({"type": "Digits", "individual_digits": each});
    let removed =
        json!({"type": "Split", "pattern": {"Regex": r"\p{L}+|[0-9]"}, "behavior": "Removed", "invert": true});
    let same = |_: &mut Value| {};
    vec![
        ("gpt2", tokenizer(byte_level(true), same)),
        ("no pattern", tokenizer(byte_level(false), same)),
        ("cl100k", tokenizer(by_pattern(CL100K), same)),
        ("llama3", tokenizer(by_pattern(LLAMA3), |facts| facts["model"]["ignore_merges"] = json!(true))),
        ("qwen2", tokenizer(by_pattern(QWEN2), |facts| facts["normalizer"] = json!({"type": "NFC"}))),
        ("o200k", tokenizer(by_pattern(O200K), same)),
        ("a pattern with gaps", tokenizer(by_pattern(r"\p{L}+|[0-9]"), same)),
        ("gaps removed", tokenizer(json!({"type": "Sequence", "pretokenizers": [removed, byte_level(false)]}), same)),
        ("each digit", tokenizer(json!({"type": "Sequence", "pretokenizers": [digits(true), byte_level(true)]}), same)),
        ("numbers", tokenizer(json!({"type": "Sequence", "pretokenizers": [digits(false), byte_level(true)]}), same)),
        (
            "recognised tokens",
            tokenizer(byte_level(true), |facts| {
                let token = json!({"id": 400, "content": "ab", "single_word": true, "lstrip": true, "rstrip": false, "normalized": false, "special": false});
                facts["added_tokens"].as_array_mut().unwrap().push(token);
            }),
        ),
    ]
}

fn assert_same(name: &str, tokenizer: &Tokenizer, text: &str) {
    let ids = tokenizer.encode_document(text).unwrap();
    assert_eq!(ids, tokenizer.encode_literally(text).unwrap(), "{name}: {text:?}");
}

/// Characters of every class that the patterns know, and those that are often taken for another.
fn character() -> impl Strategy<Value = String> {
    let odd = [
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\u{b}",
        "\u{85}",
        "\u{a0}",
        "\u{2003}",
        "\u{200b}",
        "\u{3000}",
        "\u{feff}",
        "\0",
        "a",
        "ab",
        "abc",
        "B",
        "ä",
        "ö",
        "ǅ",
        "ʰ",
        "ª",
        "国",
        "e\u{301}",
        "\u{301}",
        "ſ",
        "'s",
        "'S",
        "'ſ",
        "'ll",
        "'LL",
        "'",
        "’",
        "1",
        "12",
        "٣",
        "Ⅷ",
        "²",
        "½",
        "=",
        "==",
        ";",
        "/",
        "//",
        "_",
        "-",
        "€",
        "𝄞",
        "👩‍👩‍👧",
        "<|endoftext|>",
    ];
    prop_oneof![
        6 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_text_encodes_as_by_the_library(pieces in prop::collection::vec(character(), 0..40)) {
        thread_local! {
            static TOKENIZERS: Vec<(&'static str, Tokenizer)> = tokenizers();
        }
        let text = pieces.concat();
        TOKENIZERS.with(|tokenizers| tokenizers.iter().for_each(|(name, each)| assert_same(name, each, &text)));
    }

    #[test]
    fn long_runs_encode_as_by_the_library(piece in character(), length in 1..400usize, end in character()) {
        thread_local! {
            static TOKENIZERS: Vec<(&'static str, Tokenizer)> = tokenizers();
        }
        let text = [piece.repeat(length), end].concat();
        TOKENIZERS.with(|tokenizers| tokenizers.iter().for_each(|(name, each)| assert_same(name, each, &text)));
    }
}

#[test]
fn every_character_is_of_the_class_that_the_library_takes_it_for() {
    let tokenizers = tokenizers();
    // Beyond these planes no character has a class of its own but those of the fourteenth plane.
    let all: Vec<char> = ('\0'..'\u{32000}').chain('\u{E0000}'..'\u{E0200}').collect();
    for characters in all.chunks(50_000) {
        // Between letters, a character changes the words around it by its class.
        let text: String = characters.iter().flat_map(|&each| [each, 'a', each, ' ', each, '1', '\'', each]).collect();
        for (name, tokenizer) in tokenizers.iter().filter(|(name, _)| ["gpt2", "o200k", "each digit"].contains(name)) {
            assert_same(name, tokenizer, &text);
        }
    }
}

#[test]
fn a_long_text_encodes_on_all_cores_as_on_one() {
    let (_, tokenizer) = tokenizers().swap_remove(0);
    let line = "let abc = 12.3; // aaaa's\n\n        ab  国\n";
    let text = line.repeat(3 * LONG_TEXT / line.len());
    let part = tokenizer.encode_document(line).unwrap();
    assert_eq!(tokenizer.encode_document(&text).unwrap(), part.repeat(text.len() / line.len()));
}

#[test]
fn one_endless_word_is_encoded_in_little_time() {
    let (_, tokenizer) = tokenizers().swap_remove(1);
    let count = 1 << 22;
    let began = std::time::Instant::now();
    let ids = tokenizer.encode_document(&"a".repeat(count)).unwrap();
    assert_eq!(ids.len(), count / 8);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn what_is_not_known_is_left_to_the_library() {
    let good: Value = serde_json::from_str(Tokenizer::bytes().unwrap().json()).unwrap();
    assert!(ByteBpe::of(&good).is_some());
    let changes = [
        ("/model/type", json!("WordPiece")),
        ("/model/dropout", json!(0.1)),
        ("/model/byte_fallback", json!(true)),
        ("/model/end_of_word_suffix", json!("</w>")),
        ("/model/vocab/a", Value::Null),
        ("/normalizer", json!({"type": "Lowercase"})),
        ("/pre_tokenizer/add_prefix_space", json!(true)),
        ("/pre_tokenizer", json!({"type": "Whitespace"})),
        ("/pre_tokenizer", by_pattern(r"\p{L}++|\s+")),
        ("/pre_tokenizer", by_pattern(r"\bx|\s+")),
        ("/pre_tokenizer", by_pattern(r"x(?=y)")),
        ("/pre_tokenizer", by_pattern(r"x*")),
    ];
    for (place, value) in changes {
        let mut facts = good.clone();
        *facts.pointer_mut(place).unwrap() = value;
        assert!(ByteBpe::of(&facts).is_none(), "{place} {}", facts.pointer(place).unwrap());
    }
}
