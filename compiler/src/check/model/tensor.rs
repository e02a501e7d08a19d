//! What an expression of a model stands for while the model is written out.

use llmc_grammar::source::Span;

use super::super::value::Spanned;
use crate::dim::Dim;
use crate::plan::DType;

/// A tensor: the node that makes it, its shape and element type.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// Index of the node whose value it is.
    pub node: usize,
    /// Sizes, symbols included.
    pub shape: Vec<Dim>,
    /// Element type; none where a block is checked alone and its parameter could be either.
    pub dtype: Option<DType>,
    /// The expression that made it.
    pub span: Span,
}

/// The value of an expression.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// A tensor.
    Tensor(Tensor),
    /// Several tensors, from `split` or `top_k`.
    Several(Vec<Tensor>),
    /// A constant.
    Constant(Spanned),
    /// A list with tensors or symbols in it, not evaluated further.
    List(Vec<(Bound, Span)>),
    /// Reported already, or not known while a block is checked alone: says nothing more.
    Unknown,
}

/// `[B, T, 768]`
pub(super) fn show(shape: &[Dim]) -> String {
    let leading = shape.starts_with(&LEADING.map(Dim::symbol));
    let (dots, shape) = match leading {
        true => (Some("...".to_owned()), &shape[LEADING.len()..]),
        false => (None, shape),
    };
    let sizes: Vec<String> = dots.into_iter().chain(shape.iter().map(Dim::to_string)).collect();
    format!("[{}]", sizes.join(", "))
}

/// The symbols that stand for the `...` of a block that is checked alone.
pub(super) const LEADING: [&str; 2] = ["..", "..."];

/// The product of all sizes; none if it does not fit.
pub(super) fn elements(shape: &[Dim]) -> Option<Dim> {
    shape.iter().try_fold(Dim::integer(1), |product, size| product.multiply(size))
}
