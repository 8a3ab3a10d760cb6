//! A trust region on a dense quadratic model, with the model Hessian in the caller's hands.
//!
//! Each iteration minimises m(p) = g'p + p'Bp/2 over |D p| <= radius, D = diag(B)^(1/2), exactly, by an eigen-
//! decomposition of the scaled B (the problems are small); compares the decrease with the predicted one; and moves,
//! grows or shrinks. A point where the function is not finite counts as a failure of the model.
//!
//! Reference: Conn, Gould & Toint (2000), Trust-Region Methods, sections 6.1 (basic algorithm) and 7.3 (subproblem);
//! Nocedal & Wright (2006), Numerical Optimization, sections 6.2 (rank-one update), 6.1 (BFGS).
use super::{Outcome, Settings, Step, StopReason, Update};
use crate::linalg::{SymmetricEigen, dense_cholesky, symmetric_eigen};
use crate::objective::Objective;

/// A step must give this share of the predicted decrease to be taken.
const ACCEPT: f64 = 1e-4;
/// Below this share the region shrinks, above `GROW` it may grow.
const SHRINK: f64 = 0.25;
const GROW: f64 = 0.75;
/// The region's radius below which nothing can be gained.
const SMALLEST_RADIUS: f64 = 1e-12;
/// A predicted decrease that is only rounding, relative to 1 + |f| 1e-6.
const NO_DECREASE: f64 = 1e-9;
/// A search that lasts this many iterations gets a model Hessian from differences of the gradient, and again after as
/// many more: near a zero variance secant pairs learn too slowly what a few gradients tell at once.
const DIFFERENCE_EVERY: usize = 12;
/// The step of those differences, in units of the model's standard errors.
const DIFFERENCE_STEP: f64 = 1e-4;
/// Above this many parameters an eigendecomposition is avoided where it can be.
const MANY: usize = 64;
/// The smallest squared pivot of a model that counts as convex.
const CONVEX: f64 = 1e-8;
/// Rounding in a value, relative to |f|: differences below it do not tell a good step from a bad one.
const VALUE_NOISE: f64 = 1e-13;

/// Minimises `objective` from `start`.
pub fn minimise(objective: &mut dyn Objective, start: &[f64], settings: &Settings) -> Outcome {
    let dim = objective.dim();
    let mut x = start.to_vec();
    let mut gradient = vec![0.0; dim];
    let mut value = objective.value_gradient(&x, &mut gradient);
    let mut evaluations = 1;
    let mut trace = Vec::new();
    if !value.is_finite() {
        return Outcome { x, value, gradient, reason: StopReason::BadStart, evaluations, trace };
    }
    objective.accept();
    let mut model = Model::new(objective.metric(&x), dim);
    let mut radius = f64::INFINITY;
    let mut rejected = 0;
    let mut reason = StopReason::MaxIterations;
    for iteration in 1..=settings.max_iterations {
        if settings.stop.is_due() {
            reason = StopReason::Stopped;
            break;
        }
        if iteration % DIFFERENCE_EVERY == 0 && model.difference(objective, &x, &gradient) {
            evaluations += dim;
        }
        let (scaled_gradient, (p, predicted, length)) = match model.newton(&gradient, radius) {
            Some(found) => found,
            None => {
                let spectrum = model.spectrum();
                (spectrum.gradient_norm(&gradient), spectrum.step(&gradient, radius))
            }
        };
        let small = predicted < NO_DECREASE * (1.0 + value.abs() * 1e-6);
        if dim == 0 || (small && scaled_gradient < settings.gradient_tolerance) {
            reason = StopReason::Converged;
            break;
        }
        if !radius.is_finite() {
            radius = length;
        }
        let trial: Vec<f64> = x.iter().zip(&p).map(|(x, p)| x + p).collect();
        let mut trial_gradient = vec![0.0; dim];
        let trial_value = objective.value_gradient(&trial, &mut trial_gradient);
        evaluations += 1;
        let noise = VALUE_NOISE * (1.0 + value.abs());
        let ratio = if trial_value.is_finite() { (value - trial_value + noise) / (predicted + noise) } else { -1.0 };
        let accepted = ratio > ACCEPT;
        if trial_value.is_finite() {
            let change: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            if accepted {
                (x, value, gradient) = (trial, trial_value, trial_gradient);
                objective.accept();
                rejected = 0;
                if settings.update == Update::Refresh && iteration < DIFFERENCE_EVERY {
                    model.b = objective.metric(&x);
                    model.correct_bfgs(&p, &change);
                }
            }
            if settings.update == Update::RankOne || iteration >= DIFFERENCE_EVERY {
                // Rejected points teach the model as much as accepted ones.
                model.correct_rank_one(&p, &change);
            }
        }
        if ratio < SHRINK {
            radius = 0.25 * length;
        } else if ratio > GROW && length > 0.8 * radius {
            radius *= 2.5;
        }
        if !accepted {
            rejected += 1;
            if rejected >= 2 && settings.update == Update::RankOne && rejected % 4 == 2 {
                // The metric belongs to the best point, so that point is evaluated again.
                let mut again = vec![0.0; dim];
                objective.value_gradient(&x, &mut again);
                evaluations += 1;
                model.b = objective.metric(&x);
            }
        }
        trace.push(Step { value, gradient: scaled_gradient, radius, accepted });
        if radius < SMALLEST_RADIUS {
            reason = if scaled_gradient < settings.gradient_tolerance.max(1e-3) {
                StopReason::Converged
            } else {
                StopReason::Stalled
            };
            break;
        }
    }
    Outcome { x, value, gradient, reason, evaluations, trace }
}

