//! Kernels made by hand: what they look like as text, and each rule broken once.

use super::*;

/// The number of `kernel`'s next value, which has this type.
fn value(kernel: &mut Kernel, ty: Type) -> Value {
    kernel.values.push(ty);
    Value(kernel.values.len() as u32 - 1)
}

/// Appends an instruction, and gives its first result.
fn add(kernel: &mut Kernel, results: &[Type], op: Op) -> Value {
    let first = Value(kernel.values.len() as u32);
    kernel.values.extend(results);
    kernel.body.push(Node::Inst { first, op, span: Span::default() });
    first
}

fn buffer(binding: u32, writes: bool) -> Binding {
    let kind = BindingKind::Buffer { least: 16, stride: Some(4), writes, uniform: false };
    Binding { group: 0, binding, name: format!("b{binding}"), kind }
}

fn texture(binding: u32, writes: bool) -> Binding {
    let kind = BindingKind::Texture {
        dimensions: 2,
        arrayed: false,
        format: writes.then(|| "rgba8unorm".into()),
        channel: Type::F32,
        writes,
    };
    Binding { group: 1, binding, name: format!("t{binding}"), kind }
}

/// A kernel without a body: two buffers and two textures, the second of each to be written.
fn empty() -> Kernel {
    Kernel {
        name: "k".into(),
        workgroup: [4, 1, 1],
        values: Vec::new(),
        slots: vec![Type::F32, Type::I32],
        bindings: vec![buffer(0, false), buffer(1, true), texture(0, false), texture(1, true)],
        workgroup_bytes: 16,
        private_bytes: 16,
        immediate_bytes: 8,
        variables: vec![Variable { name: "sum".into(), at: Where::Slot(Slot(0)) }],
        body: Vec::new(),
    }
}

fn at(memory: Memory, base: u32, terms: &[(Value, u32)]) -> Place {
    Place { memory, base, terms: terms.to_vec() }
}

const RUNTIME: Length = Length::Runtime { binding: 1, offset: 0, stride: 4 };

/// What is wrong with an empty kernel after `break_it`.
fn fault(break_it: impl FnOnce(&mut Kernel)) -> String {
    let mut kernel = empty();
    break_it(&mut kernel);
    verify(&kernel).expect_err("a fault").to_string()
}

#[track_caller]
fn refuses(what: &str, break_it: impl FnOnce(&mut Kernel)) {
    let fault = fault(break_it);
    assert!(fault.contains(what), "expected '{what}' in '{fault}'");
}

/// A constant of a type.
fn zero(kernel: &mut Kernel, ty: Type) -> Value {
    add(kernel, &[ty], Op::Const(0))
}

/// A kernel with one of each construct.
fn whole() -> Kernel {
    let mut k = empty();
    let lane = add(&mut k, &[Type::U32], Op::Builtin(Builtin::LocalIndex));
    let index = add(&mut k, &[Type::U32], Op::Bound(lane, RUNTIME));
    let place = at(Memory::Binding(1), 0, &[(index, 4)]);
    let old = add(&mut k, &[Type::F32], Op::Load(place.clone()));
    add(&mut k, &[], Op::Set(Slot(0), old));
    let yes = add(&mut k, &[Type::Bool], Op::Const(1));
    let again = value(&mut k, Type::Bool);
    let leave = |label, again| Node::Leave { label, again, span: Span::default() };
    let inner = Node::If {
        condition: yes,
        then: vec![leave(Label(1), true)],
        otherwise: vec![leave(Label(1), false)],
        span: Span { start: 3, end: 4 },
    };
    let switch = Node::Switch {
        label: Label(2),
        selector: lane,
        cases: vec![(vec![1, 2], vec![leave(Label(2), false)])],
        default: vec![inner],
        span: Span::default(),
    };
    let compare = Op::Compare(Compare::Less, lane, index);
    let looped = Node::Loop {
        label: Label(1),
        body: vec![switch],
        continuing: vec![Node::Inst { first: again, op: compare, span: Span::default() }],
        break_if: Some(again),
        span: Span::default(),
    };
    k.body.push(Node::Scope { label: Label(0), body: vec![looped, leave(Label(0), false)] });
    k.body.push(Node::Barrier { scope: Scope::Workgroup, span: Span::default() });
    let sum = add(&mut k, &[Type::F32], Op::Get(Slot(0)));
    add(&mut k, &[], Op::Store(place, sum));
    k
}

