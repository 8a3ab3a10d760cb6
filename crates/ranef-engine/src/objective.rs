//! What an optimiser may ask of a function: its value with its gradient, and a model of its Hessian.

/// A function to be minimised over unconstrained parameters.
pub trait Objective {
    /// Number of parameters.
    fn dim(&self) -> usize;

    /// Value at x; writes the gradient. `f64::INFINITY` where the function is not defined (the gradient is then ignored).
    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// A positive (semi)definite model of the Hessian at x, dim x dim, column-major; x is the last point evaluated.
    fn metric(&mut self, x: &[f64]) -> Vec<f64>;

    /// The exact Hessian at x, dim x dim, column-major, where it costs less than differences of the gradient; `None`
    /// elsewhere.
    fn hessian(&mut self, _x: &[f64]) -> Option<Vec<f64>> {
        None
    }

    /// Gradients at points within a thousandth of a standard error of x, the last point evaluated, for central
    /// differences around x: their errors may be even in the displacement. `None` where one has no finite value. The state
    /// of the objective is afterwards that of any of the points, or of x.
    fn gradients_nearby(&mut self, _x: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        each_gradient(self, points)
    }

    /// The part that each parameter belongs to, where some mixed second derivatives are known to be zero: those between
    /// different parts. `None` within belongs to all parts.
    fn parts(&self) -> Option<Vec<Option<u32>>> {
        None
    }

    /// Sets those of x that follow from the others.
    fn complete(&self, _x: &mut [f64]) {}

    /// The parameters that follow from the others: the value does not depend on what x has in their places.
    fn dependents(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Says that the last point evaluated is the best so far, so that inner problems may start there.
    fn accept(&mut self) {}
}

impl<O: Objective + ?Sized> Objective for &mut O {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        (**self).value_gradient(x, gradient)
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        (**self).metric(x)
    }

    fn hessian(&mut self, x: &[f64]) -> Option<Vec<f64>> {
        (**self).hessian(x)
    }

    fn gradients_nearby(&mut self, x: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        (**self).gradients_nearby(x, points)
    }

    fn parts(&self) -> Option<Vec<Option<u32>>> {
        (**self).parts()
    }

    fn complete(&self, x: &mut [f64]) {
        (**self).complete(x);
    }

    fn dependents(&self) -> Vec<usize> {
        (**self).dependents()
    }

    fn accept(&mut self) {
        (**self).accept();
    }
}

/// The gradient at each of the points; `None` where one has no finite value.
pub fn each_gradient<O: Objective + ?Sized>(objective: &mut O, points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let gradient = |point: &Vec<f64>| {
        let mut gradient = vec![0.0; point.len()];
        objective.value_gradient(point, &mut gradient).is_finite().then_some(gradient)
    };
    points.iter().map(gradient).collect()
}
