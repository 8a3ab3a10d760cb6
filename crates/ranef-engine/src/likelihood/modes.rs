//! The search for the mode of the effects, for given outer parameters.
//!
//! Newton's method on f(v) = - sum_i w_i l_i + |u|^2 / 2 with a line search: p = -H^-1 grad f, H = A'WA + I. Reference:
//! Nocedal & Wright (2006), Numerical Optimization, section 3.1 (sufficient decrease).
use super::laplace::{Laplace, product};

/// The Newton decrement that ends the search for the mode, for up to 100 effects (more effects: in proportion). The
/// gradient's error is of the order of its root, in standard errors.
const DECREMENT_TOLERANCE: f64 = 1e-16;
/// The decrement below which a step by the last factored H, instead of the one at this point, ends at the mode: the two
/// differ by about a thousandth within a thousandth of a standard error.
const CHORD_DECREMENT: f64 = 1e-9;
/// A decrement below which a failure to fall is put down to rounding.
const ROUNDING_DECREMENT: f64 = 1e-9;
/// A step by an earlier H must leave at most this share of the decrement for the next one to be worth its while.
const STALE_SHARE: f64 = 0.1;
/// Nor may it change a predictor on a non-linear scale by more than this.
const STALE_CHANGE: f64 = 1.0;
const MAX_INNER_ITERATIONS: usize = 200;
const ARMIJO: f64 = 1e-4;
const LARGEST_CHANGE: f64 = 5.0;

impl Laplace {
    /// Finds the mode for the outer parameters x; leaves the state there with H factored. Returns f, or `None` where no
    /// mode with a positive definite H is found.
    ///
    /// Newton's method with a line search. Where H is indefinite the rows' curvature is replaced by
    /// its absolute value for that step. Where factoring H takes much longer than a pass over the rows, steps by the last
    /// factored H come in between, as long as they converge fast. It ends on the Newton decrement, which bounds the distance to the mode; the
    /// relative decrease of f does not.
    pub(super) fn find_mode(&mut self, x: &[f64], order: usize) -> Option<f64> {
        let outer = self.outer_eta(x);
        let found = self.find_mode_from(&outer, x, order);
        self.spare = outer;
        found
    }

