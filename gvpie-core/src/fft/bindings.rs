//! Which bytes of its operands a dispatch is shown. A device may hold larger buffers than it binds:
//! dispatches over lines that lie too far apart for one binding become several, each over part of the
//! lines.

use super::recipe::{Load, Pairs, Pass, Place, Store};
use crate::batch::Bindings;
use crate::buffer::Buffer;
use crate::error::Error;
use crate::shader::Access;
use std::ops::Range;

/// Buffers end with whole vectors of this many bytes.
const GRAIN: u64 = 16;

/// What a device allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binding {
    /// Bytes that may be bound at once.
    pub most: u64,
    /// Bytes that the beginning is a multiple of.
    pub alignment: u64,
}

/// The elements of a buffer that a dispatch reads or writes, and the bytes to bind for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    bytes: Range<u64>,
    /// Bytes of an element.
    size: u64,
}

impl Span {
    /// From element `first` to `last`.
    pub fn new(first: usize, last: usize, size: usize, binding: Binding) -> Self {
        let size = size as u64;
        let at = |element: usize| (element as u64).saturating_mul(size);
        let grain = binding.alignment.max(GRAIN);
        let begin = at(first) / grain * grain;
        let end = at(last).saturating_add(size);
        Span { bytes: begin..end.checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX), size }
    }

    /// Both, of one buffer.
    pub fn and(&self, other: &Span) -> Span {
        let begin = self.bytes.start.min(other.bytes.start);
        Span { bytes: begin..self.bytes.end.max(other.bytes.end), size: self.size }
    }

    pub fn fits(&self, binding: Binding) -> bool {
        self.len() <= binding.most
    }

    /// Whether as many bytes can be bound wherever they begin.
    pub fn fits_anywhere(&self, binding: Binding) -> bool {
        self.len().saturating_add(binding.alignment.max(GRAIN) + GRAIN) <= binding.most
    }

    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// The error where no less of a buffer would do.
    pub fn too_long(&self, place: Place, binding: Binding) -> Error {
        let what = match place {
            Place::Input => "the FFT's input",
            Place::Output => "the FFT's output",
            Place::Space(_) => "the FFT's workspace",
        };
        Error::Limit {
            what: what.into(),
            limit: "max_storage_buffer_binding_size",
            asked: self.len(),
            allowed: binding.most,
        }
    }

    /// Binds all of a buffer where that is allowed, else these bytes; also how many elements lie before
    /// what is bound.
    pub fn bind(
        &self,
        bindings: Bindings,
        access: Access,
        buffer: &Buffer,
        binding: Binding,
    ) -> (Bindings, usize) {
        if buffer.held() <= binding.most {
            return (bindings.buffer(access, buffer), 0);
        }
        let bytes = self.bytes.start..self.bytes.end.min(buffer.held());
        // Both are multiples of 16, as are or divide the sizes of elements.
        (bindings.part(access, buffer, bytes), (self.bytes.start / self.size) as usize)
    }
}

/// Elements along its axis that a pass reads and writes of a line.
pub(super) fn reach(pass: &Pass) -> [usize; 2] {
    let n = pass.prime().unwrap_or(pass.n);
    let part = |count: Option<usize>, step: usize| match count {
        Some(count) => (count.saturating_sub(1) / step.max(1) + 1).min(n),
        None => n,
    };
    let read = match (pass.pairs, pass.before.load) {
        (Some(Pairs::Back), _) | (None, Load::Packed) => n + 1,
        (None, Load::Half) => pass.before.length / 2 + 1,
        _ => part(pass.before.given, pass.before.step),
    };
    let written = match (pass.pairs, pass.after.store) {
        (Some(Pairs::Forward), _) | (None, Store::Packed) => n + 1,
        _ => part(pass.after.kept, pass.after.step),
    };
    [read, written]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::memory::Pool;
    use std::time::Duration;

    #[test]
    fn spans_begin_aligned_and_end_with_whole_vectors() {
        let binding = Binding { most: 1024, alignment: 256 };
        let span = Span::new(100, 200, 8, binding);
        assert_eq!(span.bytes, 768..1616);
        assert!(span.fits(binding) && !span.fits_anywhere(binding));
        assert!(!Span::new(95, 223, 8, binding).fits(binding));
        assert_eq!(Span::new(40, 41, 8, binding).and(&span).bytes, 256..1616);
        // Devices that align less are given whole vectors all the same.
        assert_eq!(Span::new(3, 3, 4, Binding { most: 1024, alignment: 4 }).bytes, 0..16);
        assert!(!Span::new(0, usize::MAX, 16, binding).fits(binding));
    }

    #[test]
    fn buffers_are_bound_whole_where_that_is_allowed() {
        let device = Device::host(Pool::new(None), Duration::ZERO, false);
        let buffer = Buffer::zeroed(&device, 1600, "x").unwrap();
        let before = |most| {
            let binding = Binding { most, alignment: 256 };
            let span = Span::new(100, 199, 8, binding);
            span.bind(Bindings::new(), Access::Read, &buffer, binding).1
        };
        assert_eq!([1600, 1599].map(before), [0, 96]);
    }
}
