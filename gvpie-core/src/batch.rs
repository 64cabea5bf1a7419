//! Batches: work recorded, then submitted together.
//!
//! All dispatches of a batch share one compute pass and one submission, because a pass of its own
//! costs a dispatch about five times as much as the dispatch itself. Within a batch, later work
//! sees what earlier work wrote.

use crate::buffer::Buffer;
use crate::device::{Device, GpuDevice};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::host::Work;
use crate::kernel::{Form, Pipeline};
use crate::shader::{Access, Reflection};
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a dispatch binds: parameters first, then buffers in the order of their binding numbers.
#[derive(Debug, Default)]
pub struct Bindings {
    params: Option<Vec<u8>>,
    buffers: Vec<Bound>,
}

/// A buffer, or part of one.
#[derive(Debug)]
struct Bound {
    access: Access,
    buffer: Buffer,
    bytes: Option<Range<u64>>,
}

impl Bound {
    /// What a kernel is shown that needs at least so many bytes.
    fn shown(&self, pipeline: &Pipeline, least: u64) -> Range<u64> {
        self.bytes.clone().unwrap_or_else(|| pipeline.bound(&self.buffer, least))
    }
}

impl Bindings {
    /// Nothing bound yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The contents of the uniform block. Rust's layout must be WGSL's: `#[repr(C)]`, and
    /// padding written out.
    pub fn params<P: bytemuck::NoUninit>(mut self, params: &P) -> Self {
        self.params = Some(bytemuck::bytes_of(params).to_vec());
        self
    }

    /// The next storage buffer, which the kernel reads.
    pub fn read<T: Element>(self, tensor: &Tensor<T>) -> Self {
        self.buffer(Access::Read, tensor.buffer())
    }

    /// The next storage buffer, which the kernel writes.
    pub fn write<T: Element>(self, tensor: &mut Tensor<T>) -> Self {
        self.buffer(Access::ReadWrite, tensor.buffer())
    }

    pub(crate) fn buffer(mut self, access: Access, buffer: &Buffer) -> Self {
        self.buffers.push(Bound { access, buffer: buffer.clone(), bytes: None });
        self
    }

    /// The next storage buffer, of which the kernel is shown these bytes: a beginning as the device
    /// aligns them, and an end within the buffer.
    pub(crate) fn part(mut self, access: Access, buffer: &Buffer, bytes: Range<u64>) -> Self {
        self.buffers.push(Bound { access, buffer: buffer.clone(), bytes: Some(bytes) });
        self
    }
}

/// Recorded work. Nothing runs until [`submit`](Batch::submit).
///
/// ```
/// use gvpie_core::{Backend, Context, Gemm};
/// let ctx = Context::on(Backend::Cpu)?;
/// let a = ctx.upload([2, 2], &[1.0_f32, 1.0, 0.0, 1.0])?;
/// let mut squared = ctx.zeros::<f32>([2, 2])?;
/// let mut fourth = ctx.zeros::<f32>([2, 2])?;
/// let plan = Gemm::new(2, 2, 2).plan(&ctx)?;
/// let mut batch = ctx.batch("fourth power");
/// plan.record(&mut batch, &a, &a, &mut squared)?;
/// plan.record(&mut batch, &squared, &squared, &mut fourth)?;
/// batch.submit()?;
/// assert_eq!(fourth.download()?, [1.0, 4.0, 0.0, 1.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[must_use = "a batch does nothing until it is submitted"]
pub struct Batch {
    label: String,
    device: Device,
    dispatches: Vec<Dispatch>,
    params: Vec<u8>,
    host: Vec<HostWork>,
}

type HostWork = Box<dyn FnOnce() -> Result<()> + Send>;

struct Dispatch {
    pipeline: Pipeline,
    compiled: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// Where the parameters begin in the batch's block of them.
    params_at: u32,
    buffers: Vec<Bound>,
    grid: [u32; 3],
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({}, {} steps)", self.label, self.len())
    }
}

