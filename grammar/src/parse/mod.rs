//! Text to [`Tree`]: a light scan, then the pest grammar item by item, then the tree.
//!
//! Each top-level item is parsed on its own, so one run reports a mistake in every item.

mod delimiters;
mod depth;
mod expressions;
mod foreign;
mod items;
pub(crate) mod lex;
mod literal;
mod parts;
mod slips;
mod split;
mod statements;
mod unexpected;

use pest::Parser as _;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::tree::{Item, Tree};
use lex::{Mistake, Token, TokenKind};
use parts::Builder;
use split::Chunk;

#[derive(pest_derive::Parser)]
#[grammar = "parse/recipe.pest"]
struct RecipeParser;

/// The largest text that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// Mistakes reported in one go; more would not be read.
const MAX_DIAGNOSTICS: usize = 100;

/// Parses a recipe.
///
/// # Errors
/// Every syntax mistake found: at most one for each top-level item (or one for each wrong string, number or
/// character in it), in source order, a hundred at most.
pub fn parse(source: &Source) -> Result<Tree, Diagnostics> {
    check_size(source)?;
    let lexed = lex::lex(source);
    let tokens: Vec<Token> = lexed.tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut mistakes = lexed.mistakes.into_iter().peekable();
    let mut items = Vec::new();
    let mut diagnostics = Vec::new();
    let mut recovering = false;
    let mut chunks = split::split(source, &tokens).into_iter().peekable();
    while let Some(chunk) = chunks.next() {
        if diagnostics.len() >= MAX_DIAGNOSTICS {
            break;
        }
        let before = diagnostics.len();
        let end = chunks.peek().map_or(usize::MAX, Chunk::start);
        while let Some(Mistake { diagnostic, .. }) = mistakes.next_if(|next| next.start < end) {
            diagnostics.push(diagnostic);
        }
        if diagnostics.len() > before {
            recovering = true;
        } else if chunk.begins_like_item || !recovering {
            match parse_item(source, chunk) {
                Ok(item) => items.push(item),
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
            recovering = diagnostics.len() > before;
        }
    }
    diagnostics.extend(mistakes.map(|mistake| mistake.diagnostic));
    if diagnostics.is_empty() {
        Ok(Tree { source: source.clone(), items })
    } else {
        diagnostics.truncate(MAX_DIAGNOSTICS);
        Err(diagnostics)
    }
}

fn check_size(source: &Source) -> Result<(), Diagnostics> {
    let size = source.text().len();
    if size <= MAX_SOURCE_BYTES {
        return Ok(());
    }
    let message = format!("a recipe may be {MAX_SOURCE_BYTES} bytes long, this one has {size}");
    Err(vec![
        Diagnostic::error(codes::SOURCE_TOO_LARGE, message)
            .help(format!("is `{}` a recipe? Data belongs into files that a recipe names", source.name())),
    ])
}

/// Parses the one item that a chunk must hold.
fn parse_item(source: &Source, chunk: Chunk) -> Result<Item, Box<Diagnostic>> {
    let wrong = depth::check(source, chunk).or_else(|| delimiters::check(source, chunk));
    if let Some(diagnostic) = wrong {
        return Err(Box::new(diagnostic));
    }
    let start = chunk.start();
    let text = &source.text()[start..chunk.end()];
    let pairs = RecipeParser::parse(Rule::single_item, text)
        .map_err(|error| Box::new(unexpected::explain(source, chunk, &error)))?;
    Builder { source, offset: start }.item(pairs)
}
