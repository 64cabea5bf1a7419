//! What programs do with buffers, passes and pipelines.

use super::{Gpu, Options, bytes, here_with, same};
use crate::Execution;
use ::wgpu::*;

const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

/// A layout of buffers: each read only or not, uniform or not, moved or not.
fn layout(gpu: &Gpu, entries: &[(BufferBindingType, bool)]) -> BindGroupLayout {
    let entries: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(binding, &(ty, has_dynamic_offset))| BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        })
        .collect();
    let entries = &entries;
    gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries })
}

#[test]
fn parts_that_move_immediates_and_overrides_reach_the_kernel() {
    let wgsl = "
        struct P { add: u32, times: vec2<u32> }
        override last: u32;
        @id(7) override first = 1;
        var<immediate> p: P;
        @group(0) @binding(0) var<uniform> u: vec4<u32>;
        @group(0) @binding(1) var<storage, read> a: array<u32>;
        @group(0) @binding(2) var<storage, read_write> b: array<u32>;
        @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < arrayLength(&b)) {
                b[id.x] += a[id.x] * p.times.y + p.add + u.z + last + u32(first) + arrayLength(&a);
            }
        }";
    let words = same(|gpu| {
        let storage = |read_only| BufferBindingType::Storage { read_only };
        let group_layout = layout(
            gpu,
            &[(BufferBindingType::Uniform, true), (storage(true), true), (storage(false), false)],
        );
        let layout = gpu.device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group_layout)],
            immediate_size: 16,
        });
        let constants = [("last", 1000.0), ("7", 20000.0)];
        let pipeline = gpu.pipeline_with(wgsl, Some(&layout), &constants);
        let uniform: Vec<u32> = (0..128).collect();
        let data: Vec<u32> = (0..192).map(|i| i * i).collect();
        let uniform = gpu.buffer(BufferUsages::UNIFORM, &bytes(&uniform));
        let data = gpu.buffer(STORAGE, &bytes(&data));
        let out = gpu.zeroed(STORAGE, 4 * 64 + 24);
        let part = |buffer, size| {
            let size = BufferSize::new(size);
            BindingResource::Buffer(BufferBinding { buffer, offset: 0, size })
        };
        let rest = BindingResource::Buffer(BufferBinding { buffer: &out, offset: 256, size: None });
        let group = gpu.group_of(&group_layout, &[part(&uniform, 16), part(&data, 24), rest]);
        gpu.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_immediates(0, &bytes(&[5, 0, 1, 3]));
            pass.set_bind_group(0, &group, &[256, 512]);
            pass.dispatch_workgroups(2, 1, 1);
            pass.set_immediates(12, &bytes(&[2]));
            pass.set_bind_group(0, &group, &[0, 256]);
            pass.dispatch_workgroups(2, 1, 1);
        });
        gpu.read(&out)
    });
    let expected = |i: u32| {
        let at = |moved: u32, i: u32| (moved / 4 + i) * (moved / 4 + i);
        at(512, i) * 3 + 5 + 66 + 21006 + at(256, i) * 2 + 5 + 2 + 21006
    };
    assert_eq!(words[..256], [0; 256]);
    assert_eq!(words[256..], bytes(&(0..6).map(expected).collect::<Vec<_>>()));
}

#[test]
fn workgroups_are_counted_by_a_buffer() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> hits: array<atomic<u32>>;
        @compute @workgroup_size(2, 3) fn main(@builtin(num_workgroups) n: vec3<u32>,
                                               @builtin(workgroup_id) at: vec3<u32>) {
            atomicAdd(&hits[(at.z * n.y + at.y) * n.x + at.x], n.x);
        }";
    let words = same(|gpu| {
        let pipeline = gpu.pipeline(wgsl, None);
        let out = gpu.zeroed(STORAGE, 64);
        let group = gpu.group(&pipeline, &[out.as_entire_binding()]);
        let counts = [9, 2, 3, 1, 70_000, 1, 1, 0, 5, 5];
        let counts = gpu.buffer(BufferUsages::INDIRECT, &bytes(&counts));
        gpu.submit(|encoder| {
            encoder.push_debug_group("all");
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups_indirect(&counts, 4);
            pass.push_debug_group("too many, and none at all");
            pass.dispatch_workgroups_indirect(&counts, 16);
            pass.insert_debug_marker("none");
            pass.dispatch_workgroups_indirect(&counts, 28);
            pass.pop_debug_group();
            drop(pass);
            encoder.pop_debug_group();
        });
        gpu.read(&out)
    });
    assert_eq!(words, bytes(&[[12; 6].as_slice(), &[0; 10]].concat()));
}

