//! Each rule set on texts that just keep and just break its rules.

use llmc_compiler::plan::{Rule, RuleUnit};

use super::*;

fn rule(rule: Rule, limit: f64) -> Filter {
    Filter { cleaning: LineCleaning::default(), short_line: 30, rules: vec![RuleLimit { rule, limit }] }
}

#[test]
fn every_rule_has_a_text_on_either_side() {
    let prose = "The fox runs to the river, and that is all of it. It drinks.\n";
    let cases: &[(Rule, f64, &str, &str)] = &[
        (Rule::MinBytes, 4.0, "abcd", "abc"),
        (Rule::MaxBytes, 3.0, "abc", "abcd"),
        (Rule::MinWords, 3.0, "a b c", "a b"),
        (Rule::MaxWords, 2.0, "a b", "a b c"),
        (Rule::MinMeanWordLength, 3.0, "abc abc", "abc ab"),
        (Rule::MaxMeanWordLength, 3.0, "äöü abc", "abc abcd"),
        (Rule::MaxHashesPerWord, 0.5, "a #b", "#a #b"),
        (Rule::MaxEllipsesPerWord, 0.5, "a... b", "a... b…"),
        (Rule::MaxBulletLines, 0.5, "- a\nb", "- a\n  • b\nc"),
        (Rule::MaxEllipsisLines, 0.5, "a...\nb", "a...\nb…\nc"),
        (Rule::MinAlphabeticWords, 0.5, "a 1", "a 1 2"),
        (Rule::MinStopWords, 2.0, "The end of it", "the end the"),
        (Rule::MinSentences, 2.0, "One. Two!", "One... Two!"),
        (Rule::MaxLoremIpsum, 0.0, "lorem", "Lorem ipsum dolor"),
        (Rule::MaxCurlyBrackets, 0.0, "[a]", "{a}"),
        (Rule::MinPunctuatedLines, 0.5, "a.\nb", "a.\nb\nc"),
        (Rule::MaxShortLines, 0.5, prose, "a\nb\nc"),
        (Rule::MaxLineLength, 3.0, "abc\näöü", "abcd\na"),
        (Rule::MaxMeanLineLength, 3.0, "abc\n\nabc", "abcd\nabc"),
        (Rule::MinAlphanumeric, 0.5, "a1--", "a---"),
        (Rule::MaxDuplicateLines, 0.5, "a\nb\na", "a\na\na"),
        (Rule::MaxDuplicateParagraphs, 0.5, "a\n\nb\n\na", "a\n\na\n\na"),
        (Rule::MaxDuplicateLineCharacters, 0.3, "abcdef\nb\nb", "abc\nabc"),
        (Rule::MaxDuplicateParagraphCharacters, 0.3, "abcdef\n\nb\n\nb", "abc\n\nabc"),
        (Rule::MaxTop2Gram, 0.5, "a b c d a b x y", "a b a b c"),
        (Rule::MaxTop3Gram, 0.5, "a b c d e f", "a b c a b c d"),
        (Rule::MaxTop4Gram, 0.5, "a b c d e f", "a b c d a b c d e"),
        (Rule::MaxDuplicate5Grams, 0.2, "a b c d e f g", "a b c d e a b c d e"),
        (Rule::MaxDuplicate6Grams, 0.2, "a b c d e a b c d e", "a b c d e f a b c d e f"),
        (Rule::MaxDuplicate7Grams, 0.2, "a b c d e f a b c d e f", "a b c d e f g a b c d e f g"),
        (Rule::MaxDuplicate8Grams, 0.2, "a b c d e f g a b c d e f g", "a b c d e f g h a b c d e f g h"),
        (Rule::MaxDuplicate9Grams, 0.2, "a b c d e f g h a b c d e f g h", "a b c d e f g h i a b c d e f g h i"),
        (Rule::MaxDuplicate10Grams, 0.2, "a b c d e f g h i a b c", "a b c d e f g h i j a b c d e f g h i j"),
    ];
    for &(asked, limit, good, bad) in cases {
        assert_eq!(rule(asked, limit).judge(good), Outcome::Kept, "{} keeps {good:?}", asked.name());
        let dropped = Outcome::dropped(asked.name());
        assert_eq!(rule(asked, limit).judge(bad), dropped, "{} drops {bad:?}", asked.name());
    }
    let tried: Vec<Rule> = cases.iter().map(|case| case.0).collect();
    assert_eq!(tried, Rule::ALL, "every rule has a case, in order");
}

#[test]
fn no_text_is_too_strange_for_a_rule() {
    for text in ["", " ", "\n\n", "\0", "…", "a\u{301}", "\u{feff}x", "🦀🦀", "\r\n\r", "{", "... ...", "#"] {
        for &asked in Rule::ALL {
            let limit = if asked.unit() == RuleUnit::Count { 1.0 } else { 0.5 };
            rule(asked, limit).judge(text);
            assert!(Measures::new(text, 30).value(asked).is_finite());
        }
    }
}

#[test]
fn cleaning_removes_lines_and_says_why() {
    let cleaning = LineCleaning { terminal_punctuation: true, min_line_words: Some(3), boilerplate: true };
    let filter = Filter { cleaning, short_line: 0, rules: Vec::new() };
    let text = "Home | About\nThis line is good.\nToo short.\nWe use cookies on this site.\nSo is \"this one.\"\nAnd so on...\n";
    let found = BTreeMap::from([
        ("lines_without_terminal_punctuation", 2),
        ("lines_of_few_words", 1),
        ("boilerplate_lines", 1),
    ]);
    let cleaned = "This line is good.\nSo is \"this one.\"\n".to_owned();
    assert_eq!(filter.judge(text), Outcome::Changed { text: cleaned.clone(), record: None, found });
    assert_eq!(filter.judge(&cleaned), Outcome::Kept);
    assert_eq!(filter.judge("Home\n"), Outcome::dropped("nothing_left"));
}

#[test]
fn a_duplicate_n_gram_counts_its_characters_once() {
    // `a b c a b c a b c`: from the second occurrence on, everything repeats.
    let words = ["a", "b", "c", "a", "b", "c", "a", "b", "c"];
    assert!((grams::duplicate_share(&words, 3) - 6.0 / 9.0).abs() < 1e-12);
    assert!((grams::top_share(&words, 3) - 1.0).abs() < 1e-12);
    assert_eq!(grams::top_share(&words[..3], 3), 0.0);
}
