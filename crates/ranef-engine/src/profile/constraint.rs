//! A parameter held at a value: free coordinates z to a point x at which it has that value, and the chain rule back.
//!
//! Every map reaches all points with the value asked for and no others, so the search over z needs no constraint:
//!
//! ```text
//! coefficient   x_k = ( t - sum_m w_m x_m ) / w_k
//! sd of row i   lambda_i = t w / |w|                       (w free, its length without effect)
//! cor of rows   lambda_j = v + t / sqrt(1 - t^2) |v| d ,   d = lambda_i / |lambda_i|,  v = w - (w'd) d,  w_i = 0
//! ```
//!
//! Where theta are not entries of Lambda, the structure itself says which one theta a parameter determines, given the others.
//!
//! with lambda_i the i-th row of Lambda: |lambda_i| is the standard deviation, and the cosine of the angle between two
//! rows the correlation.
use super::Parameter;
use crate::covariance::{Natural, NaturalScale};
use crate::design::Design;
use crate::fitting::Fit;
use std::ops::Range;
use std::sync::Arc;

/// A parameter and how it is held.
pub(super) struct Constraint {
    kind: Kind,
    dim: usize,
}

enum Kind {
    /// log sigma is a coordinate.
    Sigma { at: usize },
    /// sum_m weights_m x_m over a range; `at` is solved for.
    Linear { first: usize, weights: Vec<f64>, at: usize },
    /// |x over `row`| / scale.
    Sd { row: Vec<usize>, scale: f64 },
    /// The cosine of two rows, given over the same columns (`None`: a structural zero); `at` is solved for.
    Correlation { first: Vec<Option<usize>>, second: Vec<Option<usize>>, at: usize, pivot: usize },
    /// A parameter of a structure whose theta, x over `range`, are not entries of Lambda; `at` is solved for.
    Solved { design: Arc<Design>, term: usize, range: Range<usize>, parameter: Natural, scale: f64, at: usize },
    /// Parameter `index` of a coupling, whose theta are x over `range`: it follows from its own theta alone.
    Coupling { design: Arc<Design>, factor: usize, range: Range<usize>, index: usize },
}

impl Constraint {
    /// `None` for a parameter that no one theta determines.
    pub fn new(fit: &Fit, parameter: Parameter) -> Option<Self> {
        let (design, layout) = (&fit.data.design, &fit.layout);
        let dim = layout.dim;
        let row = |term: usize, i: usize| -> Option<Vec<Option<usize>>> {
            let (covariance, range) = (design.template.covariance(term), design.template.theta_range(term));
            let mut entries = vec![None; covariance.rank()];
            for m in 0..covariance.n_theta() {
                let (r, c) = covariance.entry(m)?;
                if r == i {
                    entries[c] = Some(layout.theta.start + range.start + m);
                }
            }
            Some(entries)
        };
        let solved = |term: usize, natural: Natural, scale: f64| {
            let (covariance, own) = (design.template.covariance(term), design.template.theta_range(term));
            let range = layout.theta.start + own.start..layout.theta.start + own.end;
            let mut theta = fit.theta[own].to_vec();
            let at = range.start
                + covariance.hold(natural, NaturalScale::new(covariance, &theta).value(natural), &mut theta)?;
            Some(Kind::Solved { design: design.clone(), term, range, parameter: natural, scale, at })
        };
        let entries = |term: usize| {
            let covariance = design.template.covariance(term);
            (0..covariance.n_theta()).all(|m| covariance.entry(m).is_some())
        };
        let kind = match parameter {
            Parameter::Sd { term, column } if !entries(term) => {
                solved(term, Natural::Sd(column), design.places[term].scales[column])?
            }
            Parameter::Correlation { term, first, second } if !entries(term) => {
                solved(term, Natural::Correlation(first, second), 1.0)?
            }
            Parameter::Sigma => Kind::Sigma { at: 0 },
            Parameter::Coupling { term, index } => {
                let factor = design.template.factor_of(term);
                let own = design.template.coupling_range(factor);
                let range = layout.theta.start + own.start..layout.theta.start + own.end;
                Kind::Coupling { design: design.clone(), factor, range, index }
            }
            Parameter::Fixed { predictor, column } => {
                let range = layout.beta[predictor].clone()?;
                let weights = design.fixed[predictor].coefficient_row(column);
                Kind::Linear {
                    first: range.start,
                    weights,
                    at: range.start + design.fixed[predictor].own_coordinate(column),
                }
            }
            Parameter::Sd { term, column } => Kind::Sd {
                row: row(term, column)?.into_iter().flatten().collect(),
                scale: design.places[term].scales[column],
            },
            Parameter::Correlation { term, first, second } => {
                let (first_row, second_row) = (row(term, first)?, row(term, second)?);
                let at = second_row[first]?;
                Kind::Correlation { first: first_row, second: second_row, at, pivot: first }
            }
        };
        Some(Self { kind, dim })
    }

