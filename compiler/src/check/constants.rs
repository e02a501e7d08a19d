//! Evaluates what names stand for, each after what it needs.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DEFINED_BY_ITSELF, PARAM_WITHOUT_VALUE, UNKNOWN_CHOICE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind, Param};

use super::evaluate::evaluate;
use super::names::{Named, Names};
use super::nearest::suggestion;
use super::value::{Kind, Spanned, Value};

/// Names of `let`s, `param`s, datasets and tokenizers, each after those that it mentions.
/// A name that needs itself is reported.
pub fn order<'t>(names: &Names<'t>, diagnostics: &mut Diagnostics) -> Vec<Named<'t>> {
    let mut ordering = Ordering {
        names,
        states: BTreeMap::new(),
        order: Vec::new(),
    };
    for name in &names.order {
        if let Some(named) = names.find(name).filter(|named| is_ordered(*named)) {
            ordering.visit(named, diagnostics);
        }
    }
    ordering.order
}

fn is_ordered(named: Named<'_>) -> bool {
    matches!(named.kind(), "let" | "param" | "dataset" | "tokenizer")
}

#[derive(PartialEq)]
enum State {
    Open,
    Done,
}

struct Ordering<'a, 't> {
    names: &'a Names<'t>,
    states: BTreeMap<&'t str, State>,
    order: Vec<Named<'t>>,
}

impl<'t> Ordering<'_, 't> {
    /// Depth first, with a stack of its own: chains of names may be as long as a recipe.
    fn visit(&mut self, root: Named<'t>, diagnostics: &mut Diagnostics) {
        let mut stack = Vec::new();
        self.open(root, &mut stack);
        while let Some((named, mentions)) = stack.last_mut() {
            let named = *named;
            let Some((name, span)) = mentions.pop() else {
                self.states.insert(&named.name().text, State::Done);
                self.order.push(named);
                stack.pop();
                continue;
            };
            let Some(next) = self.names.find(name).filter(|next| is_ordered(*next)) else {
                continue;
            };
            match self.states.get(name) {
                None => self.open(next, &mut stack),
                Some(State::Open) => diagnostics.push(circle(next, named, span)),
                Some(State::Done) => {}
            }
        }
    }

    fn open(&mut self, named: Named<'t>, stack: &mut Vec<(Named<'t>, Vec<(&'t str, &'t Span)>)>) {
        let name = &named.name().text;
        if self.states.contains_key(name.as_str()) {
            return;
        }
        self.states.insert(name, State::Open);
        let mut mentions = Vec::new();
        for expr in named.expressions() {
            collect_mentions(expr, &mut mentions);
        }
        mentions.reverse();
        stack.push((named, mentions));
    }
}

fn circle(named: Named<'_>, from: Named<'_>, span: &Span) -> Diagnostic {
    let name = &named.name().text;
    let through = &from.name().text;
    let label = match name == through {
        true => format!("`{name}` needs its own value here"),
        false => format!("`{through}` needs `{name}`, which needs `{through}`"),
    };
    let mistake = Diagnostic::error(DEFINED_BY_ITSELF, format!("`{name}` is defined by itself"))
        .label(span, label);
    match name == through {
        true => mistake,
        false => mistake.label(&named.name().span, format!("`{name}` is declared here")),
    }
}

/// Every name that an expression mentions, with its place, in the order of the text.
pub fn collect_mentions<'t>(expr: &'t Expr, mentions: &mut Vec<(&'t str, &'t Span)>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::None => {}
        ExprKind::Name(name) => mentions.push((name, &expr.span)),
        ExprKind::Member { base, .. } => collect_mentions(base, mentions),
        ExprKind::List(items) => {
            for item in items {
                collect_mentions(item, mentions);
            }
        }
        ExprKind::Call {
            function,
            arguments,
        } => {
            mentions.push((&function.text, &function.span));
            for argument in arguments {
                collect_mentions(&argument.value, mentions);
            }
        }
        ExprKind::Unary { operand, .. } => collect_mentions(operand, mentions),
        ExprKind::Binary { left, right, .. } => {
            collect_mentions(left, mentions);
            collect_mentions(right, mentions);
        }
        ExprKind::Named { value, .. } => collect_mentions(value, mentions),
        ExprKind::Of { count, what } => {
            collect_mentions(count, mentions);
            mentions.push((&what.text, &what.span));
        }
    }
}

/// The value of a `param`: what `--set` gave (already in place of the default) or the default, of the declared type.
pub fn param(
    item: &Param,
    constants: &BTreeMap<String, Value>,
    diagnostics: &mut Diagnostics,
) -> Value {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    let kind = Kind::find(&item.kind.text);
    if kind.is_none() {
        let mistake = Diagnostic::error(
            UNKNOWN_CHOICE,
            format!("there is no type `{}`", item.kind.text),
        )
        .label(&item.kind.span, "not a type of a param");
        diagnostics.push(match suggestion(&item.kind.text, &kinds) {
            Some(help) => mistake.help(help),
            None => mistake,
        });
    }
    let Some(default) = &item.default else {
        let name = &item.name.text;
        diagnostics.push(
            Diagnostic::error(PARAM_WITHOUT_VALUE, format!("`{name}` has no value"))
                .label(&item.name.span, "declared without a default")
                .help(format!(
                    "give it one on the command line: `--set {name}=...`"
                )),
        );
        return Value::Unknown;
    };
    let value = evaluate(default, constants, diagnostics);
    match kind {
        None => Value::Unknown,
        Some(kind) => kind
            .accept(&known(value, constants, diagnostics))
            .unwrap_or_else(|mistake| {
                diagnostics.push(*mistake);
                Value::Unknown
            }),
    }
}

/// `value`, unless it is a bare name that means nothing here.
fn known(
    value: Spanned,
    constants: &BTreeMap<String, Value>,
    diagnostics: &mut Diagnostics,
) -> Spanned {
    let names: Vec<String> = constants.keys().cloned().collect();
    let span = value.span.clone();
    super::evaluate::known(value, &names).unwrap_or_else(|mistake| {
        diagnostics.push(*mistake);
        Spanned::new(Value::Unknown, &span)
    })
}
