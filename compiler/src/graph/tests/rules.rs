//! The type rules refuse what does not fit, and say why.

use crate::graph::infer;
use crate::op::{NormInput, Op, RandomFunction, Reduction, Shape, Type};
use crate::plan::{AttentionSettings, BinaryFunction, LossPlan, UnaryFunction};

#[track_caller]
fn refused(op: &Op, types: &[Type], reason: &str) {
    let types: Vec<&Type> = types.iter().collect();
    let said = infer(op, &types).expect_err("the operands do not fit");
    assert!(said.contains(reason), "{said}");
}

fn f32s(shapes: &[&[u64]]) -> Vec<Type> {
    shapes.iter().map(|shape| Type::f32(shape)).collect()
}

#[test]
fn the_message_shows_operator_operands_and_reason() {
    let types = f32s(&[&[3, 4], &[5, 6]]);
    let op = Op::MatMul { transpose_left: false, transpose_right: false };
    let said = infer(&op, &[&types[0], &types[1]]).expect_err("4 is not 5");
    assert_eq!(
        said,
        "MatMul { transpose_left: false, transpose_right: false } of (f32[3, 4], f32[5, 6]): the inner dimensions differ: 4 and 5"
    );
}

#[test]
fn elementwise_operators_and_reductions() {
    let add = Op::Binary(BinaryFunction::Add);
    refused(&add, &f32s(&[&[2, 3], &[2]]), "do not broadcast");
    refused(&add, &f32s(&[&[2]]), "2 operands are needed, 1 are given");
    refused(&Op::Unary(UnaryFunction::Exp), &[], "1 operands are needed");
    refused(&Op::Constant(1.0), &f32s(&[&[]]), "0 operands are needed");
    let reduce = |axes: Vec<usize>| Op::Reduce { kind: Reduction::Sum, axes };
    refused(&reduce(vec![1, 0]), &f32s(&[&[2, 3]]), "not ascending");
    refused(&reduce(vec![]), &f32s(&[&[2, 3]]), "not ascending");
    refused(&reduce(vec![2]), &f32s(&[&[2, 3]]), "has no axis 2");
    let dropout = Op::Random { function: RandomFunction::Dropout(1.0), seed: 0, site: 0 };
    refused(&dropout, &f32s(&[&[2], &[]]), "the rate must lie in 0..1");
}

#[test]
fn movement() {
    let x = f32s(&[&[2, 6]]);
    refused(&Op::Reshape(Shape::from_slice(&[5])), &x, "the number of elements changes");
    refused(&Op::Permute(vec![0, 0]), &x, "not a permutation");
    refused(&Op::Permute(vec![0]), &x, "not a permutation");
    refused(&Op::Expand(Shape::from_slice(&[2, 7])), &x, "does not broadcast");
    refused(&Op::Expand(Shape::from_slice(&[6])), &x, "does not broadcast");
    refused(&Op::Slice { axis: 1, start: 4, length: 3 }, &x, "ends behind the axis");
    refused(&Op::Slice { axis: 1, start: u64::MAX, length: 3 }, &x, "ends behind the axis");
    refused(&Op::Slice { axis: 1, start: 1, length: 0 }, &x, "holds nothing");
    refused(&Op::Pad { axis: 1, before: u64::MAX, after: 0 }, &x, "larger than any memory");
    refused(&Op::Pad { axis: 1, before: 1 << 50, after: 0 }, &x, "larger than any memory");
    refused(&Op::Concat { axis: 0 }, &[], "there is no operand");
    refused(&Op::Concat { axis: 0 }, &f32s(&[&[2, 3], &[2, 4]]), "differ in more than the axis");
    refused(&Op::Concat { axis: 0 }, &[Type::f32(&[2]), Type::i32(&[2])], "differ in more than the axis");
}

#[test]
fn matrices_tables_and_norms() {
    let matmul = Op::MatMul { transpose_left: false, transpose_right: true };
    refused(&matmul, &f32s(&[&[3], &[3]]), "two or more dimensions");
    refused(&matmul, &f32s(&[&[2, 3, 4], &[5, 4]]), "both as many");
    refused(&matmul, &f32s(&[&[2, 3, 4], &[3, 5, 4]]), "the leading dimensions differ");
    refused(&matmul, &[Type::f32(&[2, 4]), Type::i32(&[3, 4])], "operand 1 must be of floats");
    refused(&Op::Gather, &f32s(&[&[5, 2], &[3]]), "operand 1 must be of i32");
    refused(&Op::Gather, &[Type::f32(&[5]), Type::i32(&[3])], "operand 0 must have 2 dimensions");
    let scatter = Op::ScatterAdd { rows: 4 };
    refused(&scatter, &[Type::i32(&[3]), Type::f32(&[2, 5])], "operand 1 must be f32[3, 5]");
    refused(&Op::Softmax, &f32s(&[&[]]), "at least one dimension");
    let norm = Op::LayerNorm { eps: 1e-5 };
    refused(&norm, &f32s(&[&[2, 3], &[2], &[3]]), "operand 1 must be f32[3]");
    let grad = Op::RmsNormGrad { eps: 1e-5, wrt: NormInput::Shift };
    refused(&grad, &f32s(&[&[2, 3], &[3], &[2, 3]]), "there is no shift");
    let grad = Op::RmsNormGrad { eps: 1e-5, wrt: NormInput::Value };
    refused(&grad, &f32s(&[&[2, 3], &[3], &[3]]), "operand 2 must be f32[2, 3]");
    refused(&Op::CrossEntropy(LossPlan::default()), &[Type::f32(&[4, 7]), Type::i32(&[3])], "operand 1 must be i32[4]");
    refused(&Op::AddScalars, &vec![Type::f32(&[]); 65], "1 to 64 operands");
}

#[test]
fn attention() {
    let settings = AttentionSettings { documents: true, ..AttentionSettings::causal(1.0) };
    let op = Op::Attention(settings);
    let good = [
        Type::f32(&[2, 3, 4, 6]),
        Type::f32(&[2, 3, 2, 6]),
        Type::f32(&[2, 3, 2, 5]),
        Type::i32(&[2, 3]),
        Type::i32(&[2, 3]),
    ];
    let refs: Vec<&Type> = good.iter().collect();
    assert_eq!(infer(&op, &refs), Ok(Type::f32(&[2, 3, 4, 5])));
    let with = |operand: usize, ty: Type| {
        let mut types = good.to_vec();
        types[operand] = ty;
        types
    };
    refused(&op, &good[..3], "5 operands are needed");
    refused(&op, &with(1, Type::f32(&[2, 3, 2, 5])), "query and key differ");
    refused(&op, &with(2, Type::f32(&[2, 4, 2, 5])), "key and value differ");
    refused(&op, &with(0, Type::f32(&[2, 3, 3, 6])), "a multiple of the key heads");
    refused(&op, &with(0, Type::f32(&[2, 4, 4, 6])), "equally long");
    refused(&op, &with(3, Type::f32(&[2, 3])), "operand 3 must be i32[2, 3]");
    let rotate = Op::Rotate { rotary: crate::plan::Rotary::plain(10.0), inverse: false };
    refused(&rotate, &[Type::f32(&[2, 3, 2, 5]), Type::i32(&[2, 3])], "must be even");
    let write = [Type::f32(&[2, 3, 2, 5]), Type::f32(&[2, 4, 2, 5]), Type::f32(&[2])];
    refused(&Op::CacheWrite, &write, "more positions are written than the cache has");
}
