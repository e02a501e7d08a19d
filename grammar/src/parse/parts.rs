//! What the tree builders share: places, names and the parts of a parsed pair.

use pest::iterators::{Pair, Pairs};

use super::Rule;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};
use crate::tree::Name;

/// A mistake the grammar itself cannot express; boxed because it is large and rare.
pub(crate) type Built<T> = Result<T, Box<Diagnostic>>;

/// Builds tree nodes from pairs whose text starts at `offset` of `source`.
#[derive(Clone, Copy)]
pub(crate) struct Builder<'a> {
    pub(crate) source: &'a Source,
    pub(crate) offset: usize,
}

impl Builder<'_> {
    /// The place of a pair in the source.
    pub(crate) fn span(&self, pair: &Pair<Rule>) -> Span {
        let place = pair.as_span();
        Span::new(self.source, self.offset + place.start(), self.offset + place.end())
    }

    /// A pair as a name.
    pub(crate) fn name(&self, pair: &Pair<Rule>) -> Name {
        Name { text: pair.as_str().to_owned(), span: self.span(pair) }
    }
}

/// The meaningful parts inside a pair, in order: brackets, separators and keywords are left out.
pub(crate) struct Parts<'i> {
    pairs: Pairs<'i, Rule>,
}

impl<'i> Parts<'i> {
    pub(crate) fn of(pair: Pair<'i, Rule>) -> Self {
        Parts { pairs: pair.into_inner() }
    }

    /// The next part, which the grammar demands at this place.
    pub(crate) fn required(&mut self) -> Pair<'i, Rule> {
        self.next().expect("recipe.pest makes this part mandatory")
    }

    /// The next part if it is of this rule.
    pub(crate) fn optional(&mut self, rule: Rule) -> Option<Pair<'i, Rule>> {
        self.skip_punctuation();
        (self.pairs.peek()?.as_rule() == rule).then(|| self.pairs.next()).flatten()
    }

    fn skip_punctuation(&mut self) {
        while self.pairs.peek().is_some_and(|pair| is_punctuation(pair.as_rule())) {
            self.pairs.next();
        }
    }
}

impl<'i> Iterator for Parts<'i> {
    type Item = Pair<'i, Rule>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_punctuation();
        self.pairs.next()
    }
}

fn is_punctuation(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::open_brace
            | Rule::close_brace
            | Rule::open_bracket
            | Rule::close_bracket
            | Rule::open_paren
            | Rule::open_call
            | Rule::close_paren
            | Rule::equals
            | Rule::colon
            | Rule::comma
            | Rule::dot
            | Rule::separator
            | Rule::end
            | Rule::kw_import
            | Rule::kw_let
            | Rule::kw_param
            | Rule::kw_from
            | Rule::kw_repeat
            | Rule::kw_as
            | Rule::naming_as
            | Rule::kw_if
            | Rule::kw_else
            | Rule::kw_of
    )
}
