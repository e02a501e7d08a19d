use std::time::{Duration, SystemTime};

use llmc_grammar::codes;

use super::*;
use crate::TokenStream;

fn ids(stream: &TokenStream) -> Vec<i32> {
    let mut ids = Vec::new();
    stream.read(0..stream.len(), &mut ids);
    ids
}

/// The documents of a stream of bytes, sorted.
fn texts(stream: &TokenStream) -> Vec<String> {
    let ids = ids(stream);
    let mut texts: Vec<String> = ids
        .split(|&id| id == 256)
        .map(|text| String::from_utf8(text.iter().map(|&id| id as u8).collect()).unwrap())
        .collect();
    assert_eq!(texts.pop().as_deref(), Some(""), "the last document ends with end-of-text");
    texts.sort();
    texts
}

fn many_files(holdout: f64, rename: impl Fn(usize) -> String) -> Project {
    let project = Project::files("*.txt", holdout);
    for number in 0..60 {
        project.write(&rename(number), format!("document {number}, some words\n"));
    }
    project
}

#[test]
fn documents_become_ids_and_ends_of_text() {
    let project = Project::files("*.txt", 0.0);
    project.write("a.txt", "first one");
    project.write("b.txt", "ä");
    let prepared = project.prepare().unwrap();
    let expected: Vec<i32> =
        b"first one".iter().chain(&[0]).chain("ä".as_bytes()).chain(&[0]).map(|&byte| i32::from(byte)).collect();
    let expected: Vec<i32> = expected.into_iter().map(|id| if id == 0 { 256 } else { id }).collect();
    assert_eq!(ids(&prepared.parts[0].train), expected);
    assert!(prepared.parts[0].heldout.is_none());
    assert_eq!((prepared.parts[0].train.document_end(0), prepared.parts[0].train.document_end(1)), (10, 13));
    assert_eq!([0, 9, 10, 12].map(|token| prepared.parts[0].train.document_of(token)), [0, 0, 1, 1]);
    assert_eq!((prepared.stats.documents, prepared.stats.bytes, prepared.stats.train.text_bytes), (2, 11, 11));
    assert_eq!(prepared.parts[0].train.id_bound(), 257);
}

#[test]
fn the_unigram_entropy_is_that_of_the_counts() {
    let project = Project::tokens("x.bin", 0.0);
    project.write("x.bin", [1u8, 0, 1, 0, 2, 0, 3, 0].repeat(4));
    let entropy = project.prepare().unwrap().stats.train.unigram_entropy;
    assert!((entropy - 1.5 * std::f64::consts::LN_2).abs() < 1e-12, "{entropy}");
}

#[test]
fn the_split_does_not_depend_on_names_or_order() {
    let one = many_files(0.2, |number| format!("{number:02}.txt")).prepare().unwrap();
    let other = many_files(0.2, |number| format!("{:02}.txt", 59 - number)).prepare().unwrap();
    let held = texts(one.parts[0].heldout.as_ref().unwrap());
    assert_eq!(held, texts(other.parts[0].heldout.as_ref().unwrap()));
    assert_eq!(texts(&one.parts[0].train), texts(&other.parts[0].train));
    assert!((3..25).contains(&held.len()), "{} of 60", held.len());
    assert_eq!(held.len() + texts(&one.parts[0].train).len(), 60);
}

#[test]
fn one_document_gives_up_its_last_lines() {
    let project = Project::new(vec![SourcePlan::Text { path: "a.txt".to_owned() }], 0.25);
    project.write("a.txt", "line one\nline two\nline three\nline four\n");
    let prepared = project.prepare().unwrap();
    assert_eq!(texts(&prepared.parts[0].train), ["line one\nline two\nline three\n"]);
    assert_eq!(texts(prepared.parts[0].heldout.as_ref().unwrap()), ["line four\n"]);
}

