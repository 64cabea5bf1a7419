//! WGSL lowered: what its kernels look like, and that all of it becomes a kernel that verifies.

use crate::{Error, Module};

/// The text of a kernel, from its first instruction on.
#[track_caller]
fn lowered(source: &str) -> String {
    let module = Module::new(source, &[]).unwrap_or_else(|e| panic!("{e}"));
    let entry = &module.entries()[0];
    let kernel = module.kernel(entry).unwrap_or_else(|e| panic!("{e}"));
    kernel.to_string()
}

/// A kernel of one lane with these statements, `out` to write to and `i`, which is not constant.
fn body(statements: &str) -> String {
    format!(
        "enable f16;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @group(0) @binding(1) var<storage, read_write> words: array<u32>;
        fn seen(x: f32) {{ out[0] += x; }}
        @compute @workgroup_size(1)
        fn main(@builtin(local_invocation_index) i: u32) {{
            let f = out[i];
            let v = vec4<f32>(out[i], out[i + 1], out[i + 2], out[i + 3]);
            let n = vec4<i32>(v);
            {statements}
        }}"
    )
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => panic!("expected '{part}' (of {parts:?}, in this order) in\n{text}"),
        }
    }
}

#[track_caller]
fn refused(source: &str) -> Error {
    let module = match Module::new(source, &[]) {
        Ok(module) => module,
        Err(error) => return error,
    };
    module.kernel(&module.entries()[0]).expect_err("an error")
}

#[test]
fn saxpy() {
    let source = "struct Params { n: u32, a: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn saxpy(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i < params.n) { y[i] = params.a * x[i] + y[i]; }
}";
    let module = Module::new(source, &[]).unwrap();
    let kernel = module.kernel("saxpy").unwrap();
    assert!(std::sync::Arc::ptr_eq(&kernel, &module.kernel("saxpy").unwrap()));
    let sum = if crate::numerics::fuses() { "fma %10, %12, %15" } else { "add %13, %15" };
    assert_eq!(
        kernel.print(Some(source)),
        "\
kernel saxpy, workgroup 64×1×1 {
  binding 0: @group(0) @binding(0) params, uniform read, 8 bytes at least
  binding 1: @group(0) @binding(1) x, storage read, 4 bytes at least, elements of 4
  binding 2: @group(0) @binding(2) y, storage read_write, 4 bytes at least, elements of 4
  %1: u32 = 64
  %0: u32 = workgroup_id.0
  %2: u32 = local_invocation_id.0
  %5: u32 = workgroup_id.1
  %6: u32 = workgroup_id.2
  %3: u32 = mul %0, %1
  %4: u32 = add %3, %2
  %7: u32 = load binding 0[0]  ; 8:13
  %8: bool = less %4, %7  ; 8:9
  if %8 {  ; 8:5
    %9: u32 = bound %4 below (bytes of binding 2 - 0) / 4  ; 8:25
    %10: f32 = load binding 0[4]  ; 8:32
    %11: u32 = bound %4 below (bytes of binding 1 - 0) / 4  ; 8:43
    %12: f32 = load binding 1[0 + %11*4]  ; 8:43
    %13: f32 = mul %10, %12  ; 8:32
    %14: u32 = bound %4 below (bytes of binding 2 - 0) / 4  ; 8:50
    %15: f32 = load binding 2[0 + %14*4]  ; 8:50
    %16: f32 = SUM  ; 8:32
    store binding 2[0 + %9*4], %16  ; 8:25
  }
}
"
        .replace("SUM", sum)
    );
}

#[test]
fn control_flow() {
    let text = lowered(&body(
        "var sum = 0.0;
        for (var k = 0u; k < i; k++) {
            switch k {
                case 1, 2: { continue; }
                case 3, default: { sum += 1.0; break; }
                case 5: { if (f > 1.0) { break; } sum += 2.0; }
            }
            if (sum > 100.0) { break; }
            if (sum > 50.0) { return; }
        }
        out[0] = sum;",
    ));
    contains(&text, &["scope '0", "loop '1", "switch '2", "case 1, 2:", "continue '1"]);
    contains(&text, &["case 5:", "leave '2", "default:", "leave '1", "leave '0", "continuing"]);
}

