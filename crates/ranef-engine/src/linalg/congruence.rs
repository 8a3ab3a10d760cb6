//! Applying Lambda to both sides of a block matrix, block by block.
use super::{BlockMatrix, PARALLEL_WORK, Pattern};
use rayon::prelude::*;

/// On which side of each block the small factors Lambda_f (p_f x r_f) stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congruence {
    /// Lambda_f' A Lambda_g: from widths p to widths r, as in Lambda' Z'WZ Lambda.
    Inner,
    /// Lambda_f A Lambda_g': from widths r to widths p, as in Lambda H^{-1} Lambda'.
    Outer,
}

impl BlockMatrix {
    /// Writes the congruence of this matrix with `factors` (Lambda_f, p_f x r_f column-major, for each grouping
    /// factor) into `out`, whose widths are r (inner) or p (outer). The corner is copied.
    pub fn congruence(&self, pattern: &Pattern, factors: &[Vec<f64>], direction: Congruence, out: &mut Self) {
        // As left A right' in both directions: for the inner one the factors are transposed first.
        let sides: Vec<Vec<f64>> = match direction {
            Congruence::Outer => factors.to_vec(),
            Congruence::Inner => {
                (0..factors.len()).map(|f| transposed(&factors[f], self.widths[f], out.widths[f])).collect()
            }
        };
        for f in 0..pattern.n_factors() {
            let (from, to) = (self.widths[f], out.widths[f]);
            let side = Side { values: &sides[f], to, from };
            sandwich_blocks(&self.diag[f], &side, &side, &mut out.diag[f]);
            multiply_blocks(&self.border[f], &side, pattern.border(), &mut out.border[f]);
        }
        for (k, pair) in pattern.pairs().iter().enumerate() {
            let side = |f: usize| Side { values: &sides[f], to: out.widths[f], from: self.widths[f] };
            let (left, right) = (side(pair.first), side(pair.second));
            sandwich_blocks(&self.off[k], &left, &right, &mut out.off[k]);
        }
        out.corner.copy_from_slice(&self.corner);
    }
}

/// A `to` x `from` matrix, column-major.
struct Side<'a> {
    values: &'a [f64],
    to: usize,
    from: usize,
}

fn transposed(a: &[f64], m: usize, n: usize) -> Vec<f64> {
    let mut t = vec![0.0; m * n];
    for j in 0..n {
        for i in 0..m {
            t[i * n + j] = a[j * m + i];
        }
    }
    t
}

/// out = left A right' for every block A.
fn sandwich_blocks(a: &[f64], left: &Side, right: &Side, out: &mut [f64]) {
    let (size_in, size_out) = (left.from * right.from, left.to * right.to);
    if size_out == 0 {
        return;
    }
    if size_in == 0 {
        out.fill(0.0);
        return;
    }
    if size_in == 1 && size_out == 1 {
        let scale = left.values[0] * right.values[0];
        out.iter_mut().zip(a).for_each(|(out, a)| *out = scale * a);
        return;
    }
    let run = |a: &[f64], out: &mut [f64]| {
        let mut half = vec![0.0; left.to * right.from];
        for (a, out) in a.chunks_exact(size_in).zip(out.chunks_exact_mut(size_out)) {
            match (left.to, left.from, right.from, right.to) {
                (2, 2, 2, 2) => sandwich(a, left.values, 2, 2, right.values, 2, 2, &mut half, out),
                (3, 3, 3, 3) => sandwich(a, left.values, 3, 3, right.values, 3, 3, &mut half, out),
                (m, k, l, n) => sandwich(a, left.values, m, k, right.values, l, n, &mut half, out),
            }
        }
    };
    let work = size_out * left.from + left.to * size_in;
    each_chunk(a, size_in, out, size_out, work, run);
}

/// half = left A, out = half right', for left m x k, A k x l, right n x l. Inlined so that constant sizes unroll.
#[inline(always)]
fn sandwich(
    a: &[f64],
    left: &[f64],
    m: usize,
    k: usize,
    right: &[f64],
    l: usize,
    n: usize,
    half: &mut [f64],
    out: &mut [f64],
) {
    let (half, out) = (&mut half[..m * l], &mut out[..m * n]);
    product(left, m, k, a, l, half);
    out.fill(0.0);
    for j in 0..l {
        for c in 0..n {
            let scale = right[j * n + c];
            for i in 0..m {
                out[c * m + i] += half[j * m + i] * scale;
            }
        }
    }
}

/// out = left A, for left m x k and A k x l.
#[inline(always)]
fn product(left: &[f64], m: usize, k: usize, a: &[f64], l: usize, out: &mut [f64]) {
    out.fill(0.0);
    for j in 0..l {
        for h in 0..k {
            let scale = a[j * k + h];
            for i in 0..m {
                out[j * m + i] += left[h * m + i] * scale;
            }
        }
    }
}

/// out = left A for every block A of `columns` columns.
fn multiply_blocks(a: &[f64], left: &Side, columns: usize, out: &mut [f64]) {
    let (size_in, size_out) = (left.from * columns, left.to * columns);
    if size_out == 0 {
        return;
    }
    if size_in == 0 {
        out.fill(0.0);
        return;
    }
    each_chunk(a, size_in, out, size_out, size_out * left.from, |a, out| {
        for (a, out) in a.chunks_exact(size_in).zip(out.chunks_exact_mut(size_out)) {
            product(left.values, left.to, left.from, a, columns, out);
        }
    });
}

/// Runs over chunks of whole blocks, in parallel when there is enough to do.
fn each_chunk(
    a: &[f64],
    size_in: usize,
    out: &mut [f64],
    size_out: usize,
    work: usize,
    run: impl Fn(&[f64], &mut [f64]) + Sync,
) {
    /// Multiply-adds of one chunk.
    const WORK: usize = 1 << 17;
    let blocks = (WORK / work.max(32)).max(1);
    if a.len() / size_in * work < PARALLEL_WORK {
        run(a, out);
    } else {
        out.par_chunks_mut(blocks * size_out).zip(a.par_chunks(blocks * size_in)).for_each(|(out, a)| run(a, out));
    }
}
