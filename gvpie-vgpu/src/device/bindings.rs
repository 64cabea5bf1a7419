//! What a kernel is given, and whether it is what it asks for.

use super::buffer::Buffer;
use super::format::Format;
use super::texture::{Extent, Texture};
use crate::interp::{Bound, RunError};
use crate::ir::{Binding, BindingKind, Kernel, Type};
use std::sync::Arc;

/// Parts of buffers begin at multiples of so many bytes: any type that WGSL has is aligned there.
const ALIGNMENT: u64 = 32;

/// What is bound at its place.
#[derive(Debug, Clone)]
struct Entry {
    group: u32,
    binding: u32,
    resource: Resource,
}

#[derive(Debug, Clone)]
enum Resource {
    /// A part of a buffer.
    Buffer {
        buffer: Buffer,
        offset: u64,
        bytes: u64,
    },
    Texture(Texture),
}

/// What a kernel sees of its bindings, in their order.
#[derive(Debug)]
pub(super) struct Given {
    /// Of no bytes where a texture is.
    pub(super) buffers: Vec<Bound>,
    /// Nothing where a buffer is.
    pub(super) textures: Vec<Option<Texture>>,
    pub(super) immediate: Bound,
}

/// Buffers and textures by group and binding, and immediate data.
///
/// ```
/// use gvpie_vgpu::{Bindings, Buffer, Extent, Format, Texture};
/// let (a, b) = (Buffer::zeroed(64)?, Buffer::zeroed(1024)?);
/// let picture = Texture::zeroed(Format::Rgba8Unorm, Extent::D2(64, 48))?;
/// let bindings = Bindings::new().buffer(0, 0, &a).part(0, 1, &b, 256, 512).immediate(&[1, 0, 0, 0]);
/// let bindings = bindings.texture(0, 2, &picture);
/// # Ok::<(), gvpie_vgpu::RunError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    entries: Vec<Entry>,
    immediate: Vec<u8>,
}

impl Bindings {
    /// None.
    pub fn new() -> Bindings {
        Bindings::default()
    }

    /// Binds a whole buffer.
    pub fn buffer(self, group: u32, binding: u32, buffer: &Buffer) -> Bindings {
        self.part(group, binding, buffer, 0, buffer.bytes())
    }

    /// Binds `bytes` of a buffer from `offset` on, a multiple of 32.
    pub fn part(
        self,
        group: u32,
        binding: u32,
        buffer: &Buffer,
        offset: u64,
        bytes: u64,
    ) -> Bindings {
        let buffer = buffer.clone();
        self.with(group, binding, Resource::Buffer { buffer, offset, bytes })
    }

    /// Binds a texture. A storage texture has its first level written and read.
    pub fn texture(self, group: u32, binding: u32, texture: &Texture) -> Bindings {
        self.with(group, binding, Resource::Texture(texture.clone()))
    }

    fn with(mut self, group: u32, binding: u32, resource: Resource) -> Bindings {
        self.entries.push(Entry { group, binding, resource });
        self
    }

    /// Gives immediate data.
    pub fn immediate(mut self, data: &[u8]) -> Bindings {
        self.immediate = data.to_vec();
        self
    }

    /// What a kernel sees of it.
    pub(super) fn check(&self, kernel: &Kernel) -> Result<Given, RunError> {
        for (number, entry) in self.entries.iter().enumerate() {
            let (group, binding) = (entry.group, entry.binding);
            let same = |group_, binding_| group_ == group && binding_ == binding;
            if !kernel.bindings.iter().any(|b| same(b.group, b.binding)) {
                return Err(RunError::Unknown { group, binding });
            }
            if self.entries[..number].iter().any(|e| same(e.group, e.binding)) {
                return Err(RunError::Twice { group, binding });
            }
        }
        let mut found: Vec<(&Binding, &Resource, bool)> = Vec::new();
        for binding in &kernel.bindings {
            let (resource, writes) = self.find(binding)?;
            if let Some((other, ..)) = found
                .iter()
                .find(|(_, other, written)| (*written || writes) && overlap(other, resource))
            {
                let (first, second) = (other.name.clone(), binding.name.clone());
                return Err(RunError::Overlap { first, second });
            }
            found.push((binding, resource, writes));
        }
        let (expected, given) = (kernel.immediate_bytes.into(), self.immediate.len() as u64);
        if expected != given {
            return Err(RunError::Immediate { expected, found: given });
        }
        let immediate = Buffer::with(&self.immediate)?;
        let bound =
            |buffer: &Buffer, offset, bytes| Bound::new(Arc::clone(buffer.words()), offset, bytes);
        let immediate = bound(&immediate, 0, given);
        let mut given = Given { buffers: Vec::new(), textures: Vec::new(), immediate };
        let nothing = Buffer::zeroed(0)?;
        for (_, resource, _) in found {
            match resource {
                Resource::Buffer { buffer, offset, bytes } => {
                    given.buffers.push(bound(buffer, *offset, *bytes));
                    given.textures.push(None);
                }
                Resource::Texture(texture) => {
                    given.buffers.push(bound(&nothing, 0, 0));
                    given.textures.push(Some(texture.clone()));
                }
            }
        }
        Ok(given)
    }

