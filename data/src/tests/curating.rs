//! Steps that need other data sets and files, prepared together.

use llmc_compiler::plan::{
    Balancing, ClassifierPlan, CounterfactualPlan, DecontaminationPlan, EvaluationText, NgramPlan, PerplexityPlan,
    ProcessPlan, QualityPlan, ReweightPlan, TermsPlan,
};
use llmc_grammar::codes;

use super::*;

fn lines(word: impl Fn(u64) -> String, range: std::ops::Range<u64>) -> String {
    range.map(|number| serde_json::json!({ "text": word(number) }).to_string() + "\n").collect()
}

fn prose(number: u64) -> String {
    let (subject, verb) =
        (["dog", "cat", "owl", "fox"][number as usize % 4], ["saw", "met", "fed"][number as usize % 3]);
    format!(
        "On day {number} the old {subject} of the village {verb} her friend by the river and went home before it rained."
    )
}

fn spam(number: u64) -> String {
    let goods = ["watches", "pills", "tickets"][number as usize % 3];
    format!("BUY {goods} NOW!!! offer {number} >>> click here >>> free {goods} cheap cheap {goods} casino bonus")
}

/// Good, bad, and a data set of both to choose from.
fn project(process: Vec<ProcessPlan>) -> Project {
    let jsonl = |path: &str| SourcePlan::Jsonl { path: path.to_owned(), field: "text".to_owned() };
    let mut project = Project::new(vec![jsonl("mixed.jsonl")], 0.0);
    project.write("good.jsonl", lines(prose, 0..120));
    project.write("bad.jsonl", lines(spam, 0..120));
    project.write("mixed.jsonl", lines(prose, 1000..1020) + &lines(spam, 1000..1010));
    for name in ["good", "bad"] {
        project.plan.datasets.insert(name.to_owned(), DatasetPlan::of(vec![jsonl(&format!("{name}.jsonl"))]));
    }
    project.dataset().process = process;
    project
}

fn classifier() -> ClassifierPlan {
    ClassifierPlan { good: "good".to_owned(), bad: "bad".to_owned(), sample_bytes: 1 << 20 }
}

fn quality() -> ProcessPlan {
    ProcessPlan::Quality(QualityPlan { model: classifier(), min: 0.5 })
}

fn perplexity(max: f64) -> ProcessPlan {
    let model = NgramPlan { on: "good".to_owned(), order: 3, sample_bytes: 1 << 20 };
    ProcessPlan::Perplexity(PerplexityPlan { model, min: None, max: Some(max) })
}

#[test]
fn models_are_trained_on_other_data_sets_and_kept() {
    for (step, kind) in [(quality(), "classifier-"), (perplexity(100.0), "ngrams-")] {
        let mut project = project(vec![step.clone()]);
        let report = project.prepare().unwrap().process.unwrap();
        assert_eq!((report.documents_read, report.documents_kept), (30, 20), "{report:#?}");
        assert_eq!(project.prepare().unwrap().process.unwrap(), report, "from the cache");
        assert_eq!((project.entries(kind).len(), project.manifests("documents-")), (1, 1));
        // Another limit needs no other model.
        match &mut project.dataset().process[0] {
            ProcessPlan::Quality(plan) => plan.min = 0.0,
            ProcessPlan::Perplexity(plan) => plan.max = Some(1e9),
            other => panic!("{other:?}"),
        }
        assert_eq!(project.prepare().unwrap().process.unwrap().documents_kept, 30);
        assert_eq!((project.entries(kind).len(), project.manifests("documents-")), (1, 2));
        // Another text for the model makes another model and other documents.
        project.dataset().process = vec![step];
        project.write("good.jsonl", lines(spam, 0..120) + &lines(prose, 0..120));
        project.prepare().unwrap();
        assert_eq!((project.entries(kind).len(), project.manifests("documents-")), (2, 3));
    }
}

