//! NVRTC: CUDA C to the machine code of an architecture. Needs no card.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::io::Write;

use cudarc::nvrtc::{result, sys};
use llmc_data::{Cache, Lookup};

use super::library;
use crate::device::DeviceError;

const OPTIONS: [&str; 1] = ["--std=c++17"];
/// Registers that do not fit go to slow memory: a mistake of ours, though no reason not to train.
const STRICT: [&str; 2] = ["--ptxas-options=--warn-on-spills", "--ptxas-options=--warning-as-error"];

/// Compiles for an architecture such as `sm_90`; taken from the cache of compiled kernels where it was compiled before.
///
/// # Errors
/// If there is no NVRTC, and whatever it says of the source.
pub fn cubin(source: &str, architecture: &str, cache: Option<&Cache>) -> Result<Vec<u8>, DeviceError> {
    let key = format!("{architecture}\n{OPTIONS:?}\n{source}");
    let name = format!("cubin-{}", blake3::hash(key.as_bytes()).to_hex());
    if let Some(Lookup::Found(found)) = cache.map(|cache| cache.open(&name)) {
        return Ok(found.to_vec());
    }
    let made = compile_with(source, architecture, &[])?;
    if let Some(cache) = cache {
        // A cache that cannot be written costs the next start some seconds, nothing else.
        let _ = cache.write(&name, |file| Ok(file.write_all(&made)?));
    }
    Ok(made)
}

/// Compiles anew; registers that do not fit are an error.
///
/// # Errors
/// If there is no NVRTC, and whatever it says of the source.
pub fn compile(source: &str, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    compile_with(source, architecture, &STRICT)
}

fn compile_with(source: &str, architecture: &str, further: &[&str]) -> Result<Vec<u8>, DeviceError> {
    library::open();
    let missing = || DeviceError::NoCuda("NVIDIA's run-time compiler (libnvrtc.so) is not found".to_owned());
    let compiled = llmc_data::caught(|| {
        // SAFETY: only opens the library.
        if !unsafe { sys::is_culib_present() } {
            return Err(missing());
        }
        run(source, architecture, further)
    });
    compiled.unwrap_or_else(|| Err(missing()))
}

fn run(source: &str, architecture: &str, further: &[&str]) -> Result<Vec<u8>, DeviceError> {
    let text = CString::new(source).map_err(|_| DeviceError::Cuda("a kernel's source holds a zero".to_owned()))?;
    let failed = |doing: &str, error: result::NvrtcError| DeviceError::Cuda(format!("NVRTC cannot {doing}: {error}"));
    let program = result::create_program(&text, Some(c"llmc.cu")).map_err(|error| failed("start", error))?;
    let options: Vec<String> = [format!("--gpu-architecture={architecture}")]
        .into_iter()
        .chain(OPTIONS.iter().chain(further).map(|option| (*option).to_owned()))
        .collect();
    // SAFETY: the program was just made, and is destroyed once, below; its source lives until then.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let made = match compiled {
            Ok(()) => machine_code(program).map_err(|error| failed("give the machine code", error)),
            Err(error) => {
                let log = result::get_program_log(program).unwrap_or_default();
                let log: Vec<u8> = log.into_iter().map(|byte| byte as u8).take_while(|byte| *byte != 0).collect();
                let log = String::from_utf8_lossy(&log);
                Err(DeviceError::Cuda(format!(
                    "NVRTC refuses the kernels for {architecture} ({error}):\n{}",
                    log.trim()
                )))
            }
        };
        let _ = result::destroy_program(program);
        made
    }
}

/// # Safety
/// The program was compiled.
unsafe fn machine_code(program: sys::nvrtcProgram) -> Result<Vec<u8>, result::NvrtcError> {
    let mut size = 0;
    // SAFETY: the caller's promise; the buffer has the size that was told.
    unsafe {
        sys::nvrtcGetCUBINSize(program, &mut size).result()?;
        let mut bytes = vec![0u8; size];
        sys::nvrtcGetCUBIN(program, bytes.as_mut_ptr().cast::<c_char>()).result()?;
        Ok(bytes)
    }
}
