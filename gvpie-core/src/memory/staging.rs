//! Buffers that the host writes and the device copies from, and the way back.
//!
//! A copy is recorded behind the work that was submitted before it, so a staging buffer is in use
//! until that work is done. With a ring of them the host fills the next ones meanwhile, and waits only
//! when all are on their way. They are mapped again as soon as they have been copied, so that nothing
//! is allocated after the first round.
//!
//! What wgpu gives to be written may be the device's own memory, seen across the bus, which 16 threads
//! fill with 5 GB/s on an H100. On Vulkan, memory that wgpu means to be read is the host's, cached and
//! mapped for as long as it lives: there staging buffers are such, and written through that mapping.

use crate::device::GpuDevice;
use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Memory to be written and not read: it may be the device's own, seen across the bus.
pub(crate) type Target<'a> = wgpu::WriteOnly<'a, [u8]>;

/// A [`Target`] on its way to the thread that fills it. wgpu says that it is sent as a reference would
/// be, and grants that to sized memory only.
pub(crate) struct Share<'a>(pub Target<'a>);

// SAFETY: it is the only way to its bytes, as `&mut [u8]` is, which may be sent; nothing in it counts
// references or belongs to a thread.
unsafe impl Send for Share<'_> {}

/// The most bytes of one staging buffer: enough that what a copy costs besides moving is nothing.
const CHUNK: u64 = 32 << 20;
const LEAST_CHUNK: u64 = 4 << 10;
/// Staging buffers a direction, at most.
const UP: u64 = 32;
const DOWN: u64 = 8;

/// The staging buffers of a device, both directions.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    up: Mutex<Ring>,
    down: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    free: Vec<Staged>,
    busy: VecDeque<Busy>,
    made: u64,
}

/// A staging buffer.
#[derive(Debug)]
struct Staged {
    buffer: wgpu::Buffer,
    /// Where the host sees all of it for as long as it lives; `None` where wgpu maps and unmaps it.
    memory: Option<Mapping>,
}

/// The beginning of a buffer's memory.
#[derive(Debug, Clone, Copy)]
struct Mapping(*mut u8);

// SAFETY: an address; who writes there holds the buffer's `Staged`, of which there is one.
unsafe impl Send for Mapping {}

/// A buffer that the device has yet to copy from.
#[derive(Debug)]
struct Busy {
    staged: Staged,
    submission: wgpu::SubmissionIndex,
    /// Whether it has, and the buffer can be written again.
    done: Arc<AtomicBool>,
}

/// Bytes of a staging buffer where the host's budget is `host`: a power of two.
pub(crate) fn chunk(host: u64) -> u64 {
    let most = (host / 64).clamp(LEAST_CHUNK, CHUNK);
    1 << most.ilog2()
}

