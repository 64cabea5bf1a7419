// out: 42 42 42
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct Job { size: u32, list: array<u32, 2> }
var<workgroup> job: Job;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    if lane == 3u { job.size = 42u; job.list[1] = 7u; }
    let size = workgroupUniformLoad(&job.size);
    let whole = workgroupUniformLoad(&job);
    if size == 42u { workgroupBarrier(); }
    out[lane % 4u] = whole.size;
}
