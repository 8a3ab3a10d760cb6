//! The trust region on textbook functions (Moré, Garbow & Hillstrom 1981, ACM TOMS 7, 17-41), from their standard
//! starts, with exact Hessians and with none.

use ranef_engine::objective::Objective;
use ranef_engine::optimizer::{Settings, StopReason, Update, minimise};
use ranef_engine::stop::Stop;

/// A function with its gradient, a start and its minimum.
struct Problem {
    name: &'static str,
    value: fn(&[f64]) -> f64,
    start: &'static [f64],
    minimum: f64,
    /// The Hessian is singular at the minimum, so that only the value is known well.
    singular: bool,
}

const PROBLEMS: &[Problem] = &[
    Problem {
        name: "Rosenbrock",
        value: |x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2),
        start: &[-1.2, 1.0],
        minimum: 0.0,
        singular: false,
    },
    Problem {
        name: "Beale",
        value: |x| (1..=3).map(|i| ([1.5, 2.25, 2.625][i - 1] - x[0] * (1.0 - x[1].powi(i as i32))).powi(2)).sum(),
        start: &[1.0, 1.0],
        minimum: 0.0,
        singular: false,
    },
    Problem {
        name: "Powell singular",
        value: |x| {
            (x[0] + 10.0 * x[1]).powi(2)
                + 5.0 * (x[2] - x[3]).powi(2)
                + (x[1] - 2.0 * x[2]).powi(4)
                + 10.0 * (x[0] - x[3]).powi(4)
        },
        start: &[3.0, -1.0, 0.0, 1.0],
        minimum: 0.0,
        singular: true,
    },
    Problem {
        name: "Wood",
        value: |x| {
            100.0 * (x[1] - x[0] * x[0]).powi(2)
                + (1.0 - x[0]).powi(2)
                + 90.0 * (x[3] - x[2] * x[2]).powi(2)
                + (1.0 - x[2]).powi(2)
                + 10.0 * (x[1] + x[3] - 2.0).powi(2)
                + 0.1 * (x[1] - x[3]).powi(2)
        },
        start: &[-3.0, -1.0, -3.0, -1.0],
        minimum: 0.0,
        singular: false,
    },
    Problem {
        name: "badly scaled",
        value: |x| (1e4 * x[0] - 1.0).powi(2) + (1e-4 * x[1] - 1.0).powi(2) + (x[0] * x[1] - 1.0).powi(2),
        start: &[0.0, 0.0],
        minimum: 0.0,
        singular: false,
    },
    Problem {
        name: "logarithmic barrier",
        value: |x| if x[0] > 0.0 { x[0] - x[0].ln() } else { f64::INFINITY },
        start: &[30.0],
        minimum: 1.0,
        singular: false,
    },
];

struct Function {
    value: fn(&[f64]) -> f64,
    dim: usize,
}

impl Function {
    fn gradient(&self, x: &[f64], out: &mut [f64]) {
        for m in 0..self.dim {
            let h = 1e-5 * (1.0 + x[m].abs());
            let at = |t: f64| {
                let mut moved = x.to_vec();
                moved[m] += t;
                (self.value)(&moved)
            };
            out[m] = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        }
    }
}

impl Objective for Function {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.gradient(x, gradient);
        (self.value)(x)
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let (mut out, mut above, mut below) =
            (vec![0.0; self.dim * self.dim], vec![0.0; self.dim], vec![0.0; self.dim]);
        for m in 0..self.dim {
            let h = 1e-3 * (1.0 + x[m].abs());
            let mut moved = x.to_vec();
            moved[m] += h;
            self.gradient(&moved, &mut above);
            moved[m] -= 2.0 * h;
            self.gradient(&moved, &mut below);
            for i in 0..self.dim {
                out[m * self.dim + i] = (above[i] - below[i]) / (2.0 * h);
            }
        }
        out
    }
}

#[test]
fn textbook_functions_are_minimised_by_both_updates() {
    for problem in PROBLEMS {
        for update in [Update::Refresh, Update::RankOne] {
            let mut function = Function { value: problem.value, dim: problem.start.len() };
            let settings = Settings { max_iterations: 400, gradient_tolerance: 1e-6, update, stop: Stop::NEVER };
            let outcome = minimise(&mut function, problem.start, &settings);
            // Where the Hessian vanishes the value falls with the fourth power of the distance.
            let tolerance = if problem.singular { 1e-7 } else { 1e-9 };
            assert!(
                outcome.value - problem.minimum < tolerance,
                "{} {update:?}: {} after {} evaluations, {:?}",
                problem.name,
                outcome.value,
                outcome.evaluations,
                outcome.reason
            );
            assert_eq!(outcome.reason, StopReason::Converged, "{} {update:?}", problem.name);
        }
    }
}

