//! Every operation of the blocked linear algebra against plain dense arithmetic on random designs.
#![allow(missing_docs)]
mod dense;

use dense::{Dense, KINDS, Kind, Layout, assert_close, expanded};
use faer::prelude::Solve;
use faer::{Mat, Side};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ranef_engine::linalg::{
    BlockMatrix, Congruence, Factorization, Pattern, Place, RootedCorrelation, Tie, product_diagonal,
};
use std::sync::Arc;

/// Both sides take some hundred operations of size one on matrices with condition numbers below 1e4.
const TOLERANCE: f64 = 1e-10;

fn pattern(layout: &Layout) -> Arc<Pattern> {
    let groups: Vec<(&[u32], usize)> =
        layout.codes.iter().map(Vec::as_slice).zip(layout.levels.iter().copied()).collect();
    Arc::new(Pattern::new(&groups, layout.x.len()))
}

/// Z'Z, Z'X and X'X with one indexed addition for each row, as the likelihoods do it.
fn cross_products(layout: &Layout, pattern: &Pattern) -> BlockMatrix {
    let widths = layout.widths();
    let (mut b, p) = (BlockMatrix::zeros(pattern, &widths), layout.x.len());
    for i in 0..layout.n {
        for f in 0..widths.len() {
            let (level, w) = (layout.codes[f][i] as usize, widths[f]);
            for c in 0..w {
                for a in 0..w {
                    b.diag[f][(level * w + c) * w + a] += layout.columns[f][a][i] * layout.columns[f][c][i];
                }
            }
            for c in 0..p {
                for a in 0..w {
                    b.border[f][(level * p + c) * w + a] += layout.columns[f][a][i] * layout.x[c][i];
                }
            }
        }
        for (k, pair) in pattern.pairs().iter().enumerate() {
            let (f, g, slot) = (pair.first, pair.second, pair.slot_of_row[i] as usize);
            for c in 0..widths[g] {
                for a in 0..widths[f] {
                    b.off[k][(slot * widths[g] + c) * widths[f] + a] +=
                        layout.columns[f][a][i] * layout.columns[g][c][i];
                }
            }
        }
        for c in 0..p {
            for a in 0..p {
                b.corner[c * p + a] += layout.x[a][i] * layout.x[c][i];
            }
        }
    }
    b
}

/// The blocks of a dense (q + P) square matrix on the pattern.
fn restricted(dense: &Dense, pattern: &Pattern, widths: &[usize]) -> BlockMatrix {
    let (mut out, offsets, p) = (BlockMatrix::zeros(pattern, widths), pattern.offsets(widths), pattern.border());
    let border = offsets[pattern.n_factors()];
    for f in 0..pattern.n_factors() {
        let w = widths[f];
        for level in 0..pattern.levels(f) {
            let at = offsets[f] + level * w;
            out.diag[f][level * w * w..][..w * w].copy_from_slice(&dense.block(at, at, w, w).values);
            out.border[f][level * w * p..][..w * p].copy_from_slice(&dense.block(at, border, w, p).values);
        }
    }
    for (k, pair) in pattern.pairs().iter().enumerate() {
        let (wf, wg) = (widths[pair.first], widths[pair.second]);
        for level in 0..pattern.levels(pair.first) {
            for slot in pair.ptr[level]..pair.ptr[level + 1] {
                let row = offsets[pair.first] + level * wf;
                let column = offsets[pair.second] + pair.second_level[slot] as usize * wg;
                out.off[k][slot * wf * wg..][..wf * wg].copy_from_slice(&dense.block(row, column, wf, wg).values);
            }
        }
    }
    out.corner = dense.block(border, border, p, p).values;
    out
}

#[track_caller]
fn assert_same_blocks(what: &str, found: &BlockMatrix, expected: &BlockMatrix) {
    let parts = |m: &BlockMatrix| [m.diag.concat(), m.off.concat(), m.border.concat(), m.corner.clone()];
    for (part, (found, expected)) in
        ["diagonal", "off-diagonal", "border", "corner"].iter().zip(parts(found).iter().zip(&parts(expected)))
    {
        assert_close(&format!("{what}, {part}"), found, expected, TOLERANCE);
    }
}

