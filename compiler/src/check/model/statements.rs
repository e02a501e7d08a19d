//! Statements: assignments, `repeat` and `if`.

use std::collections::BTreeMap;

use llmc_grammar::codes::{MODEL_TOO_LARGE, OUTSIDE_RANGE, ROUNDS_DIFFER, UNKNOWN_SIZE, WRONG_COUNT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, Name, Path, Statement};

use super::super::value::{Kind, Value};
use super::elaborator::Elaborator;
use super::expressions::several;
use super::inputs::Stop;
use super::tensor::{Bound, show};

/// Rounds of one `repeat`.
const MOST_ROUNDS: u64 = 10_000;

impl Elaborator<'_, '_> {
    /// Writes out statements in order.
    pub fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            if self.exhausted {
                return;
            }
            match statement {
                Statement::Assign { targets, value, .. } => self.assign(targets, value),
                Statement::Repeat { count, path, body, .. } => self.repeat(count, path, body),
                Statement::If { condition, then, otherwise, .. } => self.branch(condition, then, otherwise),
            }
        }
    }

    fn assign(&mut self, targets: &[Name], value: &Expr) {
        let bound = self.expression(value);
        match (bound, targets) {
            (Bound::Several(tensors), _) if tensors.len() == targets.len() => {
                for (target, mut tensor) in targets.iter().zip(tensors) {
                    tensor.span = target.span.clone();
                    self.names().insert(target.text.clone(), Bound::Tensor(tensor));
                }
            }
            (Bound::Several(_), [_]) => {
                self.report(*several(&value.span));
                self.forget(targets);
            }
            (Bound::Several(tensors), _) => {
                self.report(wrong_count(targets, tensors.len(), &value.span));
                self.forget(targets);
            }
            (Bound::Unknown, _) => self.forget(targets),
            (bound, [target]) => {
                self.names().insert(target.text.clone(), bound);
            }
            (_, _) => {
                self.report(wrong_count(targets, 1, &value.span));
                self.forget(targets);
            }
        }
    }

    fn forget(&mut self, targets: &[Name]) {
        for target in targets {
            self.names().insert(target.text.clone(), Bound::Unknown);
        }
    }

    fn repeat(&mut self, count: &Expr, path: &Path, body: &[Statement]) {
        let rounds = self.rounds(count);
        let rounds = match self.settle(rounds) {
            Some(rounds) if !self.alone => rounds,
            _ => 1,
        };
        let outer = self.path.len();
        self.path.extend(path.parts.iter().map(|part| part.text.clone()));
        let mistakes = self.mistakes;
        for round in 0..rounds {
            // Checked alone, one round stands for all.
            self.path.push(if self.alone { "*".to_owned() } else { round.to_string() });
            let before = self.names().clone();
            self.statements(body);
            self.carry(before);
            self.path.truncate(outer + path.parts.len());
            if self.exhausted || self.mistakes > mistakes {
                break;
            }
        }
        self.path.truncate(outer);
    }

    fn rounds(&mut self, count: &Expr) -> Result<u64, Stop> {
        let constant = match self.expression(count) {
            Bound::Constant(constant) => constant,
            Bound::Unknown => return Err(Stop::Undetermined),
            _ => {
                return Err(Diagnostic::error(OUTSIDE_RANGE, "the count of `repeat` is a constant")
                    .label(&count.span, "this is a tensor")
                    .into());
            }
        };
        let rounds = match &constant.value {
            Value::Dim(_) if self.alone => return Err(Stop::Undetermined),
            Value::Dim(dim) => {
                return Err(Diagnostic::error(
                    UNKNOWN_SIZE,
                    format!("the count `{dim}` is not known when the model is made"),
                )
                .label(&count.span, "differs from batch to batch")
                .into());
            }
            Value::Unknown => return Err(Stop::Undetermined),
            _ => constant.int()?,
        };
        match u64::try_from(rounds) {
            Ok(rounds) if rounds <= MOST_ROUNDS => Ok(rounds),
            Ok(_) => Err(Diagnostic::error(MODEL_TOO_LARGE, "too many rounds")
                .label(&count.span, format!("{rounds} rounds, {MOST_ROUNDS} at most"))
                .into()),
            Err(_) => Err(Diagnostic::error(OUTSIDE_RANGE, "a count cannot be negative")
                .label(&count.span, format!("this is {rounds}"))
                .into()),
        }
    }

    /// After a round: what existed before carries on with the same shape, what is new is forgotten.
    fn carry(&mut self, before: BTreeMap<String, Bound>) {
        let after = std::mem::take(self.names());
        let mut carried = before;
        for (name, bound) in after {
            let Some(earlier) = carried.get(&name) else {
                continue;
            };
            if let (Bound::Tensor(a), Bound::Tensor(b)) = (earlier, &bound)
                && (a.shape != b.shape || a.dtype != b.dtype)
            {
                let (from, to) = (show(&a.shape), show(&b.shape));
                let mistake =
                    Diagnostic::error(ROUNDS_DIFFER, format!("`{name}` changes its shape from round to round"))
                        .label(&b.span, format!("{to} after the round"))
                        .label(&a.span, format!("{from} before it"))
                        .help("give the inner value another name, or bring it back to the shape it had");
                self.report(mistake);
                carried.insert(name, Bound::Unknown);
                continue;
            }
            // Checked alone, a constant that changes has another value in every round.
            let changes = match (earlier, &bound) {
                (Bound::Constant(a), Bound::Constant(b)) => a.value != b.value,
                _ => false,
            };
            let bound = if self.alone && changes { Bound::Unknown } else { bound };
            carried.insert(name, bound);
        }
        *self.names() = carried;
    }

    fn branch(&mut self, condition: &Expr, then: &[Statement], otherwise: &[Statement]) {
        let truth = match self.expression(condition) {
            Bound::Constant(constant) => match constant.value {
                Value::Open(Kind::Bool) if self.alone => Ok(None),
                Value::Open(Kind::Bool) => Err(undecided(&condition.span).into()),
                Value::Unknown => Ok(None),
                _ => constant.bool().map(Some).map_err(Stop::from),
            },
            Bound::Unknown => Ok(None),
            _ => Err(Diagnostic::error(llmc_grammar::codes::NOT_CONSTANT, "the condition of `if` is a constant")
                .label(&condition.span, "this is a tensor")
                .into()),
        };
        match self.settle(truth) {
            Some(Some(true)) => self.statements(then),
            Some(Some(false)) => self.statements(otherwise),
            Some(None) | None => self.both(then, otherwise),
        }
    }

    /// Checks both branches; what they leave different is not known afterwards.
    fn both(&mut self, then: &[Statement], otherwise: &[Statement]) {
        let before = self.names().clone();
        let places = self.weight_places.clone();
        self.statements(then);
        let first = std::mem::replace(self.names(), before);
        let first_places = std::mem::replace(&mut self.weight_places, places);
        self.statements(otherwise);
        self.weight_places.extend(first_places);
        let names = self.names();
        for (name, bound) in first {
            let agreed = match (names.get(&name), &bound) {
                (Some(Bound::Tensor(a)), Bound::Tensor(b)) => a.shape == b.shape && a.dtype == b.dtype,
                (Some(Bound::Constant(a)), Bound::Constant(b)) => a.value == b.value,
                _ => false,
            };
            names.insert(name, if agreed { bound } else { Bound::Unknown });
        }
    }
}

fn wrong_count(targets: &[Name], values: usize, span: &Span) -> Diagnostic {
    let names = targets[0].span.to(&targets[targets.len() - 1].span);
    let plural = if values == 1 { "" } else { "s" };
    Diagnostic::error(WRONG_COUNT, format!("{} names for {values} value{plural}", targets.len()))
        .label(&names, format!("{} names", targets.len()))
        .label(span, format!("{values} value{plural}"))
        .help("write one name for each value; only `split` and `top_k` give several")
}

fn undecided(span: &Span) -> Diagnostic {
    Diagnostic::error(UNKNOWN_SIZE, "the condition depends on the batch")
        .label(span, "not known when the model is made")
        .help("`B` and `T` differ from batch to batch; compare constants")
}
