//! Programs compute what their graphs mean.

mod awkward;
mod chunks;

use crate::graph::Graph;
use crate::lower::{RowSizes, lower, lower_decode, lower_probe, lower_score};
use crate::optimise::{optimise, shorten};
use crate::plan::DType;
use crate::program::{Instruction, Kernel, LoopBody, PersistentBuffer, Region};
use crate::schedule::{Hardware, persistent, schedule, schedule_single, summed_operand, verify};
use crate::testing::interpreter::Memory;
use crate::testing::plans::tiny_stages;
use crate::testing::values::{Values, assert_close, values};

const TOLERANCE: f32 = 2e-6;

/// Runs a graph by luminal's `execute` and its programs by the interpreter; all must give the same results and states.
pub(crate) fn agree(graph: &mut Graph) {
    for hardware in [Hardware::Processor, Hardware::Card] {
        agree_within(graph, hardware, TOLERANCE);
    }
}

fn agree_within(graph: &mut Graph, hardware: Hardware, tolerance: f32) {
    let (inputs, states) = values(graph);
    let mut expected_states = states.clone();
    let expected = graph.execute(&inputs, &mut expected_states).unwrap();
    let (layout, bytes) = persistent(&[graph], &[], hardware);
    let program = schedule_single(graph, "test", &layout, hardware);
    let mut memory = Memory::new(bytes);
    memory.write_states(&layout, &states);
    let found = memory.run(&program, &inputs);
    assert_close(&expected, &found, tolerance);
    assert_close(&expected_states, &memory.read_states(&layout), tolerance);
}

/// What each type can tell apart, relative to 1.
const EPSILONS: [(DType, f32); 2] = [(DType::Bf16, 1.0 / 256.0), (DType::F16, 1.0 / 2048.0)];

#[test]
fn programs_of_shorter_floats_agree_with_their_graphs_and_nearly_with_f32() {
    for accumulation in [1, 3] {
        for (_, stage) in tiny_stages(accumulation) {
            let graphs = lower(&stage).unwrap();
            for mut graph in graphs.accumulate.into_iter().chain([graphs.update, graphs.evaluate]) {
                optimise(&mut graph);
                let (inputs, states) = values(&graph);
                let exact = graph.execute(&inputs, &mut states.clone()).unwrap();
                for (dtype, epsilon) in EPSILONS {
                    let mut short = shorten(&graph, dtype, None);
                    short.verify().unwrap();
                    // A sum in another order may round to the neighbour.
                    agree_within(&mut short, Hardware::Processor, 8.0 * epsilon);
                    let found = short.execute(&inputs, &mut states.clone()).unwrap();
                    assert_close(&exact, &found, 8.0 * epsilon);
                }
            }
        }
    }
}

#[test]
fn shorter_floats_take_less_memory_where_the_device_keeps_them() {
    for (name, stage) in tiny_stages(1) {
        let mut graph = lower(&stage).unwrap().update;
        optimise(&mut graph);
        let short = shorten(&graph, DType::Bf16, None);
        let scratch = |graph: &Graph, hardware: Hardware| {
            let (layout, _) = persistent(&[graph], &[], hardware);
            let program = schedule_single(graph, "test", &layout, hardware);
            verify::verify(&program).unwrap();
            // Every product reads 16 bits, on either side.
            let of_products = program.steps.iter().filter(|step| matches!(step.kernel, Kernel::MatMul { .. }));
            let operands: Vec<DType> =
                of_products.flat_map(|step| &step.reads).map(|view| program.buffers[view.buffer].dtype).collect();
            (program.scratch_bytes, operands)
        };
        let (kept, operands) = scratch(&short, Hardware::Card);
        assert!(operands.iter().all(|dtype| *dtype == DType::Bf16), "{name}: {operands:?}");
        let (widened, operands) = scratch(&short, Hardware::Processor);
        assert!(operands.iter().all(|dtype| *dtype == DType::F32), "{name}");
        assert!(kept < widened, "{name}: {kept} of {widened}");
    }
}

#[test]
fn the_programs_of_a_stage_agree_with_their_graphs() {
    for accumulation in [1, 3] {
        for (_, stage) in tiny_stages(accumulation) {
            let graphs = lower(&stage).unwrap();
            for mut graph in graphs.accumulate.into_iter().chain([graphs.update, graphs.evaluate]) {
                agree(&mut graph);
                optimise(&mut graph);
                agree(&mut graph);
            }
        }
    }
}

