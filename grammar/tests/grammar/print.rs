//! A tree as recipe text, written apart from the formatter so that the two can be compared.

use llmc_grammar::tree::{
    BinaryOperator, Expr, ExprKind, FunctionKind, Item, Name, Parameter, ParameterKind, Statement, Tree, UnaryOperator,
};

/// Text that parses to this tree.
pub fn tree(tree: &Tree) -> String {
    tree.items.iter().map(|one| item(one) + "\n").collect()
}

fn item(item: &Item) -> String {
    match item {
        Item::Import(item) => format!("import {}", quoted(&item.path)),
        Item::Let(item) => format!("let {} = {}", item.name.text, expression(&item.value)),
        Item::Param(item) => format!("param {}: {}{}", item.name.text, item.kind.text, default(&item.default)),
        Item::Declaration(item) => {
            let from = item.from.as_ref().map(|from| format!(" from {}", from.text)).unwrap_or_default();
            let fields: Vec<String> =
                item.fields.iter().map(|field| format!("{} = {}", field.name.text, expression(&field.value))).collect();
            format!("{} {}{from} {{ {} }}", item.kind.text, item.name.text, fields.join("\n"))
        }
        Item::Function(item) => {
            let kind = match item.kind {
                FunctionKind::Block => "block",
                FunctionKind::Model => "model",
            };
            let parameters = item.parameters.iter().map(parameter).collect::<Vec<_>>().join(", ");
            let mut lines: Vec<String> = item.body.statements.iter().map(statement).collect();
            lines.extend(item.body.result.as_ref().map(expression));
            format!("{kind} {}({parameters}) {{\n{}\n}}", item.name.text, lines.join("\n"))
        }
    }
}

fn default(value: &Option<Expr>) -> String {
    value.as_ref().map(|value| format!(" = {}", expression(value))).unwrap_or_default()
}

fn parameter(parameter: &Parameter) -> String {
    let kind = match &parameter.kind {
        ParameterKind::Tensor { leading, dims, .. } => {
            let dims = dims.iter().map(expression);
            let all: Vec<String> = leading.then(|| "...".to_owned()).into_iter().chain(dims).collect();
            format!("[{}]", all.join(", "))
        }
        ParameterKind::Constant(name) => name.text.clone(),
    };
    format!("{}: {kind}{}", parameter.name.text, default(&parameter.default))
}

fn block(statements: &[Statement]) -> String {
    format!("{{ {} }}", statements.iter().map(statement).collect::<Vec<_>>().join("; "))
}

fn statement(one: &Statement) -> String {
    match one {
        Statement::Assign { targets, value, .. } => {
            format!("{} = {}", names(targets, ", "), expression(value))
        }
        Statement::Repeat { count, path, body, .. } => {
            format!("repeat ({}) as {} {}", expression(count), names(&path.parts, "."), block(body))
        }
        Statement::If { condition, then, otherwise, .. } => {
            let head = format!("if {} {}", expression(condition), block(then));
            match otherwise.as_slice() {
                [] => head,
                [one @ Statement::If { .. }] => format!("{head} else {}", statement(one)),
                all => format!("{head} else {}", block(all)),
            }
        }
    }
}

fn names(names: &[Name], between: &str) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(between)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\u{1F600}'.. => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// Weakest binding first: where an operator stands in the table of precedence.
fn strength(operator: BinaryOperator) -> u8 {
    use BinaryOperator::*;
    match operator {
        Or => 1,
        And => 2,
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => 4,
        Add | Subtract => 5,
        Multiply | Divide => 6,
        Power => 8,
    }
}

const NOT: u8 = 3;
const COMPARISON: u8 = 4;
const NEGATE: u8 = 7;
const POWER: u8 = 8;
const ATOM: u8 = 9;

fn strength_of(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { operator, .. } => strength(*operator),
        ExprKind::Unary { operator: UnaryOperator::Not, .. } => NOT,
        ExprKind::Unary { operator: UnaryOperator::Negate, .. } => NEGATE,
        _ => ATOM,
    }
}

/// An operand in parentheses where it binds weaker than `least`.
fn operand(expr: &Expr, least: u8) -> String {
    let text = expression(expr);
    if strength_of(expr) < least { format!("({text})") } else { text }
}

fn expression(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(number) => {
            let digits = match number.integer {
                Some(integer) => integer.to_string(),
                None => format!("{:?}", number.value),
            };
            match &number.unit {
                Some(unit) if unit.text == "%" => digits + "%",
                Some(unit) => format!("{digits} {}", unit.text),
                None => digits,
            }
        }
        ExprKind::String(text) => quoted(text),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::None => "none".into(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Member { base, field } => format!("{}.{}", expression(base), field.text),
        ExprKind::List(elements) => {
            format!("[{}]", elements.iter().map(expression).collect::<Vec<_>>().join(",\n"))
        }
        ExprKind::Call { function, arguments } => {
            let arguments: Vec<String> = arguments
                .iter()
                .map(|argument| match &argument.name {
                    Some(name) => format!("{}: {}", name.text, expression(&argument.value)),
                    None => expression(&argument.value),
                })
                .collect();
            format!("{}({})", function.text, arguments.join(", "))
        }
        ExprKind::Unary { operator: UnaryOperator::Not, operand: inner } => {
            format!("not {}", operand(inner, NOT))
        }
        ExprKind::Unary { operator: UnaryOperator::Negate, operand: inner } => {
            format!("-{}", operand(inner, NEGATE))
        }
        ExprKind::Binary { operator, left, right, .. } => {
            let own = strength(*operator);
            let (left_least, right_least) = match own {
                POWER => (ATOM, POWER),
                COMPARISON => (own + 1, own + 1),
                _ => (own, own + 1),
            };
            format!("{} {} {}", operand(left, left_least), symbol(*operator), operand(right, right_least))
        }
        ExprKind::Named { value, path } => {
            format!("{} as {}", expression(value), names(&path.parts, "."))
        }
        ExprKind::Of { count, what } => format!("{} of {}", expression(count), what.text),
    }
}

fn symbol(operator: BinaryOperator) -> &'static str {
    use BinaryOperator::*;
    match operator {
        Or => "or",
        And => "and",
        Equal => "==",
        NotEqual => "!=",
        Less => "<",
        LessEqual => "<=",
        Greater => ">",
        GreaterEqual => ">=",
        Add => "+",
        Subtract => "-",
        Multiply => "*",
        Divide => "/",
        Power => "^",
    }
}
