// out: 5 9
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var<storage, read_write> long: atomic<u64>;
@compute @workgroup_size(1)
fn main() {
    atomicMax(&long, 5lu);
    out[0] = u32(atomicLoad(&long));
    atomicAdd(&long, 4lu);
    out[1] = u32(atomicLoad(&long));
}
