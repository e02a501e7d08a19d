//! Which tensor of a file is which weight of a model.

use std::collections::BTreeSet;

use llmc_compiler::plan::{Align, ExtendPlan, ModelPlan, WeightPlan};
use llmc_grammar::codes::WEIGHTS_DO_NOT_FIT;

use super::reader::TensorFiles;
use crate::device::Device;
use crate::failure::Failure;

/// How many mistakes a message lists.
const SHOWN: usize = 8;

/// Reads every weight of `model` from `files` into the states `weight/PATH` of a device, one at a time.
///
/// # Errors
/// If a weight is missing, has another shape, or the files hold something the model does not know.
pub fn load_weights(
    device: &mut dyn Device,
    model: &ModelPlan,
    files: &TensorFiles,
    place: &str,
) -> Result<(), Failure> {
    load_extended(device, model, None, files, place)
}

/// As [`load_weights`], with tables of learned positions made longer as `extend` says.
///
/// # Errors
/// As [`load_weights`]; a table may have another number of rows if it is extended.
pub fn load_extended(
    device: &mut dyn Device,
    model: &ModelPlan,
    extend: Option<&ExtendPlan>,
    files: &TensorFiles,
    place: &str,
) -> Result<(), Failure> {
    let names = match_names(model, extend, files, place)?;
    for (weight, names) in model.weights.iter().zip(names) {
        let mut values = read_joined(files, &names)?;
        if let (Some(align), [rows, width]) = (alignment(extend, weight), weight.shape.as_slice()) {
            values = align.interpolate(&values, *width as usize, *rows as usize);
        }
        device.write_state(&format!("weight/{}", weight.path), &values)?;
    }
    Ok(())
}

/// The values of tensors one after another.
///
/// # Errors
/// As [`TensorFiles::read`].
pub fn read_joined(files: &TensorFiles, names: &[String]) -> Result<Vec<f32>, Failure> {
    let mut joined = match names.first() {
        Some(first) => files.read(first)?,
        None => Vec::new(),
    };
    for name in names.iter().skip(1) {
        joined.extend(files.read(name)?);
    }
    Ok(joined)
}

/// How the rows of a weight become more, if it is a table that is extended.
fn alignment(extend: Option<&ExtendPlan>, weight: &WeightPlan) -> Option<Align> {
    extend.filter(|extend| extend.tables.contains(&weight.path)).map(|extend| extend.align)
}

/// For every weight, in order, the names in the files of the tensors it is made of.
///
/// # Errors
/// As [`load_weights`].
pub fn match_names(
    model: &ModelPlan,
    extend: Option<&ExtendPlan>,
    files: &TensorFiles,
    place: &str,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut mistakes = Vec::new();
    let mut names = Vec::new();
    let mut known = BTreeSet::new();
    for weight in &model.weights {
        let wanted = weight.stored_shape();
        let mut found = Vec::new();
        for path in weight.stored_names() {
            match find(&path, files) {
                Some((name, shape)) if *shape == *wanted => found.push(name.to_owned()),
                Some((name, [rows, width]))
                    if *rows > 0 && wanted.get(1) == Some(width) && alignment(extend, weight).is_some() =>
                {
                    found.push(name.to_owned());
                }
                Some((name, shape)) => {
                    mistakes.push(format!("`{name}` has shape {shape:?}, the model's has {wanted:?}"))
                }
                None => mistakes.push(format!("`{path}` {wanted:?} is missing")),
            }
            known.extend(path.split_once('.').map(|(_, bare)| bare.to_owned()));
            known.insert(path);
        }
        names.push(found);
    }
    let surplus = files.names().filter(|name| !known.contains(*name) && !is_known_surplus(name, model));
    mistakes.extend(surplus.map(|name| format!("`{name}` is not a weight of the model")));
    if mistakes.is_empty() {
        return Ok(names);
    }
    let count = mistakes.len();
    mistakes.truncate(SHOWN);
    if count > SHOWN {
        mistakes.push(format!("... and {} more", count - SHOWN));
    }
    Err(Failure::with_help(
        WEIGHTS_DO_NOT_FIT,
        format!("the weights in `{place}` do not fit the model `{}`", model.name),
        mistakes.join("\n"),
    ))
}

/// The tensor for a weight: under its path, or under its path without the model's own first part, as in files that were
/// saved from the bare model (`h.0.ln_1.weight` for `transformer.h.0.ln_1.weight`).
fn find<'f>(path: &'f str, files: &'f TensorFiles) -> Option<(&'f str, &'f [u64])> {
    let bare = path.split_once('.').map(|(_, rest)| rest);
    [Some(path), bare].into_iter().flatten().find_map(|name| Some((name, files.shape(name)?)))
}

/// Tensors that old checkpoints carry and no computation needs.
fn is_known_surplus(name: &str, model: &ModelPlan) -> bool {
    let tied = name == "lm_head.weight" && !model.weights.iter().any(|weight| weight.path == name);
    tied || [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"].iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::super::tensors::Layout;
    use super::*;
    use llmc_compiler::plan::{Initializer, WeightPlan};
    use std::collections::BTreeMap;

    fn model(weights: &[(&str, &[u64])]) -> ModelPlan {
        ModelPlan {
            name: "tiny".to_owned(),
            arguments: BTreeMap::new(),
            weights: weights
                .iter()
                .map(|(path, shape)| WeightPlan {
                    path: (*path).to_owned(),
                    shape: shape.to_vec(),
                    init: Initializer::Zeros,
                })
                .collect(),
            nodes: Vec::new(),
            output: 0,
            vocab: 2,
            config: None,
        }
    }

    fn files(tensors: &[(&str, &[u64])]) -> (tempfile::TempDir, TensorFiles) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(tensors.iter().map(|(name, shape)| ((*name).to_owned(), *shape)));
        layout.write(&directory.path().join("model.safetensors"), |_, _, count| Ok(vec![0.0; count as usize])).unwrap();
        let files = TensorFiles::of_directory(directory.path()).unwrap();
        (directory, files)
    }

    #[test]
    fn old_and_bare_checkpoints_fit() {
        let model = model(&[("transformer.wte.weight", &[2, 3]), ("transformer.h.0.ln_1.weight", &[3])]);
        let (_kept, files) = files(&[
            ("wte.weight", &[2, 3]),
            ("h.0.ln_1.weight", &[3]),
            ("h.0.attn.bias", &[1, 1, 4, 4]),
            ("lm_head.weight", &[2, 3]),
        ]);
        assert_eq!(match_names(&model, None, &files, "dir").unwrap(), [["wte.weight"], ["h.0.ln_1.weight"]]);
    }

    #[test]
    fn every_misfit_is_listed() {
        let model = model(&[("a.weight", &[2, 3]), ("b.weight", &[3])]);
        let (_kept, files) = files(&[("a.weight", &[3, 2]), ("lm_head.bias", &[2])]);
        let Err(Failure::Diagnostics(diagnostics)) = match_names(&model, None, &files, "dir") else {
            panic!("the weights must not fit");
        };
        assert_eq!(
            diagnostics[0].help.as_deref(),
            Some(
                "`a.weight` has shape [3, 2], the model's has [2, 3]\n`b.weight` [3] is missing\n\
                 `lm_head.bias` is not a weight of the model"
            )
        );
    }
}
