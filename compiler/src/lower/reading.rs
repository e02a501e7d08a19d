//! How a model reads a text, which says how the text is scored and whether it can be gone on with.

use crate::plan::{ModelNode, ModelOp, ModelPlan, Objective, OrderRule, Origin, StagePlan};

/// What the logits of a token tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The next token, from those up to this one.
    Forward,
    /// A hidden token, from those on both sides.
    BothSides,
    /// The token itself, from those before it in an order.
    Ordered,
    /// The next token, from those up to this one and from another text.
    Translation,
}

impl Reading {
    /// How the model of a stage reads. What follows an order reads as it was trained.
    pub fn of(stage: &StagePlan) -> Reading {
        let masked = stage.objective.kind.parts().iter().all(|part| matches!(part, Objective::MaskedLm(_)));
        match Reading::of_model(&stage.model) {
            Reading::Forward if masked && follows(&stage.model, OrderRule::NotLater) => Reading::BothSides,
            reading => reading,
        }
    }

    /// How a model reads of which no training is known.
    pub fn of_model(model: &ModelPlan) -> Reading {
        match two_sided(model) {
            _ if model.takes("source") => Reading::Translation,
            _ if follows(model, OrderRule::Earlier) => Reading::Ordered,
            Some(_) => Reading::BothSides,
            None => Reading::Forward,
        }
    }
}

/// Whether attention of a model follows an order by this rule.
fn follows(model: &ModelPlan, rule: OrderRule) -> bool {
    model.nodes.iter().any(|node| matches!(&node.op, ModelOp::Attend(settings) if settings.order == Some(rule)))
}

/// Where a token sees what stands behind it, if it does.
fn two_sided(model: &ModelPlan) -> Option<&Origin> {
    let nodes = model.nodes.iter();
    let sees = |node: &&ModelNode| matches!(&node.op, ModelOp::Attend(settings) if !settings.causal && settings.order.is_none());
    nodes.filter(sees).map(|node| &node.origin).next()
}

/// Whether a model can write text token by token.
///
/// # Errors
/// A sentence that says why not, and what the model can do instead.
pub(super) fn decodable(stage: &StagePlan) -> Result<(), String> {
    let name = &stage.model.name;
    let place = |origin: &Origin| format!("{} {}", origin.path, origin.place);
    match Reading::of(stage) {
        Reading::Forward => {}
        Reading::Translation => {
            return Err(format!("`{name}` has an encoder, which reads the whole text first"));
        }
        Reading::Ordered => {
            return Err(format!(
                "`{name}` predicts each token from a place of its own: it scores texts (`llmc score`), but does not go on with them"
            ));
        }
        Reading::BothSides => {
            let place = two_sided(&stage.model).map_or_else(String::new, |origin| format!(" ({})", place(origin)));
            return Err(format!(
                "`{name}` sees both sides of a token{place}: it cannot go on with a text, only fill in what is hidden; \
                 `llmc score` hides each token of a text in turn and says how likely it is"
            ));
        }
    }
    let biased = |node: &&ModelNode| matches!(&node.op, ModelOp::Attend(settings) if settings.bias);
    match stage.model.nodes.iter().find(biased) {
        None => Ok(()),
        Some(ModelNode { origin, .. }) => {
            Err(format!("the scores of `{name}` need the whole row ({}): it cannot write text yet", place(origin)))
        }
    }
}