#[test]
fn a_card_keeps_weights_rounded_that_nobody_changes() {
    for (name, stage) in tiny_stages(1) {
        let graphs = lower(&stage).unwrap();
        let [update, evaluate] = [graphs.update, graphs.evaluate].map(|mut graph| {
            optimise(&mut graph);
            shorten(&graph, DType::Bf16, None)
        });
        let short = |graphs: &[&Graph], hardware| {
            let (layout, bytes) = persistent(graphs, &stage.model.weights, hardware);
            (layout.iter().filter(|state| state.dtype.is_half()).count(), layout, bytes)
        };
        // What is trained stays as it is, wherever it is only read.
        assert_eq!(short(&[&evaluate, &update], Hardware::Card).0, 0, "{name}");
        let (none, exact, whole) = short(&[&evaluate], Hardware::Processor);
        let (_, rounded, bytes) = short(&[&evaluate], Hardware::Card);
        assert_eq!(none, 0, "{name}");
        assert!(bytes < whole * 2 / 3, "{name}: {bytes} of {whole}");
        let roundings = |layout: &[PersistentBuffer]| {
            let program = schedule_single(&evaluate, "test", layout, Hardware::Card);
            verify::verify(&program).unwrap();
            let is_rounding = |body: &LoopBody| matches!(body.instructions[..], [_, Instruction::Round(..)]);
            let steps = program.steps.iter();
            let rounded = steps.filter(|step| matches!(&step.kernel, Kernel::Loop(body) if is_rounding(body)));
            rounded.filter(|step| program.buffers[step.reads[0].buffer].region == Region::Persistent).count()
        };
        assert!(roundings(&exact) > 0, "{name}");
        assert_eq!(roundings(&rounded), 0, "{name}");
    }
}

#[test]
fn on_a_card_gradients_of_biases_stand_beside_those_of_their_weights() {
    let stages = tiny_stages(1);
    let (_, stage) = stages.iter().find(|(name, _)| *name == "gpt2").unwrap();
    let beside = |hardware| {
        let mut graph = lower(stage).unwrap().update;
        optimise(&mut graph);
        let (layout, _) = persistent(&[&graph], &[], hardware);
        let program = schedule_single(&graph, "test", &layout, hardware);
        program.steps.windows(2).filter(|pair| summed_operand(&pair[0], &pair[1]).is_some()).count()
    };
    // Four projections of two layers.
    assert_eq!(beside(Hardware::Card), 8);
    assert!(beside(Hardware::Processor) < 8);
}

#[test]
fn the_programs_for_scores_gradients_and_decoding_agree_with_their_graphs() {
    for (_, stage) in tiny_stages(1) {
        for graph in [
            lower_score(&stage, RowSizes { batch: 1, tokens: 4, source: None }, true),
            lower_probe(&stage),
            lower_decode(&stage, 2, 1, 6),
            lower_decode(&stage, 2, 3, 6),
        ] {
            let mut graph = graph.unwrap();
            agree(&mut graph);
            optimise(&mut graph);
            agree(&mut graph);
        }
    }
}

#[test]
fn optimised_graphs_compute_the_same() {
    for (_, stage) in tiny_stages(1) {
        let mut graph = lower(&stage).unwrap().update;
        let (inputs, states) = values(&graph);
        let mut states_before = states.clone();
        let before = graph.execute(&inputs, &mut states_before).unwrap();
        optimise(&mut graph);
        let mut states_after = states;
        let after = graph.execute(&inputs, &mut states_after).unwrap();
        assert_close(&before, &after, TOLERANCE);
        assert_close(&states_before, &states_after, TOLERANCE);
    }
}

