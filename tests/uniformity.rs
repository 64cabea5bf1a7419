//! No barrier where invocations of a workgroup may have parted, in any shader.
//!
//! A driver may hang or compute nonsense where they have, and some do not: llvmpipe runs such a
//! shader as if nothing were wrong.

mod analysis;

use crate::shaders::kernels;
use analysis::parted_barriers;
use gvpie_core::Kernel;
use std::collections::{BTreeMap, BTreeSet};

/// Distinct texts of all kernels, with one that has it.
pub fn texts() -> BTreeMap<String, Kernel> {
    let text = |kernel: Kernel| {
        let text = kernel.text().unwrap_or_else(|error| panic!("{error}")).into_owned();
        (text, kernel)
    };
    kernels().into_iter().map(text).collect()
}

fn found(source: &str) -> BTreeSet<String> {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    parted_barriers(&module, source)
}

#[test]
fn no_shader_has_a_barrier_that_some_invocations_miss() {
    let all = texts();
    assert!(all.len() > 50, "{}", all.len());
    let wrong: Vec<String> = all
        .iter()
        .flat_map(|(text, kernel)| {
            found(text).into_iter().map(move |what| format!("{}: {what}", kernel.label()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What snippets stand in: a workgroup's memory, buffers and a function.
const AROUND: &str = "
struct Params { n: u32, m: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> given: array<u32>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;
var<workgroup> held: array<u32, 64>;
var<workgroup> counter: atomic<u32>;
var<private> own: u32;
fn meet(n: u32) { for (var i = 0u; i < n; i += 1u) { workgroupBarrier(); } }
fn both(a: u32, b: u32) -> u32 { return a * 64u + b; }
fn early(a: u32) -> u32 { if (a > 3u) { return 1u; } return 2u; }
fn third(a: u32) -> u32 { return 3u; }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32, @builtin(local_invocation_id) at: vec3<u32>) {
";

/// Each has a barrier that some invocations may miss.
pub const PARTED: &[&str] = &[
    "if (local == 0u) { workgroupBarrier(); }",
    "if (at.y < params.n) { storageBarrier(); }",
    "if (local > 3u) { return; } workgroupBarrier();",
    "for (var i = 0u; i < local; i += 1u) { workgroupBarrier(); }",
    "for (var i = 0u; i < 9u; i += 1u) { if (i == local) { break; } workgroupBarrier(); }",
    "for (var i = 0u; i < 9u; i += 1u) { workgroupBarrier(); if (i == local) { break; } }",
    "for (var i = 0u; i < 9u; i += 1u) { if (i == local) { continue; } workgroupBarrier(); }",
    "switch local { case 0u: { workgroupBarrier(); } default: {} }",
    "switch id.x { case 0u: { if (local == 1u) { break; } workgroupBarrier(); } default: {} }",
    "if (made[0] == 0u) { workgroupBarrier(); }",
    "if (held[0] == 0u) { workgroupBarrier(); }",
    "if (atomicLoad(&counter) == 0u) { workgroupBarrier(); }",
    "if (atomicAdd(&counter, 1u) == 0u) { workgroupBarrier(); }",
    "if (own == 0u) { workgroupBarrier(); }",
    "if (given[local] == 0u) { workgroupBarrier(); }",
    "if (id.x == 0u && local == 0u) { workgroupBarrier(); }",
    "var x = 1u; if (local == 0u) { x = 2u; } if (x == 2u) { workgroupBarrier(); }",
    "var x = vec2(0u); x.y = local; if (x.x == 0u) { workgroupBarrier(); }",
    "var x: array<u32, 4>; x[local & 3u] = 1u; if (x[0] == 0u) { workgroupBarrier(); }",
    "var x = 0u; loop { if (x == 3u) { workgroupBarrier(); } x = local; if (x > 9u) { break; } }",
    "var x = 0u; for (var i = 0u; i < local; i += 1u) { x += 1u; } meet(x);",
    "meet(local);",
    "if (local < 32u) { meet(3u); }",
    "if (both(id.x, local) == 0u) { workgroupBarrier(); }",
    "if (early(local) == 1u) { workgroupBarrier(); }",
    "var n = 0u; if (local == 0u) { n = workgroupUniformLoad(&held[0]); } made[local] = n;",
    "made[local] = workgroupUniformLoad(&held[local]);",
    "loop { if (local == 0u) { return; } if (params.n > 3u) { break; } } workgroupBarrier();",
    "var i = 0u; loop { workgroupBarrier(); continuing { i += 1u; break if i > local; } }",
];

/// None of these has.
pub const CLEAN: &[&str] = &[
    "workgroupBarrier();",
    "if (id.x > 3u || groups.y == params.n) { workgroupBarrier(); }",
    "if (id.x >= params.n) { return; } held[local] = 1u; workgroupBarrier();",
    "if (local == 0u) { held[0] = params.n; } workgroupBarrier();",
    "if (local == 0u) { held[0] = params.n; } meet(workgroupUniformLoad(&held[0]));",
    "for (var i = 0u; i < params.n; i += 1u) { if (i == params.m) { break; } workgroupBarrier(); }",
    "for (var i = 0u; i < 9u; i += 1u) { if (i == id.x) { continue; } workgroupBarrier(); }",
    "for (var i = local; i < 9u; i += 1u) { if (i == 7u) { break; } } workgroupBarrier();",
    "for (var i = local; i < 9u; i += 1u) { if (i == 7u) { continue; } } workgroupBarrier();",
    "switch local { case 0u: { own = 1u; } default: { if (at.x == 3u) { break; } } } workgroupBarrier();",
    "if (given[id.x] == 0u) { workgroupBarrier(); }",
    "var x = local; x = id.x; if (x == 2u) { workgroupBarrier(); }",
    "var x = 0u; for (var i = 0u; i < params.n; i += 1u) { x += i; } meet(x);",
    "if (both(id.x, params.n) == 0u) { workgroupBarrier(); }",
    "held[early(local)] = 1u; workgroupBarrier();",
    "if (early(id.x) == 1u) { workgroupBarrier(); }",
    "if (third(local) == 3u) { workgroupBarrier(); }",
    "var i = 0u; loop { workgroupBarrier(); continuing { i += 1u; break if i > params.n; } }",
];

/// A snippet as a module.
pub fn module(snippet: &str) -> String {
    format!("{AROUND}{snippet}\n}}\n")
}

#[test]
fn planted_barriers_are_found_and_clean_ones_are_not() {
    for snippet in PARTED {
        assert!(!found(&module(snippet)).is_empty(), "not found: {snippet}");
    }
    for snippet in CLEAN {
        assert_eq!(found(&module(snippet)), BTreeSet::new(), "{snippet}");
    }
    let said = found(&module(PARTED[0])).pop_first().unwrap();
    assert!(said.contains("a barrier in line 16 'if (local == 0u)"), "{said}");
}
