// out: 5 6 7 8 9
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct Inner { a: vec3<f32>, b: f32 }
struct Outer { @size(16) first: u32, @align(32) inner: Inner, m: mat3x3<f32>, list: array<vec3<u32>, 2>, last: u32 }
@group(0) @binding(1) var<storage, read_write> held: Outer;
@group(0) @binding(2) var<uniform> fixed: Outer;
@compute @workgroup_size(1)
fn main() {
    held.first = 5u; held.inner.b = 6.0; held.m[2].z = 7.0; held.list[1].y = 8u; held.last = 9u + fixed.last;
    out[0] = held.first; out[1] = u32(held.inner.b); out[2] = u32(held.m[2].z); out[3] = held.list[out[9] + 1u].y; out[4] = held.last;
}