#[test]
fn a_kernel_has_one_text() {
    let text = whole().print(Some("a\nbc"));
    assert_eq!(
        text,
        "\
kernel k, workgroup 4×1×1 {
  binding 0: @group(0) @binding(0) b0, storage read, 16 bytes at least, elements of 4
  binding 1: @group(0) @binding(1) b1, storage read_write, 16 bytes at least, elements of 4
  binding 2: @group(1) @binding(0) t0, texture_2d of f32
  binding 3: @group(1) @binding(1) t1, texture_2d of f32 write, rgba8unorm
  workgroup: 16 bytes
  private: 16 bytes
  immediate: 8 bytes
  s0: f32 sum
  s1: i32
  %0: u32 = local_invocation_index
  %1: u32 = bound %0 below (bytes of binding 1 - 0) / 4
  %2: f32 = load binding 1[0 + %1*4]
  set s0, %2
  %3: bool = true
  scope '0 {
    loop '1 {
      switch '2 %0 {
      case 1, 2:
        leave '2
      default:
        if %3 {  ; 2:2
          continue '1
        } else {
          leave '1
        }
      }
    } continuing {
      %4: bool = less %0, %1
    } break if %4
    leave '0
  }
  barrier workgroup
  %5: f32 = get s0
  store binding 1[0 + %1*4], %5
}
"
    );
}

#[test]
fn a_whole_kernel_is_accepted() {
    assert_eq!(verify(&whole()), Ok(()));
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    let lines = print::Lines::new("é b\n\nc");
    assert_eq!(lines.at(0), (1, 1));
    assert_eq!(lines.at(3), (1, 3));
    assert_eq!(lines.at(5), (2, 1));
    assert_eq!(lines.at(6), (3, 1));
    assert_eq!(lines.at(999), (3, 2));
}

#[test]
fn values_are_assigned_once_and_before_their_uses() {
    refuses("%0 is not assigned before", |k| {
        let a = value(k, Type::F32);
        add(k, &[Type::F32], Op::Unary(Unary::Neg, a));
    });
    refuses("%9 is not among the 1 values", |k| {
        add(k, &[Type::F32], Op::Unary(Unary::Neg, Value(9)));
    });
    refuses("%0 is assigned a second time", |k| {
        zero(k, Type::F32);
        let again = k.body[0].clone();
        k.body.push(again);
    });
    refuses("%0 has a type but is never assigned", |k| {
        value(k, Type::F32);
    });
    refuses("the result %0 is not among the 0 values", |k| {
        add(k, &[], Op::Const(0));
    });
}

#[test]
fn values_end_with_their_block() {
    refuses("at `%1: f32 = neg %0`: the operand %0 is of a block that has ended", |k| {
        zero(k, Type::F32);
        let body = std::mem::take(&mut k.body);
        k.body.push(Node::Scope { label: Label(0), body });
        add(k, &[Type::F32], Op::Unary(Unary::Neg, Value(0)));
    });
    refuses("the condition to break %0 is of a block that has ended", |k| {
        zero(k, Type::Bool);
        let body = std::mem::take(&mut k.body);
        let (label, break_if, span) = (Label(0), Some(Value(0)), Span::default());
        k.body.push(Node::Loop { label, body, continuing: Vec::new(), break_if, span });
    });
}

#[test]
fn types_fit() {
    refuses("of bool, expected a number", |k| {
        let a = zero(k, Type::Bool);
        add(k, &[Type::Bool], Op::Binary(Binary::Add, a, a));
    });
    refuses("the second operand %1 is u32, expected f32", |k| {
        let (a, b) = (zero(k, Type::F32), zero(k, Type::U32));
        add(k, &[Type::F32], Op::Binary(Binary::Mul, a, b));
    });
    refuses("the second operand %0 is i32, expected u32", |k| {
        let a = zero(k, Type::I32);
        add(k, &[Type::I32], Op::Binary(Binary::Shl, a, a));
    });
    refuses("the result %1 is f32, expected bool", |k| {
        let a = zero(k, Type::F32);
        add(k, &[Type::F32], Op::Compare(Compare::Less, a, a));
    });
    refuses("of u32, expected a float or signed", |k| {
        let a = zero(k, Type::U32);
        add(k, &[Type::U32], Op::Unary(Unary::Neg, a));
    });
    refuses("of f32, expected a bool or integer", |k| {
        let a = zero(k, Type::F32);
        add(k, &[Type::F32], Op::Unary(Unary::Not, a));
    });
    refuses("of i32, expected a float", |k| {
        let a = zero(k, Type::I32);
        add(k, &[Type::I32], Op::Fma(a, a, a));
    });
    refuses("the condition %0 is i32, expected bool", |k| {
        let a = zero(k, Type::I32);
        add(k, &[Type::I32], Op::Select(a, a, a));
    });
    refuses("the bits of f16 are none of f32", |k| {
        let a = zero(k, Type::F16);
        add(k, &[Type::F32], Op::Bitcast(a));
    });
    refuses("the result %2 is u32, expected i32", |k| {
        let a = zero(k, Type::F32);
        add(k, &[Type::F32, Type::U32], Op::Frexp(a));
    });
    refuses("0x10000 is no f16", |k| {
        add(k, &[Type::F16], Op::Const(0x10000));
    });
    refuses("axis 3 is none of 0, 1 and 2", |k| {
        add(k, &[Type::U32], Op::Builtin(Builtin::LocalId(3)));
    });
    refuses("the condition %0 is u32, expected bool", |k| {
        let condition = zero(k, Type::U32);
        let (then, otherwise, span) = (Vec::new(), Vec::new(), Span::default());
        k.body.push(Node::If { condition, then, otherwise, span });
    });
}