/// A step with the decrease it promises and its scaled length.
type Trial = (Vec<f64>, f64, f64);

/// The quadratic model's Hessian B.
struct Model {
    dim: usize,
    b: Vec<f64>,
}

/// Eigen-decomposition of D^-1 B D^-1.
struct Spectrum {
    scale: Vec<f64>,
    values: Vec<f64>,
    /// Column after column.
    vectors: Vec<f64>,
}

impl Model {
    fn new(b: Vec<f64>, dim: usize) -> Self {
        Self { dim, b }
    }

    /// Replaces B by forward differences of the gradient at x; keeps it where a displaced point has no finite value.
    fn difference(&mut self, objective: &mut dyn Objective, x: &[f64], gradient: &[f64]) -> bool {
        let dim = self.dim;
        let (mut b, mut displaced) = (vec![0.0; dim * dim], vec![0.0; dim]);
        for m in 0..dim {
            let scale = 1.0 / self.b[m * dim + m].abs().sqrt();
            let mut moved = x.to_vec();
            moved[m] += DIFFERENCE_STEP * if scale.is_finite() { scale.min(10.0) } else { 1.0 };
            let step = moved[m] - x[m];
            if !objective.value_gradient(&moved, &mut displaced).is_finite() {
                return false;
            }
            for i in 0..dim {
                b[m * dim + i] = (displaced[i] - gradient[i]) / step;
            }
        }
        for j in 0..dim {
            for i in 0..dim {
                self.b[j * dim + i] = 0.5 * (b[j * dim + i] + b[i * dim + j]);
            }
        }
        true
    }

    fn times(&self, p: &[f64]) -> Vec<f64> {
        (0..self.dim).map(|i| (0..self.dim).map(|j| self.b[j * self.dim + i] * p[j]).sum()).collect()
    }

    fn add_outer(&mut self, weight: f64, a: &[f64]) {
        for j in 0..self.dim {
            for i in 0..self.dim {
                self.b[j * self.dim + i] += weight * a[i] * a[j];
            }
        }
    }

    /// B + (y - Bs)(y - Bs)' / (y - Bs)'s, skipped where the denominator is lost in rounding.
    fn correct_rank_one(&mut self, s: &[f64], y: &[f64]) {
        let rest: Vec<f64> = y.iter().zip(self.times(s)).map(|(y, bs)| y - bs).collect();
        let (along, size, length) = (dot(&rest, s), dot(&rest, &rest).sqrt(), dot(s, s).sqrt());
        if along.abs() > 1e-8 * size * length {
            self.add_outer(1.0 / along, &rest);
        }
    }

    /// BFGS, skipped where the function curves downwards along s.
    fn correct_bfgs(&mut self, s: &[f64], y: &[f64]) {
        let bs = self.times(s);
        let (sbs, sy) = (dot(s, &bs), dot(s, y));
        if sy > 0.2 * sbs.abs() && sbs > 0.0 {
            self.add_outer(-1.0 / sbs, &bs);
            self.add_outer(1.0 / sy, y);
        }
    }

