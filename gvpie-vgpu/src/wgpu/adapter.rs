//! The machine: what it is called, and what programs may ask of it.

use super::check::Collector;
use super::device::Device;
use super::queue::{Queue, State};
use super::{Api, Fault, Never, Options, texture};
use crate::interp::RunError;
use ::wgpu::{DownlevelFlags, Features, Limits, TextureFormat, hal, rwh, wgt};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Workgroups along one axis at most, as WebGPU has it.
pub(super) const MAX_WORKGROUPS: u32 = 65_535;

/// Bytes of a buffer at most: kernels count bytes in 32 bits, and wgpu rounds up to a few bytes more.
const MAX_BUFFER: u64 = u32::MAX as u64 & !31;

/// Parts of buffers begin at multiples of so many bytes.
const ALIGNMENT: u32 = 32;

/// Bytes of immediate data at most.
pub(super) const MAX_IMMEDIATE: u32 = 256;

/// Bytes of workgroup memory at most.
pub(super) const MAX_WORKGROUP_BYTES: u32 = 1 << 20;

/// What the devices of an instance share.
#[derive(Debug)]
pub(super) struct Machine {
    pub device: crate::Device,
    pub check: Option<Collector>,
    /// What timestamps count from.
    pub begin: Instant,
    options: Options,
}

impl Machine {
    pub(super) fn new(options: Options) -> Result<Machine, RunError> {
        if options.workgroup_memory > MAX_WORKGROUP_BYTES {
            return Err(RunError::Option {
                option: "bytes of workgroup memory",
                expected: "0 to 1048576",
                found: options.workgroup_memory.into(),
            });
        }
        let device = crate::Device::new(options.device.clone())?;
        let (check, begin) = (options.check.clone(), Instant::now());
        Ok(Machine { device, check, begin, options })
    }

    /// What kernels may use, as lowering and the interpreter have it.
    fn features() -> Features {
        Features::SHADER_F16
            | Features::SHADER_F64
            | Features::SHADER_INT64
            | Features::SHADER_INT64_ATOMIC_MIN_MAX
            | Features::SHADER_INT64_ATOMIC_ALL_OPS
            | Features::SHADER_FLOAT32_ATOMIC
            | Features::SUBGROUP
            | Features::SUBGROUP_BARRIER
            | Features::IMMEDIATES
            | Features::MAPPABLE_PRIMARY_BUFFERS
            | Features::PIPELINE_CACHE
            | Features::CLEAR_TEXTURE
            | Features::TEXTURE_FORMAT_16BIT_NORM
            | Features::BGRA8UNORM_STORAGE
            | Features::TIMESTAMP_QUERY
            | Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
            | Features::TIMESTAMP_QUERY_INSIDE_PASSES
    }

    /// What WebGPU has but some devices lack: all that compute can meet. Layouts may name other stages.
    fn flags() -> DownlevelFlags {
        DownlevelFlags::COMPUTE_SHADERS
            | DownlevelFlags::INDIRECT_EXECUTION
            | DownlevelFlags::SHADER_F16_IN_F32
            | DownlevelFlags::BUFFER_BINDINGS_NOT_16_BYTE_ALIGNED
            | DownlevelFlags::NON_POWER_OF_TWO_MIPMAPPED_TEXTURES
            | DownlevelFlags::NONBLOCKING_QUERY_RESOLVE
            | DownlevelFlags::UNRESTRICTED_INDEX_BUFFER
            | DownlevelFlags::VERTEX_STORAGE
            | DownlevelFlags::FRAGMENT_STORAGE
            | DownlevelFlags::FRAGMENT_WRITABLE_STORAGE
    }

    /// WebGPU's limits, and more where nothing bounds it.
    fn limits(&self) -> Limits {
        let lanes = self.options.device.workgroup as u32;
        Limits {
            max_texture_dimension_1d: 16384,
            max_texture_dimension_2d: 16384,
            max_texture_array_layers: 2048,
            max_sampled_textures_per_shader_stage: 128,
            max_storage_textures_per_shader_stage: 128,
            max_bind_groups: hal::MAX_BIND_GROUPS as u32,
            max_bindings_per_bind_group: 1000,
            max_dynamic_uniform_buffers_per_pipeline_layout: 64,
            max_dynamic_storage_buffers_per_pipeline_layout: 64,
            max_storage_buffers_per_shader_stage: 128,
            max_uniform_buffers_per_shader_stage: 128,
            max_buffers_and_acceleration_structures_per_shader_stage: 256,
            max_uniform_buffer_binding_size: MAX_BUFFER,
            max_storage_buffer_binding_size: MAX_BUFFER,
            max_buffer_size: MAX_BUFFER,
            min_uniform_buffer_offset_alignment: ALIGNMENT,
            min_storage_buffer_offset_alignment: ALIGNMENT,
            max_compute_workgroup_storage_size: self.options.workgroup_memory,
            max_compute_invocations_per_workgroup: lanes,
            max_compute_workgroup_size_x: lanes,
            max_compute_workgroup_size_y: lanes,
            max_compute_workgroup_size_z: lanes,
            max_compute_workgroups_per_dimension: MAX_WORKGROUPS,
            max_immediate_size: MAX_IMMEDIATE,
            ..Limits::defaults()
        }
    }

