//! Records commands.

use super::adapter::MAX_IMMEDIATE;
use super::bind::{BindGroup, PipelineLayout, Resource};
use super::buffer::Buffer;
use super::command::{Command, CommandBuffer, Count, Dispatch};
use super::pipeline::{Compiled, ComputePipeline};
use super::query::QuerySet;
use super::texture::{Texture, TextureView};
use super::{Api, Never};
use crate::Bindings;
use ::wgpu::{BufferAddress, BufferSize, TextureUses, hal, wgt};
use std::ops::Range;
use std::sync::Arc;

/// Records commands, and in a compute pass what the next dispatch is bound to.
#[derive(Debug)]
pub struct Encoder {
    commands: Vec<Command>,
    pipeline: Option<Arc<Compiled>>,
    groups: [Option<(BindGroup, Vec<u32>)>; hal::MAX_BIND_GROUPS],
    immediate: [u8; MAX_IMMEDIATE as usize],
    /// What is stamped when the pass ends.
    end: Option<(QuerySet, u32)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            commands: Vec::new(),
            pipeline: None,
            groups: Default::default(),
            immediate: [0; MAX_IMMEDIATE as usize],
            end: None,
        }
    }
}

impl Encoder {
    fn dispatch(&mut self, count: Count) {
        let Some(pipeline) = self.pipeline.clone() else { return };
        let kernel = &pipeline.kernel;
        // More than there can be is told when it runs.
        let immediate = kernel.immediate_bytes.min(MAX_IMMEDIATE) as usize;
        let mut bindings = Bindings::new().immediate(&self.immediate[..immediate]);
        for wanted in &kernel.bindings {
            let group = self.groups.get(wanted.group as usize).and_then(Option::as_ref);
            let Some((group, offsets)) = group else { continue };
            let mut offsets = offsets.iter();
            for bound in group.0.iter() {
                let here = bound.binding == wanted.binding;
                match &bound.resource {
                    Resource::Buffer { buffer, offset, bytes, moves } => {
                        let moved = if *moves { offsets.next() } else { None };
                        let offset = offset + moved.map_or(0, |offset| u64::from(*offset));
                        let memory = buffer.memory();
                        if here {
                            bindings =
                                bindings.part(wanted.group, wanted.binding, memory, offset, *bytes);
                        }
                    }
                    Resource::Texture(view) if here => {
                        bindings = bindings.texture(wanted.group, wanted.binding, &view.0);
                    }
                    Resource::Texture(_) | Resource::Sampler => {}
                }
            }
        }
        self.commands.push(Command::Dispatch(Dispatch { pipeline, bindings, count }));
    }
}

impl hal::CommandEncoder for Encoder {
    type A = Api;

    unsafe fn begin_encoding(&mut self, _: hal::Label<'_>) -> Result<(), hal::DeviceError> {
        Ok(())
    }

    unsafe fn discard_encoding(&mut self) {
        self.commands.clear();
    }

    unsafe fn end_encoding(&mut self) -> Result<CommandBuffer, hal::DeviceError> {
        Ok(CommandBuffer(std::mem::take(&mut self.commands).into()))
    }

    unsafe fn reset_all<I>(&mut self, _: I) {}

    // Commands run one after another, each when the one before it is done: nothing to wait for.
    unsafe fn transition_buffers<'a, T>(&mut self, _: T)
    where
        T: Iterator<Item = hal::BufferBarrier<'a, Buffer>>,
    {
    }

    unsafe fn transition_textures<'a, T>(&mut self, _: T)
    where
        T: Iterator<Item = hal::TextureBarrier<'a, Texture>>,
    {
    }

    unsafe fn clear_buffer(&mut self, buffer: &Buffer, range: hal::MemoryRange) {
        self.commands.push(Command::Clear(buffer.clone(), range));
    }

    unsafe fn copy_buffer_to_buffer<T>(&mut self, from: &Buffer, to: &Buffer, regions: T)
    where
        T: Iterator<Item = hal::BufferCopy>,
    {
        let (from, to, regions) = (from.clone(), to.clone(), regions.collect());
        self.commands.push(Command::CopyBuffer { from, to, regions });
    }

