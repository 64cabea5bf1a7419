//! The kernels for tensor cores on a device that has none: their text, with cooperative matrices
//! replaced by functions. What is proved is all that a driver
//! does not do: packing, fragments, sums, the judgement of tiles, the second try, the store.

use crate::adapter::gpu;
use gvpie_core::gemm::proof::{Entries, Input};
use gvpie_core::{Bindings, Context, Element, Kernel, Tensor, f16, gemm};
use std::collections::HashMap;

/// Matrices of 16x16: an operand is where it lies in workgroup memory, in vectors of four halves, and
/// of a sum each invocation has eight elements.
const MATRICES: &str = "
struct Matrix { at: u32, stride: u32, across: u32, along: u32 }
alias Sums = array<f32, 8>;
var<private> own: u32;

fn load(at: u32, stride: u32, across: u32, along: u32) -> Matrix {
    return Matrix(at, stride, across, along);
}

fn place(m: Matrix, row: u32, column: u32) -> u32 {
    return 4u * m.at + (4u * m.stride * row + column) * m.across + (4u * m.stride * column + row) * m.along;
}

fn multiply_add(a: Matrix, b: Matrix, c: Sums) -> Sums {
    var sums = c;
    for (var i = 0u; i < 8u; i++) {
        let row = (own + i) / 16u;
        let column = (own + i) % 16u;
        for (var l = 0u; l < 16u; l++) {
            let x = place(a, row, l);
            let y = place(b, l, column);
            sums[i] += f32(a_tile[x / 4u][x % 4u]) * f32(b_tile[y / 4u][y % 4u]);
        }
    }
    return sums;
}

fn add(x: Sums, y: Sums) -> Sums {
    var sums = x;
    var more = y;
    for (var i = 0u; i < 8u; i++) {
        sums[i] += more[i];
    }
    return sums;
}

fn keep(x: Sums, at: u32, stride: u32) {
    var sums = x;
    for (var i = 0u; i < 8u; i++) {
        fragments[at + stride * ((own + i) / 16u) + (own + i) % 16u] = sums[i];
    }
}
";

/// The text between two words, and what follows.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close)
}

/// A line of the kernel without cooperative matrices.
fn emulated(line: &str) -> String {
    let line = line.replace("coop_mat16x16<f32, C>()", "Sums()");
    let (indent, code) = line.split_at(line.len() - line.trim_start().len());
    if let Some((target, call)) = code.split_once(" = coopMultiplyAdd") {
        return format!("{indent}{target} = multiply_add{call}");
    }
    if let Some((target, call)) = code.split_once(" = coopLoad") {
        let across = call.starts_with('T');
        let call = call.trim_start_matches('T');
        let (_, call) = call.split_once(">>(&").expect("the type of the load");
        let (_, call) = call.split_once("_tile[").expect("the tile that is loaded from");
        let (at, stride) = call.rsplit_once("], ").expect("the place of the load");
        let ways = if across { "1u, 0u" } else { "0u, 1u" };
        let stride = stride.trim_end_matches(");");
        return format!("{indent}{target} = load({at}, {stride}, {ways});");
    }
    if let Some((call, _)) = between(code, "coopStoreT(", ");") {
        let (sum, call) = call.split_once(", &fragments[").expect("the place of the store");
        let (at, stride) = call.split_once("], ").expect("the stride of the store");
        return format!("{indent}keep({sum}, {at}, {stride});");
    }
    if let Some((target, sum)) = code.split_once(" = sum")
        && let Some((x, y)) = sum.trim_end_matches(';').split_once(" + c")
    {
        return format!("{indent}{target} = add(sum{x}, c{y});");
    }
    line
}

/// The kernel of tensor cores for any GPU: subgroups are 32 invocations in order.
fn without_tensor_cores(kernel: &Kernel) -> Kernel {
    let text = kernel.text().unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let code = line.trim();
        let dropped = ["enable wgpu_cooperative_matrix;", "@builtin(subgroup"];
        if !dropped.iter().any(|start| code.starts_with(start)) && !code.starts_with("//") {
            lines.push(emulated(line));
        }
        if code == ") {" && lines.iter().any(|line| line.contains("fn gemm(")) {
            lines.push(
                "    let subgroup = local / 32u; let lane = local % 32u; own = 8u * lane;".into(),
            );
        }
    }
    let functions = lines.iter().position(|line| line.starts_with("fn halves")).unwrap();
    lines.insert(functions, MATRICES.into());
    let text = lines.join("\n");
    assert!(!text.contains("coop"), "{text}");
    Kernel::wgsl(kernel.label().to_string(), text).entry("gemm").constant("reads_c", 0.0)
}

