//! Matrix products by cuBLASLt: one plan for each product, its algorithm chosen once.
//!
//! cuBLASLt thinks in columns. A result that lies row by row is the transpose of one that lies column by column, so what is
//! computed is `out^T = b^T a^T`: the right operand comes first, and an operand whose rows lie side by side needs no
//! transposition.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::rc::Rc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use llmc_compiler::cuda::{Axis, Product};
use llmc_compiler::plan::{DType, Precision};
use llmc_compiler::schedule::Operand;
use llmc_data::Cache;

use super::algorithm::{self, Algorithm, Choices};
use super::driver::Card;
use super::library;
use super::memory::Memory;
use crate::device::DeviceError;

/// Addresses are told to be multiples of so many bytes at most.
const ALIGNMENT: u64 = 256;
/// Bytes that a product may use beside its operands: NVIDIA's advice for Hopper.
pub const WORKSPACE: u64 = 32 << 20;

/// The library, ready for use.
#[derive(Debug)]
pub struct Library {
    handle: sys::cublasLtHandle_t,
    precision: Precision,
    workspace: Memory,
    choices: Choices,
    card: Rc<Card>,
}

/// A product made ready.
#[derive(Debug)]
pub struct Plan {
    form: Form,
    algorithm: Algorithm,
}

/// What the library is told of a product.
#[derive(Debug)]
struct Form {
    description: sys::cublasLtMatmulDesc_t,
    /// First operand, second operand, result.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    /// Whether the operands change places.
    is_swapped: bool,
    /// Whether the sums of an operand are computed too.
    has_sums: bool,
    beta: f32,
}

/// One operand as cuBLASLt sees it: columns that lie `leading` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    is_transposed: bool,
    leading: u64,
    batch_stride: u64,
}

/// A product in cuBLASLt's terms: `[m, k] x [k, n]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    sizes: [u64; 3],
    batch: u64,
    first: Columns,
    second: Columns,
    result: Columns,
    is_swapped: bool,
}

impl Shape {
    /// None where an operand has no axis that lies side by side, or a batch has more than one distance.
    fn of(product: &Product) -> Option<Shape> {
        let [batch] = match product.batch[..] {
            [] => [Axis { size: 1, a: 0, b: 0, out: 0 }],
            [one] => [one],
            _ => return None,
        };
        let Product { rows, columns, depth, .. } = product;
        // The result's rows lie side by side, or else its columns: then it is its own transpose that is asked for.
        let is_swapped = !is_unit(columns.size, columns.out);
        let (across, down) = if is_swapped { (rows, columns) } else { (columns, rows) };
        let (inner, outer) = if is_swapped {
            ((rows.a, depth.a), (depth.b, columns.b))
        } else {
            ((columns.b, depth.b), (depth.a, rows.a))
        };
        let strides = if is_swapped { [batch.a, batch.b] } else { [batch.b, batch.a] };
        let operand = |down: (u64, u64), along: (u64, u64), batch_stride: u64| {
            // (size, stride) of the two axes; the one that lies side by side comes first.
            let plain = is_unit(down.0, down.1) && (along.0 == 1 || along.1 >= down.0);
            let turned = is_unit(along.0, along.1) && (down.0 == 1 || down.1 >= along.0);
            match (plain, turned) {
                (true, _) => Some(Columns { is_transposed: false, leading: leading(down.0, along), batch_stride }),
                (false, true) => Some(Columns { is_transposed: true, leading: leading(along.0, down), batch_stride }),
                _ => None,
            }
        };
        let first = operand((across.size, inner.0), (depth.size, inner.1), strides[0])?;
        let second = operand((depth.size, outer.0), (down.size, outer.1), strides[1])?;
        let result = operand((across.size, across.out), (down.size, down.out), batch.out)?;
        let is_apart = batch.size == 1 || batch.out > 0;
        let sizes = [across.size, down.size, depth.size];
        (!result.is_transposed && is_apart).then_some(Shape {
            sizes,
            batch: batch.size,
            first,
            second,
            result,
            is_swapped,
        })
    }
}

