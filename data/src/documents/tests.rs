use std::io::Write;

use llmc_compiler::plan::SourcePlan;

use super::*;

fn dataset(sources: Vec<SourcePlan>, limit_bytes: Option<u64>) -> DatasetPlan {
    DatasetPlan { limit_bytes, ..DatasetPlan::of(sources) }
}

fn read(dataset: &DatasetPlan, base: &Path) -> Result<Vec<String>, Diagnostic> {
    Corpus::locate(dataset, base)?.documents().map(|document| Ok(document?.text)).collect()
}

fn files(pattern: &str) -> SourcePlan {
    SourcePlan::Files { pattern: pattern.to_owned() }
}

fn text(path: &str) -> SourcePlan {
    SourcePlan::Text { path: path.to_owned() }
}

fn jsonl(path: &str) -> SourcePlan {
    SourcePlan::Jsonl { path: path.to_owned(), field: "text".to_owned() }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Texts, and the counts of the only source, under a policy and low bounds; or the code of the mistake.
fn under(
    on_error: Option<OnError>,
    source: SourcePlan,
    base: &Path,
) -> Result<(Vec<String>, Faults), llmc_grammar::codes::Code> {
    let bounds = Bounds { largest: 100, piece: 20, expanded: 10_000 };
    let plan = DatasetPlan { on_error, ..DatasetPlan::of(vec![source]) };
    let corpus = Corpus::locate(&plan, base).map_err(|diagnostic| diagnostic.code)?;
    let mut documents = corpus.bounded(bounds).documents();
    let texts: Result<Vec<String>, Diagnostic> = documents.by_ref().map(|document| Ok(document?.text)).collect();
    texts.map(|texts| (texts, documents.counts()[0].faults)).map_err(|diagnostic| diagnostic.code)
}

const SKIP: Option<OnError> = Some(OnError::Skip);
const REPLACE: Option<OnError> = Some(OnError::Replace);
const REJECT: Option<OnError> = Some(OnError::Reject);

#[test]
fn files_skip_what_is_not_text() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "one").unwrap();
    fs::write(directory.path().join("b.txt"), [0xff, 0xfe]).unwrap();
    fs::write(directory.path().join("c.txt"), "nul\0").unwrap();
    fs::write(directory.path().join("d.txt"), "").unwrap();
    fs::write(directory.path().join("e.txt"), "five").unwrap();
    let (texts, faults) = under(None, files("*.txt"), directory.path()).unwrap();
    assert_eq!(texts, ["one", "five"]);
    assert_eq!(faults, Faults { not_text: 2, empty: 1, ..Faults::default() });
    assert_eq!(under(REJECT, files("*.txt"), directory.path()).unwrap_err(), codes::NOT_TEXT);
    let (texts, faults) = under(REPLACE, files("*.txt"), directory.path()).unwrap();
    assert_eq!(texts, ["one", "\u{fffd}\u{fffd}", "five"]);
    assert_eq!(faults, Faults { not_text: 1, empty: 1, replaced: 1, ..Faults::default() });
}

#[test]
fn a_directory_stands_for_all_files_in_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("d/e")).unwrap();
    fs::write(directory.path().join("d/e/b.md"), "b").unwrap();
    fs::write(directory.path().join("d/a"), "a").unwrap();
    assert_eq!(under(None, files("d"), directory.path()).unwrap().0, ["a", "b"]);
}

