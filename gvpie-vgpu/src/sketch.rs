//! Kernels built by hand, for tests. Each instruction has a place of its own: the n-th, bytes n to n + 1.

use crate::device::{Bindings, Buffer, Device, Execution, Options};
use crate::ir::*;

pub(crate) struct Sketch {
    pub(crate) kernel: Kernel,
    blocks: Vec<Block>,
    place: u32,
    label: u32,
}

impl Sketch {
    pub(crate) fn new(workgroup: [u32; 3]) -> Sketch {
        let kernel = Kernel {
            name: "main".into(),
            workgroup,
            values: vec![],
            slots: vec![],
            bindings: vec![],
            workgroup_bytes: 0,
            private_bytes: 0,
            immediate_bytes: 0,
            variables: vec![],
            body: vec![],
        };
        Sketch { kernel, blocks: vec![vec![]], place: 0, label: 0 }
    }

    pub(crate) fn done(mut self) -> Kernel {
        self.kernel.body = self.blocks.pop().unwrap();
        verify(&self.kernel).unwrap();
        self.kernel
    }

    /// A buffer of group 0, an array of elements of `stride` bytes.
    pub(crate) fn buffer(&mut self, stride: u32, writes: bool) -> Memory {
        let binding = self.kernel.bindings.len() as u32;
        let kind = BindingKind::Buffer {
            least: stride.into(),
            stride: Some(stride),
            writes,
            uniform: false,
        };
        let name = format!("b{binding}");
        self.kernel.bindings.push(Binding { group: 0, binding, name, kind });
        Memory::Binding(binding)
    }

    pub(crate) fn slot(&mut self, ty: Type) -> Slot {
        self.kernel.slots.push(ty);
        Slot(self.kernel.slots.len() as u32 - 1)
    }

    pub(crate) fn span(&self) -> Span {
        Span { start: self.place, end: self.place + 1 }
    }

    fn push(&mut self, node: Node) {
        self.place += 1;
        self.blocks.last_mut().unwrap().push(node);
    }

    /// An instruction of several results.
    pub(crate) fn many(&mut self, types: &[Type], op: Op) -> Vec<Value> {
        let first = Value(self.kernel.values.len() as u32);
        self.kernel.values.extend(types);
        let span = self.span();
        self.push(Node::Inst { first, op, span });
        (0..types.len() as u32).map(|k| Value(first.0 + k)).collect()
    }

    pub(crate) fn op(&mut self, ty: Type, op: Op) -> Value {
        self.many(&[ty], op)[0]
    }

    pub(crate) fn run(&mut self, op: Op) {
        self.many(&[], op);
    }

    pub(crate) fn u(&mut self, n: u32) -> Value {
        self.op(Type::U32, Op::Const(n.into()))
    }

    pub(crate) fn bin(&mut self, op: Binary, a: Value, b: Value) -> Value {
        self.op(self.kernel.values[a.0 as usize], Op::Binary(op, a, b))
    }

    pub(crate) fn cmp(&mut self, op: Compare, a: Value, b: Value) -> Value {
        self.op(Type::Bool, Op::Compare(op, a, b))
    }

    pub(crate) fn get(&mut self, slot: Slot) -> Value {
        self.op(self.kernel.slots[slot.0 as usize], Op::Get(slot))
    }

    pub(crate) fn set(&mut self, slot: Slot, a: Value) {
        self.run(Op::Set(slot, a));
    }

    pub(crate) fn lane(&mut self) -> Value {
        self.op(Type::U32, Op::Builtin(Builtin::LocalIndex))
    }

    /// Workgroup × lanes + lane, along x.
    pub(crate) fn global(&mut self) -> Value {
        let lane = self.lane();
        let group = self.op(Type::U32, Op::Builtin(Builtin::WorkgroupId(0)));
        let lanes = self.kernel.workgroup.iter().product();
        let lanes = self.u(lanes);
        let first = self.bin(Binary::Mul, group, lanes);
        self.bin(Binary::Add, first, lane)
    }

    /// An index held below the elements of a buffer.
    pub(crate) fn bound(&mut self, memory: Memory, stride: u32, index: Value) -> Value {
        let Memory::Binding(binding) = memory else { unreachable!() };
        self.op(Type::U32, Op::Bound(index, Length::Runtime { binding, offset: 0, stride }))
    }

