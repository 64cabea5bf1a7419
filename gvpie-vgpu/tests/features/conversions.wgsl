// out: 4294967295 2147483648 0 4294967293 1 3
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = f32(out[9]);
    out[0] = u32(x + 1e20);
    out[1] = bitcast<u32>(i32(x - 1e20));
    out[2] = u32(x - 5.0);
    out[3] = bitcast<u32>(i32(x - 3.7));
    out[4] = u32(bool(x + 0.5));
    out[5] = u32(vec3<f32>(vec3<u32>(3u) + out[9]).z);
}
