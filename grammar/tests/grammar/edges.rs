//! Limits, encodings and line ends.

use llmc_grammar::diagnostic::{Diagnostic, render, render_with};
use llmc_grammar::tree::Tree;
use llmc_grammar::{MAX_SOURCE_BYTES, codes, format, parse};

use crate::corpus::source;

/// Runs on the stack that Rust gives every thread but the first.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .expect("a thread")
        .join()
        .expect("no panic and no stack overflow");
}

/// Parses, and uses the tree in every way that walks it.
fn walk(text: &str) -> Result<Tree, Vec<Diagnostic>> {
    let source = source(text);
    let tree = parse(&source)?;
    let copy = tree.clone();
    assert!(copy.same_shape(&tree) && copy == tree && !std::format!("{copy:?}").is_empty());
    drop(copy);
    let again = format(&source).expect("what parses can be formatted");
    assert!(parse(&self::source(&again)).expect("the layout parses").same_shape(&tree));
    Ok(tree)
}

fn is_too_deep(text: &str) -> bool {
    match walk(text) {
        Ok(_) => false,
        Err(errors) => {
            let codes: Vec<_> = errors.iter().map(|error| error.code).collect();
            assert_eq!(codes, [codes::NESTED_TOO_DEEPLY], "{}", render(&errors[0]));
            true
        }
    }
}

#[test]
fn nesting_is_allowed_to_64_levels() {
    on_small_stack(|| {
        for (open, inner, close) in [("(", "1", ")"), ("[", "1", "]"), ("f(", "1", ")"), ("f(a: [-(b + ", "1", ")])")] {
            let levels = open.matches(['(', '[']).count();
            let nest = |depth: usize| std::format!("let x = {}{inner}{}", open.repeat(depth), close.repeat(depth));
            assert!(!is_too_deep(&nest(64 / levels)), "{open}");
            assert!(is_too_deep(&nest(64 / levels + 1)), "{open}");
            assert!(is_too_deep(&nest(200_000)), "{open}");
        }
        let blocks = |depth: usize| {
            let (open, close) = ("if a {\n".repeat(depth), "}\n".repeat(depth));
            std::format!("model m(x: [B]) {{\n{open}x = 1\n{close}x\n}}")
        };
        assert!(!is_too_deep(&blocks(63)));
        assert!(is_too_deep(&blocks(64)));
        assert!(is_too_deep(&blocks(200_000)));
    });
}

#[test]
fn operators_are_bounded() {
    on_small_stack(|| {
        let chains: [fn(usize) -> String; 8] = [
            |count| std::format!("let x = {}1", "-".repeat(count)),
            |count| std::format!("let x = {}1", "- ".repeat(count)),
            |count| std::format!("let x = {}a", "not ".repeat(count)),
            |count| std::format!("let x = a{}", " ^ a".repeat(count)),
            |count| std::format!("let x = a{}", " +\n a".repeat(count)),
            |count| std::format!("let x = a{}", ".a".repeat(count)),
            |count| std::format!("let x = a{}", " or a".repeat(count)),
            |count| std::format!("let x = a{}", " + a ^ - a".repeat(count / 3)),
        ];
        for chain in chains {
            assert!(!is_too_deep(&chain(256)), "{}", chain(3));
            assert!(is_too_deep(&chain(300)), "{}", chain(3));
            assert!(is_too_deep(&chain(300_000)), "{}", chain(3));
        }
        let deepest = std::format!("let x = {}1{}", "f(a ^ b * -c + ".repeat(64), ")".repeat(64));
        assert!(!is_too_deep(&deepest));
    });
}

#[test]
fn else_chains_are_bounded() {
    on_small_stack(|| {
        let chain = |count: usize| {
            let chain = "if a { x = 1 } else ".repeat(count);
            std::format!("model m(x: [B]) {{\n{chain}{{ x = 2 }}\nx\n}}")
        };
        assert!(!is_too_deep(&chain(60)));
        assert!(is_too_deep(&chain(70)));
        assert!(is_too_deep(&chain(100_000)));
        let many = "if a { x = 1 } else { x = 2 }\n".repeat(1000);
        assert!(!is_too_deep(&std::format!("model m(x: [B]) {{\n{many}x\n}}")));
    });
}