#[test]
fn a_start_without_a_value_is_said_to_be_one() {
    let mut function = Function { value: |x| if x[0] > 0.0 { x[0] } else { f64::INFINITY }, dim: 1 };
    let settings =
        Settings { max_iterations: 10, gradient_tolerance: 1e-4, update: Update::RankOne, stop: Stop::NEVER };
    assert_eq!(minimise(&mut function, &[-1.0], &settings).reason, StopReason::BadStart);
}

#[test]
fn a_saddle_is_left_when_the_model_shows_the_way_down() {
    // x^4 - x^2 + y^2 has a saddle at 0 and minima at x = +-sqrt(1/2).
    let value: fn(&[f64]) -> f64 = |x| x[0].powi(4) - x[0] * x[0] + x[1] * x[1];
    let mut function = Function { value, dim: 2 };
    let settings =
        Settings { max_iterations: 100, gradient_tolerance: 1e-6, update: Update::Refresh, stop: Stop::NEVER };
    let outcome = minimise(&mut function, &[1e-3, 1.0], &settings);
    assert!((outcome.value + 0.25).abs() < 1e-9, "{}", outcome.value);
}

#[test]
fn no_parameters_is_a_minimum() {
    let mut function = Function { value: |_| 3.0, dim: 0 };
    let settings =
        Settings { max_iterations: 10, gradient_tolerance: 1e-4, update: Update::RankOne, stop: Stop::NEVER };
    let outcome = minimise(&mut function, &[], &settings);
    assert_eq!((outcome.value, outcome.reason), (3.0, StopReason::Converged));
}

/// Convex with a full Hessian and a minimum at 1, 1, ...: sum of cosh(d_m) - 1 and half the square of the sum of the d_m,
/// the distances from it.
struct Wide(usize);

impl Objective for Wide {
    fn dim(&self) -> usize {
        self.0
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let sum: f64 = x.iter().map(|x| x - 1.0).sum();
        gradient.iter_mut().zip(x).for_each(|(g, x)| *g = (x - 1.0).sinh() + sum);
        x.iter().map(|x| (x - 1.0).cosh() - 1.0).sum::<f64>() + 0.5 * sum * sum
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![1.0; self.0 * self.0];
        (0..self.0).for_each(|m| out[m * self.0 + m] += (x[m] - 1.0).cosh());
        out
    }
}

#[test]
fn many_parameters_take_newton_s_steps() {
    // More than 64 parameters: one factorisation a step. From 3 away Newton's method needs seven steps.
    let start: Vec<f64> = (0..70).map(|m| 1.0 + 3.0 * f64::from(m % 7 - 3) / 3.0).collect();
    let settings =
        Settings { max_iterations: 30, gradient_tolerance: 1e-8, update: Update::Refresh, stop: Stop::NEVER };
    let outcome = minimise(&mut Wide(70), &start, &settings);
    assert_eq!(outcome.reason, StopReason::Converged);
    assert!(outcome.trace.len() < 10, "{} steps", outcome.trace.len());
    assert!(outcome.x.iter().all(|x| (x - 1.0).abs() < 1e-8), "{:?}", outcome.x);
}

#[test]
fn what_is_told_to_stop_gives_back_where_it_was() {
    let stop = Stop::new(None, || true);
    let settings = Settings { max_iterations: 30, gradient_tolerance: 1e-8, update: Update::Refresh, stop };
    let outcome = minimise(&mut Wide(3), &[2.0, 2.0, 2.0], &settings);
    assert_eq!((outcome.reason, outcome.x), (StopReason::Stopped, vec![2.0; 3]));
}

#[test]
fn a_gradient_that_points_up_stalls() {
    struct Wrong(Wide);
    impl Objective for Wrong {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
            let value = self.0.value_gradient(x, gradient);
            gradient.iter_mut().for_each(|g| *g = -*g);
            value
        }
        fn metric(&mut self, x: &[f64]) -> Vec<f64> {
            self.0.metric(x)
        }
    }
    let settings =
        Settings { max_iterations: 400, gradient_tolerance: 1e-8, update: Update::Refresh, stop: Stop::NEVER };
    let outcome = minimise(&mut Wrong(Wide(2)), &[2.0, 3.0], &settings);
    assert_eq!((outcome.reason, outcome.x), (StopReason::Stalled, vec![2.0, 3.0]));
}
