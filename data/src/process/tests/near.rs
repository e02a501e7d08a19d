use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use llmc_compiler::plan::ProcessPlan;

use rayon::prelude::*;

use super::super::near::{Signer, jaccard, runs, shingles};
use super::steps::{processed, texts};

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

/// The share of pairs at the threshold that become candidates, and how many pairs there are.
fn recall(documents: &[String], threshold: f64, shingle: usize) -> (f64, usize) {
    let signer = Signer::new(threshold, 64);
    let sets: Vec<Vec<u64>> = documents.iter().map(|text| shingles(text, shingle)).collect();
    let bands: Vec<Vec<u32>> = sets.iter().map(|set| signer.bands_of(set)).collect();
    let (mut pairs, mut found) = (0, 0);
    for a in 0..sets.len() {
        for b in a + 1..sets.len() {
            let near = jaccard(&sets[a], &sets[b]) >= threshold;
            let candidate = bands[a].iter().zip(&bands[b]).any(|(one, other)| one == other);
            pairs += usize::from(near);
            found += usize::from(near && candidate);
        }
    }
    (found as f64 / pairs as f64, pairs)
}

#[test]
fn candidates_hold_nearly_all_pairs_at_any_threshold() {
    let documents = families(150);
    for threshold in [0.5, 0.7, 0.8, 0.9] {
        let (recall, pairs) = recall(&documents, threshold, 5);
        assert!(pairs > 100, "{pairs}");
        assert!(recall >= 0.98, "threshold {threshold}: recall {recall} of {pairs} pairs");
    }
}

#[test]
fn what_is_dropped_is_what_brute_force_would_drop() {
    let documents = families(60);
    let near = ProcessPlan::DedupNear { threshold: 0.8, shingle: 5, hashes: 64 };
    let (left, report) = processed(&[near], &documents);
    let sets: Vec<Vec<u64>> = documents.iter().map(|text| shingles(text, 5)).collect();
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
        return;
    };
    let text_of: BTreeMap<u64, String> =
        rows(&docs).iter().map(|row| (row["id"].as_u64().unwrap(), row["text"].as_str().unwrap().to_owned())).collect();
    let sets: BTreeMap<u64, Vec<u64>> = text_of.iter().map(|(id, text)| (*id, shingles(text, 5))).collect();
    let signer = Signer::new(0.8, 128);
    let (mut labelled, mut found, mut wrong) = (0, 0, 0);
    let mut known = BTreeMap::new();
    for pair in rows(&pairs) {
        let (a, b) = (pair["a"].as_u64().unwrap(), pair["b"].as_u64().unwrap());
        let truth = pair["jaccard"].as_f64().unwrap();
        assert!((jaccard(&sets[&a], &sets[&b]) - truth).abs() < 0.02, "{a} {b}");
        known.insert((a.min(b), a.max(b)), truth);
    }
    for (a, one) in &sets {
        for (b, other) in sets.range(a + 1..) {
            let bands = signer.bands_of(one).iter().zip(&signer.bands_of(other)).any(|(x, y)| x == y);
            let reported = bands && jaccard(one, other) >= 0.8;
            let truth = known.get(&(*a, *b)).is_some_and(|truth| *truth >= 0.8);
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
fn words_are_what_counts() {
    assert_eq!(shingles("The cat, the dog!", 2), shingles("the CAT the -- dog", 2));
    assert_eq!(shingles("one two", 5).len(), 1);
    assert_eq!(shingles(" -- ", 5), [0; 0]);
    assert_eq!(shingles("東京都", 2).len(), 2);
    assert_eq!(shingles("a b c d e f", 5).len(), 2);
    assert!((jaccard(&[1, 2, 3], &[2, 3, 4]) - 0.5).abs() < 1e-12);
    assert_eq!(jaccard(&[], &[]), 0.0);
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

/// The documents of a second's work: run with `--ignored --nocapture` beside a peer's benchmark on the same texts.
#[test]
#[ignore = "a measurement, not a check"]
fn documents_per_second() {
    let home = std::env::var("CARGO_HOME").unwrap_or(format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let pattern = "registry/src/*/*/src/**/*.rs";
    let mut documents = Vec::new();
    for file in crate::paths::matching_files(pattern, std::path::Path::new(&home)).unwrap() {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        documents.extend(words.chunks_exact(200).take(4).map(|chunk| chunk.join(" ")));
        if documents.len() >= 16_000 {
            break;
        }
    }
    documents.truncate(16_000);
    let base = documents.len();
    for number in 0..base / 4 {
        let mut words: Vec<String> = documents[number * 3 % base].split(' ').map(str::to_owned).collect();
        words[number % 200] = "changed".to_owned();
        words[number * 7 % 200] = "changed".to_owned();
        documents.push(words.join(" "));
    }
    let near = ProcessPlan::DedupNear { threshold: 0.7, shingle: 5, hashes: 128 };
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut times: Vec<f64> = (0..5)
            .map(|_| {
                let began = std::time::Instant::now();
                pool.install(|| processed(std::slice::from_ref(&near), &documents));
                began.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let rate = documents.len() as f64 / times[2];
        let bytes: usize = documents.iter().map(String::len).sum();
        println!("{threads} threads: {rate:.0} documents/s, {:.1} MB/s", bytes as f64 / times[2] / 1e6);
        let signer = Signer::new(0.7, 128);
        let began = std::time::Instant::now();
        let bands =
            pool.install(|| -> usize { documents.par_iter().map(|text| signer.bands_of(&runs(text, 5)).len()).sum() });
        let rate = documents.len() as f64 / began.elapsed().as_secs_f64();
        println!("{threads} threads: {rate:.0} signatures/s of {} bands", bands / documents.len());
    }
}
