//! The diagonal blocks of (Z'WZ Lambda + Z'WX ...) M^{-1}: the only thing a gradient needs of the inverse.
use super::{BlockMatrix, Pattern};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Blocks of more entries than this, A times M, are multiplied level by level: the sum over levels of vec(A) vec(M)' grows
/// with the fourth power of their width, a product with the third.
const WIDE: usize = 4096;

/// For each factor f the sum over its levels of the diagonal block (p_f x r_f, column-major) of
///
/// ```text
/// B Lambda M^{-1}_uu   + C M^{-1}_beta,u   (the second term only `with_border`),
/// ```
///
/// from B with border C (widths p) and the selected inverse (widths r). Half the derivative of log|M| with respect to
/// Lambda_f, valid at singular Lambda too.
pub fn product_diagonal(
    pattern: &Pattern,
    b: &BlockMatrix,
    factors: &[Vec<f64>],
    inverse: &BlockMatrix,
    with_border: bool,
) -> Vec<Vec<f64>> {
    let n_factors = pattern.n_factors();
    let mut out: Vec<Vec<f64>> = (0..n_factors).map(|f| vec![0.0; b.widths[f] * inverse.widths[f]]).collect();
    for f in 0..n_factors {
        let (p, r) = (b.widths[f], inverse.widths[f]);
        // Both blocks are symmetric, so either end of the pair may be contracted with Lambda.
        if p * p * r * r > WIDE {
            add_products(&b.diag[f], (p, p), &inverse.diag[f], (r, r), &factors[f], Keep::Rows, &mut out[f]);
        } else {
            let kronecker = sum_of_kronecker(&b.diag[f], p * p, &inverse.diag[f], r * r);
            contract(&kronecker, (p, p), (r, r), &factors[f], Keep::Rows, &mut out[f]);
        }
        if with_border && pattern.border() > 0 {
            add_border(&b.border[f], p, &inverse.border[f], r, pattern.border(), &mut out[f]);
        }
    }
    // B has no entries between the levels of one factor.
    for (k, pair) in pattern.pairs().iter().enumerate().filter(|(_, pair)| !pair.is_own()) {
        let (f, g) = (pair.first, pair.second);
        let (p, r) = ((b.widths[f], b.widths[g]), (inverse.widths[f], inverse.widths[g]));
        if p.0 * p.1 * r.0 * r.1 > WIDE {
            add_products(&b.off[k], p, &inverse.off[k], r, &factors[g], Keep::Rows, &mut out[f]);
            add_products(&b.off[k], p, &inverse.off[k], r, &factors[f], Keep::Columns, &mut out[g]);
            continue;
        }
        let kronecker = sum_of_kronecker(&b.off[k], p.0 * p.1, &inverse.off[k], r.0 * r.1);
        contract(&kronecker, p, r, &factors[g], Keep::Rows, &mut out[f]);
        contract(&kronecker, p, r, &factors[f], Keep::Columns, &mut out[g]);
    }
    out
}

/// sum over blocks of vec(A) vec(M)', for blocks A of `m` entries and M of `n` entries: everything that the products
/// with the one shared Lambda need. Summed in chunks of fixed size, then over the chunks in order.
fn sum_of_kronecker(a: &[f64], m: usize, inverse: &[f64], n: usize) -> Vec<f64> {
    /// Multiply-adds of one chunk.
    const WORK: usize = 1 << 18;
    let blocks = (WORK / (m * n).max(32)).max(1);
    let chunk = |a: &[f64], inverse: &[f64]| {
        let mut sum = vec![0.0; m * n];
        if m * n == 1 {
            sum[0] = super::factorization::dot(a, inverse);
            return sum;
        }
        for (a, inverse) in a.chunks_exact(m).zip(inverse.chunks_exact(n)) {
            for (j, &value) in inverse.iter().enumerate() {
                for (sum, a) in sum[j * m..(j + 1) * m].iter_mut().zip(a) {
                    *sum += a * value;
                }
            }
        }
        sum
    };
    if m == 0 || n == 0 {
        return vec![0.0; m * n];
    }
    let parts: Vec<Vec<f64>> =
        a.par_chunks(blocks * m).zip(inverse.par_chunks(blocks * n)).map(|(a, inverse)| chunk(a, inverse)).collect();
    add_up(parts, m * n)
}