#[test]
fn ends_of_blocks_leave_nothing() {
    let text = lowered(&body(
        "switch i { case 0: { out[0] = 1.0; break; } default: { if (f > 0.0) { return; } } }
        ",
    ));
    assert!(!text.contains("leave") && !text.contains("scope"), "{text}");
    let text = lowered(&body("loop { if (f > 0.0) { break; } out[0] = 1.0; continue; }"));
    assert!(!text.contains("continue '"), "{text}");
}

#[test]
fn what_continues_a_loop_sees_the_body_through_slots() {
    let text = lowered(&body(
        "var k = 0u;
        loop {
            if (k == 7u) { k = 9u; continue; }
            let next = k + words[k];
            k = 3u;
            continuing { let step = next * 2u; k += step; break if next > 10u; }
        }",
    ));
    contains(&text, &["continuing", "get s", "mul", "greater", "break if"]);
}

#[test]
fn variables_are_slots_unless_indices_vary() {
    let text = lowered(&body("var a = array<f32, 3>(); a[1] = f; out[0] = a[1];"));
    contains(&text, &["s0: f32 a[0]", "s1: f32 a[1]", "set s1", "get s1"]);
    assert!(!text.contains("private"));
    let text = lowered(&body("var a = array<f32, 3>(); a[i] = f; out[0] = a[1];"));
    contains(&text, &["private: 12 bytes", "below 3", "store private[0 + ", "load private[4]"]);
    let text = lowered(
        "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        fn put(p: ptr<function, array<f32, 8>>, k: u32) { (*p)[k] = 1.0; }
        @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) i: u32) {
            var a: array<f32, 8>;
            put(&a, i);
            out[0] = a[2];
        }",
    );
    contains(&text, &["private: 32 bytes", "store private[0 + ", "load private[8]"]);
}

#[test]
fn values_indexed_by_what_varies() {
    let text = lowered(&body("out[0] = v[i];"));
    contains(&text, &["below 4", "equal", "select", "select", "select"]);
    let text = lowered(&body("let a = array(f, f, 2.0, 3.0, 4.0); out[0] = a[i];"));
    contains(&text, &["private: 20 bytes", "store private[0]", "store private[16]", "below 5"]);
    let text = lowered(
        "const T = array(1.0, 2.0, 3.0, 4.0, 5.0, 6.0);
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) i: u32) {
            for (var k = 0u; k < 6u; k++) { out[k] = T[k] + T[(k + i) % 6u]; }
        }",
    );
    contains(&text, &["store private[0]", "store private[20]", "loop '1", "load private[0 + "]);
    assert_eq!(text.matches("store private").count(), 6, "{text}");
}

#[test]
fn layouts_are_those_of_wgsl() {
    let text = lowered(
        "struct Inner { a: vec3<f32>, b: f32, @size(32) c: u32, m: mat2x3<f32> }
        struct Outer { n: u32, list: array<Inner, 2>, @align(32) last: array<vec2<f32>> }
        @group(1) @binding(3) var<storage, read_write> data: Outer;
        @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) i: u32) {
            data.list[1].m[1].z = data.list[i].b;
            data.last[i].y = f32(arrayLength(&data.last));
            data.last[3] = vec2(0.0);
        }",
    );
    // Inner: a 0, b 12, c 16, m 48 (columns of 16), 80 in all; Outer: list 16, last 192.
    contains(&text, &["@group(1) @binding(3) data", "224 bytes at least, elements of 8"]);
    contains(&text, &["load binding 0[28 + %", "*80]", "store binding 0[168]"]);
    contains(&text, &["below (bytes of binding 0 - 192) / 8", "length", "store binding 0[196 + %"]);
}

#[test]
fn bools_in_memory_are_words() {
    let text = lowered(
        "struct S { a: bool, b: f32, c: vec3<bool> }
        var<workgroup> s: array<S, 2>;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) i: u32) {
            s[i].c.z = s[i].a;
            out[0] = s[1].b;
        }",
    );
    // a 0, b 4, c 16: 32 bytes each.
    contains(&text, &["workgroup: 64 bytes", "load workgroup[0 + ", "store workgroup[24 + "]);
    contains(&text, &["load workgroup[36]"]);
}

