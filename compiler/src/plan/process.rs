//! What a data set's documents go through before they are split and tokenized.

use serde::Serialize;

use super::{
    ClassifierPlan, CounterfactualPlan, DecontaminationPlan, EvaluationText, LanguagePlan, NgramPlan, PerplexityPlan,
    QualityPlan, ReweightPlan, RuleLimit, ScorePlan, TermsPlan,
};

/// One step of a data set's `process`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessPlan {
    /// Of documents that are equal after normalisation the first stays.
    DedupExact,
    /// Of documents whose sets of word n-grams overlap the first stays.
    DedupNear {
        /// Jaccard similarity from which on two documents are near-duplicates.
        threshold: f64,
        /// Words of one n-gram.
        shingle: u64,
        /// MinHash values of a document at most.
        hashes: u64,
    },
    /// Lines or paragraphs that were seen before, in any document, are removed.
    DedupLines {
        /// What is compared.
        unit: TextUnit,
        /// Shorter ones (in characters) always stay.
        min_length: u64,
    },
    /// Documents that break a rule are dropped.
    Filter {
        /// The rule set's name, as written.
        name: String,
        /// What happens to lines before the rules are asked.
        lines: LineCleaning,
        /// Characters under which a line is short.
        short_line: u64,
        /// The rules, in the order in which they are asked.
        rules: Vec<RuleLimit>,
    },
    /// Personal data and secrets are replaced, or documents that hold them dropped.
    Pii {
        /// What is looked for.
        kinds: Vec<PiiKind>,
        /// What happens to it.
        replace: Replacement,
        /// Key of the fakes.
        seed: u64,
    },
    /// Documents that a trained classifier finds bad are dropped.
    Quality(QualityPlan),
    /// Documents that a trained language model finds unlikely are dropped.
    Perplexity(PerplexityPlan),
    /// Documents in other languages are dropped.
    Language(LanguagePlan),
    /// Documents of a low weighted score are dropped.
    Score(ScorePlan),
    /// Documents that hold listed terms are dropped.
    DropTerms(TermsPlan),
    /// Terms of a pair of groups are exchanged.
    Counterfactual(CounterfactualPlan),
    /// Documents are left out or repeated until two groups have their share.
    Reweight(ReweightPlan),
    /// Documents that share n-grams with evaluations are dropped or reported.
    Decontaminate(DecontaminationPlan),
}

impl ProcessPlan {
    /// The classifier that it needs trained.
    pub fn classifier(&self) -> Option<&ClassifierPlan> {
        match self {
            ProcessPlan::Quality(plan) => Some(&plan.model),
            ProcessPlan::Score(plan) => plan.quality.as_ref(),
            _ => None,
        }
    }

    /// The language model that it needs trained.
    pub fn language_model(&self) -> Option<&NgramPlan> {
        match self {
            ProcessPlan::Perplexity(plan) => Some(&plan.model),
            ProcessPlan::Score(plan) => plan.fluency.as_ref(),
            _ => None,
        }
    }

    /// The data sets that it reads beside its own.
    pub fn datasets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        names.extend(self.classifier().into_iter().flat_map(|model| [model.good.as_str(), model.bad.as_str()]));
        names.extend(self.language_model().map(|model| model.on.as_str()));
        if let ProcessPlan::Decontaminate(plan) = self {
            names.extend(plan.against.iter().filter_map(|text| match text {
                EvaluationText::Dataset(name) => Some(name.as_str()),
                EvaluationText::File(_) => None,
            }));
        }
        names
    }

    /// The files that it reads beside its data set's sources, as they are written.
    pub fn files(&self) -> Vec<&str> {
        match self {
            ProcessPlan::DropTerms(plan) => vec![&plan.file],
            ProcessPlan::Counterfactual(CounterfactualPlan { pairs, attributes, .. })
            | ProcessPlan::Reweight(ReweightPlan { pairs, attributes, .. }) => {
                pairs.iter().chain(attributes).map(String::as_str).collect()
            }
            ProcessPlan::Decontaminate(plan) => plan
                .against
                .iter()
                .filter_map(|text| match text {
                    EvaluationText::File(path) => Some(path.as_str()),
                    EvaluationText::Dataset(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// What a filter removes from within documents (Raffel et al. 2020, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LineCleaning {
    /// Lines that do not end in `.`, `!`, `?` or a closing quotation mark go.
    pub terminal_punctuation: bool,
    /// Lines of fewer words go.
    pub min_line_words: Option<u64>,
    /// Lines about JavaScript, cookies and terms of use go.
    pub boilerplate: bool,
}

/// What `dedup_lines` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextUnit {
    /// What line breaks part.
    Line,
    /// What blank lines part.
    Paragraph,
}

/// What happens to personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// `[EMAIL]` and so on stand in its place.
    Tag,
    /// An invented value of the same form, the same one for the same value everywhere.
    Fake,
    /// The whole document goes.
    Drop,
}

/// Kinds of personal data and secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiKind {
    /// A key block between `BEGIN ... PRIVATE KEY` and its end.
    PrivateKey,
    /// Access tokens of well-known services, and JSON web tokens.
    ApiKey,
    /// User name and password in a URL.
    Credentials,
    /// An e-mail address.
    Email,
    /// An IPv4 or IPv6 address other than loopback and unspecified ones.
    Ip,
    /// An international bank account number whose check digits are right.
    Iban,
    /// A payment card's number whose check digit is right.
    Card,
    /// A US social security number.
    Ssn,
    /// A telephone number, national or international.
    Phone,
}

impl PiiKind {
    /// Every kind.
    pub const ALL: [PiiKind; 9] = [
        PiiKind::PrivateKey,
        PiiKind::ApiKey,
        PiiKind::Credentials,
        PiiKind::Email,
        PiiKind::Ip,
        PiiKind::Iban,
        PiiKind::Card,
        PiiKind::Ssn,
        PiiKind::Phone,
    ];

    /// As written in a recipe.
    pub const fn name(self) -> &'static str {
        match self {
            PiiKind::PrivateKey => "private_key",
            PiiKind::ApiKey => "api_key",
            PiiKind::Credentials => "credentials",
            PiiKind::Email => "email",
            PiiKind::Ip => "ip",
            PiiKind::Iban => "iban",
            PiiKind::Card => "card",
            PiiKind::Ssn => "ssn",
            PiiKind::Phone => "phone",
        }
    }
}

/// Which texts of a record of several (a conversation, a preference) a step looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them as one text; the record is kept, repeated, changed or dropped as a whole.
    Whole,
    /// Each by itself; it may change them.
    Each,
    /// All of them as one text, whose lines it removes: not for records.
    Cleaning,
}

impl ProcessPlan {
    /// What it looks at in a record of several texts.
    pub fn scope(&self) -> Scope {
        match self {
            ProcessPlan::DedupExact
            | ProcessPlan::DedupNear { .. }
            | ProcessPlan::Quality(_)
            | ProcessPlan::Perplexity(_)
            | ProcessPlan::Language(_)
            | ProcessPlan::Score(_)
            | ProcessPlan::DropTerms(_)
            | ProcessPlan::Counterfactual(_)
            | ProcessPlan::Reweight(_)
            | ProcessPlan::Decontaminate(_) => Scope::Whole,
            ProcessPlan::DedupLines { .. } | ProcessPlan::Pii { .. } => Scope::Each,
            ProcessPlan::Filter { lines, .. } if *lines == LineCleaning::default() => Scope::Whole,
            ProcessPlan::Filter { .. } => Scope::Cleaning,
        }
    }
}