    /// The parameter at x.
    pub fn value(&self, x: &[f64]) -> f64 {
        match &self.kind {
            Kind::Sigma { at } => x[*at].exp(),
            Kind::Coupling { design, factor, range, index } => {
                let coupling = design.template.coupling(*factor).expect("the factor is coupled");
                coupling.natural(&x[range.clone()], *index).0
            }
            Kind::Linear { first, weights, .. } => weights.iter().zip(&x[*first..]).map(|(w, x)| w * x).sum(),
            Kind::Sd { row, scale } => norm(&gather(x, row)) / scale,
            Kind::Correlation { first, second, .. } => {
                let (a, b) = (sparse(x, first), sparse(x, second));
                dot(&a, &b) / (norm(&a) * norm(&b))
            }
            Kind::Solved { design, term, range, parameter, scale, .. } => {
                NaturalScale::new(design.template.covariance(*term), &x[range.clone()]).value(*parameter) / scale
            }
        }
    }

    /// Indices of x that the search moves; the others follow.
    pub fn free(&self) -> Vec<usize> {
        let solved = match &self.kind {
            Kind::Sigma { at } | Kind::Linear { at, .. } | Kind::Correlation { at, .. } | Kind::Solved { at, .. } => {
                Some(*at)
            }
            Kind::Coupling { range, index, .. } => Some(range.start + index),
            Kind::Sd { row, .. } if row.len() == 1 => Some(row[0]),
            Kind::Sd { .. } => None,
        };
        (0..self.dim).filter(|m| Some(*m) != solved).collect()
    }

    /// Moves x, near which the parameter has another value, to a start at which it is t.
    pub fn start(&self, t: f64, x: &mut [f64]) {
        match &self.kind {
            Kind::Sd { row, .. } if gather(x, row).iter().all(|value| *value == 0.0) => {
                // Any direction: the last entry is the row's own pivot.
                x[row[row.len() - 1]] = t;
            }
            Kind::Correlation { first, second, at, pivot } => {
                let (d, b) = (unit(&sparse(x, first)), sparse(x, second));
                let along = dot(&b, &d);
                let mut v: Vec<f64> = b.iter().zip(&d).map(|(b, d)| b - along * d).collect();
                let (length, rest) = (norm(&b), norm(&v));
                v.iter_mut().for_each(|v| *v *= length * (1.0 - t * t).sqrt() / rest);
                // The part along d is for `place` to set, but w has none in the column of the first row's pivot.
                let shift = v[*pivot] / d[*pivot];
                for ((slot, v), d) in second.iter().zip(&v).zip(&d) {
                    if let Some(slot) = slot {
                        x[*slot] = v - shift * d;
                    }
                }
                x[*at] = 0.0;
            }
            _ => {}
        }
        self.place(t, x);
    }