    pub(crate) fn place(memory: Memory, index: Value, stride: u32) -> Place {
        Place { memory, base: 0, terms: vec![(index, stride)] }
    }

    pub(crate) fn load(&mut self, ty: Type, memory: Memory, index: Value) -> Value {
        self.op(ty, Op::Load(Sketch::place(memory, index, ty.bytes())))
    }

    pub(crate) fn store(&mut self, memory: Memory, index: Value, a: Value) {
        let stride = self.kernel.values[a.0 as usize].bytes();
        self.run(Op::Store(Sketch::place(memory, index, stride), a));
    }

    pub(crate) fn barrier(&mut self, scope: Scope) {
        let span = self.span();
        self.push(Node::Barrier { scope, span });
    }

    pub(crate) fn label(&mut self) -> Label {
        self.label += 1;
        Label(self.label - 1)
    }

    pub(crate) fn leave(&mut self, label: Label, again: bool) {
        let span = self.span();
        self.push(Node::Leave { label, again, span });
    }

    pub(crate) fn block(&mut self, write: impl FnOnce(&mut Sketch)) -> Block {
        self.blocks.push(vec![]);
        write(self);
        self.blocks.pop().unwrap()
    }

    pub(crate) fn branch(
        &mut self,
        condition: Value,
        then: impl FnOnce(&mut Sketch),
        otherwise: impl FnOnce(&mut Sketch),
    ) {
        let span = self.span();
        let (then, otherwise) = (self.block(then), self.block(otherwise));
        self.push(Node::If { condition, then, otherwise, span });
    }

    pub(crate) fn repeat(
        &mut self,
        body: impl FnOnce(&mut Sketch, Label),
        continuing: impl FnOnce(&mut Sketch) -> Option<Value>,
    ) {
        let (span, label) = (self.span(), self.label());
        let body = self.block(|s| body(s, label));
        let mut break_if = None;
        let continuing = self.block(|s| break_if = continuing(s));
        self.push(Node::Loop { label, body, continuing, break_if, span });
    }

    pub(crate) fn switch(
        &mut self,
        selector: Value,
        cases: Vec<(Vec<u32>, Block)>,
        default: Block,
        label: Label,
    ) {
        let span = self.span();
        self.push(Node::Switch { label, selector, cases, default, span });
    }

    pub(crate) fn scope(&mut self, body: impl FnOnce(&mut Sketch, Label)) {
        let label = self.label();
        let body = self.block(|s| body(s, label));
        self.push(Node::Scope { label, body });
    }
}

/// A device of two threads.
pub(crate) fn device() -> Device {
    Device::new(Options { threads: 2, ..Options::default() }).unwrap()
}

/// The interpreter, and machine code of every number of lanes, each of kernels as they are and made
/// simpler; in kernels that look at subgroups these have
/// `subgroup` lanes.
pub(crate) fn executors(options: Options) -> impl Iterator<Item = (String, Device)> {
    let interpreted = Options { execution: Execution::Interpreted, ..options.clone() };
    let written = Options { optimise: false, ..interpreted.clone() };
    let warps = [4, 8, 16, 32].into_iter();
    let compiled = warps.flat_map(move |warp| {
        [false, true].map(|optimise| Options { warp, optimise, ..options.clone() })
    });
    [written, interpreted].into_iter().chain(compiled).map(|options| {
        let way = if options.optimise { "simplified" } else { "as written" };
        let name = format!("{:?} {way} with {} lanes", options.execution, options.warp);
        (name, Device::new(options).unwrap())
    })
}

/// What a kernel writes to its one buffer, of so many zeros, in one workgroup: the same by all executors.
pub(crate) fn words_of(kernel: &Kernel, words: usize) -> Vec<u32> {
    let mut found = None;
    for (name, device) in executors(Options { threads: 2, ..Options::default() }) {
        let buffer = Buffer::zeroed(words as u64 * 4).unwrap();
        device.dispatch(kernel, &Bindings::new().buffer(0, 0, &buffer), [1, 1, 1]).unwrap();
        let words = words_in(&buffer);
        assert_eq!(*found.get_or_insert_with(|| words.clone()), words, "{name}\n{kernel}");
    }
    found.unwrap()
}

pub(crate) fn words_in(buffer: &Buffer) -> Vec<u32> {
    let bytes = buffer.read(0, buffer.bytes()).unwrap();
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}
