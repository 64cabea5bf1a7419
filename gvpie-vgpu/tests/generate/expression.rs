//! Expressions of a wanted type.
//!
//! Floats are kept exact, so that no order, fusing or flushing changes a bit of them: what is in a variable
//! is k·2⁻⁴ with |k| < 2¹¹ (of f16 k·2⁻¹ with |k| < 2⁴). A sum of four products of such numbers has 24 bits
//! (11), and `fold` brings it back: the whole of it in the unit of products, modulo 2¹¹ (2⁴). It gives +0
//! for either zero.

use super::Writer;
use super::ty::{Scalar, Scalar::*, Step, Ty, ways};

/// An expression, and whether it is one that the compiler evaluates: such may not divide by zero, overflow
/// or reach past an end.
pub struct Expr {
    pub text: String,
    pub constant: bool,
}

fn moving(text: String) -> Expr {
    Expr { text, constant: false }
}

impl Writer {
    /// Of this type, `depth` operations deep at most.
    pub fn expr(&mut self, ty: &Ty, depth: u32) -> Expr {
        if depth == 0 || self.random.u8(..5) == 0 {
            return self.leaf(ty);
        }
        if self.random.u8(..8) == 0
            && let Some(call) = self.call(ty, depth)
        {
            return call;
        }
        match *ty {
            Ty::One(Bool) => moving(self.condition(depth)),
            Ty::One(s) => moving(self.number(ty, s, depth)),
            Ty::Vector(Bool, n) => {
                let s = self.scalar();
                let op = self.pick(if s == Bool { &["==", "!="] } else { COMPARISONS });
                let (a, b) =
                    (self.some(&Ty::Vector(s, n), depth), self.any(&Ty::Vector(s, n), depth));
                moving(format!("({a} {op} {b})"))
            }
            Ty::Vector(s, n) => match self.random.u8(..6) {
                0 => self.construct(ty, depth),
                1 => self.swizzle(s, n),
                2 if s.is_float() => moving(self.times_matrix(s, n, depth)),
                _ => moving(self.number(ty, s, depth)),
            },
            Ty::Matrix(s, columns, rows) => moving(self.matrix(s, columns, rows, depth)),
            Ty::Array(..) | Ty::Struct(_) => self.construct(ty, depth),
        }
    }

    /// The same, as text.
    pub fn any(&mut self, ty: &Ty, depth: u32) -> String {
        self.expr(ty, depth.saturating_sub(1)).text
    }

    /// One that the compiler does not know.
    pub fn some(&mut self, ty: &Ty, depth: u32) -> String {
        for _ in 0..4 {
            let found = self.expr(ty, depth.saturating_sub(1));
            if !found.constant {
                return found.text;
            }
        }
        self.unknown(ty)
    }

    /// A value that is never a constant, made of the lane's seed.
    fn unknown(&mut self, ty: &Ty) -> String {
        let seed = if self.in_main { "seed" } else { "given" };
        match *ty {
            Ty::One(Bool) => format!("(({seed} & 1u) == 1u)"),
            Ty::One(U32) => seed.into(),
            Ty::One(s) if s.is_float() => {
                self.fold(&Ty::One(s), format!("{}({seed} & 15u)", s.name()))
            }
            Ty::One(I64) if self.features.vulkan => format!("i64(u64({seed}))"),
            Ty::One(s) => format!("{}({seed})", s.name()),
            Ty::Vector(s, _) => format!("{}({})", ty.name(), self.unknown(&Ty::One(s))),
            _ => self.construct(ty, 1).text,
        }
    }

    /// A variable, a part of one, or a constant.
    fn leaf(&mut self, ty: &Ty) -> Expr {
        if self.random.u8(..4) > 0
            && let Some(text) = self.place(ty, false)
        {
            return moving(text);
        }
        match ty {
            Ty::One(U32) if self.random.u8(..3) == 0 => {
                let index = self.index(super::INPUT, true);
                moving(format!("input[{index}]"))
            }
            Ty::One(s) => Expr { text: s.literal(&mut self.random), constant: true },
            Ty::Vector(s, _) if self.random.bool() => {
                let text = format!("{}({})", ty.name(), s.literal(&mut self.random));
                Expr { text, constant: true }
            }
            _ if self.random.u8(..4) == 0 => {
                Expr { text: format!("{}()", ty.name()), constant: true }
            }
            _ => self.construct(ty, 0),
        }
    }

