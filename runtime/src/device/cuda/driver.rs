//! The CUDA driver: a card, a stream, modules and recorded steps, each given back when it is dropped.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::rc::Rc;

use cudarc::driver::result::{self, DriverError, event, graph, module, stream};
use cudarc::driver::sys;

use super::library;
use crate::device::DeviceError;

/// A card with its context made current on this thread, and the one stream that everything runs on.
#[derive(Debug)]
pub struct Card {
    device: sys::CUdevice,
    stream: sys::CUstream,
    /// What its maker calls it.
    pub name: String,
    /// Its architecture: `(9, 0)` for Hopper.
    pub capability: (i32, i32),
}

/// What the driver says of a call.
pub fn failed(doing: &str, error: DriverError) -> DeviceError {
    let name = error.error_name().map(|name| name.to_string_lossy().into_owned());
    let reason = error.error_string().map(|text| text.to_string_lossy().into_owned());
    let [name, reason] = [name, reason].map(|text| text.unwrap_or_else(|_| format!("error {}", error.0 as u32)));
    DeviceError::Cuda(format!("cannot {doing}: {reason} ({name})"))
}

impl Card {
    /// Opens the first card that the driver shows.
    ///
    /// # Errors
    /// If there is no driver or no card.
    pub fn open() -> Result<Card, DeviceError> {
        library::open();
        let missing = |reason: &str| DeviceError::NoCuda(reason.to_owned());
        // Functions are looked up when they are first called; a driver that lacks one makes cudarc panic.
        let opened = llmc_data::caught(|| {
            // SAFETY: only opens the library.
            if !unsafe { sys::is_culib_present() } {
                return Err(missing("NVIDIA's driver (libcuda.so.1) is not on this machine"));
            }
            let none = |error: DriverError| match failed("start CUDA", error) {
                DeviceError::Cuda(reason) => DeviceError::NoCuda(reason),
                other => other,
            };
            result::init().map_err(none)?;
            if result::device::get_count().map_err(none)? == 0 {
                return Err(missing("the driver shows no card"));
            }
            let device = result::device::get(0).map_err(none)?;
            let attribute = |attribute| {
                // SAFETY: the device came from the driver.
                unsafe { result::device::get_attribute(device, attribute) }.map_err(none)
            };
            use sys::CUdevice_attribute::{
                CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
                CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
            };
            let capability = (attribute(MAJOR)?, attribute(MINOR)?);
            let name = result::device::get_name(device).map_err(none)?;
            // SAFETY: the device came from the driver; released when the card is dropped.
            let context = unsafe { result::primary_ctx::retain(device) }.map_err(none)?;
            // SAFETY: the context was just retained.
            unsafe { result::ctx::set_current(context) }.map_err(none)?;
            let stream = stream::create(stream::StreamKind::NonBlocking).map_err(none)?;
            Ok(Card { device, stream, name, capability })
        });
        opened.unwrap_or_else(|| Err(missing("the driver is too old: it lacks a function that is needed")))
    }

    /// Free and all bytes of its memory.
    pub fn memory(&self) -> Result<(u64, u64), DeviceError> {
        let (free, all) = result::mem_get_info().map_err(|error| failed("ask for free memory", error))?;
        Ok((free as u64, all as u64))
    }

    /// The newest CUDA that the driver knows: 13000 for 13.0.
    pub fn driver_version(&self) -> Result<i32, DeviceError> {
        let mut version = 0;
        // SAFETY: writes one number.
        let asked = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
        asked.map(|()| version).map_err(|error| failed("ask for the driver's version", error))
    }

    /// The stream, for libraries that launch by themselves.
    pub fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// Waits for all that was asked for.
    ///
    /// # Errors
    /// What failed meanwhile: from then on nothing works any more.
    pub fn synchronize(&self, doing: &str) -> Result<(), DeviceError> {
        // SAFETY: the stream is this card's.
        unsafe { stream::synchronize(self.stream) }.map_err(|error| failed(doing, error))
    }

    /// Loads machine code.
    pub fn load(self: &Rc<Card>, cubin: &[u8]) -> Result<Code, DeviceError> {
        // SAFETY: a whole cubin, as the compiler or the cache gave it; the driver checks its form.
        let module = unsafe { module::load_data(cubin.as_ptr().cast()) };
        Ok(Code { module: module.map_err(|error| failed("load the kernels", error))?, _card: Rc::clone(self) })
    }

