// out: 1 1 0 2
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<private> flags: array<bool, 3>; var<workgroup> shared_flag: bool;
struct Flags { a: bool, b: vec2<bool> }
@compute @workgroup_size(1)
fn main() {
    flags[1] = true;
    out[0] = u32(flags[out[9] + 1u]);
    shared_flag = flags[1] && !flags[0];
    out[1] = u32(shared_flag);
    let f = Flags(false, vec2(true, false));
    out[2] = u32(all(f.b) || f.a);
    out[3] = select(1u, 2u, any(f.b) != f.a);
}