#[test]
fn switches_have_integers_and_each_case_once() {
    let switch = |selector, cases| Node::Switch {
        label: Label(0),
        selector,
        cases,
        default: Vec::new(),
        span: Span::default(),
    };
    refuses("the selector %0 is f32, expected i32 or u32", |k| {
        let selector = zero(k, Type::F32);
        k.body.push(switch(selector, Vec::new()));
    });
    refuses("case 7 is there twice", |k| {
        let selector = zero(k, Type::I32);
        k.body.push(switch(selector, vec![(vec![7], Vec::new()), (vec![1, 7], Vec::new())]));
    });
}

#[test]
fn labels_are_left_from_within() {
    let leave = |again| Node::Leave { label: Label(0), again, span: Span::default() };
    let scope = |body| Node::Scope { label: Label(0), body };
    refuses("'0 is not around it", |k| k.body.push(leave(false)));
    refuses("'0 is not around it", |k| k.body.extend([scope(Vec::new()), leave(false)]));
    refuses("'0 is not a loop whose body this is", |k| k.body.push(scope(vec![leave(true)])));
    refuses("'0 names another construct too", |k| {
        k.body.extend([scope(Vec::new()), scope(Vec::new())]);
    });
    refuses("'0 is not a loop whose body this is", |k| {
        let (label, body, span) = (Label(0), Vec::new(), Span::default());
        let continuing = vec![leave(true)];
        k.body.push(Node::Loop { label, body, continuing, break_if: None, span });
    });
}

#[test]
fn slots_are_there_and_of_one_type() {
    refuses("s2 is not among the 2 slots", |k| {
        add(k, &[Type::F32], Op::Get(Slot(2)));
    });
    refuses("the operand %0 is u32, expected f32", |k| {
        let a = zero(k, Type::U32);
        add(k, &[], Op::Set(Slot(0), a));
    });
    refuses("variable 'x' is not in its memory", |k| {
        let at = Where::Private(8, 3, Type::F32);
        k.variables.push(Variable { name: "x".into(), at });
    });
}

#[test]
fn places_are_in_range_and_aligned() {
    let load = |ty, place: Place| {
        move |k: &mut Kernel| {
            add(k, &[ty], Op::Load(place));
        }
    };
    let private = |base| at(Memory::Private, base, &[]);
    refuses("f32 at 16 does not fit the 16 bytes of private", load(Type::F32, private(16)));
    refuses("f32 at 4294967292 does not fit", load(Type::F32, private(u32::MAX - 3)));
    refuses("f32 at 2 is not aligned to 4", load(Type::F32, private(2)));
    refuses("f64 at 4 is not aligned to 8", load(Type::F64, private(4)));
    let binding = |number, base| at(Memory::Binding(number), base, &[]);
    refuses("binding 4 is not among the 4", load(Type::F32, binding(4, 0)));
    refuses("does not fit the 16 bytes of binding 0", load(Type::F32, binding(0, 16)));
    refuses("binding 2 is a texture, expected a buffer", load(Type::F32, binding(2, 0)));
    refuses("binding 0 holds no bool", load(Type::Bool, binding(0, 0)));
    refuses("a stride of 6 bytes is not aligned to the 4 of f32", |k| {
        let i = zero(k, Type::U32);
        add(k, &[Type::F32], Op::Load(at(Memory::Workgroup, 0, &[(i, 6)])));
    });
    refuses("the index %0 is i32, expected u32", |k| {
        let i = zero(k, Type::I32);
        add(k, &[Type::F32], Op::Load(at(Memory::Workgroup, 0, &[(i, 4)])));
    });
    refuses("binding 0 is only read", |k| {
        let a = zero(k, Type::F32);
        add(k, &[], Op::Store(binding(0, 0), a));
    });
    refuses("immediate data is only read", |k| {
        let a = zero(k, Type::F32);
        add(k, &[], Op::Store(at(Memory::Immediate, 0, &[]), a));
    });
}

