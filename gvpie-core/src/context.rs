//! The context: a device, its pipelines, and what is known about it.

use crate::adapter::{Adapter, AdapterChoice, variable};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::cache;
use crate::device::{Backend, Device};
use crate::driver::{self, Capabilities};
use crate::element::Element;
use crate::error::{Budgets, Error, Result};
use crate::kernel::{Kernel, Pipeline, Pipelines};
use crate::memory::Pool;
use crate::shape::Shape;
use crate::tables::Tables;
use crate::tensor::Tensor;
use crate::texture::Texture;
use crate::tune::Choices;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What to ask of a [`Context`].
///
/// ```
/// use gvpie_core::{Backend, Context, ContextOptions};
/// # pollster::block_on(async {
/// let options = ContextOptions {
///     backend: Some(Backend::Cpu),
///     device_budget: Some(1 << 20),
///     ..ContextOptions::default()
/// };
/// let ctx = Context::request(options).await?;
/// assert!(ctx.zeros::<f32>([1024, 1024]).is_err()); // 4 MiB
/// # Ok::<(), gvpie_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ContextOptions {
    /// Exactly this back end, or an error. `None` takes a real GPU if there is one, else the CPU.
    pub backend: Option<Backend>,
    /// How to choose among adapters. Software drivers are taken only for `Some(Backend::Gpu)`.
    pub adapter: AdapterChoice,
    /// The most bytes of device memory that tensors and textures may take together. Without one they
    /// may take what the driver gives, and work on [`Paged`](crate::Paged) tensors plans with what it
    /// says is free ([`Device::room`]).
    pub device_budget: Option<u64>,
    /// The most bytes of host memory that pages of [`Paged`](crate::Paged) tensors and staging buffers
    /// may take together; half of what is free when it is first needed, unless said.
    pub host_budget: Option<u64>,
    /// The most bytes of files that pages may spill to; what the file system has free, unless said.
    pub disk_budget: Option<u64>,
    /// Where these files are: in a folder of their own below this one, which is removed with the
    /// context, or by the next context here where a process was killed. Unless said, below the system's
    /// temporary folder, and made when the first page spills.
    pub spill_folder: Option<PathBuf>,
    /// The most bytes of a buffer that a kernel is shown at once, to try what a device does that binds
    /// less than this one; `None` leaves it at what the adapter has.
    pub binding_limit: Option<u64>,
    /// How long a wait for the device may last; on the host, how long a kernel may run.
    pub timeout: Duration,
    /// Where compiled pipelines and [measured choices](crate::tune) are kept between runs; `None`
    /// neither reads nor keeps any.
    pub cache: Option<PathBuf>,
    /// Use a driver even if it fails the self-test.
    pub allow_driver: bool,
    /// Run every kernel under the sanitizer of the device in software (feature `vgpu`): on the CPU kernels
    /// of one's own, on the adapter [`SOFTWARE`](crate::SOFTWARE) all there are. Races, indices past the
    /// end and the like are then an [`Error::Faults`] of the next call; the birth of a NaN is not, as
    /// numbers may ask for it.
    pub check: bool,
}

impl Default for ContextOptions {
    /// No preference, no budget, 60 seconds, nothing kept on disk. Reads no environment.
    fn default() -> Self {
        ContextOptions {
            backend: None,
            adapter: AdapterChoice::default(),
            device_budget: None,
            host_budget: None,
            disk_budget: None,
            spill_folder: None,
            binding_limit: None,
            timeout: Duration::from_secs(60),
            cache: None,
            allow_driver: false,
            check: false,
        }
    }
}

