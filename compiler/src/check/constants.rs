//! Evaluates what names stand for, each after what it needs.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DEFINED_BY_ITSELF, PARAM_WITHOUT_VALUE, UNKNOWN_CHOICE, UNKNOWN_VALUE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Param;

use super::evaluate::evaluate;
use super::mentions::{self, Mention, in_expression};
use super::names::{Named, Names};
use super::nearest::{nearest, suggestion};
use super::value::{Kind, Spanned, Value};

/// `let`s, `param`s, datasets, mixtures and tokenizers in the order in which they can be evaluated.
pub struct Order<'t> {
    /// Each after those that it mentions.
    pub names: Vec<Named<'t>>,
    /// Names that are mentioned before they have a value, because they need themselves: reported already.
    pub without_value: Vec<&'t str>,
}

/// Orders names by what they mention. A name that needs itself is reported.
pub fn order<'t>(names: &Names<'t>, diagnostics: &mut Diagnostics) -> Order<'t> {
    let mut ordering = Ordering { names, states: BTreeMap::new(), order: Vec::new(), without_value: Vec::new() };
    for name in &names.order {
        if let Some(named) = names.find(name).filter(|named| is_ordered(*named)) {
            ordering.visit(named, diagnostics);
        }
    }
    Order { names: ordering.order, without_value: ordering.without_value }
}

fn is_ordered(named: Named<'_>) -> bool {
    matches!(named.kind(), "let" | "param" | "dataset" | "mixture" | "tokenizer")
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
    without_value: Vec<&'t str>,
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
                Some(State::Open) => {
                    self.without_value.push(name);
                    diagnostics.push(circle(next, named, span));
                }
                Some(State::Done) => {}
            }
        }
    }

    fn open(&mut self, named: Named<'t>, stack: &mut Vec<(Named<'t>, Vec<Mention<'t>>)>) {
        let name = &named.name().text;
        if self.states.contains_key(name.as_str()) {
            return;
        }
        self.states.insert(name, State::Open);
        let mut mentions = Vec::new();
        let mut words = Vec::new();
        for expr in named.expressions() {
            in_expression(expr, &mut mentions);
            mentions::words(expr, &mut words);
        }
        // `kind: web` in a dataset called `web` is not the dataset.
        let is_word = |span: &Span| words.iter().any(|word| std::ptr::eq(*word, span));
        let is_declared = |name| matches!(self.names.find(name), Some(Named::Declaration(_)));
        mentions.retain(|(name, span)| !(is_declared(name) && is_word(span)));
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
    let mistake = Diagnostic::error(DEFINED_BY_ITSELF, format!("`{name}` is defined by itself")).label(span, label);
    match name == through {
        true => mistake,
        false => mistake.label(&named.name().span, format!("`{name}` is declared here")),
    }
}

/// The value of a `param`: what `--set` gave (already in place of the default) or the default, of the declared type.
pub fn param(item: &Param, constants: &BTreeMap<String, Value>, diagnostics: &mut Diagnostics) -> Value {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    let kind = Kind::find(&item.kind.text);
    if kind.is_none() {
        let mistake = Diagnostic::error(UNKNOWN_CHOICE, format!("there is no type `{}`", item.kind.text))
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
                .help(format!("give it one on the command line: `--set {name}=...`")),
        );
        return Value::Unknown;
    };
    let value = evaluate(default, constants, diagnostics);
    let accepted = match (kind, &value.value) {
        (None, _) => Ok(Value::Unknown),
        (Some(Kind::Function), _) => Kind::Function.accept(&value),
        (Some(kind), Value::Name(name)) => Err(not_known(name, &value, item, kind, constants)),
        (Some(kind), _) => kind.accept(&value),
    };
    accepted.unwrap_or_else(|mistake| {
        diagnostics.push(*mistake);
        Value::Unknown
    })
}

/// A bare name where the value of a `param` is needed.
fn not_known(
    name: &str,
    value: &Spanned,
    item: &Param,
    kind: Kind,
    constants: &BTreeMap<String, Value>,
) -> Box<Diagnostic> {
    let known: Vec<&str> = constants.keys().map(String::as_str).collect();
    let mistake =
        Diagnostic::error(UNKNOWN_VALUE, format!("unknown name `{name}`")).label(&value.span, "not known here");
    Box::new(match nearest(name, known) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help(format!("`{}` takes {}", item.name.text, kind.describe())),
    })
}
