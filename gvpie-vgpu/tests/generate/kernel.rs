//! A whole kernel: types, memory, functions, and phases with barriers between them.

use super::expression::fold_of;
use super::near::{self, Near};
use super::ty::{Scalar, Scalar::*, Ty, parts};
use super::{Features, Function, Generated, INPUT, SHARED, Variable, Writer};
use fastrand::Rng;

/// Workgroups of a dispatch, and lanes of a workgroup.
const GROUPS: &[[u32; 3]] = &[[1, 1, 1], [3, 1, 1], [2, 1, 2], [1, 2, 3], [2, 2, 2]];
const LANES: &[[u32; 3]] =
    &[[64, 1, 1], [1, 1, 1], [7, 1, 1], [8, 4, 1], [3, 5, 2], [33, 1, 1], [4, 4, 4], [1, 1, 17]];

pub fn write(seed: u64, features: Features) -> Generated {
    let mut random = Rng::with_seed(seed);
    let groups = GROUPS[random.usize(..GROUPS.len())];
    let lanes = LANES[random.usize(..LANES.len())];
    let mut writer = Writer {
        random,
        features,
        structs: Vec::new(),
        functions: Vec::new(),
        folds: Vec::new(),
        variables: Vec::new(),
        text: String::new(),
        names: 0,
        depth: 0,
        loops: 0,
        in_switch: false,
        in_main: false,
        last_phase: false,
        result: None,
        size: 1 + (seed % 3) as u32,
        nested: 0,
        words: 0,
        fuel: 0,
        calls: 0,
    };
    let near = writer.kernel(lanes);
    let count = |of: [u32; 3]| of.iter().product::<u32>();
    let all = count(groups) * count(lanes);
    let words = writer.words;
    let mut head = format!("const WORDS = {words}u;\n");
    if features.half {
        head.insert_str(0, "enable f16;\n");
    }
    for (k, members) in writer.structs.iter().enumerate() {
        let member = |(at, ty): (usize, &Ty)| format!("m{at}: {}", ty.name());
        let members: Vec<String> = members.iter().enumerate().map(member).collect();
        head += &format!("struct S{k} {{ {} }}\n", members.join(", "));
    }
    head.extend(writer.folds.iter().map(fold_of));
    let mut random = writer.random;
    let edges = [0, 1, 31, 32, u32::MAX, 0x7fff_ffff, 0x8000_0000];
    let mut word = || match random.u8(..3) {
        0 => edges[random.usize(..edges.len())],
        1 => random.u32(..100),
        _ => random.u32(..),
    };
    let input = (0..INPUT).map(|_| word()).collect();
    let knobs = (0..8).map(|_| word()).collect();
    let mut counts: Vec<u32> = (0..SHARED + all).map(|_| word()).collect();
    (counts[3], counts[4]) = (u32::MAX, u32::MAX);
    Generated {
        source: head + &writer.text,
        overrides: vec![("chosen", f64::from(seed as u32 % 100)), ("scale", 2.5)],
        buffers: [input, knobs, vec![0; all as usize * words], counts],
        groups,
        words,
        near,
    }
}

