// out: 1 3 1065353216
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = f64(out[9]) + 1.0lf;
    out[0] = u32(x / 3.0lf * 3.0lf);
    out[1] = u32(floor(x * 3.75lf));
    out[2] = bitcast<u32>(f32(x) * 1.75) + 2097152u - 8388608u;
}
