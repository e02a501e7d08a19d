use llmc_compiler::plan::TokenizerModel;
use proptest::prelude::*;
use serde_json::Value;
use tokenizers::Trainer as _;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use super::*;
use crate::tokenizer::END_OF_TEXT;
use crate::tokenizer::tests::{Case, byte_bpe, corpus, documents, shared};

#[test]
fn training_finds_the_reference_merges() {
    let (Some(reference), Some(text)) =
        (shared("tokenizers/bpe_training.json"), shared("data/text/tinyshakespeare.txt"))
    else {
        return;
    };
    let reference: Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let text: String = std::fs::read_to_string(text).unwrap().chars().take(200_000).collect();
    let tokenizer = train(documents(&[text]), &byte_bpe(u64::MAX), 512, None).unwrap();
    let vocab = reference["vocab"].as_object().unwrap();
    assert_eq!(vocab.len(), 512);
    for (token, id) in vocab {
        assert_eq!(tokenizer.id(token).map(u64::from), id.as_u64(), "{token}");
    }
    let cases: Vec<Case> = serde_json::from_value(reference["cases"].clone()).unwrap();
    for case in cases {
        assert_eq!(tokenizer.encode_document(&case.text).unwrap(), case.ids);
    }
}

#[test]
fn training_does_not_depend_on_threads() {
    let texts = corpus();
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(documents(&texts), &byte_bpe(u64::MAX), 400, Some(END_OF_TEXT)).unwrap())
    };
    let one = train(1);
    for threads in [2, 3, 8] {
        assert_eq!(train(threads).json(), one.json(), "{threads} threads");
    }
}

#[test]
fn a_trained_vocabulary_is_exact_and_ends_with_end_of_text() {
    let tokenizer = train(documents(&corpus()), &byte_bpe(u64::MAX), 300, Some(END_OF_TEXT)).unwrap();
    assert_eq!(tokenizer.vocab_size(), 300);
    assert_eq!(tokenizer.end_of_text(END_OF_TEXT).unwrap(), 299);
    assert_eq!(tokenizer.special_tokens(), [END_OF_TEXT]);
    let lengths = tokenizer.byte_lengths();
    let text = "fn red_stone() { ä }\0";
    let ids = tokenizer.encode_document(text).unwrap();
    assert_eq!(ids.iter().map(|&id| lengths[id as usize] as usize).sum::<usize>(), text.len());
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    assert_eq!(lengths[299], 0);
}

#[test]
fn a_small_text_cannot_fill_a_large_vocabulary() {
    let error = train(documents(&["abab".to_owned()]), &byte_bpe(u64::MAX), 1000, Some(END_OF_TEXT)).unwrap_err();
    assert_eq!(error.code, codes::TOO_FEW_PAIRS);
    assert!(error.help.unwrap().contains("`vocab: 258`"));
    let error = train(documents(&["abab".to_owned()]), &byte_bpe(u64::MAX), 100, Some(END_OF_TEXT)).unwrap_err();
    assert_eq!(error.code, codes::TOO_FEW_PAIRS);
}

#[test]
fn training_reads_no_more_than_its_limit() {
    let mistake = || Err(Diagnostic::error(codes::DATA_UNREADABLE, "gone"));
    let first = "ab ab ab ab\n".repeat(20);
    let limit = first.len() as u64;
    let within = vec![Ok(first), mistake()];
    assert!(train(within.clone().into_iter(), &byte_bpe(limit), 257, None).is_ok());
    let error = train(within.into_iter(), &byte_bpe(limit + 1), 257, None).unwrap_err();
    assert_eq!(error.code, codes::DATA_UNREADABLE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn merges_are_those_of_the_library(
        counted in prop::collection::btree_map("[abc]{1,12}", 1..9u64, 1..30),
        most in 0..20usize,
    ) {
        let mut trainer = BpeTrainer::builder()
            .vocab_size(3 + most)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(['a', 'b', 'c'].into())
            .build();
        let texts = counted.iter().flat_map(|(word, &count)| std::iter::repeat_n(word, count as usize));
        trainer.feed(texts, |word| Ok(vec![word.to_owned()])).unwrap();
        let mut model = BPE::default();
        trainer.train(&mut model).unwrap();
        let ids = |word: &String| word.bytes().map(|letter| u32::from(letter - b'a')).collect();
        let words: Vec<(Vec<u32>, u64)> = counted.iter().map(|(word, count)| (ids(word), *count)).collect();
        let mut tokens = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        for (left, right) in pairs::learn(&words, 3, most, 2) {
            tokens.push([&tokens[left as usize][..], &tokens[right as usize]].concat());
        }
        let vocab = tokenizers::Model::get_vocab(&model);
        prop_assert_eq!(vocab.len(), tokens.len());
        for (token, id) in tokens.iter().zip(0..) {
            prop_assert_eq!(vocab.get(token), Some(&id), "{} of {:?}", token, tokens);
        }
    }
}

fn of(model: TokenizerModel) -> TrainedTokenizer {
    TrainedTokenizer { model, special: vec!["<|user|>".to_owned()], ..byte_bpe(u64::MAX) }
}

const MODELS: [TokenizerModel; 4] = [
    TokenizerModel::ByteBpe,
    TokenizerModel::WordPiece { lowercase: true },
    TokenizerModel::WordPiece { lowercase: false },
    TokenizerModel::Unigram,
];

/// Words of several scripts, so that characters are rare enough to be lost and put back.
fn mixed() -> Vec<String> {
    let rare = ('\u{4e00}'..'\u{4e40}').map(|character| format!("ein {character}{character}wort Éclair\n"));
    corpus().into_iter().chain(rare).collect()
}

#[test]
fn every_kind_is_the_same_for_any_threads_and_any_run() {
    let texts = mixed();
    let mut reversed = texts.clone();
    reversed.reverse();
    for model in MODELS {
        let train = |threads, texts: &[String]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(documents(texts), &of(model), 400, Some(END_OF_TEXT)).unwrap())
        };
        let one = train(1, &texts);
        for threads in [1, 2, 5] {
            assert_eq!(train(threads, &texts).json(), one.json(), "{model:?} {threads} threads");
            assert_eq!(train(threads, &reversed).json(), one.json(), "{model:?} {threads} threads, another order");
        }
    }
}