    unsafe fn copy_texture_to_texture<T>(
        &mut self,
        from: &Texture,
        _: TextureUses,
        to: &Texture,
        regions: T,
    ) where
        T: Iterator<Item = hal::TextureCopy>,
    {
        let (from, to, regions) = (from.clone(), to.clone(), regions.collect());
        self.commands.push(Command::CopyTexture { from, to, regions });
    }

    unsafe fn copy_buffer_to_texture<T>(&mut self, from: &Buffer, to: &Texture, regions: T)
    where
        T: Iterator<Item = hal::BufferTextureCopy>,
    {
        let (from, to, regions) = (from.clone(), to.clone(), regions.collect());
        self.commands.push(Command::BufferToTexture { from, to, regions });
    }

    unsafe fn copy_texture_to_buffer<T>(
        &mut self,
        from: &Texture,
        _: TextureUses,
        to: &Buffer,
        regions: T,
    ) where
        T: Iterator<Item = hal::BufferTextureCopy>,
    {
        let (from, to, regions) = (from.clone(), to.clone(), regions.collect());
        self.commands.push(Command::TextureToBuffer { from, to, regions });
    }

    unsafe fn set_bind_group(
        &mut self,
        _: &PipelineLayout,
        index: u32,
        group: &BindGroup,
        dynamic_offsets: &[wgt::DynamicOffset],
    ) {
        self.groups[index as usize] = Some((group.clone(), dynamic_offsets.to_vec()));
    }

    unsafe fn set_immediates(&mut self, _: &PipelineLayout, offset: u32, data: &[u32]) {
        let to = &mut self.immediate[offset as usize..];
        for (to, word) in to.chunks_exact_mut(4).zip(data) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
    }

    unsafe fn insert_debug_marker(&mut self, _: &str) {}
    unsafe fn begin_debug_marker(&mut self, _: &str) {}
    unsafe fn end_debug_marker(&mut self) {}

    // Of queries, only timestamps are among the features.
    unsafe fn begin_query(&mut self, _: &QuerySet, _: u32) {}
    unsafe fn end_query(&mut self, _: &QuerySet, _: u32) {}

    unsafe fn write_timestamp(&mut self, set: &QuerySet, index: u32) {
        self.commands.push(Command::Timestamp(set.clone(), index));
    }

    unsafe fn reset_queries(&mut self, set: &QuerySet, range: Range<u32>) {
        self.commands.push(Command::ResetQueries(set.clone(), range));
    }

    unsafe fn copy_query_results(
        &mut self,
        set: &QuerySet,
        range: Range<u32>,
        buffer: &Buffer,
        offset: BufferAddress,
        stride: BufferSize,
    ) {
        let (from, to) = (set.clone(), buffer.clone());
        let stride = stride.get();
        self.commands.push(Command::ResolveQueries { from, range, to, offset, stride });
    }

    unsafe fn begin_compute_pass(&mut self, descriptor: &hal::ComputePassDescriptor<'_, QuerySet>) {
        self.pipeline = None;
        self.groups = Default::default();
        if let Some(writes) = &descriptor.timestamp_writes {
            let set = writes.query_set;
            if let Some(index) = writes.beginning_of_pass_write_index {
                self.commands.push(Command::Timestamp(set.clone(), index));
            }
            self.end = writes.end_of_pass_write_index.map(|index| (set.clone(), index));
        }
    }

    unsafe fn end_compute_pass(&mut self) {
        if let Some((set, index)) = self.end.take() {
            self.commands.push(Command::Timestamp(set, index));
        }
    }

    unsafe fn set_compute_pipeline(&mut self, pipeline: &ComputePipeline) {
        self.pipeline = Some(Arc::clone(&pipeline.0));
    }

    unsafe fn dispatch_workgroups(&mut self, count: [u32; 3]) {
        self.dispatch(Count::Here(count));
    }

    unsafe fn dispatch_workgroups_indirect(&mut self, buffer: &Buffer, offset: BufferAddress) {
        self.dispatch(Count::There(buffer.clone(), offset));
    }

