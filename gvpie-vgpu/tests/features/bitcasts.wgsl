// out: 1065353216 4294967295 15360 1073741824
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    out[0] = bitcast<u32>(f32(out[9] + 1u));
    out[1] = bitcast<u32>(-1i - i32(out[9]));
    out[2] = bitcast<vec2<u32>>(vec2(bitcast<f32>(15360u), 0.0)).x;
    out[3] = bitcast<vec2<u32>>(vec2<f32>(0.0, 2.0)).y;
}