#[test]
fn lengths_are_those_of_runtime_sized_arrays() {
    let length = |binding, offset, stride| {
        move |k: &mut Kernel| {
            add(k, &[Type::U32], Op::Length(Length::Runtime { binding, offset, stride }));
        }
    };
    refuses("elements of 8 bytes, expected 4", length(0, 0, 8));
    refuses("no element at 16 fits the 16 bytes of binding 0", length(0, 16, 4));
    refuses("binding 2 does not end in a runtime-sized array", length(2, 0, 4));
    refuses("an array of 0 elements", |k| {
        add(k, &[Type::U32], Op::Length(Length::Fixed(0)));
    });
}

#[test]
fn atomics_are_of_shared_memory() {
    let atomic = |op, place: Place, ty, compare: bool| {
        move |k: &mut Kernel| {
            let value = zero(k, ty);
            let compare = compare.then_some(value);
            add(k, &[ty], Op::Atomic { op, place, value, compare });
        }
    };
    let own = at(Memory::Workgroup, 0, &[]);
    let private = at(Memory::Private, 0, &[]);
    refuses("private is not shared by lanes", atomic(Atomic::Add, private, Type::U32, false));
    refuses("of f32, expected an integer", atomic(Atomic::And, own.clone(), Type::F32, false));
    refuses("of f16, expected 4 or 8 bytes", atomic(Atomic::Add, own.clone(), Type::F16, false));
    refuses("a comparand belongs to", atomic(Atomic::Add, own.clone(), Type::U32, true));
    refuses("a comparand belongs to", atomic(Atomic::CompareExchange, own, Type::U32, false));
    let read = at(Memory::Binding(0), 0, &[]);
    refuses("binding 0 is only read", atomic(Atomic::Load, read, Type::U32, false));
}

#[test]
fn subgroups_take_what_they_can() {
    refuses("of u32, expected bool", |k| {
        let a = zero(k, Type::U32);
        add(k, &[Type::U32], Op::Together(Together::All, a, None));
    });
    refuses("expected 2 operands", |k| {
        let a = zero(k, Type::U32);
        add(k, &[Type::U32], Op::Together(Together::Shuffle, a, None));
    });
    refuses("the operand %0 is u32, expected bool", |k| {
        let a = zero(k, Type::U32);
        add(k, &[Type::U32; 4], Op::Ballot(a));
    });
}

#[test]
fn textures_have_coordinates_and_channels() {
    let load = |texture, coordinates| {
        move |k: &mut Kernel| {
            let at = vec![zero(k, Type::I32); coordinates];
            add(k, &[Type::F32; 4], Op::TextureLoad { texture, at, level: None });
        }
    };
    refuses("1 coordinates, expected 2", load(2, 1));
    refuses("binding 0 is a buffer, expected a texture", load(0, 2));
    refuses("the coordinate %0 is f32, expected i32 or u32", |k| {
        let at = vec![zero(k, Type::F32); 2];
        add(k, &[Type::F32; 4], Op::TextureLoad { texture: 2, at, level: None });
    });
    refuses("binding 2 is only read", |k| {
        let (at, value) = (vec![zero(k, Type::I32); 2], [zero(k, Type::F32); 4]);
        add(k, &[], Op::TextureStore { texture: 2, at, value });
    });
    refuses("the channel %1 is u32, expected f32", |k| {
        let (at, value) = (vec![zero(k, Type::I32); 2], [zero(k, Type::U32); 4]);
        add(k, &[], Op::TextureStore { texture: 3, at, value });
    });
}

#[test]
fn a_kernel_has_lanes_and_bindings_of_their_own() {
    refuses("expected a workgroup of one lane at least", |k| k.workgroup = [4, 0, 1]);
    refuses("binding 4 has the group and number of another", |k| k.bindings.push(buffer(0, true)));
    refuses("binding 0 of 2 bytes cannot hold an element", |k| {
        k.bindings[0].kind =
            BindingKind::Buffer { least: 2, stride: Some(4), writes: false, uniform: false };
    });
}
