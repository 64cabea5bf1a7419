//! Programs of wgpu, on this back end and on a Vulkan driver where there is one.

mod examples;
mod faults;
mod lifetimes;
mod programs;
mod random;
mod refusals;
mod textures;

use super::{Options, instance};
use ::wgpu::*;

/// A device and what it may do.
struct Gpu {
    device: Device,
    queue: Queue,
}

/// What the programs use beyond WebGPU's core.
const WANTED: Features = Features::IMMEDIATES
    .union(Features::SHADER_INT64)
    .union(Features::CLEAR_TEXTURE)
    .union(Features::TIMESTAMP_QUERY);

async fn open(adapter: &Adapter, required_features: Features) -> Gpu {
    let descriptor = DeviceDescriptor {
        required_features,
        required_limits: Limits { max_immediate_size: 64, ..Limits::defaults() },
        ..Default::default()
    };
    let (device, queue) = adapter.request_device(&descriptor).await.unwrap();
    Gpu { device, queue }
}

/// A device of this back end.
fn here(options: Options) -> Gpu {
    here_with(options, WANTED)
}

fn here_with(options: Options, features: Features) -> Gpu {
    let instance = instance(options).unwrap();
    pollster::block_on(async {
        open(&instance.request_adapter(&Default::default()).await.unwrap(), features).await
    })
}

/// A Vulkan driver that can do what the programs use, as `GVPIE_GPU` asks for it.
fn driver() -> Option<(Instance, Adapter)> {
    let wish = std::env::var("GVPIE_GPU").unwrap_or_default();
    if wish == "off" || wish == "vgpu" {
        return None;
    }
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN;
    let instance = Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(Backends::VULKAN));
    let adapter = adapters.into_iter().find(|adapter| adapter.features().contains(WANTED));
    assert!(adapter.is_some() || wish != "require", "no Vulkan driver");
    Some((instance, adapter?))
}

/// This back end and the driver, if there is one.
fn both() -> Vec<Gpu> {
    let driver = driver().map(|(_, adapter)| pollster::block_on(open(&adapter, WANTED)));
    [here(Options::default())].into_iter().chain(driver).collect()
}

impl Gpu {
    fn buffer(&self, usage: BufferUsages, bytes: &[u8]) -> Buffer {
        let size = bytes.len() as u64;
        let buffer = self.zeroed(usage | BufferUsages::COPY_DST, size);
        self.queue.write_buffer(&buffer, 0, bytes);
        buffer
    }

    fn zeroed(&self, usage: BufferUsages, size: u64) -> Buffer {
        let (label, mapped_at_creation) = (None, false);
        self.device.create_buffer(&BufferDescriptor { label, size, usage, mapped_at_creation })
    }

    fn module(&self, wgsl: &str) -> ShaderModule {
        let source = ShaderSource::Wgsl(wgsl.into());
        self.device.create_shader_module(ShaderModuleDescriptor { label: Some("test"), source })
    }

    /// A pipeline of the only entry point.
    fn pipeline(&self, wgsl: &str, layout: Option<&PipelineLayout>) -> ComputePipeline {
        self.pipeline_with(wgsl, layout, &[])
    }

    fn pipeline_with(
        &self,
        wgsl: &str,
        layout: Option<&PipelineLayout>,
        constants: &[(&str, f64)],
    ) -> ComputePipeline {
        self.device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some("test"),
            layout,
            module: &self.module(wgsl),
            entry_point: None,
            compilation_options: PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        })
    }

    /// Group 0 of a pipeline, of whole resources.
    fn group(&self, pipeline: &ComputePipeline, resources: &[BindingResource<'_>]) -> BindGroup {
        self.group_of(&pipeline.get_bind_group_layout(0), resources)
    }

    fn group_of(&self, layout: &BindGroupLayout, resources: &[BindingResource<'_>]) -> BindGroup {
        let entries: Vec<_> = resources
            .iter()
            .enumerate()
            .map(|(binding, resource)| BindGroupEntry {
                binding: binding as u32,
                resource: resource.clone(),
            })
            .collect();
        let (label, entries) = (None, &entries);
        self.device.create_bind_group(&BindGroupDescriptor { label, layout, entries })
    }

    /// Records and submits.
    fn submit(&self, record: impl FnOnce(&mut CommandEncoder)) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        record(&mut encoder);
        self.queue.submit([encoder.finish()]);
    }

    /// Submits a dispatch.
    fn dispatch(&self, pipeline: &ComputePipeline, group: &BindGroup, count: u32) {
        self.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(count, 1, 1);
        });
    }

    /// The bytes of a buffer, when all work is done.
    fn read(&self, buffer: &Buffer) -> Vec<u8> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let staging = self.zeroed(usage, buffer.size());
        self.submit(|encoder| encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, None));
        staging.map_async(MapMode::Read, .., |result| result.unwrap());
        self.device.poll(PollType::wait_indefinitely()).unwrap();
        staging.get_mapped_range(..).unwrap().to_vec()
    }

    /// What is wrong with `work`, in the words of the error scope that it falls to.
    fn error(&self, filter: ErrorFilter, work: impl FnOnce()) -> Option<String> {
        let scope = self.device.push_error_scope(filter);
        work();
        pollster::block_on(scope.pop()).map(|error| error.to_string())
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Runs a program everywhere, and holds what comes of it against what comes here.
fn same(program: impl Fn(&Gpu) -> Vec<u8>) -> Vec<u8> {
    let mut results = both().iter().map(program).collect::<Vec<_>>().into_iter();
    let first = results.next().unwrap();
    for other in results {
        assert_eq!(other, first);
    }
    first
}
