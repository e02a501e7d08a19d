//! How a step grows with the context, and the longest context that fits: what is said must be what compiling says.

use serde_json::Value;

use crate::support::{RECIPE, Workplace};

/// The object of the recipe's only stage.
fn growth(place: &Workplace, more: &[&str]) -> Value {
    let text = place.succeed(&[&["compile", "tiny.recipe", "--context", "--json", "--out", "out"], more].concat());
    serde_json::from_str(&text).expect("an object")
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} of {value}"))
}

#[test]
fn attention_grows_with_the_square() {
    let place = Workplace::new();
    let lengths = growth(&place, &[])["lengths"].as_array().expect("lengths").clone();
    assert_eq!(lengths.len(), 7);
    for (index, pair) in lengths.windows(2).enumerate() {
        assert_eq!(number(&pair[1], "context"), 2 * number(&pair[0], "context"));
        let tokens =
            |length: &Value| number(length, "context") * number(length, "micro_batch") * number(length, "accumulation");
        // The tokens of a step stay the same, until a row has more.
        assert_eq!(tokens(&pair[1]), if index < 3 { 192 } else { 192 << (index - 2) });
        let per_token = |field: &str, length: &Value| number(length, field) as f64 / tokens(length) as f64;
        let [before, after] = [&pair[0], &pair[1]].map(|length| per_token("attention_flops", length));
        assert!((after / before - 2.0).abs() < 0.01, "{before} and {after}");
        let rest = |length: &Value| per_token("flops", length) - per_token("attention_flops", length);
        assert!((rest(&pair[1]) / rest(&pair[0]) - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_longest_context_fits_and_the_next_does_not() {
    let place = Workplace::new();
    for memory in ["3MB", "20MiB"] {
        let found = growth(&place, &["--memory", memory]);
        let (limit, longest) = (number(&found, "memory"), number(&found["longest"], "context"));
        assert!(longest.is_multiple_of(64) && number(&found["longest"], "memory") <= limit, "{found}");
        // One row at a time, several times a step.
        let needs = |context: u64| {
            let recipe = RECIPE.replace("context: 48", &format!("context: {context}"));
            place.write("tiny.recipe", &recipe);
            let sets = [
                format!("pretrain.sequence_length={context} tokens"),
                "pretrain.global_batch=2 sequences".to_owned(),
                "pretrain.micro_batch=1 sequences".to_owned(),
            ];
            let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
            let lengths = growth(&place, &sets);
            place.write("tiny.recipe", RECIPE);
            number(&lengths["lengths"][0], "memory")
        };
        assert_eq!(needs(longest), number(&found["longest"], "memory"));
        assert!(needs(longest + 64) > limit);
    }
    assert!(growth(&place, &["--memory", "100KB"])["longest"].is_null());
    let table = place.succeed(&["compile", "tiny.recipe", "--context", "--memory", "20MiB", "--out", "out"]);
    assert!(table.contains("longest context in 20.0 MiB"), "{table}");
}

#[test]
fn what_compile_says_is_where_growth_begins() {
    let place = Workplace::new();
    let table = place.succeed(&["compile", "tiny.recipe", "--out", "out"]);
    let row = |name: &str| -> u64 {
        let line = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{table}"));
        let digits: String =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(1).expect("a number").replace(',', "");
        digits.parse().expect("a number")
    };
    let first = growth(&place, &[])["lengths"][0].clone();
    let kinds = ["weights", "gradients", "optimizer", "activations", "inputs", "alignment"];
    let memory: u64 = kinds.iter().filter(|kind| table.contains(&format!("  {kind} "))).map(|kind| row(kind)).sum();
    assert_eq!(number(&first, "memory"), memory, "{table}");
    assert_eq!(number(&first, "activations"), row("activations"));
    assert_eq!(number(&first, "flops") / (8 * 24), row("FLOPs per token"));
}
