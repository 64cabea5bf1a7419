use super::RunError;
use super::lanes::Mask;
use crate::device::{Bindings, Buffer};
use crate::ir::{
    Atomic, Binary::*, Builtin, Compare::*, Length, Memory, Op, Place, Scope, Together, Type::*,
    Unary,
};
use crate::sketch::{Sketch, device, words_in, words_of};

/// A workgroup of lanes, each of which writes one word to a buffer.
fn each_lane(lanes: u32, write: impl FnOnce(&mut Sketch) -> crate::ir::Value) -> Vec<u32> {
    let mut s = Sketch::new([lanes, 1, 1]);
    let out = s.buffer(4, true);
    let value = write(&mut s);
    let lane = s.lane();
    s.store(out, lane, value);
    words_of(&s.done(), lanes as usize)
}

#[test]
fn masks_know_their_lanes() {
    for count in [0, 1, 63, 64, 65, 1000, 1024] {
        let mask = Mask::first(count);
        assert_eq!((mask.range(), mask.lanes().count()), (0..count, count));
        assert_eq!(mask.is_empty(), count == 0);
    }
    let mask = Mask::first(200).without(&Mask::first(70)).and(&Mask::first(130));
    assert_eq!((mask.range(), mask.has(69), mask.has(70)), (70..130, false, true));
    assert!(mask.lanes().eq(70..130));
    assert_eq!(mask.or(&Mask::first(70)), Mask::first(130));
}

