//! Reads declarations and calls against their rows of the table.

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, Field as Written, Name};

use super::evaluate::evaluate;
use super::formula;
use super::mismatch;
use super::names::{Names, field_twice};
use super::nearest::nearest;
use super::place::{Place, unknown_choice, unnamed};
use super::record::{Entry, Read, Record};
use super::table::{self, Field, Form, Presence, Type};
use super::value::{Call, CallArgument, Spanned, Value};

/// Reads values of a recipe in its scope.
pub struct Reader<'a, 't> {
    /// The recipe's names.
    pub names: &'a Names<'t>,
    /// Values of `let`s, `param`s and members (`bpe.vocab`).
    pub constants: &'a BTreeMap<String, Value>,
    /// Where mistakes go.
    pub diagnostics: &'a mut Diagnostics,
}

impl<'t> Reader<'_, 't> {
    /// Reads a declaration's fields. `heading` is its name; with `complete`, missing fields are mistakes.
    pub fn declaration(
        &mut self,
        form: &'static Form,
        heading: &Name,
        fields: &[&'t Written],
        complete: bool,
    ) -> Record {
        let mut entries = BTreeMap::new();
        let mut first: BTreeMap<&str, &Span> = BTreeMap::new();
        for field in fields {
            if let Some(span) = first.insert(&field.name.text, &field.name.span) {
                self.diagnostics.push(field_twice(&field.name.text, span, &field.name.span));
                continue;
            }
            match form.field(&field.name.text) {
                Some(row) => {
                    let read = self.field(row, &field.value);
                    entries.insert(row.name, written(read, &field.value.span));
                }
                None => self.unknown(form, &field.name, Place::Declaration, &mut entries),
            }
        }
        let mut record = Record { form, span: heading.span.clone(), entries };
        let subject = format!("{} `{}`", form.name, heading.text);
        self.complete(&mut record, complete.then_some(subject.as_str()), Place::Declaration);
        record
    }

    /// Reads the arguments of a call.
    pub fn call(&mut self, form: &'static Form, function: &Span, arguments: &[CallArgument]) -> Record {
        let mut entries: BTreeMap<&'static str, Entry> = BTreeMap::new();
        for (index, argument) in arguments.iter().enumerate() {
            let span = argument.name.as_ref().map_or(&argument.value.span, |name| &name.span);
            let row = match &argument.name {
                Some(name) => match form.field(&name.text) {
                    Some(row) => row,
                    None => {
                        self.unknown(form, name, Place::Call, &mut entries);
                        continue;
                    }
                },
                None => match form.fields.get(index).filter(|_| index < form.positional) {
                    Some(row) => row,
                    None => {
                        self.diagnostics.push(unnamed(form, argument));
                        let named: Vec<&str> =
                            arguments.iter().filter_map(|other| Some(other.name.as_ref()?.text.as_str())).collect();
                        for row in form.fields.iter().filter(|row| !named.contains(&row.name)) {
                            entries.entry(row.name).or_insert_with(|| unknown_entry(span));
                        }
                        continue;
                    }
                },
            };
            match entries.get(row.name) {
                Some(first) if first.written => {
                    self.diagnostics.push(field_twice(row.name, &first.span, span));
                }
                _ => {
                    let read = self.value(row, &row.ty, &argument.value, Place::Call);
                    entries.insert(row.name, written(read, &argument.value.span));
                }
            }
        }
        let mut record = Record { form, span: function.clone(), entries };
        self.complete(&mut record, Some(&format!("`{}`", form.name)), Place::Call);
        record
    }

    /// Fills in defaults; reports what is missing where `subject` is given.
    fn complete(&mut self, record: &mut Record, subject: Option<&str>, place: Place) {
        let mut missing: Vec<&Field> = Vec::new();
        for row in record.form.fields {
            if record.entries.contains_key(row.name) {
                continue;
            }
            let read = match (row.default(), row.presence) {
                (Some(text), _) => self.default(row, text, place),
                (None, Presence::Required) => {
                    missing.push(row);
                    Read::Unknown
                }
                (None, _) => Read::None,
            };
            let entry = Entry { read, span: record.span.clone(), written: false };
            record.entries.insert(row.name, entry);
        }
        if let (Some(subject), false) = (subject, missing.is_empty()) {
            self.diagnostics.push(place.lacking(subject, &record.span, &missing));
        }
    }

    fn default(&mut self, row: &'static Field, text: &'static str, place: Place) -> Read {
        match table::value_of(text) {
            Some(expr) => {
                let value = evaluate(&expr, &BTreeMap::new(), self.diagnostics);
                self.value(row, &row.ty, &value, place)
            }
            None => Read::Unknown,
        }
    }

    /// An unknown field. What it was probably meant to be counts as given, so that it is not reported as missing too.
    fn unknown(&mut self, form: &'static Form, name: &Name, place: Place, entries: &mut BTreeMap<&'static str, Entry>) {
        let known = form.fields.iter().map(|row| row.name);
        let near = nearest(&name.text, known);
        let other = table::meaning(form.name, &name.text);
        self.diagnostics.push(place.unknown(form, name, near, other));
        for row in form.fields {
            let meant = match other {
                Some(meaning) => meaning.contains(&format!("`{}", row.name)),
                None => near == Some(row.name),
            };
            if meant {
                entries.entry(row.name).or_insert_with(|| unknown_entry(&name.span));
            }
        }
    }

    /// A declaration's field: a model stays as it is written, everything else is evaluated.
    fn field(&mut self, row: &'static Field, expr: &'t Expr) -> Read {
        if matches!(row.ty, Type::Model) {
            return self.model(self.names.follow(expr));
        }
        let value = evaluate(expr, self.constants, self.diagnostics);
        self.value(row, &row.ty, &value, Place::Declaration)
    }

    fn value(&mut self, row: &'static Field, ty: &'static Type, value: &Spanned, place: Place) -> Read {
        match &value.value {
            Value::Unknown => return Read::Unknown,
            Value::None if row.takes_none() => return Read::None,
            _ => {}
        }
        let read = match ty {
            Type::Text => mismatch::text(row, value),
            Type::Bool => mismatch::bool(row, value),
            Type::Integer(range) => mismatch::integer(row, *range, value),
            Type::Number(range) => mismatch::number(row, *range, value).map(Read::Number),
            Type::Pair(range) => mismatch::pair(row, *range, value),
            Type::Quantity(dimensions, range) => mismatch::quantity(row, dimensions, *range, value),
            Type::Declaration(kinds) => mismatch::declaration(row, kinds, self.names, value),
            Type::Model => Err(Box::new(mismatch::wrong(row, value))),
            Type::Call(forms) => return self.choice(row, forms, value, place),
            Type::TextOrCall(forms) => match &value.value {
                Value::Text(text) => Ok(Read::Text(text.clone())),
                _ => return self.choice(row, forms, value, place),
            },
            Type::TextOrDeclaration(kind) => match &value.value {
                Value::Text(text) => Ok(Read::Text(text.clone())),
                _ => mismatch::declaration(row, std::slice::from_ref(kind), self.names, value),
            },
            Type::Language => mismatch::language(row, value),
            Type::Formula(_) => match &value.value {
                Value::Formula(expr) => return self.formula(expr),
                _ => Err(Box::new(mismatch::wrong(row, value))),
            },
            Type::OneOrMore(inner) => return self.several(row, inner, value, place),
        };
        read.unwrap_or_else(|mistake| {
            let known = self.resolve_mistake(value, *mistake, row, place);
            self.diagnostics.push(known);
            Read::Unknown
        })
    }

    /// A bare name where a constant is needed is a misspelt name rather than a value of the wrong type.
    fn resolve_mistake(&self, value: &Spanned, mistake: Diagnostic, row: &Field, place: Place) -> Diagnostic {
        match &value.value {
            Value::Name(name)
                if self.names.find(name).is_none()
                    && !matches!(
                        row.ty,
                        Type::Declaration(_) | Type::OneOrMore(Type::TextOrDeclaration(_) | Type::Language)
                    ) =>
            {
                mismatch::unknown_name(name, &value.span, self.constants, row, &place.example(row))
            }
            _ if mistake.help.is_none() => mistake.help(format!("for example `{}`", place.example(row))),
            _ => mistake,
        }
    }

    fn several(&mut self, row: &'static Field, inner: &'static Type, value: &Spanned, place: Place) -> Read {
        match &value.value {
            Value::List(items) if items.is_empty() => {
                let mistake = mismatch::wrong_with(row, &value.span, "an empty list", "nothing in it");
                self.diagnostics.push(mistake);
                Read::Unknown
            }
            Value::List(items) => {
                Read::List(items.iter().map(|item| (self.value(row, inner, item, place), item.span.clone())).collect())
            }
            _ => Read::List(vec![(self.value(row, inner, value, place), value.span.clone())]),
        }
    }

    fn choice(&mut self, row: &'static Field, forms: &'static [&'static Form], value: &Spanned, place: Place) -> Read {
        let none: [CallArgument; 0] = [];
        let (name, span, arguments) = match &value.value {
            Value::Call(Call { function, arguments }) => (&function.text, &function.span, arguments.as_slice()),
            Value::Name(name) => (name, &value.span, none.as_slice()),
            _ => {
                let mistake = mismatch::wrong(row, value);
                self.diagnostics.push(mistake.help(format!("for example `{}`", place.example(row))));
                return Read::Unknown;
            }
        };
        match forms.iter().find(|form| form.name == name) {
            Some(form) => Read::Call(self.call(form, span, arguments)),
            None => {
                self.diagnostics.push(unknown_choice(row, forms, name, span));
                Read::Unknown
            }
        }
    }

    fn formula(&mut self, expr: &Expr) -> Read {
        match formula::read(expr, self.constants) {
            Ok(formula) => Read::Formula(formula),
            Err(mistakes) => {
                mistakes.into_iter().for_each(|mistake| self.diagnostics.push(mistake));
                Read::Unknown
            }
        }
    }

    fn model(&mut self, expr: &Expr) -> Read {
        match mismatch::model(self.names, expr) {
            Ok(()) => Read::Model(expr.clone()),
            Err(mistake) => {
                self.diagnostics.push(*mistake);
                Read::Unknown
            }
        }
    }
}

fn written(read: Read, span: &Span) -> Entry {
    Entry { read, span: span.clone(), written: true }
}

fn unknown_entry(span: &Span) -> Entry {
    Entry { read: Read::Unknown, span: span.clone(), written: false }
}