#[test]
fn prepared_tokens_are_reused_until_the_content_changes() {
    let mut project = many_files(0.1, |number| format!("{number:02}.txt"));
    project.train_bpe(270);
    let first = project.prepare().unwrap();
    let entries = |project: &Project| ["survey", "tokenizer", "tokens"].map(|kind| project.entries(kind));
    let before = entries(&project);
    // A store of tokens is one entry and one for each shard.
    assert_eq!(before.clone().map(|kind| kind.len()), [1, 1, 2]);
    let written = |path: &std::path::PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let times = before.clone().map(|kind| written(&kind[0]));
    let again = project.prepare().unwrap();
    assert_eq!((&again.hashes, &again.stats), (&first.hashes, &first.stats));
    assert_eq!(before.clone().map(|kind| written(&kind[0])), times);
    // A file that is touched is read again, and then found to be what it was.
    let file = fs::File::options().append(true).open(project.path().join("00.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(project.prepare().unwrap().hashes, first.hashes);
    assert_eq!(entries(&project).map(|kind| kind.len()), [2, 1, 2]);
    project.write("00.txt", "something else");
    assert_ne!(project.prepare().unwrap().hashes.tokens, first.hashes.tokens);
    assert_eq!(entries(&project).map(|kind| kind.len()), [3, 2, 4]);
}

#[test]
fn damaged_entries_are_made_again_with_a_warning() {
    let mut project = many_files(0.1, |number| format!("{number:02}.txt"));
    project.train_bpe(270);
    let first = project.prepare().unwrap();
    for path in ["survey", "tokenizer", "tokens"].iter().flat_map(|kind| project.entries(kind)) {
        let good = fs::read(&path).unwrap();
        for bad in [good[..good.len() / 2].to_vec(), Vec::new(), [&good[..], &[0]].concat(), vec![0; good.len()]] {
            fs::write(&path, bad).unwrap();
            let again = project.prepare().unwrap();
            assert_eq!(again.hashes, first.hashes);
            assert_eq!(ids(&again.parts[0].train), ids(&first.parts[0].train));
            assert_eq!(again.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [codes::CACHE_REBUILT]);
            assert_eq!(fs::read(&path).unwrap(), good, "{}", path.display());
        }
    }
    assert!(project.prepare().unwrap().warnings.is_empty());
    assert!(project.entries(".").is_empty(), "temporary files are left");
}

#[test]
fn wide_ids_and_rows_come_back() {
    let mut project = Project::tokens("x.npy", 0.0);
    project.stage.model.vocab = 1 << 20;
    let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 8), }";
    let rows: Vec<i32> = (0..16).map(|number| number * 60_000).collect();
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    rows.iter().for_each(|id| file.extend(id.to_le_bytes()));
    project.write("x.npy", &file);
    let prepared = project.prepare().unwrap();
    assert_eq!(ids(&prepared.parts[0].train), rows);
    assert_eq!((prepared.parts[0].train.row_length(), prepared.parts[0].train.documents()), (Some(8), 2));
    assert_eq!((prepared.stats.documents, prepared.stats.train.text_bytes), (2, 0));
    project.stage.sequence_length = 4;
    let error = project.prepare().unwrap_err();
    assert_eq!(error.code, codes::ROW_LENGTH);
    assert!(error.help.unwrap().contains("sequence_length = 8"));
    project.stage.model.vocab = 800_000;
    assert_eq!(project.prepare().unwrap_err().code, codes::TOKEN_OUT_OF_RANGE);
}

