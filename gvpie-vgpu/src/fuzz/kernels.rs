//! Bytes as a kernel: each says what comes next, mostly something that fits what is there.

use crate::device::{Execution, Options};
use crate::ir::*;
use crate::sanitize::Kind;
use crate::{Bindings, Buffer, Device, RunError};
use std::time::Duration;

/// Bytes of the two buffers.
const BUFFERS: [u64; 2] = [128, 192];

const TYPES: [Type; 8] =
    [Type::U32, Type::I32, Type::F32, Type::Bool, Type::F16, Type::F64, Type::I64, Type::U64];

/// A small device.
pub(super) fn device(subgroup: usize, execution: Execution) -> Result<Device, String> {
    let (budget, memory) = (100_000, 64 << 20);
    let deadline = Some(Duration::from_secs(2));
    let options =
        Options { threads: 1, subgroup, execution, budget, deadline, memory, ..Options::default() };
    Device::new(options).map_err(|error| error.to_string())
}

/// Whether an error is one of the device's own.
pub(super) fn broken(error: &RunError) -> Result<(), String> {
    match error {
        RunError::Broken(_) | RunError::Threads(_) => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// What a kernel leaves in its buffers, or why it was stopped.
type Left = Result<Vec<u8>, RunError>;

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let kernel = kernel(bytes);
    // The text of a kernel is made of any, sound or not.
    drop(kernel.to_string());
    let sound = verify(&kernel).is_ok();
    let subgroup = if bytes.len().is_multiple_of(2) { 4 } else { 16 };
    let interpreted = run(&kernel, &device(subgroup, Execution::Interpreted)?)?;
    let compiled = run(&kernel, &device(subgroup, Execution::Compiled)?)?;
    if !sound {
        let refused =
            |left: &Left| matches!(left, Err(RunError::Kernel(_) | RunError::Nesting { .. }));
        return match refused(&interpreted) && refused(&compiled) {
            true => Ok(()),
            false => Err(format!("a kernel that is not sound is not refused\n{kernel}")),
        };
    }
    let ordered = ordered(&kernel, &device(subgroup, Execution::Interpreted)?)?;
    // Machine code counts other instructions.
    let stopped =
        |left: &Left| matches!(left, Err(RunError::Budget { .. } | RunError::Deadline { .. }));
    if !ordered || stopped(&interpreted) || stopped(&compiled) {
        return Ok(());
    }
    let same = match (&interpreted, &compiled) {
        (Ok(a), Ok(b)) => alike(a, b),
        (Err(a), Err(b)) => std::mem::discriminant(a) == std::mem::discriminant(b),
        _ => false,
    };
    if same {
        return Ok(());
    }
    Err(format!("interpreted: {interpreted:?}\ncompiled: {compiled:?}\n{kernel}"))
}

/// Runs a kernel over buffers of numbers that count up.
fn run(kernel: &Kernel, device: &Device) -> Result<Left, String> {
    let (bindings, buffers) = bound(kernel)?;
    match device.dispatch(kernel, &bindings, groups(kernel)) {
        Ok(()) => {}
        Err(error) => return broken(&error).map(|()| Err(error)),
    }
    let mut left = Vec::new();
    for buffer in buffers {
        left.extend(buffer.read(0, buffer.bytes()).map_err(|error| error.to_string())?);
    }
    Ok(Ok(left))
}

/// Two workgroups, but a lane alone is to stay alone.
fn groups(kernel: &Kernel) -> [u32; 3] {
    if kernel.workgroup == [1; 3] { [1, 1, 1] } else { [2, 1, 1] }
}

fn bound(kernel: &Kernel) -> Result<(Bindings, Vec<Buffer>), String> {
    let mut bindings = Bindings::new().immediate(&vec![3; kernel.immediate_bytes as usize]);
    let mut buffers = Vec::new();
    for (number, bytes) in BUFFERS.into_iter().enumerate() {
        let contents: Vec<u8> = (0..bytes).map(|k| (k * k) as u8).collect();
        let buffer = Buffer::with(&contents).map_err(|error| error.to_string())?;
        bindings = bindings.buffer(0, number as u32, &buffer);
        buffers.push(buffer);
    }
    Ok((bindings, buffers))
}

/// Whether the order of lanes shows nowhere: one lane alone, or neither races nor atomics.
fn ordered(kernel: &Kernel, device: &Device) -> Result<bool, String> {
    let (bindings, _) = bound(kernel)?;
    let report = match device.check(kernel, &bindings, groups(kernel)) {
        Ok(report) => report,
        Err(error) => return broken(&error).map(|()| false),
    };
    if kernel.workgroup == [1; 3] {
        return Ok(true);
    }
    let races = report.findings.iter().any(|found| matches!(found.kind, Kind::Race { .. }));
    Ok(!races && !atomics(&kernel.body))
}

fn atomics(block: &Block) -> bool {
    block.iter().any(|node| match node {
        Node::Inst { op, .. } => matches!(op, Op::Atomic { .. }),
        Node::If { then, otherwise, .. } => atomics(then) || atomics(otherwise),
        Node::Loop { body, continuing, .. } => atomics(body) || atomics(continuing),
        Node::Switch { cases, default, .. } => {
            atomics(default) || cases.iter().any(|(_, block)| atomics(block))
        }
        Node::Scope { body, .. } => atomics(body),
        Node::Leave { .. } | Node::Barrier { .. } => false,
    })
}

/// The same bits, but for those of a NaN, whose payload is nobody's.
fn alike(a: &[u8], b: &[u8]) -> bool {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let (a, b) = (words(a), words(b));
    let not_a_number = |word: u32| {
        let half = |half: u32| half & 0x7fff > 0x7c00;
        f32::from_bits(word).is_nan() || half(word & 0xffff) || half(word >> 16)
    };
    let double = |words: &[u32], k: usize| {
        let (low, high) = (words[k & !1], words.get(k | 1).copied().unwrap_or(0));
        f64::from_bits(u64::from(high) << 32 | u64::from(low)).is_nan()
    };
    a.len() == b.len()
        && (0..a.len()).all(|k| {
            a[k] == b[k]
                || not_a_number(a[k]) && not_a_number(b[k])
                || double(&a, k) && double(&b, k)
        })
}

/// The kernel that bytes stand for.
fn kernel(bytes: &[u8]) -> Kernel {
    let mut reader = Reader {
        rest: bytes,
        wild: false,
        kernel: Kernel {
            name: "main".into(),
            workgroup: [1, 1, 1],
            values: Vec::new(),
            slots: Vec::new(),
            bindings: Vec::new(),
            workgroup_bytes: 64,
            private_bytes: 64,
            immediate_bytes: 16,
            variables: Vec::new(),
            body: Vec::new(),
        },
        seen: Vec::new(),
        open: Vec::new(),
        labels: 0,
    };
    let head = reader.byte();
    reader.wild = head > 0xf0;
    // One lane alone half of the time: then machine code can always be compared.
    let axis = |bits: u8| if head & 1 == 0 { 1 } else { u32::from(bits & 3) + 1 };
    reader.kernel.workgroup = [axis(head >> 1), axis(head >> 3), axis(head >> 5)];
    for (number, least) in BUFFERS.into_iter().enumerate() {
        let stride = Some(if number == 0 { 4 } else { 8 });
        let (least, writes) = (least / 2, number == 0 || head & 0x40 == 0);
        reader.kernel.bindings.push(Binding {
            group: 0,
            binding: number as u32,
            name: format!("b{number}"),
            kind: BindingKind::Buffer { least, stride, writes, uniform: false },
        });
    }
    for _ in 0..reader.byte() % 6 {
        let ty = reader.ty();
        reader.kernel.slots.push(ty);
    }
    reader.kernel.body = reader.block(0);
    reader.kernel
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether operands are any values, those that cannot be seen included.
    wild: bool,
    pub(super) kernel: Kernel,
    /// Values that can be seen.
    seen: Vec<Value>,
    /// Labels that can be left, and whether they are of loops.
    open: Vec<(Label, bool)>,
    labels: u32,
}

impl Reader<'_> {
    /// The next byte; zeros at the end.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(super) fn ty(&mut self) -> Type {
        TYPES[usize::from(self.byte()) % TYPES.len()]
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    fn span(&self) -> Span {
        let start = self.kernel.values.len() as u32;
        Span { start, end: start + 1 }
    }

    /// Appends an instruction with results of these types.
    pub(super) fn inst(&mut self, block: &mut Block, types: &[Type], op: Op) -> Value {
        let first = Value(self.kernel.values.len() as u32);
        let span = self.span();
        self.kernel.values.extend(types);
        self.seen.extend((0..types.len() as u32).map(|k| Value(first.0 + k)));
        block.push(Node::Inst { first, op, span });
        first
    }

    /// A value of a type: one that can be seen, or else a constant.
    pub(super) fn value(&mut self, block: &mut Block, ty: Type) -> Value {
        let byte = self.byte();
        if self.wild && byte > 0xe0 {
            return Value(u32::from(self.byte()));
        }
        let fits = |value: &&Value| self.kernel.values[value.0 as usize] == ty;
        let fitting: Vec<Value> = self.seen.iter().filter(fits).copied().collect();
        if byte < 0xd0 && !fitting.is_empty() {
            return fitting[usize::from(byte) % fitting.len()];
        }
        let mut bits = u64::from(self.byte());
        if byte & 1 == 1 {
            // Numbers at the other end, and floats that are not small.
            bits = bits.rotate_right(8) | u64::from(self.byte()) << 24;
        }
        let bits = match ty {
            Type::Bool => bits & 1,
            ty if ty.bytes() == 8 => bits,
            ty => bits & ((1 << (8 * ty.bytes())) - 1),
        };
        self.inst(block, &[ty], Op::Const(bits))
    }

    pub(super) fn place(&mut self, block: &mut Block, ty: Type) -> Place {
        let memory = match self.byte() {
            0..120 => Memory::Binding(0),
            120..160 => Memory::Binding(1),
            160..205 => Memory::Workgroup,
            205..250 => Memory::Private,
            _ => Memory::Immediate,
        };
        let bytes = ty.bytes();
        let mut terms = Vec::new();
        for _ in 0..self.byte() % 3 {
            let mut value = self.value(block, Type::U32);
            // Two indices of three at most, and four before: within 64 bytes, of which each memory has as
            // many. Some are not held, or to what does not fit.
            match self.byte() {
                0..8 => {}
                8..16 => {
                    let length = self.length(ty);
                    value = self.inst(block, &[Type::U32], Op::Bound(value, length));
                }
                byte => {
                    let length = Length::Fixed(1 + u32::from(byte % 3));
                    value = self.inst(block, &[Type::U32], Op::Bound(value, length));
                }
            }
            let stride = bytes * if self.byte() < 8 { 2 } else { 1 };
            terms.push((value, stride));
        }
        let base = u32::from(self.byte() % 4) * bytes;
        Place { memory, base, terms }
    }

    pub(super) fn length(&mut self, ty: Type) -> Length {
        match self.byte() % 3 {
            0 => Length::Runtime { binding: 0, offset: 0, stride: ty.bytes().max(4) },
            1 => Length::Runtime { binding: 1, offset: 8, stride: 8 },
            _ => Length::Fixed(1 + u32::from(self.byte() % 8)),
        }
    }

    fn block(&mut self, depth: u32) -> Block {
        let mut block = Vec::new();
        let seen = self.seen.len();
        for _ in 0..1 + self.byte() % 12 {
            if self.rest.is_empty() || self.kernel.values.len() > 400 {
                break;
            }
            self.node(&mut block, depth);
        }
        self.seen.truncate(seen);
        block
    }

    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    /// A block that can be left by a label.
    fn within(&mut self, label: Label, again: bool, depth: u32) -> Block {
        self.open.push((label, again));
        let block = self.block(depth + 1);
        self.open.pop();
        block
    }

    fn node(&mut self, block: &mut Block, depth: u32) {
        let span = self.span();
        match self.byte() % 40 {
            22 | 23 => self.instruction(block, 25),
            30 | 31 if depth < 6 => {
                let condition = self.value(block, Type::Bool);
                let then = self.block(depth + 1);
                let otherwise = self.block(depth + 1);
                block.push(Node::If { condition, then, otherwise, span });
            }
            32 | 33 if depth < 6 => {
                let label = self.label();
                let body = self.within(label, true, depth);
                let seen = self.seen.len();
                let mut continuing = self.block(depth + 1);
                let break_if = self.value(&mut continuing, Type::Bool);
                self.seen.truncate(seen);
                let break_if = (self.byte() > 4).then_some(break_if);
                block.push(Node::Loop { label, body, continuing, break_if, span });
            }
            34 if depth < 6 => {
                let label = self.label();
                let selector = self.value(block, Type::U32);
                let mut cases = Vec::new();
                for k in 0..u32::from(self.byte() % 4) {
                    cases.push((vec![k, k + 10], self.within(label, false, depth)));
                }
                let default = self.within(label, false, depth);
                block.push(Node::Switch { label, selector, cases, default, span });
            }
            35 if depth < 6 => {
                let label = self.label();
                let body = self.within(label, false, depth);
                block.push(Node::Scope { label, body });
            }
            36 | 37 if !self.open.is_empty() => {
                let open = self.open.clone();
                let (label, loops) = self.of(&open);
                let again = loops && self.byte().is_multiple_of(2);
                block.push(Node::Leave { label, again, span });
            }
            38 => {
                let scope =
                    self.of(&[Scope::Workgroup, Scope::Storage, Scope::Texture, Scope::Subgroup]);
                block.push(Node::Barrier { scope, span });
            }
            other => self.instruction(block, other % 30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_bytes_are_kernels_that_end_and_say_something() {
        let (mut sound, mut ended, mut compared) = (0, 0, 0);
        let device = device(16, Execution::Interpreted).unwrap();
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bytes: Vec<u8> = (0..random.usize(50..900)).map(|_| random.u8(..)).collect();
            let kernel = kernel(&bytes);
            sound += u32::from(verify(&kernel).is_ok());
            let left = run(&kernel, &device).unwrap();
            let start = run(&super::kernel(&[]), &device).unwrap();
            ended += u32::from(left.is_ok() && left != start);
            compared +=
                u32::from(left.is_ok() && left != start && ordered(&kernel, &device).unwrap());
        }
        println!("of 200: {sound} sound, {ended} ended with a trace, {compared} to compare");
        assert!(sound > 80 && ended > 20 && compared > 10, "{sound}, {ended}, {compared}");
    }
}
