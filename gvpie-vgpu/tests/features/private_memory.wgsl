// out: 10 4
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<private> seed: u32 = 4u; var<private> list: array<u32, 4> = array(1u, 2u, 3u, 4u);
fn next() -> u32 { seed += 1u; return seed; }
@compute @workgroup_size(1)
fn main() {
    out[0] = next() + next() - 1u;
    out[1] = list[out[9] + 3u];
}
