//! What pipelines are bound to: layouts and groups.

use super::buffer::{self, Buffer};
use super::{Api, Never};
use ::wgpu::{BindGroupLayoutEntry, BindingType, hal};
use std::sync::Arc;

/// A sampler; kernels that sample are refused, so it is not looked at.
#[derive(Debug)]
pub struct Sampler;

/// What a group must hold, by binding.
#[derive(Debug)]
pub struct BindGroupLayout {
    entries: Vec<BindGroupLayoutEntry>,
}

/// The layouts of a pipeline; wgpu holds groups against them.
#[derive(Debug)]
pub struct PipelineLayout;

/// Buffers and textures at their bindings.
#[derive(Debug, Clone)]
pub struct BindGroup(pub(super) Arc<[Bound]>);

/// Something at its binding.
#[derive(Debug)]
pub struct Bound {
    pub binding: u32,
    pub part: Part,
}

/// A part of a buffer.
#[derive(Debug)]
pub struct Part {
    pub buffer: Buffer,
    pub offset: u64,
    pub bytes: u64,
    /// Whether each use of the group moves it.
    pub moves: bool,
}

impl BindGroupLayout {
    pub(super) fn new(descriptor: &hal::BindGroupLayoutDescriptor<'_>) -> BindGroupLayout {
        BindGroupLayout { entries: descriptor.entries.to_vec() }
    }

    fn is_moved(&self, binding: u32) -> bool {
        let of = |entry: &&BindGroupLayoutEntry| entry.binding == binding;
        let ty = self.entries.iter().find(of).map(|entry| entry.ty);
        matches!(ty, Some(BindingType::Buffer { has_dynamic_offset: true, .. }))
    }

    fn is_buffer(&self, binding: u32) -> bool {
        let of = |entry: &&BindGroupLayoutEntry| entry.binding == binding;
        let ty = self.entries.iter().find(of).map(|entry| entry.ty);
        matches!(ty, Some(BindingType::Buffer { .. }))
    }
}

type Descriptor<'a> = hal::BindGroupDescriptor<
    'a,
    BindGroupLayout,
    Buffer,
    Sampler,
    <Api as hal::Api>::TextureView,
    Never,
>;

impl BindGroup {
    pub(super) fn new(descriptor: &Descriptor<'_>) -> BindGroup {
        let buffers = buffer::of_bindings(descriptor.buffers);
        let mut group = Vec::new();
        for entry in descriptor.entries {
            let (binding, layout) = (entry.binding, descriptor.layout);
            if layout.is_buffer(binding) {
                let index = entry.resource_index as usize;
                let (buffer, bound) = (buffers[index].clone(), &descriptor.buffers[index]);
                let rest = buffer.memory().bytes().saturating_sub(bound.offset);
                let bytes = bound.size.map_or(rest, |size| size.get());
                let moves = layout.is_moved(binding);
                group.push(Bound {
                    binding,
                    part: Part { buffer, offset: bound.offset, bytes, moves },
                });
            }
        }
        // Dynamic offsets come in the order of bindings.
        group.sort_by_key(|bound| bound.binding);
        BindGroup(group.into())
    }
}