/// Adds sum A Lambda M' (keeping rows) or sum A' Lambda M (keeping columns) over blocks A (p) and M (r) to `out`, in chunks
/// of fixed size.
fn add_products(
    a: &[f64],
    p: (usize, usize),
    inverse: &[f64],
    r: (usize, usize),
    lambda: &[f64],
    keep: Keep,
    out: &mut [f64],
) {
    /// Multiply-adds of one chunk.
    const WORK: usize = 1 << 20;
    let (m, n) = (p.0 * p.1, r.0 * r.1);
    let blocks = (WORK / (m * r.1 + n * p.0).max(1)).max(1);
    let (inner, kept) = if keep == Keep::Rows { ((p.1, r.1), (p.0, r.0)) } else { ((p.0, r.0), (p.1, r.1)) };
    let lambda = MatRef::from_column_major_slice(lambda, inner.0, inner.1);
    let parts: Vec<Vec<f64>> = a
        .par_chunks(blocks * m)
        .zip(inverse.par_chunks(blocks * n))
        .map(|(a, inverse)| {
            let (mut sum, mut half) = (vec![0.0; kept.0 * kept.1], Mat::zeros(kept.0, inner.1));
            for (a, inverse) in a.chunks_exact(m).zip(inverse.chunks_exact(n)) {
                let a = MatRef::from_column_major_slice(a, p.0, p.1);
                let inverse = MatRef::from_column_major_slice(inverse, r.0, r.1);
                let (a, inverse) = if keep == Keep::Rows { (a, inverse.transpose()) } else { (a.transpose(), inverse) };
                matmul(half.as_mut(), Accum::Replace, a, lambda, 1.0, Par::Seq);
                let sum = MatMut::from_column_major_slice_mut(&mut sum, kept.0, kept.1);
                matmul(sum, Accum::Add, half.as_ref(), inverse, 1.0, Par::Seq);
            }
            sum
        })
        .collect();
    let total = add_up(parts, kept.0 * kept.1);
    out.iter_mut().zip(total).for_each(|(out, total)| *out += total);
}

fn add_up(parts: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    parts.into_iter().fold(vec![0.0; length], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        total
    })
}

/// Which index of the blocks stays: that of the first factor (rows) or of the second (columns).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Rows,
    Columns,
}

/// Adds sum A Lambda_g M' (keeping rows) or sum A' Lambda_f M (keeping columns) to `out`, from sum vec(A) vec(M)'.
fn contract(kronecker: &[f64], p: (usize, usize), r: (usize, usize), lambda: &[f64], keep: Keep, out: &mut [f64]) {
    let (rows_a, rows_m) = (p.0, r.0);
    for second_m in 0..r.1 {
        for first_m in 0..r.0 {
            for second_a in 0..p.1 {
                for first_a in 0..p.0 {
                    let row = second_m * rows_m + first_m;
                    let value = kronecker[row * p.0 * p.1 + second_a * rows_a + first_a];
                    match keep {
                        Keep::Rows => out[first_m * p.0 + first_a] += value * lambda[second_m * p.1 + second_a],
                        Keep::Columns => out[second_m * p.1 + second_a] += value * lambda[first_m * p.0 + first_a],
                    }
                }
            }
        }
    }
}

/// Adds the sum over levels of C_l (M^{-1}_l,beta)'.
fn add_border(c: &[f64], p: usize, inverse: &[f64], r: usize, border: usize, out: &mut [f64]) {
    const LEVELS: usize = 8192;
    if p == 0 || r == 0 {
        return;
    }
    let parts: Vec<Vec<f64>> = c
        .par_chunks(LEVELS * p * border)
        .zip(inverse.par_chunks(LEVELS * r * border))
        .map(|(c, inverse)| {
            let mut sum = vec![0.0; p * r];
            for (c, inverse) in c.chunks_exact(p).zip(inverse.chunks_exact(r)) {
                for (b, &value) in inverse.iter().enumerate() {
                    for (a, c) in c.iter().enumerate() {
                        sum[b * p + a] += c * value;
                    }
                }
            }
            sum
        })
        .collect();
    let total = add_up(parts, p * r);
    out.iter_mut().zip(total).for_each(|(out, total)| *out += total);
}

#[cfg(test)]
mod tests {
    use super::{Keep, add_border, add_products, contract, sum_of_kronecker};

    #[test]
    fn wide_blocks_give_what_narrow_ones_do() {
        let wave = |n: usize, a: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * a).sin()).collect() };
        let (p, r, blocks) = ((3, 4), (2, 5), 7);
        let (a, inverse) = (wave(blocks * p.0 * p.1, 0.7), wave(blocks * r.0 * r.1, 1.1));
        let kronecker = sum_of_kronecker(&a, p.0 * p.1, &inverse, r.0 * r.1);
        for (keep, lambda, size) in
            [(Keep::Rows, wave(p.1 * r.1, 0.3), p.0 * r.0), (Keep::Columns, wave(p.0 * r.0, 0.3), p.1 * r.1)]
        {
            let (mut narrow, mut wide) = (vec![1.0; size], vec![1.0; size]);
            contract(&kronecker, p, r, &lambda, keep, &mut narrow);
            add_products(&a, p, &inverse, r, &lambda, keep, &mut wide);
            for (narrow, wide) in narrow.iter().zip(&wide) {
                assert!((narrow - wide).abs() < 1e-12, "{narrow} {wide}");
            }
        }
    }

    /// More levels than one task sums: both sides must be cut at the same ones.
    #[test]
    fn a_border_of_many_levels_is_summed_over_all() {
        let (levels, border, p, r) = (9000, 3, 2, 4);
        let wave = |n: usize, a: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * a).sin()).collect() };
        let (c, inverse) = (wave(levels * border * p, 0.7), wave(levels * border * r, 1.1));
        let mut found = vec![1.0; p * r];
        add_border(&c, p, &inverse, r, border, &mut found);
        for (at, found) in found.iter().enumerate() {
            let sum: f64 = (0..levels * border).map(|k| c[k * p + at % p] * inverse[k * r + at / p]).sum();
            assert!((found - 1.0 - sum).abs() < 1e-8, "{found} {sum}");
        }
    }
}