#[test]
fn a_stream_of_ids_gives_up_its_end() {
    let project = Project::tokens("x.u32.bin", 0.25);
    project.write("x.u32.bin", (0..40u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let prepared = project.prepare().unwrap();
    assert_eq!(ids(&prepared.parts[0].train), (0..30).collect::<Vec<_>>());
    assert_eq!(ids(prepared.parts[0].heldout.as_ref().unwrap()), (30..40).collect::<Vec<_>>());
}

#[test]
fn mistakes_are_diagnosed() {
    let code = |project: &Project| project.prepare().unwrap_err().code;
    let short = Project::files("*.txt", 0.0);
    assert_eq!(code(&short), codes::NO_FILE_MATCHES);
    short.write("a.txt", "");
    assert_eq!(code(&short), codes::TOO_LITTLE_DATA);
    short.write("a.txt", "short");
    assert_eq!(code(&short), codes::TOO_LITTLE_DATA);
    short.write("a.txt", "just long enough");
    assert!(short.prepare().is_ok());

    let mut mixed = Project::tokens("x.bin", 0.0);
    mixed.write("x.bin", [0; 64]);
    mixed.dataset().sources.push(SourcePlan::Text { path: "x.bin".to_owned() }.into());
    assert_eq!(code(&mixed), codes::MIXED_SOURCES);

    let empty = Project::tokens("x.bin", 0.1);
    empty.write("x.bin", []);
    assert_eq!(code(&empty), codes::TOO_LITTLE_DATA);

    let mut narrow = Project::files("*.txt", 0.0);
    narrow.write("a.txt", "some text of no import");
    narrow.stage.model.vocab = 256;
    assert_eq!(code(&narrow), codes::TOKEN_OUT_OF_RANGE);
    narrow.stage.model.vocab = 257;
    assert!(narrow.prepare().is_ok());
    narrow.plan.tokenizers.get_mut("tokens").unwrap().end_of_text = Some("</s>".to_owned());
    assert_eq!(code(&narrow), codes::NO_END_OF_TEXT);
    narrow.train_bpe(5000);
    assert_eq!(code(&narrow), codes::TOO_FEW_PAIRS);
}

#[test]
fn every_kind_of_tokenizer_is_trained_and_used() {
    let mut project = many_files(0.1, |number| format!("{number:02}.txt"));
    let numbers: String = (1..400u64).map(|number| format!("{:x} ", number * number * 7919)).collect();
    project.write("numbers.txt", numbers);
    let models = [TokenizerModel::ByteBpe, TokenizerModel::WordPiece { lowercase: true }, TokenizerModel::Unigram];
    for model in models {
        let vocab = if model == TokenizerModel::ByteBpe { 265 } else { 100 };
        project.train_tokenizer(model, vocab);
        let made = project.prepare().unwrap();
        let tokenizer = made.tokenizer.unwrap();
        assert_eq!(tokenizer.vocab_size(), vocab, "{model:?}");
        let found = project.prepare().unwrap();
        assert_eq!((&found.hashes, ids(&found.parts[0].train)), (&made.hashes, ids(&made.parts[0].train)), "{model:?}");
    }
    assert_eq!(project.entries("tokenizer").len(), models.len());
}

#[test]
fn the_limit_bounds_what_is_read() {
    let mut project = many_files(0.0, |number| format!("{number:02}.txt"));
    project.dataset().limit_bytes = Some(100);
    let prepared = project.prepare().unwrap();
    assert!(prepared.stats.bytes <= 100 && prepared.stats.bytes > 70 && prepared.stats.limited);
    project.dataset().limit_bytes = None;
    assert!(!project.prepare().unwrap().stats.limited);
}

#[test]
fn random_tokens_need_neither_files_nor_cache() {
    let random = |vocab, seed| {
        let source = SourcePlan::RandomTokens { vocab, count: 1000, seed };
        Project::new(vec![source], 0.1)
    };
    let project = random(1000, 1);
    let prepared = project.prepare().unwrap();
    let heldout = prepared.parts[0].heldout.as_ref().unwrap();
    assert_eq!((prepared.parts[0].train.len(), heldout.len()), (900, 100));
    assert_eq!((prepared.stats.documents, prepared.stats.bytes), (1, 0));
    assert!((prepared.stats.train.unigram_entropy - 1000f64.ln()).abs() < 1e-12);
    assert!(ids(&prepared.parts[0].train).iter().all(|id| (0..1000).contains(id)));
    assert_ne!(ids(&prepared.parts[0].train)[..100], ids(heldout));
    assert!(!project.path().join("cache").exists());
    let again = random(1000, 1).prepare().unwrap();
    assert_eq!((ids(&again.parts[0].train), &again.hashes), (ids(&prepared.parts[0].train), &prepared.hashes));
    let other = random(1000, 2).prepare().unwrap();
    assert_ne!(ids(&other.parts[0].train), ids(&prepared.parts[0].train));
    assert_ne!(other.hashes.tokens, prepared.hashes.tokens);
    assert_eq!(random(1001, 1).prepare().unwrap_err().code, codes::TOKEN_OUT_OF_RANGE);
}
