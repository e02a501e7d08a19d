//! `--set name=value`: changes of a recipe from the command line, made in its tree before anything is checked.

use llmc_grammar::codes::UNKNOWN_OVERRIDE;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::{Source, Span};
use llmc_grammar::tree::{Argument, Declaration, Expr, ExprKind, Field, Item, Name, Param, Tree};

use super::Override;
use super::nearest::suggestion;
use super::table;

/// Applies every override, in order, to the parsed recipe and its imports.
pub fn apply(trees: &mut [Tree], overrides: &[Override], diagnostics: &mut Diagnostics) {
    for each in overrides {
        let parts: Vec<&str> = each.name.split('.').collect();
        let outcome = match parts.as_slice() {
            [name] => set_param(trees, name, each),
            [name, field] => set_field(trees, name, field, each),
            [name, field, argument] => set_argument(trees, name, field, argument, each),
            _ => Err(vec![nothing_to_set(each, "a name has at most three parts")]),
        };
        if let Err(mistakes) = outcome {
            diagnostics.extend(mistakes);
        }
    }
}

fn set_param(trees: &mut [Tree], name: &str, each: &Override) -> Result<(), Diagnostics> {
    let known: Vec<String> = params(trees).map(|param| param.name.text.clone()).collect();
    let Some(param) = params_mut(trees).find(|param| param.name.text == name) else {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let mistake = nothing_to_set(each, &format!("the recipe has no `param` called `{name}`"));
        return Err(vec![match suggestion(name, &known) {
            Some(help) => mistake.help(help),
            None => mistake.help("set a field as `--set STAGE.FIELD=VALUE`"),
        }]);
    };
    // A text on a command line has lost its quotes to the shell.
    let bare = param.kind.text == "string" && !each.value.trim_start().starts_with('"');
    param.default = Some(match bare {
        true => literal_text(each),
        false => parse_value(each, &format!("let {name} = "), "")?.value,
    });
    Ok(())
}

fn set_field(trees: &mut [Tree], name: &str, field: &str, each: &Override) -> Result<(), Diagnostics> {
    let item = declaration(trees, name, each)?;
    let parsed = parse_value(each, &format!("{} {name} {{ {field} = ", item.kind.text), " }")?;
    put(item, parsed);
    Ok(())
}

fn set_argument(
    trees: &mut [Tree],
    name: &str,
    field: &str,
    argument: &str,
    each: &Override,
) -> Result<(), Diagnostics> {
    let item = declaration(trees, name, each)?;
    let own = item.fields.iter().find(|written| written.name.text == field);
    let value = match own {
        Some(written) => written.value.clone(),
        None => inherited(trees, name, field)
            .ok_or_else(|| vec![nothing_to_set(each, &format!("`{name}` has no field `{field}` to change"))])?,
    };
    let (function, mut arguments) = match value.kind {
        ExprKind::Call { function, arguments } => (function, arguments),
        ExprKind::Name(text) => (Name { text, span: value.span.clone() }, Vec::new()),
        _ => {
            return Err(vec![
                nothing_to_set(each, &format!("`{name}.{field}` is no call with arguments"))
                    .label(&value.span, "this has no arguments"),
            ]);
        }
    };
    let item = declaration(trees, name, each)?;
    let before = format!("{} {name} {{ {field} = {}({argument}: ", item.kind.text, function.text);
    let parsed = parse_value(each, &before, ") }")?;
    let span = parsed.span.clone();
    arguments.retain(|other| other.name.as_ref().is_none_or(|name| name.text != argument));
    arguments.push(Argument { name: Some(parsed.name), value: parsed.value });
    let value = Expr { kind: ExprKind::Call { function, arguments }, span: span.clone() };
    let name = Name { text: field.to_owned(), span: span.clone() };
    put(item, Field { name, value, span });
    Ok(())
}

