//! What is hostile in a source: deep, long, large, doubled, endless, hidden, or no WGSL at all.

const OUT: &str = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;\n";

/// A kernel of one lane, with items before it.
fn kernel(items: &str, body: &str) -> String {
    format!("{OUT}{items}\n@compute @workgroup_size(1)\nfn main() {{\n{body}\n}}\n")
}

/// What is repeated with the number of the round for #.
fn each(count: usize, text: &str) -> String {
    (0..count).map(|k| text.replace('#', &k.to_string())).collect()
}

/// The same, with the number before as $.
fn chain(count: usize, text: &str) -> String {
    let number = |k: usize| text.replace('#', &k.to_string()).replace('$', &(k - 1).to_string());
    (1..=count).map(number).collect()
}

/// (name, source, what the outcome says).
pub fn cases() -> Vec<(&'static str, String, &'static str)> {
    let deep =
        |open: &str, close: &str, count: usize| open.repeat(count) + "1" + &close.repeat(count);
    let value = |text: String| kernel("", &format!("out[0] = u32({text});"));
    let limits = "brackets within brackets";
    let operators = "operators one after another";
    let inlined = "with its functions inlined";
    vec![
        ("empty", String::new(), "no compute entry point"),
        ("zeros", "\0".repeat(60_000), "error"),
        ("zero in the middle", kernel("", "out[0] = 1u;\0"), "error"),
        ("too long", " ".repeat(65_537), "bytes of WGSL"),
        ("blanks", " ".repeat(65_000), "no compute entry point"),
        ("lines", "\r\n\u{2028}\u{85}\u{b}\u{c}".repeat(5000), "no compute entry point"),
        ("open comment", format!("/*{}", "/*".repeat(30_000)), ""),
        ("comments", "/**/".repeat(16_000), "no compute entry point"),
        ("unicode", kernel("", "let 変数 = 7u; let été = 変数; out[0] = été;"), "done: 7"),
        ("bad unicode", kernel("", "let \u{202e}x = \u{1f600};"), "error"),
        ("marks", format!("fn a{}() {{}}", "\u{301}".repeat(30_000)), ""),
        ("long name", format!("fn {}() {{}}", "a".repeat(65_000)), "no compute entry point"),
        ("long number", value("1".repeat(60_000)), "error"),
        ("long float", value(format!("0.{}f", "1".repeat(60_000))), ""),
        ("long hex", value(format!("0x{}", "f".repeat(60_000))), "error"),
        ("long exponent", value(format!("1e{}", "9".repeat(60_000))), "error"),
        ("round brackets", value(deep("(", ")", 5000)), limits),
        ("round brackets allowed", value(deep("(", ")", 20)), "done: 1"),
        ("round brackets beyond naga", value(deep("(", ")", 250)), "recursion limit"),
        ("square brackets", value(deep("out[", "]", 5000)), limits),
        ("square brackets beyond naga", value(deep("out[", "]", 240)), "recursion limit"),
        ("blocks", kernel("", &deep("{", "}", 5000).replace('1', "")), limits),
        ("blocks beyond naga", kernel("", &deep("{", "}", 250).replace('1', "")), "nesting limit"),
        ("blocks allowed", kernel("", &deep("{", "}", 120).replace('1', "")), "done"),
        ("ifs", kernel("", &deep("if out[0] == 0u {", "}", 240).replace('1', "")), ""),
        (
            "loops",
            kernel("", &deep("loop { if out[0] == 0u { break; }", "}", 120).replace('1', "")),
            "",
        ),
        (
            "switches",
            kernel("", &deep("switch out[0] { default: {", "}}", 120).replace('1', "")),
            "",
        ),
        (
            "angles",
            format!("const a: {}u32{} = 1;", "array<".repeat(9000), ">".repeat(9000)),
            operators,
        ),
        (
            "arrays of arrays",
            format!("var<private> a: {}u32{};", "array<".repeat(900), ", 2>".repeat(900)),
            "error",
        ),
        ("only opened", "([{<".repeat(60), "error"),
        ("only closed", ")]}>".repeat(9000), ""),
        ("attributes", format!("{}fn a() {{}}", "@must_use ".repeat(6000)), operators),
        ("sum", value(format!("1{}", "+1".repeat(30_000))), operators),
        ("sum allowed", value(format!("1{}", "+1".repeat(2000))), "done: 2001"),
        ("sum at run time", value(format!("out[0]{}", "+out[0]".repeat(600))), "done: 0"),
        ("minus", value(format!("{}1", "- ".repeat(30_000))), operators),
        ("not", kernel("", &format!("let a = {}true;", "!".repeat(2000))), "done"),
        ("stars", kernel("", &format!("var a = 1; let b = {}a;", "*&".repeat(1000))), "done"),
        ("shifts", value(format!("1u{}", "<<1u".repeat(1000))), "error"),
        ("ors", kernel("", &format!("let a = true{};", "||true".repeat(1000))), "done"),
        (
            "else ifs",
            kernel("", &format!("if out[0] > 5u {{}}{}", " else if out[0] > 5u {}".repeat(2500))),
            operators,
        ),
        (
            "else ifs allowed",
            kernel("", &format!("if out[0] > 5u {{}}{}", " else if out[0] > 5u {}".repeat(200))),
            "",
        ),
        ("members", kernel("", &format!("let a = vec4<u32>(){};", ".xyzw".repeat(2000))), "done"),
        ("calls in a row", value("abs(".repeat(20) + "1" + &")".repeat(20)), "done: 1"),
        (
            "recursion",
            kernel(
                "fn a(x: u32) -> u32 { return b(x); } fn b(x: u32) -> u32 { return a(x); }",
                "out[0] = a(1u);",
            ),
            "error",
        ),
        ("itself", kernel("fn a() { a(); }", "a();"), "error"),
        ("a struct within itself", "struct A { a: A }".into(), "error"),
        ("a constant of itself", "const a = b; const b = a;".into(), "error"),
        ("an alias of itself", "alias a = array<a, 2>;".into(), "error"),
        (
            "doubling calls",
            kernel(
                &format!(
                    "fn call0() {{ out[0] += 1u; }}\n{}",
                    chain(40, "fn call#() { call$(); call$(); }\n")
                ),
                "call40();",
            ),
            inlined,
        ),
        (
            "doubling calls of nothing",
            kernel(
                &format!("fn call0() {{}}\n{}", chain(40, "fn call#() { call$(); call$(); }\n")),
                "call40();",
            ),
            inlined,
        ),
        (
            "calls of constants",
            kernel(
                &format!(
                    "fn call0() {{ let a = array<u32, 9000>({}); }}\n{}",
                    "7,".repeat(9000),
                    chain(40, "fn call#() { call$(); call$(); }\n")
                ),
                "call40();",
            ),
            inlined,
        ),
        (
            "calls of unused names",
            kernel(
                &format!(
                    "fn call0() {{ {} }}\n{}",
                    each(2400, "let b# = #u; "),
                    chain(40, "fn call#() { call$(); call$(); }\n")
                ),
                "call40();",
            ),
            inlined,
        ),
        (
            "calls of variables",
            kernel(
                &format!(
                    "fn call0() {{ {} }}\n{}",
                    each(2400, "var b#: mat4x4<f32>; "),
                    chain(40, "fn call#() { call$(); call$(); }\n")
                ),
                "call40();",
            ),
            inlined,
        ),
        (
            "calls in a chain",
            kernel(
                &format!(
                    "fn call0() {{ out[0] += 1u; }}\n{}",
                    chain(1000, "fn call#() { call$(); }\n")
                ),
                "call1000();",
            ),
            "calls within calls",
        ),
        (
            "calls in a chain allowed",
            kernel(
                &format!(
                    "fn call0() {{ out[0] += 1u; }}\n{}",
                    chain(250, "fn call#() { call$(); }\n")
                ),
                "call250();",
            ),
            "done: 1",
        ),
        (
            "large arguments",
            kernel(
                &format!(
                    "fn call0(a: array<u32, 60000>) -> u32 {{ return a[1]; }}\n{}",
                    chain(
                        40,
                        "fn call#(a: array<u32, 60000>) -> u32 { return call$(a) + call$(a); }\n"
                    )
                ),
                "out[0] = call40(array<u32, 60000>());",
            ),
            "",
        ),
        (
            "doubling constants",
            kernel(
                &format!("const c0 = 1;\n{}", chain(70, "const c# = c$ + c$;\n")),
                "out[0] = u32(c70);",
            ),
            "error",
        ),
        (
            "doubling arrays",
            kernel(
                &format!("const c0 = array(1u, 2u);\n{}", chain(40, "const c# = array(c$, c$);\n")),
                "let i = out[0]; out[0] = c20[i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i][i];",
            ),
            "",
        ),
        (
            "doubling structs",
            kernel(
                &format!(
                    "struct S0 {{ a: u32, b: u32 }}\n{}",
                    chain(25, "struct S# { a: S$, b: S$ }\n")
                ),
                "var s: S25; out[0] = s.a.a.a.a.b.a.a.a.a.b.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a;",
            ),
            "members of a struct",
        ),
        (
            "doubling arrays of types",
            kernel(
                &format!(
                    "struct S0 {{ a: array<u32, 65535> }}\n{}",
                    chain(20, "struct S# { a: array<S$, 65535> }\n")
                ),
                "out[0] = 1u;",
            ),
            "",
        ),
        (
            "doubling structs again and again",
            kernel(
                &format!(
                    "struct S0 {{ a: u32, b: u32 }}\n{}",
                    chain(12, "struct S# { a: S$, b: S$ }\n")
                ),
                &"_ = S12();\n".repeat(5000),
            ),
            "members of a struct",
        ),
        (
            "structs again and again",
            kernel(
                &format!(
                    "struct S0 {{ a: u32, b: u32 }}\n{}",
                    chain(11, "struct S# { a: S$, b: S$ }\n")
                ),
                &"_ = S11();\n".repeat(5000),
            ),
            "done",
        ),
        (
            "a part of a large constant",
            kernel("const a = array<u32, 400000000>(); const b = a[7];", "out[0] = b;"),
            "",
        ),
        ("a part of a large value", kernel("", "out[0] = array<u32, 400000000>()[7];"), ""),
        (
            "parts of large constants",
            kernel(
                "const a = array<array<u32, 20000>, 20000>();",
                &each(2000, "out[0] += a[#][7];"),
            ),
            "",
        ),
        (
            "parts of constants",
            kernel(
                &format!("const t = array<u32, 8000>({});", "7, ".repeat(8000)),
                &each(2000, "out[0] += t[#];"),
            ),
            "elements of constants",
        ),
        (
            "some parts of constants",
            kernel(
                &format!("const t = array<u32, 8000>({});", "7, ".repeat(8000)),
                &each(30, "out[0] += t[#];"),
            ),
            "done: 210",
        ),
        (
            "parts of small constants",
            kernel(
                &format!("const t = array<u32, 50>({});", "7, ".repeat(50)),
                &each(3300, "out[0]+=t[#%9];"),
            ),
            "done: 23100",
        ),
        (
            "parts of doubled constants",
            kernel(
                &format!("const c0 = array(1u, 2u);\n{}", chain(24, "const c# = array(c$, c$);\n")),
                &format!("out[0] = c24{};", "[0]".repeat(25)),
            ),
            "elements of constants",
        ),
        (
            "parts of doubled vectors",
            kernel(
                &format!(
                    "const c0 = vec2(1u, 2u);\n{}",
                    chain(900, "const c# = vec2(c$.x, c$.y);\n")
                ),
                "out[0] = c900.x;",
            ),
            "",
        ),
        (
            "constants of constants",
            kernel(
                &format!(
                    "const t0 = array<u32, 8000>({});\n{}",
                    "7, ".repeat(8000),
                    chain(1400, "const t# = t$;\n")
                ),
                "out[0] = t1400[3];",
            ),
            "",
        ),
        (
            "equal vectors",
            kernel(
                &format!(
                    "const a0 = vec4(1);\n{}",
                    chain(1200, "const a# = (a$ + a$) / vec4(2);\n")
                ),
                "out[0] = u32(a1200.x);",
            ),
            "done: 1",
        ),
        ("hidden brackets", format!("//\r{}", "(".repeat(60_000)), limits),
        ("hidden operators", format!("//\u{2028}const a = 1{};", "+1".repeat(30_000)), operators),
        (
            "structs as values",
            kernel(
                &format!(
                    "struct S0 {{ a: u32, b: u32 }}\n{}",
                    chain(11, "struct S# { a: S$, b: S$ }\n")
                ),
                "var s: S11; for (var i = 0; i < 100; i++) { let t = s; s = t; } out[0] = s.a.a.a.a.a.a.a.a.a.a.a.a;",
            ),
            "",
        ),
        (
            "a large private array",
            kernel("var<private> a: array<u32, 100000000>;", "a[out[0]] = 1u;"),
            "scalars",
        ),
        (
            "a huge private array",
            kernel("var<private> a: array<array<u32, 1000000>, 4294>;", "a[out[0]][1] = 1u;"),
            "",
        ),
        (
            "a large variable",
            kernel("", "var a: array<u32, 60000>; a[out[0]] = 1u; let b = a; out[0] = b[5];"),
            "",
        ),
        (
            "a large workgroup array",
            kernel("var<workgroup> a: array<u32, 100000000>;", "a[out[0]] = 1u;"),
            "bytes",
        ),
        ("large constants", kernel("", "let a = array<u32, 60000>(); out[0] = a[out[0]];"), ""),
        (
            "a huge constant",
            kernel("", "let a = array<u32, 4000000000>(); out[0] = a[out[0]];"),
            "",
        ),
        ("a large workgroup", kernel("", "").replace("size(1)", "size(1024, 1024, 64)"), "lanes"),
        (
            "a huge workgroup",
            kernel("", "").replace("size(1)", "size(4294967295, 4294967295, 4294967295)"),
            "",
        ),
        ("no workgroup", kernel("", "").replace("size(1)", "size(0)"), "error"),
        ("a negative workgroup", kernel("", "").replace("size(1)", "size(-1)"), "error"),
        (
            "a workgroup by override",
            kernel("override n: u32 = 4000000000u;", "").replace("size(1)", "size(n)"),
            "",
        ),
        (
            "an array by override",
            kernel("override n: u32 = 4000000000u; var<workgroup> a: array<u32, n>;", "a[0] = 1u;"),
            "",
        ),
        (
            "a switch",
            kernel("", &format!("switch out[0] {{ {} default: {{}} }}", each(4000, "case #: {}"))),
            "done",
        ),
        (
            "a switch of one case",
            kernel("", &format!("switch out[0] {{ case {} default: {{}} }}", each(9000, "#,"))),
            "done",
        ),
        ("variables", kernel("", &each(3000, "var a# = 1u; ")), "done"),
        (
            "variables of the lane",
            kernel(&each(1500, "var<private> a#: mat4x4<f32>; "), "out[0] = 1u;"),
            "done",
        ),
        ("names", kernel("", &each(3400, "let a# = #u; ")), "done"),
        ("constants", kernel(&each(3000, "const a# = #u; "), "out[0] = a2999;"), "done: 2999"),
        (
            "overrides",
            kernel(&each(2000, "override a#: u32 = #u; "), "out[0] = a1999;"),
            "done: 1999",
        ),
        (
            "overrides of overrides",
            kernel(
                &format!("override a0: u32 = 1;\n{}", chain(1200, "override a#: u32 = a$ + 1;\n")),
                "out[0] = a1200;",
            ),
            "done: 1201",
        ),
        ("functions", kernel(&each(3000, "fn f#() {} "), "f2999();"), "done"),
        ("structs", kernel(&each(2000, "struct S# { a: u32 }"), "out[0] = S1999(5).a;"), "done: 5"),
        (
            "aliases",
            kernel(
                &format!("alias A0 = u32;\n{}", chain(2000, "alias A# = A$;\n")),
                "out[0] = A2000(5);",
            ),
            "done: 5",
        ),
        ("entry points", each(900, "@compute @workgroup_size(1) fn main#() {}\n"), ""),
        (
            "members of a struct",
            kernel(
                &format!("struct S {{ {} }}", each(4000, "a#: u32, ")),
                "var s: S; out[0] = s.a3999;",
            ),
            "done: 0",
        ),
        ("parameters", kernel(&format!("fn f({}) {{}}", each(3000, "a#: u32, ")), ""), ""),
        (
            "a table",
            kernel(
                &format!("const t = array<u32, 9000>({});", "7, ".repeat(9000)),
                "out[0] = t[out[0]];",
            ),
            "done: 7",
        ),
        (
            "vectors",
            kernel("", &"out[0] += dot(vec4<u32>(out[0]), vec4<u32>(1, 2, 3, 4));\n".repeat(1000)),
            "done: 0",
        ),
        ("matrices", kernel("var<private> m: mat4x4<f32>;", &"m *= m;\n".repeat(6000)), inlined),
        (
            "assertions",
            format!("{}{}", "const_assert 1 < 2;\n".repeat(3000), kernel("", "")),
            "done",
        ),
        (
            "diagnostics",
            format!(
                "{}{}",
                "diagnostic(off, derivative_uniformity);\n".repeat(1500),
                kernel("", "")
            ),
            "",
        ),
        ("semicolons", ";".repeat(65_000), "no compute entry point"),
        ("words", "a ".repeat(32_000), "error"),
        ("quotes", "\"".repeat(2000), "error"),
        ("an endless loop", kernel("", "loop { out[0] += 1u; }"), ""),
        (
            "an endless loop that leaves",
            kernel("", "loop { if out[0] == 7u { break; } }"),
            "budget",
        ),
        ("an endless for", kernel("", "for (;;) { if out[1] == 7u { break; } }"), "budget"),
        (
            "a long loop",
            kernel("", "for (var i = 0u; i < 4294967295u; i++) { out[0] += i; }"),
            "budget",
        ),
        (
            "loops within loops",
            kernel(
                "",
                &format!(
                    "{} out[0]++; {}",
                    each(30, "for (var i# = 0; i# < 99; i#++) {"),
                    "}".repeat(30)
                ),
            ),
            "budget",
        ),
        (
            "a loop that continues",
            kernel("", "for (var i = 0u; i < 9u; ) { if out[0] == 0u { continue; } i++; }"),
            "budget",
        ),
        (
            "a barrier in an endless loop",
            kernel("", "loop { workgroupBarrier(); if out[0] == 7u { break; } }"),
            "budget",
        ),
        (
            "waiting for nobody",
            kernel("var<workgroup> a: atomic<u32>;", "while atomicLoad(&a) == 0u { }"),
            "budget",
        ),
        ("no bounds", kernel("", "out[out[0] - 1u] = 6u; out[1] = out[out[1] + 7u];"), "done: 0"),
        ("division by zero", kernel("", "out[0] = 5u / out[0] + 5u % out[0];"), "done: 5"),
        ("division by a zero that is known", value("1u / 0u".into()), "error"),
        ("overflow that is known", value("9223372036854775807 + 1".into()), "error"),
    ]
}
