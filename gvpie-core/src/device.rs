//! The device: a GPU through wgpu, or the host's own processor.
//!
//! Every wait on a GPU is bounded, every creation is watched by error scopes, and a lost device
//! is told from a full one and from a mistaken call.

use crate::adapter::{Adapter, Findings, describe};
use crate::error::{Error, Result};
use crate::host::Machine;
use crate::memory::staging::Staging;
use crate::memory::{Pool, heaps, host_memory};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Where operations run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A GPU, or a software driver that stands in for one.
    Gpu,
    /// The host's processor; needs no driver.
    Cpu,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Backend::Gpu => "gpu",
            Backend::Cpu => "cpu",
        })
    }
}

/// A GPU device or the host; cheap to clone. Operations never ask which: buffers, kernels and
/// batches do.
#[derive(Debug, Clone)]
pub enum Device {
    /// A device of wgpu.
    Wgpu(Arc<GpuDevice>),
    /// The host's processor and memory.
    Host(Arc<HostDevice>),
}

/// The host as a device: an account of memory, and a machine for kernels.
#[derive(Debug)]
pub struct HostDevice {
    pool: Pool,
    machine: Machine,
}

impl HostDevice {
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }
}

/// A wgpu device with what is needed to use it safely.
#[derive(Debug)]
pub struct GpuDevice {
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    features: wgpu::Features,
    lost: Arc<OnceLock<String>>,
    fault: Arc<Mutex<Option<wgpu::Error>>>,
    findings: Findings,
    timeout: Duration,
    /// Whether a wait has ended before the work it waited for.
    overdue: AtomicBool,
    pool: Pool,
    staging: Staging,
}

/// What a device may offer and our kernels may use; asked for wherever the adapter has it.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SUBGROUP_BARRIER)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_F64)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);

impl Device {
    /// The host, whose kernels may run for `timeout` each, under the sanitizer if `check` is set.
    pub(crate) fn host(pool: Pool, timeout: Duration, check: bool) -> Self {
        Device::Host(Arc::new(HostDevice { pool, machine: Machine::new(timeout, check) }))
    }

