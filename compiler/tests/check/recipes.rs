//! The checker on whole recipes: wrong ones with their messages, right ones with their plans.

use std::path::Path;

use insta::{assert_snapshot, glob, with_settings};
use llmc_compiler::check::check;
use llmc_compiler::library;
use llmc_compiler::world::Nowhere;
use llmc_grammar::source::Source;

use super::world::{Files, recipe, rendered};

/// One mistake a file; the snapshot shows the recipe and what the user sees.
#[test]
fn wrong_recipes() {
    glob!("../../../tests/wrong", "*.recipe", |path| {
        let (source, overrides) = recipe(path);
        let shown = match check(&source, &overrides, &files(path)) {
            Ok(_) => panic!("{} has no mistake", path.display()),
            Err(diagnostics) => rendered(&diagnostics),
        };
        with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            assert_snapshot!(format!("{}\n---\n{shown}", source.text()));
        });
    });
}

/// The whole plan of each recipe, and its warnings.
#[test]
fn plans() {
    glob!("../plans", "*.recipe", |path| {
        let (source, overrides) = recipe(path);
        let shown = match check(&source, &overrides, &files(path)) {
            Ok(checked) => {
                let plan = serde_yaml::to_string(&checked.plan).expect("plain data");
                format!("{plan}---\n{}", rendered(&checked.warnings))
            }
            Err(diagnostics) => panic!("{}:\n{}", path.display(), rendered(&diagnostics)),
        };
        with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            assert_snapshot!(format!("{}\n---\n{shown}", source.text()));
        });
    });
}

fn files(path: &Path) -> Files {
    Files { folder: path.parent().expect("a folder").to_owned() }
}

/// Every recipe of the standard library is right by itself, and all of them go together.
#[test]
fn the_standard_library() {
    let paths = library::paths();
    let all: String = paths.iter().map(|path| format!("import \"{path}\"\n")).collect();
    for text in paths.iter().map(|path| format!("import \"{path}\"\n")).chain([all]) {
        let source = Source::new("test.recipe", text.clone());
        if let Err(diagnostics) = check(&source, &[], &Nowhere) {
            panic!("{text}\n{}", rendered(&diagnostics));
        }
    }
}

/// Without files a recipe still compiles: absent data is a warning.
#[test]
fn a_large_model_compiles_without_its_data() {
    let text = "import \"std/gpt2\"\n\
        dataset web { source = jsonl(\"web.jsonl\") }\n\
        tokenizer bpe { train = byte_bpe(vocab: 50257, on: web) }\n\
        stage pretrain {\n  model = gpt2\n  data = web\n  tokenizer = bpe\n  objective = causal_lm\n  \
        optimizer = adamw(learning_rate: 6e-4)\n  schedule = cosine(warmup: 700 steps, floor: 10%)\n  \
        sequence_length = 1024 tokens\n  global_batch = 512 sequences\n  micro_batch = 4 sequences\n  \
        budget = 10B tokens\n}\n";
    let checked = match check(&Source::new("gpt2.recipe", text), &[], &Nowhere) {
        Ok(checked) => checked,
        Err(diagnostics) => panic!("{}", rendered(&diagnostics)),
    };
    let stage = &checked.plan.stages[0];
    let parameters: u64 = stage.model.weights.iter().map(|weight| weight.elements()).sum();
    assert_eq!(parameters, 124_439_808);
    assert_eq!(stage.steps, 10_000_000_000_u64.div_ceil(512 * 1024));
    let codes: Vec<&str> = checked.warnings.iter().map(|warning| warning.code.name()).collect();
    assert_eq!(codes, ["W0701"]);
}
