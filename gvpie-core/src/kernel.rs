//! Kernels and pipelines: a description of compute work, and its compiled form.

use crate::buffer::Buffer;
use crate::cache;
use crate::device::{Device, GpuDevice, HostDevice};
use crate::error::{Error, Result};
use crate::host::Program;
use crate::shader::{self, Access, Origin, Reflection, Values};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A compute kernel as plain data: WGSL, an entry point, override constants.
///
/// ```
/// use gvpie_core::Kernel;
/// let kernel = Kernel::wgsl("fill", "
///     override value: f32 = 0.0;
///     @group(0) @binding(0) var<storage, read_write> x: array<f32>;
///     @compute @workgroup_size(64) fn fill(@builtin(global_invocation_id) id: vec3<u32>) {
///         if (id.x < arrayLength(&x)) { x[id.x] = value; }
///     }").constant("value", 7.0);
/// assert_eq!(kernel.reflect()?.entry, "fill");
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Kernel {
    label: Cow<'static, str>,
    source: Source,
    entry: Option<Cow<'static, str>>,
    constants: Vec<(&'static str, f64)>,
    fields: Vec<(&'static str, usize)>,
}

#[derive(Debug, Clone)]
enum Source {
    /// Text from outside the crate: always bounds-checked.
    Given(Arc<str>),
    /// A shader of this crate, whose indices its plan has checked.
    Ours { name: &'static str, values: Values },
}

impl Kernel {
    /// A kernel from WGSL text. Bindings are in group 0: at most one uniform block (the
    /// parameters) and storage buffers; their kinds are read off the text.
    pub fn wgsl(label: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Kernel {
            label: label.into(),
            source: Source::Given(text.into().into()),
            entry: None,
            constants: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// A kernel from one of the crate's own shaders.
    pub(crate) fn ours(
        label: impl Into<Cow<'static, str>>,
        name: &'static str,
        values: Values,
    ) -> Self {
        Kernel { source: Source::Ours { name, values }, ..Kernel::wgsl(label, "") }
    }

    /// Names the entry point; needed where the text has several.
    pub fn entry(self, name: impl Into<Cow<'static, str>>) -> Self {
        Kernel { entry: Some(name.into()), ..self }
    }

    /// Gives an `override` constant its value (booleans are 0 and 1).
    pub fn constant(mut self, name: &'static str, value: f64) -> Self {
        self.constants.push((name, value));
        self
    }

    /// States the parameter block's fields as Rust lays them out, for the test that holds them
    /// against WGSL's layout.
    pub(crate) fn fields(self, fields: Vec<(&'static str, usize)>) -> Self {
        Kernel { fields, ..self }
    }

    /// The label, as it appears in errors and debuggers.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file of this crate's shader, if it is one.
    pub fn shader(&self) -> Option<&'static str> {
        match self.source {
            Source::Given(_) => None,
            Source::Ours { name, .. } => Some(name),
        }
    }

    /// The parameter block's fields as (name, byte offset in Rust); empty where none were stated.
    pub fn param_fields(&self) -> &[(&'static str, usize)] {
        &self.fields
    }

    /// The WGSL text, rendered.
    ///
    /// # Errors
    /// [`Error::Shader`] if a template of this crate is broken.
    pub fn text(&self) -> Result<Cow<'_, str>> {
        match &self.source {
            Source::Given(text) => Ok(Cow::Borrowed(text)),
            Source::Ours { name, values } => Ok(Cow::Owned(shader::render(name, values)?)),
        }
    }

    /// The interface of the entry point, read off the text; no device is needed.
    ///
    /// # Errors
    /// As [`shader::reflect`].
    pub fn reflect(&self) -> Result<Reflection> {
        let text = self.text()?;
        let look = || {
            let parsed = shader::parse(&self.label, &text, self.origin())?;
            shader::reflection(&self.label, &parsed, self.entry.as_deref(), &self.constants)
        };
        match self.origin() {
            Origin::Given => shader::contained(&self.label, &text, look),
            Origin::Ours => look(),
        }
    }

    fn origin(&self) -> Origin {
        match self.source {
            Source::Given(_) => Origin::Given,
            Source::Ours { .. } => Origin::Ours,
        }
    }

    /// What tells this kernel from any other: all that its pipeline depends on.
    fn key(&self) -> String {
        let source = match &self.source {
            Source::Given(text) => format!("wgsl\n{text}"),
            Source::Ours { name, values } => format!("{name} {values:?}"),
        };
        format!("{source}\n{:?} {:?}", self.entry, self.constants)
    }
}

/// A compiled [`Kernel`]; cheap to clone. Made by [`Context::pipeline`](crate::Context::pipeline).
#[derive(Debug, Clone)]
pub struct Pipeline(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    label: String,
    device: Device,
    form: Form,
    reflection: Reflection,
    /// Whether buffers are bound with their padding, which our own kernels may read.
    padded: bool,
}

/// What a device runs.
#[derive(Debug)]
pub(crate) enum Form {
    Wgpu(wgpu::ComputePipeline, wgpu::BindGroupLayout),
    Host(Program),
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if let Form::Wgpu(pipeline, _) = &self.form
            && self.device.gpu().is_some_and(GpuDevice::is_stuck)
        {
            std::mem::forget(pipeline.clone());
        }
    }
}

impl Pipeline {
    /// The kernel's label.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// The interface of the entry point.
    pub fn reflection(&self) -> &Reflection {
        &self.0.reflection
    }

    pub(crate) fn device(&self) -> &Device {
        &self.0.device
    }

    /// The bytes that a kernel is shown of a buffer: all of it with its padding, or, so that
    /// `arrayLength` is the length asked for, no more than the least that can be bound beyond that.
    pub(crate) fn bound(&self, buffer: &Buffer, least: u64) -> Range<u64> {
        let asked = buffer.len().next_multiple_of(4).max(least);
        0..if self.0.padded { buffer.held() } else { asked }
    }

    /// Tells compiled kernels apart as long as they are held.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0.form
    }

    fn compile(
        device: &Device,
        kernel: &Kernel,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Result<Self> {
        let text = kernel.text()?;
        let gpu = match device {
            Device::Wgpu(gpu) => gpu,
            Device::Host(host) => return Self::compile_on_host(device, host, kernel, &text),
        };
        let build = || Self::build(device, gpu, kernel, &text, cache);
        match kernel.source {
            Source::Given(_) => shader::contained(&kernel.label, &text, build),
            Source::Ours { .. } => build(),
        }
    }

    fn compile_on_host(
        device: &Device,
        host: &HostDevice,
        kernel: &Kernel,
        text: &str,
    ) -> Result<Self> {
        let reflection = kernel.reflect()?;
        let (label, entry) = (&kernel.label, &reflection.entry);
        let (machine, pool) = (host.machine(), host.pool());
        let program = machine.compile(pool, label, text, entry, &kernel.constants)?;
        Ok(Self::new(device, kernel, Form::Host(program), reflection))
    }

    fn new(device: &Device, kernel: &Kernel, form: Form, reflection: Reflection) -> Self {
        Pipeline(Arc::new(Compiled {
            label: kernel.label.to_string(),
            device: device.clone(),
            form,
            reflection,
            padded: matches!(kernel.source, Source::Ours { .. }),
        }))
    }

    fn build(
        device: &Device,
        gpu: &GpuDevice,
        kernel: &Kernel,
        text: &str,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Result<Self> {
        let label = kernel.label.as_ref();
        let parsed = shader::parse(label, text, kernel.origin())?;
        let entry = kernel.entry.as_deref();
        let reflection = shader::reflection(label, &parsed, entry, &kernel.constants)?;
        check_limits(gpu, label, &reflection)?;

        let entries: Vec<_> = reflection.bindings.iter().map(layout_entry).collect();
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        };
        let (module, layout) = gpu.scoped(label, 0, || {
            let module = match kernel.source {
                Source::Given(_) => gpu.wgpu().create_shader_module(descriptor),
                // SAFETY: the shaders of this crate index only within bounds that their plans
                // have checked against every operand (`Plan::record`), and their loops end by
                // construction; tests/parity.rs runs each over its table of hard cases.
                Source::Ours { .. } => unsafe {
                    gpu.wgpu().create_shader_module_trusted(
                        descriptor,
                        wgpu::ShaderRuntimeChecks::unchecked(),
                    )
                },
            };
            let layout = gpu.wgpu().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            });
            (module, layout)
        })?;
        let pipeline = gpu.scoped(label, 0, || {
            let pipeline_layout =
                gpu.wgpu().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(label),
                    bind_group_layouts: &[Some(&layout)],
                    immediate_size: 0,
                });
            gpu.wgpu().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(&reflection.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &kernel.constants,
                    // Ours write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: matches!(kernel.source, Source::Given(_)),
                },
                cache,
            })
        })?;
        Ok(Self::new(device, kernel, Form::Wgpu(pipeline, layout), reflection))
    }
}