/// Words of the parameters of every kernel of GEMM.
const WORDS: usize = 48;

/// The parameter block of a kernel, by name.
fn params(kernel: &Kernel, values: &HashMap<&str, u32>) -> [u32; WORDS] {
    assert_eq!(kernel.param_fields().len(), WORDS);
    let mut words = [0; WORDS];
    for (name, at) in kernel.param_fields() {
        words[at / 4] = values.get(name).copied().unwrap_or(0);
    }
    words
}

/// A split product of A, along k, and B, along k as well unless told otherwise, as a plan would record it.
struct Product<'a, A = f32> {
    ctx: &'a Context,
    values: HashMap<&'static str, u32>,
    a: Tensor<A>,
    /// Whether A and B lie along k or along their outer extent.
    along: &'static str,
    b: Tensor<f32>,
    stats: Tensor<u32>,
    packed: [Tensor<u32>; 2],
    c: Tensor<f32>,
}

impl<'a> Product<'a> {
    fn new(ctx: &'a Context, input: &Input, tile: [usize; 2]) -> Self {
        Product::of(ctx, input, tile, |x| x, "k/k")
    }
}

impl<'a, A: Element + Into<f32>> Product<'a, A> {
    /// With an A of other elements, and a B that lies as the second of these words says.
    fn of(
        ctx: &'a Context,
        input: &Input,
        [bm, bn]: [usize; 2],
        element: impl Fn(f32) -> A,
        along: &'static str,
    ) -> Self {
        let [m, n, k] = input.extents;
        let (a, b) = input.operands();
        let a: Vec<A> = a.into_iter().map(element).collect();
        let turned = || (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let (b, b_outer, b_k) = if along == "k/k" { (turned(), k, 1) } else { (b.clone(), 1, n) };
        let (rows, columns) = (m.next_multiple_of(bm), n.next_multiple_of(bn));
        let (steps, each) = (k.div_ceil(256) * 8, 2 + k.div_ceil(256));
        let tiles = rows / bm * (columns / bn);
        let a_stats = tiles + 1 + k;
        let words = a_stats + (rows + columns) * each;
        let one = 1.0_f32.to_bits();
        let values = [
            ("m", m),
            ("n", n),
            ("k", k),
            ("tiles", tiles),
            ("tiles_n", columns / bn),
            ("a_outer", k),
            ("a_k", 1),
            ("b_outer", b_outer),
            ("b_k", b_k),
            ("c_row", n),
            ("c_column", 1),
            ("steps", steps),
            ("a_rows", rows),
            ("b_rows", columns),
            ("a_stats", a_stats),
            ("b_stats", a_stats + rows * each),
            ("any", tiles),
            ("powers", tiles + 1),
            ("flag_m", bm),
            ("flag_n", bn),
            ("flag_tiles_n", columns / bn),
            ("flag_tiles", tiles),
        ];
        let mut values: HashMap<_, _> = values.map(|(name, x)| (name, x as u32)).into();
        values.insert("alpha", one);
        let packed = [rows, columns].map(|rows| ctx.zeros([rows * steps * 32]).unwrap());
        Product {
            ctx,
            values,
            a: ctx.upload([m * k], &a).unwrap(),
            b: ctx.upload([n * k], &b).unwrap(),
            along,
            stats: ctx.zeros([words]).unwrap(),
            packed,
            c: ctx.upload([m * n], &vec![f32::NAN; m * n]).unwrap(),
        }
    }

    /// One pass, which writes statistics, packed operands or C.
    fn run(&mut self, kernel: &Kernel, groups: usize) {
        let words = params(kernel, &self.values);
        let label = kernel.label().to_string();
        let kernel = if label.starts_with("gemm coop") {
            without_tensor_cores(kernel)
        } else {
            kernel.clone()
        };
        let pipeline = self.ctx.pipeline(&kernel).unwrap_or_else(|error| panic!("{error}"));
        let mut batch = self.ctx.batch(&label);
        let bindings = Bindings::new().params(&words);
        let [a, b] = &mut self.packed;
        // Nothing is judged where nothing is split.
        let split = label.contains("f16x3");
        let bindings = if label.starts_with("gemm coop") {
            let bindings = bindings.write(a).write(b);
            let bindings = if split { bindings.write(&mut self.stats) } else { bindings };
            bindings.write(&mut self.c)
        } else if label.contains("guarded") {
            bindings.read(&self.a).read(&self.b).read(&self.stats).write(&mut self.c)
        } else {
            let bindings = bindings.read(&self.a).read(&self.b);
            let bindings = if split { bindings.write(&mut self.stats) } else { bindings };
            if label.starts_with("gemm pack") { bindings.write(a).write(b) } else { bindings }
        };
        batch.dispatch(&pipeline, bindings, [groups as u32, 1, 1]).unwrap();
        batch.submit().unwrap();
    }
}

fn kernel(label: &str) -> Kernel {
    let found = gemm::kernels().into_iter().find(|kernel| kernel.label() == label);
    found.unwrap_or_else(|| panic!("no kernel is labelled '{label}'"))
}

impl<A: Element + Into<f32>> Product<'_, A> {
    /// The passes of one try; how many tiles failed.
    fn attempt(&mut self, tile: &str, second: bool) -> u32 {
        let words = |name: &str| self.values[name] as usize;
        let (k, rows) = (words("k"), (words("a_rows") + words("b_rows")) / 64);
        let (steps, tiles) = (words("steps"), words("tiles"));
        let balanced = if second { " balanced" } else { "" };
        let again = if second { " again" } else { "" };
        let elements = format!("{}/f32 {}", A::DTYPE, self.along);
        let packing = |entry: &str| kernel(&format!("gemm {entry} {tile} {elements}{balanced}"));
        if second {
            self.run(&packing("balance"), k.div_ceil(32));
        }
        self.run(&packing("range"), rows * k.div_ceil(256));
        self.run(&packing("pack"), rows * steps.div_ceil(4));
        self.run(&kernel(&format!("gemm {tile} packed/packed{again} to f32 vec4")), tiles);
        self.stats.download().unwrap()[..tiles].iter().sum()
    }