    /// A variable of the type, or a part of one that has it.
    pub fn place(&mut self, ty: &Ty, written: bool) -> Option<String> {
        let mut all = Vec::new();
        for variable in self.variables.iter().filter(|v| !written || v.mutable) {
            for way in ways(&variable.ty, ty, &self.structs) {
                all.push((variable.name.clone(), way, variable.bound));
            }
        }
        if all.is_empty() {
            return None;
        }
        let (mut text, way, bound) = all.swap_remove(self.random.usize(..all.len()));
        for step in way {
            match step {
                Step::Index(n) => text = format!("{text}[{}]", self.index(n, bound)),
                Step::Member(k) => text += &format!(".m{k}"),
                Step::Component(k) => text += [".x", ".y", ".z", ".w"][k as usize],
            }
        }
        Some(text)
    }

    /// An index of something that has `n`, in a buffer or not: mostly within, sometimes past the end.
    pub fn index(&mut self, n: u32, bound: bool) -> String {
        let past = !self.features.clean && (self.features.stray || !bound);
        // An index within an index within an index says nothing more.
        self.nested += 1;
        let depth = u32::from(self.nested < 2);
        let text = match self.random.u8(..8) {
            0..3 => self.random.u32(..n).to_string(),
            3 if past => self.some(&Ty::One(U32), depth),
            4 if past => self.some(&Ty::One(I32), depth),
            _ => format!("{} % {n}u", self.some(&Ty::One(U32), depth)),
        };
        self.nested -= 1;
        text
    }

    /// A call of a function with a result of the type.
    fn call(&mut self, ty: &Ty, depth: u32) -> Option<Expr> {
        let made: Vec<usize> =
            (0..self.functions.len()).filter(|k| self.functions[*k].result == *ty).collect();
        if made.is_empty() || self.calls == 0 {
            return None;
        }
        let which = made[self.random.usize(..made.len())];
        Some(moving(self.call_of(which, depth)?))
    }

    /// A call of a function; `None` if a pointer that it wants is not to be had.
    pub fn call_of(&mut self, which: usize, depth: u32) -> Option<String> {
        self.calls = self.calls.checked_sub(1)?;
        let function = self.functions[which].clone();
        let mut arguments = vec![self.some(&Ty::One(U32), depth)];
        for ty in &function.values {
            arguments.push(self.any(ty, depth));
        }
        if let Some(to) = &function.pointer {
            let held = |v: &&super::Variable| v.mutable && v.ty == *to && v.local;
            arguments.push(format!("&{}", self.variables.iter().find(held)?.name));
        }
        Some(format!("f{which}({})", arguments.join(", ")))
    }

    /// A value put together from its parts.
    fn construct(&mut self, ty: &Ty, depth: u32) -> Expr {
        let parts = match ty {
            Ty::One(_) => return self.leaf(ty),
            Ty::Vector(s, n) if *n > 2 && self.random.bool() => {
                vec![Ty::One(*s), Ty::Vector(*s, n - 1)]
            }
            Ty::Vector(s, n) => vec![Ty::One(*s); *n as usize],
            Ty::Matrix(s, columns, rows) => vec![Ty::Vector(*s, *rows); *columns as usize],
            Ty::Array(element, n) => vec![(**element).clone(); *n as usize],
            Ty::Struct(k) => self.structs[*k].clone(),
        };
        let mut constant = true;
        let mut texts = Vec::new();
        for part in &parts {
            // naga counts the parts of a constant vector of a vector wrong.
            if matches!((ty, part), (Ty::Vector(..), Ty::Vector(..))) {
                texts.push(self.some(part, depth));
                constant = false;
                continue;
            }
            let expr = self.expr(part, depth.saturating_sub(1));
            constant &= expr.constant;
            texts.push(expr.text);
        }
        Expr { text: format!("{}({})", ty.name(), texts.join(", ")), constant }
    }

    fn swizzle(&mut self, s: Scalar, n: u32) -> Expr {
        let from = self.random.u32(2..5);
        let base = self.some(&Ty::Vector(s, from), 1);
        let letters: &[char] =
            if self.random.bool() { &['x', 'y', 'z', 'w'] } else { &['r', 'g', 'b', 'a'] };
        let picked: String = (0..n).map(|_| letters[self.random.usize(..from as usize)]).collect();
        moving(format!("{base}.{picked}"))
    }

