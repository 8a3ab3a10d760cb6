//! The profiled likelihood against its definition, log|V| + r' V^{-1} r with dense n x n matrices.
#![allow(missing_docs)]
mod dense;

use dense::{Dense, KINDS, Layout, STRUCTURES, assert_close, expanded, gls};
use proptest::prelude::*;
use rand::RngExt;
use ranef_engine::likelihood::profiled::Profiled;

/// Relative to the largest entry: n x n Cholesky factorisations with condition numbers up to 1e5.
const TOLERANCE: f64 = 1e-9;

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn value_and_solution_agree_with_generalised_least_squares(
        kind in prop::sample::select(KINDS.to_vec()),
        widths in prop::collection::vec(1usize..=3, 3),
        (p, size, zeros, seed) in (0usize..=5, 2usize..6, 0usize..3, any::<u64>()),
        (structure, reml, weighted) in (prop::sample::select(STRUCTURES.to_vec()), any::<bool>(), any::<bool>()),
    ) {
        let mut layout = Layout::new(kind, 50, size, &widths, p, seed);
        let (y, weights, offset) = layout.response();
        let (weights, offset) = if weighted { (Some(&weights[..]), Some(&offset[..])) } else { (None, None) };
        let (groupings, template) = (layout.groupings(), layout.template(structure));
        let x = layout.x();
        let mut profiled = Profiled::new(&y, &x.values, p, &groupings, template, weights, offset, reml).unwrap();
        let theta: Vec<f64> = (0..profiled.template().n_theta())
            .map(|_| if layout.rng.random_range(0..3) < zeros { 0.0 } else { layout.rng.random_range(-1.5..1.5) })
            .collect();

        let widths = layout.widths();
        let lambda = expanded(&layout.levels, &widths, &widths, &profiled.template().factors(&theta));
        let shifted: Vec<f64> = y.iter().enumerate().map(|(i, y)| y - offset.map_or(0.0, |o| o[i])).collect();
        let expected = gls(&layout, &lambda, &shifted, weights, reml);
        assert_close("criterion", &[profiled.value(&theta)], &[expected.criterion], TOLERANCE);

        let solution = profiled.solution(&theta).expect("finite");
        assert_close("beta", &solution.beta, &expected.beta, TOLERANCE);
        assert_close("vcov", &solution.vcov_beta_unscaled, &expected.vcov_unscaled.values, TOLERANCE);
        let m = (layout.n - if reml { p } else { 0 }) as f64;
        assert_close("r2", &[solution.r2], &[expected.r2], TOLERANCE);
        assert_close("sigma", &[solution.sigma], &[(expected.r2 / m).sqrt()], TOLERANCE);
        // BLUPs: u = Lambda' Z' V^{-1} (y - X beta), b = Lambda u.
        let u = layout.z().times(&lambda).transposed().times(&expected.weighted_residual);
        assert_close("u", &solution.u.concat(), &u.values, TOLERANCE);
        assert_close("b", &solution.b.concat(), &lambda.times(&u).values, TOLERANCE);
        assert_close("penalty", &[solution.penalty], &[u.values.iter().map(|u| u * u).sum::<f64>()], TOLERANCE);
        assert_close("parts of r2", &[solution.residual + solution.penalty], &[solution.r2], TOLERANCE);
        assert_close("criterion of the solution", &[solution.criterion], &[expected.criterion], TOLERANCE);
    }

    #[test]
    fn mode_jacobian_agrees_with_differences_of_the_modes(
        kind in prop::sample::select(KINDS.to_vec()),
        (p, seed, reml) in (0usize..=3, any::<u64>(), any::<bool>()),
    ) {
        let mut layout = Layout::new(kind, 50, 4, &[2, 1, 1], p, seed);
        let (y, ..) = layout.response();
        let (x, groupings, template) = (layout.x(), layout.groupings(), layout.template("us"));
        let mut profiled = Profiled::new(&y, &x.values, p, &groupings, template, None, None, reml).unwrap();
        let theta: Vec<f64> =
            (0..profiled.template().n_theta()).map(|_| layout.rng.random_range(-1.2..1.2)).collect();
        let jacobian = profiled.mode_jacobian(&theta).expect("finite");
        let q: usize = layout.widths().iter().zip(&layout.levels).map(|(w, l)| w * l).sum();
        let to_beta = Dense::from(p, p, &jacobian.to_beta);
        for m in 0..theta.len() {
            // Steps of 1e-5: truncation 1e-10 and rounding 1e-11 relative to modes of order one.
            let modes = |profiled: &mut Profiled, step: f64| {
                let mut moved = theta.clone();
                moved[m] += step;
                let solution = profiled.solution(&moved).expect("finite");
                [solution.u.concat(), solution.beta].concat()
            };
            let (above, below) = (modes(&mut profiled, 1e-5), modes(&mut profiled, -1e-5));
            let differences: Vec<f64> = above.iter().zip(&below).map(|(a, b)| (a - b) / 2e-5).collect();
            let column = &jacobian.columns[m * (q + p)..(m + 1) * (q + p)];
            let beta = to_beta.times(&Dense::from(p, 1, &column[q..])).values;
            assert_close("jacobian", &[&column[..q], &beta].concat(), &differences, 1e-7);
        }
    }
}