    /// The same, given eta without what the mode adds to it.
    fn find_mode_from(&mut self, outer: &[Vec<f64>], x: &[f64], order: usize) -> Option<f64> {
        self.state.known = None;
        self.state.x = x.to_vec();
        self.state.factors = self.data.design.template.factors(self.theta(x));
        if !self.set_prior(x) {
            return None;
        }
        let mut f = self.enter(x, outer)?;
        let tolerance = DECREMENT_TOLERANCE * (1.0_f64).max(self.q as f64 / 100.0);
        let (mut evaluated, mut previous) = (2, f64::INFINITY);
        let costly = self.factorization.is_costly(self.data.design.n);
        // The decrement that a step by the last factored H has to fall below; zero where there is no such H.
        let mut stale = if std::mem::replace(&mut self.factored, false) { f64::INFINITY } else { 0.0 };
        for iteration in 0..MAX_INNER_ITERATIONS {
            if self.stop.is_interrupted() {
                return None;
            }
            self.inner_iterations += 1;
            let gradient = self.inner_gradient();
            let mut step = gradient.clone();
            let near = iteration == 0 && self.expansion.is_some();
            if stale > 0.0 && (near || costly) {
                self.factorization.solve_in_place(&mut step, 1);
                let decrement = product(&step, &gradient);
                // Next to a point whose mode is known to first order, the last H serves as well as a new one.
                if near && decrement < CHORD_DECREMENT {
                    self.state.mode.iter_mut().zip(&step).for_each(|(v, s)| *v -= s);
                    self.refresh_eta(outer);
                    f = self.evaluate_rows(order);
                    evaluated = order;
                    continue;
                }
                if costly && decrement < STALE_SHARE * stale && decrement > 0.1 * tolerance {
                    let from = self.state.mode.clone();
                    let largest = self.move_along(&from, &step, 1.0, outer);
                    let trial = if largest <= STALE_CHANGE { self.evaluate_rows(2) } else { f64::INFINITY };
                    if trial <= f + 1e-12 * f.abs() {
                        (f, evaluated, stale) = (trial, 2, decrement);
                        continue;
                    }
                    self.move_along(&from, &step, 0.0, outer);
                    f = self.evaluate_rows(2);
                    evaluated = 2;
                }
                step.clone_from(&gradient);
            }
            let mut definite = self.factor();
            if !definite {
                super::curvature::make_semidefinite(&mut self.state.rows.second, self.data.design.n_predictors());
                if !self.factor() {
                    return None;
                }
            }
            self.factorization.solve_in_place(&mut step, 1);
            let decrement = product(&step, &gradient);
            self.state.decrement = decrement;
            self.state.definite = definite;
            if !decrement.is_finite() {
                return None;
            }
            // Newton's method is quadratic here: a small decrement that no longer falls is rounding.
            let rounding = decrement < ROUNDING_DECREMENT && decrement > 0.25 * previous;
            previous = decrement;
            if (decrement < tolerance || rounding) && definite {
                if evaluated < order {
                    f = self.evaluate_rows(order);
                }
                self.factored = true;
                return Some(f);
            }
            stale = if definite { decrement } else { 0.0 };
            // Third derivatives are wanted at the mode only; the step after a small decrement is the last one.
            let next_order = if decrement < 1e-2 { order } else { 2 };
            let from = self.state.mode.clone();
            let mut length = 1.0;
            let largest = self.move_along(&from, &step, length, outer);
            if largest > LARGEST_CHANGE {
                length = LARGEST_CHANGE / largest;
                self.move_along(&from, &step, length, outer);
            }
            let noise = 1e-12 * f.abs();
            let mut accepted = false;
            for _ in 0..60 {
                let trial = self.evaluate_rows(next_order);
                evaluated = next_order;
                if trial.is_finite() && trial <= f - ARMIJO * length * decrement + noise {
                    f = trial;
                    accepted = true;
                    break;
                }
                length *= 0.5;
                self.move_along(&from, &step, length, outer);
            }
            if !accepted {
                // Nothing is left to gain but rounding, or the function is broken here.
                self.move_along(&from, &step, 0.0, outer);
                f = self.evaluate_rows(order.max(2));
                self.inner_gradient();
                definite = self.factor();
                self.state.definite = definite;
                self.factored = definite;
                return (definite && decrement < 1e-6).then_some(f);
            }
        }
        None
    }

    /// Goes to the most promising start with a finite f, to second order; returns f there.
    fn enter(&mut self, x: &[f64], outer: &[Vec<f64>]) -> Option<f64> {
        let expected = self.expansion.as_ref().map(|expansion| expansion.at(x));
        let known = [self.start_mode.clone(), vec![0.0; self.start_mode.len()]];
        for start in expected.into_iter().chain(known) {
            self.state.mode = start;
            self.refresh_eta(outer);
            let f = self.evaluate_rows(2);
            if f.is_finite() {
                return Some(f);
            }
        }
        None
    }

    /// Sets v = from - length step, with its eta; returns the largest change of a predictor on a non-linear scale.
    fn move_along(&mut self, from: &[f64], step: &[f64], length: f64, outer: &[Vec<f64>]) -> f64 {
        for ((v, from), step) in self.state.mode.iter_mut().zip(from).zip(step) {
            *v = from - length * step;
        }
        self.refresh_eta(outer)
    }

    /// Puts the state at a given mode, without a search: rows to second order, H factored. `false` where H is not positive
    /// definite there.
    pub fn place(&mut self, x: &[f64], mode: Vec<f64>) -> bool {
        self.place_to(x, mode, 2)
    }

    /// The same with the rows to the order given.
    pub(super) fn place_to(&mut self, x: &[f64], mode: Vec<f64>, order: usize) -> bool {
        let outer = self.outer_eta(x);
        self.state.known = None;
        self.state.x = x.to_vec();
        self.state.factors = self.data.design.template.factors(self.theta(x));
        self.state.mode = mode;
        if !self.set_prior(x) {
            self.spare = outer;
            return false;
        }
        self.refresh_eta(&outer);
        self.spare = outer;
        let f = self.evaluate_rows(order);
        self.inner_gradient();
        self.factor() && f.is_finite()
    }
}
