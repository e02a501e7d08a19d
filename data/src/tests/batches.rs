use std::collections::BTreeMap;

use llmc_compiler::plan::{DType, ModelNode, ModelOp, Packing};

use super::*;
use crate::{Batch, Evaluation, IGNORED, Loader};

/// Ids 0 to 99 in one stream: 12 rows of 8 inputs, 97 tokens used.
fn stream(holdout: f64) -> Project {
    let project = Project::tokens("x.bin", holdout);
    project.write("x.bin", (0..100u16).flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    project
}

fn loader(project: &Project) -> Loader {
    Loader::new(&project.prepare().unwrap(), &project.stage)
}

fn rows(batch: &Batch) -> Vec<(Vec<i32>, Vec<i32>)> {
    let rows = batch.tokens.chunks(batch.row_length).zip(batch.targets.chunks(batch.row_length));
    rows.map(|(tokens, targets)| (tokens.to_vec(), targets.to_vec())).collect()
}

#[test]
fn every_token_is_predicted_once_an_epoch() {
    let project = stream(0.0);
    let loader = loader(&project);
    assert_eq!((loader.rows()[0], loader.report().left_out), (12, 3));
    // Two steps of two micro-batches of three rows are one epoch.
    for epoch in 0..3 {
        let mut predicted = BTreeMap::new();
        for step in [2 * epoch, 2 * epoch + 1] {
            assert_eq!(loader.epochs_before(step), [step as f64 / 2.0]);
            for (tokens, targets) in (0..2).flat_map(|micro| rows(&loader.batch(step, micro))) {
                for (token, target) in tokens.into_iter().zip(targets) {
                    assert_eq!(token + 1, target);
                    *predicted.entry(target).or_insert(0) += 1;
                }
            }
        }
        assert!(predicted.into_iter().eq((1..=96).map(|token| (token, 1))));
    }
}

#[test]
fn batches_depend_on_the_step_alone() {
    let project = stream(0.0);
    let (one, other) = (loader(&project), loader(&project));
    let uninterrupted: Vec<Batch> = (0..9).flat_map(|step| [one.batch(step, 0), one.batch(step, 1)]).collect();
    let resumed: Vec<Batch> = (5..9).flat_map(|step| [other.batch(step, 0), other.batch(step, 1)]).collect();
    assert_eq!(resumed, uninterrupted[10..]);
    assert_ne!(uninterrupted[0], uninterrupted[4], "the second epoch is shuffled anew");
}

#[test]
fn accumulation_regroups_the_same_rows() {
    let mut project = stream(0.0);
    let accumulated = loader(&project);
    project.stage.accumulation = 1;
    project.stage.micro_batch = 6;
    let whole = loader(&project).batch(1, 0);
    let parts = [accumulated.batch(1, 0), accumulated.batch(1, 1)];
    assert_eq!(rows(&whole), parts.iter().flat_map(rows).collect::<Vec<_>>());
}

#[test]
fn unshuffled_rows_come_in_order_across_epochs() {
    let mut project = stream(0.0);
    project.stage.shuffle = false;
    let loader = loader(&project);
    let starts: Vec<i32> = (0..3)
        .flat_map(|step| [loader.batch(step, 0), loader.batch(step, 1)])
        .flat_map(|batch| batch.tokens.into_iter().step_by(8))
        .collect();
    let expected: Vec<i32> = (0..18).map(|row| row % 12 * 8).collect();
    assert_eq!(starts, expected);
}

#[test]
fn documents_and_positions_are_counted_in_the_row() {
    let mut project = Project::files("*.txt", 0.0);
    project.write("a.txt", "abc");
    project.write("b.txt", "defgh");
    project.write("c.txt", "ijklmnop");
    project.stage.shuffle = false;
    project.stage.micro_batch = 2;
    let prepared = project.prepare().unwrap();
    let lengths = prepared.tokenizer.as_ref().unwrap().byte_lengths();
    let batch = Loader::new(&prepared, &project.stage).batch(0, 0);
    assert_eq!(batch.rows, 2);
    assert_eq!(batch.documents, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(batch.positions, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
    let targets: Vec<i32> =
        "bc\0defgh\0ijklmn".bytes().map(|byte| if byte == 0 { 256 } else { i32::from(byte) }).collect();
    assert_eq!(batch.targets[..15], targets);
    assert_eq!((batch.target_weight(), batch.target_bytes(&lengths)), (16.0, 14));
}

/// Documents of 4, 6, 9 and 14 pairs of bytes and end-of-text, in rows of 8 pairs.
fn packed(packing: Packing) -> Project {
    let mut project = Project::files("*.txt", 0.0);
    for text in ["abcd", "efghij", "klmnopqrs", "tuvwxyzabcdefg", ""] {
        project.write(&format!("{}.txt", text.len()), text);
    }
    project.stage.shuffle = false;
    project.stage.packing = packing;
    project
}

/// The tokens of each document of a row that predict something as text, `.` for end-of-text as a target.
fn documents_of(batch: &Batch, row: usize) -> Vec<(String, String)> {
    let mut documents: Vec<(String, String)> = Vec::new();
    for at in row * batch.row_length..(row + 1) * batch.row_length {
        let character = |id: i32| u8::try_from(id).map_or('.', char::from);
        if batch.targets[at] != IGNORED {
            documents.resize(documents.len().max(batch.documents[at] as usize + 1), Default::default());
            let (inputs, targets) = &mut documents[batch.documents[at] as usize];
            inputs.push(character(batch.tokens[at]));
            targets.push(character(batch.targets[at]));
        }
    }
    documents
}

#[test]
fn packed_rows_hold_whole_documents() {
    let project = packed(Packing::BestFit);
    let loader = loader(&project);
    let report = loader.report();
    assert_eq!((report.rows, report.positions, report.padding), (5, 40, 40 - 4 - 6 - 9 - 14));
    assert_eq!((report.documents_cut, report.left_out), (2, 0));
    let batches: Vec<Batch> = (0..2).map(|micro| loader.batch(0, micro)).collect();
    let rows: Vec<Vec<(String, String)>> = (0..5).map(|row| documents_of(&batches[row / 3], row % 3)).collect();
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(inputs, targets)| ((*inputs).to_owned(), (*targets).to_owned())).collect()
    };
    // Files are read by name: 14, 4, 6, 9. The rest of six pairs and of one of the two long documents stay together.
    assert_eq!(rows[0], owned(&[("tuvwxyza", "uvwxyzab")]));
    assert_eq!(rows[1], owned(&[("bcdefg", "cdefg.")]));
    assert_eq!(rows[2], owned(&[("abcd", "bcd.")]));
    assert_eq!(rows[3], owned(&[("efghij", "fghij."), ("s", ".")]));
    assert_eq!(rows[4], owned(&[("klmnopqr", "lmnopqrs")]));
    assert_eq!(batches[1].documents[..8], [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(batches[0].target_weight() + batches[1].target_weight(), 33.0 + 8.0);
}

#[test]
fn padded_rows_hold_one_document() {
    let loader = loader(&packed(Packing::Pad));
    let report = loader.report();
    assert_eq!((report.rows, report.padding, report.documents_cut), (6, 48 - 33, 2));
    let batch = loader.batch(0, 0);
    assert_eq!(documents_of(&batch, 2), [("abcd".to_owned(), "bcd.".to_owned())]);
    assert_eq!(batch.positions[16..], [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(batch.targets[20..], [IGNORED; 4]);
}

#[test]
fn positions_start_anew_where_the_model_knows_documents() {
    for packing in [Packing::Concatenate, Packing::BestFit] {
        let mut project = packed(packing);
        let positions = |project: &Project| loader(project).batch(0, 1).positions[..8].to_vec();
        assert_eq!(positions(&project), [0, 1, 2, 3, 4, 5, 6, 7]);
        project.stage.model.nodes = vec![ModelNode {
            op: ModelOp::Input("documents".to_owned()),
            inputs: Vec::new(),
            shape: Vec::new(),
            dtype: DType::I32,
            origin: Default::default(),
        }];
        let wanted = match packing {
            Packing::Concatenate => [0, 1, 2, 0, 1, 2, 3, 4],
            _ => [0, 1, 2, 3, 4, 5, 0, 7],
        };
        assert_eq!(positions(&project), wanted);
    }
}

#[test]
fn held_out_documents_are_packed_alike() {
    let project = packed(Packing::BestFit);
    let train = project.prepare().unwrap().parts[0].train.clone();
    let evaluation = Evaluation::new(train, &project.stage, 100);
    assert_eq!((evaluation.rows(), evaluation.batches()), (5, 2));
    let targets: f64 = (0..2).map(|index| evaluation.batch(index).target_weight()).sum();
    assert_eq!(targets, 33.0);
}

#[test]
fn held_out_rows_cover_every_token() {
    let project = stream(0.3);
    let heldout = project.prepare().unwrap().parts[0].heldout.clone().unwrap();
    assert_eq!(heldout.len(), 30);
    let evaluation = Evaluation::new(heldout.clone(), &project.stage, 100);
    assert_eq!((evaluation.rows(), evaluation.batches()), (4, 2));
    let batches: Vec<Batch> = (0..2).map(|index| evaluation.batch(index)).collect();
    let targets: Vec<i32> =
        batches.iter().flat_map(|batch| batch.targets.clone()).filter(|&target| target != IGNORED).collect();
    assert_eq!(targets, (71..100).collect::<Vec<_>>());
    for batch in &batches {
        assert_eq!((batch.rows, batch.tokens.len(), batch.targets.len()), (3, 24, 24));
        assert_eq!((batch.positions.len(), batch.documents.len()), (24, 24));
    }
    assert_eq!(batches[1].target_weight(), 5.0);
    let fewer = Evaluation::new(heldout, &project.stage, 2);
    assert_eq!((fewer.rows(), fewer.batches(), fewer.batch(0).target_weight()), (2, 1, 16.0));
}

#[test]
fn rows_of_ids_keep_their_ends() {
    let mut project = Project::tokens("x.npy", 0.0);
    project.stage.shuffle = false;
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 2, 8), }";
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend((0..32u16).flat_map(u16::to_le_bytes));
    project.write("x.npy", &file);
    let loader = loader(&project);
    assert_eq!((loader.rows()[0], loader.report().left_out), (4, 0));
    let batch = loader.batch(0, 0);
    let row = |start: i32| -> (Vec<i32>, Vec<i32>) {
        ((start..start + 8).collect(), (start + 1..start + 8).chain([IGNORED]).collect())
    };
    assert_eq!(rows(&batch), [row(0), row(8), row(16)]);
    assert_eq!(batch.documents, [0; 24]);
    assert_eq!(batch.target_weight(), 21.0);
    assert_eq!(rows(&loader.batch(0, 1)), [row(24), row(0), row(8)]);
}
