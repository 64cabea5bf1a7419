// out: 0 0 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct W { a: array<array<u32, 5>, 3>, b: mat3x3<f32>, c: atomic<u32> }
var<workgroup> w: W;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    out[0] = w.a[lane % 3u][4]; out[1] = u32(w.b[2].z); out[2] = atomicLoad(&w.c);
}
