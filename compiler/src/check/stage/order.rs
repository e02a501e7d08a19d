//! Stages in the order in which they run: each after the one it continues.

use std::collections::BTreeSet;

use llmc_grammar::codes::{STAGE_CYCLE, UNKNOWN_NAME, WRONG_USE_OF_NAME};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::tree::{Declaration, Name};

use super::super::mismatch::there_are;
use super::super::names::Names;
use super::super::nearest::nearest;

/// Every stage, each after its base. A stage whose base is unknown or leads back to it is reported and left out.
pub fn order<'t>(names: &Names<'t>, diagnostics: &mut Diagnostics) -> Vec<&'t Declaration> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut order = Vec::new();
    for name in names.of_kind("stage") {
        let mut chain: Vec<&Declaration> = Vec::new();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        let mut next = names.declaration("stage", name);
        let mut sound = true;
        while let Some(item) = next.filter(|item| !done.contains(item.name.text.as_str())) {
            if !open.insert(&item.name.text) {
                diagnostics.push(circle(&chain, item));
                sound = false;
                break;
            }
            chain.push(item);
            next = item.from.as_ref().and_then(|from| {
                let base = names.declaration("stage", &from.text);
                if base.is_none() {
                    diagnostics.push(no_stage(names, from));
                    sound = false;
                }
                base
            });
        }
        for item in chain.into_iter().rev() {
            done.insert(&item.name.text);
            if sound {
                order.push(item);
            }
        }
    }
    order
}

fn circle(chain: &[&Declaration], again: &Declaration) -> Diagnostic {
    let from = chain.iter().position(|item| item.name == again.name).unwrap_or_default();
    let mut names: Vec<&str> = chain[from..].iter().map(|item| item.name.text.as_str()).collect();
    names.push(&again.name.text);
    let place = chain.last().and_then(|item| item.from.as_ref()).map_or(&again.name.span, |from| &from.span);
    Diagnostic::error(STAGE_CYCLE, format!("stage `{}` continues itself", again.name.text))
        .label(place, format!("in a circle: {}", names.join(" from ")))
        .help("one stage of the circle must start without `from`")
}

fn no_stage(names: &Names<'_>, from: &Name) -> Diagnostic {
    if let Some(named) = names.find(&from.text) {
        return Diagnostic::error(WRONG_USE_OF_NAME, format!("`{}` is a {}, not a stage", from.text, named.kind()))
            .label(&from.span, "a stage is needed here")
            .label(&named.name().span, "declared here");
    }
    let known = names.of_kind("stage");
    let mistake = Diagnostic::error(UNKNOWN_NAME, format!("there is no stage called `{}`", from.text))
        .label(&from.span, "unknown");
    match nearest(&from.text, known.iter().copied()) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help(there_are(&known)),
    }
}