/// wgpu does not hold a kernel against all of these limits, and drivers fail late.
fn check_limits(gpu: &GpuDevice, label: &str, reflection: &Reflection) -> Result<()> {
    let limits = gpu.limits();
    let [x, y, z] = reflection.workgroup.map(u64::from);
    let checks = [
        ("max_compute_workgroup_size_x", x, limits.max_compute_workgroup_size_x),
        ("max_compute_workgroup_size_y", y, limits.max_compute_workgroup_size_y),
        ("max_compute_workgroup_size_z", z, limits.max_compute_workgroup_size_z),
        (
            "max_compute_invocations_per_workgroup",
            x * y * z,
            limits.max_compute_invocations_per_workgroup,
        ),
        (
            "max_compute_workgroup_storage_size",
            reflection.workgroup_storage,
            limits.max_compute_workgroup_storage_size,
        ),
    ];
    for (limit, asked, allowed) in checks {
        if asked > u64::from(allowed) {
            let what = format!("kernel '{label}'");
            return Err(Error::Limit { what, limit, asked, allowed: allowed.into() });
        }
    }
    Ok(())
}

fn layout_entry(&(binding, access): &(u32, Access)) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform(_) => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            // Dispatches of a batch differ in where their parameters lie, often in nothing else.
            has_dynamic_offset: matches!(access, Access::Uniform(_)),
            min_binding_size: None,
        },
        count: None,
    }
}

