// out: 7 3 1073741824 12
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
const a = 3; const b = 4; const c = array(1, 2.5, 3);
@compute @workgroup_size(1)
fn main() {
    out[0] = a + b;
    let x: f32 = a;
    out[1] = u32(x);
    out[2] = bitcast<u32>(vec2(2, 3.5).x);
    var s: i32 = a * b;
    out[3] = u32(s);
}
