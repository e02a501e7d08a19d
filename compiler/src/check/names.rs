//! The one set of names that a recipe and its imports share.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DUPLICATE_FIELD, DUPLICATE_NAME, FROM_NOT_ALLOWED, UNKNOWN_KIND};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Declaration, Expr, ExprKind, Function, FunctionKind, Item, Let, Name, Param, Tree};

use super::nearest::suggestion;
use super::table::{KINDS, OPEN_KINDS};

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub enum Named<'t> {
    /// `let`
    Let(&'t Let),
    /// `param`
    Param(&'t Param),
    /// `dataset`, `tokenizer` or `stage`
    Declaration(&'t Declaration),
    /// `block` or `model`
    Function(&'t Function),
}

impl<'t> Named<'t> {
    /// The name where it is bound.
    pub fn name(self) -> &'t Name {
        match self {
            Named::Let(item) => &item.name,
            Named::Param(item) => &item.name,
            Named::Declaration(item) => &item.name,
            Named::Function(item) => &item.name,
        }
    }

    /// `let`, `dataset`, `model`: the keyword that binds it.
    pub fn kind(self) -> &'t str {
        match self {
            Named::Let(_) => "let",
            Named::Param(_) => "param",
            Named::Declaration(item) => &item.kind.text,
            Named::Function(item) => match item.kind {
                FunctionKind::Block => "block",
                FunctionKind::Model => "model",
            },
        }
    }

    /// The expressions that its value is computed from (none for functions).
    pub fn expressions(self) -> Vec<&'t Expr> {
        match self {
            Named::Let(item) => vec![&item.value],
            Named::Param(item) => item.default.iter().collect(),
            Named::Declaration(item) => item.fields.iter().map(|field| &field.value).collect(),
            Named::Function(_) => Vec::new(),
        }
    }
}

/// Every name of a recipe and its imports.
#[derive(Debug, Default)]
pub struct Names<'t> {
    entries: BTreeMap<&'t str, Named<'t>>,
    /// Names in the order of the files.
    pub order: Vec<&'t str>,
    /// `huggingface` declarations, by the model they describe.
    pub huggingface: BTreeMap<&'t str, &'t Declaration>,
}

impl<'t> Names<'t> {
    /// Collects the names of all trees. Names bound twice and unknown kinds are reported.
    pub fn collect(trees: &'t [Tree], diagnostics: &mut Diagnostics) -> Names<'t> {
        let mut names = Names::default();
        for item in trees.iter().flat_map(|tree| &tree.items) {
            match item {
                Item::Import(_) => {}
                Item::Let(item) => names.insert(Named::Let(item), diagnostics),
                Item::Param(item) => names.insert(Named::Param(item), diagnostics),
                Item::Function(item) => names.insert(Named::Function(item), diagnostics),
                Item::Declaration(item) => names.declare(item, diagnostics),
            }
        }
        names
    }

    fn declare(&mut self, item: &'t Declaration, diagnostics: &mut Diagnostics) {
        check_heading(item, diagnostics);
        if item.kind.text == "huggingface" {
            if let Some(first) = self.huggingface.insert(&item.name.text, item) {
                diagnostics.push(twice(&first.name, &item.name));
            }
        } else {
            self.insert(Named::Declaration(item), diagnostics);
        }
    }

    fn insert(&mut self, named: Named<'t>, diagnostics: &mut Diagnostics) {
        let name = named.name();
        match self.entries.get(name.text.as_str()) {
            Some(first) => diagnostics.push(twice(first.name(), name)),
            None => {
                self.entries.insert(&name.text, named);
                self.order.push(&name.text);
            }
        }
    }

    /// What `name` stands for.
    pub fn find(&self, name: &str) -> Option<Named<'t>> {
        self.entries.get(name).copied()
    }

    /// The declaration of `kind` called `name`.
    pub fn declaration(&self, kind: &str, name: &str) -> Option<&'t Declaration> {
        match self.find(name) {
            Some(Named::Declaration(item)) if item.kind.text == kind => Some(item),
            _ => None,
        }
    }

    /// Every name of this kind (`dataset`, `model`), in the order of the files.
    pub fn of_kind(&self, kind: &str) -> Vec<&'t str> {
        self.order.iter().copied().filter(|name| self.find(name).is_some_and(|named| named.kind() == kind)).collect()
    }

    /// Follows names that a `let` gives to other names or calls.
    pub fn follow(&self, mut expr: &'t Expr) -> &'t Expr {
        // A circle of `let`s is reported elsewhere; here it only must end.
        for _ in 0..self.entries.len() {
            match &expr.kind {
                ExprKind::Name(name) => match self.find(name) {
                    Some(Named::Let(item)) => expr = &item.value,
                    _ => break,
                },
                _ => break,
            }
        }
        expr
    }
}

fn check_heading(item: &Declaration, diagnostics: &mut Diagnostics) {
    let kind = item.kind.text.as_str();
    let known: Vec<&str> = KINDS.iter().map(|form| form.name).chain(OPEN_KINDS).collect();
    if !known.contains(&kind) {
        let mistake = Diagnostic::error(UNKNOWN_KIND, format!("there is no declaration of kind `{kind}`"))
            .label(&item.kind.span, "unknown kind");
        diagnostics.push(match suggestion(kind, &known) {
            Some(help) => mistake.help(help),
            None => mistake,
        });
    } else if let (Some(from), false) = (&item.from, kind == "stage") {
        diagnostics.push(
            Diagnostic::error(FROM_NOT_ALLOWED, format!("a {kind} cannot continue another"))
                .label(&from.span, "only stages continue others"),
        );
    }
}

fn twice(first: &Name, second: &Name) -> Diagnostic {
    Diagnostic::error(DUPLICATE_NAME, format!("`{}` is declared twice", second.text))
        .label(&second.span, "declared again here")
        .label(&first.span, "first declared here")
        .help("a recipe and its imports share one set of names: rename one of the two")
}

/// A field or argument that is written twice.
pub fn field_twice(name: &str, first: &Span, second: &Span) -> Diagnostic {
    Diagnostic::error(DUPLICATE_FIELD, format!("`{name}` is written twice"))
        .label(second, "written again here")
        .label(first, "first written here")
        .help("keep one of the two")
}