impl Writer {
    /// Writes everything but what comes first, and gives what is near.
    fn kernel(&mut self, lanes: [u32; 3]) -> Vec<Near> {
        for _ in 0..self.random.u32(..3) {
            let members = (0..self.random.u32(1..5)).map(|_| self.ty(1)).collect();
            self.structs.push(members);
        }
        self.memory();
        let globals = self.variables.len();
        for _ in 0..self.random.u32(..4) {
            self.function();
            self.variables.truncate(globals);
        }
        let [x, y, z] = lanes;
        let count = x * y * z;
        let shared = self.shared(count);
        self.line(&format!("@compute @workgroup_size({x}, {y}, {z})"));
        self.line("fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>,");
        self.line("    @builtin(num_workgroups) groups: vec3<u32>, @builtin(global_invocation_id) id: vec3<u32>) {");
        (self.depth, self.in_main, self.result) = (1, true, None);
        self.line(&format!(
            "let linear = ((group.z * groups.y + group.y) * groups.x + group.x) * {count}u + lane;"
        ));
        self.line(&format!("let cell = {SHARED}u + linear;"));
        self.line("let mixed = id.x * 2654435761u + id.y + id.z + knobs[1].w;");
        self.line(&format!("let seed = input[linear % {INPUT}u] ^ mixed;"));
        self.line("atomicMax(&counts[7], linear);");
        for (name, ty) in
            [("lane", Ty::One(U32)), ("seed", Ty::One(U32)), ("id", Ty::Vector(U32, 3))]
        {
            self.declare(name, ty, false);
        }
        for _ in 0..self.random.u32(2..5) {
            let ty = self.ty(2);
            self.variable(&ty);
        }
        for (number, ty) in shared.iter().enumerate() {
            (self.fuel, self.calls) = (2 * self.size, 2);
            self.phase(number, ty, count);
        }
        if self.features.subgroups {
            self.together();
        }
        (self.fuel, self.calls, self.last_phase) = (4 * self.size, 2, true);
        self.statements(6);
        let near = self.give(globals);
        self.depth = 0;
        self.line("}");
        near
    }

    /// Overrides, constants, buffers and private variables.
    fn memory(&mut self) {
        self.line("override chosen: u32 = 7u;");
        self.line("override scale: f32 = 0.5f;");
        self.line("@group(0) @binding(0) var<storage, read> input: array<u32>;");
        self.line("@group(0) @binding(1) var<uniform> knobs: array<vec4<u32>, 2>;");
        self.line("@group(0) @binding(2) var<storage, read_write> out: array<u32>;");
        self.line("@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;");
        // Alone, an override is a constant in the end, and naga's evaluation of those has gaps: it fails
        // on a vector that is put together from one and a vector.
        let fixed = [
            ("(chosen | knobs[0].y)", Ty::One(U32)),
            ("knobs", Ty::Array(Box::new(Ty::Vector(U32, 4)), 2)),
            ("select(scale, 1.5f, knobs[1].y > 9u)", Ty::One(F32)),
        ];
        for (name, ty) in fixed {
            let bound = name == "knobs";
            let name = name.into();
            self.variables.push(Variable { name, ty, mutable: false, local: false, bound });
        }
        for _ in 0..self.random.u32(..3) {
            let (ty, name) = (self.ty(2), self.name('g'));
            self.line(&format!("var<private> {name}: {};", ty.name()));
            let (mutable, local, bound) = (true, false, false);
            self.variables.push(Variable { name, ty, mutable, local, bound });
        }
        for _ in 0..self.random.u32(..3) {
            let (s, name) = (self.scalar(), self.name('c'));
            let literal = s.literal(&mut self.random);
            self.line(&format!("const {name}: {} = {literal};", s.name()));
            // As a variable: an expression with it is taken for one that is not constant.
            let table = self.name('c');
            let items: Vec<String> = (0..4).map(|_| s.literal(&mut self.random)).collect();
            self.line(&format!("const {table} = array<{}, 4>({});", s.name(), items.join(", ")));
            let name = format!("select({name}, {table}[lane_of(knobs[1].x)], knobs[0].y > 5u)");
            self.declare(&name, Ty::One(s), false);
        }
        self.line("fn lane_of(x: u32) -> u32 { return x % 4u; }");
    }

    /// A function of those before it.
    fn function(&mut self) {
        let which = self.functions.len();
        let values: Vec<Ty> = (0..self.random.u32(..3)).map(|_| self.ty(1)).collect();
        let pointer = self.random.bool().then(|| self.ty(1));
        let result = self.ty(1);
        let mut parameters = vec!["given: u32".to_string()];
        self.declare("given", Ty::One(U32), false);
        for (k, ty) in values.iter().enumerate() {
            parameters.push(format!("a{k}: {}", ty.name()));
            self.declare(&format!("a{k}"), ty.clone(), false);
        }
        if let Some(ty) = &pointer {
            parameters.push(format!("to: ptr<function, {}>", ty.name()));
            let (name, ty, mutable) = ("(*to)".into(), ty.clone(), true);
            self.variables.push(Variable { name, ty, mutable, local: false, bound: false });
        }
        self.line(&format!("fn f{which}({}) -> {} {{", parameters.join(", "), result.name()));
        let fuel = 2 * self.size;
        (self.depth, self.in_main, self.fuel, self.calls) = (1, false, fuel, 1);
        self.result = Some(result.clone());
        self.statements(5);
        let value = self.any(&result, 3);
        self.line(&format!("return {value};"));
        self.depth = 0;
        self.line("}");
        self.functions.push(Function { values, pointer, result });
    }

