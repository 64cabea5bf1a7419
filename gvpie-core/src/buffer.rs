//! Buffers: bytes on the device.

use crate::device::{Device, GpuDevice};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::memory::staging::{self, Target};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// Buffers are padded to whole vectors of four f32, so that kernels may read them as such.
const GRAIN: u64 = 16;

/// One transfer moves at most this much, which bounds the memory pinned for it.
const CHUNK: u64 = 256 << 20;

/// Bytes on a device; cheap to clone, freed with the last clone.
///
/// [`Tensor`](crate::Tensor) is the typed face of a buffer and what most programs use.
#[derive(Debug, Clone)]
pub struct Buffer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: Device,
    bytes: u64,
    storage: Storage,
    _paid: Reservation,
}

#[derive(Debug)]
enum Storage {
    Wgpu(Arc<GpuDevice>, wgpu::Buffer),
    /// Whole words, so that the bytes are aligned for every element type.
    Host(RwLock<Vec<u64>>),
}

/// A buffer as long as others hold it.
#[derive(Debug)]
pub(crate) struct WeakBuffer(Weak<Inner>);

impl WeakBuffer {
    /// The buffer, if it is still there.
    pub fn upgrade(&self) -> Option<Buffer> {
        self.0.upgrade().map(Buffer)
    }

    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Buffer {
    /// A buffer of `bytes` zero bytes. `what` names it in errors.
    pub(crate) fn zeroed(device: &Device, bytes: u64, what: &str) -> Result<Self> {
        let padded = bytes.max(1).checked_next_multiple_of(GRAIN).ok_or_else(|| Error::Limit {
            what: what.into(),
            limit: "max_buffer_size",
            asked: bytes,
            allowed: u64::MAX - GRAIN,
        })?;
        if let Some(gpu) = device.gpu() {
            gpu.check_size(padded, what)?;
        }
        let paid = device.pool().reserve(padded, what)?;
        let storage = match device {
            Device::Wgpu(gpu) => {
                let buffer = gpu.scoped(what, padded, || {
                    gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
                        label: Some(what),
                        size: padded,
                        usage: wgpu::BufferUsages::STORAGE
                            | wgpu::BufferUsages::COPY_SRC
                            | wgpu::BufferUsages::COPY_DST,
                        mapped_at_creation: false,
                    })
                })?;
                Storage::Wgpu(Arc::clone(gpu), buffer)
            }
            Device::Host(_) => {
                let full = || device.pool().out_of_memory(padded, what);
                let words = usize::try_from(padded / 8).map_err(|_| full())?;
                let mut memory = Vec::new();
                memory.try_reserve_exact(words).map_err(|_| full())?;
                memory.resize(words, 0);
                Storage::Host(RwLock::new(memory))
            }
        };
        Ok(Buffer(Arc::new(Inner { device: device.clone(), bytes, storage, _paid: paid })))
    }

    /// Its length in bytes, as asked for.
    pub fn len(&self) -> u64 {
        self.0.bytes
    }

    /// Whether it was asked to hold nothing.
    pub fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The wgpu buffer behind it, if it is on a GPU.
    pub fn wgpu(&self) -> Option<&wgpu::Buffer> {
        match &self.0.storage {
            Storage::Wgpu(_, buffer) => Some(buffer),
            Storage::Host(_) => None,
        }
    }

    /// Its length in bytes with the padding behind what was asked for.
    pub(crate) fn held(&self) -> u64 {
        self.0.bytes.max(1).next_multiple_of(GRAIN)
    }

    pub(crate) fn downgrade(&self) -> WeakBuffer {
        WeakBuffer(Arc::downgrade(&self.0))
    }

    /// Tells buffers apart as long as they are held.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether both handles name one buffer.
    pub(crate) fn is(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Overwrites the first bytes. The caller has checked that they fit.
    pub(crate) fn write(&self, data: &[u8]) -> Result<()> {
        match &self.0.storage {
            Storage::Wgpu(gpu, buffer) => {
                let whole = data.len() & !3; // transfers move whole words; the rest is padded below
                for (index, part) in data[..whole].chunks(CHUNK as usize).enumerate() {
                    gpu.scoped("upload", part.len() as u64, || {
                        gpu.queue().write_buffer(buffer, index as u64 * CHUNK, part);
                        if whole as u64 > CHUNK {
                            gpu.queue().submit([]); // frees each chunk's staging memory early
                        }
                    })?;
                }
                if whole < data.len() {
                    let mut word = [0; 4];
                    word[..data.len() - whole].copy_from_slice(&data[whole..]);
                    gpu.scoped("upload", 4, || {
                        gpu.queue().write_buffer(buffer, whole as u64, &word);
                    })?;
                }
                Ok(())
            }
            Storage::Host(memory) => {
                let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
                bytemuck::cast_slice_mut(&mut memory)[..data.len()].copy_from_slice(data);
                Ok(())
            }
        }
    }

    /// Writes a range of bytes, which the caller has checked and which begins at a multiple of four,
    /// without waiting for the device: `fill` is given each part in turn and the memory to put it in.
    /// What is padded to a whole word becomes zero.
    pub(crate) fn fill(
        &self,
        bytes: Range<u64>,
        mut fill: impl FnMut(Range<u64>, Target<'_>) -> Result<()>,
    ) -> Result<()> {
        match &self.0.storage {
            Storage::Wgpu(gpu, buffer) => gpu.staging().upload(gpu, buffer, bytes, fill),
            Storage::Host(memory) => {
                let pool = self.0.device.pool();
                let step = staging::chunk(pool.pages().budget());
                let mut memory = memory.write().unwrap_or_else(PoisonError::into_inner);
                let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
                for part in parts(bytes, step) {
                    fill(
                        part.clone(),
                        (&mut memory[part.start as usize..part.end as usize]).into(),
                    )?;
                    pool.count_up(part.end - part.start);
                }
                Ok(())
            }
        }
    }

    /// Reads a range of bytes, which the caller has checked and which begins at a multiple of four, as
    /// the work submitted before leaves them: `take` is given each part in turn.
    pub(crate) fn drain(
        &self,
        bytes: Range<u64>,
        mut take: impl FnMut(Range<u64>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        match &self.0.storage {
            Storage::Wgpu(gpu, buffer) => gpu.staging().download(gpu, buffer, bytes, take),
            Storage::Host(memory) => {
                let pool = self.0.device.pool();
                let step = staging::chunk(pool.pages().budget());
                let memory = memory.read().unwrap_or_else(PoisonError::into_inner);
                let memory: &[u8] = bytemuck::cast_slice(&memory);
                for part in parts(bytes, step) {
                    take(part.clone(), &memory[part.start as usize..part.end as usize])?;
                    pool.count_down(part.end - part.start);
                }
                Ok(())
            }
        }
    }

    /// Reads a range of bytes, whose ends are multiples of four or the buffer's own end.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        match &self.0.storage {
            Storage::Wgpu(gpu, buffer) => {
                let mut bytes = destination(&self.0.device, &range)?;
                for part in parts(range.clone(), CHUNK) {
                    let staged = Staged::copy(gpu, buffer, part.clone())?;
                    gpu.wait(staged.submission.clone(), "download")?;
                    staged.append_to(&mut bytes)?;
                }
                bytes.truncate((range.end - range.start) as usize);
                Ok(bytes)
            }
            Storage::Host(_) => self.read_host(range),
        }
    }

    /// The same without blocking: a thread of its own waits for the device.
    pub(crate) async fn read_async(&self, range: Range<u64>) -> Result<Vec<u8>> {
        match &self.0.storage {
            Storage::Wgpu(gpu, buffer) => {
                let mut bytes = destination(&self.0.device, &range)?;
                for part in parts(range.clone(), CHUNK) {
                    let staged = Staged::copy(gpu, buffer, part)?;
                    wait_elsewhere(gpu, staged.submission.clone()).await?;
                    staged.append_to(&mut bytes)?;
                }
                bytes.truncate((range.end - range.start) as usize);
                Ok(bytes)
            }
            Storage::Host(_) => self.read_host(range),
        }
    }

    fn read_host(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = destination(&self.0.device, &range)?;
        let memory = self.host()?.read().unwrap_or_else(PoisonError::into_inner);
        let all: &[u8] = bytemuck::cast_slice(&memory);
        bytes.extend_from_slice(&all[range.start as usize..range.end as usize]);
        Ok(bytes)
    }

    fn host(&self) -> Result<&RwLock<Vec<u64>>> {
        match &self.0.storage {
            Storage::Host(memory) => Ok(memory),
            Storage::Wgpu(..) => not_of_the_host(),
        }
    }

    /// Hands over the whole host memory of these buffers, each once and by its identity: no work of
    /// other threads reaches it meanwhile. What is there in the end must be as long as before. Locks are
    /// taken as by [`lend`](Self::lend).
    #[cfg(feature = "vgpu")]
    pub(crate) fn hand_over<R>(
        buffers: &[&Buffer],
        work: impl FnOnce(&mut [(usize, &mut Vec<u64>)]) -> R,
    ) -> Result<R> {
        let mut order = buffers.to_vec();
        order.sort_unstable_by_key(|buffer| buffer.identity());
        order.dedup_by(|a, b| a.is(b));
        let mut locked = Vec::new();
        for buffer in order {
            let memory = buffer.host()?.write().unwrap_or_else(PoisonError::into_inner);
            locked.push((buffer.identity(), memory));
        }
        let mut memories: Vec<_> =
            locked.iter_mut().map(|(identity, memory)| (*identity, &mut **memory)).collect();
        Ok(work(&mut memories))
    }

    /// Lends the host memory of `inputs` for reading and of `output` for writing. The locks are
    /// taken in the order of the buffers' addresses, each once, so that work on other threads with
    /// the same buffers in other roles waits and never deadlocks.
    pub(crate) fn lend<const N: usize, R>(
        inputs: [&Buffer; N],
        output: &Buffer,
        work: impl FnOnce([&[u8]; N], &mut [u8]) -> R,
    ) -> Result<R> {
        if inputs.iter().any(|input| input.is(output)) {
            return Err(Error::Internal {
                what: "host operation".into(),
                message: "an input is the output".into(),
            });
        }
        let mut order: Vec<&Buffer> = inputs.into_iter().chain([output]).collect();
        order.sort_unstable_by_key(|buffer| Arc::as_ptr(&buffer.0));
        order.dedup_by(|a, b| a.is(b));
        let mut read = Vec::new();
        let mut written = None;
        for buffer in order {
            let memory = buffer.host()?;
            if buffer.is(output) {
                written = Some(memory.write().unwrap_or_else(PoisonError::into_inner));
            } else {
                read.push((buffer, memory.read().unwrap_or_else(PoisonError::into_inner)));
            }
        }
        let lent = inputs.map(|input| {
            let guard = read.iter().find(|(buffer, _)| buffer.is(input));
            guard.map_or(&[][..], |(_, memory)| bytemuck::cast_slice(memory))
        });
        match &mut written {
            Some(memory) => Ok(work(lent, bytemuck::cast_slice_mut(memory))),
            None => not_of_the_host(),
        }
    }
}

