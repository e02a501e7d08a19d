//! The standard library of recipes, embedded in the binary.

use llmc_grammar::source::Source;

/// Import path and text of every library recipe, in order.
const RECIPES: &[(&str, &str)] = &[];

/// The library recipe that `import "path"` names.
pub fn find(path: &str) -> Option<Source> {
    RECIPES
        .iter()
        .find(|(name, _)| *name == path)
        .map(|(name, text)| Source::new(*name, *text))
}

/// Every import path of the library, in order.
pub fn paths() -> Vec<&'static str> {
    RECIPES.iter().map(|(name, _)| *name).collect()
}
