//! Kernels as text: the same for the same kernel, for people, tests and reports.

use super::*;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(None))
    }
}

impl Kernel {
    /// The kernel as text; with its `source`, line and column stand behind each instruction.
    pub fn print(&self, source: Option<&str>) -> String {
        let mut printer =
            Printer { kernel: self, lines: source.map(Lines::new), text: String::new() };
        printer.head();
        printer.block(&self.body, 1);
        printer.text.push_str("}\n");
        printer.text
    }

    /// One instruction as text, or the first line of a construct.
    pub(super) fn line(&self, node: &Node) -> String {
        let mut printer = Printer { kernel: self, lines: None, text: String::new() };
        printer.node(node, 0);
        printer.text.lines().next().unwrap_or_default().trim_end().to_string()
    }
}

/// Where lines of a source begin.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `source`.
    pub(crate) fn new(source: &'a str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1));
        Lines { source, starts: starts.collect() }
    }

    /// Line and column of a byte, from 1 on; columns are characters.
    pub(crate) fn at(&self, byte: u32) -> (u32, u32) {
        let byte = (byte as usize).min(self.source.len());
        let line = self.starts.partition_point(|&start| start <= byte);
        let start = self.starts[line - 1];
        let column = self.source.get(start..byte).map_or(byte - start, |text| text.chars().count());
        (line as u32, column as u32 + 1)
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::I32 => "i32",
            Type::U32 => "u32",
            Type::I64 => "i64",
            Type::U64 => "u64",
            Type::F16 => "f16",
            Type::F32 => "f32",
            Type::F64 => "f64",
        })
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}", self.0)
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Binding(number) => write!(f, "binding {number}"),
            Memory::Workgroup => f.write_str("workgroup"),
            Memory::Private => f.write_str("private"),
            Memory::Immediate => f.write_str("immediate"),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}", self.memory, self.base)?;
        for (value, stride) in &self.terms {
            write!(f, " + {value}*{stride}")?;
        }
        f.write_str("]")
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Length::Fixed(length) => write!(f, "{length}"),
            Length::Runtime { binding, offset, stride } => {
                write!(f, "(bytes of binding {binding} - {offset}) / {stride}")
            }
        }
    }
}

/// A name of Rust's, in lower case with spaces between its words.
fn words(name: impl fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{name:?}").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

struct Printer<'a> {
    kernel: &'a Kernel,
    lines: Option<Lines<'a>>,
    text: String,
}

