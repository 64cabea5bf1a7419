//! Sorting on the host: keys and their indices as one integer each, sorted by all cores.

use rayon::prelude::*;

/// The keys in ascending order of their lowest `bits` bits, and in `order` where each lay. Keys are
/// of one word, or of two, the low one first; `order` is as long as they are many.
///
/// # Errors
/// The bytes that could not be had.
pub(super) fn sort(
    words: usize,
    bits: u32,
    keys: &[u32],
    order: &mut [u32],
) -> Result<Vec<u32>, u64> {
    let mask = u64::MAX >> (64 - bits);
    // The key above, its index below: no two are equal, so the order of equal keys is that of their
    // indices, whatever the algorithm.
    if words == 1 {
        let pair = |i: usize| (u64::from(keys[i]) & mask) << 32 | i as u64;
        sort_pairs(order, pair, |pair| pair as u32)?;
    } else {
        let key = |i: usize| u64::from(keys[2 * i + 1]) << 32 | u64::from(keys[2 * i]);
        let pair = |i: usize| u128::from(key(i) & mask) << 32 | i as u128;
        sort_pairs(order, pair, |pair| pair as u32)?;
    }
    let mut sorted = room(keys.len())?;
    sorted.resize(keys.len(), 0);
    sorted.par_chunks_exact_mut(words).zip(&*order).for_each(|(key, &i)| {
        key.copy_from_slice(&keys[i as usize * words..][..words]);
    });
    Ok(sorted)
}

fn sort_pairs<T: Ord + Copy + Send + Sync>(
    order: &mut [u32],
    pair: impl Fn(usize) -> T + Sync + Send,
    index: impl Fn(T) -> u32 + Sync + Send,
) -> Result<(), u64> {
    let mut pairs = room(order.len())?;
    pairs.par_extend((0..order.len()).into_par_iter().map(pair));
    pairs.par_sort_unstable();
    order.par_iter_mut().zip(&pairs).for_each(|(order, &pair)| *order = index(pair));
    Ok(())
}

fn room<T>(count: usize) -> Result<Vec<T>, u64> {
    let mut memory = Vec::new();
    match memory.try_reserve_exact(count) {
        Ok(()) => Ok(memory),
        Err(_) => Err(count.saturating_mul(size_of::<T>()) as u64),
    }
}
