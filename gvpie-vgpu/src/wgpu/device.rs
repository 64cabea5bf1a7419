//! The device: what makes everything else.

use super::bind::{self, BindGroup, BindGroupLayout, PipelineLayout, Sampler};
use super::buffer::Buffer;
use super::encoder::Encoder;
use super::pipeline::{ComputePipeline, PipelineCache, ShaderModule};
use super::query::QuerySet;
use super::queue::{Fence, Queue, State};
use super::texture::{Texture, TextureView};
use super::{Api, Never};
use ::wgpu::{ShaderStages, hal, wgt};
use std::sync::Arc;
use std::time::Duration;

/// A device.
#[derive(Debug)]
pub struct Device {
    pub(super) state: Arc<State>,
}

type DeviceResult<T> = Result<T, hal::DeviceError>;

/// What has no stage here but compute.
fn not_compute<T>(stages: ShaderStages) -> Result<T, hal::PipelineError> {
    let what = "a device in software runs compute shaders only";
    Err(hal::PipelineError::Linkage(stages, what.into()))
}

impl hal::Device for Device {
    type A = Api;

    unsafe fn create_buffer(&self, descriptor: &hal::BufferDescriptor<'_>) -> DeviceResult<Buffer> {
        Buffer::zeroed(descriptor.size)
    }

    unsafe fn destroy_buffer(&self, _: Buffer) {}
    unsafe fn add_raw_buffer(&self, _: &Buffer) {}

    unsafe fn map_buffer(
        &self,
        buffer: &Buffer,
        range: hal::MemoryRange,
    ) -> DeviceResult<hal::BufferMapping> {
        self.state.check()?;
        Ok(hal::BufferMapping { ptr: buffer.pointer(range), is_coherent: true })
    }

    unsafe fn unmap_buffer(&self, _: &Buffer) {}
    unsafe fn flush_mapped_ranges<I>(&self, _: &Buffer, _: I) {}
    unsafe fn invalidate_mapped_ranges<I>(&self, _: &Buffer, _: I) {}

    unsafe fn create_texture(
        &self,
        descriptor: &hal::TextureDescriptor<'_>,
    ) -> DeviceResult<Texture> {
        Texture::new(descriptor)
    }

    unsafe fn destroy_texture(&self, _: Texture) {}
    unsafe fn add_raw_texture(&self, _: &Texture) {}

    unsafe fn create_texture_view(
        &self,
        texture: &Texture,
        descriptor: &hal::TextureViewDescriptor<'_>,
    ) -> DeviceResult<TextureView> {
        texture.view(descriptor)
    }

    unsafe fn destroy_texture_view(&self, _: TextureView) {}

    unsafe fn create_sampler(&self, _: &hal::SamplerDescriptor<'_>) -> DeviceResult<Sampler> {
        Ok(Sampler)
    }

    unsafe fn destroy_sampler(&self, _: Sampler) {}

    unsafe fn create_command_encoder(
        &self,
        _: &hal::CommandEncoderDescriptor<'_, Queue>,
    ) -> DeviceResult<Encoder> {
        Ok(Encoder::default())
    }

    unsafe fn create_bind_group_layout(
        &self,
        descriptor: &hal::BindGroupLayoutDescriptor<'_>,
    ) -> DeviceResult<BindGroupLayout> {
        Ok(BindGroupLayout::new(descriptor))
    }

    unsafe fn destroy_bind_group_layout(&self, _: BindGroupLayout) {}

    unsafe fn create_pipeline_layout(
        &self,
        _: &hal::PipelineLayoutDescriptor<'_, BindGroupLayout>,
    ) -> DeviceResult<PipelineLayout> {
        Ok(PipelineLayout)
    }

    unsafe fn destroy_pipeline_layout(&self, _: PipelineLayout) {}

    unsafe fn create_bind_group(
        &self,
        descriptor: &bind::Descriptor<'_>,
    ) -> DeviceResult<BindGroup> {
        BindGroup::new(descriptor)
    }

    unsafe fn destroy_bind_group(&self, _: BindGroup) {}

    unsafe fn create_shader_module(
        &self,
        _: &hal::ShaderModuleDescriptor<'_>,
        shader: hal::ShaderInput<'_>,
    ) -> Result<ShaderModule, hal::ShaderError> {
        ShaderModule::new(shader)
    }

