//! The table of hard cases, and the random ones.

use super::{Case, Storage};
use crate::einsum::{Einsum, Order};
use crate::element::DType;
use fastrand::Rng;

/// What implementations get wrong: axes of 0 and 1, diagonals, orders that no stride expresses, sums
/// of no, few and many elements, and each way to compute.
pub fn hard_cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |why: &'static str, expression: &str, shapes: &[&[usize]]| {
        all.push(Case::dense(why, Einsum::new(expression), shapes));
    };
    add("scalars", ",", &[&[], &[]]);
    add("scalars", "->", &[&[]]);
    add("scalars of many operands", ",,,,,", &[&[], &[], &[], &[], &[], &[]]);
    add("a scalar times a matrix", ",ij->ji", &[&[], &[3, 5]]);
    add("nothing is summed", "ij,jk", &[&[3, 0], &[0, 4]]);
    add("nothing at all", "ij,jk", &[&[0, 3], &[3, 4]]);
    add("the sum of nothing", "ij->", &[&[0, 3]]);
    add("one element for none", "i,i->i", &[&[1], &[0]]);
    add("one element for many", "ij,ij->i", &[&[4, 1], &[4, 7]]);
    add("one element for many, summed", "ij,jk->ik", &[&[3, 1], &[5, 4]]);
    add("an index of one element", "ij,jk->ik", &[&[3, 1], &[1, 4]]);
    add("a diagonal", "ii->i", &[&[7, 7]]);
    add("a trace", "ii", &[&[9, 9]]);
    add("a trace within", "iji->j", &[&[6, 8, 6]]);
    add("three times the same", "iii->i", &[&[5, 5, 5]]);
    add("diagonals multiplied", "iij,jkk->ik", &[&[4, 4, 6], &[6, 5, 5]]);
    add("an ellipsis", "...ij,...jk->...ik", &[&[2, 1, 3, 4], &[5, 4, 2]]);
    add("an ellipsis, implicit", "...j,j", &[&[2, 3, 4], &[4]]);
    add("an ellipsis within", "i...k,k->...i", &[&[2, 3, 2, 4], &[4]]);
    add("an ellipsis of nothing", "...ij->j...i", &[&[3, 4]]);
    add("a copy", "ijk->ijk", &[&[3, 4, 5]]);
    add("a transpose", "ij->ji", &[&[70, 45]]);
    add("a transpose in a batch", "bij->bji", &[&[3, 40, 33]]);
    add("orders reversed", "abcd->dcba", &[&[17, 3, 5, 19]]);
    add("orders reversed in vectors", "abcd->dcba", &[&[20, 2, 3, 40]]);
    add("a sum over rows", "ij->j", &[&[300, 8]]);
    add("a sum over columns", "ij->i", &[&[8, 300]]);
    add("a long sum of one", "i->", &[&[20_011]]);
    add("a long sum of vectors of one", "i->", &[&[40_000]]);
    add("a long dot", "i,i->", &[&[16_384], &[16_384]]);
    add("long sums of few", "ij->j", &[&[9000, 8]]);
    add("long sums of few, turned", "ijk->j", &[&[40, 3, 400]]);
    add("long sums of three", "ij,j,ij->i", &[&[2, 5000], &[5000], &[2, 5000]]);
    add("products of elements", "ij,ij,ij->ij", &[&[9, 20], &[9, 20], &[9, 20]]);
    add("products of turned elements", "ij,ji->ij", &[&[9, 20], &[20, 9]]);
    add("large turned elements", "ij,ji->ij", &[&[260, 256], &[256, 260]]);
    add("a large result that lies badly", "ij,ij->ji", &[&[260, 256], &[260, 256]]);
    add("outer", "i,j->ij", &[&[20], &[24]]);
    add("outer, turned", "i,j->ji", &[&[20], &[7]]);
    add("outer of three", "a,b,c->bca", &[&[5], &[8], &[4]]);
    add("outer in a batch", "ij,ik->ijk", &[&[6, 8], &[6, 12]]);
    add("batched dots", "ijk,ijk->i", &[&[5, 4, 16], &[5, 4, 16]]);
    add("vectors times matrices", "bi,bij->bj", &[&[4, 24], &[4, 24, 16]]);
    add("matrices times vectors", "bij,bj->bi", &[&[4, 24, 16], &[4, 16]]);
    add("a matrix times a vector", "ij,j->i", &[&[33, 64], &[64]]);
    add("a product", "ij,jk->ik", &[&[40, 33], &[33, 50]]);
    add("a product, turned", "ij,kj->ki", &[&[40, 36], &[44, 36]]);
    add("a batch", "bij,bjk->bik", &[&[3, 40, 33], &[3, 33, 36]]);
    add("a batch inside", "ijb,jkb->ikb", &[&[40, 33, 3], &[33, 36, 3]]);
    add("rows beside the sum", "ijk,jl->ikl", &[&[4, 40, 36], &[40, 44]]);
    add("interleaved", "ijkl,jmln->imkn", &[&[6, 7, 8, 9], &[7, 6, 9, 8]]);
    add("sums in another order", "abc,bad->cd", &[&[12, 9, 40], &[9, 12, 36]]);
    add("attention", "bhid,bhjd->bhij", &[&[2, 3, 20, 16], &[2, 3, 24, 16]]);
    add("tensors", "abcd,cdef->abef", &[&[5, 6, 7, 8], &[7, 8, 6, 5]]);
    add("two sums", "abij,cij->abc", &[&[5, 6, 7, 8], &[9, 7, 8]]);
    add("tiny products of a batch", "nij,njk->nik", &[&[200, 3, 3], &[200, 3, 3]]);
    add("a chain", "ij,jk,kl,lm->im", &[&[40, 4], &[4, 40], &[40, 4], &[4, 40]]);
    add("a chain of cores", "apb,bqc,crd->apqrd", &[&[6, 4, 7], &[7, 5, 6], &[6, 4, 5]]);
    add("weights", "abc,cd,de,ef->abf", &[&[10, 11, 12], &[12, 20], &[20, 21], &[21, 9]]);
    add("what one has alone", "ijk,jl->l", &[&[5, 6, 7], &[6, 8]]);
    add("nothing in common", "ij,kl->", &[&[5, 6], &[7, 8]]);
    add("the same operand's indices", "ij,ij,jk,jk->ik", &[&[5, 6], &[5, 6], &[6, 7], &[6, 7]]);
    let limited = Einsum::new("ij,jk,kl->il").memory_limit(4 * 64 * 2);
    all.push(Case::dense("within a limit", limited, [[64, 2], [2, 64], [64, 2]]));
    let greedy = Einsum::new("ij,jk,kl,lm->im").order(Order::Greedy);
    all.push(Case::dense("greedy", greedy, [[6, 4], [4, 5], [5, 4], [4, 7]]));
    let many = (0..13).map(|i| format!("{0}{1}", (b'a' + i) as char, (b'b' + i) as char));
    let many = many.collect::<Vec<_>>().join(",") + "->an";
    all.push(Case::dense("many operands", Einsum::new(many), vec![[2, 2]; 13]));

    for element in [DType::F16, DType::C64, DType::F64, DType::C128] {
        for (why, expression, shapes) in [
            ("elements: a product", "ij,jk->ik", &[&[33, 20][..], &[20, 36]][..]),
            ("elements: a batch, turned", "bij,bkj->bik", &[&[2, 33, 20], &[2, 36, 20]]),
            ("elements: a copy before", "abc,bad->dc", &[&[6, 5, 32], &[5, 6, 36]]),
            ("elements: a sum", "ij->i", &[&[3, 100]]),
            ("elements: a long sum", "ij->j", &[&[5000, 4]]),
            ("elements: turned", "ij->ji", &[&[40, 36]]),
            ("elements: three at once", "i,i,i->i", &[&[40], &[40], &[40]]),
            ("elements: a chain", "ij,jk,kl->il", &[&[20, 18], &[18, 20], &[20, 18]]),
            ("elements: a trace", "ii", &[&[9, 9]]),
        ] {
            all.push(Case::dense(why, Einsum::new(expression).element(element), shapes));
        }
    }

    let odd = Storage { offset: 3, pad: 1, turn: 0 };
    let turned = Storage { offset: 4, pad: 4, turn: 1 };
    for (why, storage) in [
        ("views that begin anywhere", [odd; 3]),
        ("views in vectors, turned", [turned; 3]),
        ("views in another order each", [odd, turned, Storage { turn: 2, ..Storage::default() }]),
    ] {
        for (expression, shapes) in [
            ("bij,bjk->bik", &[&[3, 40, 36][..], &[3, 36, 44]][..]),
            ("ij,ij->ij", &[&[12, 20], &[12, 20]]),
            ("ij,ij->ji", &[&[12, 20], &[12, 20]]),
            ("ijk,ijk->i", &[&[3, 20, 8], &[3, 20, 8]]),
            ("bi,bij->bj", &[&[4, 24], &[4, 24, 16]]),
            ("iij,jk->ik", &[&[9, 9, 12], &[12, 16]]),
        ] {
            let dense = Case::dense(why, Einsum::new(expression), shapes);
            all.push(Case { storage: storage.to_vec(), ..dense });
        }
    }
    all
}

