var<workgroup> sums: array<u32, 256>;

// The sum of the values of all invocations before this one, and that of all 256. Each adds the 16
// values of its row and then the sums of the 16 rows: few barriers, and no subgroups.
fn sums_before(local: u32, value: u32) -> vec2<u32> {
    sums[local] = value;
    workgroupBarrier();
    let row = local & 240u;
    let place = local & 15u;
    var before = 0u;
    var in_row = 0u;
    for (var i = 0u; i < 16u; i++) {
        let other = sums[row + i];
        before += select(0u, other, i < place);
        in_row += other;
    }
    workgroupBarrier();
    if (place == 0u) {
        sums[row >> 4u] = in_row;
    }
    workgroupBarrier();
    var total = 0u;
    for (var i = 0u; i < 16u; i++) {
        let other = sums[i];
        before += select(0u, other, 16u * i < row);
        total += other;
    }
    workgroupBarrier();
    return vec2<u32>(before, total);
}
