//! Files of ranks as tiktoken reads them: each line is a token in base64, a space and its rank, which is its id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use llmc_compiler::plan::TiktokenEncoding;
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::file::{Splitting, byte_bpe_json};

/// `cl100k_base`'s pattern. tiktoken writes `\s++$` for `\s+\z` and never gives back what it has taken, which changes
/// no match; not all libraries read these as it does.
const CL100K: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s"
);

/// `o200k_base`'s pattern.
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// A file of ranks.
#[derive(Debug)]
pub struct Ranks {
    tokens: BTreeMap<u64, Vec<u8>>,
}

impl Ranks {
    /// Reads a file. Fails where it is missing, a line is no token and rank, one of them comes twice, or a byte is no
    /// token.
    pub fn read(path: &Path) -> Result<Ranks, Diagnostic> {
        let unusable = |reason: String| {
            let message = format!("`{}` is no file of ranks: {reason}", path.display());
            Diagnostic::error(codes::TOKENIZER_FILE, message)
                .help("each line of a `.tiktoken` file is a token in base64, a space and its rank")
        };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let mut tokens = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.is_empty()) {
            let parts =
                line.split_once(' ').and_then(|(token, rank)| Some((base64(token)?, rank.parse::<u32>().ok()?)));
            let Some((token, rank)) = parts.filter(|(token, _)| !token.is_empty()) else {
                return Err(unusable(format!("line {number} is no token with a rank")));
            };
            if !seen.insert(token.clone()) || tokens.insert(u64::from(rank), token).is_some() {
                return Err(unusable(format!("line {number} has a token or a rank that was there before")));
            }
        }
        match (0..=255u8).find(|byte| !seen.contains(&vec![*byte])) {
            Some(byte) => Err(unusable(format!("the byte {byte} is no token"))),
            None => Ok(Ranks { tokens }),
        }
    }

    /// One more than the largest rank.
    pub fn ids(&self) -> u64 {
        self.tokens.keys().next_back().map_or(0, |largest| largest + 1)
    }

    /// The special tokens of an encoding with their ids, or those named, after the ranks.
    pub fn special(&self, encoding: TiktokenEncoding, named: Option<&[String]>) -> Vec<(u64, String)> {
        match named {
            Some(names) => (self.ids()..).zip(names.iter().cloned()).collect(),
            None => encoding.special().iter().map(|(name, id)| (*id, (*name).to_owned())).collect(),
        }
    }

    /// The `tokenizer.json` that gives the same ids.
    ///
    /// tiktoken merges any two neighbours that together are a token, the token of the lowest rank first. So every way
    /// to cut a token into two becomes a merge.
    pub fn tokenizer_json(&self, encoding: TiktokenEncoding, special: &[(u64, String)]) -> String {
        let known: BTreeMap<&[u8], u64> = self.tokens.iter().map(|(rank, token)| (token.as_slice(), *rank)).collect();
        let cuts = |token: &Vec<u8>| {
            let cuts = (1..token.len()).map(|middle| token.split_at(middle));
            let both = cuts.filter_map(|(left, right)| Some(((*known.get(left)?, *known.get(right)?), left, right)));
            let mut both: Vec<_> = both.map(|(ranks, left, right)| (ranks, left.to_vec(), right.to_vec())).collect();
            both.sort();
            both.into_iter().map(|(_, left, right)| (left, right)).collect::<Vec<_>>()
        };
        let splitting = match encoding {
            TiktokenEncoding::R50kBase | TiktokenEncoding::P50kBase => Splitting::Gpt2,
            TiktokenEncoding::Cl100kBase => Splitting::Pattern(CL100K),
            TiktokenEncoding::O200kBase => Splitting::Pattern(O200K),
        };
        // The library numbers special tokens from the count of the others on, unless they are among those: an
        // encoding's own, which are never words, are among them where there are gaps.
        let follow = self.tokens.len() as u64 == self.ids()
            && special.iter().map(|(id, _)| *id).eq((self.ids()..).take(special.len()));
        let among = special.iter().filter(|_| !follow).map(|(id, name)| (*id, name.clone().into_bytes()));
        let tokens = self.tokens.iter().map(|(rank, token)| (*rank, token.clone())).chain(among);
        byte_bpe_json(tokens, self.tokens.values().flat_map(cuts), special, splitting)
    }
}

/// The bytes of a text in base64 (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_standard_has_it() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64("/+8=").unwrap(), [0xff, 0xef]);
        for wrong in ["Z", "Zg", "Zg=", "Zm9v!===", "Zh==", "A===", "===="] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn files_that_are_no_ranks_are_diagnosed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tiktoken");
        assert_eq!(Ranks::read(&path).unwrap_err().code, codes::TOKENIZER_FILE);
        for (text, reason) in [
            ("", "the byte 0 is no token"),
            ("AA== 0\nAQ==\n", "line 2 is no token"),
            ("AA== 0\nAA== 1\n", "line 2 has a token"),
            ("AA== 0\nAQ== 0\n", "line 2 has a token"),
            ("AA== 4294967296\n", "line 1 is no token"),
            ("? 0\n", "line 1 is no token"),
            (" 0\n", "line 1 is no token"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Ranks::read(&path).unwrap_err();
            assert!(error.message.contains(reason), "{text:?}: {}", error.message);
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(Ranks::read(&path).unwrap_err().code, codes::TOKENIZER_FILE);
    }
}