#[test]
fn a_damaged_archive_is_skipped_where_matched_and_told_where_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "one").unwrap();
    fs::write(directory.path().join("b.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    let (texts, faults) = under(None, files("*"), directory.path()).unwrap();
    assert_eq!((texts.as_slice(), faults.damaged), (&["one".to_owned()][..], 1));
    for source in [text("b.gz"), jsonl("b.gz")] {
        let error = read(&dataset(vec![source], None), directory.path()).unwrap_err();
        assert!(error.message.contains("cannot be expanded"), "{}", error.message);
    }
}

#[test]
fn a_truncated_archive_gives_what_the_policy_says() {
    let directory = tempfile::tempdir().unwrap();
    let lines: String =
        (0..20).map(|number| format!("{{\"text\": \"line {number}, {}\"}}\n", blake3::hash(&[number]))).collect();
    let whole = gzip(lines.as_bytes());
    fs::write(directory.path().join("x.jsonl.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(directory.path().join("x.txt.gz"), &gzip(b"some words and more of them, in one text")[..30]).unwrap();
    assert_eq!(under(None, jsonl("x.jsonl.gz"), directory.path()).unwrap_err(), codes::DATA_UNREADABLE);
    for policy in [SKIP, REPLACE] {
        let (texts, faults) = under(policy, jsonl("x.jsonl.gz"), directory.path()).unwrap();
        assert!(texts.len() > 2 && texts.len() < 20, "{texts:?}");
        assert!(texts.iter().enumerate().all(|(number, text)| text.starts_with(&format!("line {number}, "))));
        assert_eq!(faults, Faults { damaged: 1, ..Faults::default() });
    }
    assert_eq!(under(REJECT, text("x.txt.gz"), directory.path()).unwrap_err(), codes::DATA_UNREADABLE);
    let left_out = (Vec::new(), Faults { damaged: 1, ..Faults::default() });
    assert_eq!(under(SKIP, text("x.txt.gz"), directory.path()).unwrap(), left_out);
    let (texts, faults) = under(REPLACE, text("x.txt.gz"), directory.path()).unwrap();
    assert!(texts.len() == 1 && "some words and more of them, in one text".starts_with(&texts[0]), "{texts:?}");
    assert_eq!(faults, Faults { damaged: 1, replaced: 1, ..Faults::default() });
}

#[test]
fn a_compression_bomb_ends_at_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let bomb = gzip("word and word\n".repeat(100_000).as_bytes());
    assert!(bomb.len() < 7_000, "{} bytes stand for 1.4 MB", bomb.len());
    fs::write(directory.path().join("x.gz"), &bomb).unwrap();
    assert_eq!(under(REJECT, text("x.gz"), directory.path()).unwrap_err(), codes::DATA_UNREADABLE);
    let (texts, faults) = under(SKIP, text("x.gz"), directory.path()).unwrap();
    let bytes: usize = texts.iter().map(String::len).sum();
    assert!(bytes <= 200 * bomb.len(), "{bytes}");
    assert_eq!(faults, Faults { damaged: 1, ..Faults::default() });
}

#[test]
fn a_line_without_end_is_rejected_skipped_or_cut() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(250);
    fs::write(directory.path().join("a.txt"), format!("{long}\nshort\n")).unwrap();
    fs::write(directory.path().join("a.jsonl"), format!("{{\"text\": \"{long}\"}}\n{{\"text\": \"short\"}}\n"))
        .unwrap();
    for source in [text("a.txt"), jsonl("a.jsonl")] {
        assert_eq!(under(None, source.clone(), directory.path()).unwrap_err(), codes::LINE_TOO_LONG);
        let (texts, faults) = under(SKIP, source, directory.path()).unwrap();
        assert_eq!((texts.len(), texts[0].trim()), (1, "short"));
        assert_eq!(faults, Faults { too_long: 1, ..Faults::default() });
    }
    let (texts, faults) = under(REPLACE, text("a.txt"), directory.path()).unwrap();
    assert_eq!(texts.concat(), format!("{long}\nshort\n"));
    assert!(faults.replaced > 0 && faults.left_out() == 0, "{faults:?}");
    let (texts, faults) = under(REPLACE, jsonl("a.jsonl"), directory.path()).unwrap();
    assert_eq!((texts.as_slice(), faults.too_long), (&["short".to_owned()][..], 1), "half a record is none");
}

#[test]
fn broken_records_are_counted_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let lines = b"{\"text\": \"a\"}\nnonsense\n{\"text\": 3}\n{\"other\": \"b\"}\n{\"text\": \"\xff\"}\n{\"text\": \"\"}\n{\"text\": \"z\"}\n";
    fs::write(directory.path().join("a.jsonl"), lines).unwrap();
    assert_eq!(under(None, jsonl("a.jsonl"), directory.path()).unwrap_err(), codes::RECORD);
    let (texts, faults) = under(SKIP, jsonl("a.jsonl"), directory.path()).unwrap();
    assert_eq!(texts, ["a", "z"]);
    assert_eq!(faults, Faults { malformed: 3, not_text: 1, empty: 1, ..Faults::default() });
    let (texts, faults) = under(REPLACE, jsonl("a.jsonl"), directory.path()).unwrap();
    assert_eq!(texts, ["a", "\u{fffd}", "z"]);
    assert_eq!(faults, Faults { malformed: 3, empty: 1, replaced: 1, ..Faults::default() });
}

#[test]
fn every_format_reads_as_records() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.csv"), "id,text\n1,\"one, two\"\n").unwrap();
    fs::write(directory.path().join("b.tsv.gz"), gzip(b"text\tid\nthree\t2\n")).unwrap();
    let table = |path: &str| SourcePlan::Csv { path: path.to_owned(), field: "text".to_owned(), delimiter: None };
    assert_eq!(under(None, table("a.csv"), directory.path()).unwrap().0, ["one, two"]);
    assert_eq!(under(None, table("*.?sv*"), directory.path()).unwrap().0, ["one, two", "three"]);
    fs::write(directory.path().join("x1.jsonl"), "{\"text\": \"x1\"}").unwrap();
    fs::write(directory.path().join("x2.jsonl.gz"), gzip(b"{\"text\": \"x2\"}")).unwrap();
    assert_eq!(under(None, jsonl("x*.jsonl*"), directory.path()).unwrap().0, ["x1", "x2"]);
}