#[test]
fn buffers_are_mapped_copied_and_cleared() {
    let found = same(|gpu| {
        let usage = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
        let (label, mapped_at_creation) = (None, true);
        let descriptor = BufferDescriptor { label, size: 64, usage, mapped_at_creation };
        let source = gpu.device.create_buffer(&descriptor);
        let pattern: Vec<u8> = (1..=64).collect();
        source.get_mapped_range_mut(..).unwrap().copy_from_slice(&pattern);
        source.unmap();
        let to = gpu.zeroed(BufferUsages::COPY_DST | BufferUsages::COPY_SRC, 96);
        gpu.submit(|encoder| {
            encoder.copy_buffer_to_buffer(&source, 8, &to, 4, 48);
            encoder.clear_buffer(&to, 16, Some(8));
        });
        // Mapped when the copy above is done, and seen by the one below.
        source.map_async(MapMode::Write, 8..24, |result| result.unwrap());
        gpu.device.poll(PollType::wait_indefinitely()).unwrap();
        source.get_mapped_range_mut(16..20).unwrap().copy_from_slice(&[201, 202, 203, 204]);
        source.unmap();
        let size = BufferSize::new(8).unwrap();
        gpu.queue.write_buffer_with(&to, 80, size).unwrap().copy_from_slice(&[7; 8]);
        gpu.queue.write_buffer(&to, 88, &[8; 4]);
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&source, 16, &to, 60, 8));
        gpu.read(&to)
    });
    let mut expected = [0; 96];
    for (k, byte) in expected[4..52].iter_mut().enumerate() {
        *byte = 9 + k as u8;
    }
    expected[16..24].fill(0);
    expected[60..68].copy_from_slice(&[201, 202, 203, 204, 21, 22, 23, 24]);
    expected[80..88].fill(7);
    expected[88..92].fill(8);
    assert_eq!(found, expected);
}

#[test]
fn a_scan_with_workgroup_memory_and_64_bits_is_the_same_everywhere() {
    let wgsl = "
        var<workgroup> sums: array<u64, 64>;
        @group(0) @binding(0) var<storage, read_write> data: array<u64>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32,
                                             @builtin(workgroup_id) at: vec3<u32>) {
            sums[i] = data[at.x * 64 + i] * 0x100000001li_to_u();
            workgroupBarrier();
            for (var step = 1u; step < 64; step *= 2) {
                var left = 0lu;
                if (i >= step) { left = sums[i - step]; }
                workgroupBarrier();
                sums[i] += left;
                workgroupBarrier();
            }
            data[at.x * 64 + i] = sums[i];
        }"
    .replace("0x100000001li_to_u()", "4294967297lu");
    let found = same(|gpu| {
        let pipeline = gpu.pipeline(&wgsl, None);
        let data: Vec<u8> = (0..256_u64).flat_map(|i| (i * i).to_le_bytes()).collect();
        let data = gpu.buffer(STORAGE, &data);
        let group = gpu.group(&pipeline, &[data.as_entire_binding()]);
        gpu.dispatch(&pipeline, &group, 4);
        gpu.read(&data)
    });
    let mut sum = 0;
    for (i, word) in found.chunks_exact(8).enumerate() {
        sum = if i % 64 == 0 { 0 } else { sum } + (i * i) as u64 * 4_294_967_297;
        assert_eq!(word, sum.to_le_bytes(), "{i}");
    }
}

#[test]
fn halves_in_words_are_packed_and_layouts_may_name_all_stages() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> x: array<vec2<f32>, 4>;
        @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {
            x[i] = unpack2x16float(pack2x16float(x[i] * 3)) + quantizeToF16(x[i]);
        }";
    let found = same(|gpu| {
        let ty = BufferBindingType::Storage { read_only: false };
        let group_layout = gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: None,
            entries: &[BindGroupLayoutEntry {
                binding: 0,
                visibility: ShaderStages::COMPUTE | ShaderStages::FRAGMENT,
                ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            }],
        });
        let layout = gpu.device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group_layout)],
            immediate_size: 0,
        });
        let pipeline = gpu.pipeline(wgsl, Some(&layout));
        let halves: Vec<u8> = (1..9).flat_map(|i| (i as f32 * 0.5).to_le_bytes()).collect();
        let data = gpu.buffer(STORAGE | BufferUsages::INDEX, &halves);
        let group = gpu.group_of(&group_layout, &[data.as_entire_binding()]);
        gpu.dispatch(&pipeline, &group, 1);
        gpu.read(&data)
    });
    for (i, word) in found.chunks_exact(4).enumerate() {
        assert_eq!(word, (2.0 * (i as f32 + 1.0)).to_le_bytes());
    }
}