impl Form {
    /// Types are those of the operands and of the result.
    fn new(
        shape: &Shape,
        [operands, results]: [sys::cudaDataType_t; 2],
        accumulate: bool,
        precision: Precision,
        sums: Option<(Operand, u64)>,
    ) -> Result<Form, CublasError> {
        let [m, n, k] = shape.sizes;
        let single = sys::cudaDataType_t::CUDA_R_32F;
        let compute = match precision {
            Precision::Tf32 if operands == single => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let description = result::create_matmul_desc(compute, single)?;
        let mut form = Form {
            description,
            layouts: [std::ptr::null_mut(); 3],
            is_swapped: shape.is_swapped,
            has_sums: sums.is_some(),
            beta: if accumulate { 1.0 } else { 0.0 },
        };
        let parts = [(operands, m, k, shape.first), (operands, k, n, shape.second), (results, m, n, shape.result)];
        for (layout, (kind, rows, columns, of)) in form.layouts.iter_mut().zip(parts) {
            *layout = of.layout(kind, [rows, columns], shape.batch)?;
        }
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        // 0 and 1 are `CUBLAS_OP_N` and `CUBLAS_OP_T`.
        form.describe(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(shape.first.is_transposed))?;
        form.describe(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(shape.second.is_transposed))?;
        if let Some((of, address)) = sums {
            use sys::cublasLtEpilogue_t::{CUBLASLT_EPILOGUE_BGRADA as FIRST, CUBLASLT_EPILOGUE_BGRADB as SECOND};
            let is_first = (of == Operand::Left) == shape.is_swapped;
            form.describe(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, if is_first { &FIRST } else { &SECOND })?;
            form.describe(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address)?;
            form.describe(Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &single)?;
        }
        Ok(form)
    }

    /// The value has the type of its attribute: an enumeration or number of 32 bits, or an address.
    fn describe<T>(&self, attribute: sys::cublasLtMatmulDescAttributes_t, value: &T) -> Result<(), CublasError> {
        // SAFETY: the description is there as long as this is.
        set(value, |at, size| unsafe { result::set_matmul_desc_attribute(self.description, attribute, at, size) })
    }
}

impl Columns {
    fn layout(
        self,
        kind: sys::cudaDataType_t,
        [rows, columns]: [u64; 2],
        batch: u64,
    ) -> Result<sys::cublasLtMatrixLayout_t, CublasError> {
        let (rows, columns) = if self.is_transposed { (columns, rows) } else { (rows, columns) };
        let layout = result::create_matrix_layout(kind, rows, columns, self.leading as i64)?;
        use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
        let count = Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
        let distance = Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
        // SAFETY: the layout was just made; both values have the types of their attributes.
        unsafe {
            set(&(batch as i32), |at, size| result::set_matrix_layout_attribute(layout, count, at, size))?;
            set(&(self.batch_stride as i64), |at, size| {
                result::set_matrix_layout_attribute(layout, distance, at, size)
            })?;
        }
        Ok(layout)
    }
}

fn is_unit(size: u64, stride: u64) -> bool {
    size == 1 || stride == 1
}

/// Distance of columns of `height` elements; a single column has any.
fn leading(height: u64, (size, stride): (u64, u64)) -> u64 {
    if size == 1 { height } else { stride }
}

/// Types of the operands and of the result; none where the library has no product of these types.
fn kinds([a, b, out]: [DType; 3]) -> Option<[sys::cudaDataType_t; 2]> {
    let kind = |dtype: DType| match dtype {
        DType::F32 => Some(sys::cudaDataType_t::CUDA_R_32F),
        DType::Bf16 => Some(sys::cudaDataType_t::CUDA_R_16BF),
        DType::F16 => Some(sys::cudaDataType_t::CUDA_R_16F),
        DType::I32 => None,
    };
    if a != b || (out != a && out != DType::F32) {
        return None;
    }
    Some([kind(a)?, kind(out)?])
}

/// The largest power of two that divides an address.
fn alignment(address: u64) -> u32 {
    1 << (address | ALIGNMENT).trailing_zeros()
}

fn failed(doing: &str, error: CublasError) -> DeviceError {
    DeviceError::Cuda(format!("cuBLASLt cannot {doing} a matrix product: {error:?}"))
}

impl Plan {
    /// Whether the sums of an operand are computed too.
    pub fn has_sums(&self) -> bool {
        self.form.has_sums
    }
}

impl Library {
    /// None where there is no cuBLASLt: every product has a kernel of our own too. The cache remembers algorithms.
    pub fn open(card: &Rc<Card>, precision: Precision, cache: Option<Cache>) -> Result<Option<Library>, DeviceError> {
        library::open();
        let opened = llmc_data::caught(|| {
            // SAFETY: only opens the library.
            if !unsafe { sys::is_culib_present() } {
                return None;
            }
            // SAFETY: the library is there.
            Some((result::create_handle().ok()?, unsafe { sys::cublasLtGetVersion() }))
        });
        let Some(Some((handle, version))) = opened else { return Ok(None) };
        let choices = Choices::new(card, version, cache)?;
        let workspace = Memory::new(card, WORKSPACE)?;
        Ok(Some(Library { handle, precision, workspace, choices, card: Rc::clone(card) }))
    }

