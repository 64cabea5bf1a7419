//! WGSL run by all executors, beside the same in Rust.

use crate::sketch::{executors, words_in};
use crate::{Bindings, Buffer, Module, Options};

/// What is in `data` after `source` has run over so many workgroups.
#[track_caller]
fn run(source: &str, data: &[u32], groups: u32) -> Vec<u32> {
    let options = Options { threads: 1, budget: 100_000_000, ..Options::default() };
    let module = Module::new(source, &[]).unwrap_or_else(|e| panic!("{e}"));
    let kernel = module.kernel(&module.entries()[0]).unwrap_or_else(|e| panic!("{e}"));
    let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut found = None;
    for (name, device) in executors(options) {
        let buffer = Buffer::with(&bytes).unwrap();
        let bindings = Bindings::new().buffer(0, 0, &buffer);
        device
            .dispatch(&kernel, &bindings, [groups, 1, 1])
            .unwrap_or_else(|e| panic!("{name}: {e}\n{kernel}"));
        let words = words_in(&buffer);
        assert_eq!(*found.get_or_insert_with(|| words.clone()), words, "{name}\n{kernel}");
    }
    found.unwrap()
}

/// A kernel over `data`, of 64 lanes a workgroup.
fn kernel(items: &str, body: &str) -> String {
    format!(
        "enable f16;
        @group(0) @binding(0) var<storage, read_write> data: array<u32>;
        {items}
        @compute @workgroup_size(64)
        fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
    )
}

/// The numbers that expressions are made of: x = 1.5, y = −2.25, v and w of four, u and s of words.
const NUMBERS: &str = "
    let x = bitcast<f32>(data[0]); let y = bitcast<f32>(data[1]);
    let v = vec4<f32>(bitcast<f32>(data[2]), bitcast<f32>(data[3]), bitcast<f32>(data[4]),
        bitcast<f32>(data[5]));
    let w = bitcast<vec4<f32>>(vec4<u32>(data[6], data[7], data[8], data[9]));
    let u = data[10]; let s = bitcast<i32>(data[11]); let k = data[12];
    let m = mat2x3<f32>(v.xyz, w.yzw);";

#[track_caller]
fn floats(cases: &[(&str, f32)]) {
    let v = [0.5, -1.0, 0.25, 2.0];
    let mut data: Vec<u32> = [1.5, -2.25].iter().chain(&v).map(|x: &f32| x.to_bits()).collect();
    data.extend([1.0_f32, 2.0, 3.0, 4.0].map(f32::to_bits));
    data.extend([0xdead_beef, -5_i32 as u32, 3, 0, 0, 0]);
    let mut body = String::from(NUMBERS);
    for (at, (expression, _)) in cases.iter().enumerate() {
        body += &format!("data[{}] = bitcast<u32>(f32({expression}));\n", data.len() + at);
    }
    let first = data.len();
    data.resize(first + cases.len(), 0);
    let out = run(&kernel("", &format!("if (lane == 0u) {{ {body} }}")), &data, 1);
    for ((expression, expected), bits) in cases.iter().zip(&out[first..]) {
        let got = f32::from_bits(*bits);
        let near = (got - expected).abs() <= 1e-6 * expected.abs().max(1.0);
        assert!(near, "{expression}: {got}, expected {expected}");
    }
}

