//! `einsum`: the names of an equation against the shapes of two tensors.

use llmc_grammar::codes::WRONG_EQUATION;
use llmc_grammar::diagnostic::Diagnostic;

use super::super::inputs::{Inputs, Made, Stop};
use super::super::tensor::{Tensor, show};
use super::mismatch::{Operand, mismatch};
use crate::dim::Dim;
use crate::plan::{DType, Einsum, ModelOp};

/// `einsum("b t d, d h k -> b t h k", a, b)`
pub(in super::super) fn einsum(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let wrong = |message: String, help: &str| {
        Stop::from(Diagnostic::error(WRONG_EQUATION, message).label(inputs.span(0), "in this equation").help(help))
    };
    let text = inputs.equation(0)?;
    let parts = text.split_once("->").and_then(|(operands, result)| Some((operands.split_once(',')?, result)));
    let Some(((left, right), result)) =
        parts.filter(|((_, right), result)| !right.contains(',') && !result.contains("->"))
    else {
        let help = "for example `\"b t d, d h k -> b t h k\"`";
        return Err(wrong("an equation is `first, second -> result`".to_owned(), help));
    };
    let [left, right, result] = [left, right, result].map(|part| part.split_whitespace().collect::<Vec<&str>>());
    for part in [&left, &right, &result] {
        let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some(name) = part.iter().find(|name| !is_word(name)) {
            return Err(wrong(format!("`{name}` is no name of a dimension"), "names are letters, digits and `_`"));
        }
        if let Some(name) = part.iter().enumerate().find(|(at, name)| part[..*at].contains(name)).map(|(_, name)| name)
        {
            return Err(wrong(
                format!("`{name}` stands twice in one part"),
                "each dimension of a tensor has a name of its own",
            ));
        }
    }
    let mut names: Vec<(&str, Dim)> = Vec::new();
    let tensors = [inputs.tensor(1)?, inputs.tensor(2)?];
    for (part, tensor) in [&left, &right].into_iter().zip(tensors) {
        if part.len() != tensor.shape.len() {
            return Err(wrong_number(inputs, part, tensor, &wrong));
        }
        for (&name, size) in part.iter().zip(&tensor.shape) {
            match names.iter().find(|(known, _)| *known == name) {
                None => names.push((name, size.clone())),
                Some((_, known)) if known == size => {}
                Some((_, known)) => {
                    let [a, b] = [1, 2].map(|index| Operand { tensor: tensors[index - 1], span: inputs.span(index) });
                    let rule = format!("`{name}` is {known} in the first and {size} in the second");
                    return Err(mismatch(a, b, &rule, "what has one name has one size".to_owned()).into());
                }
            }
        }
    }
    let number = |name: &&str| names.iter().position(|(known, _)| known == name);
    if let Some(name) = result.iter().find(|name| number(name).is_none()) {
        return Err(wrong(format!("`{name}` stands in neither tensor"), "the result is made of their dimensions"));
    }
    let numbers = |part: &[&str]| part.iter().filter_map(number).collect::<Vec<usize>>();
    let einsum = Einsum { left: numbers(&left), right: numbers(&right), result: numbers(&result) };
    let shape = einsum.result.iter().map(|&dim| names[dim].1.clone()).collect();
    let nodes = tensors.map(|tensor| tensor.node).to_vec();
    Ok(vec![Made { op: ModelOp::Einsum(einsum), inputs: nodes, shape, dtype: Some(DType::F32) }])
}

fn wrong_number(inputs: &Inputs, part: &[&str], tensor: &Tensor, wrong: &dyn Fn(String, &str) -> Stop) -> Stop {
    if inputs.alone && show(&tensor.shape).starts_with("[...") {
        return Stop::Undetermined;
    }
    let names = part.join(" ");
    let help = match part {
        [only] if only.chars().count() == tensor.shape.len() => "names stand apart: `b t d`, not `btd`",
        _ => "every dimension needs a name",
    };
    let count = if part.len() == 1 { "1 dimension".to_owned() } else { format!("{} dimensions", part.len()) };
    wrong(format!("`{names}` names {count} of {}", show(&tensor.shape)), help)
}
