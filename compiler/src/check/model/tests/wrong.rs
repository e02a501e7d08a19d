//! Wrong models, one mistake a file: source and rendered error together.

use super::{Recipes, compile, rendered};

#[test]
fn every_mistake_has_its_place_reason_and_way_out() {
    insta::glob!("../wrong", "*.recipe", |path| {
        let text = std::fs::read_to_string(path).expect("the file was just listed");
        let recipes = Recipes::new(&text);
        let (_, diagnostics) = compile(&recipes);
        assert!(!diagnostics.is_empty(), "{} has no mistake", path.display());
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("wrong", format!("{text}\n{}", rendered(&diagnostics)));
        });
    });
}
