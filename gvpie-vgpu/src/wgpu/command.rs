//! What was recorded, and how it is done.

use super::adapter::{MAX_WORKGROUPS, Machine};
use super::buffer::Buffer;
use super::check::Checked;
use super::pipeline::Compiled;
use super::query::QuerySet;
use super::texture::Texture;
use crate::Bindings;

use crate::interp::RunError;
use ::wgpu::hal;
use std::ops::Range;
use std::sync::Arc;

/// Commands that are recorded, in order.
#[derive(Debug)]
pub struct CommandBuffer(pub(super) Arc<[Command]>);

/// Something to do.
#[derive(Debug)]
pub enum Command {
    Clear(Buffer, Range<u64>),
    CopyBuffer { from: Buffer, to: Buffer, regions: Vec<hal::BufferCopy> },
    BufferToTexture { from: Buffer, to: Texture, regions: Vec<hal::BufferTextureCopy> },
    TextureToBuffer { from: Texture, to: Buffer, regions: Vec<hal::BufferTextureCopy> },
    CopyTexture { from: Texture, to: Texture, regions: Vec<hal::TextureCopy> },
    Dispatch(Dispatch),
    Timestamp(QuerySet, u32),
    ResetQueries(QuerySet, Range<u32>),
    ResolveQueries { from: QuerySet, range: Range<u32>, to: Buffer, offset: u64, stride: u64 },
}

/// Workgroups of a pipeline.
#[derive(Debug)]
pub struct Dispatch {
    pub pipeline: Arc<Compiled>,
    pub bindings: Bindings,
    pub count: Count,
}

/// How many workgroups.
#[derive(Debug)]
pub enum Count {
    /// Along x, y and z.
    Here([u32; 3]),
    /// As three u32 in a buffer say.
    There(Buffer, u64),
}

impl Command {
    /// Does it.
    ///
    /// # Safety
    /// What wgpu warrants of a command that it submits: it is within its buffers, which nobody else uses.
    ///
    /// # Errors
    /// What stops a kernel.
    pub(super) unsafe fn run(&self, machine: &Machine) -> Result<(), RunError> {
        match self {
            // SAFETY: as the caller warrants.
            Command::Clear(buffer, bytes) => unsafe { buffer.clear(bytes.clone()) },
            Command::CopyBuffer { from, to, regions } => {
                for hal::BufferCopy { src_offset, dst_offset, size } in regions {
                    // SAFETY: as the caller warrants.
                    unsafe { to.copy(*dst_offset, from, *src_offset..src_offset + size.get()) };
                }
            }
            Command::BufferToTexture { from, to, regions } => {
                // SAFETY: as the caller warrants.
                regions.iter().for_each(|region| unsafe { to.write(from, region) });
            }
            Command::TextureToBuffer { from, to, regions } => {
                // SAFETY: as the caller warrants.
                regions.iter().for_each(|region| unsafe { from.read(to, region) });
            }
            Command::CopyTexture { from, to, regions } => {
                // SAFETY: as the caller warrants.
                regions.iter().for_each(|region| unsafe { to.copy(from, region) });
            }
            Command::Dispatch(dispatch) => dispatch.run(machine)?,
            Command::Timestamp(set, index) => set.stamp(*index, machine.begin),
            Command::ResetQueries(set, range) => set.reset(range.clone()),
            Command::ResolveQueries { from, range, to, offset, stride } => {
                from.resolve(range.clone(), to, *offset, *stride);
            }
        }
        Ok(())
    }
}

impl Dispatch {
    fn run(&self, machine: &Machine) -> Result<(), RunError> {
        let Compiled { label, kernel, pipeline, source } = &*self.pipeline;
        let count = self.count.read()?;
        // A dispatch of too many workgroups by a buffer does nothing, as WebGPU has it.
        if count.iter().any(|n| *n > MAX_WORKGROUPS) {
            return Ok(());
        }
        let Some(collector) = &machine.check else {
            return machine.device.run(pipeline, &self.bindings, count);
        };
        let report = machine.device.check(kernel, &self.bindings, count)?;
        collector.add(Checked {
            pipeline: label.clone(),
            entry: kernel.name.clone(),
            workgroups: count,
            source: source.clone(),
            report,
        });
        Ok(())
    }
}

impl Count {
    fn read(&self) -> Result<[u32; 3], RunError> {
        match self {
            Count::Here(count) => Ok(*count),
            Count::There(buffer, offset) => {
                let bytes = buffer.memory().read(*offset, 12)?;
                let word = |k: usize| [0, 1, 2, 3].map(|byte| bytes[4 * k + byte]);
                Ok([0, 1, 2].map(|k| u32::from_le_bytes(word(k))))
            }
        }
    }
}