    /// The gradient's norm and the step of many parameters where the model is convex and its minimiser inside the region:
    /// one Cholesky factorisation in the place of an eigendecomposition.
    fn newton(&self, gradient: &[f64], radius: f64) -> Option<(f64, Trial)> {
        let dim = self.dim;
        if dim <= MANY {
            return None;
        }
        let (scale, mut scaled) = self.scaled();
        dense_cholesky::factor_in_place(&mut scaled, dim).ok()?;
        if (0..dim).any(|i| scaled[i * dim + i].powi(2) < CONVEX) {
            return None;
        }
        let mut step: Vec<f64> = gradient.iter().zip(&scale).map(|(g, s)| -g / s).collect();
        dense_cholesky::forward_in_place(&scaled, dim, &mut step, 1, dim);
        let decrease = dot(&step, &step);
        dense_cholesky::backward_in_place(&scaled, dim, &mut step, 1, dim);
        let length = dot(&step, &step).sqrt();
        step.iter_mut().zip(&scale).for_each(|(p, s)| *p /= s);
        (length <= radius).then(|| (decrease.sqrt(), (step, 0.5 * decrease, length)))
    }

    /// D and D^-1 B D^-1.
    fn scaled(&self) -> (Vec<f64>, Vec<f64>) {
        let dim = self.dim;
        let largest = (0..dim).map(|i| self.b[i * dim + i].abs()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let scale: Vec<f64> = (0..dim).map(|i| self.b[i * dim + i].abs().max(1e-10 * largest).sqrt()).collect();
        let mut scaled = vec![0.0; dim * dim];
        for j in 0..dim {
            for i in 0..dim {
                scaled[j * dim + i] = 0.5 * (self.b[j * dim + i] + self.b[i * dim + j]) / (scale[i] * scale[j]);
            }
        }
        (scale, scaled)
    }

    fn spectrum(&self) -> Spectrum {
        let dim = self.dim;
        let (scale, scaled) = self.scaled();
        let SymmetricEigen { values, vectors } = symmetric_eigen(&scaled, dim);
        Spectrum { scale, values, vectors }
    }
}

impl Spectrum {
    /// Components of D^-1 g along the eigenvectors.
    fn components(&self, gradient: &[f64]) -> Vec<f64> {
        (0..gradient.len())
            .map(|k| {
                (0..gradient.len()).map(|i| self.vectors[k * gradient.len() + i] * gradient[i] / self.scale[i]).sum()
            })
            .collect()
    }

    fn gradient_norm(&self, gradient: &[f64]) -> f64 {
        let parts = self.components(gradient);
        parts.iter().zip(&self.values).map(|(c, value)| c * c / value.abs().max(1e-8)).sum::<f64>().sqrt()
    }

    /// The minimiser of the model in the region: step, predicted decrease, scaled length.
    fn step(&self, gradient: &[f64], radius: f64) -> Trial {
        let dim = gradient.len();
        let parts = self.components(gradient);
        let lowest = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let length = |shift: f64| {
            parts.iter().zip(&self.values).map(|(c, value)| (c / (value + shift)).powi(2)).sum::<f64>().sqrt()
        };
        // Without a radius yet, directions that curve downwards are treated as if they curved upwards.
        let floor = 1e-8;
        let mut solution: Vec<f64>;
        if lowest > floor && length(0.0) <= radius {
            solution = parts.iter().zip(&self.values).map(|(c, value)| -c / value).collect();
        } else if !radius.is_finite() {
            solution = parts.iter().zip(&self.values).map(|(c, value)| -c / value.abs().max(1e-3)).collect();
        } else {
            let mut low = (floor - lowest).max(0.0);
            if length(low) <= radius {
                // Hard case: along the lowest eigenvector the region's boundary is reached by a free component.
                solution = parts.iter().zip(&self.values).map(|(c, value)| -c / (value + low)).collect();
                let missing = (radius * radius - dot(&solution, &solution)).max(0.0).sqrt();
                let k = self.values.iter().position(|&value| value == lowest).unwrap_or(0);
                if lowest < -floor {
                    solution[k] += if parts[k] > 0.0 { -missing } else { missing };
                }
            } else {
                let mut high = low + dot(&parts, &parts).sqrt() / radius + 1.0;
                for _ in 0..200 {
                    let middle = 0.5 * (low + high);
                    if length(middle) > radius {
                        low = middle
                    } else {
                        high = middle
                    }
                    if high - low <= 1e-12 * high {
                        break;
                    }
                }
                solution = parts.iter().zip(&self.values).map(|(c, value)| -c / (value + high)).collect();
            }
        }
        let size = dot(&solution, &solution).sqrt();
        let predicted = -(0..dim).map(|k| solution[k] * (parts[k] + 0.5 * self.values[k] * solution[k])).sum::<f64>();
        let step = (0..dim)
            .map(|i| (0..dim).map(|k| self.vectors[k * dim + i] * solution[k]).sum::<f64>() / self.scale[i])
            .collect();
        (step, predicted, size)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