#[test]
fn functions_are_inlined() {
    let text = lowered(
        "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        fn straight(a: f32) -> f32 { var b = a; b *= 2.0; return b; }
        fn early(a: f32) -> vec2<f32> { if (a > 1.0) { return vec2(a); } return vec2(0.0, a); }
        fn nothing(p: ptr<function, f32>) { if (*p < 0.0) { return; } *p += 1.0; }
        @compute @workgroup_size(1) fn main() {
            var x = straight(out[0]);
            for (var k = 0; k < 3; k++) { nothing(&x); }
            out[1] = early(x).y;
        }",
    );
    assert_eq!(text.matches("scope").count(), 2, "{text}");
    contains(&text, &["mul", "loop", "scope", "leave", "scope", "set", "leave", "store"]);
}

#[test]
fn variables_of_functions_begin_anew_in_loops() {
    let text = lowered(
        "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        fn f() -> f32 { var a: f32; a += 1.0; return a; }
        @compute @workgroup_size(1) fn main() {
            out[0] = f();
            for (var k = 0; k < 3; k++) { out[1] += f(); }
        }",
    );
    let in_loop = &text[text.find("loop").unwrap()..];
    let sets = in_loop.matches("set s").count();
    assert!(sets >= 3, "k, a = 0 and a += 1: {text}");
}

#[test]
fn shared_memory_and_barriers() {
    let text = lowered(
        "var<workgroup> count: atomic<u32>;
        var<workgroup> tile: array<vec4<f32>, 16>;
        @group(0) @binding(0) var<storage, read_write> out: array<atomic<i32>>;
        @compute @workgroup_size(4, 4) fn main(@builtin(local_invocation_index) i: u32) {
            atomicAdd(&count, 1u);
            tile[i] = vec4(f32(atomicLoad(&count)));
            workgroupBarrier();
            let n = workgroupUniformLoad(&tile[3]);
            let swapped = atomicCompareExchangeWeak(&out[i], 3, i32(n.x));
            if (swapped.exchanged) { atomicStore(&out[i + 1u], swapped.old_value); }
            storageBarrier();
            atomicMax(&out[0], 7);
        }",
    );
    contains(&text, &["workgroup 4×4×1", "workgroup: 272 bytes", "atomic add workgroup[0]"]);
    contains(&text, &["atomic load workgroup[0]", "barrier workgroup", "barrier workgroup"]);
    contains(&text, &["load workgroup[64]", "load workgroup[76]", "barrier workgroup"]);
    contains(&text, &["atomic compare_exchange", "equal", "atomic store", "barrier storage"]);
    contains(&text, &["atomic max binding 0[0]"]);
}