    /// Sets what follows from the free coordinates in x, in place.
    pub fn place(&self, t: f64, x: &mut [f64]) {
        match &self.kind {
            Kind::Sigma { at } => x[*at] = t.ln(),
            Kind::Coupling { design, factor, range, index } => {
                let coupling = design.template.coupling(*factor).expect("the factor is coupled");
                x[range.start + index] = coupling.theta_of(t, *index);
            }
            Kind::Linear { first, weights, at } => {
                x[*at] = 0.0;
                let rest: f64 = weights.iter().zip(&x[*first..]).map(|(w, x)| w * x).sum();
                x[*at] = (t - rest) / weights[at - first];
            }
            Kind::Solved { design, term, range, parameter, scale, .. } => {
                design.template.covariance(*term).hold(*parameter, t * scale, &mut x[range.clone()]);
            }
            Kind::Sd { row, scale } => {
                let w = gather(x, row);
                let length = norm(&w);
                for (&m, w) in row.iter().zip(&w) {
                    x[m] = if row.len() == 1 { t * scale } else { t * scale * w / length };
                }
            }
            Kind::Correlation { first, second, at, .. } => {
                x[*at] = 0.0;
                let (d, w) = (unit(&sparse(x, first)), sparse(x, second));
                let along = dot(&w, &d);
                let v: Vec<f64> = w.iter().zip(&d).map(|(w, d)| w - along * d).collect();
                let raise = t / (1.0 - t * t).sqrt() * norm(&v);
                for ((slot, v), d) in second.iter().zip(&v).zip(&d) {
                    if let Some(slot) = slot {
                        x[*slot] = v + raise * d;
                    }
                }
            }
        }
    }

    /// The gradient with respect to the free coordinates, in the order of [`Constraint::free`], from `g` with respect to
    /// x; `z` is x before it was placed.
    pub fn pull(&self, t: f64, z: &[f64], g: &[f64]) -> Vec<f64> {
        let mut out = g.to_vec();
        match &self.kind {
            Kind::Linear { first, weights, at } => {
                for (m, w) in weights.iter().enumerate() {
                    out[first + m] -= g[*at] * w / weights[at - first];
                }
            }
            Kind::Sd { row, scale } if row.len() > 1 => {
                let (w, along) = (gather(z, row), gather(g, row));
                let length = norm(&w);
                let inner = dot(&w, &along) / (length * length);
                for ((&m, w), g) in row.iter().zip(&w).zip(&along) {
                    out[m] = t * scale / length * (g - inner * w);
                }
            }
            Kind::Correlation { first, second, at, .. } => {
                let mut z = z.to_vec();
                z[*at] = 0.0;
                let (a, w, g) = (sparse(&z, first), sparse(&z, second), sparse(g, second));
                let (d, tau) = (unit(&a), t / (1.0 - t * t).sqrt());
                let along = dot(&w, &d);
                let v: Vec<f64> = w.iter().zip(&d).map(|(w, d)| w - along * d).collect();
                let (length, on_d) = (norm(&v), dot(&g, &d));
                // d objective / d v, then / d w and / d d.
                let gv: Vec<f64> = g.iter().zip(&v).map(|(g, v)| g + tau * on_d * v / length).collect();
                let gv_d = dot(&gv, &d);
                let gd: Vec<f64> = (0..d.len()).map(|c| tau * length * g[c] - along * gv[c] - gv_d * w[c]).collect();
                let (gd_d, size) = (dot(&gd, &d), norm(&a));
                for (c, slot) in second.iter().enumerate() {
                    if let Some(slot) = slot {
                        out[*slot] = gv[c] - gv_d * d[c];
                    }
                }
                for (c, slot) in first.iter().enumerate() {
                    if let Some(slot) = slot {
                        out[*slot] += (gd[c] - gd_d * d[c]) / size;
                    }
                }
            }
            Kind::Solved { design, term, range, parameter, scale, at } => {
                let mut theta = z[range.clone()].to_vec();
                let covariance = design.template.covariance(*term);
                covariance.hold(*parameter, t * scale, &mut theta);
                // Along the surface on which the parameter has its value the solved theta follows the others.
                let slope = NaturalScale::new(covariance, &theta).slope(*parameter);
                let own = slope[at - range.start];
                for (m, slope) in range.clone().zip(&slope) {
                    out[m] -= g[*at] * slope / own;
                }
            }
            Kind::Sigma { .. } | Kind::Sd { .. } | Kind::Coupling { .. } => {}
        }
        self.free().into_iter().map(|m| out[m]).collect()
    }