/// Bytes that can be on their way to a device at once.
pub(crate) fn in_flight(host: u64) -> u64 {
    (chunk(host) * UP).min(host / 4).max(chunk(host))
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Staging {
    /// Writes bytes of a buffer from the device's point of view later, from the host's now: `fill`
    /// is given each part in turn and the memory to put it in.
    pub fn upload(
        &self,
        gpu: &GpuDevice,
        to: &wgpu::Buffer,
        bytes: Range<u64>,
        mut fill: impl FnMut(Range<u64>, Target<'_>) -> Result<()>,
    ) -> Result<()> {
        let step = chunk(gpu.pool().pages().budget());
        for start in bytes.clone().step_by(step as usize) {
            let part = start..bytes.end.min(start + step);
            let size = part.end - part.start;
            let mut staged = self.take_up(gpu, step)?;
            let copied = size.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
            let filled = staged.write(copied, |memory| {
                let (memory, mut rest) = memory.split_at(size as usize);
                rest.fill(0);
                fill(part.clone(), memory)
            });
            if let Err(error) = filled {
                lock(&self.up).free.push(staged); // as it was
                return Err(error);
            }
            if staged.memory.is_none() {
                staged.buffer.unmap();
            }
            gpu.ready("upload")?;
            let done = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&done);
            let submission = gpu.scoped("upload", size, || {
                let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&staged.buffer, 0, to, part.start, copied);
                let submission = gpu.queue().submit([encoder.finish()]);
                match staged.memory {
                    Some(_) => gpu
                        .queue()
                        .on_submitted_work_done(move || told.store(true, Ordering::Release)),
                    None => staged.buffer.map_async(wgpu::MapMode::Write, .., move |outcome| {
                        told.store(outcome.is_ok(), Ordering::Release);
                    }),
                }
                submission
            })?;
            lock(&self.up).busy.push_back(Busy { staged, submission, done });
            gpu.pool().count_up(size);
        }
        Ok(())
    }

    /// A buffer of `size` bytes to be written.
    fn take_up(&self, gpu: &GpuDevice, size: u64) -> Result<Staged> {
        let mut ring = lock(&self.up);
        while ring.busy.front().is_some_and(|busy| busy.done.load(Ordering::Acquire)) {
            let done = ring.busy.pop_front().map(|busy| busy.staged);
            ring.free.extend(done);
        }
        if let Some(staged) = ring.free.pop() {
            return Ok(staged);
        }
        let host = gpu.pool().pages().budget();
        if ring.made < in_flight(host).div_ceil(size) {
            ring.made += 1;
            drop(ring);
            return Staged::new(gpu, size).inspect_err(|_| lock(&self.up).made -= 1);
        }
        let oldest = ring.busy.pop_front();
        drop(ring);
        let Some(Busy { staged, submission, done }) = oldest else {
            // All are being filled by other threads, which is rare: one more than planned.
            lock(&self.up).made += 1;
            return Staged::new(gpu, size).inspect_err(|_| lock(&self.up).made -= 1);
        };
        gpu.wait(submission, "upload")?;
        if staged.memory.is_some() || done.load(Ordering::Acquire) {
            return Ok(staged);
        }
        // Another thread's poll may still be telling of it.
        gpu.settle("upload")?;
        match done.load(Ordering::Acquire) {
            true => Ok(staged),
            false => Err(internal("upload", "a staging buffer was not mapped")),
        }
    }

    /// Reads bytes of a buffer as all work submitted before leaves them; `take` is given each part.
    pub fn download(
        &self,
        gpu: &GpuDevice,
        from: &wgpu::Buffer,
        bytes: Range<u64>,
        mut take: impl FnMut(Range<u64>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let host = gpu.pool().pages().budget();
        let step = chunk(host);
        let depth = (host / 16 / step).clamp(1, DOWN) as usize;
        let mut parts =
            bytes.clone().step_by(step as usize).map(|start| start..bytes.end.min(start + step));
        let mut under_way = VecDeque::new();
        loop {
            while under_way.len() < depth
                && let Some(part) = parts.next()
            {
                let copied = (part.end - part.start).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
                let staged = self.take_down(gpu, step)?;
                gpu.ready("download")?;
                let submission = gpu.scoped("download", copied, || {
                    let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
                    encoder.copy_buffer_to_buffer(from, part.start, &staged, 0, copied);
                    let submission = gpu.queue().submit([encoder.finish()]);
                    // The outcome is seen below: an unmapped buffer lends no range.
                    staged.map_async(wgpu::MapMode::Read, .., |_| {});
                    submission
                })?;
                under_way.push_back((part, staged, submission));
            }
            let Some((part, staged, submission)) = under_way.pop_front() else { return Ok(()) };
            gpu.wait(submission, "download")?;
            let size = part.end - part.start;
            let copied = size.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
            let mut view = staged.get_mapped_range(0..copied);
            if view.is_err() {
                gpu.settle("download")?;
                view = staged.get_mapped_range(0..copied);
            }
            let view = view.map_err(|error| internal("download", error))?;
            let taken = take(part, &view[..size as usize]);
            drop(view);
            staged.unmap();
            lock(&self.down).free.push(Staged { buffer: staged, memory: None });
            gpu.pool().count_down(size);
            taken?;
        }
    }

    fn take_down(&self, gpu: &GpuDevice, size: u64) -> Result<wgpu::Buffer> {
        if let Some(staged) = lock(&self.down).free.pop() {
            return Ok(staged.buffer);
        }
        make(gpu, size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }
}

impl Staged {
    /// A buffer of so many bytes to be written.
    fn new(gpu: &GpuDevice, size: u64) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        if gpu.has_mappable_buffers() {
            let buffer = make(gpu, size, Usage::MAP_READ | Usage::COPY_SRC | Usage::COPY_DST)?;
            if let Some(memory) = mapping(gpu, &buffer, size) {
                // wgpu clears what it has not seen written before it is read: now, not later.
                gpu.ready("a staging buffer")?;
                let cleared = gpu.scoped("a staging buffer", size, || {
                    let mut encoder = gpu.wgpu().create_command_encoder(&Default::default());
                    encoder.clear_buffer(&buffer, 0, None);
                    gpu.queue().submit([encoder.finish()])
                })?;
                gpu.wait(cleared, "a staging buffer")?;
                return Ok(Staged { buffer, memory: Some(memory) });
            }
            gpu.pool().pages().give_back(size);
        }
        let buffer = make(gpu, size, Usage::MAP_WRITE | Usage::COPY_SRC)?;
        Ok(Staged { buffer, memory: None })
    }

    /// Lends its first bytes to be written.
    fn write(&mut self, bytes: u64, write: impl FnOnce(Target<'_>) -> Result<()>) -> Result<()> {
        match self.memory {
            Some(Mapping(memory)) => {
                // SAFETY: the memory is the buffer's, at least so long, and mapped until the buffer is
                // destroyed, of which this is the only handle; nobody else lends it, as `self` is
                // borrowed; the device does not use it, as `take_up` gives it out only when the copies
                // that were submitted are done; it was cleared, so every byte has a value.
                let memory = unsafe { std::slice::from_raw_parts_mut(memory, bytes as usize) };
                write(memory.into())
            }
            None => match self.buffer.get_mapped_range_mut(0..bytes) {
                Ok(mut view) => write(view.slice(..)),
                Err(error) => Err(internal("upload", error)),
            },
        }
    }
}

/// Where the host sees a buffer that may be mapped, on Vulkan if its memory needs no flushing.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn mapping(gpu: &GpuDevice, buffer: &wgpu::Buffer, size: u64) -> Option<Mapping> {
    use wgpu::hal::{Device, api::Vulkan};
    // SAFETY: the device and the buffer are alive and of one another, the range is the buffer's, and
    // the buffer's memory is mapped by wgpu when it is made, as it may be mapped; it stays so until it
    // is destroyed, whether wgpu calls the buffer mapped or not.
    unsafe {
        let device = gpu.wgpu().as_hal::<Vulkan>()?;
        let buffer = buffer.as_hal::<Vulkan>()?;
        let mapped = device.map_buffer(&buffer, 0..size).ok()?;
        mapped.is_coherent.then_some(Mapping(mapped.ptr.as_ptr()))
    }
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn mapping(_: &GpuDevice, _: &wgpu::Buffer, _: u64) -> Option<Mapping> {
    None
}

/// A staging buffer, mapped if it is one to write, paid for from the host's budget for as long as the
/// device lives.
fn make(gpu: &GpuDevice, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    gpu.pool().pages().reserve(size, "a staging buffer")?;
    let made = gpu.scoped("a staging buffer", size, || {
        gpu.wgpu().create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size,
            usage,
            mapped_at_creation: usage.contains(wgpu::BufferUsages::MAP_WRITE),
        })
    });
    made.inspect_err(|_| gpu.pool().pages().give_back(size))
}

fn internal(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Internal { what: what.into(), message: error.to_string() }
}
