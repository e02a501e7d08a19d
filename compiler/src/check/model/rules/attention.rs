//! Rotary positions and attention.

use llmc_grammar::codes::HEADS_DO_NOT_DIVIDE;
use llmc_grammar::diagnostic::Diagnostic;

use super::super::super::arithmetic::nearest_divisors;
use super::super::inputs::{Given, Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::dim::Dim;
use crate::plan::{AttentionSettings, DType, ModelOp, OrderRule, Rotary, RotaryLayout, RotaryScaling};

/// `rotate(x [B, T, H, K], positions [B, T], theta, scaling, layout)`
pub(in super::super) fn rotate(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_rank(0, 4, "[B, T, H, K]")?;
    let positions = inputs.need_rank(1, 2, "[B, T]")?;
    same(inputs, 0, 1, &[0, 1], "positions are `[B, T]` of the input")?;
    if let Some(width) = x.shape[3].as_constant().filter(|width| width % 2 != 0) {
        return Err(inputs.outside(
            0,
            format!("a head of {width} elements cannot be turned in pairs"),
            "the last size is odd",
            "choose heads so that the width of one is even",
        ));
    }
    let scaling = match inputs.given.get(3) {
        Some(Given::Scaling(Some(rule))) => *rule,
        _ => RotaryScaling::None,
    };
    let layout = match inputs.given.get(4) {
        Some(Given::Layout(layout)) => *layout,
        _ => RotaryLayout::Halves,
    };
    Ok(vec![Made {
        op: ModelOp::Rotate(Rotary { theta: inputs.positive(2, "theta")?, scaling, layout }),
        inputs: vec![x.node, positions.node],
        shape: x.shape.clone(),
        dtype: Some(DType::F32),
    }])
}

/// The parameters of `attend`, by their place in the table.
mod parameter {
    pub const CAUSAL: usize = 3;
    pub const SCALE: usize = 4;
    pub const DOCUMENTS: usize = 5;
    pub const KEY_DOCUMENTS: usize = 6;
    pub const ORDER: usize = 7;
    pub const KEY_ORDER: usize = 8;
    pub const EARLIER: usize = 9;
    pub const BIAS: usize = 10;
    pub const ALIBI: usize = 11;
    pub const WINDOW: usize = 12;
    pub const SOFT_CAP: usize = 13;
}

/// `attend(q [B, T, H, K], k [B, S, G, K], v [B, S, G, V], ..) -> [B, T, H, V]`
pub(in super::super) fn attend(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    use parameter::*;
    let q = inputs.need_rank(0, 4, "[B, T, H, K]")?;
    let k = inputs.need_rank(1, 4, "[B, S, G, K]")?;
    let v = inputs.need_rank(2, 4, "[B, S, G, V]")?;
    let order = inputs.optional(ORDER).is_some();
    let earlier = inputs.bool(EARLIER).unwrap_or(false);
    if earlier && !order {
        let help = "give the order too, as in `order: order`, or leave `earlier` out";
        return Err(inputs.outside(EARLIER, "`earlier` says how `order` counts".to_owned(), "has no effect", help));
    }
    let settings = AttentionSettings {
        // While a block is checked alone `causal` may be open; the stricter reading is checked then.
        causal: match inputs.given.get(CAUSAL) {
            Some(Given::Absent) => !order,
            _ => inputs.bool(CAUSAL).unwrap_or(true),
        },
        window: inputs.size(WINDOW).ok().and_then(Dim::as_constant),
        soft_cap: match inputs.given.get(SOFT_CAP) {
            Some(Given::Number(_)) => Some(inputs.positive(SOFT_CAP, "soft_cap")?),
            _ => None,
        },
        alibi: inputs.bool(ALIBI).unwrap_or(false),
        documents: inputs.optional(DOCUMENTS).is_some(),
        order: order.then_some(if earlier { OrderRule::Earlier } else { OrderRule::NotLater }),
        bias: inputs.optional(BIAS).is_some(),
        scale: match (inputs.number(SCALE), q.shape[3].as_constant()) {
            (Some(scale), _) => scale,
            (None, Some(width)) => (width as f64).powf(-0.5),
            (None, None) => 1.0,
        },
    };
    let window = inputs.size(WINDOW).ok();
    if !inputs.alone && window.is_some_and(|window| window.as_constant().is_none_or(|window| window == 0)) {
        let help = "a token sees at least itself: `window: 1`";
        return Err(inputs.outside(WINDOW, "a window is 1 or more tokens".to_owned(), "not a window", help));
    }
    same(inputs, 0, 1, &[0], "batch sizes must be equal")?;
    same(inputs, 0, 1, &[3], "query and key heads have the same width")?;
    same(inputs, 1, 2, &[0, 1, 2], "keys and values differ only in the last size")?;
    if settings.is_positional() || window.is_some() {
        let rule = "attention that is causal, has a window or ALiBi needs as many keys as queries";
        same(inputs, 0, 1, &[1], rule)?;
    }
    let mut nodes = vec![q.node, k.node, v.node];
    nodes.extend(pair(inputs, DOCUMENTS, KEY_DOCUMENTS, "documents")?);
    nodes.extend(pair(inputs, ORDER, KEY_ORDER, "order")?);
    if let Some(bias) = inputs.optional(BIAS) {
        inputs.need_rank(BIAS, 4, "[B, H, T, S]")?;
        let full = [&q.shape[0], &q.shape[2], &q.shape[1], &k.shape[1]];
        for (axis, (size, full)) in bias.shape.iter().zip(full).enumerate() {
            let one = axis < 3 && size.as_constant() == Some(1);
            if size != full && !one && !(inputs.alone && (size.as_constant().is_none() || full.as_constant().is_none()))
            {
                let operand = |tensor, index| Operand { tensor, span: inputs.span(index) };
                let rule = "the bias is `[B or 1, H or 1, T or 1, S]`";
                let help = format!("dimension {axis} is {size} where the scores have {full}");
                return Err(mismatch(operand(q, 0), operand(bias, BIAS), rule, help).into());
            }
        }
        nodes.push(bias.node);
    }
    heads_divide(inputs)?;
    let mut shape = q.shape.clone();
    shape[3] = v.shape[3].clone();
    Ok(vec![Made { op: ModelOp::Attend(settings), inputs: nodes, shape, dtype: Some(DType::F32) }])
}

/// Numbers of the queries and of the keys, where they are given; the keys' are the queries' unless they are given too.
fn pair(inputs: &Inputs, queries: usize, keys: usize, name: &str) -> Result<Vec<usize>, Stop> {
    let (of_queries, of_keys) = (inputs.optional(queries), inputs.optional(keys));
    let Some(of_queries) = of_queries else {
        return match of_keys {
            None => Ok(Vec::new()),
            Some(_) => Err(inputs.outside(
                keys,
                format!("`key_{name}` needs `{name}`"),
                "compared with nothing",
                &format!("give the queries' too, as in `{name}: {name}`"),
            )),
        };
    };
    inputs.need_rank(queries, 2, "[B, T]")?;
    same(inputs, 0, queries, &[0, 1], "numbers of the queries are `[B, T]`")?;
    match of_keys {
        Some(of_keys) => {
            inputs.need_rank(keys, 2, "[B, S]")?;
            same(inputs, 1, keys, &[0, 1], "numbers of the keys are `[B, S]`")?;
            Ok(vec![of_queries.node, of_keys.node])
        }
        None => {
            let rule = "keys of another length than the queries need numbers of their own";
            same(inputs, 0, 1, &[1], rule)?;
            Ok(vec![of_queries.node; 2])
        }
    }
}

/// The query heads must be a multiple of the key heads.
fn heads_divide(inputs: &Inputs) -> Result<(), Stop> {
    let (q, k) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let (Some(heads), Some(groups)) = (q.shape[2].as_constant(), k.shape[2].as_constant()) else {
        return Ok(());
    };
    if groups != 0 && heads.is_multiple_of(groups) {
        return Ok(());
    }
    let near: Vec<String> = nearest_divisors(heads, groups).iter().map(u64::to_string).collect();
    Err(Diagnostic::error(
        HEADS_DO_NOT_DIVIDE,
        format!("{heads} query heads cannot share {groups} key and value heads evenly"),
    )
    .label(inputs.span(0), format!("{heads} heads"))
    .label(inputs.span(1), format!("{groups} heads"))
    .help(format!("counts that divide {heads}: {}", near.join(", ")))
    .into())
}

/// Arguments `a` and `b` must agree in the sizes of `axes`.
fn same(inputs: &Inputs, a: usize, b: usize, axes: &[usize], rule: &str) -> Result<(), Stop> {
    let operand = |index| -> Result<Operand<'_>, Stop> {
        Ok(Operand { tensor: inputs.tensor(index)?, span: inputs.span(index) })
    };
    let (left, right) = (operand(a)?, operand(b)?);
    for &axis in axes {
        let (size, other) = (&left.tensor.shape[axis], &right.tensor.shape[axis]);
        if size != other {
            let help = format!("dimension {axis} is {size} in one and {other} in the other");
            return Err(mismatch(left, right, rule, help).into());
        }
    }
    Ok(())
}
