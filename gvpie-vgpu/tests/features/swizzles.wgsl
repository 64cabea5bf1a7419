// out: 4321 12 7
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    var v = vec4(1u, 2u, 3u, 4u) + out[9];
    let w = v.wzyx;
    out[0] = w.x * 1000u + w.y * 100u + w.z * 10u + w.w;
    v.y = 9u;
    out[1] = v.bg.x + v.g;
    out[2] = v[out[9] + 2u] + v.abgr.r;
}
