// out: 3 0 4 9
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct S { a: u32, b: vec2<f32>, c: array<mat2x2<f32>, 2> }
@compute @workgroup_size(1)
fn main() {
    let s = S(3, vec2(1.0), array(mat2x2(vec2(1.0), vec2(2.0)), mat2x2<f32>()));
    out[0] = s.a;
    out[1] = u32(s.c[1][1].y);
    out[2] = u32(s.c[0][1].x * 2.0);
    let v = vec4(vec2<u32>(vec2<f32>(4.5, 5.5)), vec2(0u));
    out[3] = v.x + v.y;
}
