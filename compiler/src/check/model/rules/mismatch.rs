//! `E0501`: two tensors whose shapes do not go together, each shown with its place and origin.

use llmc_grammar::codes::SHAPE_MISMATCH;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::super::tensor::{Tensor, show};

/// A tensor as an operand: its value and where it is used.
#[derive(Clone, Copy)]
pub(in super::super) struct Operand<'a> {
    pub tensor: &'a Tensor,
    pub span: &'a Span,
}

/// The shapes of `left` and `right` do not fit; `rule` says what must hold, `help` the way out.
pub(in super::super) fn mismatch(left: Operand<'_>, right: Operand<'_>, rule: &str, help: String) -> Box<Diagnostic> {
    let shapes = [show(&left.tensor.shape), show(&right.tensor.shape)];
    let mut diagnostic = Diagnostic::error(SHAPE_MISMATCH, format!("{} against {}: {rule}", shapes[0], shapes[1]));
    for (operand, shape) in [left, right].into_iter().zip(&shapes) {
        diagnostic = diagnostic.label(operand.span, format!("this is {shape}"));
    }
    for (operand, shape) in [left, right].into_iter().zip(&shapes) {
        let made = &operand.tensor.span;
        let overlaps =
            made.source == operand.span.source && made.start < operand.span.end && operand.span.start < made.end;
        if !overlaps {
            diagnostic = diagnostic.label(made, format!("{shape} was made here"));
        }
    }
    Box::new(diagnostic.help(help))
}
