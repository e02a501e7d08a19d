//! Models of the standard library, wrong models, configs.

mod configs;
mod limits;
mod standard;
mod wrong;

use llmc_grammar::diagnostic::{Diagnostics, render};
use llmc_grammar::parse;
use llmc_grammar::source::Source;
use llmc_grammar::tree::{Argument, ExprKind, Item, Name, Tree};

use super::super::evaluate::evaluate;
use super::{Library, check_function, elaborate};
use crate::plan::ModelPlan;

const STANDARD: [(&str, &str); 4] = [
    ("std/nn", include_str!("../../../../../recipes/std/nn.recipe")),
    ("std/gpt", include_str!("../../../../../recipes/std/gpt.recipe")),
    ("std/gpt2", include_str!("../../../../../recipes/std/gpt2.recipe")),
    ("std/llama", include_str!("../../../../../recipes/std/llama.recipe")),
];

/// The standard library and one recipe, parsed.
struct Recipes {
    trees: Vec<Tree>,
}

impl Recipes {
    fn new(text: &str) -> Recipes {
        let own = ("test", text);
        let trees = STANDARD
            .into_iter()
            .chain([own])
            .map(|(name, text)| match parse(&Source::new(name, text)) {
                Ok(tree) => tree,
                Err(mistakes) => panic!("{name}: {}", rendered(&mistakes)),
            })
            .collect();
        Recipes { trees }
    }

    fn library(&self, diagnostics: &mut Diagnostics) -> Library<'_> {
        let mut library = Library::default();
        for item in self.trees.iter().flat_map(|tree| &tree.items) {
            match item {
                Item::Function(function) => {
                    library.functions.insert(&function.name.text, function);
                }
                Item::Declaration(declaration) if declaration.kind.text == "huggingface" => {
                    library.huggingface.insert(&declaration.name.text, declaration);
                }
                Item::Let(item) => {
                    let value = evaluate(&item.value, &library.constants, diagnostics);
                    library.constants.insert(item.name.text.clone(), value.value);
                }
                _ => {}
            }
        }
        library
    }

    /// The model that the recipe's `stage` names.
    fn model(&self) -> Option<(Name, &[Argument])> {
        let own = self.trees.last()?;
        own.items.iter().find_map(|item| match item {
            Item::Declaration(stage) if stage.kind.text == "stage" => {
                let field = stage.fields.iter().find(|field| field.name.text == "model")?;
                match &field.value.kind {
                    ExprKind::Name(name) => {
                        Some((Name { text: name.clone(), span: field.value.span.clone() }, &[][..]))
                    }
                    ExprKind::Call { function, arguments } => Some((function.clone(), arguments.as_slice())),
                    _ => None,
                }
            }
            _ => None,
        })
    }
}

/// Checks every function of the recipe, and writes out its stage's model if nothing is wrong so far.
fn compile(recipes: &Recipes) -> (Option<ModelPlan>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let library = recipes.library(&mut diagnostics);
    for item in recipes.trees.iter().flat_map(|tree| &tree.items) {
        if let Item::Function(function) = item {
            check_function(&library, function, &mut diagnostics);
        }
    }
    let errors = diagnostics.iter().any(|each| each.severity == llmc_grammar::diagnostic::Severity::Error);
    let plan = match recipes.model() {
        Some((name, arguments)) if !errors => elaborate(&library, &name, arguments, &mut diagnostics),
        _ => None,
    };
    (plan, diagnostics)
}

fn rendered(diagnostics: &Diagnostics) -> String {
    let each: Vec<String> = diagnostics.iter().map(render).collect();
    each.join("\n")
}

/// The plan of a recipe that is right.
fn plan(text: &str) -> ModelPlan {
    let recipes = Recipes::new(text);
    let (plan, diagnostics) = compile(&recipes);
    assert!(diagnostics.is_empty(), "{}", rendered(&diagnostics));
    plan.expect("a stage names a model")
}
