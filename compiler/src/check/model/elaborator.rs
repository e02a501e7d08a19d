//! The state of writing out a model: nodes, weights, paths and the calls that are under way.

use std::collections::BTreeMap;

use llmc_grammar::codes::{MODEL_TOO_LARGE, SHAPE_MISMATCH, UNKNOWN_SIZE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Function;

use super::Library;
use super::inputs::{Made, Stop};
use super::tensor::{Bound, Tensor, show};
use crate::dim::Dim;
use crate::plan::{DType, ModelNode, ModelOp, Origin, WeightPlan};

/// Operations a model may have; a function that is checked alone, a fortieth.
const MOST_NODES: usize = 200_000;
/// Expressions evaluated for one model, so that nested calls cannot run for ever; likewise.
const MOST_STEPS: usize = 2_000_000;

/// A function whose body is being written out.
pub(super) struct Frame<'a> {
    /// The function; none for the stage that names the model.
    pub function: Option<&'a Function>,
    /// The call it comes from.
    pub call: Option<Span>,
    /// Parameters, dimensions and bindings.
    pub names: BTreeMap<String, Bound>,
    /// The dimensions among them, in the order they were bound.
    pub dims: Vec<String>,
}

/// Where a weight was made.
#[derive(Clone)]
pub(super) struct Place {
    /// The `weight(...)` itself.
    pub made: Span,
    /// The call in the user's own text that leads to it, if `made` belongs to the standard library.
    pub call: Option<Span>,
}

/// Writes out one model, or checks one function alone.
pub(super) struct Elaborator<'a, 'd> {
    pub library: &'a Library<'a>,
    /// A function is checked without a caller: its constants are symbols, both branches of an `if` and one round of a
    /// `repeat` are checked, and what cannot be decided is no mistake.
    pub alone: bool,
    pub nodes: Vec<ModelNode>,
    pub weights: Vec<WeightPlan>,
    /// Values of all weights together.
    pub values: u64,
    /// Where each weight was made, by path.
    pub weight_places: BTreeMap<String, Place>,
    /// Parts of the current weight path.
    pub path: Vec<String>,
    pub frames: Vec<Frame<'a>>,
    /// Nesting of expressions over all calls.
    pub depth: usize,
    steps: usize,
    /// The model is too large: nothing more is written out.
    pub exhausted: bool,
    pub mistakes: usize,
    pub diagnostics: &'d mut Diagnostics,
}

impl<'a, 'd> Elaborator<'a, 'd> {
    pub fn new(library: &'a Library<'a>, alone: bool, diagnostics: &'d mut Diagnostics) -> Self {
        let stage = Frame { function: None, call: None, names: BTreeMap::new(), dims: Vec::new() };
        Elaborator {
            library,
            alone,
            nodes: Vec::new(),
            weights: Vec::new(),
            values: 0,
            weight_places: BTreeMap::new(),
            path: Vec::new(),
            frames: vec![stage],
            depth: 0,
            steps: 0,
            exhausted: false,
            mistakes: 0,
            diagnostics,
        }
    }

    /// Names of the function that is being written out.
    pub fn names(&mut self) -> &mut BTreeMap<String, Bound> {
        let last = self.frames.len() - 1; // the stage's frame is never popped
        &mut self.frames[last].names
    }

    /// What a name stands for in the function that is being written out.
    pub fn bound(&self, name: &str) -> Option<&Bound> {
        self.frames.last()?.names.get(name)
    }

