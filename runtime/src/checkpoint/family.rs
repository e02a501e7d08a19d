//! Which model of the standard library a `config.json` describes.

use std::collections::BTreeMap;

use llmc_compiler::check::model::{Library, arguments_from_config, elaborate_values, model_for_config};
use llmc_compiler::check::value::Value as Constant;
use llmc_compiler::library;
use llmc_compiler::plan::ModelPlan;
use llmc_grammar::codes::UNKNOWN_FAMILY;
use llmc_grammar::parse;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Item, Name, Tree};
use serde_json::Value;

use crate::failure::Failure;

/// The recipes of the standard library, parsed.
pub struct StandardLibrary {
    trees: Vec<Tree>,
}

/// A model of the standard library with a config's settings.
#[derive(Debug)]
pub struct KnownModel {
    /// The model's name.
    pub name: String,
    /// What a recipe imports to have it: `std/llama`.
    pub import: String,
    /// The constants that the config gives it.
    pub arguments: BTreeMap<String, Constant>,
    /// The model written out. Its config is the one that was read.
    pub plan: ModelPlan,
    /// The config as the library writes it: with every key.
    pub canonical: Value,
}

impl StandardLibrary {
    /// Parses it.
    ///
    /// # Errors
    /// Never, but by a mistake in the library.
    pub fn new() -> Result<StandardLibrary, Failure> {
        let sources = library::paths().into_iter().filter_map(library::find);
        let trees = sources.map(|source| parse(&source)).collect::<Result<_, _>>()?;
        Ok(StandardLibrary { trees })
    }

    fn definitions(&self) -> Library<'_> {
        let mut all = Library { functions: BTreeMap::new(), constants: BTreeMap::new(), huggingface: BTreeMap::new() };
        for item in self.trees.iter().flat_map(|tree| &tree.items) {
            match item {
                Item::Function(function) => {
                    all.functions.insert(&function.name.text, function);
                }
                Item::Declaration(declaration) if declaration.kind.text == "huggingface" => {
                    all.huggingface.insert(&declaration.name.text, declaration);
                }
                _ => {}
            }
        }
        all
    }

    /// The model for a `config.json`; `place` names where it comes from.
    ///
    /// # Errors
    /// If no model has its `model_type`, or the settings ask for something that the model does not compute.
    pub fn model(&self, config: &Value, place: &str) -> Result<KnownModel, Failure> {
        let all = self.definitions();
        let unknown = |reason: String| {
            Failure::with_help(
                UNKNOWN_FAMILY,
                format!("the model in `{place}` is not known: {reason}"),
                format!("known families: {}", all.huggingface.keys().copied().collect::<Vec<_>>().join(", ")),
            )
        };
        let model = model_for_config(&all, config)
            .ok_or_else(|| unknown(format!("its config.json says `model_type`: {}", config["model_type"])))?;
        let arguments = arguments_from_config(&all, &model, config).map_err(unknown)?;
        let defined = all.functions.get(model.as_str()).map(|function| function.name.span.clone());
        let span = defined.unwrap_or_else(|| Span::new(&self.trees[0].source, 0, 0));
        let import = span.source.name().to_owned();
        let mut diagnostics = Vec::new();
        let plan = elaborate_values(&all, &Name { text: model.clone(), span }, &arguments, &mut diagnostics);
        let mut plan = plan.ok_or(Failure::Diagnostics(diagnostics))?;
        let canonical = plan.config.replace(config.clone()).unwrap_or_default();
        Ok(KnownModel { name: model, import, arguments, plan, canonical })
    }
}
