//! Lines that a filter removes (Raffel et al. 2020, section 2.2).

use std::collections::BTreeMap;

use llmc_compiler::plan::LineCleaning;

/// Lines that hold one of these, in lower case, speak of the site and not of its subject.
const BOILERPLATE: [&str; 7] =
    ["javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"];

/// The text without the lines that go, none if all stay, and how many went for which reason.
pub fn clean(text: &str, rules: &LineCleaning) -> (Option<String>, BTreeMap<&'static str, u64>) {
    let mut removed = BTreeMap::new();
    if *rules == LineCleaning::default() {
        return (None, removed);
    }
    let mut rest = String::new();
    for line in text.split_inclusive('\n') {
        match reason(line.trim(), rules) {
            Some(reason) => *removed.entry(reason).or_default() += 1,
            None => rest.push_str(line),
        }
    }
    ((!removed.is_empty()).then_some(rest), removed)
}

fn reason(line: &str, rules: &LineCleaning) -> Option<&'static str> {
    if rules.terminal_punctuation && !ends_a_sentence(line) {
        return Some("lines_without_terminal_punctuation");
    }
    if rules.min_line_words.is_some_and(|words| (line.split_whitespace().count() as u64) < words) {
        return Some("lines_of_few_words");
    }
    let lower = line.to_lowercase();
    (rules.boilerplate && BOILERPLATE.iter().any(|phrase| lower.contains(phrase))).then_some("boilerplate_lines")
}

/// Ends in a period, exclamation or question mark or closing quotation mark, but not in an ellipsis.
pub fn ends_a_sentence(line: &str) -> bool {
    line.ends_with(['.', '!', '?', '"', '”']) && !line.ends_with("...")
}
