//! Types of selection along the last axis and of routed matrix products.

use super::Operands;
use crate::op::{Op, Shape, Type};
use crate::plan::DType;

pub(super) fn infer(operands: &Operands<'_>) -> Result<Type, String> {
    match *operands.op {
        Op::TopK { count } => {
            operands.expect_count(1)?;
            if !(1..=operands.last(0)?).contains(&count) {
                return operands.refuse("the last axis has fewer elements than are asked for");
            }
            Ok(Type { shape: with_last(operands.shape(0), count), dtype: DType::I32 })
        }
        Op::Pick => {
            operands.expect_count(2)?;
            operands.last(0)?;
            let picked = ids_of_rows(operands, operands.shape(0), 1)?;
            Ok(Type::f32(&with_last(operands.shape(0), picked)))
        }
        Op::Place { size } => {
            operands.expect_count(2)?;
            operands.last(1)?;
            let placed = ids_of_rows(operands, operands.shape(1), 0)?;
            operands.expect(1, &Type::f32(&with_last(operands.shape(0), placed)))?;
            Ok(Type::f32(&with_last(operands.shape(0), size)))
        }
        Op::RoutedMatMul { transpose } => {
            operands.expect_count(3)?;
            let ([_, inner], rows) = (rows_of(operands, 0, 1)?, operands.shape(1)[0]);
            operands.expect_float(2)?;
            operands.expect_rank(2, 3)?;
            let matrices = operands.shape(2);
            let (depth, columns) = if transpose { (matrices[2], matrices[1]) } else { (matrices[1], matrices[2]) };
            if depth != inner {
                return operands.refuse("the rows do not fit the matrices");
            }
            Ok(Type::f32(&[rows, columns]))
        }
        Op::RoutedOuter { experts } => {
            operands.expect_count(3)?;
            let (a, b) = (rows_of(operands, 0, 1)?, rows_of(operands, 2, 1)?);
            Ok(Type::f32(&[experts, a[1], b[1]]))
        }
        _ => unreachable!("the caller passes selection and routing only"),
    }
}

fn with_last(shape: &[u64], size: u64) -> Shape {
    let mut shape = Shape::from_slice(shape);
    if let Some(last) = shape.last_mut() {
        *last = size;
    }
    shape
}

/// Size of the last axis of the ids `operand`, whose other axes must be those of `shape`.
fn ids_of_rows(operands: &Operands<'_>, shape: &[u64], operand: usize) -> Result<u64, String> {
    operands.expect_integer(operand)?;
    operands.expect_rank(operand, shape.len())?;
    let ids = operands.shape(operand);
    let last = shape.len() - 1;
    if ids[..last] != shape[..last] {
        return operands.refuse("the leading dimensions differ");
    }
    Ok(ids[last])
}

/// The sizes of the rows `operand`, of which each has equally many of the ids `ids`.
fn rows_of(operands: &Operands<'_>, operand: usize, ids: usize) -> Result<[u64; 2], String> {
    operands.expect_float(operand)?;
    operands.expect_rank(operand, 2)?;
    operands.expect_integer(ids)?;
    operands.expect_rank(ids, 1)?;
    let shape = operands.shape(operand);
    if shape[0] == 0 || !operands.shape(ids)[0].is_multiple_of(shape[0]) {
        return operands.refuse(&format!("the rows of operand {operand} do not have equally many ids"));
    }
    Ok([shape[0], shape[1]])
}
