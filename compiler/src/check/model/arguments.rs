//! Which argument of a call goes to which parameter.

use llmc_grammar::codes::{DUPLICATE_ARGUMENT, MISSING_ARGUMENT, TOO_MANY_ARGUMENTS, UNKNOWN_ARGUMENT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Argument, Name};

use super::super::nearest::suggestion;
use super::elaborator::Elaborator;
use super::tensor::Bound;

/// An evaluated argument.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    /// `name:` if given by name.
    pub name: Option<Name>,
    pub bound: Bound,
    pub span: Span,
}

impl Elaborator<'_, '_> {
    /// Every argument's value, in the caller's scope.
    pub fn evaluate_arguments(&mut self, arguments: &[Argument]) -> Vec<Evaluated> {
        arguments
            .iter()
            .map(|argument| Evaluated {
                name: argument.name.clone(),
                bound: self.expression(&argument.value),
                span: argument.value.span.clone(),
            })
            .collect()
    }

    /// One argument for each of `parameters` (none where the call gives none), or nothing if an argument fits nowhere.
    pub fn arrange(
        &mut self,
        function: &str,
        parameters: &[&str],
        arguments: Vec<Evaluated>,
    ) -> Option<Vec<Option<Evaluated>>> {
        let mut arranged: Vec<Option<Evaluated>> = parameters.iter().map(|_| None).collect();
        let mut fits = true;
        let mut position = 0;
        let mut surplus = false;
        for argument in arguments {
            let slot = match &argument.name {
                Some(name) => parameters.iter().position(|known| *known == name.text),
                None => {
                    position += 1;
                    Some(position - 1).filter(|slot| *slot < parameters.len())
                }
            };
            let mistake = match slot {
                None if argument.name.is_none() && surplus => None,
                None => {
                    surplus |= argument.name.is_none();
                    Some(fits_nowhere(function, parameters, &argument))
                }
                Some(slot) => match &arranged[slot] {
                    Some(earlier) => Some(given_twice(parameters[slot], earlier, &argument)),
                    None => {
                        arranged[slot] = Some(argument);
                        None
                    }
                },
            };
            if let Some(mistake) = mistake {
                self.report(mistake);
                fits = false;
            }
        }
        fits.then_some(arranged)
    }
}

fn fits_nowhere(function: &str, parameters: &[&str], argument: &Evaluated) -> Diagnostic {
    match &argument.name {
        Some(name) => {
            let diagnostic =
                Diagnostic::error(UNKNOWN_ARGUMENT, format!("`{function}` has no parameter `{}`", name.text))
                    .label(&name.span, "not a parameter");
            match suggestion(&name.text, parameters) {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            }
        }
        None => Diagnostic::error(TOO_MANY_ARGUMENTS, format!("`{function}` takes {}", count(parameters.len())))
            .label(&argument.span, "one too many")
            .help(match parameters {
                [] => "it takes none".to_owned(),
                _ => format!("in order: {}", listed(parameters)),
            }),
    }
}

fn given_twice(parameter: &str, earlier: &Evaluated, again: &Evaluated) -> Diagnostic {
    Diagnostic::error(DUPLICATE_ARGUMENT, format!("`{parameter}` is given twice"))
        .label(&again.span, "given again")
        .label(&earlier.span, "given first")
        .help("remove one of the two")
}

/// `E0514`: a parameter without default is not given.
pub(super) fn missing(function: &str, parameter: &str, takes: &str, call: &Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(MISSING_ARGUMENT, format!("`{function}` needs `{parameter}`"))
            .label(call, format!("`{parameter}` is not given"))
            .help(format!("add `{parameter}: ...`, {takes}")),
    )
}

fn count(parameters: usize) -> String {
    match parameters {
        1 => "1 argument".to_owned(),
        several => format!("{several} arguments"),
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
