//! Constants: values, and every mistake with its code.

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostics;
use llmc_grammar::parse;
use llmc_grammar::source::Source;
use llmc_grammar::tree::Item;
use proptest::prelude::*;

use super::evaluate::evaluate;
use super::units::Dimension;
use super::value::{Spanned, Value};
use crate::dim::Dim;

/// The value of an expression where `D` and `heads` are symbols and `bpe.vocab` is 8192.
fn value(text: &str) -> (Spanned, Diagnostics) {
    let source = Source::new("test", format!("let x = {text}"));
    let tree = parse(&source).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
    let scope = BTreeMap::from([
        ("D".to_owned(), Value::Dim(Dim::symbol("D"))),
        ("heads".to_owned(), Value::Dim(Dim::symbol("heads"))),
        ("width".to_owned(), Value::Int(768)),
        ("bpe.vocab".to_owned(), Value::Int(8192)),
    ]);
    let mut diagnostics = Diagnostics::new();
    let [Item::Let(item)] = tree.items.as_slice() else {
        panic!("one `let`");
    };
    let value = evaluate(&item.value, &scope, &mut diagnostics);
    (value, diagnostics)
}

#[test]
fn arithmetic_is_exact_on_whole_numbers_and_dimensions() {
    for (text, expected) in [
        ("4 * 64 + 1", "257"),
        ("-7 / 7", "-1"),
        ("2 ^ 62", "4611686018427387904"),
        ("(-1) ^ 4294967297", "-1"),
        ("7.0 / 2", "3.5"),
        ("2 ^ -1", "0.5"),
        ("64 ^ -0.5", "0.125"),
        ("D / heads * heads", "D"),
        ("D - D + 3", "3"),
        ("width / 12", "64"),
        ("bpe.vocab", "8192"),
        ("floor(10.0 / 3)", "3"),
        ("max(1, 2, 3)", "3"),
        ("min(1.5, 2)", "1.5"),
        ("min(heads, 8)", "min(heads, 8)"),
        ("2M tokens / 4", "500000 tokens"),
        ("3 steps + 4 steps", "7 steps"),
        ("10 tokens / 5 tokens", "2"),
        ("2.50 USD/h * 2", "5.0 USD/h"),
        ("1%", "1%"),
        ("width == 768 and not (2 > 3)", "true"),
        ("true or D > 3", "true"),
        ("[1, none, \"a\\\"b\"]", "[1, none, \"a\\\"b\"]"),
        ("adamw(learning_rate: 6e-4, betas: [0.9, 0.95])", "adamw(learning_rate: 0.0006, betas: [0.9, 0.95])"),
    ] {
        let (value, mistakes) = value(text);
        assert!(mistakes.is_empty(), "{text}: {mistakes:?}");
        assert_eq!(value.value.to_string(), expected, "{text}");
    }
}

#[test]
fn quantities_have_base_units() {
    let quantity = |text| match value(text).0.value {
        Value::Quantity(quantity) => quantity,
        other => panic!("{text} is {other}"),
    };
    assert_eq!(quantity("2M tokens").whole_in_base(), Some(2_000_000));
    assert_eq!(quantity("1.5 KiB").whole_in_base(), Some(1536));
    assert_eq!(quantity("0.5 tokens").whole_in_base(), None);
    assert_eq!(quantity("2 h").in_base(), 7200.0);
    assert_eq!(quantity("1%").in_base(), 0.01);
    let steps = value("50 steps").0;
    assert!(steps.quantity(&[Dimension::Steps]).is_ok());
    let wrong = steps.quantity(&[Dimension::Tokens, Dimension::Sequences]).expect_err("wrong unit");
    assert_eq!(wrong.message, "expected a number of tokens or a number of sequences, found a number of steps");
}

#[test]
fn mistakes_have_codes() {
    let report: Vec<String> = [
        "768 / 7",
        "1 / 0",
        "1.0 / 0",
        "9223372036854775807 + 1",
        "18446744073709551615",
        "2 ^ 64",
        "1e300 * 1e300",
        "sqrt(-1.0)",
        "floor(1e300)",
        "D / 7",
        "D / 0",
        "3 tokns",
        "3 tokens + 4 steps",
        "3 tokens * 4 tokens",
        "3 tokens < 4",
        "widht * 2",
        "bpe.vocabulary",
        "(1 + 2).x",
        "\"a\" + 1",
        "not 3",
        "1 == \"a\"",
        "true < false",
        "floor(1.0, 2.0)",
        "min()",
        "8 of h100",
    ]
    .into_iter()
    .filter_map(|text| {
        let source = Source::new("test", format!("let x = {text}"));
        if parse(&source).is_err() {
            return Some(format!("{text}\n  does not parse"));
        }
        let (_, mistakes) = value(text);
        let mistake = mistakes.first()?;
        let help = mistake.help.clone().unwrap_or_default();
        Some(format!("{text}\n  {} {}\n  {help}", mistake.code.name(), mistake.message))
    })
    .collect();
    assert_eq!(report.len(), 25);
    insta::assert_snapshot!(report.join("\n"));
}

proptest! {
    /// Whatever the numbers, a value or a mistake comes out.
    #[test]
    fn no_panic_on_any_numbers(
        a in prop_oneof![Just(0u64), Just(1), Just(i64::MAX as u64), Just(u64::MAX), any::<u64>()],
        b in prop_oneof![Just(0u64), Just(1), Just(2), Just(i64::MAX as u64), any::<u64>()],
        operator in prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("^"), Just("<")],
        pattern in 0usize..6,
    ) {
        let text = match pattern {
            0 => format!("{a} {operator} {b}"),
            1 => format!("-{a} {operator} (-{b})"),
            2 => format!("{a}.5 {operator} {b}"),
            3 => format!("(D * {a}) {operator} {b}"),
            4 => format!("{a} tokens {operator} {b}"),
            _ => format!("min(D, {a}) {operator} (heads - {b})"),
        };
        let (outcome, mistakes) = value(&text);
        prop_assert!(outcome.value != Value::Unknown || !mistakes.is_empty());
    }
}
