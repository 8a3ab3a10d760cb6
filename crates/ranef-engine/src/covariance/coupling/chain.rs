//! A first-order chain through time: AR(1) at whole steps, the Ornstein-Uhlenbeck process at any times.
//!
//! Within a series, from one time to the next with correlation rho_j over the step and v_j = 1 - rho_j^2,
//!
//! ```text
//! u_j = rho_j u_(j-1) + sqrt(v_j) z_j ,   the first from N(0, 1):
//! P gets [[rho^2, -rho], [-rho, 1]] / v_j for each step and 1 for each first time,   log|P| = - sum log v_j .
//! ```
//!
//! ar1: phi = theta / sqrt(1 + theta^2), rho_j = phi^(steps). ou: rho_j = exp(-e^theta dt_j).
//!
//! Reference: Rue & Held (2005), Gaussian Markov Random Fields, section 1.1; Kristensen et al. (2016), J. Stat. Softw. 70(5).
use super::{Coupling, Form, Precision, Scale, ShapeParameter};
use crate::covariance::Card;
use crate::linalg::Neighbours;

pub static OU: Card = Card {
    name: "ou",
    title: "Ornstein-Uhlenbeck: correlation exp(-rate dt) between any two times",
    parameters: "2",
    reference: "Kristensen et al. (2016), J. Stat. Softw. 70(5)",
};

/// How correlation falls with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// phi to the power of the number of steps.
    Steps,
    /// exp(-rate dt).
    Continuous,
}

static PHI: &[ShapeParameter] = &[ShapeParameter { name: "phi", scale: Scale::Correlation }];
static RATE: &[ShapeParameter] = &[ShapeParameter { name: "rate", scale: Scale::Log }];

/// One or several series, each with its times in order.
#[derive(Debug)]
pub struct Chain {
    clock: Clock,
    /// For each level the time since the level before it; `None` for the first of a series.
    gaps: Vec<Option<f64>>,
    neighbours: Neighbours,
}

/// The correlation over a step and what a precision needs of it.
struct Step {
    rho: f64,
    /// d rho / d theta.
    slope: f64,
    /// 1 - rho^2, without cancellation.
    rest: f64,
}

impl Chain {
    /// For levels in the order of their series and times.
    pub fn new(clock: Clock, gaps: Vec<Option<f64>>) -> Self {
        let mut neighbours = Neighbours { ptr: vec![0], lower: Vec::new() };
        for (level, gap) in gaps.iter().enumerate() {
            if gap.is_some() {
                neighbours.lower.push(level as u32 - 1);
            }
            neighbours.ptr.push(neighbours.lower.len());
        }
        Self { clock, gaps, neighbours }
    }

    fn step(&self, theta: f64, gap: f64) -> Step {
        match self.clock {
            Clock::Steps => {
                let square = 1.0 / (1.0 + theta * theta);
                let phi = theta * square.sqrt();
                let slope = square * square.sqrt();
                if gap == 1.0 {
                    return Step { rho: phi, slope, rest: square };
                }
                let steps = gap as i32;
                // log(phi^2) = -log(1 + 1 / theta^2)
                let rest = if theta == 0.0 { 1.0 } else { -(-gap * (1.0 / (theta * theta)).ln_1p()).exp_m1() };
                Step { rho: phi.powi(steps), slope: gap * phi.powi(steps - 1) * slope, rest }
            }
            Clock::Continuous => {
                let decay = theta.exp() * gap;
                let rho = (-decay).exp();
                Step { rho, slope: -decay * rho, rest: -(-2.0 * decay).exp_m1() }
            }
        }
    }
}

impl Coupling for Chain {
    fn levels(&self) -> usize {
        self.gaps.len()
    }

    fn parameters(&self) -> &'static [ShapeParameter] {
        match self.clock {
            Clock::Steps => PHI,
            Clock::Continuous => RATE,
        }
    }

    fn start(&self) -> Vec<f64> {
        match self.clock {
            Clock::Steps => vec![0.6],
            Clock::Continuous => {
                let mut gaps: Vec<f64> = self.gaps.iter().flatten().copied().collect();
                gaps.sort_unstable_by(f64::total_cmp);
                // A correlation of one half over the median gap.
                let typical = gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0.0).unwrap_or(1.0);
                vec![(0.7 / typical).ln()]
            }
        }
    }

    fn natural(&self, theta: &[f64], _m: usize) -> (f64, f64) {
        match self.clock {
            Clock::Steps => {
                let square = 1.0 / (1.0 + theta[0] * theta[0]);
                (theta[0] * square.sqrt(), square * square.sqrt())
            }
            Clock::Continuous => (theta[0].exp(), theta[0].exp()),
        }
    }

    fn theta_of(&self, natural: f64, _m: usize) -> f64 {
        match self.clock {
            Clock::Steps => natural / (1.0 - natural * natural).sqrt(),
            Clock::Continuous => natural.ln(),
        }
    }

    fn form(&self) -> Form<'_> {
        Form::Precision(self)
    }
}

impl Precision for Chain {
    fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    fn values_into(&self, theta: &[f64], diagonal: &mut [f64], off: &mut [f64]) -> f64 {
        let (mut log_det, mut next) = (0.0, 0);
        for (level, gap) in self.gaps.iter().enumerate() {
            let Some(gap) = gap else {
                diagonal[level] = 1.0;
                continue;
            };
            let step = self.step(theta[0], *gap);
            diagonal[level] = 1.0 / step.rest;
            diagonal[level - 1] += step.rho * step.rho / step.rest;
            off[next] = -step.rho / step.rest;
            log_det -= step.rest.ln();
            next += 1;
        }
        log_det
    }

    fn derivative_into(&self, theta: &[f64], _m: usize, diagonal: &mut [f64], off: &mut [f64]) -> f64 {
        let (mut log_det, mut next) = (0.0, 0);
        for (level, gap) in self.gaps.iter().enumerate() {
            let Some(gap) = gap else {
                diagonal[level] = 0.0;
                continue;
            };
            let Step { rho, slope, rest } = self.step(theta[0], *gap);
            // d(rho^2 / v) = d(1 / v) = 2 rho / v^2 drho, as v = 1 - rho^2.
            let change = 2.0 * rho / (rest * rest) * slope;
            diagonal[level] = change;
            diagonal[level - 1] += change;
            off[next] = -(1.0 + rho * rho) / (rest * rest) * slope;
            log_det += 2.0 * rho / rest * slope;
            next += 1;
        }
        log_det
    }

    fn solve_in_place(&self, theta: &[f64], x: &mut [f64]) {
        // P = (I - B)' V^-1 (I - B) with the steps' correlations in B.
        let steps: Vec<Option<Step>> = self.gaps.iter().map(|gap| gap.map(|gap| self.step(theta[0], gap))).collect();
        for level in (1..x.len()).rev() {
            if let Some(step) = &steps[level] {
                x[level - 1] += step.rho * x[level];
            }
        }
        for level in 0..x.len() {
            if let Some(step) = &steps[level] {
                x[level] = step.rest * x[level] + step.rho * x[level - 1];
            }
        }
    }

    fn draw_in_place(&self, theta: &[f64], z: &mut [f64]) {
        for (level, gap) in self.gaps.iter().enumerate() {
            if let Some(gap) = gap {
                let step = self.step(theta[0], *gap);
                z[level] = step.rest.sqrt() * z[level] + step.rho * z[level - 1];
            }
        }
    }
}
