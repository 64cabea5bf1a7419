// refused: an array of bindings
enable wgpu_binding_array;
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct A { a: u32 }
@group(0) @binding(1) var<storage, read> many: binding_array<A, 4>;
@compute @workgroup_size(1)
fn main() {
    out[0] = many[out[1]].a;
}