#[test]
fn long_flat_recipes_are_fine() {
    on_small_stack(|| {
        let list = std::format!("let x = [{}]", "-1 + 2 * a.b, ".repeat(5_000));
        let fields = std::format!("stage s {{\n{}}}", "a = -b + c\n".repeat(5_000));
        for text in [list, fields] {
            assert!(walk(&text).is_ok());
        }
    });
}

#[test]
fn size_is_bounded() {
    let errors = parse(&source(&" ".repeat(MAX_SOURCE_BYTES + 1))).expect_err("too large");
    assert_eq!(errors[0].code, codes::SOURCE_TOO_LARGE);
    assert!(render(&errors[0]).contains("E0110"));
    assert!(parse(&source(&" ".repeat(MAX_SOURCE_BYTES))).is_ok());
}

#[test]
fn the_number_of_errors_is_bounded() {
    let errors = parse(&source(&"let x = &\n".repeat(10_000))).expect_err("wrong");
    assert_eq!(errors.len(), 100);
    let errors = parse(&source(&"&".repeat(100_000))).expect_err("wrong");
    assert_eq!(errors.len(), 100);
}

/// Every shape of input that tempts a scanner to look at the same text again and again.
#[test]
fn time_is_linear_in_the_text() {
    let size = 1 << 18;
    for unit in [
        "/ ",
        "'",
        "\"",
        "\"\n",
        "# ",
        "/*\n",
        "é ",
        "(",
        "}",
        "{}\n",
        "1.",
        "1 ",
        "a ",
        "\\",
        "- ",
        ".",
        ",",
        "a=",
        "let x=1\n",
        "let x=[1]\n",
        "stage s{\n",
        "stage s{}\n",
        "else ",
        "//\n",
        "a={\n",
        "}\n",
    ] {
        let text = unit.repeat(size / unit.len());
        for text in [std::format!("let x = [{text}"), std::format!("stage s {{{text}"), text] {
            let started = std::time::Instant::now();
            let result = parse(&source(&text));
            assert!(result.is_err() || unit.starts_with("let") || unit.starts_with("stage") || unit == "//\n");
            assert!(started.elapsed().as_secs() < 5, "{unit:?} took {:?}", started.elapsed());
        }
    }
}

#[test]
fn byte_order_mark_and_line_ends_change_nothing() {
    let text = "let a = 1 +\n  2 // x\nstage s {\n  b = [\n    1,\n  ]\n}\n";
    let tree = parse(&source(text)).expect("right");
    for other in [
        std::format!("\u{FEFF}{text}"),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replace("  ", "\t"),
        text.trim_end().to_owned(),
    ] {
        let source = source(&other);
        assert!(parse(&source).expect("right").same_shape(&tree), "{other:?}");
        let layout = format(&source).expect("right");
        assert!(!layout.contains(['\r', '\t', '\u{FEFF}']), "{layout:?}");
    }
}

#[test]
fn empty_recipes_are_right() {
    for text in ["", "\n\n", "// only a comment", "\u{FEFF}", "  \t\r\n"] {
        assert_eq!(parse(&source(text)).expect("right").items.len(), 0, "{text:?}");
    }
    assert_eq!(format(&source("\n\n")).expect("right"), "");
    assert_eq!(format(&source("//x  ")).expect("right"), "//x\n");
}

#[test]
fn every_code_is_documented() {
    for code in codes::all().filter(|code| code.name().starts_with("E01")) {
        assert!(code.explanation().contains("Wrong:") && code.explanation().contains("Right:"), "{}", code.name());
    }
}

#[test]
fn colours_are_only_drawn_when_asked_for() {
    let errors = parse(&source("let x = = 3\n")).expect_err("wrong");
    assert!(!render(&errors[0]).contains('\u{1b}') && render(&errors[0]).is_ascii());
    assert!(!render_with(&errors[0], false, 80).contains('\u{1b}'));
    assert!(render_with(&errors[0], true, 80).contains('\u{1b}'));
}

#[test]
fn a_name_that_could_begin_a_declaration_begins_an_expression_too() {
    for text in ["block a() {\nmodel and (0 or 0)\n}", "block a() {\nblock or (1 and 0)\n}"] {
        assert!(parse(&source(text)).is_ok(), "{text}");
    }
}
