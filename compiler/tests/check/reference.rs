//! `docs/reference.md` is what the table says.

use std::env;
use std::fs;
use std::path::Path;

use llmc_compiler::check::reference::{explain, reference};
use llmc_compiler::check::table::{KINDS, calls};

#[test]
fn the_reference_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let wanted = reference();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("docs/ is writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/reference.md is not what the table says: run the tests once with UPDATE_DOCS=1");
}

#[test]
fn every_field_is_explained() {
    for form in KINDS.into_iter().chain(calls()) {
        for row in form.fields {
            let name = format!("{}.{}", form.name, row.name);
            let text = explain(&name).unwrap_or_else(|| panic!("{name} is not explained"));
            assert!(text.contains(row.doc), "{name} is explained as something else");
        }
    }
    assert_eq!(explain("no_such_field"), None);
}
