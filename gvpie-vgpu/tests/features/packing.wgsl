// out: 1006632960 2139062143 1 127
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = f32(out[9]);
    out[0] = pack2x16float(vec2(x, 1.0));
    out[1] = pack4x8snorm(vec4(x + 1.0));
    out[2] = u32(unpack4x8unorm(0xffu).x);
    out[3] = u32(unpack4xU8(out[1])[out[9] + 1u]);
}
