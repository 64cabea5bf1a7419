//! Machine code against the interpreter, in every bit.

use crate::{Bindings, Buffer, Device, Execution, Module, Options};

/// The words of binding 0 after a workgroup of a kernel.
fn words(wgsl: &str, execution: Execution, warp: usize) -> Vec<u8> {
    let options = Options { execution, warp, threads: 1, ..Options::default() };
    let kernel = Module::new(wgsl, &[]).unwrap().kernel("main").unwrap();
    let out = Buffer::zeroed(64).unwrap();
    let bindings = Bindings::new().buffer(0, 0, &out);
    Device::new(options).unwrap().dispatch(&kernel, &bindings, [1, 1, 1]).unwrap();
    out.read(0, 64).unwrap()
}

/// What a round has set is there after rounds that left before they came to it.
#[test]
fn rounds_that_leave_early_keep_what_was_set() {
    let wgsl = "
        var<workgroup> jobs: array<u32, 8>;
        @group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
        @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) {
            var rounds = 0u;
            var last = 0u;
            var drawn = true;
            while (drawn) {
                rounds += 1;
                if (i < 8) { jobs[i] = select(0u, i, i == 2 && rounds < 3); }
                drawn = false;
                for (var k = 0u; k < 8; k += 1) {
                    let job = workgroupUniformLoad(&jobs[k]);
                    if (job == 0) { continue; }
                    drawn = true;
                    last = k * 10;
                }
            }
            out[i] = rounds + last;
        }";
    let expected = [23_u32; 16].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(words(wgsl, Execution::Interpreted, 0), expected);
    for warp in [4, 8, 16] {
        assert_eq!(words(wgsl, Execution::Compiled, warp), expected, "{warp}");
    }
}