/// Random factors of which a share of the entries is zero: singular ones included.
fn random_factors(layout: &mut Layout, ranks: &[usize], share_of_zeros: f64) -> Vec<Vec<f64>> {
    let widths = layout.widths();
    (0..ranks.len())
        .map(|f| {
            (0..widths[f] * ranks[f])
                .map(|_| {
                    if layout.rng.random_range(0.0..1.0) < share_of_zeros {
                        0.0
                    } else {
                        layout.rng.random_range(-1.5..1.5)
                    }
                })
                .collect()
        })
        .collect()
}

/// Compares everything on one layout.
fn check(mut layout: Layout, rank_of: impl Fn(usize) -> usize, share_of_zeros: f64) {
    let (pattern, widths, p) = (pattern(&layout), layout.widths(), layout.x.len());
    let ranks: Vec<usize> = widths.iter().map(|&w| rank_of(w)).collect();
    let factors = random_factors(&mut layout, &ranks, share_of_zeros);

    let zx = layout.z().beside(&layout.x());
    let dense_b = zx.transposed().times(&zx);
    let b = cross_products(&layout, &pattern);
    assert_same_blocks("cross-products", &b, &restricted(&dense_b, &pattern, &widths));

    let x: Vec<f64> = (0..dense_b.rows).map(|_| layout.normal()).collect();
    let mut y = vec![1.0; x.len()];
    b.multiply(&pattern, &x, &mut y);
    let expected = dense_b.times(&Dense::from(x.len(), 1, &x));
    assert_close("product", &y, &expected.values.iter().map(|v| v + 1.0).collect::<Vec<_>>(), TOLERANCE);

    let lambda = expanded(&layout.levels, &widths, &ranks, &factors);
    let a = layout.z().times(&lambda).beside(&layout.x());
    let q = lambda.columns;
    let dense_h = a.transposed().times(&a);
    let mut h = BlockMatrix::zeros(&pattern, &ranks);
    b.congruence(&pattern, &factors, Congruence::Inner, &mut h);
    assert_same_blocks("inner congruence", &h, &restricted(&dense_h, &pattern, &ranks));

    let mut m = dense_h.clone();
    (0..q).for_each(|i| m.set(i, i, m.at(i, i) + 1.0));
    let random = m.block(0, 0, q, q);
    let mut factorization = Factorization::new(pattern.clone(), &ranks);
    // Twice: the second must not remember the first.
    for _ in 0..2 {
        factorization.factor(&h).expect("M is at least the identity plus a Gram matrix");
    }
    let (log_det, log_det_m) = (random.log_det(), m.log_det());
    assert_close("log determinant", &[factorization.log_det()], &[log_det], TOLERANCE);
    assert_close("log determinant of the border", &[factorization.log_det_border()], &[log_det_m - log_det], 1e-9);

    let rhs: Vec<f64> = (0..2 * (q + p)).map(|_| layout.normal()).collect();
    let mut solution = rhs.clone();
    factorization.solve_in_place(&mut solution, 2);
    assert_close("solution", &solution, &m.solve(&Dense::from(q + p, 2, &rhs)).values, TOLERANCE);
    let mut solution = rhs[..2 * q].to_vec();
    factorization.solve_random_in_place(&mut solution, 2);
    assert_close("random solution", &solution, &random.solve(&Dense::from(q, 2, &rhs[..2 * q])).values, TOLERANCE);

    let inverse = m.inverse();
    let mut found = BlockMatrix::zeros(&pattern, &ranks);
    factorization.selected_inverse_into(&mut found);
    assert_same_blocks("selected inverse", &found, &restricted(&inverse, &pattern, &ranks));

    let diagonal = product_diagonal(&pattern, &b, &factors, &found, true);
    check_product_diagonal(&layout, &ranks, &diagonal, &zx.transposed().times(&a).times(&inverse));

    let mut covariance = BlockMatrix::zeros(&pattern, &widths);
    found.congruence(&pattern, &factors, Congruence::Outer, &mut covariance);
    let outer = lambda.times(&inverse.block(0, 0, q, q)).times(&lambda.transposed());
    let expected: Vec<f64> = restricted_diagonal(&outer, &layout.levels, &widths);
    assert_close("outer congruence", &covariance.diag.concat(), &expected, TOLERANCE);

    let inverse = random.inverse();
    factorization.selected_inverse_random_into(&mut found);
    let mut bordered = Dense::zeros(q + p, q + p);
    for j in 0..q {
        for i in 0..q {
            bordered.set(i, j, inverse.at(i, j));
        }
    }
    assert_same_blocks("random selected inverse", &found, &restricted(&bordered, &pattern, &ranks));
    let diagonal = product_diagonal(&pattern, &b, &factors, &found, false);
    let zlambda = layout.z().times(&lambda);
    check_product_diagonal(&layout, &ranks, &diagonal, &layout.z().transposed().times(&zlambda).times(&inverse));
}

