//! Random trees, well-formed in every way that the grammar demands.

use llmc_grammar::source::{Source, Span};
use llmc_grammar::tree::{
    Argument, BinaryOperator, Body, Declaration, Expr, ExprKind, Field, Function, FunctionKind, Import, Item, Let,
    Name, Number, Param, Parameter, ParameterKind, Path, Statement, Tree, UnaryOperator,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const KEYWORDS: [&str; 12] = ["as", "of", "and", "or", "not", "if", "else", "repeat", "from", "true", "false", "none"];
const ITEM_KEYWORDS: [&str; 5] = ["import", "let", "param", "block", "model"];

/// Generated trees stand nowhere.
fn nowhere() -> Span {
    Span::new(&Source::new("generated", ""), 0, 0)
}

fn expr(kind: ExprKind) -> Expr {
    Expr { kind, span: nowhere() }
}

fn named(text: String) -> Name {
    Name { text, span: nowhere() }
}

fn identifier() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,5}",
        Just("model".to_owned()),
        Just("let".to_owned()),
        Just("e5".to_owned()),
        Just("M".to_owned()),
    ]
    .prop_filter("a keyword", |text| !KEYWORDS.contains(&text.as_str()))
}

fn name() -> impl Strategy<Value = Name> {
    identifier().prop_map(named)
}

/// Names that may be keywords: fields, arguments, path parts.
fn label() -> impl Strategy<Value = Name> {
    prop_oneof![4 => identifier(), 1 => proptest::sample::select(&KEYWORDS[..]).prop_map(str::to_owned)].prop_map(named)
}

fn path() -> impl Strategy<Value = Path> {
    vec(label(), 1..4).prop_map(|parts| Path { parts, span: nowhere() })
}

fn number() -> impl Strategy<Value = Expr> {
    let unit = prop_oneof![identifier(), Just("%".to_owned()), Just("USD/h".to_owned())].prop_map(named);
    let value = prop_oneof![
        any::<u64>().prop_map(|integer| (integer as f64, Some(integer))),
        (0u64..5000).prop_map(|integer| (integer as f64, Some(integer))),
        any::<u32>().prop_map(|bits| (f64::from(bits) + 0.5, None)),
        (1u32..999).prop_map(|part| (f64::from(part) * 1e-9, None)),
    ];
    (value, option::of(unit))
        .prop_map(|((value, integer), unit)| expr(ExprKind::Number(Number { value, integer, unit })))
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        3 => number(),
        3 => identifier().prop_map(|name| expr(ExprKind::Name(name))),
        1 => any::<String>().prop_map(|text| expr(ExprKind::String(text))),
        1 => any::<bool>().prop_map(|value| expr(ExprKind::Bool(value))),
        1 => Just(expr(ExprKind::None)),
    ]
}

fn operator() -> impl Strategy<Value = BinaryOperator> {
    use BinaryOperator::*;
    proptest::sample::select(vec![
        Or,
        And,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Add,
        Subtract,
        Multiply,
        Divide,
        Power,
    ])
}

fn call(inner: impl Strategy<Value = Expr>) -> impl Strategy<Value = Expr> {
    let argument = (option::of(label()), inner).prop_map(|(name, value)| Argument { name, value });
    (name(), vec(argument, 0..3)).prop_map(|(function, arguments)| expr(ExprKind::Call { function, arguments }))
}

/// A name or call, perhaps with members: what may be named with `as`.
fn reference(inner: impl Strategy<Value = Expr>) -> impl Strategy<Value = Expr> {
    let base = prop_oneof![identifier().prop_map(|name| expr(ExprKind::Name(name))), call(inner)];
    (base, vec(label(), 0..3)).prop_map(|(base, members)| {
        members.into_iter().fold(base, |base, field| expr(ExprKind::Member { base: Box::new(base), field }))
    })
}

fn expression() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(5, 24, 3, |inner| {
        let binary = (operator(), inner.clone(), inner.clone()).prop_map(|(operator, left, right)| {
            let (left, right) = (Box::new(left), Box::new(right));
            expr(ExprKind::Binary { operator, operator_span: nowhere(), left, right })
        });
        let unary = (any::<bool>(), inner.clone()).prop_map(|(not, operand)| {
            let operator = if not { UnaryOperator::Not } else { UnaryOperator::Negate };
            expr(ExprKind::Unary { operator, operand: Box::new(operand) })
        });
        prop_oneof![
            4 => binary,
            2 => unary,
            2 => reference(inner.clone()),
            1 => vec(inner.clone(), 0..4).prop_map(|elements| expr(ExprKind::List(elements))),
            2 => (reference(inner.clone()), path())
                .prop_map(|(value, path)| expr(ExprKind::Named { value: Box::new(value), path })),
            1 => (prop_oneof![number(), reference(inner)], name())
                .prop_map(|(count, what)| expr(ExprKind::Of { count: Box::new(count), what })),
        ]
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let assign = (vec(name(), 1..4), expression()).prop_map(|(targets, value)| Statement::Assign {
        targets,
        value,
        span: nowhere(),
    });
    assign.prop_recursive(3, 12, 3, |inner| {
        let body = vec(inner.clone(), 0..3);
        prop_oneof![
            (expression(), path(), body.clone())
                .prop_map(|(count, path, body)| { Statement::Repeat { count, path, body, span: nowhere() } }),
            (expression(), body.clone(), body).prop_map(|(condition, then, otherwise)| {
                Statement::If { condition, then, otherwise, span: nowhere() }
            }),
        ]
    })
}

fn parameter() -> impl Strategy<Value = Parameter> {
    let tensor = (any::<bool>(), vec(expression(), 0..3)).prop_map(|(leading, dims)| ParameterKind::Tensor {
        leading,
        dims,
        span: nowhere(),
    });
    let kind = prop_oneof![tensor, name().prop_map(ParameterKind::Constant)];
    (name(), kind, option::of(expression())).prop_map(|(name, kind, default)| Parameter {
        name,
        kind,
        default,
        span: nowhere(),
    })
}

fn item() -> impl Strategy<Value = Item> {
    let import = any::<String>().prop_map(|path| Item::Import(Import { path, path_span: nowhere(), span: nowhere() }));
    let bound = (name(), expression()).prop_map(|(name, value)| Item::Let(Let { name, value, span: nowhere() }));
    let param = (name(), name(), option::of(expression()))
        .prop_map(|(name, kind, default)| Item::Param(Param { name, kind, default, span: nowhere() }));
    let kind = name().prop_filter("an item keyword", |name| !ITEM_KEYWORDS.contains(&name.text.as_str()));
    let field = (label(), expression()).prop_map(|(name, value)| Field { name, value, span: nowhere() });
    let declaration = (kind, name(), option::of(name()), vec(field, 0..4)).prop_map(|(kind, name, from, fields)| {
        Item::Declaration(Declaration { kind, name, from, fields, span: nowhere() })
    });
    let body = (vec(statement(), 0..4), option::of(expression())).prop_map(|(statements, result)| Body {
        statements,
        result,
        span: nowhere(),
    });
    let function = (any::<bool>(), name(), vec(parameter(), 0..4), body).prop_map(|(model, name, parameters, body)| {
        let kind = if model { FunctionKind::Model } else { FunctionKind::Block };
        Item::Function(Function { kind, name, parameters, body, span: nowhere() })
    });
    prop_oneof![1 => import, 2 => bound, 1 => param, 3 => declaration, 3 => function]
}

/// A whole recipe.
pub fn tree() -> impl Strategy<Value = Tree> {
    vec(item(), 0..5).prop_map(|items| Tree { source: Source::new("generated", ""), items })
}
