//! One pass over the rows: densities and their derivatives at given linear predictors.
//!
//! Reads the response, the trials, the weights and eta. Writes w l, g = -w l', W = -w l'' and T = -w l''' up to the order
//! asked for, and returns sum w l. A chunk of rows goes through the family while it is in the cache.
use super::data::Data;
use crate::design::by_chunk;
use crate::family::{Derivatives, Rows};
use std::cell::RefCell;

thread_local! {
    /// What the family writes for a chunk; kept because making room takes a good part of the time of cheap families.
    static CHUNK: RefCell<Derivatives> = RefCell::default();
}

/// Writes the rows' derivatives into `out`, negated and weighted (the value is weighted only); returns the sum of the
/// weighted log densities. A row of weight zero is left out of the sum, whatever its density.
pub(super) fn evaluate(data: &Data, eta: &[Vec<f64>], order: usize, out: &mut Derivatives) -> f64 {
    let (n, k) = (data.y.len(), eta.len());
    out.resize(k, n, order);
    let mut columns: Vec<&mut [f64]> = vec![&mut out.value];
    let blocks = [(1, &mut out.first), (2, &mut out.second), (3, &mut out.third)];
    for (_, block) in blocks.into_iter().filter(|(level, _)| *level <= order) {
        columns.extend(block.iter_mut().map(Vec::as_mut_slice));
    }
    let totals = by_chunk(n, columns, |rows, columns| {
        let eta: Vec<&[f64]> = eta.iter().map(|eta| &eta[rows.clone()]).collect();
        let trials = data.trials.as_ref().map(|trials| &trials[rows.clone()]);
        let weights = data.weights.as_ref().map(|weights| &weights[rows.clone()]);
        CHUNK.with_borrow_mut(|chunk| {
            data.family.derivatives(Rows { y: &data.y[rows.clone()], trials, eta: &eta }, order, chunk);
            let (value, derivatives) = columns.split_first_mut().expect("the value is always there");
            let from = chunk.first.iter().chain(&chunk.second).chain(&chunk.third);
            match weights {
                None => {
                    value.copy_from_slice(&chunk.value);
                    for (target, from) in derivatives.iter_mut().zip(from) {
                        target.iter_mut().zip(from).for_each(|(target, value)| *target = -value);
                    }
                    chunk.value.iter().sum::<f64>()
                }
                Some(w) => {
                    value.iter_mut().zip(&chunk.value).zip(w).for_each(|((target, l), w)| *target = w * l);
                    for (target, from) in derivatives.iter_mut().zip(from) {
                        target.iter_mut().zip(from).zip(w).for_each(|((target, value), w)| *target = -w * value);
                    }
                    chunk.value.iter().zip(w).filter(|(_, w)| **w != 0.0).map(|(l, w)| l * w).sum()
                }
            }
        })
    });
    totals.iter().sum()
}