#[test]
fn every_kind_has_its_vocabulary_and_special_tokens() {
    let texts = mixed();
    for (model, own) in [
        (MODELS[0], &[][..]),
        (MODELS[1], &["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]),
        (MODELS[3], &["<unk>", "<pad>", "<s>", "</s>"]),
    ] {
        let tokenizer = train(documents(&texts), &of(model), 400, Some(END_OF_TEXT)).unwrap();
        assert_eq!(tokenizer.vocab_size(), 400);
        assert_eq!(tokenizer.special_tokens(), [own, &["<|user|>", END_OF_TEXT]].concat());
        assert_eq!(tokenizer.end_of_text(END_OF_TEXT).unwrap(), 399);
        assert_eq!(tokenizer.id("<|user|>"), Some(398));
        let ids = tokenizer.encode_document(&format!("ein{END_OF_TEXT}wort <pad>[PAD]<|user|>")).unwrap();
        let special: Vec<u32> = tokenizer.special_tokens().iter().filter_map(|token| tokenizer.id(token)).collect();
        assert!(ids.iter().all(|id| *id == 0 || !special.contains(id)), "{model:?} {ids:?}");
        assert!(tokenizer.encode("a<|user|>b").unwrap().contains(&398));
        // A text of the training data comes back, but for what WordPiece leaves out.
        let text = &texts[texts.len() - 1];
        let back = tokenizer.decode(&tokenizer.encode_document(text).unwrap(), true).unwrap();
        match model {
            TokenizerModel::WordPiece { .. } => {
                let packed = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(packed(&back), packed(&text.to_lowercase().replace('é', "e")));
            }
            _ => assert_eq!(back, *text),
        }
    }
}

#[test]
fn what_the_text_does_not_have_is_unknown() {
    for model in [MODELS[1], MODELS[3]] {
        let tokenizer = train(documents(&mixed()), &of(model), 400, None).unwrap();
        assert_eq!(tokenizer.encode_document("\u{10400}").unwrap().last(), Some(&0), "{model:?}");
    }
    let same = train(documents(&mixed()), &of(MODELS[2]), 400, None).unwrap();
    assert!(!same.encode_document("Éclair").unwrap().contains(&0));
}

#[test]
fn a_vocabulary_without_room_for_characters_is_diagnosed() {
    for model in [MODELS[1], MODELS[3]] {
        let error = train(documents(&mixed()), &of(model), 60, None).unwrap_err();
        assert_eq!(error.code, codes::VOCABULARY_TOO_SMALL, "{model:?}");
        let help = error.help.unwrap();
        let least: u64 = help.split('`').nth(1).and_then(|text| text.strip_prefix("vocab: ")?.parse().ok()).unwrap();
        let error = train(documents(&mixed()), &of(model), least - 1, None).unwrap_err();
        assert_eq!(error.code, codes::VOCABULARY_TOO_SMALL, "{model:?}");
        assert_eq!(train(documents(&mixed()), &of(model), least, None).unwrap().vocab_size(), least, "{model:?}");
        let error = train(documents(&mixed()), &of(model), 100_000, None).unwrap_err();
        assert_eq!(error.code, codes::TOO_FEW_PAIRS, "{model:?}");
    }
}

#[test]
fn odd_texts_train_or_are_diagnosed() {
    let texts =
        ["", "\0", " ", "a", "\n\n\n", "x".repeat(5000).as_str(), "\u{301}\u{301}", "\u{2581}a \0b"].map(str::to_owned);
    for model in MODELS {
        for texts in texts.iter().map(std::slice::from_ref).chain([&[][..], &texts]) {
            for vocab in [8, 10, 300] {
                if let Ok(tokenizer) = train(documents(texts), &of(model), vocab, None) {
                    assert_eq!(tokenizer.vocab_size(), vocab, "{model:?} {texts:?}");
                }
            }
        }
    }
}

#[test]
fn a_special_token_cannot_be_a_token_for_text() {
    let plan = TrainedTokenizer { special: vec!["a".to_owned()], ..byte_bpe(u64::MAX) };
    let error = train(documents(&corpus()), &plan, 300, None).unwrap_err();
    assert!(error.message.contains("`a`"), "{}", error.message);
}