/// The pipelines of a context: in memory, and through the driver's blob also on disk.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    compiled: Mutex<HashMap<String, Pipeline>>,
    blob: Option<Blob>,
}

#[derive(Debug)]
struct Blob {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    changed: AtomicBool,
}

impl Pipelines {
    /// `folder` is where the driver's blob is kept between runs; `None` keeps none.
    pub fn new(device: &Device, folder: Option<PathBuf>) -> Self {
        Pipelines { compiled: Mutex::default(), blob: Blob::open(device, folder) }
    }

    pub fn get(&self, device: &Device, kernel: &Kernel) -> Result<Pipeline> {
        let key = kernel.key();
        let lock = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = lock().get(&key) {
            return Ok(pipeline.clone());
        }
        // Compiled outside the lock: two threads may do it twice, neither waits for the other's.
        let cache = self.blob.as_ref().map(|blob| &blob.cache);
        let pipeline = Pipeline::compile(device, kernel, cache)?;
        if let Some(blob) = &self.blob {
            blob.changed.store(true, Relaxed);
        }
        Ok(lock().entry(key).or_insert(pipeline).clone())
    }
}

impl Blob {
    fn open(device: &Device, folder: Option<PathBuf>) -> Option<Self> {
        let gpu = device.gpu()?;
        if !gpu.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder?.join(wgpu::util::pipeline_cache_key(gpu.info())?);
        let data = cache::read(&path);
        // SAFETY: `cache::read` gives back only what `cache::write` stored, checked by length and
        // checksum, and what is stored comes from `get_data`; a blob of another driver or wgpu
        // version is recognised by its header and ignored (`fallback`).
        let open = || unsafe {
            gpu.wgpu().create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                label: Some("gvpie"),
                data: data.as_deref(),
                fallback: true,
            })
        };
        let cache = gpu.scoped("pipeline cache", 0, open).ok()?;
        Some(Blob { cache, path, changed: AtomicBool::new(false) })
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.changed.load(Relaxed) {
            return;
        }
        if let Some(data) = self.cache.get_data() {
            cache::write(&self.path, &data);
        }
    }
}
