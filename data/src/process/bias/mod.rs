//! Bias: documents with extreme markers dropped, groups exchanged or brought to a ratio, and what it did to the company
//! that each group keeps.

mod company;
mod counterfactual;
mod occupations;
mod pairs;
mod reweight;
mod swap;
mod terms;

pub use counterfactual::Counterfactual;
pub use pairs::Pairs;
pub use reweight::{Balanced, Reweighting};
pub use terms::{Phrases, Terms, terms_of, words_of};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

/// A line of a list that is not what it should be; line 0 stands for the whole list.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongLine {
    line: usize,
    reason: &'static str,
}

impl WrongLine {
    /// The mistake in the file at `path`.
    pub fn diagnostic(&self, path: &str) -> Diagnostic {
        let place = if self.line == 0 { String::new() } else { format!(", line {}", self.line) };
        Diagnostic::error(codes::TERM_LIST, format!("`{path}`{place}: {}", self.reason))
            .help("terms stand one a line; pairs are two words with a tab or comma between, such as `king,queen`")
    }
}