#[test]
fn too_little_text_for_a_model_is_told() {
    let project = project(vec![quality()]);
    project.write("bad.jsonl", lines(spam, 0..1));
    assert_eq!(project.prepare().unwrap_err().code, codes::TOO_LITTLE_DATA);
}

#[test]
fn lists_are_read_and_mistakes_in_them_told() {
    let terms = |file: &str| ProcessPlan::DropTerms(TermsPlan { file: file.to_owned(), max: 0, leetspeak: false });
    let mut project = project(vec![terms("terms.txt")]);
    assert_eq!(project.prepare().unwrap_err().code, codes::DATA_UNREADABLE);
    project.write("terms.txt", "\n");
    assert_eq!(project.prepare().unwrap_err().code, codes::TERM_LIST);
    project.write("terms.txt", "casino bonus\n");
    assert_eq!(project.prepare().unwrap().process.unwrap().documents_kept, 20);
    project.write("terms.txt", "village\n");
    assert_eq!(project.prepare().unwrap().process.unwrap().documents_kept, 10, "the list is another one now");
    project.write("pairs.txt", "her,his\nowl fox\n");
    let pairs = Some("pairs.txt".to_owned());
    project.dataset().process = vec![ProcessPlan::Counterfactual(CounterfactualPlan {
        pairs,
        share: 1.0,
        keep_original: true,
        attributes: None,
        seed: 0,
    })];
    let mistake = project.prepare().unwrap_err();
    assert_eq!(mistake.code, codes::TERM_LIST);
    assert!(mistake.message.contains("line 2"), "{}", mistake.message);
}

#[test]
fn evaluations_are_kept_out() {
    let against = vec![EvaluationText::Dataset("good".to_owned()), EvaluationText::File("eval.jsonl".to_owned())];
    let plan = DecontaminationPlan { against, ngram: 13, min_words: 8, drop: true };
    let project = project(vec![ProcessPlan::Decontaminate(plan)]);
    project.write("eval.jsonl", format!("{{\"a\": 1, \"b\": [\"{}\"]}}\n", prose(1003).to_uppercase()));
    let report = project.prepare().unwrap().process.unwrap();
    let measures = &report.steps[0].measures;
    assert_eq!((measures["eval.jsonl.texts"], measures["good.texts"]), (1.0, 120.0));
    // All prose shares its longest run of unchanging words with the training text of the same words.
    assert_eq!((report.steps[0].dropped["contaminated"], report.documents_kept), (20, 10));
}

#[test]
fn copies_and_all_steps_together_do_not_depend_on_threads() {
    let reweight =
        ReweightPlan { pairs: None, ratio: 1.0, by: Balancing::Copy, max_repeat: 3, attributes: None, seed: 5 };
    let swap = CounterfactualPlan { pairs: None, share: 0.5, keep_original: true, attributes: None, seed: 3 };
    let steps = vec![
        ProcessPlan::Counterfactual(swap),
        quality(),
        ProcessPlan::Reweight(reweight),
        ProcessPlan::DedupNear { threshold: 0.9, shingle: 3, hashes: 64 },
        perplexity(1e6),
    ];
    let with = |threads: usize| {
        let project = project(steps.clone());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let prepared = pool.install(|| project.prepare()).unwrap();
        let mut report = prepared.process.unwrap();
        // Each has its own directory.
        report.steps.iter_mut().for_each(|step| step.examples.clear());
        (prepared.hashes.documents, report)
    };
    let (hash, report) = with(1);
    assert_eq!(
        report.steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(),
        ["counterfactual", "quality", "reweight", "dedup_near", "perplexity"]
    );
    assert!(report.steps[0].added > 3 && report.steps[2].added > 0, "{report:#?}");
    assert_eq!(report.steps[0].documents_kept, report.steps[0].documents_in + report.steps[0].added);
    assert_eq!(report.steps[2].measures["ratio"], 1.0);
    assert_eq!(with(3), (hash, report));
}
