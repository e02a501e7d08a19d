//! Calls: functions of the language become nodes, blocks are written out in place.

use llmc_grammar::codes::{NESTED_TOO_DEEPLY, NO_RESULT, OUTSIDE_RANGE, RECURSION, UNKNOWN_FUNCTION, WRONG_ARGUMENT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Argument, Function, Name, Path};

use super::super::constant_functions::{constant_function, is_constant_function};
use super::super::nearest::suggestion;
use super::super::scaling::is_rule;
use super::super::table::SCALINGS;
use super::super::value::{Call, CallArgument, Kind, Spanned, Value};
use super::arguments::{Evaluated, missing};
use super::convert::{convert, default};
use super::elaborator::{Elaborator, Frame};
use super::expressions::{need_floats, nothing_to_name, several};
use super::functions::{self, Default, Rule};
use super::inputs::{Given, Inputs, Made, Stop};
use super::rules::{elementwise, reduce};
use super::table::FUNCTIONS;
use super::tensor::{Bound, Tensor, show};
use crate::dim::Dim;
use crate::plan::{DType, ModelOp, UnaryFunction};

/// Calls within calls.
const DEEPEST_CALLS: usize = 48;

impl<'a> Elaborator<'a, '_> {
    /// The value of `function(arguments) as path`.
    pub fn call(&mut self, function: &Name, arguments: &[Argument], span: &Span, path: Option<&Path>) -> Bound {
        let arguments = self.evaluate_arguments(arguments);
        let outcome = self.dispatch(function, arguments, span, path);
        self.settle(outcome).unwrap_or(Bound::Unknown)
    }

    fn dispatch(
        &mut self,
        function: &Name,
        arguments: Vec<Evaluated>,
        span: &Span,
        path: Option<&Path>,
    ) -> Result<Bound, Stop> {
        // A `function` parameter stands for the function it names.
        let name = match self.bound(&function.text) {
            Some(Bound::Constant(constant)) => match &constant.value {
                Value::Name(name) => name.clone(),
                Value::Open(Kind::Function) => return self.open_function(arguments, span),
                Value::Unknown => return Err(Stop::Undetermined),
                // Calls have their own names: `dropout(x, dropout)` reads the constant and calls the function.
                _ if self.is_function(&function.text) => function.text.clone(),
                _ => return Err(constant_called(&function.text, &function.span).into()),
            },
            Some(Bound::Unknown) => return Err(Stop::Undetermined),
            _ => function.text.clone(),
        };
        if let Some(block) = self.library.functions.get(name.as_str()).copied() {
            return self.inline(block, arguments, span, path);
        }
        if let Some(path) = path.filter(|_| name != "weight" && self.is_function(&name)) {
            return Err(nothing_to_name(&path.span).into());
        }
        if matches!(name.as_str(), "normal" | "uniform") || is_rule(&name) {
            return Ok(constant_of_its_own(function, arguments, span));
        }
        let tensors = arguments.iter().any(|argument| !matches!(argument.bound, Bound::Constant(_) | Bound::Unknown));
        if is_constant_function(&name) && (!tensors || functions::find(&name).is_none()) {
            return self.constant_call(&name, arguments, span);
        }
        match functions::find(&name) {
            Some(function) => self.apply(function, arguments, span, path),
            None => Err(self.unknown_function(function).into()),
        }
    }

    /// Whether a call of `name` can mean a block or a function of the language.
    pub fn is_function(&self, name: &str) -> bool {
        self.library.functions.contains_key(name) || functions::find(name).is_some()
    }

    /// Every block and every function of the language.
    pub fn function_names(&self) -> Vec<&'a str> {
        let own = self.library.functions.keys().copied();
        own.chain(FUNCTIONS.iter().map(|function| function.name)).collect()
    }

    fn unknown_function(&mut self, function: &Name) -> Diagnostic {
        let mut known = self.function_names();
        known.extend(["normal", "uniform", "min", "floor", "ceil", "round"]);
        known.extend(SCALINGS.iter().map(|form| form.name));
        let near = suggestion(&function.text, &known).filter(|help| help.starts_with("did"));
        Diagnostic::error(UNKNOWN_FUNCTION, format!("there is no function `{}`", function.text))
            .label(&function.span, "not known")
            .help(near.unwrap_or_else(|| {
                "blocks of the standard library must be imported, for example `import \"std/nn\"`".to_owned()
            }))
    }

    /// `min`, `max`, `floor`, `ceil`, `round`, `sqrt` of constants.
    fn constant_call(&mut self, name: &str, arguments: Vec<Evaluated>, span: &Span) -> Result<Bound, Stop> {
        let mut constants = Vec::new();
        for argument in arguments {
            match argument.bound {
                Bound::Constant(constant) => constants.push(constant),
                Bound::Unknown => return Err(Stop::Undetermined),
                _ => {
                    return Err(Diagnostic::error(WRONG_ARGUMENT, format!("`{name}` takes constants, not tensors"))
                        .label(&argument.span, "this is no constant")
                        .into());
                }
            }
        }
        let value = constant_function(name, &constants, span)?;
        Ok(Bound::Constant(Spanned::new(value, span)))
    }

    /// A `function` parameter without a value: any function of one tensor that keeps its shape.
    fn open_function(&mut self, arguments: Vec<Evaluated>, span: &Span) -> Result<Bound, Stop> {
        match arguments.into_iter().next().map(|argument| argument.bound) {
            Some(Bound::Tensor(tensor)) => {
                need_floats(&tensor, span)?;
                let made = Made {
                    op: ModelOp::Unary(UnaryFunction::Relu),
                    inputs: vec![tensor.node],
                    shape: tensor.shape,
                    dtype: Some(DType::F32),
                };
                self.add(made, span).map(Bound::Tensor)
            }
            _ => Err(Stop::Undetermined),
        }
    }

    /// A call of a function of the language.
    fn apply(
        &mut self,
        function: &'static functions::Function,
        arguments: Vec<Evaluated>,
        span: &Span,
        path: Option<&Path>,
    ) -> Result<Bound, Stop> {
        let parameters: Vec<&str> = function.parameters.iter().map(|each| each.name).collect();
        let arranged = self.arrange(function.name, &parameters, arguments).ok_or(Stop::Undetermined)?;
        if let Rule::Binary(rule) = function.rule {
            return self.apply_binary(function, rule, arranged, span);
        }
        let spans = arranged.iter().map(|argument| argument.as_ref().map(|argument| argument.span.clone())).collect();
        let mut given = Vec::new();
        let mut complete = true;
        for (taken, argument) in function.parameters.iter().zip(arranged) {
            let outcome = match argument {
                Some(argument) => convert(taken, argument.bound, &argument.span),
                None => default(taken)
                    .ok_or_else(|| missing(function.name, taken.name, taken.takes.describe(), span).into()),
            };
            // An open flag is no reason to give up: the rules know how to go on.
            let open = matches!(outcome, Err(Stop::Undetermined)) && taken.default != Default::Required && self.alone;
            match self.settle(outcome) {
                Some(value) => given.push(value),
                None if open => given.push(Given::Absent),
                None => complete = false,
            }
        }
        if !complete {
            return Err(Stop::Undetermined);
        }
        let inputs = Inputs { function: function.name, given, spans, call: span.clone(), alone: self.alone };
        let made = match function.rule {
            Rule::Weight => return self.make_weight(&inputs, path, span).map(Bound::Tensor),
            Rule::Shape(rule) => rule(&inputs)?,
            Rule::Unary(rule) => elementwise::unary(&inputs, rule)?,
            Rule::Reduce(kind) => reduce::over_axis(&inputs, kind)?,
            Rule::Binary(_) => return Err(Stop::Undetermined), // handled above
        };
        let several = matches!(function.name, "split" | "top_k");
        let mut tensors: Vec<Tensor> = Vec::with_capacity(made.len());
        for each in made {
            if each.shape.iter().any(|size| size.as_constant() == Some(0)) {
                return Err(empty(function.name, &each.shape, span));
            }
            self.ids_must_fit(&each, &inputs)?;
            tensors.push(self.add(each, span)?);
        }
        match tensors.pop() {
            Some(only) if !several => Ok(Bound::Tensor(only)),
            Some(last) => {
                tensors.push(last);
                Ok(Bound::Several(tensors))
            }
            None => Err(Stop::Undetermined),
        }
    }

    fn apply_binary(
        &mut self,
        function: &'static functions::Function,
        rule: crate::plan::BinaryFunction,
        arranged: Vec<Option<Evaluated>>,
        span: &Span,
    ) -> Result<Bound, Stop> {
        let mut operands = Vec::new();
        for (taken, argument) in function.parameters.iter().zip(arranged) {
            operands.push(argument.ok_or_else(|| missing(function.name, taken.name, taken.takes.describe(), span))?);
        }
        let mut operands = operands.into_iter();
        let (Some(a), Some(b)) = (operands.next(), operands.next()) else {
            return Err(Stop::Undetermined);
        };
        if let (Bound::Constant(_), Bound::Constant(_)) = (&a.bound, &b.bound) {
            return Err(Diagnostic::error(WRONG_ARGUMENT, format!("`{}` needs a tensor", function.name))
                .label(span, "both arguments are constants")
                .help("of constants use `min`, `max` or `^`")
                .into());
        }
        self.elementwise(rule, (a.bound, &a.span), (b.bound, &b.span), span)
    }

    /// Writes out a block in place: its weights get `path` (if any) after the current one.
    pub fn inline(
        &mut self,
        function: &'a Function,
        arguments: Vec<Evaluated>,
        span: &Span,
        path: Option<&Path>,
    ) -> Result<Bound, Stop> {
        self.may_call(function, span)?;
        let parameters: Vec<&str> = function.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
        let arranged = self.arrange(&function.name.text, &parameters, arguments).ok_or(Stop::Undetermined)?;
        let outer = self.path.len();
        if let Some(path) = path {
            self.path.extend(path.parts.iter().map(|part| part.text.clone()));
        }
        self.frames.push(Frame {
            function: Some(function),
            call: Some(span.clone()),
            names: std::collections::BTreeMap::new(),
            dims: Vec::new(),
        });
        let bound = self.bind(function, arranged, span);
        let outcome = match bound {
            Ok(()) => self.body(function),
            Err(stop) => Err(stop),
        };
        self.frames.pop();
        self.path.truncate(outer);
        match outcome? {
            Bound::Tensor(mut tensor) => {
                tensor.span = span.clone();
                Ok(Bound::Tensor(tensor))
            }
            other => Ok(other),
        }
    }

    /// Statements and result of a function whose parameters are bound.
    pub fn body(&mut self, function: &'a Function) -> Result<Bound, Stop> {
        self.statements(&function.body.statements);
        let Some(result) = &function.body.result else {
            let end = function.body.span.end;
            let brace = Span::new(&function.body.span.source, end.saturating_sub(1), end);
            self.report(
                Diagnostic::error(NO_RESULT, format!("`{}` has no result", function.name.text))
                    .label(&brace, "an expression is missing before this")
                    .help("the last line of a function is its value, without `=`"),
            );
            return Err(Stop::Undetermined);
        };
        match self.expression(result) {
            Bound::Several(_) => {
                self.report(*several(&result.span));
                Err(Stop::Undetermined)
            }
            Bound::Unknown => Err(Stop::Undetermined),
            value => Ok(value),
        }
    }

    fn may_call(&self, function: &Function, span: &Span) -> Result<(), Stop> {
        let name = &function.name.text;
        let under_way = |frame: &Frame<'_>| frame.function.is_some_and(|other| other.name.text == *name);
        if self.frames.iter().any(under_way) {
            return Err(Diagnostic::error(RECURSION, format!("`{name}` calls itself"))
                .label(span, "called again here, before it has a value")
                .label(&function.name.span, "defined here")
                .help("use `repeat N as name { ... }` for layers")
                .into());
        }
        if self.frames.len() > DEEPEST_CALLS {
            return Err(Diagnostic::error(NESTED_TOO_DEEPLY, "calls within calls are nested too deeply")
                .label(span, format!("more than {DEEPEST_CALLS} levels"))
                .into());
        }
        Ok(())
    }
}

/// `normal(0.02)` stays a call until `weight` reads it, `ntk(factor: 8.0)` until `rotate` does.
fn constant_of_its_own(function: &Name, arguments: Vec<Evaluated>, span: &Span) -> Bound {
    let arguments: Option<Vec<CallArgument>> = arguments
        .into_iter()
        .map(|argument| match argument.bound {
            Bound::Constant(value) => Some(CallArgument { name: argument.name, value }),
            _ => None,
        })
        .collect();
    match arguments {
        Some(arguments) => {
            Bound::Constant(Spanned::new(Value::Call(Call { function: function.clone(), arguments }), span))
        }
        None => Bound::Unknown,
    }
}

fn constant_called(name: &str, span: &Span) -> Diagnostic {
    Diagnostic::error(UNKNOWN_FUNCTION, format!("`{name}` is not a function"))
        .label(span, "a constant")
        .help("a parameter that takes a function is declared `name: function`")
}

fn empty(function: &str, shape: &[Dim], span: &Span) -> Stop {
    Diagnostic::error(OUTSIDE_RANGE, format!("the result of `{function}` is empty"))
        .label(span, format!("this is {}", show(shape)))
        .help("every size must be at least 1")
        .into()
}