    /// Opens an adapter with every wanted feature it has, and every limit, but for a smaller one of
    /// what is bound at once.
    pub(crate) async fn open(
        Adapter { adapter, findings }: Adapter,
        pool: Pool,
        binding_limit: Option<u64>,
        timeout: Duration,
    ) -> Result<Self> {
        let info = adapter.get_info();
        let features = adapter.features() & WANTED;
        // SAFETY: what is experimental here is cooperative matrices. Only shaders of this crate use
        // them (`shader::parse` refuses them in any other), on devices that list the very sizes
        // and types, and within bounds that their plans have checked.
        let experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        let mut limits = adapter.limits();
        let bound = &mut limits.max_storage_buffer_binding_size;
        *bound = binding_limit.unwrap_or(u64::MAX).min(*bound) & !15;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("gvpie"),
                required_features: features,
                required_limits: limits.clone(),
                experimental_features,
                ..Default::default()
            })
            .await
            .map_err(|error| Error::Internal {
                what: format!("opening {}", describe(&info)),
                message: error.to_string(),
            })?;

        let lost = Arc::new(OnceLock::new());
        let told = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            let words = if message.is_empty() { format!("{reason:?}") } else { message };
            let _ = told.set(words); // the first report is the cause; later ones are its echo
        });
        let fault = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error| {
            if let Ok(mut slot) = heard.lock() {
                slot.get_or_insert(error);
            }
        }));
        Ok(Device::Wgpu(Arc::new(GpuDevice {
            adapter,
            device,
            queue,
            info,
            limits,
            features,
            lost,
            fault,
            findings,
            timeout,
            overdue: AtomicBool::new(false),
            pool,
            staging: Staging::default(),
        })))
    }

    /// Bytes of device memory that work on tensors larger than it may plan with: what the budget has
    /// left; where there is none, most of what the driver says is free, else 1 GiB. On the host it is a
    /// quarter of the memory that is free.
    pub fn room(&self) -> u64 {
        match self {
            Device::Wgpu(gpu) => gpu.pool.room(|| Some(heaps::left(&gpu.adapter)? / 10 * 9)),
            Device::Host(host) => host.pool.room(|| Some(host_memory() / 4)),
        }
    }

    /// Which of the two kinds this is.
    pub fn backend(&self) -> Backend {
        match self {
            Device::Wgpu(_) => Backend::Gpu,
            Device::Host(_) => Backend::Cpu,
        }
    }

    /// The account of memory.
    pub fn pool(&self) -> &Pool {
        match self {
            Device::Wgpu(gpu) => &gpu.pool,
            Device::Host(host) => &host.pool,
        }
    }

    /// The wgpu device, if this is one.
    pub fn gpu(&self) -> Option<&GpuDevice> {
        match self {
            Device::Wgpu(gpu) => Some(gpu),
            Device::Host(_) => None,
        }
    }

    /// Workgroups along each axis of a dispatch at most.
    pub(crate) fn max_workgroups(&self) -> u32 {
        let host = || wgpu::Limits::defaults().max_compute_workgroups_per_dimension;
        self.gpu().map_or_else(host, |gpu| gpu.limits.max_compute_workgroups_per_dimension)
    }

    /// An error if `bytes` of one buffer is more than this device can show a kernel at once.
    pub(crate) fn check_binding(&self, bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
        match self {
            Device::Wgpu(gpu) => gpu.check_binding(bytes, what),
            Device::Host(_) => {
                within("max_storage_buffer_binding_size", bytes, Machine::MAX_BINDING, what)
            }
        }
    }

    /// Whether both handles name one device, so that buffers of one can be used with the other.
    pub(crate) fn is(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Wgpu(a), Device::Wgpu(b)) => Arc::ptr_eq(a, b),
            (Device::Host(a), Device::Host(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl GpuDevice {
    /// The adapter the device was opened on.
    pub fn adapter(&self) -> &wgpu::Adapter {
        &self.adapter
    }

    /// The device, for work that this crate has no words for (a window's render passes).
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.device
    }

    /// The queue of [`wgpu`](Self::wgpu).
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Name, kind, driver and back end of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The limits the device was opened with: all that the adapter has, but for
    /// [`ContextOptions::binding_limit`](crate::ContextOptions::binding_limit).
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// The features the device was opened with.
    pub fn features(&self) -> wgpu::Features {
        self.features
    }

    /// Whether shaders may use 16-bit floats.
    pub fn has_f16(&self) -> bool {
        self.features.contains(wgpu::Features::SHADER_F16)
    }

    /// Whether shaders may use 64-bit floats.
    pub fn has_f64(&self) -> bool {
        self.features.contains(wgpu::Features::SHADER_F64)
    }

    /// Whether shaders may multiply 16x16 matrices of f16, summed in f32, in subgroups of 32: what
    /// our kernels for tensor cores are written for.
    pub fn has_tensor_cores(&self) -> bool {
        use wgpu::CooperativeScalarType::{F16, F32};
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let fits = |p: &wgpu::CooperativeMatrixProperties| {
            (p.m_size, p.n_size, p.k_size) == (16, 16, 16)
                && (p.ab_type, p.cr_type) == (F16, F32)
                && !p.saturating_accumulation
        };
        self.features.contains(needed)
            && (self.info.subgroup_min_size, self.info.subgroup_max_size) == (32, 32)
            && self.adapter.cooperative_matrix_properties().iter().any(fits)
    }

    /// Whether buffers that are copied from may be mapped to be read.
    pub(crate) fn has_mappable_buffers(&self) -> bool {
        self.features.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    /// Whether passes can be timed by the device's own clock.
    pub fn has_timestamps(&self) -> bool {
        self.features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Whether this is a software driver.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// `name (kind, back end)`.
    pub fn name(&self) -> String {
        describe(&self.info)
    }

    /// The driver's name and version.
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_string()
    }

    /// How long a wait may last before it is an [`Error::Timeout`].
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// An error if the device was lost or reported a fault that no scope caught, as in work done
    /// on [`wgpu`](Self::wgpu) itself. `what` names that work.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; what was reported, once; [`Error::Faults`] where the sanitizer looks on.
    pub fn check(&self, what: &str) -> Result<()> {
        if let Some(reason) = self.lost.get() {
            return Err(Error::DeviceLost { reason: reason.clone() });
        }
        self.findings.check()?;
        let fault = self.fault.lock().ok().and_then(|mut slot| slot.take());
        fault.map_or(Ok(()), |error| Err(self.explain(error, what, 0)))
    }

    /// Runs `create` with all of wgpu's error scopes around it. `bytes` is what it allocates.
    pub(crate) fn scoped<T>(
        &self,
        what: &str,
        bytes: u64,
        create: impl FnOnce() -> T,
    ) -> Result<T> {
        self.check(what)?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = create();
        // Scopes nest, so they are popped innermost first. Off the web they resolve at once.
        let errors = [validation.pop_now(), internal.pop_now(), memory.pop_now()];
        // The loss of a device that was destroyed is told by a poll only, and to no scope.
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.check(what)?;
        match errors.into_iter().flatten().next() {
            None => Ok(made),
            Some(error) => Err(self.explain(error, what, bytes)),
        }
    }

    fn explain(&self, error: wgpu::Error, what: &str, bytes: u64) -> Error {
        match error {
            wgpu::Error::OutOfMemory { .. } => self.pool.out_of_memory(bytes, what),
            wgpu::Error::Validation { description, .. }
            | wgpu::Error::Internal { description, .. } => {
                Error::Internal { what: what.into(), message: description }
            }
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Waits until all that was submitted is done and told of.
    pub(crate) fn settle(&self, what: &str) -> Result<()> {
        self.wait_for(None, what)
    }

    /// Waits for a submission, at most for the device's timeout.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex, what: &str) -> Result<()> {
        self.wait_for(Some(submission), what)
    }

    /// To be called before each submission. A software driver takes one only when the one before
    /// is done, and would wait for that without a bound.
    pub(crate) fn ready(&self, what: &str) -> Result<()> {
        if self.is_software() { self.wait_for(None, what) } else { Ok(()) }
    }

    /// Waits for one submission, or for all of them.
    fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>, what: &str) -> Result<()> {
        let timeout = Some(self.timeout);
        let polled =
            self.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout });
        if let Err(wgpu::PollError::WrongSubmissionIndex(..)) = polled {
            // A device that is being lost takes no submission, and says so, to a poll only, when
            // the work before it is done.
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout });
        }
        self.check(what)?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => {
                self.overdue.store(true, Relaxed);
                Err(Error::Timeout { what: what.into(), after: self.timeout })
            }
            Err(error) => Err(Error::Internal { what: what.into(), message: error.to_string() }),
        }
    }

    /// Whether work that has outlasted a timeout still runs, and may for ever. Drivers wait for it
    /// where queues and pipelines are freed, without a bound: these are then left to the end of
    /// the process.
    pub(crate) fn is_stuck(&self) -> bool {
        let idle = || matches!(self.device.poll(wgpu::PollType::Poll), Ok(s) if s.is_queue_empty());
        self.overdue.load(Relaxed) && self.lost.get().is_none() && !idle()
    }

    /// An error if `bytes` in one buffer is more than this device can hold.
    pub(crate) fn check_size(&self, bytes: u64, what: &str) -> Result<()> {
        let allowed = self.limits.max_buffer_size;
        within("max_buffer_size", bytes, allowed, || what.into())
    }

    /// An error if `bytes` of one storage buffer is more than this device can show a kernel at once.
    pub(crate) fn check_binding(&self, bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
        let allowed = self.limits.max_storage_buffer_binding_size;
        within("max_storage_buffer_binding_size", bytes, allowed, what)
    }
}

/// An error if more is asked for than a limit allows.
fn within(
    limit: &'static str,
    asked: u64,
    allowed: u64,
    what: impl FnOnce() -> String,
) -> Result<()> {
    match asked > allowed {
        true => Err(Error::Limit { what: what(), limit, asked, allowed }),
        false => Ok(()),
    }
}

impl Drop for GpuDevice {
    fn drop(&mut self) {
        if self.is_stuck() {
            tracing::warn!("{}: work that did not finish in time still runs", self.name());
            std::mem::forget(self.queue.clone());
        }
    }
}

trait PopNow {
    fn pop_now(self) -> Option<wgpu::Error>;
}

impl PopNow for wgpu::ErrorScopeGuard {
    #[cfg(not(target_arch = "wasm32"))]
    fn pop_now(self) -> Option<wgpu::Error> {
        pollster::block_on(self.pop())
    }
    /// A browser cannot block: the scope is closed and errors reach the uncaptured handler.
    #[cfg(target_arch = "wasm32")]
    fn pop_now(self) -> Option<wgpu::Error> {
        None
    }
}
