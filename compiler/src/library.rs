//! The standard library of recipes, embedded in the binary.

use llmc_grammar::source::Source;

/// Import path and text of every library recipe, in order.
const RECIPES: &[(&str, &str)] = &[
    ("std/bert", include_str!("../../recipes/std/bert.recipe")),
    ("std/bloom", include_str!("../../recipes/std/bloom.recipe")),
    ("std/deepseek", include_str!("../../recipes/std/deepseek.recipe")),
    ("std/gemma2", include_str!("../../recipes/std/gemma2.recipe")),
    ("std/gpt", include_str!("../../recipes/std/gpt.recipe")),
    ("std/gpt2", include_str!("../../recipes/std/gpt2.recipe")),
    ("std/llama", include_str!("../../recipes/std/llama.recipe")),
    ("std/mistral", include_str!("../../recipes/std/mistral.recipe")),
    ("std/mixtral", include_str!("../../recipes/std/mixtral.recipe")),
    ("std/nn", include_str!("../../recipes/std/nn.recipe")),
    ("std/qwen3", include_str!("../../recipes/std/qwen3.recipe")),
    ("std/t5", include_str!("../../recipes/std/t5.recipe")),
    ("std/xlnet", include_str!("../../recipes/std/xlnet.recipe")),
];

/// The library recipe that `import "path"` names.
pub fn find(path: &str) -> Option<Source> {
    RECIPES.iter().find(|(name, _)| *name == path).map(|(name, text)| Source::new(*name, *text))
}

/// Every import path of the library, in order.
pub fn paths() -> Vec<&'static str> {
    RECIPES.iter().map(|(name, _)| *name).collect()
}