    /// A bool.
    pub fn condition(&mut self, depth: u32) -> String {
        match self.random.u8(..8) {
            0 => format!("!{}", self.some(&Ty::One(Bool), depth)),
            1 => {
                let op = self.pick(&["&&", "||", "&", "|", "==", "!="]);
                let (a, b) = (self.some(&Ty::One(Bool), depth), self.some(&Ty::One(Bool), depth));
                format!("({a} {op} {b})")
            }
            2 => {
                let n = self.random.u32(2..5);
                let function = self.pick(&["any", "all"]);
                format!("{function}({})", self.some(&Ty::Vector(Bool, n), depth))
            }
            3 => {
                let s = self.numeric();
                format!("bool({})", self.some(&Ty::One(s), depth))
            }
            _ => {
                let s = self.numeric();
                let op = self.pick(COMPARISONS);
                format!("({} {op} {})", self.some(&Ty::One(s), depth), self.any(&Ty::One(s), depth))
            }
        }
    }

    /// A number, or a vector of numbers.
    fn number(&mut self, ty: &Ty, s: Scalar, depth: u32) -> String {
        if self.random.u8(..6) == 0 {
            return self.converted(ty, s, depth);
        }
        if self.random.u8(..10) == 0 {
            let condition = match ty {
                Ty::Vector(_, n) if self.random.bool() => Ty::Vector(Bool, *n),
                _ => Ty::One(Bool),
            };
            let condition = self.some(&condition, depth);
            return format!(
                "select({}, {}, {condition})",
                self.any(ty, depth),
                self.any(ty, depth)
            );
        }
        if s.is_float() { self.float(ty, s, depth) } else { self.integer(ty, s, depth) }
    }

    fn converted(&mut self, ty: &Ty, s: Scalar, depth: u32) -> String {
        let from = self.scalar();
        let source = match ty {
            Ty::Vector(_, n) => Ty::Vector(from, *n),
            _ => Ty::One(from),
        };
        let mut inner = self.some(&source, depth);
        let name = ty.name();
        if let (U32 | I32, I64 | U64) = (from, s)
            && self.features.vulkan
        {
            // naga's SPIR-V extends the sign as the new type has one: by way of the other, both agree.
            let long = if from == U32 { U64 } else { I64 };
            inner = match ty {
                Ty::Vector(_, n) => format!("{}({inner})", Ty::Vector(long, *n).name()),
                _ => format!("{}({inner})", long.name()),
            };
        }
        match (from.is_float(), s.is_float()) {
            (false, true) => {
                // Few bits of an integer, so that the float is exact: within what it folds to.
                let (mask, one) = (if s == F16 { 7 } else { 63 }, from.name());
                match (from, ty) {
                    (Bool, _) => format!("{name}({inner})"),
                    (_, Ty::Vector(..)) => {
                        format!("{name}({inner} & {}({one}({mask})))", source.name())
                    }
                    _ => format!("{name}({inner} & {one}({mask}))"),
                }
            }
            (true, true) => {
                self.fold(ty, format!("{name}({})", self.narrow(from, s, &source, inner)))
            }
            (true, false) if s == Bool => format!("{name}({inner})"),
            // Negative floats become 0 where there is no sign: naga's own functions clamp.
            _ if from.bits() == s.bits() && from.is_word() && s.is_word() && self.random.bool() => {
                format!("bitcast<{name}>({inner})")
            }
            _ => format!("{name}({inner})"),
        }
    }

    /// A float of `from` that type `to` can hold.
    fn narrow(&self, from: Scalar, to: Scalar, source: &Ty, inner: String) -> String {
        if to == F16 && from != F16 {
            let number = |x: &str| format!("{}({}({x}))", source.name(), from.name());
            return format!("clamp({inner}, {}, {})", number("-7.5"), number("7.5"));
        }
        inner
    }

