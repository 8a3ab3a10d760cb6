//! Sweeps over the rows, shared between threads so that the numbers do not depend on how many there are.
//!
//! Rows are cut into chunks of a fixed size, small enough for what belongs to one to stay in the cache. Sums over the
//! rows are made in a fixed number of parts, each of consecutive chunks, and the parts are added in their order.
use crate::linalg::PARALLEL_ROWS;
use rayon::prelude::*;
use std::ops::Range;

/// Rows in a chunk.
const CHUNK: usize = 2048;
/// Parts of a sum over many rows.
const PARTS: usize = 8;

fn chunk(index: usize, n: usize) -> Range<usize> {
    index * CHUNK..((index + 1) * CHUNK).min(n)
}

/// Calls `work` for each chunk of the n rows with its piece of each of the `columns` (an empty column stays empty);
/// the results are in the order of the chunks.
pub(crate) fn by_chunk<T: Send>(
    n: usize,
    columns: Vec<&mut [f64]>,
    work: impl Fn(Range<usize>, &mut [&mut [f64]]) -> T + Sync,
) -> Vec<T> {
    let count = n.div_ceil(CHUNK);
    let mut pieces: Vec<Vec<&mut [f64]>> = (0..count).map(|_| Vec::with_capacity(columns.len())).collect();
    for column in columns {
        let mut rest = column;
        for (index, piece) in pieces.iter_mut().enumerate() {
            let length = chunk(index, n).len().min(rest.len());
            let (own, after) = rest.split_at_mut(length);
            piece.push(own);
            rest = after;
        }
    }
    if n < PARALLEL_ROWS {
        pieces.iter_mut().enumerate().map(|(index, piece)| work(chunk(index, n), piece)).collect()
    } else {
        pieces.par_iter_mut().enumerate().map(|(index, piece)| work(chunk(index, n), piece)).collect()
    }
}

/// Adds to `sums` what `add` puts there for each chunk of the n rows.
///
/// Each part has sums of its own, which pays as long as they are few beside the rows.
pub(crate) fn add_up(n: usize, sums: &mut [f64], add: impl Fn(Range<usize>, &mut [f64]) + Sync) {
    let count = n.div_ceil(CHUNK);
    if n < PARALLEL_ROWS || PARTS * sums.len() > n {
        (0..count).for_each(|index| add(chunk(index, n), sums));
        return;
    }
    let parts: Vec<Vec<f64>> = (0..PARTS)
        .into_par_iter()
        .map(|part| {
            let mut own = vec![0.0; sums.len()];
            (part * count / PARTS..(part + 1) * count / PARTS).for_each(|index| add(chunk(index, n), &mut own));
            own
        })
        .collect();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, own)| *sum += own);
    }
}

#[cfg(test)]
mod tests {
    use super::{add_up, by_chunk};

    #[test]
    fn every_row_is_visited_once_and_the_threads_do_not_show() {
        let n = 50_001;
        let values: Vec<f64> = (0..n).map(|i| (i as f64 * 0.37).sin()).collect();
        let at = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let (mut copy, mut sums) = (vec![0.0; n], vec![0.0; 3]);
                let lengths = by_chunk(n, vec![&mut copy, &mut []], |rows, columns| {
                    columns[0].copy_from_slice(&values[rows.clone()]);
                    assert!(columns[1].is_empty());
                    rows.len()
                });
                add_up(n, &mut sums, |rows, sums| {
                    rows.for_each(|i| sums[i % 3] += values[i]);
                });
                assert_eq!(lengths.iter().sum::<usize>(), n);
                (copy, sums)
            })
        };
        let (copy, sums) = at(1);
        assert_eq!(copy, values);
        assert_eq!((copy, sums.clone()), at(2));
        assert!((sums.iter().sum::<f64>() - values.iter().sum::<f64>()).abs() < 1e-10);
    }
}