#[test]
fn numeric_functions() {
    floats(&[
        ("dot(v, w)", 0.5 - 2.0 + 0.75 + 8.0),
        ("dot(vec3<i32>(s), vec3<i32>(1, 2, 3))", -30.0),
        ("length(w)", 30_f32.sqrt()),
        ("length(y)", 2.25),
        ("distance(v, w)", (0.25_f32 + 9.0 + 7.5625 + 4.0).sqrt()),
        ("normalize(w).z", 3.0 / 30_f32.sqrt()),
        ("cross(v.xyz, w.xyz).x", -3.0 - 0.5),
        ("cross(v.xyz, w.xyz).y", 0.25 - 1.5),
        ("cross(v.xyz, w.xyz).z", 1.0 + 1.0),
        ("faceForward(v, w, v).w", -2.0),
        ("faceForward(v, w, -v).w", 2.0),
        ("reflect(v.xy, vec2(0.0, 1.0)).y", 1.0),
        ("refract(vec2(x, y), vec2(0.0, 1.0), 0.0).y", -1.0),
        ("refract(vec2(0.8, -0.6), vec2(0.0, x - 0.5), 2.0).x", 0.0),
        ("mix(x, y, 0.25)", 1.5 * 0.75 - 2.25 * 0.25),
        ("mix(v, w, 0.5).y", 0.5),
        ("step(x, y) + step(y, x) * 2.0", 2.0),
        ("smoothstep(0.0, 3.0, x)", 0.5),
        ("smoothstep(0.0, 1.0, y)", 0.0),
        ("clamp(y, -1.0, x)", -1.0),
        ("clamp(s, -9, -6)", -6.0),
        ("saturate(x)", 1.0),
        ("fma(x, y, 1.0)", -2.375),
        ("degrees(x)", 85.943_67),
        ("radians(x)", 0.026_179_94),
        ("modf(y).fract", -0.25),
        ("modf(y).whole", -2.0),
        ("modf(v.xw).whole.y", 2.0),
        ("frexp(y).fract", -0.5625),
        ("frexp(y).exp", 2.0),
        ("frexp(w).exp.w", 3.0),
        ("ldexp(x, s)", 0.046_875),
        ("sign(y) + f32(sign(s))", -2.0),
        ("abs(s) + i32(abs(u) >> 31u)", 6.0),
        ("min(x, y) + max(x, y) * 4.0", 3.75),
        ("pow(w.y, 3.0)", 8.0),
        ("atan2(y, y)", -2.356_194_5),
        ("quantizeToF16(1.0 + x * 1e-4)", 1.0),
        ("determinant(mat2x2<f32>(v.xy, w.xy))", 2.0),
        (
            "determinant(mat3x3<f32>(v.xyz, w.xyz, w.wzx))",
            0.5 * (2.0 - 9.0) + (1.0 - 12.0) + 0.25 * (3.0 - 8.0),
        ),
        ("determinant(mat4x4<f32>(w.wxyz, v, w.yzwx, v.wzxy))", determinant()),
        ("transpose(m)[2].y + transpose(m)[0].y * 10.0", 24.0),
        ("(m * w.xy).z", 0.25 + 8.0),
        ("(v.xyz * m).y", 1.0 - 3.0 + 1.0),
        ("(m * mat3x2<f32>(v.xy, w.xy, v.zw))[2].x", 0.5 * 0.25 + 2.0 * 2.0),
        ("(transpose(m) * m)[1].x", 1.0 - 3.0 + 1.0),
        ("(m + m)[1].z - (m * 2.0)[1].z + (2.0 * m)[0].x", 1.0),
        ("m[k - 2u].y", 3.0),
        ("v[k]", 2.0),
        ("array(x, y, 3.0, 4.0, 5.0, 6.0)[k]", 4.0),
        ("array(x, y, 3.0, 4.0, 5.0, 6.0)[k + 7u]", 6.0),
        ("f16(x) * 2.5h", 3.75),
        ("f64(x) / 3.0lf", 0.5),
        ("select(x, y, s < 0)", -2.25),
        ("select(v, w, v < vec4(0.4)).y", 2.0),
        ("all(v < w) && !any(v == w)", 1.0),
        ("y % x", -0.75),
        ("s % 3", -2.0),
        ("s / (s - s) + s % (s - s)", -5.0),
        ("u % (k - k) + u / (k - k) - u", 0.0),
        ("s >> 1u", -3.0),
        ("(u << (k + 32u)) >> 4u", ((0xdead_beef_u32 << 3) >> 4) as f32),
        ("i64(s) * 10000000000li / 10000000000li", -5.0),
        ("i32(x * 1e20) / 2147483647 + i32(y)", -1.0),
        ("u32(y)", 0.0),
    ]);
}

