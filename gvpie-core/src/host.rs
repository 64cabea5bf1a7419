//! Kernels on the host: compiled and run by [`gvpie_vgpu`] where feature `vgpu` is on, refused where not.
//!
//! The operations of this crate have code of their own for the host and need none of this; it is for
//! kernels that a program brings. Tensors stay where they are: for the time of a dispatch their memory is
//! handed to the software device whole, and taken back.

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::memory::Pool;
use std::time::Duration;

/// Where kernels run on the host; its threads begin with the first kernel.
#[cfg(feature = "vgpu")]
#[derive(Debug)]
pub(crate) struct Machine {
    /// How long a kernel may run.
    timeout: Duration,
    /// Whether the sanitizer looks on.
    check: bool,
    device: std::sync::OnceLock<gvpie_vgpu::Device>,
}

/// Where kernels would run on the host.
#[cfg(not(feature = "vgpu"))]
#[derive(Debug)]
pub(crate) struct Machine;

/// A kernel as a [`Machine`] runs it.
#[cfg(feature = "vgpu")]
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pipeline: gvpie_vgpu::Pipeline,
    kernel: std::sync::Arc<gvpie_vgpu::ir::Kernel>,
    source: std::sync::Arc<str>,
}

/// A kernel as a [`Machine`] runs it: without the feature none is ever made.
#[cfg(not(feature = "vgpu"))]
#[derive(Debug, Clone)]
pub(crate) struct Program;

/// What a dispatch shows a kernel.
#[derive(Debug)]
pub(crate) struct Work {
    /// The kernel's label.
    pub label: String,
    /// The uniform block, by its binding.
    pub params: Option<(u32, Vec<u8>)>,
    /// Buffers by their bindings, and how many of their bytes are shown.
    pub buffers: Vec<(u32, Buffer, u64)>,
}

#[cfg(not(feature = "vgpu"))]
impl Machine {
    /// Without kernels no limit is met.
    pub const MAX_BINDING: u64 = u64::MAX;

    pub fn new(_: Duration, _: bool) -> Self {
        Machine
    }

    pub fn compile(
        &self,
        _: &Pool,
        label: &str,
        _: &str,
        _: &str,
        _: &[(&str, f64)],
    ) -> Result<Program> {
        Err(missing(label))
    }

    pub fn run(&self, _: &Pool, _: &Program, work: &Work, _: [u32; 3]) -> Result<()> {
        Err(missing(&work.label))
    }
}

#[cfg(not(feature = "vgpu"))]
fn missing(label: &str) -> Error {
    Error::unsupported(
        format!("kernel '{label}'"),
        "WGSL runs on a GPU back end, and on the host with feature 'vgpu' of gvpie-core, which is \
         missing in this build",
    )
}

#[cfg(feature = "vgpu")]
impl Machine {
    /// Bytes of a buffer that a kernel may be shown.
    pub const MAX_BINDING: u64 = gvpie_vgpu::Buffer::MAX_BYTES;

    /// A machine whose kernels may run so long each, under the sanitizer if `check` is set.
    pub fn new(timeout: Duration, check: bool) -> Self {
        Machine { timeout, check, device: std::sync::OnceLock::new() }
    }

    fn device(&self) -> Result<&gvpie_vgpu::Device, gvpie_vgpu::RunError> {
        if let Some(device) = self.device.get() {
            return Ok(device);
        }
        let device = gvpie_vgpu::Device::new(gvpie_vgpu::Options {
            // As many as the host's own operations use.
            threads: rayon::current_num_threads(),
            deadline: Some(self.timeout),
            // It is the time that bounds a kernel here, as on a GPU.
            budget: u64::MAX,
            memory: memory(self.check),
            ..Default::default()
        })?;
        Ok(self.device.get_or_init(|| device))
    }

    /// Compiles an entry point. The caller has looked at the source and found it to be WGSL.
    pub fn compile(
        &self,
        pool: &Pool,
        label: &str,
        source: &str,
        entry: &str,
        constants: &[(&str, f64)],
    ) -> Result<Program> {
        let kernel = gvpie_vgpu::Module::new(source, constants)
            .and_then(|module| module.kernel(entry))
            .map_err(|error| uncompiled(label, error))?;
        let pipeline = self.device().and_then(|device| device.prepare(&kernel));
        let pipeline = pipeline.map_err(|error| stopped(pool, label, source, error))?;
        Ok(Program { pipeline, kernel, source: source.into() })
    }