    unsafe fn destroy_shader_module(&self, _: ShaderModule) {}

    unsafe fn create_render_pipeline(
        &self,
        _: &hal::RenderPipelineDescriptor<'_, PipelineLayout, ShaderModule, PipelineCache>,
    ) -> Result<Never, hal::PipelineError> {
        not_compute(ShaderStages::VERTEX_FRAGMENT)
    }

    unsafe fn destroy_render_pipeline(&self, pipeline: Never) {
        match pipeline {}
    }

    unsafe fn create_compute_pipeline(
        &self,
        descriptor: &hal::ComputePipelineDescriptor<
            '_,
            PipelineLayout,
            ShaderModule,
            PipelineCache,
        >,
    ) -> Result<ComputePipeline, hal::PipelineError> {
        ComputePipeline::new(&self.state.machine, descriptor)
    }

    unsafe fn destroy_compute_pipeline(&self, _: ComputePipeline) {}

    unsafe fn create_ray_tracing_pipeline(
        &self,
        _: &hal::RayTracingPipelineDescriptor<'_, PipelineLayout, ShaderModule, PipelineCache>,
    ) -> Result<Never, hal::PipelineError> {
        not_compute(ShaderStages::empty())
    }

    unsafe fn destroy_ray_tracing_pipeline(&self, pipeline: Never) {
        match pipeline {}
    }

    unsafe fn get_raytracing_pipeline_group_data(
        &self,
        pipeline: &Never,
        _: std::ops::Range<u32>,
    ) -> DeviceResult<Vec<u8>> {
        match *pipeline {}
    }

    unsafe fn create_pipeline_cache(
        &self,
        _: &hal::PipelineCacheDescriptor<'_>,
    ) -> Result<PipelineCache, hal::PipelineCacheError> {
        Ok(PipelineCache)
    }

    unsafe fn destroy_pipeline_cache(&self, _: PipelineCache) {}

    unsafe fn create_query_set(
        &self,
        descriptor: &wgt::QuerySetDescriptor<hal::Label<'_>>,
    ) -> DeviceResult<QuerySet> {
        Ok(QuerySet::new(descriptor.count))
    }

    unsafe fn destroy_query_set(&self, _: QuerySet) {}

    unsafe fn create_fence(&self) -> DeviceResult<Fence> {
        Ok(Fence::default())
    }

    unsafe fn destroy_fence(&self, _: Fence) {}

    /// Rises even after a fault, as wgpu takes an error here for its own and panics; the fault is told by
    /// [`check_if_oom`](hal::Device::check_if_oom), which it asks at each poll.
    unsafe fn get_fence_value(&self, fence: &Fence) -> DeviceResult<hal::FenceValue> {
        Ok(fence.value())
    }

    unsafe fn wait(
        &self,
        fence: &Fence,
        value: hal::FenceValue,
        timeout: Option<Duration>,
    ) -> DeviceResult<bool> {
        Ok(fence.wait(value, timeout))
    }

    unsafe fn start_graphics_debugger_capture(&self) -> bool {
        false
    }

    unsafe fn stop_graphics_debugger_capture(&self) {}

    unsafe fn create_acceleration_structure(
        &self,
        _: &hal::AccelerationStructureDescriptor<'_>,
    ) -> DeviceResult<Never> {
        Err(hal::DeviceError::Unexpected)
    }

    unsafe fn get_acceleration_structure_build_sizes<'a>(
        &self,
        _: &hal::GetAccelerationStructureBuildSizesDescriptor<'a, Buffer>,
    ) -> hal::AccelerationStructureBuildSizes {
        hal::AccelerationStructureBuildSizes::default()
    }

    unsafe fn get_acceleration_structure_device_address(
        &self,
        structure: &Never,
    ) -> wgt::BufferAddress {
        match *structure {}
    }

    unsafe fn destroy_acceleration_structure(&self, structure: Never) {
        match structure {}
    }

    fn tlas_instance_to_bytes(&self, _: hal::TlasInstance) -> Vec<u8> {
        Vec::new()
    }

    fn get_internal_counters(&self) -> wgt::HalCounters {
        wgt::HalCounters::default()
    }

    fn check_if_oom(&self) -> DeviceResult<()> {
        self.state.check()
    }
}
