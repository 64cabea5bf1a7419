// out: 30 3 20 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
fn pick(all: array<u32, 3>, at: u32) -> u32 { return all[at]; }
fn make() -> array<u32, 3> { return array(10u, 20u, 30u); }
@compute @workgroup_size(1)
fn main() {
    out[0] = pick(make(), 2u);
    let nested = array(array(1u, 2u), array(3u, 4u));
    out[1] = nested[out[7] + 1u][out[7]];
    out[2] = make()[1];
    out[3] = array<u32, 5>()[out[0] % 5u];
}