#[test]
fn numeric_functions_become_a_few_operations() {
    let cases = [
        ("dot(v, v)", vec!["mul", "mul", "add", "mul", "add", "mul", "add"]),
        ("length(v.xy)", vec!["mul", "add", "sqrt"]),
        ("mix(f, 2.0, 0.25)", vec!["sub", "mul", "mul", "add"]),
        ("fma(f, f, f)", vec!["fma"]),
        ("clamp(f, 0.5, 2.0)", vec!["max", "min"]),
        ("saturate(f)", vec!["max", "min"]),
        ("smoothstep(f, 1.0, f)", vec!["div", "max", "min", "mul"]),
        ("modf(f).fract", vec!["trunc", "sub"]),
        ("frexp(f).fract", vec!["frexp"]),
        ("ldexp(f, 3)", vec!["ldexp"]),
        ("normalize(v).x", vec!["sqrt", "div"]),
        ("cross(v.xyz, v.yzw).x", vec!["mul", "mul", "sub"]),
        ("reflect(v, v).x", vec!["mul", "sub"]),
        ("refract(v, v, f).x", vec!["less", "sqrt", "select"]),
        ("faceForward(v, v, v).x", vec!["less", "neg", "select"]),
        ("distance(v, v)", vec!["sub", "sqrt"]),
        ("determinant(mat3x3<f32>(v.xyz, v.yzw, v.xzw))", vec!["mul", "sub", "add"]),
        ("transpose(mat2x3<f32>(v.xyz, v.yzw))[2].y", vec![]),
        ("degrees(f) + radians(f) + step(f, 1.0) + pow(f, f) + atan2(f, f)", vec!["pow", "atan2"]),
        ("quantizeToF16(f) + sign(f) + f32(sign(n.x)) + abs(f)", vec!["quantize_f16", "sign"]),
        ("f32(extractBits(n.x, 3u, i))", vec!["shl", "shr", "select"]),
        ("f32(insertBits(n.x, n.y, i, 4u))", vec!["select", "shl", "and", "not", "or"]),
        ("f32(countOneBits(n.x) + firstLeadingBit(n.y) + reverseBits(n.z))", vec!["count_ones"]),
        ("f32(pack4x8snorm(v) + pack4x8unorm(v) + pack2x16snorm(v.xy))", vec!["floor", "or"]),
        ("f32(pack2x16unorm(v.xy) + pack2x16float(v.xy))", vec!["pack_half"]),
        ("f32(pack4xI8(n) + pack4xU8(vec4<u32>(n)) + pack4xI8Clamp(n))", vec!["and", "or"]),
        ("f32(pack4xU8Clamp(vec4<u32>(n)))", vec!["min", "or"]),
        ("unpack4x8snorm(i).x + unpack4x8unorm(i).y + unpack2x16snorm(i).x", vec!["div", "max"]),
        ("unpack2x16unorm(i).x + unpack2x16float(i).y", vec!["unpack_half"]),
        ("f32(unpack4xI8(i).x) + f32(unpack4xU8(i).y)", vec!["shl", "shr"]),
        ("f32(dot4I8Packed(i, 7u)) + f32(dot4U8Packed(i, 7u))", vec!["mul", "add"]),
        ("f32(f16(f) * 2h)", vec!["f16 = convert", "mul", "f32 = convert"]),
        ("bitcast<f32>(bitcast<u32>(f) ^ 1u)", vec!["bitcast", "xor", "bitcast"]),
        ("select(1.0, f, any(v > vec4(0.5)) && all(v == v))", vec!["greater", "or", "select"]),
        ("(mat2x3<f32>(v.xyz, v.yzw) * mat3x2<f32>(v.xy, v.yz, v.zw))[2].x", vec!["mul", "add"]),
        ("(v.xyz * mat2x3<f32>(v.xyz, v.yzw)).y", vec!["mul", "add"]),
        ("(mat2x2<f32>(v.xy, v.zw) * 2.0 + mat2x2<f32>())[1].y", vec!["mul", "add"]),
        ("f32(7 / n.x + n.y % 3 + (n.z << 2u) + (n.w >> i))", vec!["div", "rem", "shl", "shr"]),
    ];
    for (expression, parts) in cases {
        let text = lowered(&body(&format!("seen({expression});")));
        let start = text.find("convert").unwrap_or(0);
        // A sum or difference of a product may be one operation.
        contains(&text[start..].replace("= fma", "= add sub fma"), &parts);
    }
}

#[test]
fn products_that_are_only_added_are_fused() {
    if !crate::numerics::fuses() {
        return;
    }
    for (expression, parts) in [
        ("f * v.x + v.y", &["mul", "fma"][..]),
        ("v.y + f * v.x", &["mul", "fma"]),
        ("v.y - f * v.x", &["mul", "neg", "fma"]),
        ("f * v.x - v.y", &["mul", "neg", "fma"]),
        ("f * v.x + v.y * v.z", &["mul", "mul", "fma"]),
        // Who takes the product too has it rounded.
        ("f * v.x + (f * v.x)", &["mul", "mul", "fma"]),
    ] {
        let text = lowered(&body(&format!("seen({expression});")));
        contains(&text[text.find("convert").unwrap_or(0)..], parts);
    }
    let text = lowered(&body("let p = f * v.x; seen(p + v.y); seen(p);"));
    assert!(!text.contains("fma"), "{text}");
}

#[test]
fn every_number_type() {
    let source = "enable f16;
        struct S { a: i64, b: u64, c: f64, d: vec4<f16>, e: vec2<i32> }
        @group(0) @binding(0) var<storage, read_write> s: array<S>;
        @compute @workgroup_size(1) fn main() {
            s[1].a = s[0].a * 3li - i64(s[0].b);
            s[1].b = s[0].b / 2lu;
            s[1].c = s[0].c * 2.5lf + f64(s[0].d.x);
            s[1].d = s[0].d * f16(2.0) + vec4<f16>(s[0].e.xyxy);
            s[1].e = vec2<i32>(s[0].d.zw);
        }";
    contains(
        &lowered(source),
        &["i64 = mul", "u64 = div", "f64 = mul", "f16 = mul", "i32 = convert"],
    );
}

