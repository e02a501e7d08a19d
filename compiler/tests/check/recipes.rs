//! The checker on whole recipes: wrong ones with their messages, right ones with their plans.

use std::path::Path;

use insta::{assert_snapshot, glob, with_settings};
use llmc_compiler::check::check;

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
    Files {
        folder: path.parent().expect("a folder").to_owned(),
    }
}
