//! A back end of wgpu: a compute program that was written for wgpu runs here as it is.
//!
//! Only the line that makes the instance differs:
//!
//! ```
//! let instance = gvpie_vgpu::wgpu::instance(gvpie_vgpu::wgpu::Options::default())?;
//! # let name = || pollster::block_on(async {
//! let adapter = instance.request_adapter(&Default::default()).await.ok()?;
//! let (device, queue) = adapter.request_device(&Default::default()).await.ok()?;
//! # drop((device, queue));
//! # Some(adapter.get_info().name)
//! # });
//! # assert_eq!(name().as_deref(), Some("gvpie vGPU"));
//! # Ok::<(), gvpie_vgpu::RunError>(())
//! ```
//!
//! It is a back end below wgpu's own validation, beside Vulkan and Metal: what wgpu refuses there, it
//! refuses here, in the same words, and bind groups, mapping, error scopes and lifetimes are wgpu's.
//!
//! * **Work** runs on a thread of the device's own in the order of submissions: `submit` returns at once,
//!   `poll`, `map_async` and `on_submitted_work_done` behave as on a GPU.
//! * **A kernel that is stopped** (budget, deadline, barrier in divergent flow) loses the device, which the
//!   next submission or poll tells; [`fault`] says why. Nothing that was submitted after it runs. Without a
//!   [deadline](crate::Options::deadline) a kernel that goes on holds up the end of its queue, as on a GPU.
//! * **Kernels** are bounds-checked and workgroup memory is zero-filled, whatever the program asks for. A
//!   kernel with something that this device has not is refused as an internal error with its line. Two
//!   bindings of one dispatch must not overlap where one is written to, which WebGPU forbids and wgpu
//!   does not check.
//! * **Source** is parsed and validated by wgpu: what [`Limits`](crate::Limits) holds of a hostile one is
//!   not looked at.
//! * **What is not compute** is refused by wgpu: no format can be drawn to, no surface is supported, and
//!   the features of ray tracing, external textures and shaders past wgpu's own parsers are not there.

mod adapter;
mod bind;
mod buffer;
mod check;
mod command;
mod device;
mod encoder;
mod pipeline;
mod query;
mod queue;
#[cfg(test)]
mod tests;
mod texture;

pub use adapter::{Adapter, Instance};
pub use check::{Checked, Collector, Covered};
pub use device::Device;
pub use queue::Fault;

use crate::interp::RunError;
use ::wgpu::hal;
use adapter::Machine;
use std::any::Any;
use std::sync::Arc;

/// What an instance is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// What its devices may use.
    pub device: crate::Options,
    /// Has each dispatch run under the sanitizer, and takes what it finds. That needs 40 bytes for each word
    /// that a kernel may write, of what [`crate::Options::memory`] allows.
    pub check: Option<Collector>,
    /// Bytes of workgroup memory at most, to 1 MiB. Programs that divide their work by it run here as they do
    /// on a device that has as much.
    pub workgroup_memory: u32,
    /// What the adapter says it is: there are programs with kernels of their own for software.
    pub kind: ::wgpu::DeviceType,
}

impl Default for Options {
    /// No sanitizer, 1 MiB, a [`Cpu`](::wgpu::DeviceType::Cpu).
    fn default() -> Options {
        Options {
            device: crate::Options::default(),
            check: None,
            workgroup_memory: adapter::MAX_WORKGROUP_BYTES,
            kind: ::wgpu::DeviceType::Cpu,
        }
    }
}

/// An instance of wgpu with one adapter, which computes on this machine's processors.
///
/// Of [`Backends`](::wgpu::Backends) the adapter is listed under `NOOP`, as wgpu has no name for others'
/// back ends, and so under `all`.
///
/// # Errors
/// An option that is out of its range, or no threads to be had.
pub fn instance(options: Options) -> Result<::wgpu::Instance, RunError> {
    let machine = Some(Arc::new(Machine::new(options)?));
    // SAFETY: the instance is valid, and nobody else has it.
    Ok(unsafe { ::wgpu::Instance::from_hal::<Api>(Instance { machine }) })
}

/// What stopped a device's work, if anything has; `None` too for a device of another back end.
pub fn fault(device: &::wgpu::Device) -> Option<Fault> {
    // SAFETY: the device is looked at only.
    let device = unsafe { device.as_hal::<Api>() }?;
    device.fault()
}

/// The back end by its types; for wgpu's `as_hal`.
#[derive(Debug, Clone)]
pub struct Api;

impl hal::Api for Api {
    const VARIANT: ::wgpu::Backend = ::wgpu::Backend::Noop;

    type Instance = Instance;
    type Surface = adapter::Surface;
    type Adapter = Adapter;
    type Device = Device;
    type Queue = queue::Queue;
    type CommandEncoder = encoder::Encoder;
    type CommandBuffer = command::CommandBuffer;
    type Buffer = buffer::Buffer;
    type Texture = texture::Texture;
    type SurfaceTexture = Never;
    type TextureView = texture::TextureView;
    type Sampler = bind::Sampler;
    type QuerySet = query::QuerySet;
    type Fence = queue::Fence;
    type BindGroupLayout = bind::BindGroupLayout;
    type BindGroup = bind::BindGroup;
    type PipelineLayout = bind::PipelineLayout;
    type ShaderModule = pipeline::ShaderModule;
    type RenderPipeline = Never;
    type ComputePipeline = pipeline::ComputePipeline;
    type RayTracingPipeline = Never;
    type PipelineCache = pipeline::PipelineCache;
    type AccelerationStructure = Never;
}

/// What this back end never makes.
#[derive(Debug)]
pub enum Never {}

/// A type that wgpu passes around without knowing it, and what it may pass it as.
macro_rules! resource {
    ($($name:ty: $($role:ident)*;)*) => {$(
        impl hal::DynResource for $name {
            fn as_any(&self) -> &dyn Any {
                self
            }

            fn as_any_mut(&mut self) -> &mut dyn Any {
                self
            }
        }
        $(impl hal::$role for $name {})*
    )*};
}

resource! {
    Instance:;
    adapter::Surface:;
    Adapter:;
    Device:;
    queue::Queue:;
    encoder::Encoder:;
    command::CommandBuffer: DynCommandBuffer;
    buffer::Buffer: DynBuffer;
    texture::Texture: DynTexture;
    texture::TextureView: DynTextureView;
    bind::Sampler: DynSampler;
    query::QuerySet: DynQuerySet;
    queue::Fence: DynFence;
    bind::BindGroupLayout: DynBindGroupLayout;
    bind::BindGroup: DynBindGroup;
    bind::PipelineLayout: DynPipelineLayout;
    pipeline::ShaderModule: DynShaderModule;
    pipeline::ComputePipeline: DynComputePipeline;
    pipeline::PipelineCache: DynPipelineCache;
    Never: DynSurfaceTexture DynRenderPipeline DynRayTracingPipeline DynAccelerationStructure;
}

impl std::borrow::Borrow<texture::Texture> for Never {
    fn borrow(&self) -> &texture::Texture {
        match *self {}
    }
}

impl std::borrow::Borrow<dyn hal::DynTexture> for Never {
    fn borrow(&self) -> &(dyn hal::DynTexture + 'static) {
        match *self {}
    }
}