    /// The direction in the free coordinates that has no effect, if there is one: the length of a row.
    pub fn idle(&self, z: &[f64]) -> Option<Vec<f64>> {
        match &self.kind {
            Kind::Sd { row, .. } if row.len() > 1 => {
                let length = norm(&gather(z, row));
                Some((0..self.dim).map(|m| if row.contains(&m) { z[m] / length } else { 0.0 }).collect())
            }
            _ => None,
        }
    }

    /// d parameter / d x by central differences; only sizes of steps are made of it.
    pub fn slope(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len())
            .map(|m| {
                let h = 1e-5 * x[m].abs().max(1e-3);
                let (mut above, mut below) = (x.to_vec(), x.to_vec());
                above[m] += h;
                below[m] -= h;
                (self.value(&above) - self.value(&below)) / (2.0 * h)
            })
            .collect()
    }
}

fn gather(x: &[f64], at: &[usize]) -> Vec<f64> {
    at.iter().map(|&m| x[m]).collect()
}

fn sparse(x: &[f64], at: &[Option<usize>]) -> Vec<f64> {
    at.iter().map(|m| m.map_or(0.0, |m| x[m])).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn unit(a: &[f64]) -> Vec<f64> {
    let length = norm(a);
    a.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (0), (1, 2), (3, 4, 5) of a factor of three columns, behind one other coordinate.
    fn rows() -> [Vec<Option<usize>>; 3] {
        [vec![Some(1), None, None], vec![Some(2), Some(3), None], vec![Some(4), Some(5), Some(6)]]
    }

    fn all() -> Vec<Constraint> {
        let [first, second, third] = rows();
        let kinds = vec![
            Kind::Sigma { at: 0 },
            Kind::Linear { first: 2, weights: vec![0.5, -1.5, 2.0], at: 3 },
            Kind::Sd { row: vec![1], scale: 2.0 },
            Kind::Sd { row: vec![4, 5, 6], scale: 0.7 },
            Kind::Correlation { first: first.clone(), second: second.clone(), at: 2, pivot: 0 },
            Kind::Correlation { first, second: third.clone(), at: 4, pivot: 0 },
            Kind::Correlation { first: second, second: third, at: 5, pivot: 1 },
        ];
        kinds.into_iter().map(|kind| Constraint { kind, dim: 7 }).collect()
    }

    #[test]
    fn the_parameter_has_the_value_wherever_the_search_goes() {
        for (k, constraint) in all().iter().enumerate() {
            for t in [0.1, 0.5, 0.9] {
                let mut x = vec![0.3, 0.8, -0.2, 0.6, 0.4, -0.5, 0.9];
                constraint.start(t, &mut x);
                assert!((constraint.value(&x) - t).abs() < 1e-12, "{k} {t} {}", constraint.value(&x));
                let mut moved = x.clone();
                constraint.free().into_iter().for_each(|m| moved[m] += 0.1 * (1.0 + m as f64).sin());
                constraint.place(t, &mut moved);
                assert!((constraint.value(&moved) - t).abs() < 1e-12, "{k} {t}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let f = |x: &[f64]| x.iter().enumerate().map(|(m, x)| (x * (1.0 + 0.3 * m as f64)).sin()).sum::<f64>();
        let slope = |x: &[f64]| -> Vec<f64> {
            (0..x.len()).map(|m| (1.0 + 0.3 * m as f64) * (x[m] * (1.0 + 0.3 * m as f64)).cos()).collect()
        };
        let t = 0.4;
        for (k, constraint) in all().iter().enumerate() {
            let z = vec![0.3, 0.8, -0.2, 0.6, 0.4, -0.5, 0.9];
            let at = |z: &[f64]| {
                let mut x = z.to_vec();
                constraint.place(t, &mut x);
                x
            };
            let exact = constraint.pull(t, &z, &slope(&at(&z)));
            for (m, exact) in constraint.free().into_iter().zip(exact) {
                let h = 1e-6;
                let (mut above, mut below) = (z.clone(), z.clone());
                above[m] += h;
                below[m] -= h;
                let difference = (f(&at(&above)) - f(&at(&below))) / (2.0 * h);
                assert!((exact - difference).abs() < 1e-8, "{k} {m}: {exact} {difference}");
            }
        }
    }
}
