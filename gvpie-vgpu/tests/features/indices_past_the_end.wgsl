// out: 0 30 30 9
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<private> few: array<u32, 3>; var<workgroup> fewer: array<u32, 2>;
@compute @workgroup_size(1)
fn main() {
    few[2] = 30u;
    let far = out[9] + 1000u;
    out[1] = few[far];
    let v = vec3<u32>(10u, 20u, 30u);
    out[2] = v[far];
    fewer[far] = 9u;
    out[3] = fewer[1];
    out[far] = 77u;
    out[0] = select(0u, 1u, out[15] != 77u);
}
