//! The standard library of recipes, embedded in the binary.

use llmc_grammar::source::Source;

/// Import path and text of every library recipe, in order.
const RECIPES: &[(&str, &str)] = &[
    ("std/gpt", include_str!("../../recipes/std/gpt.recipe")),
    ("std/gpt2", include_str!("../../recipes/std/gpt2.recipe")),
    ("std/llama", include_str!("../../recipes/std/llama.recipe")),
    ("std/nn", include_str!("../../recipes/std/nn.recipe")),
];

/// The library recipe that `import "path"` names.
pub fn find(path: &str) -> Option<Source> {
    RECIPES.iter().find(|(name, _)| *name == path).map(|(name, text)| Source::new(*name, *text))
}

/// Every import path of the library, in order.
pub fn paths() -> Vec<&'static str> {
    RECIPES.iter().map(|(name, _)| *name).collect()
}
