// out: 1 2048 15872 3
enable f16;
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct H { a: f16, b: vec3<f16>, c: mat2x2<f16> }
@group(0) @binding(1) var<storage, read_write> held: H;
@compute @workgroup_size(1)
fn main() {
    held.a = 1.5h;
    out[0] = u32(held.a);
    out[1] = u32(f16(out[9] + 2048u) + 1.0h);
    held.b = vec3<f16>(held.a, 2.0h, 0.5h);
    out[2] = pack2x16float(vec2<f32>(f32(held.b.x), 0.0));
    held.c = mat2x2<f16>(held.b.xy, held.b.yz);
    out[3] = u32((held.c * vec2(1.0h, 1.0h)).x);
}