    /// Memory of the workgroup: an array of a cell for each lane for each phase, and a flag.
    fn shared(&mut self, count: u32) -> Vec<Ty> {
        let phases = self.random.u32(..4);
        let mut shared = Vec::new();
        for number in 0..phases {
            let ty = self.ty(1);
            self.line(&format!("var<workgroup> cells{number}: array<{}, {count}>;", ty.name()));
            shared.push(ty);
        }
        if phases > 0 {
            self.line("var<workgroup> flag: u32;");
            self.line("var<workgroup> tally: atomic<u32>;");
            self.line("var<workgroup> highest: atomic<i32>;");
        }
        shared
    }

    /// Each lane writes its cell; a barrier; each reads what it likes. Sometimes again and again, as
    /// often as all lanes agree on.
    fn phase(&mut self, number: usize, ty: &Ty, count: u32) {
        let seen = self.variables.len();
        let again = self.random.u8(..3) == 0;
        if again {
            let most = match self.random.u8(..3) {
                0 => "2u",
                1 => "knobs[0].x % 3u",
                _ => "(groups.x + chosen) % 3u",
            };
            self.line(&format!("for (var r{number} = 0u; r{number} < {most}; r{number}++) {{"));
            self.depth += 1;
            self.loops += 1;
        }
        // A lane that breaks or goes on would miss the barrier.
        let loops = std::mem::take(&mut self.loops);
        self.statements(4);
        let value = self.any(ty, 3);
        self.line(&format!("cells{number}[lane] = {value};"));
        let word = self.some(&Ty::One(U32), 2);
        self.line(&format!("atomicAdd(&tally, {word});"));
        let word = self.some(&Ty::One(I32), 2);
        self.line(&format!("atomicMax(&highest, {word});"));
        let word = self.some(&Ty::One(U32), 2);
        let chosen = self.random.u32(..count);
        self.line(&format!("if lane == {chosen}u {{ flag = {word}; }}"));
        self.line(self.pick_barrier());
        let (got, sum, most) = (self.name('s'), self.name('t'), self.name('t'));
        self.line(&format!("let {sum} = atomicLoad(&tally);"));
        self.line(&format!("let {most} = atomicLoad(&highest);"));
        let index = self.index(count, false);
        self.line(&format!("var {got} = cells{number}[{index}];"));
        let flag = self.name('u');
        self.line(&format!("let {flag} = workgroupUniformLoad(&flag);"));
        let seen_here =
            [(got, ty.clone()), (sum, Ty::One(U32)), (most, Ty::One(I32)), (flag, Ty::One(U32))];
        for (name, ty) in seen_here {
            self.declare(&name, ty, false);
        }
        self.statements(3);
        self.line("workgroupBarrier();");
        self.loops = loops;
        if again {
            self.depth -= 1;
            self.loops -= 1;
            self.variables.truncate(seen);
            self.line("}");
        }
    }

