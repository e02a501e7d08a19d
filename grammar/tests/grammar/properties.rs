//! What holds for every tree.

use llmc_grammar::diagnostic::render;
use llmc_grammar::{format, parse};
use proptest::prelude::*;

use crate::corpus::source;
use crate::{generate, print};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_parsing_gives_the_same_tree(tree in generate::tree()) {
        let text = print::tree(&tree);
        match parse(&source(&text)) {
            Ok(parsed) => prop_assert_eq!(parsed.outline(), tree.outline(), "{}", text),
            Err(errors) => prop_assert!(false, "{}", errors.iter().map(render).collect::<String>()),
        }
    }

    #[test]
    fn formatting_keeps_the_tree_and_itself(tree in generate::tree()) {
        let text = print::tree(&tree);
        let once = format(&source(&text)).expect("generated recipes are right");
        match parse(&source(&once)) {
            Ok(parsed) => prop_assert!(parsed.same_shape(&tree), "{}\n=====\n{}", text, once),
            Err(errors) => prop_assert!(false, "{}", errors.iter().map(render).collect::<String>()),
        }
        prop_assert_eq!(format(&source(&once)).expect("a layout is right"), once);
    }
}