    fn integer(&mut self, ty: &Ty, s: Scalar, depth: u32) -> String {
        let vector = matches!(ty, Ty::Vector(..));
        let a = self.some(ty, depth);
        let counted = match ty {
            Ty::Vector(_, n) => Ty::Vector(U32, *n),
            _ => Ty::One(U32),
        };
        match self.random.u8(..if s.is_word() { 22 } else { 14 }) {
            0..6 => {
                let op = self.pick(&["+", "-", "*", "&", "|", "^"]);
                format!("({a} {op} {})", self.any(ty, depth))
            }
            // Zero now and then.
            6 if !self.features.clean => {
                format!("({a} {} {})", self.pick(&["/", "%"]), self.some(ty, depth))
            }
            6 => {
                let (one, b) = (format!("{}({}(1))", ty.name(), s.name()), self.some(ty, depth));
                format!("({a} {} ({b} | {one}))", self.pick(&["/", "%"]))
            }
            7 if !self.features.clean => {
                let few = format!("{}({}(3))", ty.name(), s.name());
                let b = self.some(ty, depth);
                format!("({a} {} ({b} & {few}))", self.pick(&["/", "%"]))
            }
            // naga refuses a vector of counts with a constant that is too large.
            8 => format!(
                "({a} {} ({} ^ {}(knobs[0].y)))",
                self.pick(&["<<", ">>"]),
                self.some(&counted, depth),
                counted.name()
            ),
            9 => format!(
                "({a} {} {}({}u))",
                self.pick(&["<<", ">>"]),
                counted.name(),
                self.random.u32(..s.bits())
            ),
            10 => format!("{}({a}, {})", self.pick(&["min", "max"]), self.any(ty, depth)),
            11 if s.is_signed() => format!("(-{a})"),
            11 | 12 => format!("(~{a})"),
            13 if s.is_signed() => format!("{}({a})", self.pick(&["abs", "sign"])),
            13 | 14 => {
                let (b, c) = (self.some(ty, depth), self.some(ty, depth));
                format!("clamp({a}, min({b}, {c}), max({b}, {c}))")
            }
            15 | 16 => {
                let function = self.pick(&[
                    "countOneBits",
                    "countLeadingZeros",
                    "countTrailingZeros",
                    "reverseBits",
                    "firstLeadingBit",
                    "firstTrailingBit",
                    "abs",
                ]);
                format!("{function}({a})")
            }
            17 | 18 => {
                let (at, count) = (self.some(&Ty::One(U32), 1), self.some(&Ty::One(U32), 1));
                if self.random.bool() {
                    format!("extractBits({a}, {at} % 40u, {count} % 40u)")
                } else {
                    format!("insertBits({a}, {}, {at} % 40u, {count} % 40u)", self.any(ty, depth))
                }
            }
            19 if !vector => {
                let n = self.random.u32(2..5);
                let of = Ty::Vector(s, n);
                format!("dot({}, {})", self.some(&of, depth), self.any(&of, depth))
            }
            20 if !vector && s == U32 => self.packed(depth),
            21 if !vector => {
                let function = if s == U32 { "dot4U8Packed" } else { "dot4I8Packed" };
                let word = Ty::One(U32);
                format!("{function}({}, {})", self.some(&word, depth), self.any(&word, depth))
            }
            _ => format!("({a} + {})", self.any(ty, depth)),
        }
    }

    fn packed(&mut self, depth: u32) -> String {
        match self.random.u8(..4) {
            0 => format!("pack4xU8({})", self.some(&Ty::Vector(U32, 4), depth)),
            1 => format!("pack4xI8({})", self.some(&Ty::Vector(I32, 4), depth)),
            2 => format!("pack2x16float({})", self.some(&Ty::Vector(F32, 2), depth)),
            _ => format!("countOneBits({})", self.some(&Ty::One(U32), depth)),
        }
    }

