//! The spanned syntax tree: well-formed, nothing resolved.

use crate::source::{Source, Span};

/// One parsed recipe file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The text it was parsed from.
    pub source: Source,
    /// Top-level items in order.
    pub items: Vec<Item>,
}

/// An identifier with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// The identifier itself.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A top-level item.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `import "std/gpt2"`
    Import(Import),
    /// `let width = 4 * 64`
    Let(Let),
    /// `param width: int = 256`, may be set from the command line
    Param(Param),
    /// `dataset rust { ... }`, `stage sft from pretrain { ... }`
    Declaration(Declaration),
    /// `block mlp(x: [B, T, D], hidden: int) { ... }`, `model gpt(tokens: [B, T]) { ... }`
    Function(Function),
}

/// `import "path"`
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The text between the quotes.
    pub path: String,
    /// The quoted path's place.
    pub path_span: Span,
    /// The whole item.
    pub span: Span,
}

/// `let name = value`
#[derive(Debug, Clone, PartialEq)]
pub struct Let {
    /// What is bound.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// `param name: type = default`; the default may be missing (then `--set` is required).
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// What may be set.
    pub name: Name,
    /// `int`, `float`, `bool`, `string`, ...
    pub kind: Name,
    /// Value without `--set`.
    pub default: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// `kind name [from base] { field = value ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// `dataset`, `tokenizer`, `stage`, ...
    pub kind: Name,
    /// What is declared.
    pub name: Name,
    /// The declaration it continues.
    pub from: Option<Name>,
    /// Its fields in order, duplicates included.
    pub fields: Vec<Field>,
    /// The whole item.
    pub span: Span,
}

/// `name = value` inside a declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The field's name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// The whole field.
    pub span: Span,
}

/// Whether a function is an entry point for stages or a building block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    /// `block`: called from models and blocks
    Block,
    /// `model`: named by a stage
    Model,
}

/// A function over tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// `block` or `model`.
    pub kind: FunctionKind,
    /// Its name.
    pub name: Name,
    /// Tensor and constant parameters, in order.
    pub parameters: Vec<Parameter>,
    /// Statements and the final expression.
    pub body: Body,
    /// The whole item.
    pub span: Span,
}

/// `x: [B, T, D]`, `heads: int`, `bias: bool = true`
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The parameter's name.
    pub name: Name,
    /// What it takes.
    pub kind: ParameterKind,
    /// Value when the caller gives none.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// What a function parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterKind {
    /// `[B, T, D]` or `[..., D]`: a tensor with named or constant dimensions.
    Tensor {
        /// True if the list starts with `...` (any number of leading dimensions).
        leading: bool,
        /// The dimensions that are written.
        dims: Vec<Expr>,
        /// The bracketed list.
        span: Span,
    },
    /// `int`, `float`, `bool`, `string`, ...
    Constant(Name),
}

/// The inside of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// Statements in order.
    pub statements: Vec<Statement>,
    /// The final expression, which is the function's value. The parser accepts its absence;
    /// the checker does not.
    pub result: Option<Expr>,
    /// From brace to brace.
    pub span: Span,
}

/// One statement in a function.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `x = ...` or `q, k, v = split(...)`
    Assign {
        /// Names bound or rebound.
        targets: Vec<Name>,
        /// Their value.
        value: Expr,
        /// The whole statement.
        span: Span,
    },
    /// `repeat 12 as transformer.h { ... }`; the names it assigns carry on from round to round.
    Repeat {
        /// How many rounds.
        count: Expr,
        /// The weights' path prefix; round `i` adds `.i`.
        path: Path,
        /// What is repeated.
        body: Vec<Statement>,
        /// The whole statement.
        span: Span,
    },
    /// `if bias { ... } else { ... }` on a constant.
    If {
        /// A constant boolean.
        condition: Expr,
        /// Taken when true.
        then: Vec<Statement>,
        /// Taken when false.
        otherwise: Vec<Statement>,
        /// The whole statement.
        span: Span,
    },
}

/// A dotted weight path after `as`: `transformer.wte`.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Parts between the dots.
    pub parts: Vec<Name>,
    /// The whole path.
    pub span: Span,
}

/// An expression with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `256`, `2M` (two million), `6e-4`, `1%` (unit `%`), `2M tokens`, `2.50 USD/h`.
    Number(Number),
    /// `"text"` with escapes resolved.
    String(String),
    /// `true`, `false`
    Bool(bool),
    /// `none`, as in `shuffle = none`
    None,
    /// A name: parameter, dimension, binding, declaration.
    Name(String),
    /// `bpe.vocab`
    Member {
        /// Left of the dot.
        base: Box<Expr>,
        /// Right of the dot.
        field: Name,
    },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `f(a, b: c)`
    Call {
        /// What is called.
        function: Name,
        /// Arguments in order.
        arguments: Vec<Argument>,
    },
    /// `-a`, `not a`
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// What it applies to.
        operand: Box<Expr>,
    },
    /// `a + b`
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// The operator's own place.
        operator_span: Span,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `layer_norm(x) as ln_1`: the weights made inside get this path.
    Named {
        /// The call (or weight) that is named.
        value: Box<Expr>,
        /// Its path.
        path: Path,
    },
    /// `8 of h100`
    Of {
        /// How many.
        count: Box<Expr>,
        /// Of what.
        what: Name,
    },
}

/// A literal number: exact if it was written as an integer.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// The value, multiplier (`K`, `M`, `B`, `T`: powers of a thousand) applied.
    pub value: f64,
    /// The exact value where the literal is a whole number that fits.
    pub integer: Option<u64>,
    /// The unit after it, as written: `tokens`, `%`, `GiB`, `USD/h`.
    pub unit: Option<Name>,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// `name:` if given by name.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `not`
    Not,
}

/// Infix operators, weakest binding first: `or`, `and`, comparisons, `+ -`, `* / %`-free, `^`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: exact on whole numbers and dimensions
    Divide,
    /// `^`, right-associative
    Power,
}

impl Item {
    /// The item's place.
    pub fn span(&self) -> &Span {
        match self {
            Item::Import(item) => &item.span,
            Item::Let(item) => &item.span,
            Item::Param(item) => &item.span,
            Item::Declaration(item) => &item.span,
            Item::Function(item) => &item.span,
        }
    }
}
