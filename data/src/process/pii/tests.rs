//! A labelled core of our own, and the labelled sets of the shared data where they are at hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use llmc_compiler::plan::{PiiKind, Replacement};

use super::numbers::{iban_remainder, luhn_sum};
use super::*;

/// Lines in which everything personal stands between `⟨KIND:` and `⟩`.
const LABELLED: &str = include_str!("../../../../tests/pii/labelled.txt");

/// The text without its marks, and what they mark.
fn unmarked(line: &str) -> (String, Vec<Finding>) {
    let (mut text, mut findings, mut rest) = (String::new(), Vec::new(), line);
    while let Some(open) = rest.find("⟨") {
        text.push_str(&rest[..open]);
        let (name, inside) = rest[open + "⟨".len()..].split_once(':').unwrap();
        let (value, after) = inside.split_once("⟩").unwrap();
        let kind = PiiKind::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
        findings.push(Finding { kind, range: text.len()..text.len() + value.len() });
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    (text, findings)
}

#[test]
fn our_own_labelled_lines() {
    let mut kinds: BTreeMap<PiiKind, usize> = BTreeMap::new();
    for line in LABELLED.lines().filter(|line| !line.is_empty()) {
        let (text, wanted) = unmarked(line);
        let found = find(&text, &PiiKind::ALL);
        let shown: Vec<(&str, &str)> = found.iter().map(|each| (each.kind.name(), &text[each.range.clone()])).collect();
        assert_eq!(found, wanted, "{line}\nfound {shown:?}");
        wanted.iter().for_each(|each| *kinds.entry(each.kind).or_default() += 1);
    }
    assert_eq!(kinds.len(), PiiKind::ALL.len(), "every kind has a line");
}

/// True positives, false positives and false negatives; a finding is right where it overlaps a label of its kind.
fn score(rows: &[serde_json::Value], kind: PiiKind, label: &str) -> (usize, usize, usize) {
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    for row in rows {
        let text = row["text"].as_str().unwrap();
        // Labels count code points.
        let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let spans = row["spans"].as_array().unwrap().iter().filter(|span| span["type"] == label);
        let place = |span: &serde_json::Value, end: &str| offsets[span[end].as_u64().unwrap() as usize];
        let labels: Vec<Range<usize>> = spans.map(|span| place(span, "start")..place(span, "end")).collect();
        let found: Vec<Range<usize>> =
            find(text, &PiiKind::ALL).into_iter().filter(|each| each.kind == kind).map(|each| each.range).collect();
        let meets = |one: &Range<usize>, others: &[Range<usize>]| {
            others.iter().any(|other| one.start < other.end && other.start < one.end)
        };
        right += labels.iter().filter(|each| meets(each, &found)).count();
        missed += labels.iter().filter(|each| !meets(each, &found)).count();
        wrong += found.iter().filter(|each| !meets(each, &labels)).count();
        if std::env::var_os("SHOW_PII").is_some() {
            labels
                .iter()
                .filter(|each| !meets(each, &found))
                .for_each(|each| println!("missed {label}: {:?} in {text:?}", &text[each.clone()]));
            found
                .iter()
                .filter(|each| !meets(each, &labels))
                .for_each(|each| println!("wrong {label}: {:?} in {text:?}", &text[each.clone()]));
        }
    }
    (right, wrong, missed)
}

#[test]
fn the_shared_labelled_set() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/filter/pii_synth.jsonl");
    let Ok(text) = fs::read_to_string(path) else {
        return;
    };
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (kind, label, bar) in [
        (PiiKind::Email, "EMAIL_ADDRESS", 0.98),
        (PiiKind::Ip, "IP_ADDRESS", 0.98),
        (PiiKind::Phone, "PHONE_NUMBER", 0.95),
        (PiiKind::Card, "CREDIT_CARD", 0.95),
        (PiiKind::Iban, "IBAN_CODE", 0.95),
        (PiiKind::Ssn, "US_SSN", 0.95),
    ] {
        let (right, wrong, missed) = score(&rows, kind, label);
        let f1 = 2.0 * right as f64 / (2 * right + wrong + missed) as f64;
        println!("{label}: {right} right, {wrong} wrong, {missed} missed, F1 {f1:.4}");
        assert!(f1 >= bar, "{label}: F1 {f1}");
    }
}

#[test]
fn fakes_are_consistent_well_formed_and_no_longer_personal() {
    let redaction = |seed| Redaction::new(&PiiKind::ALL, Replacement::Fake, seed);
    let fake = |seed, text: &str| match redaction(seed).judge(text) {
        Outcome::Changed { text, .. } => text,
        other => panic!("{text}: {other:?}"),
    };
    let (one, two) = (fake(0, "a Jane.Doe@site.org b"), fake(0, "mail jane.doe@SITE.org"));
    assert_eq!(one.split(' ').nth(1), two.split(' ').nth(1));
    assert_ne!(one, fake(1, "a Jane.Doe@site.org b"));
    assert!(one.ends_with("@example.com b"));
    let card = fake(0, "4111 1111 1111 1111");
    let digits: Vec<u8> = card.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    assert_eq!((card.len(), digits.len(), luhn_sum(&digits) % 10, digits[0]), (19, 16, 0, 0));
    let iban = fake(0, "GB82 WEST 1234 5698 7654 32");
    let compact: Vec<u8> = iban.bytes().filter(|byte| *byte != b' ').collect();
    assert!(iban.starts_with("XX") && iban_remainder(&compact) == 1, "{iban}");
    assert_eq!(fake(0, "call +41 44 668 18 00").split(' ').count(), 6);
    assert!(fake(0, "78-05-1120 078-05-1121").contains(" 9"));
    let address = fake(0, "from 8.8.4.4 and 2001:db8:0:1::7");
    assert!(["192.0.2.", "198.51.100.", "203.0.113."].iter().any(|network| address.contains(network)), "{address}");
    assert!(address.contains("2001:db8::") && !address.contains(":1::7"), "{address}");
    assert_eq!(redaction(0).judge("nothing here"), Outcome::Kept);
}

#[test]
fn any_text_is_scanned_without_a_panic() {
    let pieces = [
        "@",
        "a@b.c",
        "::",
        "1",
        "+",
        "(",
        ")",
        "é",
        "🦀",
        "://",
        "-----BEGIN ",
        "KEY-----",
        "x",
        ".",
        "\n",
        "sk-",
        "9",
    ];
    let mut state = 3u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        tagged(&text);
        Redaction::new(&PiiKind::ALL, Replacement::Fake, 0).judge(&text);
    }
}
