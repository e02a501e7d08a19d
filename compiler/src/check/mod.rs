//! Tree to plan: every mistake of the user ends here.

pub mod arithmetic;
pub mod constant_functions;
mod constants;
mod curation;
mod dataset;
pub mod evaluate;
#[cfg(test)]
mod evaluate_tests;
mod formula;
mod mentions;
mod mismatch;
mod mixture;
pub mod model;
mod modules;
mod names;
pub mod nearest;
mod overrides;
mod place;
mod process;
mod quantities;
mod reader;
mod record;
pub mod reference;
mod scaling;
mod source;
mod stage;
pub mod table;
mod tokenizer;
pub mod units;
mod unused;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};

use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Source;
use llmc_grammar::tree::{Declaration, Field, Tree};

use crate::plan::{Plan, TokenizerPlan};
use crate::world::World;
use dataset::Dataset;
use mixture::Mixture;
use model::Library;
use names::{Named, Names};
use reader::Reader;
use value::Value;

/// A recipe without mistakes.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What is to be done.
    pub plan: Plan,
    /// What is probably not meant, in source order.
    pub warnings: Diagnostics,
}

/// `--set name=value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// A `param`, or a path into a declaration: `pretrain.budget`, `pretrain.optimizer.learning_rate`.
    pub name: String,
    /// An expression of the language; for a `param` of type `string` also a bare text.
    pub value: String,
}

/// Checks a recipe: parses it with its imports, applies the overrides and resolves everything.
///
/// # Errors
/// Every mistake found, and every warning, in source order: the recipe first, then its imports. Mistakes of syntax
/// and imports are reported alone, since without them nothing else can be judged.
pub fn check(source: &Source, overrides: &[Override], world: &dyn World) -> Result<Checked, Diagnostics> {
    check_trees(source, parse(source, world)?, overrides, world)
}

/// Parses a recipe and everything it imports, the recipe first.
///
/// # Errors
/// Every mistake of syntax and of imports.
pub fn parse(source: &Source, world: &dyn World) -> Result<Vec<Tree>, Diagnostics> {
    modules::load(source, world)
}

/// Checks the trees that [`parse`] gave for this source.
///
/// # Errors
/// Every mistake found, and every warning, in source order.
pub fn check_trees(
    source: &Source,
    mut trees: Vec<Tree>,
    overrides: &[Override],
    world: &dyn World,
) -> Result<Checked, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let mentioned = unused::mentioned(&trees);
    overrides::apply(&mut trees, overrides, &mut diagnostics);
    let plan = resolve(source, &trees, &mentioned, world, &mut diagnostics);
    let diagnostics = in_source_order(diagnostics, &trees);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    Ok(Checked { plan, warnings: diagnostics })
}

