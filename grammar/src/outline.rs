//! A tree as indented text without places: what snapshots show, and what makes two trees alike.

use std::fmt::Write as _;

use crate::tree::{
    Argument, BinaryOperator, Expr, ExprKind, FunctionKind, Item, Name, Number, Parameter, ParameterKind, Path,
    Statement, Tree, UnaryOperator,
};

impl Tree {
    /// The tree as text: an item, field or statement a line, operators before their operands.
    pub fn outline(&self) -> String {
        let mut outline = Outline { text: String::new() };
        for item in &self.items {
            outline.item(item);
        }
        outline.text
    }

    /// True if both trees say the same, wherever their parts stand in the text.
    pub fn same_shape(&self, other: &Tree) -> bool {
        self.outline() == other.outline()
    }
}

struct Outline {
    text: String,
}

impl Outline {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.extend(std::iter::repeat_n("  ", depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Import(item) => self.line(0, &format!("import {:?}", item.path)),
            Item::Let(item) => self.line(0, &format!("let {} = {}", item.name.text, expression(&item.value))),
            Item::Param(item) => {
                let head = format!("param {}: {}{}", item.name.text, item.kind.text, default(&item.default));
                self.line(0, &head);
            }
            Item::Declaration(item) => {
                let from = item.from.as_ref().map(|from| format!(" from {}", from.text)).unwrap_or_default();
                self.line(0, &format!("{} {}{from}", item.kind.text, item.name.text));
                for field in &item.fields {
                    self.line(1, &format!("{} = {}", field.name.text, expression(&field.value)));
                }
            }
            Item::Function(item) => {
                let kind = match item.kind {
                    FunctionKind::Block => "block",
                    FunctionKind::Model => "model",
                };
                self.line(0, &format!("{kind} {}", item.name.text));
                for parameter in &item.parameters {
                    self.line(2, &self::parameter(parameter));
                }
                self.statements(1, &item.body.statements);
                if let Some(result) = &item.body.result {
                    self.line(1, &format!("result {}", expression(result)));
                }
            }
        }
    }

    fn statements(&mut self, depth: usize, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { targets, value, .. } => {
                    self.line(depth, &format!("{} = {}", names(targets, ", "), expression(value)));
                }
                Statement::Repeat { count, path, body, .. } => {
                    self.line(depth, &format!("repeat {} as {}", expression(count), self::path(path)));
                    self.statements(depth + 1, body);
                }
                Statement::If { condition, then, otherwise, .. } => {
                    self.line(depth, &format!("if {}", expression(condition)));
                    self.statements(depth + 1, then);
                    if !otherwise.is_empty() {
                        self.line(depth, "else");
                        self.statements(depth + 1, otherwise);
                    }
                }
            }
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

fn names(names: &[Name], between: &str) -> String {
    names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(between)
}

fn path(path: &Path) -> String {
    names(&path.parts, ".")
}

fn expression(expr: &Expr) -> String {
    let mut text = String::new();
    write_expression(&mut text, expr);
    text
}

/// Appends to one text all the way down: deep trees cost their size once, not once a level.
fn write_expression(text: &mut String, expr: &Expr) {
    match &expr.kind {
        ExprKind::Number(value) => number(text, value),
        ExprKind::String(value) => push(text, format_args!("{value:?}")),
        ExprKind::Bool(value) => push(text, format_args!("{value}")),
        ExprKind::None => text.push_str("none"),
        ExprKind::Name(name) => text.push_str(name),
        ExprKind::Member { base, field } => {
            write_expression(text, base);
            push(text, format_args!(".{}", field.text));
        }
        ExprKind::List(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_expression(text, element);
            }
            text.push(']');
        }
        ExprKind::Call { function, arguments } => {
            push(text, format_args!("{}(", function.text));
            for (index, Argument { name, value }) in arguments.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                if let Some(name) = name {
                    push(text, format_args!("{}: ", name.text));
                }
                write_expression(text, value);
            }
            text.push(')');
        }
        ExprKind::Unary { operator, operand } => {
            text.push_str(match operator {
                UnaryOperator::Negate => "(- ",
                UnaryOperator::Not => "(not ",
            });
            write_expression(text, operand);
            text.push(')');
        }
        ExprKind::Binary { operator, left, right, .. } => {
            push(text, format_args!("({} ", symbol(*operator)));
            write_expression(text, left);
            text.push(' ');
            write_expression(text, right);
            text.push(')');
        }
        ExprKind::Named { value, path } => {
            text.push_str("(as ");
            write_expression(text, value);
            push(text, format_args!(" {})", self::path(path)));
        }
        ExprKind::Of { count, what } => {
            text.push_str("(of ");
            write_expression(text, count);
            push(text, format_args!(" {})", what.text));
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}

/// Whole numbers exactly, others as the double that they are.
fn number(text: &mut String, number: &Number) {
    match number.integer {
        Some(integer) => push(text, format_args!("{integer}")),
        None => push(text, format_args!("{:?}", number.value)),
    }
    if let Some(unit) = &number.unit {
        push(text, format_args!(" {}", unit.text));
    }
}

/// An operator as it is written.
fn symbol(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "or",
        BinaryOperator::And => "and",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Power => "^",
    }
}