/// The same by the rule of Leibniz, in f64.
fn determinant() -> f32 {
    let a = [
        [4.0, 1.0, 2.0, 3.0],
        [0.5, -1.0, 0.25, 2.0],
        [2.0, 3.0, 4.0, 1.0],
        [2.0, 0.25, 0.5, -1.0_f64],
    ];
    let mut sum = 0.0;
    for i in 0..4 {
        for j in (0..4).filter(|&j| j != i) {
            for k in (0..4).filter(|&k| k != i && k != j) {
                let l = 6 - i - j - k;
                let order = [i, j, k, l];
                let pairs = (0..4).flat_map(|p| (p + 1..4).map(move |q| (p, q)));
                let swaps = pairs.filter(|&(p, q)| order[p] > order[q]).count();
                let sign = if swaps % 2 == 0 { 1.0 } else { -1.0 };
                sum += sign * a[0][i] * a[1][j] * a[2][k] * a[3][l];
            }
        }
    }
    sum as f32
}

#[test]
fn bits_and_packing() {
    let cases: &[(&str, u32)] = &[
        ("extractBits(u, 8u, 12u)", (0xdead_beef >> 8) & 0xfff),
        ("extractBits(u, 0u, 32u)", 0xdead_beef),
        ("extractBits(u, 40u, 3u) + extractBits(u, k, 0u)", 0),
        ("u32(extractBits(bitcast<i32>(u), 4u, 4u))", -2_i32 as u32),
        ("insertBits(u, s_, 4u, 8u)", 0xdead_bfbf),
        ("insertBits(u, s_, 0u, 32u)", 0xffff_fffb),
        ("insertBits(u, s_, 32u, 5u)", 0xdead_beef),
        ("insertBits(u, s_, k, 0u)", 0xdead_beef),
        ("countOneBits(u)", 24),
        ("countLeadingZeros(k)", 30),
        ("countTrailingZeros(u << 4u)", 4),
        ("reverseBits(k)", 0xc000_0000),
        ("firstLeadingBit(u)", 31),
        ("u32(firstLeadingBit(s))", 2),
        ("firstTrailingBit(0u * u)", u32::MAX),
        ("pack4x8snorm(vec4(x, -x, 0.5, 0.0) * 1.0)", 0x0040_817f),
        ("pack4x8unorm(vec4(x, -x, 0.5, 1.0))", 0xff80_00ff),
        ("pack2x16snorm(vec2(x, -x))", 0x8001_7fff),
        ("pack2x16unorm(vec2(x, 0.5))", 0x8000_ffff),
        ("pack2x16float(vec2(x, -2.0))", 0xc000_3e00),
        ("pack4xI8(vec4<i32>(s, 1, 300, -1))", 0xff2c_01fb),
        ("pack4xU8(vec4<u32>(u, 1u, 300u, 2u))", 0x022c_01ef),
        ("pack4xI8Clamp(vec4<i32>(s, 200, -300, 1))", 0x0180_7ffb),
        ("pack4xU8Clamp(vec4<u32>(u, 1u, 255u, 256u))", 0xffff_01ff),
        ("bitcast<u32>(unpack4x8snorm(u).w)", (-34.0_f32 / 127.0).to_bits()),
        ("bitcast<u32>(unpack4x8snorm(0x80u * k / k).x)", (-1.0_f32).to_bits()),
        ("bitcast<u32>(unpack4x8unorm(u).y)", (190.0_f32 / 255.0).to_bits()),
        ("bitcast<u32>(unpack2x16snorm(u).x)", (-16657.0_f32 / 32767.0).to_bits()),
        ("bitcast<u32>(unpack2x16unorm(u).y)", (57005.0_f32 / 65535.0).to_bits()),
        ("bitcast<u32>(unpack2x16float(0x3c00c000u * k / k).y)", 1.0_f32.to_bits()),
        ("bitcast<u32>(unpack4xI8(u).z)", -83_i32 as u32),
        ("unpack4xU8(u).z", 0xad),
        ("bitcast<u32>(dot4I8Packed(u, 0x01020304u))", (-68 - 198 - 166 - 34_i32) as u32),
        ("dot4U8Packed(u, 0x01020304u)", 239 * 4 + 190 * 3 + 173 * 2 + 222),
    ];
    let mut body = String::from(
        "let x = bitcast<f32>(data[0]); let u = data[1]; let s = bitcast<i32>(data[2]);
        let s_ = data[2]; let k = data[3]; if (lane > 0u) { return; }\n",
    );
    for (at, (expression, _)) in cases.iter().enumerate() {
        body += &format!("data[{}] = {expression};\n", at + 4);
    }
    let mut data = vec![1.5_f32.to_bits(), 0xdead_beef, -5_i32 as u32, 3];
    data.resize(4 + cases.len(), 0);
    let out = run(&kernel("", &body), &data, 1);
    for ((expression, expected), got) in cases.iter().zip(&out[4..]) {
        assert_eq!(got, expected, "{expression}: {got:#x}, expected {expected:#x}");
    }
}