#[test]
fn what_lanes_are_given() {
    let text = lowered(
        "struct In { @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) n: vec3<u32> }
        @group(0) @binding(0) var<storage, read_write> out: array<vec3<u32>>;
        @compute @workgroup_size(8, 1, 2)
        fn main(in: In, @builtin(global_invocation_id) id: vec3<u32>) {
            out[0] = in.group + in.n + id;
        }",
    );
    contains(&text, &["workgroup_id.0", "workgroup_id.2", "num_workgroups.2"]);
    assert!(!text.contains("local_invocation_id.1"), "one lane along y: {text}");
}

#[test]
fn subgroups() {
    let text = lowered(
        "@group(0) @binding(0) var<storage, read_write> out: array<vec2<f32>>;
        @compute @workgroup_size(32)
        fn main(@builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) lane: u32) {
            let v = out[lane];
            out[0] = subgroupAdd(v) + subgroupInclusiveMul(v) + subgroupShuffleXor(v, 1u);
            out[1] = subgroupBroadcast(v, 3u) + subgroupBroadcastFirst(v) + quadSwapX(v);
            out[2] = vec2(f32(subgroupBallot(v.x > 0.0).y), f32(subgroupAny(v.y > 0.0)));
            subgroupBarrier();
        }",
    );
    contains(&text, &["subgroup add", "subgroup inclusive_mul", "subgroup shuffle_xor"]);
    contains(&text, &["subgroup broadcast", "subgroup first", "subgroup quad_swap_x"]);
    contains(&text, &["subgroup ballot", "subgroup any", "barrier subgroup"]);
}

#[test]
fn textures() {
    let text = lowered(
        "@group(0) @binding(0) var image: texture_2d<f32>;
        @group(0) @binding(1) var layers: texture_2d_array<u32>;
        @group(0) @binding(2) var target_: texture_storage_2d<rgba8unorm, write>;
        @group(0) @binding(3) var depth: texture_depth_2d;
        @compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            let size = textureDimensions(image, 0);
            if (any(id.xy >= size)) { return; }
            let texel = textureLoad(image, id.xy, 0) * textureLoad(depth, id.xy, 0);
            let count = textureNumLayers(layers);
            let other = textureLoad(layers, vec2<i32>(id.xy), count - 1u, 0);
            textureStore(target_, id.xy, texel + vec4<f32>(other));
        }",
    );
    contains(&text, &["texture_2d of f32", "texture_2d_array of u32", "write, rgba8unorm"]);
    contains(
        &text,
        &["texture size binding 0", "texture load binding 0", "texture store binding 2"],
    );
}

#[test]
fn immediate_and_private_data() {
    let text = lowered(
        "struct P { scale: f32, at: vec2<u32> }
        var<immediate> p: P;
        var<private> seed: u32 = 7u;
        var<private> table: array<f32, 4>;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        fn next() -> u32 { seed = seed * 1664525u + 1013904223u; return seed; }
        @compute @workgroup_size(1) fn main() {
            table[next() % 4u] = p.scale;
            out[p.at.y] = table[1];
        }",
    );
    contains(&text, &["private: 16 bytes", "immediate: 16 bytes", "u32 seed", "set s0"]);
    contains(&text, &["load immediate[0]", "load immediate[12]"]);
}

