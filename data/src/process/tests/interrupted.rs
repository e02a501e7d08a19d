//! Runs that are broken off and begun again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use llmc_compiler::plan::{LineCleaning, PiiKind, ProcessPlan, Replacement, Rule, RuleLimit, TextUnit};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::super::models::Resources;
use super::super::*;
use super::steps::documents;
use crate::cache::{Cache, WriteError};

/// Documents of which some are duplicates, some nearly, some short, some hold an address or a line of others.
fn texts() -> Vec<String> {
    let story =
        |number: usize| -> Vec<String> { (0..40).map(|at| format!("w{}", (number * 31 + at * 7) % 997)).collect() };
    let text = |number: usize| match number % 6 {
        0 => story(number).join(" "),
        1 => story(number - 1).join("  "),
        2 => [story(number - 2), vec!["more".to_owned()]].concat().join(" "),
        3 => "too short".to_owned(),
        4 => format!("{} mail me at joe{number}@example.org", story(number).join(" ")),
        _ => format!("a line that all of these have in common\n{}", story(number).join(" ")),
    };
    (0..300).map(text).collect()
}

fn steps() -> Vec<ProcessPlan> {
    let rules = vec![RuleLimit { rule: Rule::MinWords, limit: 5.0 }];
    vec![
        ProcessPlan::DedupExact,
        ProcessPlan::DedupLines { unit: TextUnit::Line, min_length: 20 },
        ProcessPlan::DedupNear { threshold: 0.8, shingle: 5, hashes: 64 },
        ProcessPlan::Filter { name: "filter".to_owned(), lines: LineCleaning::default(), short_line: 30, rules },
        ProcessPlan::Pii { kinds: PiiKind::ALL.to_vec(), replace: Replacement::Tag, seed: 0 },
    ]
}

/// Reads all documents, or as many as `most`: then something breaks.
fn attempt(directory: &Path, most: usize) -> Result<Finished, WriteError> {
    let broken = || Err(Diagnostic::error(codes::DATA_UNREADABLE, "broken off"));
    let all = documents(&texts()).into_iter().map(Ok).take(most);
    let rest = (most < texts().len()).then(broken);
    let cache = Cache::new(directory);
    let place = Place { cache: &cache, entry: "documents", part_bytes: 4000 };
    run(place, (&steps(), &Resources::default()), &mut Reading::new(all.chain(rest), |_| (Vec::new(), false), &|_| {}))
}

fn files(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let content = |entry: fs::DirEntry| {
        let written = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (fs::read(entry.path()).unwrap(), written))
    };
    entries.map(content).collect()
}

#[test]
fn what_is_finished_is_not_done_again_and_all_comes_out_the_same() {
    let whole = tempfile::tempdir().unwrap();
    let wanted = attempt(whole.path(), usize::MAX).unwrap();
    let contents = |directory: &Path| -> Vec<(String, Vec<u8>)> {
        files(directory).into_iter().map(|(name, (content, _))| (name, content)).collect()
    };
    assert!(wanted.parts.len() > 5, "{} parts", wanted.parts.len());
    let dropped: Vec<u64> = wanted.report.steps.iter().map(StepReport::dropped_documents).collect();
    assert!(dropped[0] > 0 && dropped[2] > 0 && dropped[3] > 0 && wanted.report.steps[1].changed > 0, "{dropped:?}");
    let directory = tempfile::tempdir().unwrap();
    let mut before = BTreeMap::new();
    for most in [0, 1, 30, 31, 90, 200, 299, usize::MAX, usize::MAX] {
        let outcome = attempt(directory.path(), most);
        let after = files(directory.path());
        for (name, content) in &before {
            assert_eq!(after.get(name), Some(content), "{name} was made again");
        }
        before = after;
        if let Ok(finished) = outcome {
            assert_eq!(finished.report, wanted.report);
            assert_eq!(finished.survey, wanted.survey);
        } else {
            assert!(most < 300);
        }
    }
    assert_eq!(contents(directory.path()), contents(whole.path()));
    // Any entry that is lost or damaged is made again, as it was.
    for (number, (name, content)) in contents(whole.path()).into_iter().enumerate() {
        let path = directory.path().join(name);
        match number % 2 {
            0 => fs::remove_file(&path).unwrap(),
            _ => fs::write(&path, &content[..content.len() / 2]).unwrap(),
        }
        let finished = attempt(directory.path(), usize::MAX).unwrap();
        assert_eq!(finished.report, wanted.report);
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn any_number_of_threads_leaves_the_same_bytes() {
    let bytes = |threads: usize| {
        let directory = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| attempt(directory.path(), usize::MAX)).unwrap();
        files(directory.path()).into_iter().map(|(name, (content, _))| (name, content)).collect::<Vec<_>>()
    };
    assert_eq!(bytes(1), bytes(2));
    assert_eq!(bytes(1), bytes(5));
}
