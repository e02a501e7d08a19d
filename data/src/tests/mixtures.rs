use llmc_compiler::plan::{MixturePart, MixturePlan};
use llmc_grammar::codes;

use super::*;
use crate::{Evaluation, Loader};

/// Two data sets of ids: 0.. in 100 rows and 1000.. in 20 rows of 8 tokens; a mixture of them.
fn mixed(weights: [Option<f64>; 2], epochs: [Option<f64>; 2], holdout: f64) -> Project {
    let mut project = Project::tokens("many.u32.bin", holdout);
    let few = SourcePlan::Tokens { path: "few.u32.bin".to_owned(), tensor: None, weights: None };
    project.plan.datasets.insert("few".to_owned(), DatasetPlan { holdout, ..DatasetPlan::of(vec![few]) });
    let part = |index: usize, dataset: &str| MixturePart {
        dataset: dataset.to_owned(),
        weight: weights[index],
        epochs: epochs[index],
    };
    let mixture = MixturePlan { parts: vec![part(0, "text"), part(1, "few")], temperature: 1.0 };
    project.plan.mixtures.insert("blend".to_owned(), mixture);
    project.stage.data = "blend".to_owned();
    project.stage.model.vocab = 5000;
    let ids = |range: std::ops::Range<u32>| range.flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    project.write("many.u32.bin", ids(0..801));
    project.write("few.u32.bin", ids(1000..1161));
    project
}

/// The first token of each row of the first `steps` steps.
fn starts(loader: &Loader, steps: std::ops::Range<u64>) -> Vec<i32> {
    let batches = steps.flat_map(|step| (0..2).map(move |micro| (step, micro)));
    batches.flat_map(|(step, micro)| loader.batch(step, micro).tokens.into_iter().step_by(8)).collect()
}

#[test]
fn rows_stand_in_proportion_and_depend_on_the_step_alone() {
    let project = mixed([Some(3.0), Some(1.0)], [None, None], 0.0);
    let prepared = project.prepare().unwrap();
    let loader = Loader::new(&prepared, &project.stage);
    let all = starts(&loader, 0..40);
    for end in (12..240).step_by(12) {
        let few = all[..end].iter().filter(|id| **id >= 1000).count();
        assert!(few.abs_diff(end / 4) <= 1, "{few} of {end}");
    }
    assert_eq!(starts(&Loader::new(&project.prepare().unwrap(), &project.stage), 17..23), all[17 * 6..23 * 6]);
    // 240 rows: 180 of 100 and 60 of 20, each row as often as any other.
    assert_eq!(loader.epochs_before(40), [1.8, 3.0]);
    let mut few: Vec<i32> = all.iter().copied().filter(|id| *id >= 1000).collect();
    few.sort_unstable();
    let thrice: Vec<i32> = (0..20).flat_map(|row| [1000 + 8 * row; 3]).collect();
    assert_eq!(few, thrice);
}

#[test]
fn sizes_are_weights_where_none_is_written() {
    let project = mixed([None, None], [None, None], 0.0);
    let prepared = project.prepare().unwrap();
    let shares: Vec<f64> = prepared.parts.iter().map(|part| part.share).collect();
    assert!((shares[0] - 100.0 / 120.0).abs() < 1e-12, "{shares:?}");
    assert_eq!(prepared.stats.train.tokens, 801 + 161);
}

#[test]
fn a_bound_on_epochs_is_kept_or_told() {
    let mut project = mixed([Some(1.0), Some(1.0)], [None, Some(1.5)], 0.0);
    project.stage.steps = 40;
    let prepared = project.prepare().unwrap();
    assert_eq!(prepared.parts[1].epochs, 1.5);
    assert_eq!(prepared.parts[0].epochs, 2.1);
    let all = starts(&Loader::new(&prepared, &project.stage), 0..40);
    assert_eq!(all.iter().filter(|id| **id >= 1000).count(), 30);
    let mut bounded = mixed([None, None], [Some(1.0), Some(1.0)], 0.0);
    bounded.stage.steps = 21;
    let error = bounded.prepare().unwrap_err();
    assert_eq!(error.code, codes::BLEND_EXHAUSTED);
    assert!(error.help.unwrap().contains("budget = 20 steps"));
    bounded.stage.steps = 20;
    assert!(bounded.prepare().is_ok());
}

#[test]
fn what_is_held_out_stays_apart() {
    let project = mixed([Some(1.0), Some(1.0)], [None, None], 0.25);
    let prepared = project.prepare().unwrap();
    let parts = Evaluation::of_parts(&prepared, &project.stage);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["text", "few"]);
    assert_eq!(parts.iter().map(|(_, rows)| rows.rows()).collect::<Vec<_>>(), [25, 5]);
    assert!(parts[1].1.batch(0).tokens[0] > 1100);
    let trained = starts(&Loader::new(&prepared, &project.stage), 0..60);
    assert!(trained.iter().all(|id| *id < 600 || (1000..1120).contains(id)), "{trained:?}");
}

#[test]
fn weights_of_sources_set_their_rows_side_by_side() {
    let mut project =
        Project::new(["a.txt", "b.txt"].map(|path| SourcePlan::Text { path: path.to_owned() }).to_vec(), 0.0);
    project.write("a.txt", "a".repeat(400));
    project.write("b.txt", "b".repeat(200));
    project.dataset().sources[0].about.weight = Some(3.0);
    let prepared = project.prepare().unwrap();
    let shares: Vec<(&str, f64)> = prepared.parts.iter().map(|part| (part.name.as_str(), part.share)).collect();
    assert_eq!(shares, [("text[0] a.txt", 0.75), ("text[1] b.txt", 0.25)]);
    let loader = Loader::new(&prepared, &project.stage);
    let all = starts(&loader, 0..10);
    assert_eq!(all.iter().filter(|id| **id == i32::from(b'b')).count(), 15);
    let report = &prepared.datasets[0];
    assert_eq!(report.sources.iter().map(|source| source.bytes).collect::<Vec<_>>(), [400, 200]);
}

#[test]
fn text_that_is_read_too_often_is_told() {
    let mut project = Project::files("*.txt", 0.0);
    project.write("a.txt", "words ".repeat(20));
    project.stage.steps = 100;
    let prepared = project.prepare().unwrap();
    assert_eq!(prepared.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [codes::REPEATED_DATA]);
    project.stage.steps = 4;
    assert!(project.prepare().unwrap().warnings.is_empty());
}

#[test]
fn a_folder_holds_out_its_own_validation_files() {
    let project = Project::new(vec![SourcePlan::Folder { path: "set".to_owned(), field: "text".to_owned() }], 0.5);
    fs::create_dir(project.path().join("set")).unwrap();
    let lines = |word: &str| (0..9).map(|number| format!("{word} {number} and more\n")).collect::<String>();
    project.write("set/train.txt", lines("train"));
    project.write("set/dev.txt", lines("dev"));
    let prepared = project.prepare().unwrap();
    let part = &prepared.parts[0];
    assert_eq!((part.train.documents(), part.heldout.as_ref().unwrap().documents()), (9, 9));
    let before = prepared.hashes;
    fs::rename(project.path().join("set/dev.txt"), project.path().join("set/extra.txt")).unwrap();
    assert_ne!(project.prepare().unwrap().hashes.tokens, before.tokens);
}