    /// The frame of the function that is being written out.
    pub fn frame(&mut self) -> &mut Frame<'a> {
        let last = self.frames.len() - 1; // the stage's frame is never popped
        &mut self.frames[last]
    }

    /// Counts one evaluated expression; false once the model is too large.
    pub fn step(&mut self, span: &Span) -> bool {
        self.steps += 1;
        let part = if self.alone { 40 } else { 1 };
        let over = self.steps > MOST_STEPS / part || self.nodes.len() > MOST_NODES / part;
        if over && !self.exhausted {
            self.exhausted = true;
            self.report(
                Diagnostic::error(MODEL_TOO_LARGE, "the model has too many operations")
                    .label(span, "too many up to here")
                    .help("look at the counts of `repeat`, and at blocks that call others several times"),
            );
        }
        !self.exhausted
    }

    /// Adds a node. A size that depends on more than the batch is `E0519`.
    pub fn add(&mut self, made: Made, span: &Span) -> Result<Tensor, Stop> {
        if !self.alone {
            // Whatever the batch, down to one token when text is generated, a size must be one.
            let fits = |size: &&Dim| {
                let foreign = |symbol: &str| !matches!(symbol, "B" | "T" | "S");
                size.is_always_whole() && !size.symbols().into_iter().any(foreign)
            };
            if let Some(size) = made.shape.iter().find(|size| !fits(size)) {
                return Err(Diagnostic::error(UNKNOWN_SIZE, format!("`{size}` is not a size for every batch"))
                    .label(span, format!("this is {}", show(&made.shape)))
                    .help("`B` and `T` differ from batch to batch, down to 1: add and multiply them, nothing else")
                    .into());
            }
        }
        self.nodes.push(ModelNode {
            op: made.op,
            inputs: made.inputs,
            shape: made.shape.clone(),
            dtype: made.dtype.unwrap_or(DType::F32),
            origin: Origin { path: self.path.join("."), place: span.place() },
        });
        Ok(Tensor { node: self.nodes.len() - 1, shape: made.shape, dtype: made.dtype, span: span.clone() })
    }

    /// A scalar.
    pub fn constant(&mut self, value: f64, span: &Span) -> Result<Tensor, Stop> {
        let made =
            Made { op: ModelOp::Constant(value), inputs: Vec::new(), shape: Vec::new(), dtype: Some(DType::F32) };
        self.add(made, span)
    }

    /// The value, or nothing after its mistake is reported.
    pub fn settle<T>(&mut self, outcome: Result<T, Stop>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(Stop::Undetermined) => None,
            Err(Stop::Mistake(mistake)) => {
                self.report(*mistake);
                None
            }
        }
    }

    /// Reports a mistake once, with the call it comes from and the sizes behind the shapes.
    pub fn report(&mut self, mut mistake: Diagnostic) {
        self.mistakes += 1;
        if mistake.code == SHAPE_MISMATCH
            && let Some(sizes) = self.sizes()
        {
            let help = mistake.help.take().unwrap_or_default();
            mistake.help = Some(format!("{help}\n{sizes}").trim().to_owned());
        }
        self.add_call(&mut mistake);
        let same = |other: &Diagnostic| {
            other.code == mistake.code
                && other.labels.first().map(|(span, _)| span) == mistake.labels.first().map(|(span, _)| span)
        };
        if !self.diagnostics.iter().any(same) {
            self.diagnostics.push(mistake);
        }
    }

    /// `here D = 768`: dimensions of the current function that have a value.
    fn sizes(&self) -> Option<String> {
        let frame = self.frames.last()?;
        let known: Vec<String> = frame
            .dims
            .iter()
            .filter_map(|name| match frame.names.get(name) {
                Some(Bound::Constant(constant)) => {
                    let value = constant.value.to_string();
                    (value != *name).then(|| format!("{name} = {value}"))
                }
                _ => None,
            })
            .collect();
        (!known.is_empty()).then(|| format!("here {}", known.join(", ")))
    }

    /// A mistake inside a called block also shows the call. Where the block belongs to the standard library, the call in
    /// the user's own text comes first.
    fn add_call(&self, mistake: &mut Diagnostic) {
        let Some((main, _)) = mistake.labels.first() else {
            return;
        };
        let call = if is_own(main) {
            // The first call is the stage's: what is wrong in a model's own text does not need it.
            let inner = self.frames.iter().skip(2).rev();
            inner.filter_map(|frame| frame.call.as_ref()).next()
        } else {
            self.own_call()
        };
        let shown = |call: &&Span| mistake.labels.iter().all(|(span, _)| span != *call);
        if let Some(call) = call.filter(shown).cloned() {
            let at = if is_own(main) { mistake.labels.len() } else { 0 };
            mistake.labels.insert(at, (call, "in this call".to_owned()));
        }
    }

    /// The innermost call that stands in the user's own text.
    pub fn own_call(&self) -> Option<&Span> {
        let calls = self.frames.iter().rev().filter_map(|frame| frame.call.as_ref());
        calls.into_iter().find(|span| is_own(span))
    }
}

/// Whether a place lies outside the standard library.
pub(super) fn is_own(span: &Span) -> bool {
    !span.source.name().starts_with("std/")
}
