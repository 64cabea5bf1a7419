//! What pipelines are bound to: layouts and groups.

use super::Never;
use super::buffer::{self, Buffer};
use super::texture::TextureView;
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
    pub resource: Resource,
}

/// What can be bound.
#[derive(Debug)]
pub enum Resource {
    /// A part of a buffer.
    Buffer {
        buffer: Buffer,
        offset: u64,
        bytes: u64,
        /// Whether each use of the group moves it.
        moves: bool,
    },
    Texture(TextureView),
    Sampler,
}

impl BindGroupLayout {
    pub(super) fn new(descriptor: &hal::BindGroupLayoutDescriptor<'_>) -> BindGroupLayout {
        BindGroupLayout { entries: descriptor.entries.to_vec() }
    }

    fn ty(&self, binding: u32) -> Option<BindingType> {
        let of = |entry: &&BindGroupLayoutEntry| entry.binding == binding;
        self.entries.iter().find(of).map(|entry| entry.ty)
    }
}

pub(super) type Descriptor<'a> =
    hal::BindGroupDescriptor<'a, BindGroupLayout, Buffer, Sampler, TextureView, Never>;

impl BindGroup {
    pub(super) fn new(descriptor: &Descriptor<'_>) -> Result<BindGroup, hal::DeviceError> {
        let buffers = buffer::of_bindings(descriptor.buffers);
        let mut group = Vec::new();
        for entry in descriptor.entries {
            let (binding, index) = (entry.binding, entry.resource_index as usize);
            let resource = match descriptor.layout.ty(binding) {
                Some(BindingType::Buffer { has_dynamic_offset: moves, .. }) => {
                    // A wgpu that shows its bindings otherwise would be one that this is not for.
                    let buffer = buffers.get(index).cloned().ok_or(hal::DeviceError::Unexpected)?;
                    let bound = &descriptor.buffers[index];
                    let rest = buffer.memory().bytes().saturating_sub(bound.offset);
                    let bytes = bound.size.map_or(rest, |size| size.get());
                    Resource::Buffer { buffer, offset: bound.offset, bytes, moves }
                }
                Some(BindingType::Texture { .. } | BindingType::StorageTexture { .. }) => {
                    Resource::Texture(descriptor.textures[index].view.clone())
                }
                _ => Resource::Sampler,
            };
            group.push(Bound { binding, resource });
        }
        // Dynamic offsets come in the order of bindings.
        group.sort_by_key(|bound| bound.binding);
        Ok(BindGroup(group.into()))
    }
}