    /// Runs a kernel to its end, over `grid` workgroups along x, y and z.
    pub fn run(&self, pool: &Pool, program: &Program, work: &Work, grid: [u32; 3]) -> Result<()> {
        use gvpie_vgpu::{Bindings, Buffer as Lent};
        let run = |memories: &mut [(usize, &mut Vec<u64>)]| {
            let device = self.device()?;
            let mut bindings = Bindings::new();
            if let Some((binding, bytes)) = &work.params {
                bindings = bindings.buffer(0, *binding, &Lent::with(bytes)?);
            }
            let mut lent = Vec::new();
            for (identity, memory) in memories.iter_mut() {
                let of_it =
                    work.buffers.iter().filter(|(_, buffer, _)| buffer.identity() == *identity);
                let shown = of_it.clone().map(|&(.., bytes)| bytes).max().unwrap_or(0);
                let buffer = Lent::from_memory(std::mem::take(*memory), shown)?;
                for &(binding, _, bytes) in of_it {
                    bindings = bindings.part(0, binding, &buffer, 0, bytes);
                }
                lent.push(buffer);
            }
            let ran = match self.check {
                true => device.check(&program.kernel, &bindings, grid),
                false => {
                    device.run(&program.pipeline, &bindings, grid).map(|()| Default::default())
                }
            };
            drop(bindings);
            for ((_, memory), buffer) in memories.iter_mut().zip(lent) {
                **memory = buffer.into_memory().map_err(|_| {
                    gvpie_vgpu::RunError::Broken("a buffer is still held after its dispatch".into())
                })?;
            }
            ran
        };
        let buffers: Vec<&Buffer> = work.buffers.iter().map(|(_, buffer, _)| buffer).collect();
        let report = Buffer::hand_over(&buffers, run)?
            .map_err(|error| stopped(pool, &work.label, &program.source, error))?;
        judge(&format!("kernel '{}'", work.label), &program.source, &report)
    }
}

/// Bytes that a device in software may need beside its buffers: registers, and what the sanitizer notes of
/// each word, some dozens of bytes.
#[cfg(feature = "vgpu")]
pub(crate) fn memory(check: bool) -> u64 {
    let usual = gvpie_vgpu::Options::default().memory;
    if check { usual.max(crate::memory::host_memory() / 2) } else { usual }
}

/// An error if a kernel did what no correct one does. NaN may come of what it was given.
#[cfg(feature = "vgpu")]
pub(crate) fn judge(kernel: &str, source: &str, report: &gvpie_vgpu::Report) -> Result<()> {
    use gvpie_vgpu::sanitize::Kind;
    let faults = report.findings.iter().filter(|found| found.kind != Kind::NotANumber);
    let lines: Vec<String> = faults.map(|found| found.text(source)).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Error::Faults { kernel: kernel.into(), found: lines.join("\n") }),
    }
}

/// Why a kernel whose source is sound cannot be had in software.
#[cfg(feature = "vgpu")]
fn uncompiled(label: &str, error: gvpie_vgpu::Error) -> Error {
    match error {
        gvpie_vgpu::Error::Unsupported { .. } => {
            Error::unsupported(format!("kernel '{label}'"), error.to_string())
        }
        gvpie_vgpu::Error::Compile { message, .. } => {
            Error::Shader { label: label.into(), message }
        }
        gvpie_vgpu::Error::Limit { .. } => {
            Error::Shader { label: label.into(), message: error.to_string() }
        }
        // Entry points and constants were looked at before.
        _ => Error::Internal { what: format!("kernel '{label}'"), message: error.to_string() },
    }
}

