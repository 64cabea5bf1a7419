//! Kernels in WGSL against plain Rust, in every bit.

use crate::device::{Bindings, Buffer, Options};
use crate::sketch::{executors, words_in};
use crate::{Module, RunError};
use std::time::Instant;

/// Runs `main` over buffers of group 0 that hold these words, and gives what they hold then.
pub(crate) fn run(
    source: &str,
    buffers: &[&[u32]],
    count: [u32; 3],
) -> Result<Vec<Vec<u32>>, RunError> {
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let mut found: Option<Vec<Vec<u32>>> = None;
    for (name, device) in executors(Options { threads: 2, ..Options::default() }) {
        let mut bindings = Bindings::new();
        let mut held = Vec::new();
        for (number, words) in buffers.iter().enumerate() {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let buffer = Buffer::with(&bytes)?;
            bindings = bindings.buffer(0, number as u32, &buffer);
            held.push(buffer);
        }
        let begin = Instant::now();
        let pipeline = device.prepare(&kernel)?;
        let prepared = begin.elapsed();
        device.run(&pipeline, &bindings, count)?;
        println!("{name}: {count:?} workgroups in {:?}, {prepared:?} before", begin.elapsed());
        let words: Vec<_> = held.iter().map(words_in).collect();
        assert!(*found.get_or_insert_with(|| words.clone()) == words, "{name}");
    }
    Ok(found.unwrap_or_default())
}

/// Numbers between −1 and 1, some thousandths apart, as bits.
fn numbers(count: usize, seed: u64) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| (random.f32() * 2.0 - 1.0).to_bits()).collect()
}

fn of(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|bits| f32::from_bits(*bits)).collect()
}

/// a·b + c as kernels compute it.
fn add_product(a: f32, b: f32, c: f32) -> f32 {
    if crate::numerics::fuses() { a.mul_add(b, c) } else { a * b + c }
}

#[test]
fn saxpy() {
    const SOURCE: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < arrayLength(&x) {
        y[id.x] = 2.5 * x[id.x] + y[id.x];
    }
}";
    let count = 1_000_003;
    let (x, y) = (numbers(count, 1), numbers(count, 2));
    let found = run(SOURCE, &[&x, &y], [(count as u32).div_ceil(256), 1, 1]).unwrap();
    for (index, (x, y)) in of(&x).into_iter().zip(of(&y)).enumerate() {
        assert_eq!(found[1][index], add_product(2.5, x, y).to_bits(), "{index}");
    }
}

#[test]
fn tree_reduction() {
    const SOURCE: &str = "
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
var<workgroup> part: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32,
        @builtin(workgroup_id) group: vec3u) {
    part[lane] = a[id.x];
    for (var step = 128u; step > 0u; step /= 2u) {
        workgroupBarrier();
        if lane < step {
            part[lane] += part[lane + step];
        }
    }
    if lane == 0u {
        sums[group.x] = part[0];
    }
}";
    let a = numbers(1 << 18, 3);
    let found = run(SOURCE, &[&a, &[0; 1024]], [1024, 1, 1]).unwrap();
    for (group, part) in of(&a).chunks(256).enumerate() {
        let mut part = part.to_vec();
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            for lane in 0..step {
                part[lane] += part[lane + step];
            }
        }
        assert_eq!(found[1][group], part[0].to_bits(), "{group}");
    }
}

#[test]
fn tiled_matrix_product() {
    const SOURCE: &str = "
const N = 128u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
var<workgroup> left: array<array<f32, 16>, 16>;
var<workgroup> right: array<array<f32, 16>, 16>;
@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    var sum = 0.0;
    for (var k = 0u; k < N; k += 16u) {
        left[lane.y][lane.x] = a[id.y * N + k + lane.x];
        right[lane.y][lane.x] = b[(k + lane.y) * N + id.x];
        workgroupBarrier();
        for (var i = 0u; i < 16u; i++) {
            sum += left[lane.y][i] * right[i][lane.x];
        }
        workgroupBarrier();
    }
    c[id.y * N + id.x] = sum;
}";
    let n = 128;
    let (a, b) = (numbers(n * n, 4), numbers(n * n, 5));
    let found = run(SOURCE, &[&a, &b, &vec![0; n * n]], [8, 8, 1]).unwrap();
    let (a, b) = (of(&a), of(&b));
    for (at, bits) in found[2].iter().enumerate() {
        let (row, column) = (at / n, at % n);
        let sum = (0..n).fold(0.0, |sum, k| add_product(a[row * n + k], b[k * n + column], sum));
        assert_eq!(*bits, sum.to_bits(), "{row}, {column}");
    }
}

#[test]
fn integer_hash() {
    const SOURCE: &str = "
@group(0) @binding(0) var<storage, read_write> h: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    var x = id.x;
    for (var i = 0; i < 32; i++) {
        x ^= x >> 16u;
        x *= 0x7feb352du;
        x ^= x >> 15u;
        x *= 0x846ca68bu;
        x ^= x >> 16u;
        if (x & 7u) == 3u { continue; }
        x += x / (x % 1000u);
    }
    h[id.x] = x;
}";
    let found = run(SOURCE, &[&vec![0; 1 << 16]], [1 << 10, 1, 1]).unwrap();
    for (id, found) in found[0].iter().enumerate() {
        let mut x = id as u32;
        for _ in 0..32 {
            x ^= x >> 16;
            x = x.wrapping_mul(0x7feb_352d);
            x ^= x >> 15;
            x = x.wrapping_mul(0x846c_a68b);
            x ^= x >> 16;
            if x & 7 == 3 {
                continue;
            }
            x = x.wrapping_add(x.checked_div(x % 1000).unwrap_or(x));
        }
        assert_eq!(*found, x, "{id}");
    }
}