#[test]
fn lanes_that_go_separate_ways() {
    let items = "
        fn collatz(start: u32) -> u32 {
            var n = start;
            var steps = 0u;
            loop {
                if (n <= 1u) { return steps; }
                if (n % 2u == 0u) { n /= 2u; } else { n = 3u * n + 1u; }
                if (steps > 200u) { return 999u; }
                continuing { steps++; }
            }
            return 0u;
        }
        fn maze(seed: u32) -> u32 {
            var sum = 0u;
            for (var i = 0u; i < 20u; i++) {
                switch (i + seed) % 7u {
                    case 0u, 3u { continue; }
                    case 1u: { if (i > 10u) { break; } sum += 5u; }
                    case 2u, default: {
                        var j = seed % 5u;
                        while (true) {
                            j++;
                            if (j > 8u) { break; }
                            switch j { case 6u: { continue; } case 8u: { if (sum > 90u) { return sum; } } default: {} }
                            sum += j;
                        }
                    }
                }
                sum = sum * 3u % 101u;
            }
            return sum + 1000u;
        }";
    let body = "data[lane] = collatz(lane); data[lane + 64u] = maze(lane);";
    let out = run(&kernel(items, body), &[0; 128], 1);
    fn collatz(mut n: u32) -> u32 {
        let mut steps = 0;
        while n > 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        steps
    }
    fn maze(seed: u32) -> u32 {
        let mut sum = 0;
        for i in 0..20 {
            match (i + seed) % 7 {
                0 | 3 => continue,
                1 if i > 10 => {}
                1 => sum += 5,
                _ => {
                    for j in seed % 5 + 1..=8 {
                        match j {
                            6 => continue,
                            8 if sum > 90 => return sum,
                            _ => sum += j,
                        }
                    }
                }
            }
            sum = sum * 3 % 101;
        }
        sum + 1000
    }
    for lane in 0..64 {
        assert_eq!(out[lane as usize], collatz(lane), "collatz({lane})");
        assert_eq!(out[lane as usize + 64], maze(lane), "maze({lane})");
    }
}

#[test]
fn continuing_blocks_see_their_bodies() {
    let body = "
        var n = lane;
        var sum = 0u;
        loop {
            if (n % 3u == 1u) { n += 5u; continue; }
            let p = &data[lane];
            let step = n + 1u;
            n += 2u;
            continuing { sum += step; *p += step; break if n > 30u; }
        }
        data[lane + 64u] = sum;";
    // A round that continues early has the step of the round before, which WGSL leaves open.
    let text = kernel("", &body.replace("if (n % 3u == 1u) { n += 5u; continue; }", ""));
    let out = run(&text, &[0; 128], 1);
    for lane in 0..64 {
        let (mut n, mut sum) = (lane, 0);
        loop {
            sum += n + 1;
            n += 2;
            if n > 30 {
                break;
            }
        }
        assert_eq!((out[lane as usize], out[lane as usize + 64]), (sum, sum), "lane {lane}");
    }
}

