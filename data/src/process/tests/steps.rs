use std::fs;

use llmc_compiler::plan::{LineCleaning, PiiKind, ProcessPlan, Replacement, Rule, RuleLimit, TextUnit};

use super::super::*;
use crate::cache::Cache;

/// Texts as the lines of a file.
pub fn documents(texts: &[String]) -> Vec<Document> {
    let document = |(text, position): (&String, u64)| Document {
        text: text.clone(),
        origin: Origin::new("a.jsonl", position),
        done: Vec::new(),
        record: None,
    };
    texts.iter().zip(1..).map(document).collect()
}

/// Documents after the steps, and the report.
pub fn processed(steps: &[ProcessPlan], texts: &[String]) -> (Vec<Document>, ProcessReport) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(directory.path());
    let mut input = Reading::new(documents(texts).into_iter().map(Ok), |_| (Vec::new(), false), &|_| {});
    let place = Place { cache: &cache, entry: "documents", part_bytes: PART_BYTES };
    let finished = run(place, (steps, &models::Resources::default()), &mut input).unwrap();
    let left: Vec<Document> = finished.documents().collect::<Result<_, _>>().unwrap();
    let written = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(written, finished.parts.len() + finished.left_over.len(), "a temporary file is left");
    (left, finished.report)
}

pub fn texts(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| document.text.as_str()).collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const NEAR: ProcessPlan = ProcessPlan::DedupNear { threshold: 0.8, shingle: 5, hashes: 64 };

fn words_filter(limit: f64) -> ProcessPlan {
    let rules = vec![RuleLimit { rule: Rule::MinWords, limit }];
    ProcessPlan::Filter { name: "filter".to_owned(), lines: LineCleaning::default(), short_line: 30, rules }
}

fn pii(replace: Replacement) -> ProcessPlan {
    ProcessPlan::Pii { kinds: PiiKind::ALL.to_vec(), replace, seed: 0 }
}

#[test]
fn the_first_of_equal_documents_stays() {
    let (left, report) = processed(
        &[ProcessPlan::DedupExact],
        &strings(&["One  two", "three", "one TWO\n", "Thre\u{300}e", "thr\u{e8}e", "three"]),
    );
    assert_eq!(texts(&left), ["One  two", "three", "Thre\u{300}e"]);
    let step = &report.steps[0];
    assert_eq!((step.documents_in, step.documents_kept, step.dropped["duplicate"]), (6, 3, 3));
    assert_eq!((report.documents_read, report.documents_kept), (6, 3));
    assert_eq!(report.bytes_kept, left.iter().map(|document| document.text.len() as u64).sum::<u64>());
}

#[test]
fn every_step_hands_on_to_the_next_and_counts() {
    let long = |word: &str| (0..40).map(|number| format!("{word}{number} ")).collect::<String>();
    let mut changed = long("a");
    changed.push_str("and a little more");
    let documents =
        [long("a"), changed, long("b"), "short".to_owned(), format!("{} jane@example.org", long("c")), long("b")];
    let steps = [ProcessPlan::DedupExact, NEAR, words_filter(5.0), pii(Replacement::Tag)];
    let (left, report) = processed(&steps, &documents);
    assert_eq!(texts(&left), [long("a"), long("b"), format!("{} [EMAIL]", long("c"))]);
    assert_eq!(left[2].done, ["pii: 1 email"]);
    assert_eq!(left[2].origin.position, 5);
    let counts: Vec<(&str, u64, u64)> =
        report.steps.iter().map(|step| (step.step.as_str(), step.documents_in, step.documents_kept)).collect();
    assert_eq!(counts, [("dedup_exact", 6, 5), ("dedup_near", 5, 4), ("filter", 4, 3), ("pii", 3, 3)]);
    let near = &report.steps[1].examples[0];
    assert_eq!((near.origin.position, near.like.as_ref().unwrap().position), (2, 1));
    assert_eq!(report.steps[2].dropped["min_words"], 1);
    assert_eq!((report.steps[3].changed, report.steps[3].found["email"]), (1, 1));
    assert_eq!(
        report.line(),
        "process: 3 of 6 documents kept (dedup_exact -1, dedup_near -1, filter -1, pii 1 changed)"
    );
}

#[test]
fn no_report_holds_personal_data_even_of_documents_dropped_earlier() {
    let secret = "Write to jane.doe@example.org or +1 212 555 0147 from 203.0.113.9, card 4111 1111 1111 1111.";
    let documents = strings(&[secret, secret, "short jane.doe@example.org"]);
    for replace in [Replacement::Tag, Replacement::Fake, Replacement::Drop] {
        let (left, report) = processed(&[ProcessPlan::DedupExact, NEAR, words_filter(4.0), pii(replace)], &documents);
        let json = serde_json::to_string(&report).unwrap() + &report.line();
        for value in ["jane", "555 0147", "203.0.113.9", "4111"] {
            assert!(!json.contains(value), "{value}: {json}");
            assert!(
                left.iter().all(|document| !document.text.contains(value) && !document.done.concat().contains(value))
            );
        }
        assert_eq!(report.steps[3].found.values().sum::<u64>(), 4);
    }
}

#[test]
fn lines_and_paragraphs_are_removed_by_the_plan() {
    let lines = ProcessPlan::DedupLines { unit: TextUnit::Line, min_length: 4 };
    let (left, report) = processed(&[lines], &strings(&["menu bar\nfirst", "menu bar\nsecond", "menu bar"]));
    assert_eq!(texts(&left), ["menu bar\nfirst", "second"]);
    assert_eq!((report.steps[0].found["lines"], report.steps[0].dropped["nothing_left"]), (2, 1));
}

#[test]
fn threads_and_batches_change_nothing() {
    // More than one batch: 40,000 documents over a small vocabulary, so that every step has work.
    let word =
        |state: u64| ["red", "green", "blue", "sun", "moon", "sea", "a@b.org", "tree"][(state >> 33) as usize % 8];
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word(state)
    };
    let mut documents: Vec<String> = Vec::new();
    for number in 0..40_000 {
        let fresh = (0..2 + number % 20).map(|_| next()).collect::<Vec<_>>().join(" ");
        documents.push(match number % 5 {
            3 => format!("{} tail", documents[number - 1]),
            4 => format!("{fresh}\nthe same line again"),
            _ => fresh,
        });
    }
    let lines = ProcessPlan::DedupLines { unit: TextUnit::Line, min_length: 12 };
    let steps = [ProcessPlan::DedupExact, words_filter(4.0), NEAR, lines, pii(Replacement::Fake)];
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| processed(&steps, &documents))
    };
    let one = with(1);
    assert!(one.1.documents_kept > 100 && one.1.steps.iter().all(|step| step.dropped_documents() + step.changed > 0));
    assert_eq!(one, with(3));
}
