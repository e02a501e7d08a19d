//! Every node's place is the text it came from.

use llmc_grammar::parse;
use llmc_grammar::tree::{Expr, ExprKind, Item, Statement};

use crate::corpus::source;

fn value(text: &str) -> Expr {
    let tree = parse(&source(&format!("\u{FEFF}// é\r\nlet x = {text}\r\n"))).expect("a right recipe");
    match tree.items.into_iter().next() {
        Some(Item::Let(item)) => item.value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_expressions() {
    let expr = value("(a + b) * -f(c: 2M tokens)");
    assert_eq!(expr.span.text(), "(a + b) * -f(c: 2M tokens)");
    let ExprKind::Binary { left, right, operator_span, .. } = &expr.kind else { panic!() };
    assert_eq!((left.span.text(), operator_span.text()), ("(a + b)", "*"));
    assert_eq!(right.span.text(), "-f(c: 2M tokens)");
    let ExprKind::Unary { operand, .. } = &right.kind else { panic!() };
    let ExprKind::Call { function, arguments } = &operand.kind else { panic!() };
    assert_eq!(function.span.text(), "f");
    assert_eq!(arguments[0].name.as_ref().map(|name| name.span.text()), Some("c"));
    let ExprKind::Number(number) = &arguments[0].value.kind else { panic!() };
    assert_eq!(number.unit.as_ref().map(|unit| unit.span.text()), Some("tokens"));
    assert_eq!(arguments[0].value.span.text(), "2M tokens");
}

#[test]
fn of_suffixes() {
    let named = value("f(x) as h.attn");
    assert_eq!(named.span.text(), "f(x) as h.attn");
    let ExprKind::Named { value: inner, path } = &named.kind else { panic!() };
    assert_eq!((inner.span.text(), path.span.text()), ("f(x)", "h.attn"));
    assert_eq!(path.parts[1].span.text(), "attn");
    let of = value("8 of h100");
    let ExprKind::Of { count, what } = &of.kind else { panic!() };
    assert_eq!((of.span.text(), count.span.text(), what.span.text()), ("8 of h100", "8", "h100"));
    let member = value("a.b.c");
    let ExprKind::Member { base, field } = &member.kind else { panic!() };
    assert_eq!((base.span.text(), field.span.text()), ("a.b", "c"));
}

#[test]
fn of_items_and_statements() {
    let text = "// one\nmodel m(x: [B, T]) {\n  y = x\n  repeat 2 as h { y = -y }\n  y\n}\n";
    let tree = parse(&source(text)).expect("a right recipe");
    let Some(Item::Function(model)) = tree.items.first() else { panic!() };
    assert!(model.span.text().starts_with("model m(") && model.span.text().ends_with("y\n}"));
    assert!(model.body.span.text().starts_with('{') && model.body.span.text().ends_with('}'));
    assert_eq!(model.parameters[0].span.text(), "x: [B, T]");
    let spans: Vec<&str> = model
        .body
        .statements
        .iter()
        .map(|statement| match statement {
            Statement::Assign { span, .. } | Statement::Repeat { span, .. } | Statement::If { span, .. } => span.text(),
        })
        .collect();
    assert_eq!(spans, ["y = x", "repeat 2 as h { y = -y }"]);
    assert_eq!(model.name.span.place(), "test.recipe:2");
}