    fn info(&self) -> ::wgpu::AdapterInfo {
        let subgroup = self.options.device.subgroup as u32;
        let threads = self.device.threads();
        ::wgpu::AdapterInfo {
            name: "gvpie vGPU".into(),
            driver: "gvpie-vgpu".into(),
            driver_info: format!("{} ({threads} threads)", env!("CARGO_PKG_VERSION")),
            subgroup_min_size: subgroup,
            subgroup_max_size: subgroup,
            transient_saves_memory: Some(false),
            ..::wgpu::AdapterInfo::new(self.options.kind, ::wgpu::Backend::Noop)
        }
    }
}

/// An instance.
#[derive(Debug)]
pub struct Instance {
    /// The one adapter, if its threads could be had.
    pub(super) machine: Option<Arc<Machine>>,
}

impl hal::Instance for Instance {
    type A = Api;

    unsafe fn init(_: &hal::InstanceDescriptor<'_>) -> Result<Self, hal::InstanceError> {
        Ok(Instance { machine: Machine::new(Options::default()).ok().map(Arc::new) })
    }

    unsafe fn create_surface(
        &self,
        _: rwh::RawDisplayHandle,
        _: rwh::RawWindowHandle,
    ) -> Result<Surface, hal::InstanceError> {
        Ok(Surface)
    }

    unsafe fn enumerate_adapters(&self, _: Option<&Surface>) -> Vec<hal::ExposedAdapter<Api>> {
        let exposed = |machine: &Arc<Machine>| hal::ExposedAdapter {
            adapter: Adapter { machine: Arc::clone(machine) },
            info: machine.info(),
            features: Machine::features(),
            capabilities: hal::Capabilities {
                limits: machine.limits(),
                alignments: hal::Alignments {
                    buffer_copy_offset: wgt::BufferSize::MIN,
                    buffer_copy_pitch: wgt::BufferSize::MIN,
                    uniform_bounds_check_alignment: wgt::BufferSize::MIN,
                    raw_tlas_instance_size: 0,
                    ray_tracing_scratch_buffer_alignment: 1,
                    ray_tracing_pipeline_group_data_size: 1,
                    ray_tracing_pipeline_group_data_alignment: 1,
                    ray_tracing_pipeline_data_offset_alignment: 1,
                },
                downlevel: ::wgpu::DownlevelCapabilities {
                    flags: Machine::flags(),
                    limits: ::wgpu::DownlevelLimits {},
                    shader_model: ::wgpu::ShaderModel::Sm5,
                },
                cooperative_matrix_properties: Vec::new(),
            },
        };
        self.machine.iter().map(exposed).collect()
    }
}

/// The adapter.
#[derive(Debug)]
pub struct Adapter {
    machine: Arc<Machine>,
}

impl hal::Adapter for Adapter {
    type A = Api;

    unsafe fn open(
        &self,
        _: Features,
        _: &Limits,
        _: &::wgpu::MemoryHints,
    ) -> Result<hal::OpenDevice<Api>, hal::DeviceError> {
        let state = Arc::new(State::new(&self.machine));
        let queue = Queue::new(&state)?;
        Ok(hal::OpenDevice { device: Device { state }, queue })
    }

    unsafe fn texture_format_capabilities(
        &self,
        format: TextureFormat,
    ) -> hal::TextureFormatCapabilities {
        texture::capabilities(format, Machine::features())
    }

    unsafe fn surface_capabilities(&self, _: &Surface) -> Option<hal::SurfaceCapabilities> {
        None
    }

    unsafe fn get_presentation_timestamp(&self) -> ::wgpu::PresentationTimestamp {
        ::wgpu::PresentationTimestamp::INVALID_TIMESTAMP
    }

    fn get_ordered_buffer_usages(&self) -> ::wgpu::BufferUses {
        ::wgpu::BufferUses::INCLUSIVE | ::wgpu::BufferUses::MAP_WRITE
    }

    fn get_ordered_texture_usages(&self) -> ::wgpu::TextureUses {
        ::wgpu::TextureUses::INCLUSIVE
    }
}

/// A window that this adapter cannot present to.
#[derive(Debug)]
pub struct Surface;

impl hal::Surface for Surface {
    type A = Api;

    unsafe fn configure(
        &self,
        _: &Device,
        _: &hal::SurfaceConfiguration,
    ) -> Result<(), hal::SurfaceError> {
        Err(hal::SurfaceError::Other("a device in software computes only"))
    }

    unsafe fn unconfigure(&self, _: &Device) {}

    unsafe fn acquire_texture(
        &self,
        _: Option<Duration>,
        _: &super::queue::Fence,
    ) -> Result<hal::AcquiredSurfaceTexture<Api>, hal::SurfaceError> {
        Err(hal::SurfaceError::Other("a device in software computes only"))
    }

    unsafe fn discard_texture(&self, texture: Never) {
        match texture {}
    }
}

impl Device {
    /// What stopped the device's work.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.state.fault()
    }
}