    /// What is bound at a kernel's binding, and whether the kernel writes there.
    fn find(&self, wanted: &Binding) -> Result<(&Resource, bool), RunError> {
        let (group, binding) = (wanted.group, wanted.binding);
        let name = || wanted.name.clone();
        let entry = self.entries.iter().find(|e| e.group == group && e.binding == binding);
        let entry = entry.ok_or_else(|| RunError::Missing { group, binding, name: name() })?;
        let writes = match (&wanted.kind, &entry.resource) {
            (
                BindingKind::Buffer { least, writes, .. },
                Resource::Buffer { buffer, offset, bytes },
            ) => {
                let end = offset.saturating_add(*bytes);
                if end > buffer.bytes() {
                    let bytes = buffer.bytes();
                    return Err(RunError::PastEnd { offset: *offset, end, bytes });
                }
                if bytes < least {
                    let (expected, found) = (*least, *bytes);
                    let name = name();
                    return Err(RunError::TooSmall { group, binding, name, expected, found });
                }
                if offset % ALIGNMENT != 0 {
                    let (expected, found) = (ALIGNMENT, *offset);
                    return Err(RunError::Misaligned { group, binding, expected, found });
                }
                *writes
            }
            (BindingKind::Texture { writes, .. }, Resource::Texture(texture)) => {
                fits(wanted, texture)?;
                *writes
            }
            (kind, _) => {
                let (expected, found) = match kind {
                    BindingKind::Buffer { .. } => ("a buffer", "a texture"),
                    BindingKind::Texture { .. } => ("a texture", "a buffer"),
                };
                let name = name();
                return Err(RunError::Resource { group, binding, name, expected, found });
            }
        };
        Ok((&entry.resource, writes))
    }
}

/// Whether two share memory.
fn overlap(a: &Resource, b: &Resource) -> bool {
    match (a, b) {
        (
            Resource::Buffer { buffer: a, offset: first, bytes },
            Resource::Buffer { buffer: b, offset: second, bytes: more },
        ) => a.is(b) && first < &(second + more) && second < &(first + bytes),
        (Resource::Texture(a), Resource::Texture(b)) => a.overlaps(b),
        _ => false,
    }
}

/// Whether a texture is what a kernel asks for.
fn fits(wanted: &Binding, texture: &Texture) -> Result<(), RunError> {
    let (group, binding, name) = (wanted.group, wanted.binding, wanted.name.clone());
    let BindingKind::Texture { dimensions, arrayed, format, channel, .. } = &wanted.kind else {
        return Ok(());
    };
    let extent = texture.extent();
    if (extent.dimensions(), extent.is_layered()) != (*dimensions, *arrayed) {
        let expected = form(*dimensions, *arrayed);
        let found = match extent {
            Extent::D1(_) => form(1, false),
            Extent::D2(..) => form(2, false),
            Extent::D2Array(..) => form(2, true),
            Extent::D3(..) => form(3, false),
        };
        return Err(RunError::Dimensions { group, binding, name, expected, found });
    }
    let has = texture.format();
    let (expected, found) = match format {
        Some(format) if Format::named(format) != Some(has) => (format.clone(), has.name().into()),
        None if has.channel() != *channel => (of(*channel), of(has.channel())),
        _ => return Ok(()),
    };
    Err(RunError::Format { group, binding, name, expected, found })
}

fn form(dimensions: u8, layered: bool) -> &'static str {
    match (dimensions, layered) {
        (1, _) => "1 dimension",
        (2, false) => "2 dimensions",
        (2, true) => "2 dimensions and layers",
        _ => "3 dimensions",
    }
}

fn of(channel: Type) -> String {
    format!("channels of {channel}")
}
