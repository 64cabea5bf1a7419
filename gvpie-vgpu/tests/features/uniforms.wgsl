// out: 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct U { a: u32, @align(16) m: mat2x2<f32>, list: array<vec4<u32>, 3> }
@group(1) @binding(0) var<uniform> given: U;
@compute @workgroup_size(1)
fn main() {
    out[0] = given.a + given.list[out[9] + 2u].w + u32(given.m[1].y);
}