#[test]
fn memory_of_all_kinds() {
    let items = "
        struct Cell { a: vec3<f32>, on: bool, list: array<u32, 3> }
        var<workgroup> cells: array<Cell, 64>;
        var<workgroup> total: atomic<u32>;
        var<workgroup> highest: u32;
        var<private> trail: array<u32, 5>;
        var<private> count: u32 = 2u;
        fn push(to: ptr<private, array<u32, 5>>, x: u32) { (*to)[count % 5u] = x; count++; }
        fn both(c: Cell, m: ptr<function, mat3x2<f32>>, k: u32) -> f32 {
            (*m)[k].y += c.a[k];
            return (*m)[k].y;
        }";
    let body = "
        cells[lane].a = vec3(f32(lane), 2.0, 3.0);
        cells[lane].on = lane % 2u == 0u;
        cells[lane].list[lane % 3u] = lane;
        atomicAdd(&total, lane);
        workgroupBarrier();
        let other = cells[63u - lane];
        if (other.on) { push(&trail, other.list[0] + other.list[1] + other.list[2]); }
        push(&trail, 7u);
        var m = mat3x2<f32>(vec2(1.0), vec2(2.0), vec2(4.0));
        let picked = both(other, &m, lane % 3u);
        if (lane == 9u) { highest = 40u + atomicLoad(&total); }
        let all = workgroupUniformLoad(&highest);
        let old = atomicCompareExchangeWeak(&total, 2016u, 5u);
        workgroupBarrier();
        data[lane] = trail[2] * 100u + trail[3] * 10u + count;
        data[lane + 64u] = u32(picked) + u32(m[lane % 3u].x) * 1000u;
        data[lane + 128u] = all + u32(old.exchanged) * 10000u;
        data[lane + 1000u] = 77u;
        data[192] = atomicLoad(&total);";
    let out = run(&kernel(items, body), &[0; 194], 1);
    let mut exchanged = 0;
    for lane in 0..64_u32 {
        let other = 63 - lane;
        let expected = if other % 2 == 0 { other * 100 + 70 + 4 } else { 700 + 3 };
        assert_eq!(out[lane as usize], expected, "lane {lane}");
        let k = lane % 3;
        let part = [other, 2, 3][k as usize] + (1 << k);
        assert_eq!(out[lane as usize + 64], part + (1 << k) * 1000, "lane {lane}");
        let all = out[lane as usize + 128];
        exchanged += all / 10000;
        assert_eq!(all % 10000, 2056, "lane {lane}");
    }
    assert_eq!(exchanged, 1);
    assert_eq!(out[192], 5);
    // What is past the end goes to the last element.
    assert_eq!(out[193], 77);
}

#[test]
fn functions_begin_anew_each_time() {
    let items = "
        fn fresh(n: u32) -> u32 { var a: array<u32, 4>; var b: u32; a[n % 4u] += n + 1u; b += a[0] + a[1]; return b; }
        fn twice(n: u32) -> u32 { return fresh(n) + 100u * fresh(n + 1u); }";
    let body = "for (var i = 0u; i < 3u; i++) { data[lane] = data[lane] * 7u + twice(lane + i); }";
    let out = run(&kernel(items, body), &[0; 64], 1);
    let fresh = |n: u32| if n % 4 < 2 { n + 1 } else { 0 };
    for lane in 0..64 {
        let sum = (0..3).fold(0, |sum, i| sum * 7 + fresh(lane + i) + 100 * fresh(lane + i + 1));
        assert_eq!(out[lane as usize], sum, "lane {lane}");
    }
}

#[test]
fn a_tree_sums_what_is_there() {
    let items = "var<workgroup> tree: array<u32, 64>;";
    let body = "
        tree[lane] = data[lane];
        for (var width = 32u; width > 0u; width /= 2u) {
            workgroupBarrier();
            if (lane < width) { tree[lane] += tree[lane + width]; }
        }
        if (lane == 0u) { data[64] = tree[0]; }";
    let data: Vec<u32> = (0..64).map(|k| k * k + 1).chain([0]).collect();
    assert_eq!(run(&kernel(items, body), &data, 1)[64], data.iter().sum::<u32>());
}
