//! What a weighted score is made of: one closed list, from which the language, the reference and the reports take
//! their names.

use serde::{Serialize, Serializer};

macro_rules! components {
    ($($component:ident $name:literal $doc:literal;)*) => {
        /// A property of a document, measured as a number from 0 to 1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Component {
            $(#[doc = $doc] $component,)*
        }

        impl Component {
            /// Every component.
            pub const ALL: &[Component] = &[$(Component::$component),*];

            /// As written in a recipe and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Component::$component => $name,)* }
            }

            /// What it measures, in one line.
            pub const fn doc(self) -> &'static str {
                match self { $(Component::$component => $doc,)* }
            }
        }
    };
}

components! {
    Grammar "grammar" "The mean of `stop_words` and `sentences`: how much the text reads as sentences of English prose.";
    Content "content" "The mean of `alphabetic`, `diversity` and `length`: how much is said.";
    Spam "spam" "1 - (1 - symbols)(1 - repetition)(1 - links)(1 - sales)(1 - capitals): high as soon as one of them is.";
    StopWords "stop_words" "Share of words that are English function words (of a list of 87: articles, pronouns, prepositions, forms of `be` and `have`), 1 from 30% on.";
    Sentences "sentences" "Share of words in well-formed sentences: 3 to 60 words that begin with no small letter and end with `.`, `!` or `?`. Blank lines end sentences too.";
    Alphabetic "alphabetic" "Share of words that are letters alone, with apostrophes and hyphens inside and punctuation around.";
    Diversity "diversity" "Different words as a share of all words, in lower case, in stretches of 50 words, averaged (mean segmental type-token ratio, Johnson 1944).";
    Length "length" "Words divided by 200, at most 1.";
    Symbols "symbols" "Share of characters other than letters, digits, white space and the punctuation of prose, 1 from 10% on.";
    Repetition "repetition" "Share of words in runs of 5 words that occurred before.";
    Links "links" "Web addresses for every 20 words, at most 1.";
    Sales "sales" "Phrases of advertising (`click here`, `buy now`, `free shipping` and the like) for every 50 words, at most 1.";
    Capitals "capitals" "Share of words of two letters and more in capitals alone, 1 from 50% on.";
    Quality "quality" "Probability of good text by the classifier given as `quality: train(good: ..., bad: ...)`.";
    Fluency "fluency" "Share of held-out documents of `fluency: train(on: ...)` whose perplexity under that model is no lower than this document's.";
    Language "language" "Confidence that the text is in one of the languages given as `language: [...]`.";
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
