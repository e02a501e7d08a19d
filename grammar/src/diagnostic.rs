//! What a user sees when something is wrong: a stable code, one sentence, the place, the way out.

use std::fmt;

use miette::{LabeledSpan, NamedSource, Severity as MietteSeverity, SourceCode};

use crate::codes::Code;
use crate::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// A mistake (or warning) with place, reason and way out.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable code; `llmc explain CODE` documents it.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub message: String,
    /// Places with short texts; the first is the main one. Empty for mistakes outside recipes.
    pub labels: Vec<(Span, String)>,
    /// The way out.
    pub help: Option<String>,
    /// The main label's text again, where rendering reads it.
    named: Option<NamedSource<String>>,
}

impl Diagnostic {
    /// An error with `code` and one sentence.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            named: None,
        }
    }

    /// A warning with `code` and one sentence.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// Adds a place. The first is the main one.
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
        if self.named.is_none() {
            self.named = Some(NamedSource::new(
                span.source.name(),
                span.source.text().to_owned(),
            ));
        }
        self.labels.push((span.clone(), text.into()));
        self
    }

    /// Says the way out.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.name()))
    }

    fn severity(&self) -> Option<MietteSeverity> {
        Some(match self.severity {
            Severity::Error => MietteSeverity::Error,
            Severity::Warning => MietteSeverity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        // Labels in other files cannot be drawn over the main file's text: they are named here.
        let main = self.labels.first().map(|(span, _)| &span.source);
        let elsewhere: Vec<String> = self
            .labels
            .iter()
            .filter(|(span, _)| Some(&span.source) != main)
            .map(|(span, text)| format!("{}: {text}", span.place()))
            .collect();
        let mut text = self.help.clone().unwrap_or_default();
        for line in elsewhere {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
        }
        (!text.is_empty()).then(|| Box::new(text) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.named.as_ref().map(|named| named as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let main = self.labels.first().map(|(span, _)| span.source.clone())?;
        Some(Box::new(
            self.labels
                .iter()
                .filter(move |(span, _)| span.source == main)
                .enumerate()
                .map(|(index, (span, text))| {
                    let range = span.start..span.end;
                    if index == 0 {
                        LabeledSpan::new_primary_with_span(Some(text.clone()), range)
                    } else {
                        LabeledSpan::new_with_span(Some(text.clone()), range)
                    }
                }),
        ))
    }
}

/// Every mistake found in one go, in source order.
pub type Diagnostics = Vec<Diagnostic>;