#[test]
fn features_of_kernels_hold_however_they_are_run() {
    let wgsl = "
        enable f16;
        struct All {
            sum: atomic<u64>, most: atomic<i64>, small: atomic<f32>, turns: atomic<u32>,
            half: f16, double: f64, subgroup: u32,
        }
        @group(0) @binding(0) var<storage, read_write> all: All;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>,
                                             @builtin(subgroup_size) size: u32) {
            atomicAdd(&all.sum, u64(id.x) << 33u);
            atomicMax(&all.most, i64(id.x) * -5000000000li + 9li);
            atomicAdd(&all.small, 0.5);
            let lanes = subgroupAdd(1u);
            if (id.x % size == 0) { atomicAdd(&all.turns, lanes); }
            if (id.x == 0) {
                all.half = f16(1.0) / f16(3.0);
                all.double = 1.0lf / 3.0lf;
                all.subgroup = size;
            }
        }";
    let features = Features::SHADER_F16
        | Features::SHADER_F64
        | Features::SHADER_INT64
        | Features::SHADER_INT64_ATOMIC_MIN_MAX
        | Features::SHADER_INT64_ATOMIC_ALL_OPS
        | Features::SHADER_FLOAT32_ATOMIC
        | Features::SUBGROUP
        | Features::IMMEDIATES;
    for execution in [Execution::Compiled, Execution::Interpreted] {
        let device = crate::Options { execution, subgroup: 16, ..Default::default() };
        let gpu = here_with(Options { device, ..Default::default() }, features);
        let pipeline = gpu.pipeline(wgsl, None);
        let all = gpu.zeroed(STORAGE, 48);
        let group = gpu.group(&pipeline, &[all.as_entire_binding()]);
        gpu.dispatch(&pipeline, &group, 2);
        let found = gpu.read(&all);
        let long = |at: usize| u64::from_le_bytes(found[at..at + 8].try_into().unwrap());
        let word = |at: usize| u32::from_le_bytes(found[at..at + 4].try_into().unwrap());
        assert_eq!((long(0), long(8)), ((127 * 64) << 33, 9));
        assert_eq!((f32::from_bits(word(16)), word(20)), (64.0, 128));
        assert_eq!(word(24) as u16, half::f16::from_f32(1.0 / 3.0).to_bits());
        assert_eq!((f64::from_bits(long(32)), word(40)), (1.0 / 3.0, 16));
    }
}

#[test]
fn a_pipeline_cache_is_taken_and_has_nothing_to_keep() {
    let gpu = here_with(Options::default(), Features::PIPELINE_CACHE | Features::IMMEDIATES);
    let descriptor = PipelineCacheDescriptor { label: None, data: None, fallback: true };
    // SAFETY: there is no data.
    let cache = unsafe { gpu.device.create_pipeline_cache(&descriptor) };
    let module = gpu.module("@compute @workgroup_size(1) fn main() {}");
    let pipeline = gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: Some(&cache),
    });
    assert_eq!(cache.get_data(), None);
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.dispatch_workgroups(1, 1, 1);
    });
    gpu.device.poll(PollType::wait_indefinitely()).unwrap();
}

#[test]
fn passes_are_timed() {
    let gpu = super::here(Default::default());
    let wgsl = "@compute @workgroup_size(64) fn main() { for (var i = 0; i < 9999; i++) {} }";
    let pipeline = gpu.pipeline(wgsl, None);
    let (label, ty, count) = (None, QueryType::Timestamp, 3);
    let query_set = &gpu.device.create_query_set(&QuerySetDescriptor { label, ty, count });
    let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
    let resolved = gpu.zeroed(usage, 256 + 16);
    gpu.submit(|encoder| {
        let timestamp_writes = Some(ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(1),
            end_of_pass_write_index: Some(2),
        });
        let descriptor = ComputePassDescriptor { label: None, timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(&pipeline);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        encoder.resolve_query_set(query_set, 1..3, &resolved, 256);
    });
    let found = gpu.read(&resolved);
    let stamp = |at: usize| u64::from_le_bytes(found[at..at + 8].try_into().unwrap());
    let taken = stamp(264) - stamp(256);
    assert_eq!(gpu.queue.get_timestamp_period(), 1.0);
    assert!((1000..60_000_000_000).contains(&taken), "{taken} ns");
}
