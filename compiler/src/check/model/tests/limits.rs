//! Models that would take for ever, or more stack than there is.

use std::fmt::Write;

use super::{Recipes, compile, rendered};

fn codes(text: &str) -> Vec<&'static str> {
    let recipes = Recipes::new(text);
    let (_, diagnostics) = compile(&recipes);
    diagnostics.iter().map(|each| each.code.name()).collect()
}

#[test]
fn calls_that_double_end_with_a_mistake() {
    let mut text = String::from("block b0(x: [..., D]) { x + 1.0 }\n");
    for level in 1..40 {
        let below = level - 1;
        writeln!(text, "block b{level}(x: [..., D]) {{ b{below}(b{below}(x)) }}").expect("a string");
    }
    let found = codes(&text);
    assert!(!found.is_empty() && found.iter().all(|code| *code == "E0523"), "{found:?}");
}

#[test]
fn long_chains_of_calls_end_with_a_mistake() {
    let mut text = String::from("block b0(x: [..., D]) { x + 1.0 }\n");
    for level in 1..100 {
        let below = level - 1;
        writeln!(text, "block b{level}(x: [..., D]) {{ (((b{below}(x)))) + 1.0 }}").expect("a string");
    }
    let found = codes(&text);
    assert!(!found.is_empty() && found.iter().all(|code| *code == "E0102"), "{found:?}");
}

#[test]
fn many_layers_end_with_a_mistake() {
    let recipes = Recipes::new("stage s { model = gpt2(depth: 10000, width: 12, heads: 2) }");
    let (plan, diagnostics) = compile(&recipes);
    assert!(plan.is_none());
    assert!(rendered(&diagnostics).contains("E0523"));
}