    /// What is left to plain arithmetic: the tiles that failed, in smaller ones.
    fn rest(&mut self) {
        let (m, n) = (self.values["m"] as usize, self.values["n"] as usize);
        let tiles = m.div_ceil(32) * n.div_ceil(32);
        let split = self.values.clone();
        self.values.insert("tiles", tiles as u32);
        self.values.insert("tiles_n", n.div_ceil(32) as u32);
        self.c.write(&vec![0.0; m * n]).unwrap();
        self.run(&kernel("gemm 32x32x16 f32 k4, f32 k4 guarded to f32 vec4"), tiles);
        self.values = split;
    }

    /// C within the bound of plain f32.
    fn check(&self, input: &Input) {
        let [m, n, k] = input.extents;
        let a: Vec<f32> = self.a.download().unwrap().into_iter().map(A::into).collect();
        let b = self.b.download().unwrap();
        let (outer, along_k) = if self.along == "k/k" { (k, 1) } else { (1, n) };
        for (at, found) in self.c.download().unwrap().into_iter().enumerate() {
            let b = |l: usize| f64::from(b[at % n * outer + l * along_k]);
            let terms = (0..k).map(|l| f64::from(a[at / n * k + l]) * b(l));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, t), x| (s + x, t + f64::abs(x)));
            let error = (f64::from(found) - sum).abs();
            let bound = (k as f64 + 4.0) * 2.0_f64.powi(-24) * size;
            assert!(error <= bound, "{input:?}: C[{at}] of {m}x{n} is {found}, {sum} in f64");
        }
    }

    fn forget(&mut self) {
        let count = (self.values["m"] * self.values["n"]) as usize;
        self.c.write(&vec![f32::NAN; count]).unwrap();
    }

    fn untouched(&self) -> bool {
        self.c.download().unwrap().iter().all(|x| x.is_nan())
    }
}

impl Product<'_> {
    /// The passes of one try without a split, of operands that f16 holds.
    fn whole(&mut self, tile: &str) {
        for x in [&mut self.a, &mut self.b] {
            let narrow = |x: f32| f16::from_f32(x).to_f32();
            let data: Vec<f32> = x.download().unwrap().into_iter().map(narrow).collect();
            x.write(&data).unwrap();
        }
        let words = |name: &str| self.values[name] as usize;
        let (rows, tiles) = ((words("a_rows") + words("b_rows")) / 64, words("tiles"));
        let steps = words("steps");
        self.run(&kernel(&format!("gemm pack {tile} f32/f32 k/k")), rows * steps.div_ceil(4));
        self.run(&kernel(&format!("gemm {tile} packed/packed to f32 vec4")), tiles);
    }
}

/// A GPU whose shaders have f16.
fn with_halves() -> Option<Context> {
    let gpu = gpu()?;
    if !gpu.device().gpu().is_some_and(|device| device.has_f16()) {
        eprintln!("SKIPPED: {} has no f16", gpu.adapter());
        return None;
    }
    Some(gpu)
}

