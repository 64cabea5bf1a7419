//! Copying and filling the device's memory: ceilings of what is bound by it.

use super::Failure;
use super::bench::{RUNS, Row, TARGET, median_time, row};
use gvpie_core::{Bindings, Context, Kernel};
use std::time::Duration;

/// Words of a buffer to measure bandwidth with, a power of two: 256 MiB where a GPU binds as much,
/// 32 MiB of a software driver; `None` on the host, whose bandwidth is not this program's to show.
fn bandwidth_words(ctx: &Context) -> Option<usize> {
    let gpu = ctx.device().gpu()?;
    let most = gpu.limits().max_storage_buffer_binding_size.next_power_of_two() / 2;
    let wanted = if gpu.is_software() { 32 << 20 } else { 256 << 20 };
    Some((most.min(wanted) / 4) as usize)
}

/// The grid for four vectors of 16 bytes an invocation, 256 invocations a workgroup, exactly.
fn bandwidth_grid(words: usize) -> [u32; 3] {
    let groups = (words / (4 * 4 * 256)) as u32;
    [groups.min(1 << 14), groups.div_ceil(1 << 14), 1]
}

fn bandwidth_row(ctx: &Context, op: &'static str, words: usize, bytes: f64, time: Duration) -> Row {
    let rate = bytes / time.as_secs_f64() / 1e9;
    Row {
        dtype: "u32".into(),
        shape: words.to_string(),
        path: "wgsl".into(),
        rate,
        unit: "GB/s",
        gbps: rate,
        ..row(ctx, op, time)
    }
}

/// Copies within the device's memory; the rate counts reading and writing.
pub(super) fn copy(ctx: &Context) -> Result<Option<Row>, Failure> {
    let Some(words) = bandwidth_words(ctx) else { return Ok(None) };
    let time = copied(ctx, words)?;
    Ok(Some(bandwidth_row(ctx, "copy", words, 8.0 * words as f64, time)))
}

/// How long it takes to copy so many words, which are looked at.
fn copied(ctx: &Context, words: usize) -> Result<Duration, Failure> {
    let source: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    let from = ctx.upload([words], &source)?;
    let mut to = ctx.zeros::<u32>([words])?;
    let pipeline = ctx.pipeline(&Kernel::wgsl("copy", BANDWIDTH).entry("copy"))?;
    let time = median_time(ctx, RUNS, TARGET, |batch| {
        let bindings = Bindings::new().read(&from).write(&mut to);
        batch.dispatch(&pipeline, bindings, bandwidth_grid(words))
    })?;
    match to.download()? == source {
        true => Ok(time),
        false => Err(Failure::Wrong("the copy differs from its source".into())),
    }
}

/// Writes the device's memory.
pub(super) fn fill(ctx: &Context) -> Result<Option<Row>, Failure> {
    let Some(words) = bandwidth_words(ctx) else { return Ok(None) };
    let time = filled(ctx, words)?;
    Ok(Some(bandwidth_row(ctx, "fill", words, 4.0 * words as f64, time)))
}

/// How long it takes to write so many words, which are looked at.
fn filled(ctx: &Context, words: usize) -> Result<Duration, Failure> {
    let mut to = ctx.zeros::<u32>([words])?;
    let pipeline = ctx.pipeline(&Kernel::wgsl("fill", BANDWIDTH).entry("fill"))?;
    let time = median_time(ctx, RUNS, TARGET, |batch| {
        batch.dispatch(&pipeline, Bindings::new().write(&mut to), bandwidth_grid(words))
    })?;
    match to.download()?.iter().all(|&word| word == 0x0123_4567) {
        true => Ok(time),
        false => Err(Failure::Wrong("a word was not filled".into())),
    }
}

/// Four vectors of 16 bytes an invocation, neighbours beside neighbours.
const BANDWIDTH: &str = "
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<u32>>;
@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let step = groups.x * groups.y * 256u;
    let i = id.x + id.y * groups.x * 256u;
    let a = source[i]; let b = source[i + step]; let c = source[i + 2u * step]; let d = source[i + 3u * step];
    destination[i] = a; destination[i + step] = b; destination[i + 2u * step] = c; destination[i + 3u * step] = d;
}
@compute @workgroup_size(256)
fn fill(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let step = groups.x * groups.y * 256u;
    let i = id.x + id.y * groups.x * 256u;
    let v = vec4<u32>(0x01234567u);
    destination[i] = v; destination[i + step] = v; destination[i + 2u * step] = v; destination[i + 3u * step] = v;
}";

#[cfg(all(test, feature = "vgpu"))]
mod tests {
    use super::*;
    use gvpie_core::{Backend, ContextOptions};

    #[test]
    fn its_kernels_pass_the_sanitizer() {
        let cpu = Some(Backend::Cpu);
        let options = ContextOptions { backend: cpu, check: true, ..ContextOptions::default() };
        let ctx = pollster::block_on(Context::request(options)).unwrap();
        copied(&ctx, 1 << 14).unwrap();
        filled(&ctx, 1 << 14).unwrap();
    }
}
