//! What kernels are run by, all in one form.

use crate::generate::Generated;
use gvpie_vgpu::{Bindings, Buffer, Device, Module, Options};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wgpu::util::DeviceExt;

/// Gives what the buffers of results and counters hold after a kernel, or what went wrong.
pub trait Executor {
    fn name(&self) -> String;
    fn run(&self, kernel: &Generated) -> Result<[Vec<u32>; 2], String>;
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The device of this crate.
pub struct Software {
    name: String,
    device: Device,
}

impl Software {
    pub fn new(name: &str, options: Options) -> Software {
        let name = format!("{name}, subgroups of {}", options.subgroup);
        Software { name, device: Device::new(options).unwrap() }
    }

    fn prepare(&self, kernel: &Generated) -> Result<(Bindings, Vec<Buffer>, Prepared), String> {
        let mut bindings = Bindings::new();
        let mut buffers = Vec::new();
        for (number, words) in kernel.buffers.iter().enumerate() {
            let buffer = Buffer::with(&bytes(words)).map_err(|error| error.to_string())?;
            bindings = bindings.buffer(0, number as u32, &buffer);
            buffers.push(buffer);
        }
        let module = Module::new(&kernel.source, &kernel.overrides);
        let module = module.map_err(|error| error.to_string())?;
        let prepared = module.kernel("main").map_err(|error| error.to_string())?;
        Ok((bindings, buffers, prepared))
    }

    /// What the sanitizer has to say.
    pub fn check(&self, kernel: &Generated) -> Result<gvpie_vgpu::Report, String> {
        let (bindings, _, prepared) = self.prepare(kernel)?;
        let report = self.device.check(&prepared, &bindings, kernel.groups);
        report.map_err(|error| error.to_string())
    }
}

type Prepared = Arc<gvpie_vgpu::ir::Kernel>;

impl Executor for Software {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self, kernel: &Generated) -> Result<[Vec<u32>; 2], String> {
        let (bindings, buffers, prepared) = self.prepare(kernel)?;
        let done = self.device.dispatch(&prepared, &bindings, kernel.groups);
        done.map_err(|error| error.to_string())?;
        let read = |buffer: &Buffer| words(&buffer.read(0, buffer.bytes()).unwrap());
        Ok([read(&buffers[2]), read(&buffers[3])])
    }
}

/// Vulkan.
pub struct Gpu {
    pub features: wgpu::Features,
    name: String,
    adapter: wgpu::Adapter,
    open: RefCell<Open>,
}

/// A device, until it is lost.
struct Open {
    device: wgpu::Device,
    queue: wgpu::Queue,
    lost: Arc<AtomicBool>,
}

impl Gpu {
    /// What `GVPIE_GPU` asks for; none where there is none, or none is wanted.
    pub fn wanted() -> Option<Gpu> {
        match std::env::var("GVPIE_GPU").as_deref() {
            Ok("off") => None,
            Ok("require") => Some(Gpu::new().expect("GVPIE_GPU=require")),
            _ => Gpu::new().ok(),
        }
    }

    fn new() -> Result<Gpu, String> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = pollster::block_on(instance.request_adapter(&Default::default()));
        let adapter = adapter.map_err(|error| error.to_string())?;
        let wanted =
            wgpu::Features::SHADER_F16 | wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_INT64;
        let features = adapter.features() & wanted;
        let open = RefCell::new(Gpu::open(&adapter, features)?);
        Ok(Gpu { features, name: adapter.get_info().name, adapter, open })
    }

    fn open(adapter: &wgpu::Adapter, features: wgpu::Features) -> Result<Open, String> {
        let device = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            required_features: features,
            required_limits: adapter.limits(),
            ..Default::default()
        }));
        let (device, queue) = device.map_err(|error| error.to_string())?;
        let lost = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&lost);
        device.set_device_lost_callback(move |_, _| told.store(true, Relaxed));
        Ok(Open { device, queue, lost })
    }
}

impl Executor for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self, kernel: &Generated) -> Result<[Vec<u32>; 2], String> {
        let mut open = self.open.borrow_mut();
        let done = open.run(kernel);
        if open.lost.load(Relaxed) {
            // A driver that fails without a reason takes the device with it.
            *open = Gpu::open(&self.adapter, self.features)?;
            return Err(LOST.into());
        }
        done
    }
}

/// What comes of a kernel that a driver gives up on.
pub const LOST: &str = "the device was lost";

impl Open {
    fn run(&self, kernel: &Generated) -> Result<[Vec<u32>; 2], String> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let usages = [
            wgpu::BufferUsages::STORAGE,
            wgpu::BufferUsages::UNIFORM,
            wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        ];
        let buffers: Vec<wgpu::Buffer> = kernel
            .buffers
            .iter()
            .zip(usages)
            .map(|(words, usage)| {
                let contents = &bytes(words);
                self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                    label: None,
                    contents,
                    usage,
                })
            })
            .collect();
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(kernel.source.as_str().into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &kernel.overrides,
                ..Default::default()
            },
            cache: None,
        });
        if self.lost.load(Relaxed) {
            return Err(LOST.into());
        }
        for scope in [validation, internal] {
            if let Some(error) = pollster::block_on(scope.pop()) {
                return Err(error.to_string());
            }
        }
        let entries: Vec<wgpu::BindGroupEntry> = buffers
            .iter()
            .enumerate()
            .map(|(k, buffer)| wgpu::BindGroupEntry {
                binding: k as u32,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = kernel.groups;
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        let read: Vec<wgpu::Buffer> = buffers[2..]
            .iter()
            .map(|buffer| {
                let to = self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: buffer.size(),
                    usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                    mapped_at_creation: false,
                });
                encoder.copy_buffer_to_buffer(buffer, 0, &to, 0, buffer.size());
                to
            })
            .collect();
        self.queue.submit([encoder.finish()]);
        for buffer in &read {
            buffer.map_async(wgpu::MapMode::Read, .., |_| {});
        }
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| error.to_string())?;
        let [out, counts] = [0, 1].map(|k| {
            let view = read[k].get_mapped_range(..).map_err(|error| error.to_string())?;
            Ok::<_, String>(words(&view))
        });
        Ok([out?, counts?])
    }
}
