//! A recipe's text and places in it.

use std::fmt;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A recipe's name and text. Cheap to clone; spans of every later stage carry one.
#[derive(Clone)]
pub struct Source {
    inner: Arc<SourceText>,
}

struct SourceText {
    name: String,
    text: String,
}

impl Source {
    /// A source called `name` (a path, or `std/gpt2` for the embedded library).
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source { inner: Arc::new(SourceText { name: name.into(), text: text.into() }) }
    }

    /// The file name or library name, as shown in diagnostics.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// One-based line of a byte offset.
    pub fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text().len());
        1 + self.text().as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Source({})", self.name())
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || (self.name() == other.name() && self.text() == other.text())
    }
}

/// Lets miette read the lines around a span.
impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text().read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// A byte range in one [`Source`].
#[derive(Clone, PartialEq)]
pub struct Span {
    /// Where the range lies.
    pub source: Source,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes `start..end` of `source`.
    pub fn new(source: &Source, start: usize, end: usize) -> Self {
        Span { source: source.clone(), start, end }
    }

    /// The text under the span.
    pub fn text(&self) -> &str {
        self.source.text().get(self.start..self.end).unwrap_or("")
    }

    /// From the start of `self` to the end of `other`, both in the same source.
    pub fn to(&self, other: &Span) -> Span {
        Span::new(&self.source, self.start.min(other.start), self.end.max(other.end))
    }

    /// `file.recipe:12`, for origins in printed graphs.
    pub fn place(&self) -> String {
        format!("{}:{}", self.source.name(), self.source.line(self.start))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.start, self.end)
    }
}