    /// Whether making products ready wrote to their results.
    pub fn has_timed(&self) -> bool {
        self.choices.has_timed()
    }

    /// Makes a product of operands at these addresses ready, with the sums of an operand that go to an address if the library
    /// can; none if the product is of a form that it does not take. May write to the results: see [`Library::has_timed`].
    pub fn plan(
        &self,
        product: &Product,
        sums: Option<(Operand, u64)>,
        addresses: [u64; 3],
    ) -> Result<Option<Plan>, DeviceError> {
        let (Some(shape), Some(kinds)) = (Shape::of(product), kinds(product.types)) else { return Ok(None) };
        let mut ways = vec![None];
        ways.extend(sums.map(Some));
        while let Some(sums) = ways.pop() {
            let failed = |error| failed("describe", error);
            let form = Form::new(&shape, kinds, product.accumulate, self.precision, sums).map_err(failed)?;
            let [a, b, out] = addresses;
            let (first, second) = if shape.is_swapped { (a, b) } else { (b, a) };
            let alignments = [first, second, out].map(alignment);
            let proposed = self.proposed(&form, alignments).map_err(failed)?;
            let of = sums.map(|(of, _)| of);
            let told =
                format!("{shape:?} {kinds:?} {:?} {} {alignments:?} {WORKSPACE} {of:?}", self.precision, form.beta);
            let chosen = self.choices.choose(told, &proposed, |algorithm| {
                // SAFETY: the operands are those that were described.
                unsafe { self.run(&form, algorithm, addresses) }
            });
            // A form that no algorithm takes is left to our own kernel.
            if let Some(algorithm) = chosen {
                return Ok(Some(Plan { form, algorithm }));
            }
        }
        Ok(None)
    }

    /// How the library would compute a product of operands and result that are aligned so.
    fn proposed(&self, form: &Form, [first, second, out]: [u32; 3]) -> Result<Vec<Algorithm>, CublasError> {
        let preference = result::create_matmul_pref()?;
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let alignments = [
            (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, first),
            (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, second),
            (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out),
            (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out),
        ];
        let bytes = Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: everything was made by the library, the values have the types of their attributes, and the preference is
        // destroyed once.
        unsafe {
            set(&WORKSPACE, |at, size| result::set_matmul_pref_attribute(preference, bytes, at, size))?;
            for (attribute, aligned) in alignments {
                set(&aligned, |at, size| result::set_matmul_pref_attribute(preference, attribute, at, size))?;
            }
            let proposed = algorithm::proposed(self.handle, form.description, form.layouts, preference, WORKSPACE);
            let _ = result::destroy_matmul_pref(preference);
            Ok(proposed)
        }
    }

    /// Launches a product of operands at these addresses.
    ///
    /// # Safety
    /// The addresses are those of the operands that the product was described by.
    pub unsafe fn launch(&self, plan: &Plan, addresses: [u64; 3]) -> Result<(), DeviceError> {
        // SAFETY: the caller's promise.
        unsafe { self.run(&plan.form, &plan.algorithm, addresses) }
    }

    /// The same by any algorithm proposed for the form.
    ///
    /// # Safety
    /// As [`Library::launch`].
    unsafe fn run(&self, form: &Form, algorithm: &Algorithm, [a, b, out]: [u64; 3]) -> Result<(), DeviceError> {
        let (first, second) = if form.is_swapped { (a, b) } else { (b, a) };
        let [left, right, result] = form.layouts;
        let alpha = 1.0f32;
        let pointer = |address: u64| address as *const c_void;
        // SAFETY: the caller's promise; the form was made by this library.
        let done = unsafe {
            result::matmul(
                self.handle,
                form.description,
                std::ptr::from_ref(&alpha).cast(),
                std::ptr::from_ref(&form.beta).cast(),
                pointer(first),
                left,
                pointer(second),
                right,
                pointer(out),
                result,
                out as *mut c_void,
                result,
                algorithm,
                self.workspace.address(0) as *mut c_void,
                WORKSPACE as usize,
                self.card.stream().cast(),
            )
        };
        done.map_err(|error| failed("compute", error))
    }
}

/// Passes a value by its address and size.
fn set<T>(value: &T, to: impl FnOnce(*const c_void, usize) -> Result<(), CublasError>) -> Result<(), CublasError> {
    to(std::ptr::from_ref(value).cast(), size_of::<T>())
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: made by `open`; nothing runs any more.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        // SAFETY: made by `new`, which may have failed before the last; nothing runs any more.
        unsafe {
            for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
                let _ = result::destroy_matrix_layout(layout);
            }
            let _ = result::destroy_matmul_desc(self.description);
        }
    }
}
