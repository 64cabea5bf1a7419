// out: 24 6 3 5
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
const n = 2 * 3; const list = array(n, n * 4); const v = vec3(1, 2, 3) + vec3(n); const m = mat2x2(1.0, 2.0, 3.0, 4.0);
const_assert n == 6; const_assert v.x == 7;
@compute @workgroup_size(1)
fn main() {
    out[0] = u32(list[1]);
    const local = n;
    out[1] = local;
    out[2] = u32(m[1][0]);
    out[3] = u32(max(2, clamp(9, 1, 5)));
}