#[test]
fn gpu_emulated_tensor_cores_split_products() {
    if let Some(gpu) = with_halves() {
        split_products(&gpu);
    }
}

/// Products of split operands, the second try and what is left to plain arithmetic.
pub fn split_products(gpu: &Context) {
    let tile = "coop-f16x3-64x64x32";
    for (extents, entries) in [
        ([70, 72, 100], Entries::Random),
        ([64, 128, 256], Entries::Scaled),
        ([130, 60, 300], Entries::Hilbert),
    ] {
        let input = Input { extents, entries };
        let mut product = Product::new(gpu, &input, [64, 64]);
        assert_eq!(product.attempt(tile, false), 0, "{input:?}");
        product.check(&input);
    }
    let input = Input { extents: [70, 72, 100], entries: Entries::Random };
    let mut product = Product::of(gpu, &input, [64, 64], f16::from_f32, "k/outer");
    assert_eq!(product.attempt(tile, false), 0, "{input:?} of f16");
    product.check(&input);
    let input = Input { extents: [70, 72, 300], entries: Entries::Random };
    let mut product = Product::new(gpu, &input, [64, 64]);
    product.whole("coop-f16-64x64x32");
    product.check(&input);
    // What cannot be split is left alone, and balanced at the second try, which leaves alone what
    // the first has done.
    let tile = "coop-balanced-f16x3-64x64x32";
    let input = Input { extents: [70, 72, 300], entries: Entries::ScaledWithin };
    let mut product = Product::new(gpu, &input, [64, 64]);
    assert_eq!(product.attempt(tile, false), 4);
    assert!(product.untouched());
    product.rest();
    product.check(&input);
    product.forget();
    assert_eq!(product.attempt(tile, true), 0);
    product.check(&input);
    product.forget();
    assert_eq!(product.attempt(tile, true), 0);
    assert!(product.untouched());
}

#[test]
fn gpu_emulated_tensor_cores_read_halves_as_they_lie() {
    if let Some(gpu) = with_halves() {
        halves_as_they_lie(&gpu);
    }
}

/// Products of operands of f16 in every order.
pub fn halves_as_they_lie(gpu: &Context) {
    // Extents that the tile does not divide, of whole vectors; small whole numbers, exact in any order.
    let (m, n, k) = (72, 88, 104);
    let number = |i: usize, step: usize| f16::from_f32(((i * step) % 7) as f32 - 3.0);
    let upload = |rows: usize, along_k: bool, step: usize| -> Tensor<f16> {
        let element = |i: usize| if along_k { i } else { i % rows * k + i / rows };
        let data: Vec<f16> = (0..rows * k).map(|i| number(element(i), step)).collect();
        gpu.upload([rows * k], &data).unwrap()
    };
    let sum = |i: usize, j: usize| -> f32 {
        (0..k).map(|l| number(i * k + l, 5).to_f32() * number(j * k + l, 3).to_f32()).sum()
    };
    let expected: Vec<f32> = (0..m * n).map(|at| sum(at / n, at % n)).collect();
    for (a_load, b_load) in [("k8", "k8"), ("outer8", "outer8"), ("k8", "outer8"), ("outer8", "k8")]
    {
        let found = kernel(&format!("gemm coop-f16-64x64x32 {a_load}/{b_load} to f32 vec4"));
        let pipeline = gpu.pipeline(&without_tensor_cores(&found)).unwrap();
        let side = |load: &str, rows: usize| if load == "k8" { (k, 1) } else { (1, rows) };
        let ((a_outer, a_k), (b_outer, b_k)) = (side(a_load, m), side(b_load, n));
        let values = [
            ("m", m),
            ("n", n),
            ("k", k),
            ("tiles", 4),
            ("tiles_n", 2),
            ("a_outer", a_outer),
            ("a_k", a_k),
            ("b_outer", b_outer),
            ("b_k", b_k),
            ("c_row", n),
            ("c_column", 1),
            ("alpha", 1.0_f32.to_bits() as usize),
        ];
        let values = values.map(|(name, x)| (name, x as u32)).into();
        let (mut a, mut b) = (upload(m, a_load == "k8", 5), upload(n, b_load == "k8", 3));
        let mut c = gpu.upload([m * n], &vec![f32::NAN; m * n]).unwrap();
        let mut batch = gpu.batch("halves");
        let bindings = Bindings::new().params(&params(&found, &values));
        let bindings = bindings.write(&mut a).write(&mut b).write(&mut c);
        batch.dispatch(&pipeline, bindings, [4, 1, 1]).unwrap();
        batch.submit().unwrap();
        assert_eq!(c.download().unwrap(), expected, "{a_load}/{b_load}");
    }
}
