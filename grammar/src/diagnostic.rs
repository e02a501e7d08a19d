//! What a user sees when something is wrong: a stable code, one sentence, the place, the way out.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity as MietteSeverity, SourceCode};

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
}

impl Diagnostic {
    /// An error with `code` and one sentence.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Diagnostic { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning with `code` and one sentence.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// True unless it is a warning.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Adds a place. The first is the main one.
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
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
        self.labels.first().map(|(span, _)| &span.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let main = self.labels.first().map(|(span, _)| span.source.clone())?;
        Some(Box::new(self.labels.iter().filter(move |(span, _)| span.source == main).enumerate().map(
            |(index, (span, text))| {
                let range = span.start..span.end;
                if index == 0 {
                    LabeledSpan::new_primary_with_span(Some(text.clone()), range)
                } else {
                    LabeledSpan::new_with_span(Some(text.clone()), range)
                }
            },
        )))
    }
}

/// Every mistake found in one go, in source order.
pub type Diagnostics = Vec<Diagnostic>;

/// A diagnostic as plain text: no colours, ASCII only around the user's own text, 100 columns.
pub fn render(diagnostic: &Diagnostic) -> String {
    render_theme(diagnostic, GraphicalTheme::none(), 100)
}

/// A diagnostic as a terminal shows it, `width` columns wide, with or without colours.
pub fn render_with(diagnostic: &Diagnostic, color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    render_theme(diagnostic, theme, width)
}

fn render_theme(diagnostic: &Diagnostic, theme: GraphicalTheme, width: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail; what a failing `Display` left behind is still worth showing.
    let _ = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false)
        .render_report(&mut text, diagnostic);
    let mut text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}