#[test]
fn lanes_that_go_separate_ways_come_together() {
    // A return for one in five, then 1 or 2 by parity, then 10 for all that are left.
    let found = each_lane(100, |s| {
        let slot = s.slot(U32);
        s.scope(|s, out| {
            let (lane, five, two) = (s.lane(), s.u(5), s.u(2));
            let zero = s.u(0);
            let rest = s.bin(Rem, lane, five);
            let first = s.cmp(Equal, rest, zero);
            s.branch(first, |s| s.leave(out, false), |_| {});
            let rest = s.bin(Rem, lane, two);
            let odd = s.cmp(NotEqual, rest, zero);
            let one = s.u(1);
            s.branch(odd, |s| s.set(slot, one), |s| s.set(slot, two));
            let (sum, ten) = (s.get(slot), s.u(10));
            let sum = s.bin(Add, sum, ten);
            s.set(slot, sum);
        });
        s.get(slot)
    });
    let expected = (0..100).map(|lane| match lane {
        _ if lane % 5 == 0 => 0,
        _ if lane % 2 == 1 => 11,
        _ => 12,
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// A `continue` within a `switch` within a loop, a `break` of the switch, one of the loop, and `break_if`.
#[test]
fn a_continue_within_a_switch_is_the_loops() {
    let found = each_lane(70, |s| {
        let (i, sum) = (s.slot(U32), s.slot(U32));
        let (one, three, hundred, seven) = (s.u(1), s.u(3), s.u(100), s.u(7));
        let (lane, limit) = (s.lane(), s.u(12));
        s.repeat(
            |s, round| {
                let (count, total) = (s.get(i), s.get(sum));
                let choice = s.bin(Add, count, lane);
                let choice = s.bin(Rem, choice, seven);
                let exit = s.label();
                let again = s.block(|s| s.leave(round, true));
                let plain = s.block(|s| {
                    let total = s.bin(Add, total, one);
                    s.set(sum, total);
                    let odd = s.bin(And, total, one);
                    let zero = s.u(0);
                    let odd = s.cmp(NotEqual, odd, zero);
                    s.branch(odd, |s| s.leave(exit, false), |_| {});
                    let total = s.bin(Add, total, three);
                    s.set(sum, total);
                });
                let stop = s.block(|s| s.leave(round, false));
                let other = s.block(|_| {});
                s.switch(
                    choice,
                    vec![(vec![0, 3], again), (vec![1, 2], plain), (vec![6], stop)],
                    other,
                    exit,
                );
                let total = s.get(sum);
                let total = s.bin(Add, total, hundred);
                s.set(sum, total);
            },
            |s| {
                let count = s.get(i);
                let count = s.bin(Add, count, one);
                s.set(i, count);
                Some(s.cmp(GreaterEqual, count, limit))
            },
        );
        s.get(sum)
    });
    for (lane, found) in found.into_iter().enumerate() {
        let (mut i, mut sum) = (0, 0);
        loop {
            let choice = (i + lane) % 7;
            if choice == 6 {
                break;
            }
            if choice != 0 && choice != 3 {
                if choice == 1 || choice == 2 {
                    sum += 1;
                    sum += if sum % 2 == 1 { 0 } else { 3 };
                }
                sum += 100;
            }
            i += 1;
            if i >= 12 {
                break;
            }
        }
        assert_eq!(found, sum, "lane {lane}");
    }
}

#[test]
fn a_selector_is_kept_until_all_cases_are_chosen() {
    // Looked at last within the first case, whose next values must not take its place.
    let found = each_lane(6, |s| {
        let (slot, exit) = (s.slot(U32), s.label());
        let (lane, three, forty) = (s.lane(), s.u(3), s.u(40));
        let selector = s.bin(Rem, lane, three);
        let first = s.block(|s| {
            let sum = s.bin(Add, selector, forty);
            let sum = s.bin(Add, sum, lane);
            s.set(slot, sum);
        });
        let second = s.block(|s| s.set(slot, three));
        let other = s.block(|_| {});
        s.switch(selector, vec![(vec![0], first), (vec![1], second)], other, exit);
        s.get(slot)
    });
    assert_eq!(found, [40, 3, 0, 43, 3, 0]);
}

#[test]
fn a_tree_of_sums_in_workgroup_memory() {
    let mut s = Sketch::new([64, 4, 1]);
    s.kernel.workgroup_bytes = 1024;
    let (input, out) = (s.buffer(4, false), s.buffer(4, true));
    let (lane, global) = (s.lane(), s.global());
    let a = s.load(U32, input, global);
    s.store(Memory::Workgroup, lane, a);
    for step in [128, 64, 32, 16, 8, 4, 2, 1] {
        s.barrier(Scope::Workgroup);
        let step = s.u(step);
        let takes = s.cmp(Less, lane, step);
        s.branch(
            takes,
            |s| {
                let other = s.bin(Add, lane, step);
                let (a, b) =
                    (s.load(U32, Memory::Workgroup, lane), s.load(U32, Memory::Workgroup, other));
                let sum = s.bin(Add, a, b);
                s.store(Memory::Workgroup, lane, sum);
            },
            |_| {},
        );
    }
    let zero = s.u(0);
    let first = s.cmp(Equal, lane, zero);
    let group = s.op(U32, Op::Builtin(Builtin::WorkgroupId(0)));
    s.branch(
        first,
        |s| {
            let sum = s.load(U32, Memory::Workgroup, zero);
            s.store(out, group, sum);
        },
        |_| {},
    );
    let kernel = s.done();
    let numbers: Vec<u32> = (0..100 * 256).map(|i: u32| i.wrapping_mul(2_654_435_761)).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let (input, out) = (Buffer::with(&bytes).unwrap(), Buffer::zeroed(400).unwrap());
    let bindings = Bindings::new().buffer(0, 0, &input).buffer(0, 1, &out);
    device().dispatch(&kernel, &bindings, [100, 1, 1]).unwrap();
    let sum = |part: &[u32]| part.iter().fold(0, |sum: u32, n| sum.wrapping_add(*n));
    assert_eq!(words_in(&out), numbers.chunks(256).map(sum).collect::<Vec<_>>());
}

#[test]
fn a_barrier_is_for_all() {
    for (scope, lane) in
        [(Scope::Workgroup, Some(40)), (Scope::Subgroup, Some(40)), (Scope::Subgroup, None)]
    {
        let mut s = Sketch::new([96, 1, 1]);
        let (index, limit) = (s.lane(), s.u(lane.unwrap_or(32)));
        let below = s.cmp(Less, index, limit);
        let mut span = None;
        s.branch(
            below,
            |s| {
                span = Some(s.span());
                s.barrier(scope);
            },
            |_| {},
        );
        let result = device().dispatch(&s.done(), &Bindings::new(), [3, 1, 1]);
        let expected =
            lane.map(|lane| RunError::Divergent { span: span.unwrap(), workgroup: [0; 3], lane });
        assert_eq!(result.err(), expected);
    }
}

#[test]
fn values_of_every_width_go_to_memory_and_back() {
    // f16 side by side, a u64 after them, through private memory at an index of the lane.
    let mut s = Sketch::new([50, 1, 1]);
    s.kernel.private_bytes = 32;
    let (halves, longs) = (s.buffer(2, true), s.buffer(8, true));
    let (lane, three) = (s.lane(), s.u(3));
    let half = s.op(F16, Op::Convert(lane));
    s.store(halves, lane, half);
    let which = s.bin(And, lane, three);
    let long = s.op(U64, Op::Convert(lane));
    let long = s.bin(Mul, long, long);
    s.store(Memory::Private, which, long);
    let back = s.load(U64, Memory::Private, which);
    s.store(longs, lane, back);
    let (halves, longs) = (Buffer::zeroed(100).unwrap(), Buffer::zeroed(400).unwrap());
    let bindings = Bindings::new().buffer(0, 0, &halves).buffer(0, 1, &longs);
    device().dispatch(&s.done(), &bindings, [1, 1, 1]).unwrap();
    for lane in 0..50_u64 {
        let half = halves.read(lane * 2, 2).unwrap();
        assert_eq!(half, half::f16::from_f64(lane as f64).to_le_bytes());
        assert_eq!(longs.read(lane * 8, 8).unwrap(), (lane * lane).to_le_bytes());
    }
}

#[test]
fn atomics_come_in_the_order_of_lanes() {
    let mut s = Sketch::new([128, 1, 1]);
    let (sums, before) = (s.buffer(24, true), s.buffer(8, true));
    let lane = s.lane();
    let wide = s.op(I64, Op::Convert(lane));
    let place = |base| Place { memory: sums, base, terms: vec![] };
    let change = |op, base, value, compare| Op::Atomic { op, place: place(base), value, compare };
    let old = s.op(I64, change(Atomic::Add, 0, wide, None));
    s.store(before, lane, old);
    s.op(U32, change(Atomic::Max, 8, lane, None));
    let (four, five) = (s.u(4), s.u(5));
    s.op(U32, change(Atomic::CompareExchange, 12, five, Some(lane)));
    s.op(U32, change(Atomic::Sub, 16, four, None));
    let kernel = s.done();
    let (sums, before) = (Buffer::zeroed(24).unwrap(), Buffer::zeroed(1024).unwrap());
    let bindings = Bindings::new().buffer(0, 0, &sums).buffer(0, 1, &before);
    device().dispatch(&kernel, &bindings, [1, 1, 1]).unwrap();
    let old = words_in(&before);
    assert!((0..128_u32).all(|lane| old[lane as usize * 2] == lane * lane.saturating_sub(1) / 2));
    // Lane 0 finds its 0 and writes 5, which lane 5 finds and leaves.
    assert_eq!(words_in(&sums), [8128, 0, 127, 5, 0_u32.wrapping_sub(512), 0]);
    device().dispatch(&kernel, &bindings, [1000, 1, 1]).unwrap();
    assert_eq!(words_in(&sums)[..2], [8128 * 1001, 0]);
}

#[test]
fn subgroups_do_things_together() {
    // Odd lanes only, in subgroups of 32 of 80 lanes.
    let lanes = 80;
    let odd = |op, operand: Option<u32>| {
        each_lane(lanes, |s| {
            let (slot, lane, one, zero) = (s.slot(U32), s.lane(), s.u(1), s.u(0));
            let rest = s.bin(And, lane, one);
            let odd = s.cmp(NotEqual, rest, zero);
            let operand = operand.map(|n| s.u(n));
            s.branch(
                odd,
                |s| {
                    let result = s.op(U32, Op::Together(op, lane, operand));
                    s.set(slot, result);
                },
                |_| {},
            );
            s.get(slot)
        })
    };
    for lane in (1..lanes as usize).step_by(2) {
        let first = lane / 32 * 32;
        let there: Vec<usize> =
            (first..(first + 32).min(80)).filter(|lane| lane % 2 == 1).collect();
        let below = || there.iter().filter(|other| **other < lane);
        let seen = |other: usize| if there.contains(&other) { other as u32 } else { 0 };
        let of = |op, operand| odd(op, operand)[lane];
        if lane % 16 == 7 {
            assert_eq!(of(Together::Add, None), there.iter().sum::<usize>() as u32);
            assert_eq!(of(Together::ExclusiveAdd, None), below().sum::<usize>() as u32);
            assert_eq!(of(Together::InclusiveAdd, None), (below().sum::<usize>() + lane) as u32);
            assert_eq!(of(Together::Min, None), there[0] as u32);
            assert_eq!(of(Together::Max, None), there[there.len() - 1] as u32);
            assert_eq!(
                of(Together::And, None),
                there.iter().fold(!0, |all, lane| all & *lane as u32)
            );
            assert_eq!(of(Together::First, None), there[0] as u32);
            assert_eq!(of(Together::Broadcast, Some(9)), seen(first + 9));
            assert_eq!(
                of(Together::ShuffleUp, Some(8)),
                if lane % 32 < 8 { 0 } else { lane as u32 - 8 }
            );
            assert_eq!(of(Together::ShuffleDown, Some(2)), seen(lane + 2));
            assert_eq!(of(Together::ShuffleXor, Some(6)), seen(lane ^ 6));
            assert_eq!(of(Together::QuadSwapY, None), seen(lane ^ 2));
            assert_eq!(of(Together::QuadBroadcast, Some(1)), lane as u32 / 4 * 4 + 1);
        }
    }
    let ballot = each_lane(lanes, |s| {
        let (lane, limit) = (s.lane(), s.u(70));
        let below = s.cmp(Less, lane, limit);
        s.many(&[U32; 4], Op::Ballot(below))[0]
    });
    assert_eq!((ballot[0], ballot[79]), (u32::MAX, 0x3f));
}

#[test]
fn arithmetic_of_several_types_runs_over_lanes() {
    let found = each_lane(33, |s| {
        let lane = s.lane();
        let a = s.op(F32, Op::Convert(lane));
        let b = s.op(F64, Op::Convert(a));
        let b = s.op(F64, Op::Unary(Unary::Sqrt, b));
        let b = s.op(F64, Op::Fma(b, b, b));
        let parts = s.many(&[F64, I32], Op::Frexp(b));
        let c = s.op(F64, Op::Ldexp(parts[0], parts[1]));
        let c = s.op(F32, Op::Convert(c));
        let packed = s.op(U32, Op::PackHalf(c, a));
        let halves = s.many(&[F32, F32], Op::UnpackHalf(packed));
        let less = s.cmp(Less, halves[1], halves[0]);
        let chosen = s.op(F32, Op::Select(less, halves[0], a));
        s.op(U32, Op::Bitcast(chosen))
    });
    for (lane, bits) in found.into_iter().enumerate() {
        let root = (lane as f64).sqrt();
        let half = half::f16::from_f32(root.mul_add(root, root) as f32).to_f32();
        let expected = if half > lane as f32 { half } else { lane as f32 };
        assert_eq!(f32::from_bits(bits), expected, "{lane}");
    }
}

#[test]
fn lengths_bounds_and_immediate_data() {
    let mut s = Sketch::new([8, 1, 1]);
    s.kernel.immediate_bytes = 8;
    let out = s.buffer(4, true);
    let length = Length::Runtime { binding: 0, offset: 0, stride: 4 };
    let count = s.op(U32, Op::Length(length));
    let lane = s.lane();
    let place = Place { memory: Memory::Immediate, base: 4, terms: vec![] };
    let far = s.op(U32, Op::Load(place));
    let index = s.bin(Mul, lane, far);
    let index = s.bound(out, 4, index);
    s.store(out, index, count);
    let kernel = s.done();
    let buffer = Buffer::zeroed(7 * 4 + 3).unwrap();
    let bindings = Bindings::new().buffer(0, 0, &buffer);
    let data = [0, 0, 0, 0, 3, 0, 0, 0];
    device().dispatch(&kernel, &bindings.clone().immediate(&data), [1, 1, 1]).unwrap();
    let found = buffer.read(0, 28).unwrap();
    let found: Vec<u8> = found.chunks(4).map(|word| word[0]).collect();
    assert_eq!(found, [7, 0, 0, 7, 0, 0, 7]);
    let error = device().dispatch(&kernel, &bindings, [1, 1, 1]).unwrap_err();
    assert_eq!(error, RunError::Immediate { expected: 8, found: 0 });
}

#[test]
fn an_index_that_nothing_holds_is_an_error() {
    let mut s = Sketch::new([8, 1, 1]);
    let out = s.buffer(4, true);
    let (lane, far) = (s.lane(), s.u(1000));
    let index = s.bin(Mul, lane, far);
    let span = s.span();
    s.store(out, index, lane);
    let buffer = Buffer::zeroed(16).unwrap();
    let bindings = Bindings::new().buffer(0, 0, &buffer);
    let error = device().dispatch(&s.done(), &bindings, [1, 1, 1]).unwrap_err();
    let expected = RunError::Address { span, workgroup: [0; 3], lane: 1, address: 4000, bytes: 16 };
    assert_eq!(error, expected);
}
