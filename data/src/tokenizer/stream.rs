//! Text as it is generated, one token at a time.

use llmc_grammar::diagnostic::Diagnostic;

use super::Tokenizer;

/// After so many tokens without a whole character at the end, the bytes are taken as broken for good.
const PATIENCE: usize = 8;

/// Turns ids into text piece by piece; a character is printed only when its last byte is there.
#[derive(Debug)]
pub struct StreamingDecoder<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    /// The tokens of the last whole piece, which decoders look back at, and those after it.
    ids: Vec<u32>,
    /// How many of `ids` belong to the last whole piece.
    context: usize,
    /// How many bytes of the text of `ids` are printed.
    printed: usize,
}

impl<'a> StreamingDecoder<'a> {
    /// A decoder that starts with nothing; special tokens are left out on request.
    pub fn new(tokenizer: &'a Tokenizer, skip_special: bool) -> Self {
        StreamingDecoder { tokenizer, skip_special, ids: Vec::new(), context: 0, printed: 0 }
    }

    /// Takes one id and returns the text that is now certain, perhaps none.
    pub fn push(&mut self, id: u32) -> Result<String, Diagnostic> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        if whole.len() == text.len() {
            let piece = self.print(&text);
            self.ids.drain(..self.context);
            self.context = self.ids.len();
            self.printed = self.tokenizer.decode(&self.ids, self.skip_special)?.len();
            return Ok(piece);
        }
        if self.ids.len() - self.context < PATIENCE {
            return Ok(self.print(whole));
        }
        // Only the last replacement character can still become a whole one.
        let broken = text.strip_suffix(char::REPLACEMENT_CHARACTER).unwrap_or(&text);
        Ok(self.print(broken))
    }

    /// The text still held back: the bytes of a character that never became whole, as U+FFFD.
    pub fn finish(mut self) -> Result<String, Diagnostic> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        Ok(self.print(&text))
    }

    /// What of `text`, the text of `ids` or a part from its start, is not yet printed.
    fn print(&mut self, text: &str) -> String {
        let piece = text.get(self.printed..).unwrap_or("").to_owned();
        self.printed = self.printed.max(text.len());
        piece
    }
}