/// Products that a random case sums over all of its results, at most.
const MOST: usize = 60_000;

/// A case of this seed: any number of operands, indices, extents, diagonals, broadcast axes and orders.
pub fn random_case(seed: u64, elements: &[DType]) -> Case {
    let mut random = Rng::with_seed(seed);
    loop {
        if let Some(case) = draw(&mut random, elements) {
            return case;
        }
    }
}

fn draw(random: &mut Rng, elements: &[DType]) -> Option<Case> {
    let letters: Vec<char> = "abcdefgXYZ".chars().take(random.usize(1..=10)).collect();
    let extent = |random: &mut Rng| match random.u8(..16) {
        0 => 0,
        1..=2 => 1,
        3..=9 => random.usize(2..=5),
        10..=13 => random.usize(6..=20),
        14 => 4 * random.usize(4..=20),
        _ => random.usize(21..=90),
    };
    let extents: Vec<usize> = letters.iter().map(|_| extent(random)).collect();
    let broadcast: Vec<usize> = (0..random.usize(..3)).map(|_| extent(random)).collect();
    let ellipsis = random.u8(..4) == 0;
    let (mut texts, mut shapes) = (Vec::new(), Vec::new());
    for _ in 0..[1, 2, 2, 2, 3, 4, 5][random.usize(..7)] {
        let (mut text, mut dims) = (String::new(), Vec::new());
        let count = random.usize(..=4.min(letters.len() + 1));
        let at = if ellipsis && random.u8(..4) > 0 { random.usize(..=count) } else { usize::MAX };
        let mut own: Vec<(usize, usize)> = Vec::new(); // letters with the extents they have here
        for i in 0..=count {
            if i == at {
                text.push_str("...");
                let used = random.usize(..=broadcast.len());
                for &extent in &broadcast[broadcast.len() - used..] {
                    dims.push(if random.u8(..4) == 0 { 1 } else { extent });
                }
            }
            if i < count {
                let letter = random.usize(..letters.len());
                let repeated = own.iter().find(|(other, _)| *other == letter).map(|own| own.1);
                let alone = random.u8(..12) == 0;
                let extent = repeated.unwrap_or(if alone { 1 } else { extents[letter] });
                own.push((letter, extent));
                text.push(letters[letter]);
                dims.push(extent);
            }
        }
        texts.push(text);
        shapes.push(dims);
    }
    let mut expression = texts.join([",", ", "][random.usize(..2)]);
    if random.u8(..4) > 0 {
        let mut known: Vec<char> =
            letters.iter().copied().filter(|&c| expression.contains(c)).collect();
        random.shuffle(&mut known);
        known.truncate(random.usize(..=known.len().min(5)));
        let at = random.usize(..=known.len());
        let (before, after): (String, String) =
            (known[..at].iter().collect(), known[at..].iter().collect());
        let dots = if expression.contains('.') { "..." } else { "" };
        expression += &format!("->{before}{dots}{after}");
    }
    let problem = Einsum::new(expression).element(elements[random.usize(..elements.len())]);
    let result = problem.shape(&shapes).ok()?;
    let all: usize = extents.iter().chain(&broadcast).map(|&extent| extent.max(1)).product();
    let held = shapes.iter().map(|dims| dims.iter().product::<usize>()).sum::<usize>();
    if all > MOST || held > MOST || result.len()? > MOST {
        return None;
    }
    let storage = |random: &mut Rng| Storage {
        offset: random.usize(..9),
        pad: random.usize(..6),
        turn: random.usize(..4),
    };
    let strided = random.u8(..3) == 0;
    let storage = match strided {
        true => (0..=shapes.len()).map(|_| storage(random)).collect(),
        false => Vec::new(),
    };
    Some(Case { storage, ..Case::dense("random", problem, shapes) })
}
