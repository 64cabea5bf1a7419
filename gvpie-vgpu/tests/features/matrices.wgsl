// out: 19 43 5 2 6
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let one = f32(out[9]) + 1.0;
    let m = mat2x2(one, 3.0, 2.0, 4.0);
    let p = m * mat2x2(5.0, 6.0, 7.0, 8.0);
    out[0] = u32(p[0].x) + 2u;
    out[1] = u32((m * vec2(5.0, 7.0)).y);
    out[2] = u32((transpose(m) + m)[0].y);
    out[3] = u32(-determinant(m));
    out[4] = u32((m * 2.0)[0].y);
}
