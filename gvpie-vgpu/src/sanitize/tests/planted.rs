//! Faults that were planted: one of each kind, in each variant, found on its line.

use crate::device::{Bindings, Buffer, Extent, Format, Texture};
use crate::ir::BindingKind;
use crate::sketch::device;
use crate::{Module, Report};

/// What a body is put into: the number of lanes is 64, of workgroups 2.
const AROUND: &str = "enable f16;
struct Pair { first: u32, second: f32 }
struct List { length: u32, items: array<vec2u> }
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read_write> sum: atomic<u32>;
@group(0) @binding(2) var<storage, read_write> floats: array<f32, 128>;
@group(0) @binding(3) var<uniform> fixed: array<vec4f, 4>;
@group(0) @binding(4) var<storage, read_write> halves: array<f16>;
@group(0) @binding(5) var<storage, read_write> list: List;
@group(0) @binding(6) var cells: texture_storage_2d<r32uint, read_write>;
var<workgroup> part: array<u32, 64>;
var<workgroup> flag: u32;
var<workgroup> pairs: array<Pair, 8>;
var<workgroup> counts: array<atomic<u32>, 4>;
var<workgroup> wide: array<i64, 64>;
fn write(lane: u32) {
    part[lane] = lane; // F
}
fn read(lane: u32) -> u32 {
    return part[lane]; // G
}
fn root(a: f32) -> f32 {
    return sqrt(a); // H
}
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u,
        @builtin(global_invocation_id) id: vec3u) {
    var me = lane;
    var x = f32(lane);
    BODY
    atomicAdd(&sum, me + u32(x));
}";

/// What the sanitizer tells of a body, and the source. Buffers hold 256 words of zeros.
fn checked(body: &str) -> (Report, String) {
    let source = AROUND.replace("BODY", body);
    let kernel = match Module::new(&source, &[]) {
        Ok(module) => module.kernel("main").unwrap(),
        Err(error) => panic!("{error}"),
    };
    let mut bindings = Bindings::new();
    for binding in &kernel.bindings {
        bindings = match binding.kind {
            BindingKind::Buffer { .. } => {
                bindings.buffer(0, binding.binding, &Buffer::zeroed(1024).unwrap())
            }
            BindingKind::Texture { .. } => {
                let cells = Texture::zeroed(Format::R32Uint, Extent::D2(128, 1)).unwrap();
                bindings.texture(0, binding.binding, &cells)
            }
        };
    }
    (device().check(&kernel, &bindings, [2, 1, 1]).unwrap(), source)
}

/// A text with the lines of comments in place of `{A}`, and workgroups in place of their numbers.
fn expected(text: &str, source: &str) -> String {
    let mut text = text.to_string();
    for (number, line) in source.lines().enumerate() {
        if let Some((_, mark)) = line.split_once("// ") {
            text = text.replace(&format!("{{{mark}}}"), &(number + 1).to_string());
        }
    }
    text.replace("#0", "workgroup [0, 0, 0]").replace("#1", "workgroup [1, 0, 0]")
}