impl Printer<'_> {
    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(arguments); // writing to a string cannot fail
    }

    fn head(&mut self) {
        let Kernel { name, workgroup: [x, y, z], .. } = self.kernel;
        self.put(format_args!("kernel {name}, workgroup {x}×{y}×{z} {{\n"));
        for (number, binding) in self.kernel.bindings.iter().enumerate() {
            let Binding { group, binding, name, kind } = binding;
            self.put(format_args!(
                "  binding {number}: @group({group}) @binding({binding}) {name}, "
            ));
            match kind {
                BindingKind::Buffer { least, stride, writes, uniform } => {
                    let kind = if *uniform { "uniform" } else { "storage" };
                    let access = if *writes { "read_write" } else { "read" };
                    self.put(format_args!("{kind} {access}, {least} bytes at least"));
                    if let Some(stride) = stride {
                        self.put(format_args!(", elements of {stride}"));
                    }
                }
                BindingKind::Texture { dimensions, arrayed, format, channel, writes } => {
                    let layers = if *arrayed { "_array" } else { "" };
                    let access = if *writes { " write" } else { "" };
                    self.put(format_args!("texture_{dimensions}d{layers} of {channel}{access}"));
                    if let Some(format) = format {
                        self.put(format_args!(", {format}"));
                    }
                }
            }
            self.text.push('\n');
        }
        let sizes = [
            ("workgroup", self.kernel.workgroup_bytes),
            ("private", self.kernel.private_bytes),
            ("immediate", self.kernel.immediate_bytes),
        ];
        for (memory, bytes) in sizes.into_iter().filter(|(_, bytes)| *bytes > 0) {
            self.put(format_args!("  {memory}: {bytes} bytes\n"));
        }
        for (number, ty) in self.kernel.slots.iter().enumerate() {
            let here = Where::Slot(Slot(number as u32));
            let named = self.kernel.variables.iter().find(|v| v.at == here);
            self.put(format_args!("  s{number}: {ty}"));
            if let Some(variable) = named {
                self.put(format_args!(" {}", variable.name));
            }
            self.text.push('\n');
        }
    }

    fn indent(&mut self, depth: usize) {
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    /// Ends a line, with the place where it comes from.
    fn end(&mut self, span: Span) {
        if let Some(lines) = self.lines.as_ref().filter(|_| span != Span::default()) {
            let (line, column) = lines.at(span.start);
            self.put(format_args!("  ; {line}:{column}"));
        }
        self.text.push('\n');
    }

    fn block(&mut self, block: &Block, depth: usize) {
        block.iter().for_each(|node| self.node(node, depth));
    }

    /// `name {`, a block, and `}` left open for what follows.
    fn nested(&mut self, block: &Block, depth: usize) {
        self.block(block, depth + 1);
        self.indent(depth);
    }

    fn node(&mut self, node: &Node, depth: usize) {
        self.indent(depth);
        match node {
            Node::Inst { first, op, span } => {
                for k in 0..op.results() {
                    let value = Value(first.0.saturating_add(k));
                    let ty = self.kernel.values.get(value.0 as usize);
                    let ty = ty.map_or("?".to_string(), Type::to_string);
                    let comma = if k + 1 < op.results() { "," } else { " =" };
                    self.put(format_args!("{value}: {ty}{comma} "));
                }
                let ty = self.kernel.values.get(first.0 as usize).copied();
                self.op(op, ty);
                self.end(*span);
            }
            Node::If { condition, then, otherwise, span } => {
                self.put(format_args!("if {condition} {{"));
                self.end(*span);
                self.nested(then, depth);
                if !otherwise.is_empty() {
                    self.text.push_str("} else {\n");
                    self.nested(otherwise, depth);
                }
                self.text.push_str("}\n");
            }
            Node::Loop { label, body, continuing, break_if, span } => {
                self.put(format_args!("loop {label} {{"));
                self.end(*span);
                self.nested(body, depth);
                if !continuing.is_empty() || break_if.is_some() {
                    self.text.push_str("} continuing {\n");
                    self.nested(continuing, depth);
                }
                match break_if {
                    Some(value) => self.put(format_args!("}} break if {value}\n")),
                    None => self.text.push_str("}\n"),
                }
            }
            Node::Switch { label, selector, cases, default, span } => {
                self.put(format_args!("switch {label} {selector} {{"));
                self.end(*span);
                for (selectors, block) in cases {
                    self.indent(depth);
                    let listed: Vec<_> = selectors.iter().map(u32::to_string).collect();
                    self.put(format_args!("case {}:\n", listed.join(", ")));
                    self.block(block, depth + 1);
                }
                self.indent(depth);
                self.text.push_str("default:\n");
                self.nested(default, depth);
                self.text.push_str("}\n");
            }
            Node::Scope { label, body } => {
                self.put(format_args!("scope {label} {{\n"));
                self.nested(body, depth);
                self.text.push_str("}\n");
            }
            Node::Leave { label, again, span } => {
                let verb = if *again { "continue" } else { "leave" };
                self.put(format_args!("{verb} {label}"));
                self.end(*span);
            }
            Node::Barrier { scope, span } => {
                self.put(format_args!("barrier {}", words(scope)));
                self.end(*span);
            }
        }
    }

    fn op(&mut self, op: &Op, ty: Option<Type>) {
        let list =
            |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        match op {
            Op::Const(bits) => match ty {
                Some(Type::Bool) => self.put(format_args!("{}", *bits != 0)),
                Some(Type::I32) => self.put(format_args!("{}", *bits as u32 as i32)),
                Some(Type::I64) => self.put(format_args!("{}", *bits as i64)),
                Some(Type::F16) => {
                    self.put(format_args!("{:?}", half::f16::from_bits(*bits as u16)));
                }
                Some(Type::F32) => self.put(format_args!("{:?}", f32::from_bits(*bits as u32))),
                Some(Type::F64) => self.put(format_args!("{:?}", f64::from_bits(*bits))),
                _ => self.put(format_args!("{bits}")),
            },
            Op::Builtin(builtin) => match builtin {
                Builtin::LocalId(axis) => self.put(format_args!("local_invocation_id.{axis}")),
                Builtin::WorkgroupId(axis) => self.put(format_args!("workgroup_id.{axis}")),
                Builtin::Workgroups(axis) => self.put(format_args!("num_workgroups.{axis}")),
                Builtin::LocalIndex => self.text.push_str("local_invocation_index"),
                Builtin::SubgroupSize => self.text.push_str("subgroup_size"),
                Builtin::SubgroupLane => self.text.push_str("subgroup_invocation_id"),
                Builtin::SubgroupId => self.text.push_str("subgroup_id"),
                Builtin::Subgroups => self.text.push_str("num_subgroups"),
            },
            Op::Unary(unary, a) => self.put(format_args!("{} {a}", words(unary))),
            Op::Binary(binary, a, b) => self.put(format_args!("{} {a}, {b}", words(binary))),
            Op::Compare(compare, a, b) => self.put(format_args!("{} {a}, {b}", words(compare))),
            Op::Fma(a, b, c) => self.put(format_args!("fma {a}, {b}, {c}")),
            Op::Select(condition, a, b) => self.put(format_args!("select {condition}, {a}, {b}")),
            Op::Convert(a) => self.put(format_args!("convert {a}")),
            Op::Bitcast(a) => self.put(format_args!("bitcast {a}")),
            Op::UnpackHalf(a) => self.put(format_args!("unpack_half {a}")),
            Op::PackHalf(a, b) => self.put(format_args!("pack_half {a}, {b}")),
            Op::Ldexp(a, b) => self.put(format_args!("ldexp {a}, {b}")),
            Op::Frexp(a) => self.put(format_args!("frexp {a}")),
            Op::Get(slot) => self.put(format_args!("get {slot}")),
            Op::Set(slot, a) => self.put(format_args!("set {slot}, {a}")),
            Op::Bound(a, length) => self.put(format_args!("bound {a} below {length}")),
            Op::Length(length) => self.put(format_args!("length {length}")),
            Op::Load(place) => self.put(format_args!("load {place}")),
            Op::Store(place, a) => self.put(format_args!("store {place}, {a}")),
            Op::Atomic { op, place, value, compare } => {
                self.put(format_args!("atomic {} {place}, {value}", words(op)));
                if let Some(compare) = compare {
                    self.put(format_args!(" if {compare}"));
                }
            }
            Op::Together(together, a, b) => {
                self.put(format_args!("subgroup {} {a}", words(together)));
                if let Some(b) = b {
                    self.put(format_args!(", {b}"));
                }
            }
            Op::Ballot(a) => self.put(format_args!("subgroup ballot {a}")),
            Op::TextureLoad { texture, at, level } => {
                self.put(format_args!("texture load binding {texture} at {}", list(at)));
                if let Some(level) = level {
                    self.put(format_args!(", level {level}"));
                }
            }
            Op::TextureStore { texture, at, value } => {
                let (at, value) = (list(at), list(value));
                self.put(format_args!("texture store binding {texture} at {at}: {value}"));
            }
            Op::TextureSize { texture, level } => {
                self.put(format_args!("texture size binding {texture}"));
                if let Some(level) = level {
                    self.put(format_args!(", level {level}"));
                }
            }
        }
    }
}
