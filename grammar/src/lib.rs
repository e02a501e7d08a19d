//! The recipe language: source text to a spanned [`Tree`](tree::Tree), the formatter, and the
//! [`Diagnostic`](diagnostic::Diagnostic) that every later stage reports with.

pub mod codes;
pub mod diagnostic;
mod format;
pub mod number;
mod outline;
mod parse;
pub mod source;
pub mod tree;

pub use format::format;
pub use parse::{MAX_SOURCE_BYTES, parse};
