// out: 12 11
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
fn none() {}
fn two(a: f32, b: vec2<f32>) -> vec2<f32> { none(); return b * a; }
@must_use fn needed() -> u32 { return 11u; }
fn dots(a: u32, b: u32) -> u32 { return dot4U8Packed(a, b); }
@compute @workgroup_size(1)
fn main() {
    out[0] = u32(two(2.0, vec2(3.0, 6.0)).y);
    two(1.0, vec2(0.0));
    _ = dots(1u, 2u);
    out[1] = needed();
}
