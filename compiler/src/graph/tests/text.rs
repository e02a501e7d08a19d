//! The text form.

use super::{input, origin, result, source};
use crate::graph::{Builder, Graph, Target};
use crate::op::{Op, Type};
use crate::plan::{Origin, UnaryFunction};

/// A small layer, with `detours` nodes made and removed on the way.
fn layer(detours: bool) -> Graph {
    let mut graph = Graph::new();
    let place = Origin { path: "transformer.h.0".to_owned(), place: "std/gpt2:12".to_owned() };
    let detour = |graph: &mut Graph, on: crate::graph::Id| {
        if detours {
            for _ in 0..3 {
                graph.add(Op::Unary(UnaryFunction::Exp), &[on], &Origin::default());
            }
        }
    };
    let tokens = source(&mut graph, "tokens", Type::i32(&[2, 3]));
    let table = Op::State { name: "weight/wte".to_owned(), ty: Type::f32(&[7, 4]) };
    let table = graph.add(table, &[], &Origin::default());
    detour(&mut graph, table);
    let x = graph.add(Op::Gather, &[table, tokens], &place);
    detour(&mut graph, x);
    let mut build = Builder::new(&mut graph, place);
    let halved = build.scale(x, 0.5);
    result(build.graph, "x", halved);
    if detours {
        build.graph.remove_dead();
    }
    let mut build = Builder::new(&mut graph, origin());
    let rows = build.reshape(halved, &[6, 4]);
    let logits = build.matmul(rows, false, table, true);
    let updated = build.unary(UnaryFunction::Square, table);
    result(&mut graph, "logits", logits);
    graph.output(Target::State("weight/wte".to_owned()), updated);
    graph
}

#[test]
fn the_text_names_operands_settings_types_and_origins() {
    insta::assert_snapshot!(layer(false).print(), @r"
    input tokens : i32[2, 3]
    state weight/wte : f32[7, 4]

    %0 = gather(weight/wte, tokens) : f32[2, 3, 4]  // transformer.h.0 std/gpt2:12
    %1 = multiply(%0, 0.5) : f32[2, 3, 4]  // transformer.h.0 std/gpt2:12
    %2 = reshape(%1) : f32[6, 4]  // block test:1
    %3 = matmul(%2, weight/wte, transpose: right) : f32[6, 7]  // block test:1
    %4 = square(weight/wte) : f32[7, 4]  // block test:1

    result x = %1
    result logits = %3
    state weight/wte = %4
    ");
}

#[test]
fn the_text_does_not_depend_on_what_was_removed() {
    assert_eq!(layer(true).print(), layer(false).print());
    let mut counts = layer(true);
    counts.remove_dead();
    assert_eq!(counts.summary(), layer(false).summary());
}

#[test]
fn a_replacement_stands_before_its_first_reader() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[2]);
    let mut build = Builder::new(&mut graph, origin());
    let old = build.unary(UnaryFunction::Exp, x);
    let middle = build.unary(UnaryFunction::Sin, x);
    let reader = build.add(old, middle);
    let new = build.unary(UnaryFunction::Cos, x);
    result(&mut graph, "y", reader);
    graph.replace(old, new);
    graph.remove_dead();
    assert_eq!(graph.order(), [x, middle, new, reader]);
}
