//! `extend`: a trained model with more positions than it had.

use llmc_grammar::codes::{EXTEND_UNFIT, INIT_CONTRADICTS, NO_EFFECT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::tree::{Argument, Name};

use super::super::evaluate::evaluate;
use super::super::model::{constant_parameters, positions_looked_up, rule_value};
use super::super::record::{Read, Record};
use super::super::value::Value;
use super::Checking;
use super::weights::{expression, same};
use crate::plan::{Align, ExtendPlan, ModelOp, ModelPlan, Rotary, RotaryScaling};

/// A model before it is extended, and how its stage says so.
pub struct Extension<'a> {
    /// The call.
    pub call: &'a Record,
    /// The model whose weights are taken.
    pub before: &'a ModelPlan,
    /// Whether the stage itself writes `extend`; else it has it from the stage that it continues, and is as long already.
    pub own: bool,
    /// Whether the stage itself writes the arguments that `extend` changes.
    pub own_model: bool,
}

impl Extension<'_> {
    /// The arguments of model `name` with its longer context. Nothing after a mistake.
    pub fn arguments(
        &self,
        name: &Name,
        mut arguments: Vec<Argument>,
        checking: &mut Checking<'_, '_>,
    ) -> Option<Vec<Argument>> {
        let to = self.call.quantity("to")?.whole_in_base()?;
        let changes = match self.changes(name, to, checking) {
            Ok(changes) => changes,
            Err(mistake) => {
                checking.diagnostics.push(*mistake);
                return None;
            }
        };
        let parameters = constant_parameters(checking.library, &name.text);
        for (parameter, value) in changes {
            let written = arguments.iter().enumerate().position(|(index, argument)| match &argument.name {
                Some(name) => name.text == parameter,
                None => parameters.get(index).is_some_and(|known| *known == parameter),
            });
            let expr = expression(&value, &self.call.span)?;
            let Some(index) = written else {
                let name = Name { text: parameter.to_owned(), span: self.call.span.clone() };
                arguments.push(Argument { name: Some(name), value: expr });
                continue;
            };
            if self.own_model {
                let own = evaluate(&arguments[index].value, &checking.library.constants, checking.diagnostics);
                if own.value != Value::Unknown && !same(&own, &value) {
                    checking.diagnostics.push(
                        Diagnostic::error(
                            INIT_CONTRADICTS,
                            format!("`{parameter}` is {} here, but `extend` makes it {value}", own.value),
                        )
                        .label(&own.span, format!("{} here", own.value))
                        .label(&self.call.span, format!("{value} here"))
                        .help(format!("leave `{parameter}` out: `extend` gives it")),
                    );
                    return None;
                }
            }
            arguments[index].value = expr;
        }
        Some(arguments)
    }

    /// The parameters that change, and to what.
    fn changes(
        &self,
        name: &Name,
        to: u64,
        checking: &Checking<'_, '_>,
    ) -> Result<Vec<(&'static str, Value)>, Box<Diagnostic>> {
        let call = self.call;
        let unfit = |reason: String, help: &str| {
            let mistake =
                Diagnostic::error(EXTEND_UNFIT, format!("`{}` cannot extend `{}`", call.form.name, name.text));
            Box::new(mistake.label(&call.span, reason).help(help))
        };
        let parameters = constant_parameters(checking.library, &name.text);
        let context = self.before.arguments.get("context").and_then(|text| text.parse::<u64>().ok());
        let Some(context) = context.filter(|_| parameters.contains(&"context")) else {
            return Err(unfit(
                "the model has no parameter `context`".to_owned(),
                "rows of a model without learned or rotary positions may be longer as it is; else call the number of its \
                 positions `context`",
            ));
        };
        let rotary = self.rotary().filter(|_| parameters.contains(&"scaling"));
        let learned = !positions_looked_up(self.before).is_empty();
        // Under the dynamic rule the context is that of the first training.
        let has = match rotary.map(|rotary| rotary.scaling) {
            Some(RotaryScaling::DynamicNtk { factor, original }) => (factor * original as f64).round() as u64,
            _ => context,
        };
        if to < has || (self.own && to == has) {
            return Err(unfit(format!("{to} tokens, but it has positions for {has}"), "extend it to more"));
        }
        let longer = ("context", Value::Int(i64::try_from(to).unwrap_or(i64::MAX)));
        let interpolates = call.form.name == "interpolate";
        if interpolates && learned {
            return Ok(vec![longer]);
        }
        if interpolates && call.is_written("align") {
            let mistake = Diagnostic::error(NO_EFFECT, "`align` has no effect: the model has no table of positions");
            let mistake = mistake.label(call.place("align"), "aligns the rows of such a table");
            return Err(Box::new(mistake.help("remove `align`")));
        }
        let Some(rotary) = rotary else {
            return Err(unfit(
                match learned {
                    true => "its positions are learned, not rotary".to_owned(),
                    false => "it has neither learned positions nor rotary ones with a parameter `scaling`".to_owned(),
                },
                "`interpolate` takes learned positions; `rescale_...` and `interpolate` take rotary ones of a model with \
                 `scaling: rope_scaling`",
            ));
        };
        let original = match rotary.scaling {
            RotaryScaling::None => context,
            RotaryScaling::Interpolation { factor } | RotaryScaling::Ntk { factor } => {
                (context as f64 / factor).round() as u64
            }
            RotaryScaling::DynamicNtk { original, .. }
            | RotaryScaling::Yarn { original, .. }
            | RotaryScaling::Llama3 { original, .. } => original,
        };
        let factor = to as f64 / original.max(1) as f64;
        let rule = match call.form.name {
            "rescale_ntk" => RotaryScaling::Ntk { factor },
            "rescale_dynamic_ntk" => RotaryScaling::DynamicNtk { factor, original },
            "rescale_yarn" => RotaryScaling::yarn(factor, original),
            "rescale_llama3" => RotaryScaling::llama3(factor, original),
            _ => RotaryScaling::Interpolation { factor },
        };
        let scaling = ("scaling", rule_value(&rule, &call.span));
        Ok(match rule {
            RotaryScaling::DynamicNtk { .. } => vec![scaling],
            _ => vec![longer, scaling],
        })
    }

    /// How the model turns queries and keys, if it does.
    fn rotary(&self) -> Option<Rotary> {
        self.before.nodes.iter().find_map(|node| match &node.op {
            ModelOp::Rotate(rotary) => Some(*rotary),
            _ => None,
        })
    }

    /// What becomes of the weights; none where they stay as they are.
    pub fn plan(&self, after: &ModelPlan) -> Option<ExtendPlan> {
        let rows = |model: &ModelPlan, path: &str| {
            let weight = model.weights.iter().find(|weight| weight.path == path)?;
            weight.shape.first().copied()
        };
        let tables: Vec<String> = positions_looked_up(after)
            .into_iter()
            .filter(|path| rows(self.before, path) != rows(after, path))
            .map(str::to_owned)
            .collect();
        // Only learned positions have corners.
        let written = self.call.form.field("align").map(|_| self.call.optional("align", Read::call));
        let align = match written.flatten() {
            Some(Some(align)) if align.form.name == "centres" => Align::Centres,
            _ => Align::Corners,
        };
        (!tables.is_empty()).then_some(ExtendPlan { tables, align })
    }
}