#[test]
fn overrides_have_their_values() {
    let source = "override lanes: u32 = 8;
        @id(3) override factor: f32;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        var<workgroup> tile: array<f32, lanes * 2>;
        @compute @workgroup_size(lanes) fn main(@builtin(local_invocation_index) i: u32) {
            tile[i] = factor;
            out[i] = tile[i ^ 1u];
        }";
    let kernel = |overrides| Module::new(source, overrides).and_then(|m| m.kernel("main"));
    let with_name = kernel(&[("lanes", 32.0), ("factor", 1.5)]).unwrap();
    assert_eq!(with_name.workgroup, [32, 1, 1]);
    assert_eq!(with_name.workgroup_bytes, 256);
    assert!(with_name.to_string().contains("f32 = 1.5"));
    assert_eq!(kernel(&[("3", 1.5), ("lanes", 32.0)]).unwrap(), with_name);
    let error = kernel(&[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "override 'factor': no value, neither here nor in the source; there is 'lanes', 'factor'"
    );
    let error = kernel(&[("fact", 1.0)]).unwrap_err().to_string();
    assert_eq!(error, "override 'fact': not in the source; there is 'lanes', 'factor'");
    assert!(matches!(kernel(&[("factor", f64::NAN)]), Err(Error::Override { .. })));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    match refused("@compute @workgroup_size(1)\nfn main() { let x: f32 = 1u; }") {
        Error::Compile { line, message, .. } => {
            assert_eq!(line, 2);
            assert!(message.contains("let x: f32 = 1u"), "{message}");
        }
        error => panic!("{error}"),
    }
    let sampler = "@group(0) @binding(0) var t: texture_2d<f32>;
        @group(0) @binding(1) var s: sampler;
        @group(0) @binding(2) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn main() { out[0] = textureSampleLevel(t, s, vec2(0.5), 0.0).x; }";
    let error = refused(sampler).to_string();
    assert_eq!(error, "line 2, column 31: a sampler cannot be run in software");
    let module = Module::new(
        "@compute @workgroup_size(1) fn a() {} @compute @workgroup_size(2) fn b() {}
        @vertex fn v() -> @builtin(position) vec4<f32> { return vec4(0.0); }",
        &[],
    )
    .unwrap();
    let error = module.kernel("c").unwrap_err().to_string();
    assert_eq!(error, "no compute entry point 'c'; there is 'a', 'b'");
    let error = module.kernel("v").unwrap_err().to_string();
    assert_eq!(error, "no compute entry point 'v', it is of another stage; there is 'a', 'b'");
}

#[test]
fn hostile_sources_are_refused() {
    // A function that calls the one before it twice, forty times over.
    let mut calls = String::from("var<private> x: u32; fn f0() { x += 1u; }\n");
    for k in 1..40 {
        calls += &format!("fn f{k}() {{ f{0}(); f{0}(); }}\n", k - 1);
    }
    calls += "@compute @workgroup_size(1) fn main() { f39(); }";
    assert!(matches!(refused(&calls), Error::Limit { allowed: 1_000_000, .. }));
    // One call within another, further than any stack of calls is.
    let mut deep = String::from("fn f0() {}\n");
    for k in 1..600 {
        deep += &format!("fn f{k}() {{ f{}(); }}\n", k - 1);
    }
    deep += "@compute @workgroup_size(1) fn main() { f599(); }";
    assert!(matches!(refused(&deep), Error::Limit { allowed: 255, .. }));
    let large = "var<private> a: array<array<f32, 65536>, 1024>;
        @compute @workgroup_size(1) fn main() { let b = a; a[1] = b[0]; }";
    assert!(matches!(refused(large), Error::Limit { allowed: 65536, .. }));
    let chain = " else if (f > 1.0) { out[0] = 1.0; }".repeat(600);
    let chain = refused(&body(&format!("if (f < 0.0) {{}}{chain}")));
    assert!(matches!(chain, Error::Limit { allowed: 512, .. }), "{chain}");
    let sum = format!("out[0] = f{};", " + f".repeat(2000));
    lowered(&body(&sum));
    let nested = format!("out[0] = {}f{};", "(".repeat(60), ")".repeat(60));
    lowered(&body(&nested));
}

/// Every compute shader of the project that is no template, and that of its example.
#[test]
fn shaders_of_the_project() {
    let example = include_str!("../../../gvpie-core/examples/own_kernel.rs");
    let example = example.split('"').find(|text| text.contains("@compute")).unwrap();
    let sources = [
        example,
        include_str!("../../../shaders/nbody.wgsl"),
        include_str!("../../../shaders/selftest.wgsl"),
    ];
    let mut kernels = 0;
    for source in sources {
        let module = Module::new(source, &[]).unwrap_or_else(|e| panic!("{e}"));
        for entry in module.entries() {
            module.kernel(&entry).unwrap_or_else(|e| panic!("{entry}: {e}"));
            kernels += 1;
        }
    }
    assert!(kernels >= 6, "{kernels}");
}
