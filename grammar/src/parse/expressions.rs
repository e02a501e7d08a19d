//! Expressions: the flat row of operands and operators becomes a tree by precedence.

use std::sync::LazyLock;

use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::Rule;
use super::literal;
use super::parts::{Builder, Built, Parts};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tree::{Argument, BinaryOperator, Expr, ExprKind, Number, UnaryOperator};

/// Weakest binding first. `not` stands above comparisons (`not a == b` denies the comparison), a sign
/// below the power (`-a ^ 2` is `-(a ^ 2)`).
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::or))
        .op(left(Rule::and))
        .op(Op::prefix(Rule::not))
        .op(left(Rule::equal)
            | left(Rule::not_equal)
            | left(Rule::less)
            | left(Rule::less_equal)
            | left(Rule::greater)
            | left(Rule::greater_equal))
        .op(left(Rule::add) | left(Rule::subtract))
        .op(left(Rule::multiply) | left(Rule::divide))
        .op(Op::prefix(Rule::negate))
        .op(Op::infix(Rule::power, Assoc::Right))
        .op(Op::postfix(Rule::naming) | Op::postfix(Rule::of))
});

impl Builder<'_> {
    /// An `expression` (or the `count` of a `repeat`).
    pub(crate) fn expression(&self, pair: Pair<Rule>) -> Built<Expr> {
        self.check_chained_comparison(&pair)?;
        PRECEDENCE
            .map_primary(|primary| self.primary(primary))
            .map_prefix(|operator, operand| self.unary(&operator, operand?))
            .map_postfix(|operand, suffix| self.suffixed(operand?, suffix))
            .map_infix(|left, operator, right| self.binary(left?, &operator, right?))
            .parse(pair.into_inner())
    }

    /// Rejects `a < b < c`: a comparison whose operand is one, without parentheses.
    fn check_chained_comparison(&self, pair: &Pair<Rule>) -> Built<()> {
        let mut earlier: Option<Pair<Rule>> = None;
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::and | Rule::or | Rule::not => earlier = None,
                rule if is_comparison(rule) => match earlier {
                    Some(first) => return Err(Box::new(self.chained_comparison(&first, &part))),
                    None => earlier = Some(part),
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn chained_comparison(&self, first: &Pair<Rule>, second: &Pair<Rule>) -> Diagnostic {
        Diagnostic::error(codes::CHAINED_COMPARISON, "comparisons cannot be chained")
            .label(&self.span(second), "a second comparison")
            .label(&self.span(first), "the first comparison")
            .help("compare twice: `a < b and b < c`")
    }

    fn primary(&self, pair: Pair<Rule>) -> Built<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => ExprKind::Number(self.number(pair)?),
            Rule::string => ExprKind::String(self.string(&pair)?),
            Rule::bool => ExprKind::Bool(pair.as_str() == "true"),
            Rule::none => ExprKind::None,
            Rule::list => {
                ExprKind::List(Parts::of(pair).map(|element| self.expression(element)).collect::<Built<_>>()?)
            }
            // The parentheses belong to the place, so that operators around them span them.
            Rule::group => self.expression(Parts::of(pair).required())?.kind,
            _ => return self.reference(pair),
        };
        Ok(Expr { kind, span })
    }

    fn reference(&self, pair: Pair<Rule>) -> Built<Expr> {
        let mut parts = Parts::of(pair);
        let head = parts.required();
        let span = self.span(&head);
        let kind = match head.as_rule() {
            Rule::call => self.call(head)?,
            _ => ExprKind::Name(head.as_str().to_owned()),
        };
        Ok(parts.fold(Expr { kind, span }, |base, member| {
            let field = self.name(&Parts::of(member).required());
            let span = base.span.to(&field.span);
            Expr { kind: ExprKind::Member { base: Box::new(base), field }, span }
        }))
    }

    fn call(&self, pair: Pair<Rule>) -> Built<ExprKind> {
        let mut parts = Parts::of(pair);
        let function = self.name(&parts.required());
        let arguments = Parts::of(parts.required())
            .map(|argument| {
                let mut parts = Parts::of(argument);
                let name = parts.optional(Rule::label).map(|label| self.name(&label));
                Ok(Argument { name, value: self.expression(parts.required())? })
            })
            .collect::<Built<_>>()?;
        Ok(ExprKind::Call { function, arguments })
    }

    fn unary(&self, operator: &Pair<Rule>, operand: Expr) -> Built<Expr> {
        let span = self.span(operator).to(&operand.span);
        let operator = match operator.as_rule() {
            Rule::not => UnaryOperator::Not,
            _ => UnaryOperator::Negate,
        };
        Ok(Expr { kind: ExprKind::Unary { operator, operand: Box::new(operand) }, span })
    }

    fn suffixed(&self, operand: Expr, suffix: Pair<Rule>) -> Built<Expr> {
        let span = operand.span.to(&self.span(&suffix));
        let rule = suffix.as_rule();
        let part = Parts::of(suffix).required();
        let operand = Box::new(operand);
        let kind = match rule {
            Rule::naming => ExprKind::Named { value: operand, path: self.path(part) },
            _ => ExprKind::Of { count: operand, what: self.name(&part) },
        };
        Ok(Expr { kind, span })
    }

    fn binary(&self, left: Expr, operator: &Pair<Rule>, right: Expr) -> Built<Expr> {
        let span = left.span.to(&right.span);
        let kind = ExprKind::Binary {
            operator: binary_operator(operator.as_rule()),
            operator_span: self.span(operator),
            left: Box::new(left),
            right: Box::new(right),
        };
        Ok(Expr { kind, span })
    }

    fn number(&self, pair: Pair<Rule>) -> Built<Number> {
        let mut parts = Parts::of(pair);
        let digits = parts.required();
        let Some(mut number) = literal::number(digits.as_str()) else {
            return Err(Box::new(
                Diagnostic::error(codes::INVALID_NUMBER, "this is no number").label(&self.span(&digits), "this number"),
            ));
        };
        number.unit = parts.next().map(|unit| self.name(&unit));
        Ok(number)
    }

    /// The value of a quoted string.
    pub(crate) fn string(&self, pair: &Pair<Rule>) -> Built<String> {
        let quoted = pair.as_str();
        let inner = &quoted[1..quoted.len() - 1];
        literal::unescape(inner).map_err(|bad| {
            Box::new(Diagnostic::error(codes::INVALID_ESCAPE, bad.reason).label(&self.span(pair), "in this string"))
        })
    }
}

fn is_comparison(rule: Rule) -> bool {
    matches!(rule, Rule::equal | Rule::not_equal | Rule::less | Rule::less_equal | Rule::greater | Rule::greater_equal)
}

fn binary_operator(rule: Rule) -> BinaryOperator {
    match rule {
        Rule::or => BinaryOperator::Or,
        Rule::and => BinaryOperator::And,
        Rule::equal => BinaryOperator::Equal,
        Rule::not_equal => BinaryOperator::NotEqual,
        Rule::less => BinaryOperator::Less,
        Rule::less_equal => BinaryOperator::LessEqual,
        Rule::greater => BinaryOperator::Greater,
        Rule::greater_equal => BinaryOperator::GreaterEqual,
        Rule::subtract => BinaryOperator::Subtract,
        Rule::multiply => BinaryOperator::Multiply,
        Rule::divide => BinaryOperator::Divide,
        Rule::power => BinaryOperator::Power,
        _ => BinaryOperator::Add,
    }
}
