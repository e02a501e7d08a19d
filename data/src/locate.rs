//! Sources to files.

use std::path::{Path, PathBuf};

use llmc_compiler::plan::SourcePlan;
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::paths;
use super::sources::folder::{self, Use};
use super::sources::{Format, first_row, missing_feature as feature_of};

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// One document; left out where it is not text, unless the recipe says otherwise.
    Matched,
    /// One document; a mistake where it is not text.
    Named,
    /// One document a record.
    Records(Format),
}

/// The files of a source with how they are read and which side they are on.
pub fn locate(place: &SourcePlan, base: &Path) -> Result<Vec<(PathBuf, Form, Option<bool>)>, Diagnostic> {
    let records = |path: &str, format| -> Result<Vec<_>, Diagnostic> {
        let files = paths::named_files(path, base)?;
        Ok(files.into_iter().map(|path| (path, Form::Records(format), None)).collect())
    };
    match place {
        SourcePlan::Files { pattern } => {
            let matched = paths::matching_files(pattern, base)?;
            Ok(matched.into_iter().map(|path| (path, Form::Matched, None)).collect())
        }
        SourcePlan::Text { path } => Ok(vec![(paths::resolve(path, base)?, Form::Named, None)]),
        SourcePlan::Jsonl { path, .. } => records(path, Format::Jsonl),
        SourcePlan::Csv { path, delimiter, .. } => records(path, Format::Csv { delimiter: *delimiter }),
        SourcePlan::Parquet { path, .. } => records(path, Format::Parquet),
        SourcePlan::Folder { path, .. } => {
            let files = folder::files(path, base)?;
            let divided = files.iter().any(|(_, _, used)| *used == Use::Validation);
            let side = |used| divided.then_some(used == Use::Validation);
            let read = files.into_iter().filter(|(_, _, used)| *used != Use::Test);
            Ok(read.map(|(path, format, used)| (path, Form::Records(format), side(used))).collect())
        }
        SourcePlan::RandomTokens { .. } => {
            Err(Diagnostic::error(codes::MIXED_SOURCES, "random tokens stand beside text in one data set")
                .help("make two data sets: one of text, one of token ids"))
        }
        SourcePlan::Tokens { path, .. } => {
            let message = format!("`tokens(\"{path}\")` stands beside text in one data set");
            Err(Diagnostic::error(codes::MIXED_SOURCES, message)
                .help("make two data sets: one of text, one of token ids"))
        }
    }
}

/// The columns of the first record of a source of records, with their values.
pub fn first_record(place: &SourcePlan, base: &Path) -> Result<Map<String, Value>, Diagnostic> {
    for (path, form, heldout) in locate(place, base)? {
        if let (Form::Records(format), None | Some(false)) = (form, heldout) {
            return first_row(&path, format);
        }
    }
    Err(Diagnostic::error(codes::RECORD, format!("`{}` holds no record", place.describe())))
}

/// The cargo feature that a build needs to read a source, if it is one that this build lacks.
pub fn missing_feature(place: &SourcePlan, base: &Path) -> Option<&'static str> {
    let files = locate(place, base).unwrap_or_default();
    if let (SourcePlan::Parquet { .. }, true) = (place, files.is_empty()) {
        return feature_of(Format::Parquet);
    }
    files.into_iter().find_map(|(_, form, _)| match form {
        Form::Records(format) => feature_of(format),
        _ => None,
    })
}