impl ContextOptions {
    /// The options that the environment asks for:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `GVPIE_BACKEND` | `auto`, `gpu` or `cpu` |
    /// | `GVPIE_DEVICE_BUDGET`, `GVPIE_HOST_BUDGET`, `GVPIE_DISK_BUDGET` | bytes |
    /// | `GVPIE_SPILL_DIR` | folder for files of spilled pages |
    /// | `GVPIE_TIMEOUT` | seconds |
    /// | `GVPIE_CACHE_DIR` | folder for compiled pipelines and measured choices; empty keeps none |
    /// | `GVPIE_ALLOW_DRIVER` | `1` uses a driver that fails the self-test |
    /// | `GVPIE_CHECK` | `1` runs kernels in software under the sanitizer |
    /// | `WGPU_BACKEND`, `WGPU_ADAPTER_NAME`, `WGPU_POWER_PREF` | which adapter |
    ///
    /// # Errors
    /// [`Error::Setting`] where a variable holds something else.
    pub fn from_env() -> Result<Self> {
        let backend = read("GVPIE_BACKEND", "auto, gpu or cpu", parse_backend)?.unwrap_or_default();
        let seconds = |text: &str| text.parse().ok().filter(|&s: &f64| s > 0.0 && s < 1e9);
        let flag = |text: &str| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        };
        let budget = |name| read(name, "a number of bytes", |text| text.parse().ok());
        Ok(ContextOptions {
            backend,
            adapter: AdapterChoice::from_env()?,
            device_budget: budget("GVPIE_DEVICE_BUDGET")?,
            host_budget: budget("GVPIE_HOST_BUDGET")?,
            disk_budget: budget("GVPIE_DISK_BUDGET")?,
            spill_folder: variable("GVPIE_SPILL_DIR", "a folder")?.map(PathBuf::from),
            timeout: read("GVPIE_TIMEOUT", "a number of seconds", seconds)?
                .map_or(Self::default().timeout, Duration::from_secs_f64),
            binding_limit: None,
            cache: cache::folder(),
            allow_driver: read("GVPIE_ALLOW_DRIVER", "0 or 1", flag)?.unwrap_or(false),
            check: read("GVPIE_CHECK", "0 or 1", flag)?.unwrap_or(false),
        })
    }
}

impl ContextOptions {
    /// The pool these options describe. A folder that was named is opened, so that one that cannot be
    /// written is known before there is anything to spill.
    fn pool(&self) -> Result<Pool> {
        let budgets =
            Budgets { device: self.device_budget, host: self.host_budget, disk: self.disk_budget };
        let named = [
            ("device_budget", budgets.device),
            ("host_budget", budgets.host),
            ("disk_budget", budgets.disk),
        ];
        if let Some((name, _)) = named.iter().find(|(_, budget)| *budget == Some(0)) {
            return Err(Error::Setting {
                name: (*name).into(),
                value: "0".into(),
                expected: "at least 1 byte".into(),
            });
        }
        let folder = self.spill_folder.clone().unwrap_or_else(std::env::temp_dir);
        let pool = Pool::tiered(budgets, folder);
        if self.spill_folder.is_some() {
            pool.pages().slots().open()?;
        }
        Ok(pool)
    }
}

/// `auto`, `gpu` or `cpu`, in any case; the inner `None` is `auto`.
fn parse_backend(text: &str) -> Option<Option<Backend>> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Some(None),
        "gpu" => Some(Some(Backend::Gpu)),
        "cpu" => Some(Some(Backend::Cpu)),
        _ => None,
    }
}

fn read<T>(name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(value) = variable(name, expected)? else {
        return Ok(None);
    };
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(Error::Setting { name: name.into(), value, expected: expected.into() }),
    }
}

/// The one thing a program must create: a device with its compiled pipelines. Cheap to clone and
/// to share among threads.
///
/// ```
/// use gvpie_core::Context;
/// let ctx = Context::new()?; // a GPU if there is one, else the CPU
/// let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let b = ctx.upload([3, 2], &[1.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0])?;
/// let c = ctx.gemm(&a, &b)?;
/// assert_eq!(c.download()?, [4.0, 5.0, 10.0, 11.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pipelines: Pipelines,
    tables: Tables,
    capabilities: Capabilities,
    notice: Option<String>,
    choices: Choices,
    device: Device,
}