    // No render pass begins, so nothing below is called.

    unsafe fn begin_render_pass(
        &mut self,
        _: &hal::RenderPassDescriptor<'_, QuerySet, TextureView>,
    ) -> Result<(), hal::DeviceError> {
        Err(hal::DeviceError::Unexpected)
    }

    unsafe fn end_render_pass(&mut self) {}

    unsafe fn set_render_pipeline(&mut self, pipeline: &Never) {
        match *pipeline {}
    }

    unsafe fn set_index_buffer<'a>(
        &mut self,
        _: hal::BufferBinding<'a, Buffer>,
        _: wgt::IndexFormat,
    ) {
    }

    unsafe fn set_vertex_buffer<'a>(&mut self, _: u32, _: hal::BufferBinding<'a, Buffer>) {}
    unsafe fn set_viewport(&mut self, _: &hal::Rect<f32>, _: Range<f32>) {}
    unsafe fn set_scissor_rect(&mut self, _: &hal::Rect<u32>) {}
    unsafe fn set_stencil_reference(&mut self, _: u32) {}
    unsafe fn set_blend_constants(&mut self, _: &[f32; 4]) {}
    unsafe fn draw(&mut self, _: u32, _: u32, _: u32, _: u32) {}
    unsafe fn draw_indexed(&mut self, _: u32, _: u32, _: i32, _: u32, _: u32) {}
    unsafe fn draw_indirect(&mut self, _: &Buffer, _: BufferAddress, _: u32) {}
    unsafe fn draw_indexed_indirect(&mut self, _: &Buffer, _: BufferAddress, _: u32) {}
    unsafe fn draw_mesh_tasks(&mut self, _: u32, _: u32, _: u32) {}
    unsafe fn draw_mesh_tasks_indirect(&mut self, _: &Buffer, _: BufferAddress, _: u32) {}

    unsafe fn draw_indirect_count(
        &mut self,
        _: &Buffer,
        _: BufferAddress,
        _: &Buffer,
        _: BufferAddress,
        _: u32,
    ) {
    }

    unsafe fn draw_indexed_indirect_count(
        &mut self,
        _: &Buffer,
        _: BufferAddress,
        _: &Buffer,
        _: BufferAddress,
        _: u32,
    ) {
    }

    unsafe fn draw_mesh_tasks_indirect_count(
        &mut self,
        _: &Buffer,
        _: BufferAddress,
        _: &Buffer,
        _: BufferAddress,
        _: u32,
    ) {
    }

    unsafe fn read_acceleration_structure_compact_size(&mut self, structure: &Never, _: &Buffer) {
        match *structure {}
    }

    unsafe fn build_acceleration_structures<'a, T>(&mut self, _: u32, _: T)
    where
        Api: 'a,
        T: IntoIterator<Item = hal::BuildAccelerationStructureDescriptor<'a, Buffer, Never>>,
    {
    }

    unsafe fn place_acceleration_structure_barrier(
        &mut self,
        _: hal::AccelerationStructureBarrier,
    ) {
    }

    unsafe fn copy_acceleration_structure_to_acceleration_structure(
        &mut self,
        from: &Never,
        _: &Never,
        _: wgt::AccelerationStructureCopy,
    ) {
        match *from {}
    }

    unsafe fn set_acceleration_structure_dependencies(_: &[&CommandBuffer], _: &[&Never]) {}

    unsafe fn begin_ray_tracing_pass(&mut self, _: &hal::RayTracingPassDescriptor<'_>) {}
    unsafe fn end_ray_tracing_pass(&mut self) {}

    unsafe fn set_ray_tracing_pipeline(&mut self, pipeline: &Never) {
        match *pipeline {}
    }

    unsafe fn trace_rays<'a>(
        &mut self,
        _: [u32; 3],
        _: hal::PipelineGroupData<'a, Buffer>,
        _: hal::PipelineGroupData<'a, Buffer>,
        _: hal::PipelineGroupData<'a, Buffer>,
    ) {
    }
}
