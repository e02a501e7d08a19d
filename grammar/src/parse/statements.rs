//! Function bodies: pairs to tree nodes.

use pest::iterators::Pair;

use super::Rule;
use super::parts::{Builder, Built, Parts};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tree::{Body, Expr, Path, Statement};

/// What a `{ ... }` of a function holds: the grammar lets a bare expression stand anywhere.
enum Line {
    Statement(Statement),
    Bare(Expr),
}

impl Builder<'_> {
    /// The body of a function: statements and the final expression.
    pub(crate) fn function_body(&self, pair: Pair<Rule>) -> Built<Body> {
        let span = self.span(&pair);
        let mut statements = Vec::new();
        let mut lines = Parts::of(pair).peekable();
        let mut result = None;
        while let Some(line) = lines.next() {
            match self.line(line)? {
                Line::Statement(statement) => statements.push(statement),
                Line::Bare(value) if lines.peek().is_none() => result = Some(value),
                Line::Bare(value) => return Err(Box::new(self.bare_expression(&value, false))),
            }
        }
        Ok(Body { statements, result, span })
    }

    /// The body of a `repeat` or `if`: statements only.
    fn statements(&self, pair: Pair<Rule>) -> Built<Vec<Statement>> {
        Parts::of(pair)
            .map(|line| match self.line(line)? {
                Line::Statement(statement) => Ok(statement),
                Line::Bare(value) => Err(Box::new(self.bare_expression(&value, true))),
            })
            .collect()
    }

    fn line(&self, pair: Pair<Rule>) -> Built<Line> {
        let pair = Parts::of(pair).required();
        Ok(Line::Statement(match pair.as_rule() {
            Rule::repeat => self.repeat(pair)?,
            Rule::branch => self.branch(pair)?,
            Rule::assign => self.assign(pair)?,
            _ => return Ok(Line::Bare(self.expression(Parts::of(pair).required())?)),
        }))
    }

    fn assign(&self, pair: Pair<Rule>) -> Built<Statement> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let mut targets = Vec::new();
        while let Some(target) = parts.optional(Rule::name) {
            targets.push(self.name(&target));
        }
        Ok(Statement::Assign { targets, value: self.expression(parts.required())?, span })
    }

    fn repeat(&self, pair: Pair<Rule>) -> Built<Statement> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let count = self.expression(parts.required())?;
        let path = self.path(parts.required());
        Ok(Statement::Repeat { count, path, body: self.statements(parts.required())?, span })
    }

    fn branch(&self, pair: Pair<Rule>) -> Built<Statement> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let condition = self.expression(parts.required())?;
        let then = self.statements(parts.required())?;
        let otherwise = match parts.next() {
            None => Vec::new(),
            Some(next) if next.as_rule() == Rule::branch => vec![self.branch(next)?],
            Some(body) => self.statements(body)?,
        };
        Ok(Statement::If { condition, then, otherwise, span })
    }

    /// `transformer.wte`
    pub(crate) fn path(&self, pair: Pair<Rule>) -> Path {
        let span = self.span(&pair);
        Path { parts: Parts::of(pair).map(|part| self.name(&part)).collect(), span }
    }

    /// A bare expression that is not the last line of a function.
    fn bare_expression(&self, value: &Expr, nested: bool) -> Diagnostic {
        let text = value.span.text();
        let (message, help) = if nested {
            (
                "a bare expression cannot stand in a `repeat` or `if`",
                "give its value a name: `x = ...`; names bound here are known after the block",
            )
        } else {
            (
                "only the last line of a function can be a bare expression",
                "give its value a name: `x = ...`, or delete it",
            )
        };
        let help = if text.starts_with(['-', '(', '[']) {
            format!("{help}; to go on with the line before, end that line with an operator or comma")
        } else {
            help.to_owned()
        };
        Diagnostic::error(codes::MISPLACED_EXPRESSION, message).label(&value.span, "this value is not used").help(help)
    }
}
