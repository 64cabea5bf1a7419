// out: 32 4294967293 6 3 44
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let a = vec3(1.0, 2.0, 3.0) + f32(out[9]);
    let b = vec3(4.0, 5.0, 6.0);
    out[0] = u32(dot(a, b));
    let c = cross(a, b);
    out[1] = bitcast<u32>(i32(c.x));
    out[2] = u32(c.y);
    out[3] = bitcast<u32>(-i32(c.z));
    out[4] = dot(vec2<u32>(4u, 5u), vec2<u32>(6u, 4u) + out[9]);
}