    fn float(&mut self, ty: &Ty, s: Scalar, depth: u32) -> String {
        let a = self.some(ty, depth);
        let text = match self.random.u8(..14) {
            0..5 => format!("{a} {} {}", self.pick(&["+", "-", "*"]), self.any(ty, depth)),
            5 => format!("fma({a}, {}, {})", self.any(ty, depth), self.any(ty, depth)),
            6 | 7 => {
                let function =
                    self.pick(&["abs", "floor", "ceil", "trunc", "round", "fract", "sign"]);
                return self.fold(ty, format!("{function}({a})"));
            }
            8 => format!("{}({a}, {})", self.pick(&["min", "max"]), self.any(ty, depth)),
            9 => format!("-{a}"),
            10 => {
                let (b, c) = (self.some(ty, depth), self.some(ty, depth));
                format!("clamp({a}, min({b}, {c}), max({b}, {c}))")
            }
            11 if matches!(ty, Ty::One(_)) => {
                let n = self.random.u32(2..5);
                let of = Ty::Vector(s, n);
                format!("dot({}, {})", self.some(&of, depth), self.any(&of, depth))
            }
            12 if s == F32 => match ty {
                Ty::One(_) => {
                    let exponent = self.some(&Ty::One(I32), depth);
                    format!("ldexp({a}, {exponent} & 3i)")
                }
                _ => format!("step({a}, {})", self.any(ty, depth)),
            },
            13 if s == F32 && matches!(ty, Ty::One(_)) => self
                .pick(&[
                    "modf(A).fract",
                    "modf(A).whole",
                    "frexp(A).fract",
                    "f32(frexp(A).exp)",
                    "quantizeToF16(A)",
                ])
                .replace('A', &a),
            _ => format!("{a} - {}", self.any(ty, depth)),
        };
        self.fold(ty, text)
    }

    fn times_matrix(&mut self, s: Scalar, n: u32, depth: u32) -> String {
        let k = self.random.u32(2..5);
        let vector = self.some(&Ty::Vector(s, k), depth);
        let text = if self.random.bool() {
            format!("{} * {vector}", self.any(&Ty::Matrix(s, k, n), depth))
        } else {
            format!("{vector} * {}", self.any(&Ty::Matrix(s, n, k), depth))
        };
        self.fold(&Ty::Vector(s, n), text)
    }

    fn matrix(&mut self, s: Scalar, columns: u32, rows: u32, depth: u32) -> String {
        let ty = Ty::Matrix(s, columns, rows);
        let text = match self.random.u8(..5) {
            0 => format!("transpose({})", self.some(&Ty::Matrix(s, rows, columns), depth)),
            1 => {
                let k = self.random.u32(2..5);
                let (a, b) = (Ty::Matrix(s, k, rows), Ty::Matrix(s, columns, k));
                format!("{} * {}", self.some(&a, depth), self.some(&b, depth))
            }
            2 => format!(
                "{} {} {}",
                self.some(&ty, depth),
                self.pick(&["+", "-"]),
                self.some(&ty, depth)
            ),
            3 => format!("{} * {}", self.some(&ty, depth), self.some(&Ty::One(s), depth)),
            _ => return self.construct(&ty, depth).text,
        };
        self.fold(&ty, text)
    }

    /// The call that brings a float back to the bits that it may have.
    pub fn fold(&mut self, ty: &Ty, text: String) -> String {
        if !self.folds.contains(ty) {
            self.folds.push(ty.clone());
            if let Ty::Matrix(s, _, rows) = ty
                && !self.folds.contains(&Ty::Vector(*s, *rows))
            {
                self.folds.push(Ty::Vector(*s, *rows));
            }
        }
        format!("{}({text})", fold_name(ty))
    }

    pub fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[self.random.usize(..of.len())]
    }
}

const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

fn fold_name(ty: &Ty) -> String {
    let plain: String = ty.name().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("fold_{plain}")
}

/// What `fold` of this type is.
pub fn fold_of(ty: &Ty) -> String {
    let name = ty.name();
    let (s, n) = match *ty {
        Ty::Matrix(s, columns, rows) => {
            let column = fold_name(&Ty::Vector(s, rows));
            let columns: Vec<String> = (0..columns).map(|k| format!("{column}(x[{k}])")).collect();
            let columns = columns.join(", ");
            return format!(
                "fn {}(x: {name}) -> {name} {{ return {name}({columns}); }}\n",
                fold_name(ty)
            );
        }
        Ty::Vector(s, n) => (s, n),
        Ty::One(s) => (s, 1),
        _ => unreachable!("{name} is no float"),
    };
    let whole = if n == 1 { "i32".to_string() } else { format!("vec{n}<i32>") };
    let (products, limit, unit) = match s {
        F16 => ("4.0h", 16, "0.5h"),
        F32 => ("256.0f", 2048, "0.0625f"),
        _ => ("256.0lf", 2048, "0.0625lf"),
    };
    format!(
        "fn {}(x: {name}) -> {name} {{ return {name}({whole}(x * {products}) % {whole}({limit})) * {unit}; }}\n",
        fold_name(ty)
    )
}
