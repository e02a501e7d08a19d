//! Steps that need other data sets and files, prepared together.

use llmc_compiler::plan::{
    Balancing, ClassifierPlan, CounterfactualPlan, DecontaminationPlan, EvaluationText, NgramPlan, PerplexityPlan,
    ProcessPlan, QualityPlan, ReweightPlan, TermsPlan,
};
use llmc_grammar::codes;

use super::*;
use crate::ProcessReport;
use crate::record::Record;
use llmc_compiler::plan::ContentType;

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

fn report_of(project: &Project) -> ProcessReport {
    project.prepare().unwrap().datasets[0].process.clone().unwrap()
}

/// How many times documents have gone through steps; their parts are entries of their own.
fn processed(project: &Project) -> usize {
    project.entries("documents-").iter().filter(|path| path.extension().is_none()).count()
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
        let report = report_of(&project);
        assert_eq!((report.documents_read, report.documents_kept), (30, 20), "{report:#?}");
        assert_eq!(report_of(&project), report, "from the cache");
        assert_eq!((project.entries(kind).len(), processed(&project)), (1, 1));
        // Another limit needs no other model.
        match &mut project.dataset().process[0] {
            ProcessPlan::Quality(plan) => plan.min = 0.0,
            ProcessPlan::Perplexity(plan) => plan.max = Some(1e9),
            other => panic!("{other:?}"),
        }
        assert_eq!(report_of(&project).documents_kept, 30);
        assert_eq!((project.entries(kind).len(), processed(&project)), (1, 2));
        // Another text for the model makes another model and other documents.
        project.dataset().process = vec![step];
        project.write("good.jsonl", lines(spam, 0..120) + &lines(prose, 0..120));
        project.prepare().unwrap();
        assert_eq!((project.entries(kind).len(), processed(&project)), (2, 3));
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
    assert_eq!(report_of(&project).documents_kept, 20);
    project.write("terms.txt", "village\n");
    assert_eq!(report_of(&project).documents_kept, 10, "the list is another one now");
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
    let report = report_of(&project);
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
        let mut report = prepared.datasets[0].process.clone().unwrap();
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

#[test]
fn records_go_through_whole_with_their_source_and_side() {
    let swap = CounterfactualPlan { pairs: None, share: 1.0, keep_original: true, attributes: None, seed: 0 };
    let reweight =
        ReweightPlan { pairs: None, ratio: 1.0, by: Balancing::Copy, max_repeat: 3, attributes: None, seed: 5 };
    let mut project = project(vec![
        ProcessPlan::Counterfactual(swap),
        ProcessPlan::DedupNear { threshold: 0.99, shingle: 3, hashes: 64 },
        quality(),
        ProcessPlan::Reweight(reweight),
    ]);
    let folder = SourcePlan::Folder { path: "set".to_owned(), field: "text".to_owned() };
    let first = project.dataset().sources[0].place.clone();
    *project.dataset() = DatasetPlan {
        content: ContentType::Dialogue,
        process: project.dataset().process.clone(),
        ..DatasetPlan::of(vec![first, folder])
    };
    let dialogue = |question: &str, answer: String| {
        let messages = serde_json::json!([
            { "role": "user", "content": question },
            { "role": "assistant", "content": answer }
        ]);
        serde_json::json!({ "messages": messages }).to_string() + "\n"
    };
    project.write("mixed.jsonl", dialogue("What did she see that day?", prose(1)) + &dialogue("BUY", spam(2)));
    fs::create_dir(project.path().join("set")).unwrap();
    project.write("set/train.jsonl", dialogue("Tell me of the owl.", prose(6)));
    project.write("set/dev.jsonl", dialogue("And of the fox?", prose(7)));
    let cache = Cache::new(project.path().join("cache"));
    let read = || crate::documents(&cache, &project.plan, "text", project.path(), &|_| {}).unwrap();
    let (texts, report) = read();
    let documents: Vec<_> = texts.documents().map(Result::unwrap).collect();
    let places: Vec<_> = documents.iter().map(|it| (it.origin.index, it.origin.heldout, it.done.len())).collect();
    let expected = [(0, None), (1, Some(true)), (1, Some(false))];
    assert_eq!(places, expected.map(|(index, side)| [(index, side, 0), (index, side, 1)]).concat());
    for document in &documents {
        let record = document.record.as_ref().unwrap();
        assert_eq!(record.joined(), document.text);
        assert!(matches!(record, Record::Dialogue { messages } if messages.len() == 2));
    }
    assert!(documents[1].text.starts_with("What did he see") && documents[1].text.contains("his friend"));
    assert_eq!(report.sources.iter().map(|source| source.documents).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(report.sources.iter().map(|source| source.read.documents).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(read().1, report, "from the cache");
}
