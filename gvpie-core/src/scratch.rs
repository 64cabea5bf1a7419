//! Memory for what lies between the passes of a plan.

use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::device::{Backend, Device};
use crate::element::DType;
use crate::error::Result;
use crate::shape::Shape;
use crate::tensor::Operand;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers of fixed sizes. On a GPU there is one set: submissions run one after the other there. On
/// the host, where a plan may run on several threads at once, each run has a set of its own, which
/// the next may have after it.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    device: Device,
    bytes: Vec<u64>,
    what: &'static str,
    spare: Arc<Mutex<Vec<Vec<Buffer>>>>,
}

impl Scratch {
    /// Sets of buffers of these sizes, the first of them made now. `what` names them in errors.
    pub fn new(device: &Device, bytes: Vec<u64>, what: &'static str) -> Result<Self> {
        let scratch = Scratch { device: device.clone(), bytes, what, spare: Arc::default() };
        let first = scratch.make()?;
        scratch.keep(first);
        Ok(scratch)
    }

    fn make(&self) -> Result<Vec<Buffer>> {
        self.bytes.iter().map(|&bytes| Buffer::zeroed(&self.device, bytes, self.what)).collect()
    }

    fn keep(&self, set: Vec<Buffer>) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(set);
    }

    /// Records, through `passes`, work that uses a set.
    pub fn lend(
        &self,
        batch: &mut Batch,
        passes: impl FnOnce(&mut Batch, &[Buffer]) -> Result<()>,
    ) -> Result<()> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if self.device.backend() == Backend::Gpu
            && let Some(set) = spare.last().cloned()
        {
            drop(spare);
            return passes(batch, &set);
        }
        let taken = spare.pop();
        drop(spare);
        let set = match taken {
            Some(set) => set,
            None => self.make()?,
        };
        passes(batch, &set)?;
        let scratch = self.clone();
        batch.host(move || {
            scratch.keep(set);
            Ok(())
        });
        Ok(())
    }
}

/// Bytes of a dense tensor; more than any device has where they cannot be counted.
pub(super) fn bytes((shape, dtype): &(Shape, DType)) -> u64 {
    let bytes = shape.len().and_then(|count| count.checked_mul(dtype.size()));
    bytes.map_or(u64::MAX, |bytes| bytes as u64)
}

/// A dense tensor at the beginning of a buffer.
pub(super) fn dense(buffer: &Buffer, (shape, dtype): (Shape, DType)) -> Operand {
    let strides = shape.strides();
    Operand { buffer: buffer.clone(), dtype, shape, strides, offset: 0 }
}
