use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use llmc_compiler::plan::ProcessPlan;

use super::super::near::{Near, Signer};
use super::steps::{documents, processed, texts};

/// A file of the project's shared data; none where it is not at hand.
fn shared(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    fs::read_to_string(path).ok()
}

fn rows(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Texts of words drawn from a large vocabulary, each followed by variants with more and more words changed.
fn families(count: usize) -> Vec<String> {
    let mut state = 7u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut documents = Vec::new();
    for _ in 0..count {
        let mut words: Vec<String> = (0..120).map(|_| format!("w{}", next() % 5000)).collect();
        for _ in 0..6 {
            documents.push(words.join(" "));
            let place = next() as usize % words.len();
            words[place] = format!("x{}", next());
        }
    }
    documents
}

/// The runs of words of a text, each once, as near-duplicates are defined by.
fn shingles(text: &str, length: usize) -> BTreeSet<String> {
    let kept = |word: &str| word.chars().filter(|each| each.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let mut words: Vec<String> = text.split_whitespace().map(kept).collect();
    words.retain(|word| !word.is_empty());
    words.windows(length.min(words.len().max(1))).map(|run| run.join(" ")).collect()
}

fn jaccard(one: &BTreeSet<String>, other: &BTreeSet<String>) -> f64 {
    let common = one.intersection(other).count();
    common as f64 / (one.len() + other.len() - common) as f64
}

/// Whether two of these texts are compared by what they hold, by their numbers.
fn candidates(texts: &[String], threshold: f64, hashes: usize) -> impl Fn(usize, usize) -> bool {
    let near = Near::new(threshold, 5, hashes);
    let (mut sketches, mut bands) = (Vec::new(), Vec::new());
    near.sign(&documents(texts), &mut sketches, &mut bands);
    let each = bands.len() / texts.len();
    move |one, other| {
        let bands_of = |document: usize| &bands[document * each..(document + 1) * each];
        let shared = bands_of(one).iter().zip(bands_of(other)).any(|(a, b)| a == b);
        shared && Signer::new(threshold, hashes).may_be_alike(sketches[one], sketches[other])
    }
}

/// The share of pairs at the threshold that become candidates, and how many pairs there are.
fn recall(documents: &[String], threshold: f64) -> (f64, usize) {
    let sets: Vec<BTreeSet<String>> = documents.iter().map(|text| shingles(text, 5)).collect();
    let candidate = candidates(documents, threshold, 64);
    let (mut pairs, mut found) = (0, 0);
    for a in 0..sets.len() {
        for b in a + 1..sets.len() {
            let near = jaccard(&sets[a], &sets[b]) >= threshold;
            pairs += usize::from(near);
            found += usize::from(near && candidate(a, b));
        }
    }
    (found as f64 / pairs as f64, pairs)
}

#[test]
fn candidates_hold_nearly_all_pairs_at_any_threshold() {
    let documents = families(150);
    for threshold in [0.5, 0.7, 0.8, 0.9] {
        let (recall, pairs) = recall(&documents, threshold);
        assert!(pairs > 100, "{pairs}");
        assert!(recall >= 0.98, "threshold {threshold}: recall {recall} of {pairs} pairs");
    }
}

#[test]
fn what_is_dropped_is_what_brute_force_would_drop() {
    let documents = families(60);
    let near = ProcessPlan::DedupNear { threshold: 0.8, shingle: 5, hashes: 64 };
    let (left, report) = processed(&[near], &documents);
    let sets: Vec<BTreeSet<String>> = documents.iter().map(|text| shingles(text, 5)).collect();
    // The first of each group that pairs at the threshold connect.
    let mut first: Vec<usize> = (0..sets.len()).collect();
    for a in 0..sets.len() {
        for b in a + 1..sets.len() {
            if jaccard(&sets[a], &sets[b]) >= 0.8 {
                let (low, high) = (first[a].min(first[b]), first[a].max(first[b]));
                first.iter_mut().filter(|each| **each == high).for_each(|each| *each = low);
            }
        }
    }
    let wanted: Vec<&str> = (0..sets.len()).filter(|&each| first[each] == each).map(|each| &*documents[each]).collect();
    assert_eq!(texts(&left), wanted);
    assert_eq!(report.steps[0].dropped["near_duplicate"] as usize, documents.len() - wanted.len());
}

#[test]
fn labelled_pairs_are_found() {
    let (Some(docs), Some(pairs)) = (shared("filter/neardup_docs.jsonl"), shared("filter/neardup_pairs.jsonl")) else {
        println!("skipped: the labelled pairs are not there");
        return;
    };
    let texts: Vec<String> = rows(&docs).iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect();
    let sets: Vec<BTreeSet<String>> = texts.iter().map(|text| shingles(text, 5)).collect();
    let candidate = candidates(&texts, 0.8, 128);
    let mut known = BTreeMap::new();
    for pair in rows(&pairs) {
        let (a, b) = (pair["a"].as_u64().unwrap() as usize, pair["b"].as_u64().unwrap() as usize);
        let truth = pair["jaccard"].as_f64().unwrap();
        assert!((jaccard(&sets[a], &sets[b]) - truth).abs() < 0.02, "{a} {b}");
        known.insert((a.min(b), a.max(b)), truth);
    }
    let (mut labelled, mut found, mut wrong) = (0, 0, 0);
    for a in 0..sets.len() {
        for b in a + 1..sets.len() {
            let reported = candidate(a, b) && jaccard(&sets[a], &sets[b]) >= 0.8;
            let truth = known.get(&(a, b)).is_some_and(|truth| *truth >= 0.8);
            labelled += usize::from(truth);
            found += usize::from(truth && reported);
            wrong += usize::from(!truth && reported);
        }
    }
    let (recall, precision) = (found as f64 / labelled as f64, found as f64 / (found + wrong) as f64);
    println!("near-duplicates: {labelled} pairs, recall {recall:.4}, precision {precision:.4}");
    assert!(recall >= 0.97 && precision >= 0.99, "recall {recall}, precision {precision}");
}

#[test]
fn rows_and_bands_follow_from_the_threshold() {
    for (threshold, hashes) in [(0.3, 16), (0.5, 64), (0.8, 64), (0.8, 128), (0.95, 64), (1.0, 64)] {
        let signer = Signer::new(threshold, hashes);
        assert!(signer.rows() * signer.bands() <= hashes);
        assert!(signer.recall(threshold) >= 0.99, "{threshold}, {hashes}: {}", signer.recall(threshold));
    }
    let signer = Signer::new(0.8, 64);
    assert_eq!((signer.bands(), signer.rows()), (12, 5));
}