/// Plans run on the device their buffers were checked against, so this is a defect of ours.
fn not_of_the_host<T>() -> Result<T> {
    Err(Error::Internal {
        what: "buffer access".into(),
        message: "a host operation met a buffer of a GPU".into(),
    })
}

fn parts(range: Range<u64>, step: u64) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(step as usize).map(move |start| start..end.min(start + step))
}

fn destination(device: &Device, range: &Range<u64>) -> Result<Vec<u8>> {
    let bytes = range.end - range.start;
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(bytes as usize + 4) // a GPU hands back whole words
        .map_err(|_| device.pool().out_of_memory(bytes, "download"))?;
    Ok(memory)
}

/// A part of a buffer on its way to the host.
struct Staged {
    buffer: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
}

impl Staged {
    fn copy(gpu: &GpuDevice, source: &wgpu::Buffer, part: Range<u64>) -> Result<Self> {
        let size = (part.end - part.start).next_multiple_of(4);
        gpu.ready("download")?;
        gpu.scoped("download", size, || {
            let buffer = gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(source, part.start, &buffer, 0, size);
            let submission = gpu.queue().submit([encoder.finish()]);
            // The outcome is seen by `append_to`: an unmapped buffer lends no range.
            buffer.map_async(wgpu::MapMode::Read, .., |_| {});
            Staged { buffer, submission }
        })
    }

    fn append_to(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let view = self.buffer.get_mapped_range(..).map_err(|error| Error::Internal {
            what: "download".into(),
            message: error.to_string(),
        })?;
        bytes.extend_from_slice(&view);
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
async fn wait_elsewhere(gpu: &Arc<GpuDevice>, submission: wgpu::SubmissionIndex) -> Result<()> {
    let (sender, receiver) = futures_channel::oneshot::channel();
    let gpu = Arc::clone(gpu);
    std::thread::spawn(move || {
        // A dropped receiver means that nobody waits any more.
        let _ = sender.send(gpu.wait(submission, "download"));
    });
    receiver.await.unwrap_or_else(|_| {
        Err(Error::Internal { what: "download".into(), message: "the waiting thread died".into() })
    })
}

#[cfg(target_arch = "wasm32")]
async fn wait_elsewhere(gpu: &Arc<GpuDevice>, _: wgpu::SubmissionIndex) -> Result<()> {
    let (sender, receiver) = futures_channel::oneshot::channel();
    gpu.queue().on_submitted_work_done(move || drop(sender.send(())));
    let _ = receiver.await;
    gpu.check("download")
}
