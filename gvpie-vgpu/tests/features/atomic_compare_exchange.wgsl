// out: 1 0 0 5 9
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<workgroup> word: atomic<i32>;
@compute @workgroup_size(1)
fn main() {
    let first = atomicCompareExchangeWeak(&word, 0, 5);
    out[0] = u32(first.exchanged);
    out[1] = u32(first.old_value);
    let second = atomicCompareExchangeWeak(&word, 0, 7);
    out[2] = u32(second.exchanged);
    out[3] = u32(second.old_value);
    atomicStore(&word, 9);
    out[4] = u32(atomicExchange(&word, 1));
}