/// Why a kernel cannot be run, or not to its end.
#[cfg(feature = "vgpu")]
fn stopped(pool: &Pool, label: &str, source: &str, error: gvpie_vgpu::RunError) -> Error {
    use gvpie_vgpu::RunError;
    let what = format!("kernel '{label}'");
    match error {
        RunError::Deadline { limit } => Error::Timeout { what, after: limit },
        RunError::Memory { what: part, found, .. } => {
            pool.out_of_memory(found, &format!("{what}: {part}"))
        }
        RunError::Workgroup { expected, found } => Error::Limit {
            what,
            limit: "max_compute_invocations_per_workgroup",
            asked: found,
            allowed: expected,
        },
        RunError::Nesting { .. } | RunError::Unsupported { .. } => {
            Error::unsupported(what, error.to_string())
        }
        RunError::Divergent { span, .. } | RunError::Address { span, .. } => Error::Stopped {
            kernel: label.into(),
            line: span.line(source),
            fault: error.to_string(),
        },
        _ => Error::Internal { what, message: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use crate::{Backend, Context, Error, Kernel, Turn};

    const FILL: &str = "
        @group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(64) fn fill(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < arrayLength(&y)) { y[id.x] = id.x; }
        }";

    #[test]
    #[cfg(not(feature = "vgpu"))]
    fn kernels_on_the_host_need_the_feature() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let error = ctx.pipeline(&Kernel::wgsl("fill", FILL)).unwrap_err();
        assert_eq!(error.turn(), Turn::Elsewhere);
        let Error::Unsupported { what, reason } = error else { panic!("{error:?}") };
        assert!(what.contains("'fill'") && reason.contains("feature 'vgpu'"), "{what}: {reason}");
    }

    #[cfg(feature = "vgpu")]
    mod software {
        use super::*;
        use crate::{Bindings, ContextOptions, Tensor};
        use std::time::Duration;

        fn host(timeout: Duration) -> Context {
            let backend = Some(Backend::Cpu);
            let options = ContextOptions { backend, timeout, ..ContextOptions::default() };
            pollster::block_on(Context::request(options)).unwrap()
        }

        fn ctx() -> Context {
            host(Duration::from_secs(60))
        }

        /// Runs a kernel with one output, on one workgroup.
        fn run(ctx: &Context, text: &str, y: &mut Tensor<u32>) -> crate::Result<()> {
            let pipeline = ctx.pipeline(&Kernel::wgsl("kernel", text))?;
            let mut batch = ctx.batch("kernel");
            batch.dispatch(&pipeline, Bindings::new().write(y), [1; 3])?;
            batch.submit()
        }

        #[test]
        fn endless_kernels_run_out_of_time() {
            let limit = Duration::from_millis(50);
            let ctx = host(limit);
            let mut y = ctx.upload([4], &[7_u32; 4]).unwrap();
            let text = "
                @group(0) @binding(0) var<storage, read_write> y: array<u32>;
                @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {
                    y[i] += 1u;
                    for (var n = 0u; ; n += 2u) { if (n == 1u) { break; } }
                }";
            let error = run(&ctx, text, &mut y).unwrap_err();
            assert_eq!(error, Error::Timeout { what: "kernel 'kernel'".into(), after: limit });
            // What was written before stands, and the context lives on.
            assert_eq!(y.download().unwrap(), [8; 4]);
            run(&ctx, FILL, &mut y).unwrap();
            assert_eq!(y.download().unwrap(), [0, 1, 2, 3]);
        }

        #[test]
        fn barriers_in_divergent_flow_are_told_with_their_line() {
            let ctx = ctx();
            let mut y = ctx.zeros::<u32>([4]).unwrap();
            let text = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
                @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {
                    switch y[i] + i {
                        case 0u: {
                            storageBarrier();
                        }
                        default: {}
                    }
                }";
            let error = run(&ctx, text, &mut y).unwrap_err();
            assert_eq!(error.turn(), Turn::Caller);
            assert!(matches!(error, Error::Stopped { line: 5, .. }), "{error:?}");
            run(&ctx, FILL, &mut y).unwrap();
        }

        #[test]
        fn what_software_lacks_or_is_too_large_is_refused() {
            let ctx = ctx();
            let of = |text: &str| ctx.pipeline(&Kernel::wgsl("kernel", text)).unwrap_err();
            let wide = of("@compute @workgroup_size(1025) fn main() {}");
            let (asked, allowed) = (1025, 1024);
            let (what, limit) = ("kernel 'kernel'".into(), "max_compute_invocations_per_workgroup");
            assert_eq!(wide, Error::Limit { what, limit, asked, allowed });
            let brackets = format!("const x = {}1{};", "(".repeat(300), ")".repeat(300));
            let nested =
                of(&format!("{brackets} @compute @workgroup_size(1) fn main() {{ _ = x; }}"));
            assert!(matches!(nested, Error::Shader { .. }), "{nested:?}");
        }

        #[test]
        fn under_the_sanitizer_races_are_errors() {
            let backend = Some(Backend::Cpu);
            let options = ContextOptions { backend, check: true, ..ContextOptions::default() };
            let ctx = pollster::block_on(Context::request(options)).unwrap();
            let mut y = ctx.zeros::<u32>([64]).unwrap();
            run(&ctx, FILL, &mut y).unwrap();
            assert_eq!(y.download().unwrap()[63], 63);
            let text = FILL.replace("y[id.x] =", "y[id.x / 2u] =");
            let error = run(&ctx, &text, &mut y).unwrap_err();
            let Error::Faults { kernel, found } = &error else { panic!("{error:?}") };
            assert_eq!(kernel, "kernel 'kernel'");
            assert!(found.contains("line 4: race") && found.contains("at line 4"), "{found}");
        }

        #[test]
        fn all_kernels_run_on_the_device_in_software() {
            let mut options = ContextOptions { check: true, ..ContextOptions::default() };
            options.adapter.name = Some(crate::SOFTWARE.into());
            options.backend = Some(Backend::Gpu);
            let ctx = pollster::block_on(Context::request(options.clone())).unwrap();
            assert_eq!(ctx.adapter(), "gvpie vGPU");
            let a: Vec<f32> = (0..35).map(|n| n as f32).collect();
            let a = ctx.upload([5, 7], &a).unwrap();
            let product = ctx.gemm(a.view(), a.view().transpose().unwrap()).unwrap();
            assert_eq!(product.download().unwrap()[..2], [91.0, 238.0]);
            let mut y = ctx.zeros::<u32>([64]).unwrap();
            let ran = run(&ctx, &FILL.replace("y[id.x] =", "y[id.x / 2u] ="), &mut y);
            // Told at once if the device is done by then, else by who waits for it.
            let error = ran.and_then(|()| y.download().map(drop)).unwrap_err();
            assert!(matches!(error, Error::Faults { .. }), "{error:?}");

            // A driver's kernels cannot be looked at; without it there is no such adapter.
            options.adapter.name = None;
            let error = pollster::block_on(Context::request(options)).unwrap_err();
            assert!(matches!(error, Error::Setting { .. } | Error::NoAdapter { .. }), "{error:?}");
        }

        #[test]
        fn kernels_from_several_threads_do_not_wait_for_one_another_for_ever() {
            let ctx = ctx();
            let text = "
                @group(0) @binding(0) var<storage, read> x: array<u32>;
                @group(0) @binding(1) var<storage, read_write> y: array<u32>;
                @compute @workgroup_size(64) fn add(@builtin(global_invocation_id) id: vec3<u32>) {
                    if (id.x < arrayLength(&y)) { y[id.x] = x[id.x] + 1u; }
                }";
            let pipeline = ctx.pipeline(&Kernel::wgsl("add", text)).unwrap();
            let n = 300;
            let mut a = ctx.zeros::<u32>([n]).unwrap();
            let mut b = ctx.zeros::<u32>([n]).unwrap();
            // Each way a batch of its own, as only bindings kept from before can have it.
            let mut there = ctx.batch("there");
            let mut back = ctx.batch("back");
            for _ in 0..50 {
                let grid = [n.div_ceil(64) as u32, 1, 1];
                there.dispatch(&pipeline, Bindings::new().read(&a).write(&mut b), grid).unwrap();
                back.dispatch(&pipeline, Bindings::new().read(&b).write(&mut a), grid).unwrap();
            }
            std::thread::scope(|scope| {
                scope.spawn(|| there.submit().unwrap());
                scope.spawn(|| back.submit().unwrap());
            });
            let (a, b) = (a.download().unwrap(), b.download().unwrap());
            assert!(a.iter().all(|x| *x == a[0]) && b.iter().all(|x| *x == b[0]));
            assert!(a[0].abs_diff(b[0]) <= 1 && (1..=100).contains(&a[0]), "{} {}", a[0], b[0]);
        }
    }
}
