//! Top-level items: pairs to tree nodes.

use pest::iterators::{Pair, Pairs};

use super::Rule;
use super::parts::{Builder, Built, Parts};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tree::{
    Declaration, Expr, Field, Function, FunctionKind, Import, Item, Let, Param, Parameter, ParameterKind,
};

impl Builder<'_> {
    /// The item in the result of `single_item`.
    pub(crate) fn item(&self, mut pairs: Pairs<Rule>) -> Built<Item> {
        let item = pairs.next().expect("recipe.pest: single_item holds an item");
        let pair = Parts::of(item).required();
        match pair.as_rule() {
            Rule::import => self.import(pair),
            Rule::let_item => self.let_item(pair),
            Rule::param => self.param(pair),
            Rule::function => self.function(pair),
            _ => self.declaration(pair),
        }
    }

    fn import(&self, pair: Pair<Rule>) -> Built<Item> {
        let span = self.span(&pair);
        let path = Parts::of(pair).required();
        Ok(Item::Import(Import { path: self.string(&path)?, path_span: self.span(&path), span }))
    }

    fn let_item(&self, pair: Pair<Rule>) -> Built<Item> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.required());
        Ok(Item::Let(Let { name, value: self.expression(parts.required())?, span }))
    }

    fn param(&self, pair: Pair<Rule>) -> Built<Item> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.required());
        let kind = self.name(&parts.required());
        Ok(Item::Param(Param { name, kind, default: self.default(&mut parts)?, span }))
    }

    fn default(&self, parts: &mut Parts) -> Built<Option<Expr>> {
        parts.optional(Rule::expression).map(|value| self.expression(value)).transpose()
    }

    fn declaration(&self, pair: Pair<Rule>) -> Built<Item> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let kind = self.name(&parts.required());
        let name = self.name(&parts.required());
        let from = parts.optional(Rule::base).map(|base| self.name(&Parts::of(base).required()));
        let fields = parts.map(|field| self.field(field)).collect::<Built<_>>()?;
        Ok(Item::Declaration(Declaration { kind, name, from, fields, span }))
    }

    fn field(&self, pair: Pair<Rule>) -> Built<Field> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.required());
        Ok(Field { name, value: self.expression(parts.required())?, span })
    }

    fn function(&self, pair: Pair<Rule>) -> Built<Item> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let kind = match parts.required().as_str() {
            "model" => FunctionKind::Model,
            _ => FunctionKind::Block,
        };
        let name = self.name(&parts.required());
        let parameters =
            Parts::of(parts.required()).map(|parameter| self.parameter(parameter)).collect::<Built<_>>()?;
        let body = self.function_body(parts.required())?;
        Ok(Item::Function(Function { kind, name, parameters, body, span }))
    }

    fn parameter(&self, pair: Pair<Rule>) -> Built<Parameter> {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.name(&parts.required());
        let kind = parts.required();
        let kind = match kind.as_rule() {
            Rule::tensor => self.tensor(kind)?,
            _ => ParameterKind::Constant(self.name(&kind)),
        };
        Ok(Parameter { name, kind, default: self.default(&mut parts)?, span })
    }

    fn tensor(&self, pair: Pair<Rule>) -> Built<ParameterKind> {
        let span = self.span(&pair);
        let mut leading = false;
        let mut dims = Vec::new();
        for (index, part) in Parts::of(pair).enumerate() {
            match part.as_rule() {
                Rule::leading if index == 0 => leading = true,
                Rule::leading => return Err(Box::new(self.late_ellipsis(&part))),
                _ => dims.push(self.expression(part)?),
            }
        }
        Ok(ParameterKind::Tensor { leading, dims, span })
    }

    /// `...` after the first place of a shape.
    fn late_ellipsis(&self, pair: &Pair<Rule>) -> Diagnostic {
        Diagnostic::error(codes::UNEXPECTED_TOKEN, "`...` can only be the first entry of a shape")
            .label(&self.span(pair), "this `...`")
            .help("`[..., D]` takes any number of leading dimensions")
    }
}