    fn pick_barrier(&self) -> &'static str {
        // Cells are the workgroup's: a storage barrier alone would not do.
        if self.names.is_multiple_of(5) {
            "storageBarrier(); workgroupBarrier();"
        } else {
            "workgroupBarrier();"
        }
    }

    /// What lanes of a subgroup do together.
    fn together(&mut self) {
        for _ in 0..self.random.u32(1..5) {
            let s = if self.random.bool() { U32 } else { I32 };
            let value = self.some(&Ty::One(s), 2);
            let lane = format!("{} % 4u", self.some(&Ty::One(U32), 1));
            let call = match self.random.u8(..8) {
                0..3 => {
                    let function = self.pick(&[
                        "Add",
                        "Mul",
                        "Min",
                        "Max",
                        "And",
                        "Or",
                        "Xor",
                        "InclusiveAdd",
                        "ExclusiveAdd",
                        "InclusiveMul",
                        "ExclusiveMul",
                    ]);
                    format!("subgroup{function}({value})")
                }
                3 => format!("subgroupBroadcastFirst({value})"),
                4 => format!("subgroupBroadcast({value}, 1u)"),
                5 => format!(
                    "{}({value}, {lane})",
                    self.pick(&[
                        "subgroupShuffle",
                        "subgroupShuffleXor",
                        "subgroupShuffleUp",
                        "subgroupShuffleDown"
                    ])
                ),
                6 => {
                    let condition = self.condition(2);
                    let call = self.pick(&[
                        "any(subgroupBallot(C) != vec4<u32>())",
                        "subgroupAny(C)",
                        "subgroupAll(C)",
                    ]);
                    format!("{}({})", s.name(), call.replace('C', &condition))
                }
                _ => self
                    .pick(&[
                        "quadSwapX(V)",
                        "quadSwapY(V)",
                        "quadSwapDiagonal(V)",
                        "quadBroadcast(V, 2u)",
                    ])
                    .replace('V', &value),
            };
            let name = self.name('q');
            self.line(&format!("let {name} = {call};"));
            self.declare(&name, Ty::One(s), false);
        }
    }

    /// Writes to the lane's next word.
    fn put(&mut self, text: &str) {
        self.line(&format!("out[linear * WORDS + {}u] = {text};", self.words));
        self.words += 1;
    }

    /// Writes what variables hold, and functions of what they hold, to the lane's words.
    fn give(&mut self, globals: usize) -> Vec<Near> {
        let mut found: Vec<(String, Scalar)> = Vec::new();
        let mut order: Vec<usize> = (0..self.variables.len()).collect();
        self.random.shuffle(&mut order);
        let own = |k: &&usize| **k >= globals || self.variables[**k].mutable;
        for variable in order.iter().filter(own).map(|k| &self.variables[*k]) {
            parts(&variable.name, &variable.ty, &self.structs, &mut found);
        }
        found.truncate(40);
        let early = self.random.bool().then_some(found.len() / 2);
        for (k, (name, s)) in found.into_iter().enumerate() {
            if early == Some(k) {
                let condition = self.condition(2);
                self.line(&format!("if {condition} {{ return; }}"));
            }
            match s {
                Bool => self.put(&format!("select(3u, 9u, {name})")),
                U32 => self.put(&name),
                I32 => self.put(&format!("bitcast<u32>({name})")),
                I64 | U64 => {
                    let suffix = if s == I64 { "li" } else { "lu" };
                    self.put(&format!("u32({name} & 4294967295{suffix})"));
                    self.put(&format!("u32(({name} >> 32u) & 4294967295{suffix})"));
                }
                F16 | F32 | F64 => {
                    let exact = self.fold(&Ty::One(s), name);
                    self.put(&format!("bitcast<u32>(f32({exact}))"));
                }
            }
        }
        let mut near = Vec::new();
        for _ in 0..self.random.u32(..5) {
            let of = near::pick(&mut self.random);
            let names = [self.name('x'), self.name('x')];
            for (k, name) in names.iter().enumerate() {
                let raw = self.some(&Ty::One(F32), 2);
                let exact = self.fold(&Ty::One(F32), raw);
                self.line(&format!("let {name} = {};", of.argument(k, &exact)));
            }
            near.push(Near { at: self.words, of });
            names.iter().for_each(|name| self.put(&format!("bitcast<u32>({name})")));
            self.put(&format!("bitcast<u32>({})", of.call(&names)));
        }
        if self.words == 0 {
            self.put("seed");
        }
        near
    }
}