fn resolve(
    source: &Source,
    trees: &[Tree],
    mentioned: &BTreeSet<String>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Plan {
    let names = Names::collect(trees, diagnostics);
    let mut resolved = Resolved::default();
    let order = constants::order(&names, diagnostics);
    for name in order.without_value {
        resolved.constants.insert(name.to_owned(), Value::Unknown);
        resolved.constants.insert(format!("{name}.vocab"), Value::Unknown);
    }
    for named in order.names {
        resolved.add(named, &names, world, diagnostics);
    }
    let library = library(&names, resolved.constants);
    let before = diagnostics.len();
    for function in library.functions.values() {
        model::check_function(&library, function, diagnostics);
    }
    let sound_functions = !diagnostics[before..].iter().any(Diagnostic::is_error);
    let mut checking = stage::Checking {
        names: &names,
        library: &library,
        sound_functions,
        datasets: &resolved.datasets,
        mixtures: &resolved.mixtures,
        tokenizers: &resolved.tokenizers,
        world,
        diagnostics,
    };
    let stages = stage::check_all(&mut checking);
    let known = |name: &&str| names.find(name);
    let params = names
        .order
        .iter()
        .filter(|name| matches!(known(name), Some(Named::Param(_))))
        .filter_map(|name| Some(((*name).to_owned(), library.constants.get(*name)?.to_string())))
        .collect();
    let plan = Plan {
        recipe: recipe_name(source),
        params,
        datasets: some(resolved.datasets, |data| data.plan),
        mixtures: some(resolved.mixtures, |mixture| mixture.plan),
        tokenizers: some(resolved.tokenizers, |tokenizer| tokenizer),
        stages,
    };
    if !diagnostics.iter().any(Diagnostic::is_error) {
        unused::warn(&plan, &names, mentioned, source, diagnostics);
    }
    plan
}

/// Values of names, as far as they are evaluated.
#[derive(Default)]
struct Resolved {
    constants: BTreeMap<String, Value>,
    datasets: BTreeMap<String, Option<Dataset>>,
    mixtures: BTreeMap<String, Option<Mixture>>,
    tokenizers: BTreeMap<String, Option<TokenizerPlan>>,
}

impl Resolved {
    fn add(&mut self, named: Named<'_>, names: &Names<'_>, world: &dyn World, diagnostics: &mut Diagnostics) {
        let name = named.name();
        match named {
            Named::Let(item) => {
                let value = evaluate::evaluate(&item.value, &self.constants, diagnostics).value;
                self.constants.insert(name.text.clone(), value);
            }
            Named::Param(item) => {
                let value = constants::param(item, &self.constants, diagnostics);
                self.constants.insert(name.text.clone(), value);
            }
            Named::Declaration(item) => {
                let Some(form) = table::kind(&item.kind.text) else {
                    return;
                };
                let record = Reader { names, constants: &self.constants, diagnostics }.declaration(
                    form,
                    name,
                    &fields(item),
                    true,
                );
                match form.name {
                    "dataset" => {
                        let dataset = dataset::check(&record, name, &self.datasets, world, diagnostics);
                        self.datasets.insert(name.text.clone(), dataset);
                    }
                    "mixture" => {
                        let mixture = mixture::check(&record, name, &self.datasets, diagnostics);
                        self.mixtures.insert(name.text.clone(), mixture);
                    }
                    _ => {
                        let tokenizer = tokenizer::check(&record, name, &self.datasets, world, diagnostics);
                        let vocab = tokenizer.as_ref().and_then(|it| i64::try_from(it.vocab).ok());
                        let member = format!("{}.vocab", name.text);
                        self.constants.insert(member, vocab.map_or(Value::Unknown, Value::Int));
                        self.tokenizers.insert(name.text.clone(), tokenizer);
                    }
                }
            }
            Named::Function(_) => {}
        }
    }
}

fn library<'t>(names: &Names<'t>, constants: BTreeMap<String, Value>) -> Library<'t> {
    let functions = names
        .order
        .iter()
        .filter_map(|name| match names.find(name)? {
            Named::Function(function) => Some((*name, function)),
            _ => None,
        })
        .collect();
    Library { functions, constants, huggingface: names.huggingface.clone() }
}

fn fields(item: &Declaration) -> Vec<&Field> {
    item.fields.iter().collect()
}

fn some<T, U>(map: BTreeMap<String, Option<T>>, take: impl Fn(T) -> U) -> BTreeMap<String, U> {
    map.into_iter().filter_map(|(name, value)| Some((name, take(value?)))).collect()
}

/// The file name without its folder and extension.
fn recipe_name(source: &Source) -> String {
    let file = source.name().rsplit(['/', '\\']).next().unwrap_or_default();
    file.strip_suffix(".recipe").unwrap_or(file).to_owned()
}

/// Mistakes reported in one go; more would not be read.
const MOST_DIAGNOSTICS: usize = 100;

/// Sorted by place (the command line, the recipe, its imports in the order of reading), without repetitions.
fn in_source_order(mut diagnostics: Diagnostics, trees: &[Tree]) -> Diagnostics {
    let place = |each: &Diagnostic| {
        let (span, _) = each.labels.first()?;
        let file = trees.iter().position(|tree| tree.source == span.source);
        Some((file, span.start, span.end))
    };
    diagnostics.sort_by_key(place);
    let mut known = BTreeSet::new();
    diagnostics.retain(|each| known.insert((place(each), each.code.name(), each.message.clone())));
    diagnostics.truncate(MOST_DIAGNOSTICS);
    diagnostics
}