    /// Records what `work` launches instead of running it.
    ///
    /// # Errors
    /// Of `work`, or if the driver cannot record it.
    pub fn record(self: &Rc<Card>, work: impl FnOnce() -> Result<(), DeviceError>) -> Result<Recorded, DeviceError> {
        let failed = |error| failed("record a step", error);
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is this card's and not yet recording; the recording is ended below whatever happens.
        let (done, recorded) = unsafe {
            stream::begin_capture(self.stream, mode).map_err(failed)?;
            (work(), stream::end_capture(self.stream))
        };
        done?;
        let recorded = recorded.map_err(failed)?;
        // SAFETY: the graph was just recorded, and is not used after it was made executable.
        let executable = unsafe {
            let executable = graph::instantiate(recorded, sys::CUgraphInstantiate_flags(0));
            let _ = graph::destroy(recorded);
            executable
        };
        Ok(Recorded { graph: executable.map_err(failed)?, card: Rc::clone(self) })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // SAFETY: both were made by `open`; everything else that the card gave out holds the card and is gone by now. An error
        // here means that the context is lost already.
        unsafe {
            let _ = stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Loaded machine code.
#[derive(Debug)]
pub struct Code {
    module: sys::CUmodule,
    _card: Rc<Card>,
}

/// A kernel, as long as its [`Code`] lives.
#[derive(Debug, Clone, Copy)]
pub struct Kernel(sys::CUfunction);

impl Code {
    /// The kernel of a name.
    pub fn kernel(&self, name: &str) -> Result<Kernel, DeviceError> {
        let text = CString::new(name).map_err(|_| DeviceError::UnknownName(name.to_owned()))?;
        // SAFETY: the module is loaded.
        let function = unsafe { module::get_function(self.module, text) };
        Ok(Kernel(function.map_err(|error| failed(&format!("find the kernel {name}"), error))?))
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: loaded by `load`; launches are waited for before a device is dropped.
        let _ = unsafe { module::unload(self.module) };
    }
}

/// Bytes that blocks share without asking.
const SHARED: u32 = 48 << 10;

impl Kernel {
    /// Asks that its blocks may share so many bytes.
    ///
    /// # Errors
    /// If the card has not as much.
    pub fn may_share(self, name: &str, bytes: u32) -> Result<(), DeviceError> {
        if bytes <= SHARED {
            return Ok(());
        }
        let most = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the module is loaded.
        let asked = unsafe { result::function::set_function_attribute(self.0, most, bytes as i32) };
        asked.map_err(|error| failed(&format!("share {bytes} bytes in the kernel {name}"), error))
    }

    /// Launches it with blocks of so many threads that share so many bytes. Each word holds one argument in its low bytes.
    ///
    /// # Safety
    /// The arguments are those that the kernel was printed with, and their addresses reach as far as it goes.
    pub unsafe fn launch(
        self,
        card: &Card,
        grid: [u32; 2],
        [threads, shared]: [u32; 2],
        words: &mut [u64],
    ) -> Result<(), DriverError> {
        let mut pointers: smallvec::SmallVec<[*mut c_void; 24]> =
            words.iter_mut().map(|word| std::ptr::from_mut(word).cast()).collect();
        // SAFETY: the caller's promise; the driver copies the arguments before it returns.
        unsafe {
            result::launch_kernel(self.0, (grid[0], grid[1], 1), (threads, 1, 1), shared, card.stream, &mut pointers)
        }
    }
}

/// What a failed launch is told as.
pub fn launch_failed(kernel: &str, place: &str, error: DriverError) -> DeviceError {
    failed(&format!("run the kernel {kernel} of {place}"), error)
}

/// A recorded sequence of launches.
#[derive(Debug)]
pub struct Recorded {
    graph: sys::CUgraphExec,
    card: Rc<Card>,
}

impl Recorded {
    /// Launches all of it.
    pub fn launch(&self, doing: &str) -> Result<(), DeviceError> {
        // SAFETY: graph and stream are the card's; what the launches point to lives as long as the device.
        unsafe { graph::launch(self.graph, self.card.stream) }.map_err(|error| failed(doing, error))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: made by `record`.
        let _ = unsafe { graph::exec_destroy(self.graph) };
    }
}

/// A place in the stream's order.
#[derive(Debug)]
pub struct Mark {
    event: sys::CUevent,
    card: Rc<Card>,
}

impl Mark {
    /// One that is past.
    pub fn new(card: &Rc<Card>) -> Result<Mark, DeviceError> {
        let event =
            event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(|error| failed("make an event", error))?;
        Ok(Mark { event, card: Rc::clone(card) })
    }

    /// Sets it behind all that was asked for.
    pub fn set(&self) -> Result<(), DeviceError> {
        // SAFETY: event and stream are the card's.
        unsafe { event::record(self.event, self.card.stream) }.map_err(|error| failed("set an event", error))
    }

    /// Waits until it is past.
    pub fn wait(&self, doing: &str) -> Result<(), DeviceError> {
        // SAFETY: the event is the card's.
        unsafe { event::synchronize(self.event) }.map_err(|error| failed(doing, error))
    }

    /// Seconds since an earlier one; both must be past.
    pub fn seconds_since(&self, earlier: &Mark) -> Result<f64, DeviceError> {
        // A driver before CUDA 12.8 has not the function that cudarc asks for.
        // SAFETY: both events are the card's, and set on one stream.
        let milliseconds = llmc_data::caught(|| unsafe { event::elapsed(earlier.event, self.event) });
        let old = || DeviceError::Cuda("cannot time a kernel: the driver is older than CUDA 12.8".to_owned());
        let milliseconds = milliseconds.ok_or_else(old)?.map_err(|error| failed("time a kernel", error))?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // SAFETY: made by `new`.
        let _ = unsafe { event::destroy(self.event) };
    }
}