fn restricted_diagonal(dense: &Dense, levels: &[usize], widths: &[usize]) -> Vec<f64> {
    let (mut out, mut at) = (Vec::new(), 0);
    for f in 0..levels.len() {
        for _ in 0..levels[f] {
            out.extend(dense.block(at, at, widths[f], widths[f]).values);
            at += widths[f];
        }
    }
    out
}

/// Sums the diagonal p_f x r_f blocks of a dense matrix over the levels of each factor.
#[track_caller]
fn check_product_diagonal(layout: &Layout, ranks: &[usize], found: &[Vec<f64>], dense: &Dense) {
    let (widths, mut row, mut column) = (layout.widths(), 0, 0);
    for f in 0..ranks.len() {
        let mut sum = Dense::zeros(widths[f], ranks[f]);
        for _ in 0..layout.levels[f] {
            sum = sum.plus(1.0, &dense.block(row, column, widths[f], ranks[f]));
            row += widths[f];
            column += ranks[f];
        }
        assert_close("product diagonal", &found[f], &sum.values, TOLERANCE);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn small_designs_agree_with_dense_arithmetic(
        kind in prop::sample::select(KINDS.to_vec()),
        widths in prop::collection::vec(1usize..=4, 3),
        (p, size, lost, zeros, seed) in (0usize..=10, 2usize..7, 0usize..2, 0usize..3, any::<u64>()),
    ) {
        let layout = Layout::new(kind, 60, size, &widths, p, seed);
        check(layout, |w| (w - w.min(lost)).max(1), [0.0, 0.4, 1.0][zeros]);
    }
}

#[test]
fn large_remainders_agree_with_dense_arithmetic() {
    // Beyond 128 remaining effects the sparse code is considered: crossed designs stay dense, nested ones do not.
    check(Layout::new(Kind::Crossed, 900, 200, &[2, 1], 3, 1), |w| w, 0.0);
    check(Layout::new(Kind::Nested, 500, 70, &[1], 3, 2), |w| w, 0.0);
    check(Layout::new(Kind::Nested, 300, 25, &[2, 1, 3], 2, 3), |w| w, 0.3);
    check(Layout::new(Kind::NestedAndCrossed, 300, 110, &[1], 3, 4), |w| w, 0.0);
    check(Layout::new(Kind::Observation, 250, 150, &[2, 1], 10, 5), |w| w, 0.0);
    check(Layout::new(Kind::ThreeCrossed, 200, 260, &[1, 1, 2], 1, 6), |w| w, 0.0);
}

#[test]
fn a_model_without_random_effects_has_only_a_border() {
    let mut layout = Layout::new(Kind::Single, 20, 3, &[1], 4, 7);
    (layout.codes, layout.levels, layout.columns) = (vec![], vec![], vec![]);
    check(layout, |w| w, 0.0);
}

#[test]
fn the_offending_level_is_named() {
    let layout = Layout::new(Kind::Crossed, 60, 6, &[1], 1, 8);
    let pattern = pattern(&layout);
    let mut factorization = Factorization::new(pattern.clone(), &[1, 1]);
    for (factor, level) in [(1, 4), (0, 2)] {
        let mut h = cross_products(&layout, &pattern);
        h.diag[factor][level] = -3.0;
        let place = factorization.factor(&h).unwrap_err().place;
        assert_eq!(place, Place::Effect { factor, level });
    }
    let mut h = cross_products(&layout, &pattern);
    h.corner[0] = f64::NAN;
    assert_eq!(factorization.factor(&h).unwrap_err().place, Place::Border { column: 0 });
}

#[test]
fn numbers_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let mut layout = Layout::new(Kind::Crossed, 40_000, 1_200, &[1, 2], 9, 9);
            let pattern = pattern(&layout);
            let ranks = layout.widths();
            let factors = random_factors(&mut layout, &ranks, 0.0);
            let b = cross_products(&layout, &pattern);
            let mut h = BlockMatrix::zeros(&pattern, &ranks);
            b.congruence(&pattern, &factors, Congruence::Inner, &mut h);
            let mut factorization = Factorization::new(pattern.clone(), &ranks);
            factorization.factor(&h).expect("positive definite");
            let mut inverse = BlockMatrix::zeros(&pattern, &ranks);
            factorization.selected_inverse_into(&mut inverse);
            let mut x = vec![1.0; 2 * (factorization.n_random() + 9)];
            factorization.solve_in_place(&mut x, 2);
            (factorization.log_det(), x, product_diagonal(&pattern, &b, &factors, &inverse, true))
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

/// Blocks of correlated effects each of which one row of data meets alone: determinant, solutions, diagonal of the inverse
/// and marginal precision are those of dense matrices, from no data at all to almost exact ones, and where M is positive
/// definite in spite of a row that is not log-concave.
#[test]
fn correlated_effects_seen_at_points_agree_with_dense_arithmetic() {
    let sizes = [19, 1, 24];
    let q: usize = sizes.iter().sum();
    let starts: Vec<usize> =
        sizes.iter().scan(0, |at, size| Some(std::mem::replace(at, *at + size))).chain([q]).collect();
    let codes: Vec<u32> = (0..q as u32).collect();
    let pattern = Arc::new(Pattern::new(&[(&codes, q)], 0).tied(vec![Tie::Correlation(starts.clone())]));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut r = Mat::<f64>::zeros(q, q);
    let mut blocks = Vec::new();
    for (block, &size) in sizes.iter().enumerate() {
        let at: Vec<f64> = (0..size).map(|_| rng.random_range(0.0..2.0)).collect();
        let mut values = vec![0.0; size * size];
        for j in 0..size {
            for i in 0..size {
                values[j * size + i] = (-(at[i] - at[j]).abs()).exp();
                r[(starts[block] + i, starts[block] + j)] = values[j * size + i];
            }
        }
        let own = Mat::from_fn(size, size, |i, j| values[j * size + i]);
        let l = own.llt(Side::Lower).unwrap();
        let root = (0..size * size).map(|k| l.L()[(k % size, k / size)]).collect();
        blocks.push(Arc::new(RootedCorrelation { values, root }));
    }
    let mut factorization = Factorization::new(pattern.clone(), &[1]);
    factorization.set_correlation(0, &blocks);
    for (what, seen) in [("moderate", 1.0), ("hardly", 1e-9), ("almost exactly", 1e4), ("not log-concave", -0.2)] {
        let mut h = BlockMatrix::zeros(&pattern, &[1]);
        for (i, value) in h.diag[0].iter_mut().enumerate() {
            *value = match i % 5 {
                0 => 0.0,
                1 if seen < 0.0 => seen,
                2 => 3.0,
                _ => seen.abs() * rng.random_range(0.5..2.0),
            };
        }
        factorization.factor(&h).unwrap();
        let s = Mat::from_fn(q, q, |i, j| if i == j { h.diag[0][i] } else { 0.0 });
        // (S + R^-1)^-1 = (I + R S)^-1 R, and K = (R + S^-1)^-1 = (I + S R)^-1 S.
        let ratio = Mat::<f64>::identity(q, q) + &r * &s;
        let inverse = ratio.full_piv_lu().solve(&r);
        let k = (Mat::<f64>::identity(q, q) + &s * &r).full_piv_lu().solve(&s);
        let mut found = BlockMatrix::zeros(&pattern, &[1]);
        factorization.selected_inverse_into(&mut found);
        let diagonal: Vec<f64> = (0..q).map(|i| inverse[(i, i)]).collect();
        assert_close(&format!("{what}: inverse"), &found.diag[0], &diagonal, TOLERANCE);
        let mut at = 0;
        for (block, &size) in sizes.iter().enumerate() {
            let expected: Vec<f64> =
                (0..size * size).map(|e| k[(starts[block] + e % size, starts[block] + e / size)]).collect();
            let own = &found.marginal[0][at..at + size * size];
            assert_close(&format!("{what}: marginal precision {block}"), own, &expected, TOLERANCE);
            at += size * size;
        }
        let mut x: Vec<f64> = (0..q).map(|i| (i as f64).sin()).collect();
        let expected = &inverse * Mat::from_fn(q, 1, |i, _| x[i]);
        factorization.solve_in_place(&mut x, 1);
        assert_close(
            &format!("{what}: solution"),
            &x,
            &(0..q).map(|i| expected[(i, 0)]).collect::<Vec<_>>(),
            TOLERANCE,
        );
        let log_det = ratio.determinant().ln();
        assert!((factorization.log_det() - log_det).abs() < 1e-8 * (1.0 + log_det.abs()), "{what}: {log_det}");
    }
}
