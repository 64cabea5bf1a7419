//! What a kernel is given, and whether it is what it asks for.

use super::buffer::Buffer;
use crate::interp::{Bound, RunError};
use crate::ir::{Binding, BindingKind, Kernel};

/// Parts of buffers begin at multiples of so many bytes: any type that WGSL has is aligned there.
const ALIGNMENT: u64 = 32;

/// A part of a buffer at its place.
#[derive(Debug, Clone)]
struct Entry {
    group: u32,
    binding: u32,
    buffer: Buffer,
    offset: u64,
    bytes: u64,
}

/// Buffers by group and binding, and immediate data.
///
/// ```
/// use gvpie_vgpu::{Bindings, Buffer};
/// let (a, b) = (Buffer::zeroed(64)?, Buffer::zeroed(1024)?);
/// let bindings = Bindings::new().buffer(0, 0, &a).part(0, 1, &b, 256, 512).immediate(&[1, 0, 0, 0]);
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
        mut self,
        group: u32,
        binding: u32,
        buffer: &Buffer,
        offset: u64,
        bytes: u64,
    ) -> Bindings {
        self.entries.push(Entry { group, binding, buffer: buffer.clone(), offset, bytes });
        self
    }

    /// Gives immediate data.
    pub fn immediate(mut self, data: &[u8]) -> Bindings {
        self.immediate = data.to_vec();
        self
    }

    /// What a kernel sees of it, in the order of its bindings, and its immediate data.
    pub(super) fn check(&self, kernel: &Kernel) -> Result<(Vec<Bound>, Bound), RunError> {
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
        let mut found: Vec<(&Binding, &Entry, bool)> = Vec::new();
        for binding in &kernel.bindings {
            let (entry, writes) = self.find(binding)?;
            let overlaps = |other: &Entry| {
                other.buffer.is(&entry.buffer)
                    && other.offset < entry.offset + entry.bytes
                    && entry.offset < other.offset + other.bytes
            };
            if let Some((other, ..)) =
                found.iter().find(|(_, other, written)| (*written || writes) && overlaps(other))
            {
                let (first, second) = (other.name.clone(), binding.name.clone());
                return Err(RunError::Overlap { first, second });
            }
            found.push((binding, entry, writes));
        }
        let (expected, given) = (kernel.immediate_bytes.into(), self.immediate.len() as u64);
        if expected != given {
            return Err(RunError::Immediate { expected, found: given });
        }
        let immediate = Buffer::with(&self.immediate)?;
        let bound = |buffer: &Buffer, offset, bytes| {
            Bound::new(std::sync::Arc::clone(buffer.words()), offset, bytes)
        };
        let parts =
            found.iter().map(|(_, entry, _)| bound(&entry.buffer, entry.offset, entry.bytes));
        Ok((parts.collect(), bound(&immediate, 0, given)))
    }

    /// What is bound at a kernel's binding, and whether the kernel writes there.
    fn find(&self, wanted: &Binding) -> Result<(&Entry, bool), RunError> {
        let (group, binding) = (wanted.group, wanted.binding);
        let name = || wanted.name.clone();
        let BindingKind::Buffer { least, writes, .. } = wanted.kind else {
            return Err(RunError::Unsupported { what: format!("the texture {}", wanted.name) });
        };
        let entry = self.entries.iter().find(|e| e.group == group && e.binding == binding);
        let entry = entry.ok_or_else(|| RunError::Missing { group, binding, name: name() })?;
        let end = entry.offset.saturating_add(entry.bytes);
        if end > entry.buffer.bytes() {
            let bytes = entry.buffer.bytes();
            return Err(RunError::PastEnd { offset: entry.offset, end, bytes });
        }
        if entry.bytes < least {
            let (expected, found) = (least, entry.bytes);
            return Err(RunError::TooSmall { group, binding, name: name(), expected, found });
        }
        if entry.offset % ALIGNMENT != 0 {
            let (expected, found) = (ALIGNMENT, entry.offset);
            return Err(RunError::Misaligned { group, binding, expected, found });
        }
        Ok((entry, writes))
    }
}
