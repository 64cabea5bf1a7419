use super::gpu::{BLOCK, counts_bytes, grid};
use super::plan::{Facts, choose, digits};
use super::proof::{Case, Keys, hard_cases, oracle};
use super::*;
use crate::device::Backend;

const WEBGPU: Facts = Facts { backend: Backend::Gpu, binding: 128 << 20 };

#[test]
fn digits_cover_every_bit_once_in_an_even_number_of_passes() {
    for bits in 1..=64 {
        let digits = digits(bits);
        assert!(digits.len().is_multiple_of(2), "{bits}");
        assert_eq!(digits.len() as u32, 2 * bits.div_ceil(16), "{bits}");
        let mut at = 0;
        for digit in &digits {
            assert!(digit.width <= 8, "{bits}: {digit:?}");
            assert_eq!(32 * digit.word + digit.shift, at, "{bits}: {digit:?}");
            assert!(digit.shift + digit.width <= 32, "{bits}: {digit:?}");
            at += digit.width;
        }
        assert_eq!(at, bits);
    }
}

#[test]
fn the_choice_follows_the_bits() {
    let chosen = |problem: Sort| choose(&problem, &WEBGPU).unwrap().to_string();
    assert_eq!(chosen(Sort::new(1_000_000).bits(30)), "radix-4x8");
    assert_eq!(chosen(Sort::new(1_000_000)), "radix-4x8");
    assert_eq!(chosen(Sort::new(9).words(2).bits(63)), "radix-8x8");
    assert_eq!(chosen(Sort::new(9).bits(10)), "radix-2x5");
    let host = Facts { backend: Backend::Cpu, ..WEBGPU };
    assert_eq!(choose(&Sort::new(9).bits(30), &host).unwrap().to_string(), "cpu-30");
    for facts in [&WEBGPU, &host] {
        for mistaken in [
            Sort::new(9).words(0),
            Sort::new(9).words(3),
            Sort::new(9).bits(0),
            Sort::new(9).bits(33),
            Sort::new(9).words(2).bits(65),
        ] {
            let refused = choose(&mistaken, facts);
            assert!(matches!(refused, Err(Error::Setting { .. })), "{mistaken:?}");
        }
    }
}

#[test]
fn more_than_a_binding_or_an_index_holds_is_refused() {
    let keys = WEBGPU.binding as usize / 4;
    choose(&Sort::new(keys), &WEBGPU).unwrap();
    choose(&Sort::new(keys / 2).words(2), &WEBGPU).unwrap();
    for (problem, bytes) in [
        (Sort::new(keys + 1), WEBGPU.binding + 4),
        (Sort::new(keys / 2 + 1).words(2), WEBGPU.binding + 8),
    ] {
        match choose(&problem, &WEBGPU) {
            Err(Error::Limit { asked, allowed, .. }) => {
                assert_eq!((asked, allowed), (bytes, WEBGPU.binding));
            }
            other => panic!("{other:?}"),
        }
    }
    let host = Facts { backend: Backend::Cpu, binding: u64::MAX };
    let most = u32::MAX as usize - BLOCK;
    choose(&Sort::new(most), &host).unwrap();
    for n in [most + 1, usize::MAX] {
        let refused = choose(&Sort::new(n), &host);
        assert!(matches!(refused, Err(Error::Limit { limit: "u32 indices", .. })), "{n}");
    }
    assert_eq!(counts_bytes(1), 4 * 256 * 4);
    assert_eq!(counts_bytes(4 * BLOCK + 1), 4 * 256 * 8);
}

#[test]
fn a_grid_past_one_dimension_reaches_every_block() {
    for (blocks, allowed, expected) in [
        (1, 65_535, [1, 1, 1]),
        (65_535, 65_535, [65_535, 1, 1]),
        (65_536, 65_535, [65_535, 2, 1]),
        (131_070, 65_535, [65_535, 2, 1]),
        (131_071, 65_535, [65_535, 3, 1]),
        ((u32::MAX / BLOCK as u32), 65_535, [65_535, 18, 1]),
        (7, 3, [3, 3, 1]),
    ] {
        let found = grid(blocks, allowed);
        assert_eq!(found, expected, "{blocks}");
        assert!(found[0] * found[1] >= blocks && found[0] * (found[1] - 1) < blocks);
    }
}

#[test]
fn a_workgroup_fits_every_device() {
    for kernel in kernels() {
        let reflection = kernel.reflect().unwrap();
        assert_eq!(reflection.workgroup, [256, 1, 1], "{}", kernel.label());
        assert!(reflection.workgroup_storage <= 16_384, "{}", kernel.label());
        assert!(reflection.bindings.len() <= 8, "{}", kernel.label());
    }
}

#[test]
fn the_oracle_sorts_stably_by_the_compared_bits() {
    let problem = Sort::new(4).bits(4);
    let (keys, order) = oracle(&problem, &[0x12, 0x31, 0x22, 0x01]);
    assert_eq!((keys, order), (vec![0x31, 0x01, 0x12, 0x22], vec![1, 3, 0, 2]));
    let problem = Sort::new(3).words(2);
    let (keys, order) = oracle(&problem, &[9, 1, 8, 1, 7, 2]);
    assert_eq!((keys, order), (vec![8, 1, 9, 1, 7, 2], vec![1, 0, 2]));
}

#[test]
fn the_cases_are_what_they_say() {
    let of = |keys, problem| Case { why: "", problem, keys }.words(3);
    let sort = Sort::new(1000).bits(30);
    assert!(of(Keys::Sorted, sort).is_sorted());
    assert!(of(Keys::Reversed, sort).iter().rev().is_sorted());
    assert!(of(Keys::TopBits, sort).iter().all(|key| key & !(3 << 28) == 0));
    let nearly = of(Keys::NearlySorted, sort);
    assert!(!nearly.is_sorted());
    assert_eq!(of(Keys::Random, Sort::new(10).words(2)).len(), 20);
}

#[test]
fn the_host_passes_every_hard_case() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    for case in hard_cases() {
        case.check(&ctx, 7).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
}

#[test]
fn mistaken_operands_are_named() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let plan = Sort::new(3).words(2).plan(&ctx).unwrap();
    let mut keys = ctx.upload([3, 2], &[1_u32, 2, 3, 1, 0, 1]).unwrap();
    let mut order = ctx.zeros::<u32>([3]).unwrap();
    plan.run(&mut keys, &mut order).unwrap();
    assert_eq!(order.download().unwrap(), [2, 1, 0]);
    let refused = |operand: &str, error: Error| match error {
        Error::Shape { operand: named, .. } => assert_eq!(named, operand),
        other => panic!("{other}"),
    };
    refused("keys", plan.run(&mut ctx.zeros([6]).unwrap(), &mut order).unwrap_err());
    refused("order", plan.run(&mut keys, &mut ctx.zeros([4]).unwrap()).unwrap_err());
    refused("keys", ctx.sort(&mut ctx.zeros([2, 3]).unwrap()).unwrap_err());
    let other = Context::on(Backend::Cpu).unwrap();
    let error = plan.run(&mut other.zeros([3, 2]).unwrap(), &mut order).unwrap_err();
    assert_eq!(error, Error::Foreign { operand: "keys".into() });
    let mut batch = other.batch("elsewhere");
    assert!(plan.record(&mut batch, &mut keys, &mut order).is_err());
}
