//! One file a case: the source, then its tree and layout, or the errors a user sees.

use std::fs;

use llmc_grammar::diagnostic::render;
use llmc_grammar::source::Source;
use llmc_grammar::{format, parse};

use crate::corpus;

fn read(path: &std::path::Path) -> Source {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
    Source::new(name, fs::read_to_string(path).expect("a readable recipe"))
}

fn rendered(diagnostics: &[llmc_grammar::diagnostic::Diagnostic]) -> String {
    diagnostics.iter().map(render).collect::<Vec<_>>().join("\n")
}

#[test]
fn trees() {
    insta::glob!("trees/*.recipe", |path| {
        let source = read(path);
        let tree = parse(&source).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
        let layout = format(&source).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(
                format!("{}\n===== tree\n{}\n===== layout\n{layout}", source.text(), tree.outline())
            );
        });
    });
}

#[test]
fn errors() {
    insta::glob!("errors/*.recipe", |path| {
        let source = read(path);
        let errors = parse(&source).expect_err("this recipe is wrong");
        let text = rendered(&errors);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{}\n===== errors\n{text}", source.text()));
        });
    });
}

#[test]
fn reference_examples_parse() {
    let examples = corpus::reference_examples();
    assert!(examples.len() >= 5, "docs/grammar.md holds examples");
    for example in examples {
        let source = Source::new("docs/grammar.md", example);
        if let Err(errors) = parse(&source) {
            panic!("{}", rendered(&errors));
        }
    }
}
