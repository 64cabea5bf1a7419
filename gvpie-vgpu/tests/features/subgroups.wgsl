// out: 8 28 7 0 1 255
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    let sum = subgroupAdd(lane);
    let high = subgroupMax(lane);
    let first = subgroupBroadcastFirst(lane);
    let next = subgroupShuffleXor(lane, 1u);
    let ballot = subgroupBallot(true);
    let count = subgroupAdd(1u);
    if lane == 0u { out[0] = count; out[1] = sum; out[2] = high; out[3] = first; out[4] = next; out[5] = ballot.x; }
}