/// What is wrong, a body, and what is told of it.
type Plant = (&'static str, &'static str, &'static str);

fn each_is_found(plants: &[Plant]) {
    let mut wrong = Vec::new();
    for (name, body, text) in plants {
        let (report, source) = checked(body);
        let text = expected(text, &source);
        let texts: Vec<String> = report.findings.iter().map(|f| f.text(&source)).collect();
        let texts = texts.join("\n");
        if texts != text {
            wrong.push(format!("{name}: expected\n{text}\nfound\n{texts}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn races_with_both_lines_and_lanes() {
    each_is_found(&[
        (
            "a workgroup's word read after a write",
            "part[lane] = lane; // A
            me = part[(lane + 1u) % 64u]; // B",
            "line {B}: race: lane 0 of #0 reads byte 4 of part, which lane 1 of #0 writes \
             with no barrier between, at line {A} (128 times)",
        ),
        (
            "a workgroup's word written after a read",
            "part[lane] = lane;
            workgroupBarrier();
            me = part[(lane + 1u) % 64u]; // A
            part[lane] = me; // B",
            "line {B}: race: lane 0 of #0 writes byte 0 of part, which lane 63 of #0 reads \
             with no barrier between, at line {A} (128 times)",
        ),
        (
            "two writes",
            "flag = lane; // A",
            "line {A}: race: lane 1 of #0 writes byte 0 of flag, which lane 0 of #0 writes \
             with no barrier between, at line {A} (126 times)",
        ),
        (
            "a barrier that is missing at a loop's end",
            "for (var i = 0u; i < 3u; i++) {
                part[lane] = i; // B
                workgroupBarrier();
                me += part[63u - lane]; // A
            }",
            "line {B}: race: lane 0 of #0 writes byte 0 of part, which lane 63 of #0 reads \
             with no barrier between, at line {A} (256 times)",
        ),
        (
            "a compound assignment by all lanes",
            "if lane == 0u { flag = 0u; }
            workgroupBarrier();
            flag += 1u; // A",
            "line {A}: race: lane 0 of #0 writes byte 0 of flag, which lane 63 of #0 reads \
             with no barrier between, at line {A} (2 times)\nline {A}: race: lane 1 of #0 \
             writes byte 0 of flag, which lane 0 of #0 writes with no barrier between, at \
             line {A} (126 times)",
        ),
        (
            "a member of a struct",
            "if lane < 8u { pairs[lane].first = lane; } // A
            if lane > 62u { me = pairs[3].first; } // B",
            "line {B}: race: lane 63 of #0 reads byte 24 of pairs[3].first, which lane 3 of #0 \
             writes with no barrier between, at line {A} (2 times)",
        ),
        (
            "a write within a function",
            "write(lane);
            me = part[lane ^ 1u]; // A",
            "line {A}: race: lane 0 of #0 reads byte 4 of part, which lane 1 of #0 writes \
             with no barrier between, at line {F} (128 times)",
        ),
        (
            "64 bits",
            "wide[lane] = i64(lane); // A
            me = u32(wide[lane ^ 4u]); // B",
            "line {B}: race: lane 0 of #0 reads byte 32 of wide, which lane 4 of #0 writes \
             with no barrier between, at line {A} (128 times)",
        ),
        (
            "the other barrier, in workgroup memory",
            "part[lane] = lane; // A
            storageBarrier();
            me = part[lane ^ 2u]; // B",
            "line {B}: race: lane 0 of #0 reads byte 8 of part, which lane 2 of #0 writes \
             with no barrier between, at line {A} (128 times)",
        ),
        (
            "the other barrier, in a buffer",
            "data[id.x] = lane; // A
            workgroupBarrier();
            me = data[id.x ^ 2u]; // B",
            "line {B}: race: lane 0 of #0 reads byte 8 of data, which lane 2 of #0 writes \
             with no barrier between, at line {A} (128 times)",
        ),
        (
            "a barrier for subgroups, between two of them",
            "part[lane] = lane; // A
            subgroupBarrier();
            me = part[lane ^ 32u]; // B",
            "line {B}: race: lane 0 of #0 reads byte 128 of part, which lane 32 of #0 \
             writes with no barrier between, at line {A} (128 times)",
        ),
        (
            "two workgroups that write",
            "data[lane] = lane; // A",
            "line {A}: race: lane 0 of #1 writes byte 0 of data, which lane 0 of #0 writes \
             with no barrier between, at line {A} (64 times)",
        ),
        (
            "a workgroup that reads what another writes",
            "if group.x == 0u { data[lane] = lane; } // A
            else { me = data[lane]; } // B",
            "line {B}: race: lane 0 of #1 reads byte 0 of data, which lane 0 of #0 writes \
             with no barrier between, at line {A} (64 times)",
        ),
        (
            "a workgroup that writes what another has read",
            "if group.x == 0u { me = data[lane]; } // A
            else { data[lane] = lane; } // B",
            "line {B}: race: lane 0 of #1 writes byte 0 of data, which lane 0 of #0 reads \
             with no barrier between, at line {A} (64 times)",
        ),
        (
            "halves of words",
            "halves[lane / 2u + group.x * 64u] = f16(lane); // A",
            "line {A}: race: lane 1 of #0 writes byte 0 of halves, which lane 0 of #0 \
             writes with no barrier between, at line {A} (64 times)",
        ),
        (
            "texels",
            "textureStore(cells, vec2u(id.x, 0), vec4u(lane)); // A
            me = textureLoad(cells, vec2u(id.x ^ 1u, 0)).r; // B",
            "line {B}: race: lane 0 of #0 reads byte 4 of cells, which lane 1 of #0 writes \
             with no barrier between, at line {A} (128 times)",
        ),
    ]);
}

#[test]
fn indices_with_lengths() {
    each_is_found(&[
        (
            "a read of a buffer",
            "me = data[id.x + 129u]; // A",
            "line {A}: out of bounds: lane 63 of #1 has index 256 of 256 elements",
        ),
        (
            "a write to a buffer",
            "if id.x == 100u { data[id.x * 3u] = me; } // A",
            "line {A}: out of bounds: lane 36 of #1 has index 300 of 256 elements",
        ),
        (
            "a fixed length",
            "x = floats[id.x + 64u]; // A",
            "line {A}: out of bounds: lane 0 of #1 has index 128 of 128 elements (64 times)",
        ),
        (
            "below zero",
            "me = data[i32(id.x) - 1]; // A",
            "line {A}: out of bounds: lane 0 of #0 has index 4294967295 of 256 elements",
        ),
        (
            "workgroup memory",
            "if lane == 63u { part[lane + 1u] = lane; } // A",
            "line {A}: out of bounds: lane 63 of #0 has index 64 of 64 elements (2 times)",
        ),
        (
            "an array of structs",
            "if lane == 8u { pairs[lane].second = x; } // A",
            "line {A}: out of bounds: lane 8 of #0 has index 8 of 8 elements (2 times)",
        ),
        (
            "an array of the lane's own",
            "var own = array(1u, 2u, 3u); me = own[lane / 21u]; // A",
            "line {A}: out of bounds: lane 63 of #0 has index 3 of 3 elements (2 times)",
        ),
        (
            "a vector's component",
            "let v = vec3u(lane); me = v[lane >> 4u]; // A",
            "line {A}: out of bounds: lane 48 of #0 has index 3 of 3 elements (32 times)",
        ),
        (
            "a matrix's column",
            "var m = mat2x2f(x, x, x, x); x = m[lane / 32u + group.x][0]; // A",
            "line {A}: out of bounds: lane 32 of #1 has index 2 of 2 elements (32 times)",
        ),
        (
            "a uniform",
            "x = fixed[lane / 8u].x; // A",
            "line {A}: out of bounds: lane 32 of #0 has index 4 of 4 elements (64 times)",
        ),
        (
            "the last member of a struct",
            "me = list.items[id.x].y; // A",
            "line {A}: out of bounds: lane 63 of #1 has index 127 of 127 elements",
        ),
        (
            "an atomic",
            "atomicAdd(&counts[lane], 1u); // A",
            "line {A}: out of bounds: lane 4 of #0 has index 4 of 4 elements (120 times)",
        ),
        (
            "a pointer",
            "if lane == 63u { let p = &part[lane + 1u]; *p = lane; } // A",
            "line {A}: out of bounds: lane 63 of #0 has index 64 of 64 elements (2 times)",
        ),
        (
            "a texel",
            "textureStore(cells, vec2u(id.x, lane >> 5u), vec4u(me)); // A",
            "line {A}: out of bounds: lane 32 of #0 is at texel [32, 1, 0] of cells, \
             whose level 0 has [128, 1, 1] (64 times)",
        ),
    ]);
}

#[test]
fn reads_before_any_write() {
    each_is_found(&[
        (
            "a scalar",
            "if lane == 7u { me = flag; } // A",
            "line {A}: not written yet: lane 7 of #0 reads byte 0 of flag (2 times)",
        ),
        (
            "an element that nobody has written",
            "if lane != 5u { part[lane] = lane; }
            workgroupBarrier();
            me = part[63u - lane]; // A",
            "line {A}: not written yet: lane 58 of #0 reads byte 20 of part (2 times)",
        ),
        (
            "a member",
            "if lane < 8u { pairs[lane].first = lane; }
            workgroupBarrier();
            x = pairs[lane / 8u].second; // A",
            "line {A}: not written yet: lane 0 of #0 reads byte 4 of pairs[0].second (128 times)",
        ),
        (
            "within a function",
            "me = read(lane);",
            "line {G}: not written yet: lane 0 of #0 reads byte 0 of part (128 times)",
        ),
        (
            "for all lanes at once",
            "me = workgroupUniformLoad(&flag); // A",
            "line {A}: not written yet: lane 0 of #0 reads byte 0 of flag (128 times)",
        ),
    ]);
}

#[test]
fn barriers_that_lanes_pass_by() {
    // What naga cannot see, as it goes through a variable.
    each_is_found(&[
        (
            "in an if",
            "if me < 9u { workgroupBarrier(); } // A",
            "line {A}: barrier in divergent flow: lane 9 of #0 is not there (2 times)",
        ),
        (
            "in an else",
            "if me != 9u { me = 1u; } else { storageBarrier(); } // A",
            "line {A}: barrier in divergent flow: lane 0 of #0 is not there (2 times)",
        ),
        (
            "after a return",
            "if me == 3u { return; }
            workgroupBarrier(); // A",
            "line {A}: barrier in divergent flow: lane 3 of #0 is not there (2 times)",
        ),
        (
            "in a loop that lanes leave",
            "for (; me > 61u; me--) {
                workgroupBarrier(); // A
            }",
            "line {A}: barrier in divergent flow: lane 0 of #0 is not there (4 times)",
        ),
        (
            "after a break",
            "loop {
                if me == 40u { break; }
                workgroupBarrier(); // A
                break;
            }",
            "line {A}: barrier in divergent flow: lane 40 of #0 is not there (2 times)",
        ),
        (
            "in a switch",
            "switch me {
                case 1u, 2u: { textureBarrier(); } // A
                default: { }
            }",
            "line {A}: barrier in divergent flow: lane 0 of #0 is not there (2 times)",
        ),
        (
            "a load for all lanes",
            "if lane == 0u { flag = 1u; }
            if me > 1u { me = workgroupUniformLoad(&flag); } // A",
            "line {A}: barrier in divergent flow: lane 0 of #0 is not there (4 times)",
        ),
    ]);
}

#[test]
fn integers_divided_by_zero() {
    each_is_found(&[
        (
            "u32",
            "me = 7u / (lane / 32u); // A",
            "line {A}: integer divided by zero by lane 0 of #0 (64 times)",
        ),
        (
            "the remainder of i32",
            "me = u32(7 % (i32(lane) - 9)); // A",
            "line {A}: integer divided by zero by lane 9 of #0 (2 times)",
        ),
        (
            "assigned",
            "me /= data[id.x]; // A",
            "line {A}: integer divided by zero by lane 0 of #0 (128 times)",
        ),
        (
            "a component",
            "let v = vec2u(9u) / vec2u(1u, lane); me = v.y; // A",
            "line {A}: integer divided by zero by lane 0 of #0 (2 times)",
        ),
        (
            "64 bits",
            "me = u32(i64(7) / (i64(lane) - 3)); // A",
            "line {A}: integer divided by zero by lane 3 of #0 (2 times)",
        ),
    ]);
}

#[test]
fn where_a_nan_is_born() {
    each_is_found(&[
        (
            "0 / 0",
            "x = x / (x * 2.0); // A
            x = x + 1.0;",
            "line {A}: the first NaN comes of numbers, in lane 0 of #0",
        ),
        (
            "a root",
            "x = root(x - 3.5); ",
            "line {H}: the first NaN comes of numbers, in lane 0 of #0",
        ),
        (
            "infinities",
            "let large = x * 3e38 * 10.0;
            x = large - large; // A",
            "line {A}: the first NaN comes of numbers, in lane 1 of #0",
        ),
        (
            "a logarithm",
            "x = log(2.5 - x); // A",
            "line {A}: the first NaN comes of numbers, in lane 3 of #0",
        ),
        (
            "an arc",
            "x = acos(x); // A",
            "line {A}: the first NaN comes of numbers, in lane 2 of #0",
        ),
        (
            "a power",
            "x = pow(-x, 0.5); // A",
            "line {A}: the first NaN comes of numbers, in lane 1 of #0",
        ),
        (
            "fused",
            "let large = x * 3e38 * 10.0;
            x = fma(large, 0.0, x); // A",
            "line {A}: the first NaN comes of numbers, in lane 1 of #0",
        ),
        (
            "f16",
            "let h = f16(x) * 2000.0h; x = f32(h - h); // A",
            "line {A}: the first NaN comes of numbers, in lane 33 of #0",
        ),
        (
            "a component",
            "let v = normalize(vec2f(x - 4.0, 0.0)); // A
            x = v.y;",
            "line {A}: the first NaN comes of numbers, in lane 4 of #0",
        ),
        (
            "of a subgroup",
            "x = subgroupAdd(select(1.0, -1.0, lane == 1u) * x * 3e38 * 10.0); // A",
            "line {A}: the first NaN comes of numbers, in lane 0 of #0",
        ),
    ]);
}

/// Four subgroups of 32 lanes: how often one was there, sectors or turns that it took, and how few would do.
#[test]
fn banks_and_sectors() {
    for (name, body, accesses, taken, least) in [
        ("words side by side", "me = data[id.x]; // A", 4, 16, 16),
        ("from the last to the first", "me = data[63u - lane]; // A", 4, 16, 16),
        ("every second word", "me = data[lane * 2u]; // A", 4, 32, 16),
        ("a sector each", "me = data[(lane * 8u) % 256u]; // A", 4, 128, 16),
        ("one word for all", "me = data[group.x]; // A", 4, 4, 4),
        ("a member of structs", "me = list.items[lane].y; // A", 4, 36, 16),
        ("every second lane", "if lane % 2u == 0u { me = data[lane]; } // A", 4, 16, 8),
        ("half a word each", "x = f32(halves[id.x]); // A", 4, 8, 8),
        ("a bank each", "part[lane] = me; // A", 4, 4, 4),
        ("one word of a bank for all", "me = part[5]; // A", 4, 4, 4),
        ("two words of each second bank", "me = part[(lane * 2u) % 64u]; // A", 4, 8, 4),
        ("two words of one bank", "me = part[(lane * 32u) % 64u]; // A", 4, 8, 4),
        ("a transposed tile", "me = part[lane % 8u * 8u + lane / 8u]; // A", 4, 8, 4),
        ("two banks each", "wide[lane] = i64(me); // A", 4, 8, 8),
    ] {
        let (report, source) = checked(body);
        let line: usize = expected("{A}", &source).parse().unwrap();
        let there = report.traffic.iter().filter(|t| t.span.line(&source) == line);
        let counts: Vec<_> = there.map(|t| (t.accesses, t.taken, t.least)).collect();
        assert_eq!(counts, [(accesses, taken, least)], "{name}");
    }
}
