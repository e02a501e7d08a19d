//! Pairs of terms for two groups.

use std::collections::HashMap;

use super::super::words::words;
use super::WrongLine;

/// What stands in place of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counterpart {
    /// Always this.
    Word(String),
    /// A possessive pronoun: one word before what is possessed, another one elsewhere.
    Pronoun {
        /// `his` for `her name`.
        before_noun: String,
        /// `him` for `saw her`.
        alone: String,
    },
}

/// The terms of two groups and the counterpart of each, by the hash of the term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// What the groups are called in reports.
    pub groups: [String; 2],
    /// The group (0 or 1) and counterpart of each term.
    pub terms: HashMap<u64, (usize, Counterpart)>,
}

/// English words of gender. Where a word stands twice, its first line counts.
const GENDER: &[(&str, &str)] = &[
    ("he", "she"),
    ("himself", "herself"),
    ("mr", "ms"),
    ("mr", "mrs"),
    ("sir", "madam"),
    ("man", "woman"),
    ("men", "women"),
    ("boy", "girl"),
    ("boys", "girls"),
    ("male", "female"),
    ("males", "females"),
    ("masculine", "feminine"),
    ("gentleman", "lady"),
    ("gentlemen", "ladies"),
    ("guy", "gal"),
    ("guys", "gals"),
    ("lad", "lass"),
    ("lads", "lasses"),
    ("father", "mother"),
    ("fathers", "mothers"),
    ("fatherhood", "motherhood"),
    ("fatherly", "motherly"),
    ("paternal", "maternal"),
    ("dad", "mom"),
    ("dads", "moms"),
    ("dad", "mum"),
    ("dads", "mums"),
    ("daddy", "mommy"),
    ("daddy", "mummy"),
    ("papa", "mama"),
    ("son", "daughter"),
    ("sons", "daughters"),
    ("brother", "sister"),
    ("brothers", "sisters"),
    ("brotherhood", "sisterhood"),
    ("uncle", "aunt"),
    ("uncles", "aunts"),
    ("nephew", "niece"),
    ("nephews", "nieces"),
    ("grandfather", "grandmother"),
    ("grandfathers", "grandmothers"),
    ("grandpa", "grandma"),
    ("grandson", "granddaughter"),
    ("grandsons", "granddaughters"),
    ("stepfather", "stepmother"),
    ("stepson", "stepdaughter"),
    ("stepbrother", "stepsister"),
    ("godfather", "godmother"),
    ("husband", "wife"),
    ("husbands", "wives"),
    ("widower", "widow"),
    ("widowers", "widows"),
    ("boyfriend", "girlfriend"),
    ("boyfriends", "girlfriends"),
    ("bridegroom", "bride"),
    ("groom", "bride"),
    ("grooms", "brides"),
    ("fiancé", "fiancée"),
    ("boyhood", "girlhood"),
    ("manhood", "womanhood"),
    ("king", "queen"),
    ("kings", "queens"),
    ("prince", "princess"),
    ("princes", "princesses"),
    ("emperor", "empress"),
    ("duke", "duchess"),
    ("dukes", "duchesses"),
    ("baron", "baroness"),
    ("lord", "lady"),
    ("lords", "ladies"),
    ("landlord", "landlady"),
    ("monk", "nun"),
    ("monks", "nuns"),
    ("wizard", "witch"),
    ("wizards", "witches"),
    ("hero", "heroine"),
    ("heroes", "heroines"),
    ("heir", "heiress"),
    ("host", "hostess"),
    ("actor", "actress"),
    ("actors", "actresses"),
    ("waiter", "waitress"),
    ("waiters", "waitresses"),
    ("steward", "stewardess"),
    ("businessman", "businesswoman"),
    ("businessmen", "businesswomen"),
    ("chairman", "chairwoman"),
    ("chairmen", "chairwomen"),
    ("congressman", "congresswoman"),
    ("policeman", "policewoman"),
    ("policemen", "policewomen"),
    ("salesman", "saleswoman"),
    ("salesmen", "saleswomen"),
    ("spokesman", "spokeswoman"),
    ("sportsman", "sportswoman"),
    ("cowboy", "cowgirl"),
    ("cowboys", "cowgirls"),
    ("schoolboy", "schoolgirl"),
    ("schoolboys", "schoolgirls"),
    ("bachelor", "bachelorette"),
];

impl Pairs {
    /// English pronouns, titles, kinship and other words of gender.
    pub fn gender() -> Pairs {
        let mut pairs = Pairs { groups: ["male".to_owned(), "female".to_owned()], terms: HashMap::new() };
        for (male, female) in GENDER {
            pairs.insert(male, female);
        }
        let pronoun = |before_noun: &str, alone: &str| Counterpart::Pronoun {
            before_noun: before_noun.to_owned(),
            alone: alone.to_owned(),
        };
        let pronouns = [
            ("him", 0, Counterpart::Word("her".to_owned())),
            ("his", 0, pronoun("her", "hers")),
            ("hers", 1, Counterpart::Word("his".to_owned())),
            ("her", 1, pronoun("his", "him")),
        ];
        pairs.terms.extend(pronouns.map(|(term, group, other)| (hash(term), (group, other))));
        pairs
    }

    /// Reads a list of pairs. The groups are called by its first pair.
    pub fn parse(text: &str) -> Result<Pairs, WrongLine> {
        let mut pairs: Option<Pairs> = None;
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let wrong = |reason| WrongLine { line: number, reason };
            let parts: Vec<&str> = line.split(['\t', ',']).map(str::trim).collect();
            let [first, second] = parts[..] else {
                return Err(wrong("not two words with a tab or comma between"));
            };
            if [first, second].iter().any(|term| words(term).len() != 1 || words(term)[0].end != term.len()) {
                return Err(wrong("each side of a pair is one word of letters and digits"));
            }
            if hash(first) == hash(second) {
                return Err(wrong("both words are the same"));
            }
            pairs
                .get_or_insert_with(|| Pairs { groups: [first, second].map(str::to_owned), terms: HashMap::new() })
                .insert(first, second);
        }
        pairs.ok_or(WrongLine { line: 0, reason: "the list is empty" })
    }

    fn insert(&mut self, first: &str, second: &str) {
        for (group, (term, other)) in [(first, second), (second, first)].into_iter().enumerate() {
            self.terms.entry(hash(term)).or_insert_with(|| (group, Counterpart::Word(other.to_lowercase())));
        }
    }
}

fn hash(term: &str) -> u64 {
    words(term).first().map_or(0, |word| word.hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_terms_are_single_words_with_counterparts() {
        let pairs = Pairs::gender();
        for term in GENDER.iter().flat_map(|(male, female)| [male, female]) {
            assert_eq!(words(term).len(), 1, "{term}");
            assert!(pairs.terms.contains_key(&hash(term)));
        }
        for (counterpart, group) in pairs.terms.values().map(|(group, other)| (other, group)) {
            if let Counterpart::Word(other) = counterpart {
                assert_eq!(pairs.terms[&hash(other)].0, 1 - group, "{other}");
            }
        }
    }

    #[test]
    fn lists_of_pairs_are_read_and_mistakes_told() {
        let pairs = Pairs::parse("Young,old\n\nchild\tadult\n").unwrap();
        assert_eq!(pairs.groups, ["Young", "old"]);
        assert_eq!(pairs.terms[&hash("adult")], (1, Counterpart::Word("child".to_owned())));
        for (text, line) in [("", 0), ("a,b\nc", 2), ("a b,c", 1), ("a,A", 1), ("a,b,c", 1), ("a,b.", 1)] {
            assert_eq!(Pairs::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