/// The field as the stages that `name` continues have it.
fn inherited(trees: &[Tree], name: &str, field: &str) -> Option<Expr> {
    let find = |name: &str| declarations(trees).find(|item| item.name.text == name);
    let mut item = find(name)?;
    // A circle of stages is reported later; here the walk only must end.
    for _ in 0..declarations(trees).count() {
        if let Some(written) = item.fields.iter().find(|written| written.name.text == field) {
            return Some(written.value.clone());
        }
        item = find(&item.from.as_ref()?.text)?;
    }
    None
}

fn put(item: &mut Declaration, field: Field) {
    item.fields.retain(|written| written.name.text != field.name.text);
    item.fields.push(field);
}

fn declaration<'t>(trees: &'t mut [Tree], name: &str, each: &Override) -> Result<&'t mut Declaration, Diagnostics> {
    let known: Vec<String> = declarations(trees).map(|item| item.name.text.clone()).collect();
    let found = trees.iter_mut().flat_map(|tree| &mut tree.items).find_map(|item| match item {
        Item::Declaration(item) if item.name.text == name && table::kind(&item.kind.text).is_some() => Some(item),
        _ => None,
    });
    found.ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let mistake = nothing_to_set(each, &format!("nothing is called `{name}`"));
        vec![match suggestion(name, &known) {
            Some(help) => mistake.help(help),
            None => mistake,
        }]
    })
}

fn declarations(trees: &[Tree]) -> impl Iterator<Item = &Declaration> {
    trees.iter().flat_map(|tree| &tree.items).filter_map(|item| match item {
        Item::Declaration(item) if table::kind(&item.kind.text).is_some() => Some(item),
        _ => None,
    })
}

fn params(trees: &[Tree]) -> impl Iterator<Item = &Param> {
    trees.iter().flat_map(|tree| &tree.items).filter_map(|item| match item {
        Item::Param(param) => Some(param),
        _ => None,
    })
}

fn params_mut(trees: &mut [Tree]) -> impl Iterator<Item = &mut Param> {
    trees.iter_mut().flat_map(|tree| &mut tree.items).filter_map(|item| match item {
        Item::Param(param) => Some(param),
        _ => None,
    })
}

/// The value, read as the recipe text that would say the same, so that mistakes in it are shown in place.
fn parse_value(each: &Override, before: &str, after: &str) -> Result<Field, Diagnostics> {
    let value = each.value.trim();
    let source = Source::new(format!("--set {}", each.name), format!("{before}{value}{after}"));
    let tree = llmc_grammar::parse(&source)?;
    let place = (before.len(), before.len() + value.len());
    let found = match tree.items.into_iter().next() {
        Some(Item::Let(item)) => Some((item.name, item.value)),
        Some(Item::Declaration(item)) => item.fields.into_iter().next().map(|field| (field.name, field.value)),
        _ => None,
    };
    let found = match found {
        Some((_, Expr { kind: ExprKind::Call { mut arguments, .. }, span })) if span.start < place.0 => {
            arguments.pop().and_then(|argument| Some((argument.name?, argument.value)))
        }
        other => other,
    };
    // A value that closes the declaration and opens another is no value.
    found
        .filter(|(_, value)| (value.span.start, value.span.end) == place)
        .map(|(name, value)| Field { span: name.span.to(&value.span), name, value })
        .ok_or_else(|| vec![nothing_to_set(each, &format!("`{value}` is not one value"))])
}

fn literal_text(each: &Override) -> Expr {
    let source = Source::new(format!("--set {}", each.name), each.value.clone());
    Expr { kind: ExprKind::String(each.value.clone()), span: Span::new(&source, 0, each.value.len()) }
}

fn nothing_to_set(each: &Override, reason: &str) -> Diagnostic {
    let source = Source::new("command line", format!("--set {}={}", each.name, each.value));
    let start = "--set ".len();
    Diagnostic::error(UNKNOWN_OVERRIDE, format!("cannot set `{}`", each.name))
        .label(&Span::new(&source, start, start + each.name.len()), reason)
}