/// Accumulating two micro-batches and updating equals one step on both at once.
#[test]
fn accumulation_equals_a_larger_batch() {
    for (name, whole) in tiny_stages(1) {
        if name == "gpt2" {
            continue; // its dropout depends on the place in the batch
        }
        let mut parts = whole.clone();
        parts.micro_batch /= 2;
        parts.accumulation = 2;
        let graphs = lower(&whole).unwrap();
        let (inputs, states) = values(&graphs.update);
        let programs = schedule(&graphs, &whole, Hardware::Processor);
        let mut memory = Memory::new(programs.persistent_bytes);
        memory.write_states(&programs.persistent, &states);
        let expected = memory.run(&programs.update, &inputs);
        let expected_states = memory.read_states(&programs.persistent);

        let programs = schedule(&lower(&parts).unwrap(), &parts, Hardware::Processor);
        let mut memory = Memory::new(programs.persistent_bytes);
        let mut states = states.clone();
        for weight in &parts.model.weights {
            let zeros = vec![0.0; weight.elements() as usize];
            let name = format!("gradient/{}", weight.path);
            states.insert(name, crate::graph::Tensor::f32(&weight.shape, zeros));
        }
        memory.write_states(&programs.persistent, &states);
        let accumulate = programs.accumulate.as_ref().unwrap();
        let mut loss = 0.0;
        for row in 0..2 {
            loss += memory.run(accumulate, &one_row(&inputs, row))["loss"].to_f32()[0];
        }
        let found = memory.run(&programs.update, &inputs);
        assert!((loss - expected["loss"].to_f32()[0]).abs() < 1e-5);
        assert!((found["grad_norm"].to_f32()[0] / expected["grad_norm"].to_f32()[0] - 1.0).abs() < 1e-5);
        let mut found_states = memory.read_states(&programs.persistent);
        found_states.retain(|name, _| !name.starts_with("gradient/"));
        assert_close(&expected_states, &found_states, 1e-4);
    }
}

/// One row of every input that has rows.
fn one_row(inputs: &Values, row: usize) -> Values {
    use crate::graph::{Data, Tensor};
    let cut = |(name, tensor): (&String, &Tensor)| {
        let tensor = match &tensor.data {
            Data::Half(..) => unreachable!("no input is of 16 bits"),
            Data::I32(ids) => {
                let width = tensor.shape[1] as usize;
                Tensor::i32(&[1, width as u64], ids[row * width..(row + 1) * width].to_vec())
            }
            Data::F32(_) => tensor.clone(),
        };
        (name.clone(), tensor)
    };
    inputs.iter().map(cut).collect()
}

/// Decoding with caches gives the logits of the full forward pass, chunk by chunk and token by token.
#[test]
fn decoding_equals_the_full_forward_pass() {
    use crate::graph::{Data, Tensor};
    for (name, mut stage) in tiny_stages(1) {
        if name == "llama" {
            stage.model = crate::testing::plans::llama(2, 8, [4, 2], 12, 11, false);
        }
        let (batch, tokens, context) = (2usize, 6usize, 6usize);
        let mut full =
            lower_score(&stage, RowSizes { batch: batch as u64, tokens: tokens as u64, source: None }, true).unwrap();
        let (inputs, states) = values(&full);
        let expected = full.execute(&inputs, &mut states.clone()).unwrap()["logits"].to_f32();
        let mut caches: Option<Memory> = None;
        let mut done = 0;
        for chunk in [3usize, 1, 1, 1] {
            let mut graph = lower_decode(&stage, batch as u64, chunk as u64, context as u64).unwrap();
            optimise(&mut graph);
            let (layout, bytes) = persistent(&[&graph], &stage.model.weights, Hardware::Processor);
            let program = schedule_single(&graph, "decode", &layout, Hardware::Processor);
            let memory = caches.get_or_insert_with(|| {
                let mut memory = Memory::new(bytes);
                let mut start = values(&graph).1;
                start.extend(states.clone());
                memory.write_states(&layout, &start);
                memory
            });
            let part = |name: &str| {
                let Data::I32(ids) = &inputs[name].data else { panic!("{name} holds ids") };
                let rows = (0..batch).flat_map(|row| &ids[row * tokens + done..row * tokens + done + chunk]);
                Tensor::i32(&[batch as u64, chunk as u64], rows.copied().collect())
            };
            let mut given = Values::from([("tokens".to_owned(), part("tokens"))]);
            if inputs.contains_key("positions") {
                given.insert("positions".to_owned(), part("positions"));
            }
            given.insert("length".to_owned(), Tensor::f32(&[batch as u64], vec![done as f32; batch]));
            let found = memory.run(&program, &given)["logits"].to_f32();
            done += chunk;
            let vocab = stage.model.vocab as usize;
            for row in 0..batch {
                let start = (row * tokens + done - 1) * vocab;
                for (a, b) in expected[start..start + vocab].iter().zip(&found[row * vocab..]) {
                    assert!((a - b).abs() < 1e-5, "{a} expected, {b} found after {done} tokens");
                }
            }
        }
    }
}

