//! Rotary embedding under every rule against reference frequencies, cosines and sines.

use serde_json::Value as Json;

use super::{result, single};
use crate::graph::Tensor;
use crate::op::Op;
use crate::plan::{Rotary, RotaryLayout, RotaryScaling};

/// The reference values, if they are there.
fn reference() -> Option<Json> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/refs/numbers/rope.json");
    match std::fs::read_to_string(path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("reference values are JSON")),
        Err(_) => {
            println!("skipped: no reference values of rotary embedding");
            None
        }
    }
}

fn floats(json: &Json) -> Vec<f64> {
    json.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

/// The rule of a case.
fn rotary(case: &Json) -> Rotary {
    let parameters = &case["params"];
    let number = |name: &str| parameters[name].as_f64().expect("a number of the rule");
    let original = || parameters["original"].as_u64().expect("a length");
    let scaling = match case["type"].as_str().expect("a name") {
        "default" => RotaryScaling::None,
        "linear" => RotaryScaling::Interpolation { factor: number("factor") },
        "ntk_fixed" => RotaryScaling::Ntk { factor: number("factor") },
        "dynamic" => RotaryScaling::DynamicNtk { factor: number("factor"), original: original() },
        "yarn" => RotaryScaling::Yarn {
            factor: number("factor"),
            original: original(),
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            truncate: true,
        },
        "llama3" => RotaryScaling::Llama3 {
            factor: number("factor"),
            low: number("low"),
            high: number("high"),
            original: original(),
        },
        other => panic!("{other} is no rule"),
    };
    let rotary = Rotary { scaling, ..Rotary::plain(case["theta"].as_f64().expect("a base")) };
    case["seq_len"].as_u64().map_or(rotary, |length| rotary.for_length(length))
}

/// What the operator makes of one row of heads `[T, K]`.
fn turned(rotary: Rotary, x: Vec<f32>, positions: Vec<i32>, inverse: bool) -> Vec<f32> {
    let (tokens, width) = (positions.len(), x.len() / positions.len());
    let x = Tensor::f32(&[1, tokens as u64, 1, width as u64], x);
    let positions = Tensor::i32(&[1, tokens as u64], positions);
    let (mut graph, _, value, bound) = single(&Op::Rotate { rotary, inverse }, &[x, positions]);
    result(&mut graph, "y", value);
    graph.execute(&bound, &mut super::Named::new()).expect("valid operands")["y"].to_f32()
}

#[test]
fn frequencies_cosines_and_sines_are_those_of_the_reference() {
    let Some(reference) = reference() else { return };
    let cases = reference["cases"].as_array().expect("cases");
    assert!(cases.len() >= 8);
    for case in cases {
        let rotary = rotary(case);
        let width = case["dim"].as_u64().expect("a width");
        for (found, expected) in rotary.frequencies(width).into_iter().zip(floats(&case["inv_freq"])) {
            assert!((found / expected - 1.0).abs() < 1e-13, "{}: {found} for {expected}", case["type"]);
        }
        let amplitude = case["attention_factor"].as_f64().expect("a factor");
        assert!((rotary.amplitude() - amplitude).abs() < 1e-14);
        // A head of ones, then zeros, turns into cosines, then sines.
        let positions: Vec<i32> = floats(&case["positions"]).into_iter().map(|position| position as i32).collect();
        let head: Vec<f32> = (0..width).map(|index| if index < width / 2 { 1.0 } else { 0.0 }).collect();
        let found = turned(rotary, head.repeat(positions.len()), positions, false);
        let rows = |name: &str| -> Vec<Vec<f64>> { case[name].as_array().expect("rows").iter().map(floats).collect() };
        let expected = rows("cos").into_iter().zip(rows("sin")).flat_map(|(cosines, sines)| [cosines, sines].concat());
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 2e-7, "{}: {found} for {expected}", case["type"]);
        }
    }
}

#[test]
fn both_layouts_turn_as_the_reference_does() {
    let Some(reference) = reference() else { return };
    let rotation = &reference["rotation"];
    let x: Vec<f32> = floats(&rotation["x"]).into_iter().map(|value| value as f32).collect();
    for (layout, name) in [(RotaryLayout::Halves, "half_split"), (RotaryLayout::Interleaved, "interleaved")] {
        // Angles of any size: each pair alone in a head of two, at position 1, with its angle as a divided frequency.
        for (pair, angle) in floats(&rotation["angles"]).into_iter().enumerate() {
            let scaling = RotaryScaling::Interpolation { factor: 1.0 / angle };
            let elements = match layout {
                RotaryLayout::Halves => [pair, pair + 3],
                RotaryLayout::Interleaved => [2 * pair, 2 * pair + 1],
            };
            let rotary = Rotary { scaling, layout, ..Rotary::plain(10_000.0) };
            let found = turned(rotary, elements.map(|element| x[element]).to_vec(), vec![1], false);
            let expected = floats(&rotation[name]);
            for (found, element) in found.into_iter().zip(elements) {
                assert!((f64::from(found) - expected[element]).abs() < 2e-7, "{name} {element}");
            }
        }
    }
}

#[test]
fn layouts_differ_by_a_permutation() {
    let x: Vec<f32> = (0..24).map(|index| (index as f32 * 0.7).sin()).collect();
    let from = |index: usize| index / 8 * 8 + [0, 2, 4, 6, 1, 3, 5, 7][index % 8];
    let halves: Vec<f32> = (0..24).map(|index| x[from(index)]).collect();
    let interleaved = Rotary { layout: RotaryLayout::Interleaved, ..Rotary::plain(50.0) };
    for inverse in [false, true] {
        let expected = turned(interleaved, x.clone(), vec![1, 5, 900], inverse);
        let found = turned(Rotary::plain(50.0), halves.clone(), vec![1, 5, 900], inverse);
        assert!((0..24).all(|index| found[index] == expected[from(index)]));
    }
}
