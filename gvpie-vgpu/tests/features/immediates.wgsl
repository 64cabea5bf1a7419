// out: 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct I { a: u32, b: vec2<f32> }
var<immediate> given: I;
@compute @workgroup_size(1)
fn main() {
    out[0] = given.a + u32(given.b.y);
}