/// The lowered graph, the optimised graph and the program of tiny models, as text.
#[test]
fn text_forms() {
    for (name, stage) in tiny_stages(1) {
        let mut graphs = lower(&stage).unwrap();
        insta::assert_snapshot!(format!("{name}.lowered"), graphs.update.print());
        for graph in [&mut graphs.update, &mut graphs.evaluate] {
            optimise(graph);
        }
        insta::assert_snapshot!(format!("{name}.optimised"), graphs.update.print());
        let programs = schedule(&graphs, &stage, Hardware::Processor);
        insta::assert_snapshot!(format!("{name}.update"), programs.update.print());
        insta::assert_snapshot!(format!("{name}.evaluate"), programs.evaluate.print());
    }
}

/// A model of the size of Llama 3.1 405B: the work must not grow faster than the model. The limit is far above what it takes.
#[test]
fn large_models_are_compiled_in_little_time() {
    use crate::testing::plans::{llama, stage};
    let start = std::time::Instant::now();
    let stage = stage(llama(126, 16384, [128, 8], 53248, 128256, true), 1, 2048, 2);
    let mut graphs = lower(&stage).unwrap();
    for graph in graphs.accumulate.iter_mut().chain([&mut graphs.update, &mut graphs.evaluate]) {
        optimise(graph);
    }
    let programs = schedule(&graphs, &stage, Hardware::Processor);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    let parameters: u64 = stage.model.weights.iter().map(|weight| weight.elements()).sum();
    assert_eq!(parameters, 405_853_388_800);
    assert_eq!(programs.persistent_bytes, 16 * parameters);
    let accumulate = programs.accumulate.unwrap();
    let alive: u64 = accumulate.peak_by_kind.iter().map(|(_, bytes)| bytes).sum();
    assert!(accumulate.scratch_bytes < alive + alive / 50, "{} for {alive}", accumulate.scratch_bytes);
}

/// What is in place: caches, accumulated gradients of matrices, AdamW's states, the gradient of the logits.
#[test]
fn states_are_updated_in_place() {
    for (name, stage) in tiny_stages(2) {
        let mut graphs = lower(&stage).unwrap();
        for graph in graphs.accumulate.iter_mut().chain([&mut graphs.update]) {
            optimise(graph);
        }
        let programs = schedule(&graphs, &stage, Hardware::Processor);
        let accumulate = programs.accumulate.unwrap();
        for step in &accumulate.steps {
            for view in &step.writes {
                let buffer = &accumulate.buffers[view.buffer];
                let matrix = buffer.region == Region::Persistent && view.shape.len() > 1 && view.shape[0] > 1;
                let adds = matches!(
                    step.kernel,
                    Kernel::MatMul { accumulate: true }
                        | Kernel::ScatterAdd { accumulate: true }
                        | Kernel::RoutedOuter { accumulate: true }
                );
                assert!(!matrix || adds, "{name}: {} by {:?}", buffer.name, step.kernel);
            }
            if let Kernel::CrossEntropyGrad { .. } = step.kernel {
                assert_eq!(step.reads[0], step.writes[0], "{name}");
            }
        }
        let updates = programs.update.steps.iter().filter(|step| matches!(step.kernel, Kernel::AdamW(_)));
        assert_eq!(updates.count(), stage.model.weights.len(), "{name}");
        let writes = programs.update.steps.iter().flat_map(|step| &step.writes);
        let largest = writes
            .filter(|view| programs.update.buffers[view.buffer].region == Region::Scratch)
            .map(|view| view.elements())
            .max();
        assert_eq!(largest, Some(1), "{name}: the update copies nothing");

        let mut decode = lower_decode(&stage, 1, 1, 6).unwrap();
        optimise(&mut decode);
        insta::assert_snapshot!(format!("{name}.accumulate"), accumulate.print());
        let (layout, _) = persistent(&[&decode], &stage.model.weights, Hardware::Processor);
        let decode = schedule_single(&decode, "decode", &layout, Hardware::Processor);
        let copies = decode
            .steps
            .iter()
            .filter(|step| matches!(&step.kernel, Kernel::Loop(body) if body.instructions.len() == 1));
        assert_eq!(copies.count(), 0, "{name}: {}", decode.print());
    }
}
