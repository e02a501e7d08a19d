//! The rules that quality filters are made of: one closed list, from which the language, the reference and the
//! reports take their names.

use serde::{Serialize, Serializer};

/// A rule and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RuleLimit {
    /// What is measured.
    pub rule: Rule,
    /// The smallest or largest value that is let through; shares are of 1.
    pub limit: f64,
}

/// What a rule's limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleUnit {
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// A part of a whole.
    Share,
}

macro_rules! rules {
    ($($rule:ident $name:literal $unit:ident $example:literal $doc:literal;)*) => {
        /// What a quality filter can ask of a document. Names that start with `min_` bound it from below, with `max_` from above.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $doc] $rule,)*
        }

        impl Rule {
            /// Every rule, in the order in which a filter asks them.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// As written in a recipe and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name,)* }
            }

            /// What its limit counts.
            pub const fn unit(self) -> RuleUnit {
                match self { $(Rule::$rule => RuleUnit::$unit,)* }
            }

            /// One line of what it asks.
            pub const fn doc(self) -> &'static str {
                match self { $(Rule::$rule => $doc,)* }
            }

            /// A limit in recipe text.
            pub const fn example(self) -> &'static str {
                match self { $(Rule::$rule => $example,)* }
            }
        }
    };
}

rules! {
    MinBytes "min_bytes" Count "200" "Fewest bytes of text.";
    MaxBytes "max_bytes" Count "1_000_000" "Most bytes of text.";
    MinWords "min_words" Count "50" "Fewest words.";
    MaxWords "max_words" Count "100_000" "Most words.";
    MinMeanWordLength "min_mean_word_length" Number "3" "Shortest mean word, in characters.";
    MaxMeanWordLength "max_mean_word_length" Number "10" "Longest mean word, in characters.";
    MaxHashesPerWord "max_hashes_per_word" Share "10%" "Most `#` for each word.";
    MaxEllipsesPerWord "max_ellipses_per_word" Share "10%" "Most ellipses (`...` or `…`) for each word.";
    MaxBulletLines "max_bullet_lines" Share "90%" "Largest share of lines that begin with a bullet (`-`, `*`, `•` and the like).";
    MaxEllipsisLines "max_ellipsis_lines" Share "30%" "Largest share of lines that end with an ellipsis.";
    MinAlphabeticWords "min_alphabetic_words" Share "80%" "Smallest share of words that hold a letter.";
    MinStopWords "min_stop_words" Count "2" "Fewest different words of: the, be, to, of, and, that, have, with.";
    MinSentences "min_sentences" Count "3" "Fewest sentences.";
    MaxLoremIpsum "max_lorem_ipsum" Count "0" "Most occurrences of `lorem ipsum`.";
    MaxCurlyBrackets "max_curly_brackets" Count "0" "Most `{`: they tell programs and templates from prose.";
    MinPunctuatedLines "min_punctuated_lines" Share "12%" "Smallest share of lines that end with terminal punctuation.";
    MaxShortLines "max_short_lines" Share "67%" "Largest share of lines shorter than `short_line` characters.";
    MaxLineLength "max_line_length" Count "1000" "Longest line, in characters.";
    MaxMeanLineLength "max_mean_line_length" Number "100" "Longest mean line, in characters.";
    MinAlphanumeric "min_alphanumeric" Share "25%" "Smallest share of characters that are letters or digits.";
    MaxDuplicateLines "max_duplicate_lines" Share "30%" "Largest share of lines that repeat an earlier line.";
    MaxDuplicateParagraphs "max_duplicate_paragraphs" Share "30%" "Largest share of paragraphs that repeat an earlier one.";
    MaxDuplicateLineCharacters "max_duplicate_line_characters" Share "20%" "Largest share of characters in lines that repeat an earlier line.";
    MaxDuplicateParagraphCharacters "max_duplicate_paragraph_characters" Share "20%" "Largest share of characters in paragraphs that repeat an earlier one.";
    MaxTop2Gram "max_top_2_gram" Share "20%" "Largest share of characters in the most frequent pair of words.";
    MaxTop3Gram "max_top_3_gram" Share "18%" "Largest share of characters in the most frequent 3 words in a row.";
    MaxTop4Gram "max_top_4_gram" Share "16%" "Largest share of characters in the most frequent 4 words in a row.";
    MaxDuplicate5Grams "max_duplicate_5_grams" Share "15%" "Largest share of characters in runs of 5 words that occur more than once.";
    MaxDuplicate6Grams "max_duplicate_6_grams" Share "14%" "The same for 6 words.";
    MaxDuplicate7Grams "max_duplicate_7_grams" Share "13%" "The same for 7 words.";
    MaxDuplicate8Grams "max_duplicate_8_grams" Share "12%" "The same for 8 words.";
    MaxDuplicate9Grams "max_duplicate_9_grams" Share "11%" "The same for 9 words.";
    MaxDuplicate10Grams "max_duplicate_10_grams" Share "10%" "The same for 10 words.";
}

impl Rule {
    /// True if the limit is the smallest value let through, false if the largest.
    pub fn is_minimum(self) -> bool {
        self.name().starts_with("min_")
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