impl Context {
    /// A context as `options` ask for it: the exact call.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] and [`Error::Driver`] where a GPU was asked for and none can be used;
    /// [`Error::Setting`] for a budget of zero, [`Error::File`] for a spill folder that cannot be
    /// written.
    pub async fn request(options: ContextOptions) -> Result<Self> {
        match options.backend {
            Some(Backend::Cpu) => Self::on_host(&options, None),
            Some(Backend::Gpu) => Self::on_gpu(&options).await,
            None => match Self::on_gpu(&options).await {
                Ok(context) => Ok(context),
                Err(error @ (Error::NoAdapter { .. } | Error::Driver { .. })) => {
                    let notice = format!("computing on the CPU: {error}");
                    tracing::warn!("{notice}");
                    Self::on_host(&options, Some(notice))
                }
                Err(error) => Err(error),
            },
        }
    }

    /// A real GPU if there is one, else the CPU, as the environment wishes
    /// ([`ContextOptions::from_env`]). Which of the two it is, and why, is said once through
    /// `tracing` and kept in [`notice`](Self::notice).
    ///
    /// # Errors
    /// As [`request`](Self::request); [`Error::Setting`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::request(ContextOptions::from_env()?))
    }

    /// Exactly this back end, or an error that says why not.
    ///
    /// # Errors
    /// As [`request`](Self::request); [`Error::Setting`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn on(backend: Backend) -> Result<Self> {
        let options = ContextOptions { backend: Some(backend), ..ContextOptions::from_env()? };
        pollster::block_on(Self::request(options))
    }

    fn on_host(options: &ContextOptions, notice: Option<String>) -> Result<Self> {
        let device = Device::host(options.pool()?, options.timeout, options.check);
        Ok(Context(Arc::new(Inner {
            pipelines: Pipelines::default(),
            tables: Tables::default(),
            capabilities: Capabilities::HOST,
            notice,
            choices: Choices::new(&device, options.cache.as_deref()),
            device,
        })))
    }

    async fn on_gpu(options: &ContextOptions) -> Result<Self> {
        let mut choice = options.adapter.clone();
        choice.software |= options.backend == Some(Backend::Gpu);
        Self::on_adapter(choice.pick(options.timeout, options.check).await?, options).await
    }

    /// A context on an adapter that was chosen before, as a window's must be
    /// ([`AdapterChoice::adapter`]). Of `options`, what chooses is not read.
    ///
    /// # Errors
    /// [`Error::Driver`]; [`Error::Internal`] if the driver opens no device; [`Error::Setting`] for
    /// [`check`](ContextOptions::check) on any but the device in software.
    pub async fn on_adapter(adapter: Adapter, options: &ContextOptions) -> Result<Self> {
        if options.check && !adapter.findings.is_on() {
            return Err(Error::Setting {
                name: "check".into(),
                value: "true".into(),
                expected: "the CPU, or the adapter vgpu: a GPU does not let itself be looked at"
                    .into(),
            });
        }
        let pool = options.pool()?;
        let device = Device::open(adapter, pool, options.binding_limit, options.timeout).await?;
        let pipelines = Pipelines::new(&device, options.cache.clone());
        let capabilities = match device.gpu() {
            Some(gpu) => {
                tracing::info!("computing on {}, driver {}", gpu.name(), gpu.driver());
                driver::examine(&device, gpu, &pipelines, options.allow_driver).await?
            }
            None => Capabilities::HOST,
        };
        let choices = Choices::new(&device, options.cache.as_deref());
        let (tables, notice) = (Tables::default(), None);
        Ok(Context(Arc::new(Inner { pipelines, tables, capabilities, notice, choices, device })))
    }

    /// Where this context computes.
    pub fn backend(&self) -> Backend {
        self.0.device.backend()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Why a context that was free to choose computes on the CPU; `None` if it does not.
    pub fn notice(&self) -> Option<&str> {
        self.0.notice.as_deref()
    }

    /// The processor that computes, by name: the adapter's, or `cpu`.
    pub fn adapter(&self) -> String {
        self.0.device.gpu().map_or_else(|| "cpu".into(), |gpu| gpu.info().name.clone())
    }

    /// The driver's name and version; for the host, this crate's.
    pub fn driver(&self) -> String {
        let host = || concat!("gvpie ", env!("CARGO_PKG_VERSION")).into();
        self.0.device.gpu().map_or_else(host, |gpu| gpu.driver())
    }

    /// What the self-test found.
    pub fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    /// What was measured for this device, in this run or before it.
    pub fn choices(&self) -> &Choices {
        &self.0.choices
    }

    /// Whether [`Batch::time`] reads the device's own clock.
    pub fn has_timestamps(&self) -> bool {
        self.0.device.gpu().is_some_and(|gpu| gpu.has_timestamps())
    }

    /// A tensor holding `data`, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `data` has as many elements as `shape`; [`Error::Limit`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn upload<T: Element>(&self, shape: impl Into<Shape>, data: &[T]) -> Result<Tensor<T>> {
        let shape = shape.into();
        if shape.len() != Some(data.len()) {
            let expected = match shape.len() {
                Some(count) => format!("{count} elements for shape {shape}"),
                None => format!("elements for shape {shape}, more than can be counted"),
            };
            return Err(Error::shape("data", expected, format!("{} elements", data.len())));
        }
        let mut tensor = Tensor::zeros(&self.0.device, shape, "tensor")?;
        tensor.write(data)?;
        Ok(tensor)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn zeros<T: Element>(&self, shape: impl Into<Shape>) -> Result<Tensor<T>> {
        Tensor::zeros(&self.0.device, shape.into(), "tensor")
    }

    /// A picture of transparent black texels.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`]; [`Error::Shape`] for an
    /// empty one.
    pub fn texture(&self, width: u32, height: u32) -> Result<Texture> {
        Texture::new(&self.0.device, width, height)
    }

    /// The compiled form of a kernel, from the cache if it was compiled before.
    ///
    /// # Errors
    /// [`Error::Shader`] with the offending lines, [`Error::Binding`], [`Error::Limit`];
    /// [`Error::Unsupported`] on the host without feature `vgpu`, and with it for what a device in
    /// software lacks.
    pub fn pipeline(&self, kernel: &Kernel) -> Result<Pipeline> {
        self.0.pipelines.get(&self.0.device, kernel)
    }

    /// The table of this key, made where no plan of this context holds it.
    pub(crate) fn table(
        &self,
        key: String,
        make: impl FnOnce() -> Result<Buffer>,
    ) -> Result<Buffer> {
        self.0.tables.get(key, make)
    }

    /// An empty batch; `label` names it in errors and debuggers.
    pub fn batch(&self, label: &str) -> Batch {
        Batch::new(&self.0.device, label)
    }
}

#[cfg(test)]
impl Context {
    /// A context on the GPU that tests run on, as `GVPIE_GPU` wishes: `require` one, `vgpu` for the device in
    /// software, `off` for none; else there may be none.
    pub(crate) fn of_tests() -> Option<Self> {
        Self::of_tests_with(ContextOptions::from_env().unwrap())
    }

    /// The same with other options than the environment's.
    pub(crate) fn of_tests_with(mut options: ContextOptions) -> Option<Self> {
        let wish = std::env::var("GVPIE_GPU").unwrap_or_default();
        options.backend = Some(Backend::Gpu);
        if wish == crate::SOFTWARE {
            options.adapter.name = Some(wish.clone());
        }
        let found = || pollster::block_on(Self::request(options));
        match &*wish {
            "off" => None,
            "require" | crate::SOFTWARE => Some(found().expect("GVPIE_GPU asks for it")),
            _ => found().ok(),
        }
    }
}