#[test]
fn a_folder_says_which_side_its_files_are_on() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("train.jsonl", "{\"text\": \"t\"}"),
        ("validation.csv", "text\nv\n"),
        ("test.txt", "never read\n"),
        ("more/extra.txt", "e1\n\ne2\n"),
    ] {
        let path = directory.path().join("set").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let folder = SourcePlan::Folder { path: "set".to_owned(), field: "text".to_owned() };
    let plan = dataset(vec![folder], None);
    let documents = Corpus::locate(&plan, directory.path()).unwrap().documents();
    let sides: Vec<(String, Option<bool>, u64)> = documents
        .map(|document| document.unwrap())
        .map(|document| (document.text, document.origin.heldout, document.origin.position))
        .collect();
    let expected = [("e1", false, 1), ("e2", false, 3), ("t", false, 1), ("v", true, 2)];
    assert_eq!(sides, expected.map(|(text, side, position)| (text.to_owned(), Some(side), position)));
}

#[test]
fn conversations_come_whole() {
    let directory = tempfile::tempdir().unwrap();
    let lines = "{\"instruction\": \"Q\", \"output\": \"A\"}\n{\"instruction\": \"Q\"}\n";
    fs::write(directory.path().join("a.jsonl"), lines).unwrap();
    let plan =
        DatasetPlan { content: ContentType::Dialogue, on_error: SKIP, ..DatasetPlan::of(vec![jsonl("a.jsonl")]) };
    let mut documents = Corpus::locate(&plan, directory.path()).unwrap().documents();
    let document = documents.next().unwrap().unwrap();
    assert_eq!(document.text, "Q\n\nA");
    assert_eq!(document.record.unwrap().texts()[1], ("assistant".to_owned(), "A"));
    assert!(documents.next().is_none());
    assert_eq!(documents.counts()[0].faults.malformed, 1);
    let cut = DatasetPlan { limit_bytes: Some(3), ..plan };
    assert_eq!(Corpus::locate(&cut, directory.path()).unwrap().documents().count(), 0, "no half record");
}

#[test]
fn limit_cuts_at_a_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.txt"), "ab\ncd\nef\n").unwrap();
    let limited = |limit| read(&dataset(vec![text("a.txt"), text("a.txt")], Some(limit)), directory.path()).unwrap();
    assert_eq!(limited(9), ["ab\ncd\nef\n"]);
    assert_eq!(limited(8), ["ab\ncd\n"]);
    assert_eq!(limited(2), ["ab"]);
    assert_eq!(limited(12), ["ab\ncd\nef\n", "ab\n"]);
    assert_eq!(limited(0), [""; 0]);
    assert_eq!(cut_point("äö", 3), 2);
}

#[test]
fn missing_and_invalid_files_are_diagnosed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("bad.txt"), b"ok\xff").unwrap();
    let fail = |path: &str| read(&dataset(vec![text(path)], None), directory.path()).unwrap_err();
    assert_eq!(fail("none.txt").code, codes::DATA_UNREADABLE);
    assert_eq!(fail(".").code, codes::DATA_UNREADABLE);
    assert_eq!(fail("bad.txt").code, codes::NOT_TEXT);
    let (texts, faults) = under(SKIP, text("none.txt"), directory.path()).unwrap();
    assert_eq!((texts.len(), faults), (0, Faults { unreadable: 1, ..Faults::default() }));
}

#[cfg(unix)]
#[test]
fn circles_of_links_end() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("d/e")).unwrap();
    fs::write(directory.path().join("d/a.txt"), "a").unwrap();
    std::os::unix::fs::symlink("..", directory.path().join("d/e/up")).unwrap();
    std::os::unix::fs::symlink("self.txt", directory.path().join("d/self.txt")).unwrap();
    for source in [files("**/*.txt"), files("d"), files("d/*.txt")] {
        assert_eq!(under(None, source, directory.path()).unwrap().0, ["a"]);
    }
    let folder = SourcePlan::Folder { path: "d".to_owned(), field: "text".to_owned() };
    assert_eq!(under(None, folder, directory.path()).unwrap().0, ["a"]);
}

#[test]
fn a_hundred_thousand_files_come_in_order() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..100_000 {
        fs::write(directory.path().join(format!("{:05}", number * 7 % 100_000)), [b'a' + (number % 7) as u8]).unwrap();
    }
    let plan = dataset(vec![files("*")], None);
    let corpus = Corpus::locate(&plan, directory.path()).unwrap();
    let mut documents = corpus.documents();
    let sources: Vec<String> = documents.by_ref().map(|document| document.unwrap().origin.source).collect();
    assert_eq!(sources.len(), 100_000);
    assert!(sources.is_sorted());
    assert_eq!(documents.counts()[0], SourceCount { documents: 100_000, bytes: 100_000, faults: Faults::default() });
}