impl Batch {
    pub(crate) fn new(device: &Device, label: &str) -> Self {
        Batch {
            label: label.into(),
            device: device.clone(),
            dispatches: Vec::new(),
            params: Vec::new(),
            host: Vec::new(),
        }
    }

    /// How many steps are recorded.
    pub fn len(&self) -> usize {
        self.dispatches.len() + self.host.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Records a kernel over `grid` workgroups along x, y and z; an empty grid records nothing.
    ///
    /// # Errors
    /// [`Error::Binding`] if `bindings` are not what the kernel declares, [`Error::Foreign`] if
    /// some are of another context, [`Error::Limit`] if the grid is too large.
    pub fn dispatch(
        &mut self,
        pipeline: &Pipeline,
        bindings: Bindings,
        grid: [u32; 3],
    ) -> Result<()> {
        let foreign = || Error::Foreign { operand: format!("kernel '{}'", pipeline.label()) };
        if !pipeline.device().is(&self.device) {
            return Err(foreign());
        }
        check_bindings(&self.device, pipeline, &bindings)?;
        let allowed = self.device.max_workgroups();
        if let Some(&asked) = grid.iter().find(|&&n| n > allowed) {
            return Err(Error::Limit {
                what: format!("kernel '{}'", pipeline.label()),
                limit: "max_compute_workgroups_per_dimension",
                asked: asked.into(),
                allowed: allowed.into(),
            });
        }
        if grid.contains(&0) {
            return Ok(());
        }
        let (gpu, compiled, layout) = match (&self.device, pipeline.form()) {
            (Device::Wgpu(gpu), Form::Wgpu(compiled, layout)) => (gpu, compiled, layout),
            (Device::Host(host), Form::Host(program)) => {
                let (host, program) = (Arc::clone(host), program.clone());
                let work = on_host(pipeline, bindings);
                self.host(move || host.machine().run(host.pool(), &program, &work, grid));
                return Ok(());
            }
            _ => return Err(foreign()),
        };
        let align = gpu.limits().min_uniform_buffer_offset_alignment as usize;
        let params_at = self.params.len().next_multiple_of(align);
        if let Some(params) = bindings.params {
            self.params.resize(params_at, 0);
            self.params.extend_from_slice(&params);
        }
        self.dispatches.push(Dispatch {
            pipeline: pipeline.clone(),
            compiled: compiled.clone(),
            layout: layout.clone(),
            params_at: u32::try_from(params_at).map_err(|_| Error::Limit {
                what: format!("parameters of batch '{}'", self.label),
                limit: "offsets of 32 bits",
                asked: params_at as u64,
                allowed: u32::MAX.into(),
            })?,
            buffers: bindings.buffers,
            grid,
        });
        Ok(())
    }

    /// Records work of the host.
    pub(crate) fn host(&mut self, work: impl FnOnce() -> Result<()> + Send + 'static) {
        self.host.push(Box::new(work));
    }

    /// Hands the work to the device and returns without waiting. (On the host, does the work.)
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`]; what the host's work returns.
    pub fn submit(self) -> Result<()> {
        match self.device.clone() {
            Device::Wgpu(gpu) => self.submit_wgpu(&gpu, None).map(drop),
            Device::Host(_) => self.run_host(),
        }
    }

    /// Submits, waits, and returns how long the work took: by the device's own clock where it has
    /// one ([`Context::has_timestamps`](crate::Context::has_timestamps)), else by the host's,
    /// submission and waiting included.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`Error::Timeout`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn time(self) -> Result<Duration> {
        let device = self.device.clone();
        let start = Instant::now();
        let Device::Wgpu(gpu) = &device else {
            self.run_host()?;
            return Ok(start.elapsed());
        };
        let clock = DeviceClock::new(gpu)?;
        let submission = self.submit_wgpu(gpu, clock.as_ref())?;
        gpu.wait(submission, "timed batch")?;
        match clock {
            Some(clock) => clock.elapsed(gpu),
            None => Ok(start.elapsed()),
        }
    }

    fn run_host(self) -> Result<()> {
        self.host.into_iter().try_for_each(|work| work())
    }

    fn submit_wgpu(
        &self,
        gpu: &GpuDevice,
        clock: Option<&DeviceClock>,
    ) -> Result<wgpu::SubmissionIndex> {
        let params_bytes = self.params.len() as u64;
        gpu.ready(&self.label)?;
        gpu.scoped(&self.label, params_bytes, || {
            let params = (params_bytes > 0).then(|| {
                let block = gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("parameters"),
                    size: params_bytes.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT),
                    usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                gpu.queue().write_buffer(&block, 0, &self.params);
                block
            });
            let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(&self.label),
                    timestamp_writes: clock.map(DeviceClock::writes),
                });
                let mut groups = HashMap::new();
                for dispatch in &self.dispatches {
                    let bind = || dispatch.bind(gpu, params.as_ref());
                    let group = groups.entry(dispatch.bound()).or_insert_with(bind);
                    pass.set_pipeline(&dispatch.compiled);
                    pass.set_bind_group(0, &*group, dispatch.offset().as_slice());
                    let [x, y, z] = dispatch.grid;
                    pass.dispatch_workgroups(x, y, z);
                }
            }
            if let Some(clock) = clock {
                clock.resolve(&mut encoder);
            }
            gpu.queue().submit([encoder.finish()])
        })
    }
}

/// What a bind group shows, parameters aside: a kernel, and buffers with their ranges of bytes.
type Shown = (usize, Vec<(usize, Range<u64>)>);

impl Dispatch {
    /// Tells apart what needs a bind group of its own.
    fn bound(&self) -> Shown {
        let reflection = self.pipeline.reflection();
        let storage = reflection.bindings.iter().zip(&reflection.sizes);
        let storage = storage.filter(|((_, access), _)| !matches!(access, Access::Uniform(_)));
        let shown = self.buffers.iter().zip(storage).map(|(bound, (_, &least))| {
            (bound.buffer.identity(), bound.shown(&self.pipeline, least))
        });
        (self.pipeline.identity(), shown.collect())
    }

    /// Where its parameters begin, if it has any.
    fn offset(&self) -> Option<u32> {
        let declared = &self.pipeline.reflection().bindings;
        let uniform = declared.iter().any(|(_, access)| matches!(access, Access::Uniform(_)));
        uniform.then_some(self.params_at)
    }

    fn bind(&self, gpu: &GpuDevice, params: Option<&wgpu::Buffer>) -> wgpu::BindGroup {
        let mut buffers = self.buffers.iter();
        let mut entries = Vec::new(); // `check_bindings` has matched both lists one to one
        let reflection = self.pipeline.reflection();
        for (&(binding, access), &least) in reflection.bindings.iter().zip(&reflection.sizes) {
            let resource = match access {
                Access::Uniform(size) => params.map(|block| {
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: block,
                        offset: 0,
                        size: std::num::NonZero::new(u64::from(size)),
                    })
                }),
                Access::Read | Access::ReadWrite => buffers.next().and_then(|bound| {
                    let bytes = bound.shown(&self.pipeline, least);
                    Some(wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: bound.buffer.wgpu()?,
                        offset: bytes.start,
                        size: std::num::NonZero::new(bytes.end.saturating_sub(bytes.start)),
                    }))
                }),
            };
            entries.extend(resource.map(|resource| wgpu::BindGroupEntry { binding, resource }));
        }
        gpu.wgpu().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.pipeline.label()),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// The same for the host: buffers and parameters by their bindings. `check_bindings` has matched them.
fn on_host(pipeline: &Pipeline, bindings: Bindings) -> Work {
    let Reflection { bindings: declared, sizes, .. } = pipeline.reflection();
    let (mut params, mut given) = (bindings.params, bindings.buffers.into_iter());
    let mut work = Work { label: pipeline.label().into(), params: None, buffers: Vec::new() };
    for (&(binding, access), &least) in declared.iter().zip(sizes) {
        match access {
            Access::Uniform(_) => work.params = params.take().map(|bytes| (binding, bytes)),
            Access::Read | Access::ReadWrite => work.buffers.extend(given.next().map(|bound| {
                let bytes = bound.shown(pipeline, least).end;
                (binding, bound.buffer, bytes)
            })),
        }
    }
    work
}

fn check_bindings(device: &Device, pipeline: &Pipeline, bindings: &Bindings) -> Result<()> {
    let refuse = |place: String, expected: String, found: String| Error::Binding {
        kernel: pipeline.label().into(),
        place,
        expected,
        found,
    };
    let Reflection { bindings: declared, sizes, .. } = pipeline.reflection();
    let uniform = declared.iter().find_map(|&(_, access)| match access {
        Access::Uniform(size) => Some(size as usize),
        Access::Read | Access::ReadWrite => None,
    });
    let given = bindings.params.as_ref().map(Vec::len);
    if uniform != given {
        let words = |size: Option<usize>| match size {
            Some(bytes) => format!("{bytes} bytes"),
            None => "none".into(),
        };
        return Err(refuse("parameters".into(), words(uniform), words(given)));
    }
    let storage: Vec<_> = declared
        .iter()
        .zip(sizes)
        .filter(|((_, access), _)| !matches!(access, Access::Uniform(_)))
        .collect();
    if storage.len() != bindings.buffers.len() {
        return Err(refuse(
            "storage buffers".into(),
            storage.len().to_string(),
            bindings.buffers.len().to_string(),
        ));
    }
    for (&(&(index, expected), &least), bound) in storage.iter().zip(&bindings.buffers) {
        let Bound { access: found, buffer, .. } = bound;
        if expected != *found {
            let place = format!("binding {index}");
            return Err(refuse(place, expected.to_string(), found.to_string()));
        }
        if !buffer.device().is(device) {
            let operand = format!("binding {index} of kernel '{}'", pipeline.label());
            return Err(Error::Foreign { operand });
        }
        if buffer.held() < least {
            let place = format!("binding {index}");
            return Err(refuse(place, format!("{least} bytes"), format!("{}", buffer.len())));
        }
        let Range { start, end } = bound.shown(pipeline, least);
        device.check_binding(end.saturating_sub(start), || {
            format!("binding {index} of kernel '{}'", pipeline.label())
        })?;
        let shared = bindings.buffers.iter().filter(|other| other.buffer.is(buffer)).count();
        if *found == Access::ReadWrite && shared > 1 {
            return Err(refuse(
                format!("binding {index}"),
                "an output that is bound once".into(),
                "the same buffer bound again".into(),
            ));
        }
    }
    Ok(())
}

/// Two timestamps around a pass.
struct DeviceClock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
}

impl DeviceClock {
    const BYTES: u64 = 16;

    /// `None` where the device has no timestamps.
    fn new(gpu: &GpuDevice) -> Result<Option<Self>> {
        if !gpu.has_timestamps() {
            return Ok(None);
        }
        gpu.scoped("timestamps", Self::BYTES, || {
            let buffer = |usage| {
                gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("timestamps"),
                    size: Self::BYTES,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let queries = gpu.wgpu().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            });
            Some(DeviceClock {
                queries,
                resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
                readable: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            })
        })
    }

    fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, Self::BYTES);
    }

    /// After the submission has finished.
    #[cfg(not(target_arch = "wasm32"))]
    fn elapsed(&self, gpu: &GpuDevice) -> Result<Duration> {
        gpu.scoped("timestamps", 0, || {
            self.readable.map_async(wgpu::MapMode::Read, .., |_| {});
            gpu.wgpu().poll(wgpu::PollType::Poll)
        })?
        .map_err(|error| Error::Internal {
            what: "timestamps".into(),
            message: error.to_string(),
        })?;
        let view = self.readable.get_mapped_range(..).map_err(|error| Error::Internal {
            what: "timestamps".into(),
            message: error.to_string(),
        })?;
        let ticks: &[u64] = bytemuck::cast_slice(&view);
        let nanoseconds = ticks[1].saturating_sub(ticks[0]) as f64
            * f64::from(gpu.queue().get_timestamp_period());
        Ok(Duration::from_nanos(nanoseconds as u64))
    }
}
