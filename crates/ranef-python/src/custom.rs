//! A family whose density is a function of the user's.
//!
//! The engine asks for derivatives up to the third; where the user gives none they come from differences on the link
//! scale. All third derivatives of K variables follow from second and third derivatives along single directions: the
//! axes e_k, and e_k ± e_l, and (1, 1, 1) for K = 3. Along each the log density is evaluated at ±1, ±2, ±3, ±4 steps
//! (central differences of order 8, 8 and 6), and all points of all rows of a chunk go to the function in one call.
//!
//! The interpreter's lock is taken for each call. The engine works without it (`outside::detached`), or its threads would
//! wait for each other.
use crate::errors::refuse;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rand::Rng;
use ranef_engine::family::{
    Card, Component, Derivatives, Family, Kind, Parameter, Responses, Rows, Support, packed2, packed3,
};
use ranef_engine::link::Link;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Coefficients of steps 1 to 4 in the first, second and third central differences.
const FIRST: [f64; 4] = [4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0];
const SECOND: [f64; 4] = [8.0 / 5.0, -1.0 / 5.0, 8.0 / 315.0, -1.0 / 560.0];
const SECOND_CENTRE: f64 = -205.0 / 72.0;
const THIRD: [f64; 4] = [-61.0 / 30.0, 169.0 / 120.0, -3.0 / 10.0, 7.0 / 240.0];

/// The links whose predictor has a scale of its own: a step of them must suit the data.
fn has_units(link: Link) -> bool {
    matches!(link, Link::Identity | Link::Inverse | Link::InverseSquared | Link::Sqrt)
}

/// A user's family, and the class that Python holds one by.
#[pyclass(frozen, module = "ranef._engine")]
pub struct Custom {
    family: Arc<Functions>,
}

/// The functions of a user's family.
struct Functions {
    card: &'static Card,
    components: Vec<Component>,
    links: Vec<Link>,
    /// Steps of the differences, by predictor.
    steps: Vec<f64>,
    log_density: Py<PyAny>,
    derivatives: Option<Py<PyAny>>,
    mean: Option<Py<PyAny>>,
    variance: Option<Py<PyAny>>,
    cdf: Option<Py<PyAny>>,
    simulate: Option<Py<PyAny>>,
    start: Option<Vec<f64>>,
}

/// A family bound to the data it is fitted to.
pub struct CustomFamily {
    functions: Arc<Functions>,
    steps: Vec<f64>,
    /// What went wrong in a function first; none is called after that.
    failure: Mutex<Option<String>>,
}

impl fmt::Debug for CustomFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomFamily({})", self.functions.card.name)
    }
}

fn support_named(name: &str) -> Option<Support> {
    use Support::{Counts, NonNegative, Positive, Real, Trials, Unit};
    [Real, Positive, NonNegative, Counts, Trials, Unit].into_iter().find(|support| support.as_str() == name)
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[pymethods]
impl Custom {
    /// `parameters`: (name, link, step) of each, the step None where the differences choose it; `functions`: by name.
    #[new]
    fn new(
        name: String,
        support: &str,
        zero_inflation: bool,
        parameters: Vec<(String, String, Option<f64>)>,
        start: Option<Vec<f64>>,
        functions: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        const COMPONENTS: [Component; 3] = [Component::Cond, Component::Disp, Component::Shape];
        if parameters.is_empty() || parameters.len() > COMPONENTS.len() {
            return Err(refuse("family", format!("{name} needs one to three parameters, not {}", parameters.len())));
        }
        let support = support_named(support)
            .ok_or_else(|| refuse("family", format!("a custom family cannot have support {support:?}")))?;
        let links = parameters
            .iter()
            .map(|(_, link, _)| {
                Link::from_name(link).ok_or_else(|| {
                    let all = Link::ALL.iter().map(|link| link.name()).collect::<Vec<_>>().join(", ");
                    refuse("family", format!("there is no link {link:?}; links: {all}"))
                })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let described: Vec<Parameter> = parameters
            .iter()
            .zip(COMPONENTS)
            .zip(&links)
            .map(|(((name, _, _), component), &link)| Parameter {
                name: leaked(name.clone()),
                component,
                link,
                meaning: "",
            })
            .collect();
        // Cards live as long as the program: a family of the user's is made a few times in a session.
        let card = Box::leak(Box::new(Card {
            name: leaked(name),
            title: "custom",
            parameters: described.leak(),
            links: links[..1].to_vec().leak(),
            support,
            zero_inflation,
            reference: "",
            variance: "",
        }));
        let function = |key: &str| -> PyResult<Option<Py<PyAny>>> {
            Ok(functions.get_item(key)?.filter(|value| !value.is_none()).map(Bound::unbind))
        };
        let log_density =
            function("log_density")?.ok_or_else(|| refuse("family", "a custom family needs log_density"))?;
        Ok(Self {
            family: Arc::new(Functions {
                components: COMPONENTS[..links.len()].to_vec(),
                steps: parameters.iter().map(|(_, _, step)| step.unwrap_or(f64::NAN)).collect(),
                links,
                card,
                log_density,
                derivatives: function("derivatives")?,
                mean: function("mean")?,
                variance: function("variance")?,
                cdf: function("cdf")?,
                simulate: function("simulate")?,
                start,
            }),
        })
    }
}

impl Custom {
    /// The family for a response. The difference steps of predictors in units of the response are taken from its spread.
    pub fn for_response(&self, y: &[f64]) -> CustomFamily {
        let [mean, sd] = mean_and_sd(y);
        let functions = self.family.clone();
        let steps = functions
            .steps
            .iter()
            .zip(&functions.links)
            .map(|(&step, &link)| match link {
                _ if step > 0.0 => step,
                // The spread of a row may be well below that of all of them.
                Link::Identity if sd > 0.0 => 0.005 * sd,
                link if has_units(link) => 0.02 * link.eta(mean).abs().max(1e-8),
                _ => 0.02,
            })
            .collect();
        CustomFamily { functions, steps, failure: Mutex::new(None) }
    }
}

impl CustomFamily {
    fn k(&self) -> usize {
        self.functions.links.len()
    }

    /// Keeps the first failure, and answers with nothing.
    fn fail(&self, message: String) {
        self.failure.lock().expect("nothing panics with the lock").get_or_insert(message);
    }

    fn failed(&self) -> bool {
        self.failure.lock().expect("nothing panics with the lock").is_some()
    }

    /// What a function returns for arrays: `first` (if any), then the parameters; `outputs` vectors of length `n`.
    fn call(
        &self,
        what: &str,
        function: &Py<PyAny>,
        first: Option<&[f64]>,
        parameters: &[Vec<f64>],
        outputs: usize,
    ) -> Option<Vec<Vec<f64>>> {
        if self.failed() {
            return None;
        }
        let n = parameters[0].len();
        let result = Python::attach(|py| -> Result<Vec<Vec<f64>>, String> {
            let arrays = first.into_iter().chain(parameters.iter().map(Vec::as_slice));
            let arrays: Vec<_> = arrays.map(|values| PyArray1::from_slice(py, values)).collect();
            let arguments = PyTuple::new(py, arrays).map_err(|error| error.to_string())?;
            let answer = function.bind(py).call1(arguments).map_err(|error| error.to_string())?;
            if outputs == 1 {
                return Ok(vec![floats(&answer, n)?]);
            }
            let parts: Vec<Bound<'_, PyAny>> =
                answer.try_iter().and_then(Iterator::collect).map_err(|error| error.to_string())?;
            if parts.len() != outputs {
                return Err(format!("it must return {outputs} arrays, not {}", parts.len()));
            }
            parts.iter().map(|part| floats(part, n)).collect()
        });
        match result {
            Ok(values) => Some(values),
            Err(message) => {
                self.fail(format!("{what} of family {}: {message}", self.functions.card.name));
                None
            }
        }
    }

    /// One value of a function of the parameters of one row; NaN where there is none.
    fn of_row(&self, what: &str, function: Option<&Py<PyAny>>, y: Option<f64>, eta: &[f64]) -> f64 {
        let Some(function) = function else { return f64::NAN };
        let parameters: Vec<Vec<f64>> = self.natural(eta).into_iter().map(|value| vec![value]).collect();
        self.call(what, function, y.as_ref().map(std::slice::from_ref), &parameters, 1).map_or(f64::NAN, |v| v[0][0])
    }

    /// Parameters of a row.
    fn natural(&self, eta: &[f64]) -> Vec<f64> {
        self.functions.links.iter().zip(eta).map(|(link, &eta)| link.mean(eta)).collect()
    }

    /// The mean of a row: the user's function, or what is asked for is unknown.
    fn mean(&self, eta: &[f64]) -> f64 {
        self.of_row("mean", self.functions.mean.as_ref(), None, eta)
    }

    /// A function of the predictors with its gradient, by central differences of order 4: enough for a standard error.
    fn with_gradient(&self, eta: &[f64], gradient: &mut [f64], f: impl Fn(&[f64]) -> f64) -> f64 {
        for k in 0..self.k() {
            let mut moved = eta.to_vec();
            let mut at = |step: f64| {
                moved[k] = eta[k] + step * self.steps[k];
                f(&moved)
            };
            gradient[k] = ((at(1.0) - at(-1.0)) * 2.0 / 3.0 - (at(2.0) - at(-2.0)) / 12.0) / self.steps[k];
        }
        f(eta)
    }

    /// Directions, in steps, along which an order of derivative needs differences.
    fn directions(&self, order: usize) -> Vec<Vec<f64>> {
        let k = self.k();
        let unit = |entries: &[(usize, f64)]| {
            let mut direction = vec![0.0; k];
            entries.iter().for_each(|&(at, value)| direction[at] = value);
            direction
        };
        let mut all = Vec::new();
        if order >= 1 {
            all.extend((0..k).map(|i| unit(&[(i, 1.0)])));
        }
        if order >= 2 {
            for j in 0..k {
                for i in 0..j {
                    all.push(unit(&[(i, 1.0), (j, 1.0)]));
                    all.push(unit(&[(i, 1.0), (j, -1.0)]));
                }
            }
        }
        if order >= 3 && k == 3 {
            all.push(vec![1.0; 3]);
        }
        all
    }

    /// Values and derivatives by differences.
    fn fill_by_differences(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        let (n, k) = (rows.y.len(), self.k());
        let directions = self.directions(order);
        let mut shifts: Vec<Vec<f64>> = vec![vec![0.0; k]];
        for direction in &directions {
            for step in 1..=4_u32 {
                for side in [1.0, -1.0] {
                    let length = side * f64::from(step);
                    shifts.push(direction.iter().zip(&self.steps).map(|(d, h)| length * d * h).collect());
                }
            }
        }
        let y: Vec<f64> = shifts.iter().flat_map(|_| rows.y.iter().copied()).collect();
        let parameters: Vec<Vec<f64>> = (0..k)
            .map(|m| {
                let link = self.functions.links[m];
                shifts.iter().flat_map(|shift| rows.eta[m].iter().map(move |eta| link.mean(eta + shift[m]))).collect()
            })
            .collect();
        let Some(values) = self.call("log_density", &self.functions.log_density, Some(&y), &parameters, 1) else {
            return (0..n).for_each(|i| out.set_infeasible(i, k, order));
        };
        let values = &values[0];
        for i in 0..n {
            let at = |point: usize| values[point * n + i];
            let centre = at(0);
            // Derivatives along direction d, in units of its steps.
            let along = |d: usize| {
                let mut sums = [0.0, SECOND_CENTRE * centre, 0.0];
                for j in 0..4 {
                    let (plus, minus) = (at(1 + 8 * d + 2 * j), at(2 + 8 * d + 2 * j));
                    sums[0] += FIRST[j] * (plus - minus);
                    sums[1] += SECOND[j] * (plus + minus);
                    sums[2] += THIRD[j] * (plus - minus);
                }
                sums
            };
            let lines: Vec<[f64; 3]> = (0..directions.len()).map(along).collect();
            if !centre.is_finite() || lines.iter().flatten().any(|value| !value.is_finite()) {
                out.set_infeasible(i, k, order);
                continue;
            }
            out.value[i] = centre;
            let h = &self.steps;
            for a in 0..if order >= 1 { k } else { 0 } {
                out.first[a][i] = lines[a][0] / h[a];
                if order >= 2 {
                    out.second[packed2(a, a)][i] = lines[a][1] / (h[a] * h[a]);
                }
                if order >= 3 {
                    out.third[packed3(a, a, a)][i] = lines[a][2] / (h[a] * h[a] * h[a]);
                }
            }
            if order < 2 {
                continue;
            }
            let mut pair = k;
            let mut thirds = 0.0;
            for b in 0..k {
                for a in 0..b {
                    let (plus, minus) = (lines[pair], lines[pair + 1]);
                    pair += 2;
                    out.second[packed2(a, b)][i] = (plus[1] - minus[1]) / (4.0 * h[a] * h[b]);
                    if order >= 3 {
                        let abb = (plus[2] + minus[2] - 2.0 * lines[a][2]) / 6.0;
                        let aab = (plus[2] - minus[2] - 2.0 * lines[b][2]) / 6.0;
                        thirds += abb + aab;
                        out.third[packed3(a, b, b)][i] = abb / (h[a] * h[b] * h[b]);
                        out.third[packed3(a, a, b)][i] = aab / (h[a] * h[a] * h[b]);
                    }
                }
            }
            if order >= 3 && k == 3 {
                let diagonal: f64 = (0..3).map(|a| lines[a][2]).sum();
                out.third[packed3(0, 1, 2)][i] =
                    (lines[pair][2] - diagonal - 3.0 * thirds) / (6.0 * h[0] * h[1] * h[2]);
            }
        }
    }

    /// Values and derivatives from the user's functions, whose derivatives are those in the parameters.
    fn fill_by_formulas(&self, formulas: &Py<PyAny>, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        let (n, k) = (rows.y.len(), self.k());
        let links = &self.functions.links;
        let parameters: Vec<Vec<f64>> =
            (0..k).map(|m| rows.eta[m].iter().map(|&eta| links[m].mean(eta)).collect()).collect();
        let count = [k, k * (k + 1) / 2, k * (k + 1) * (k + 2) / 6];
        let values = self.call("log_density", &self.functions.log_density, Some(rows.y), &parameters, 1);
        let wanted = if order > 0 {
            self.call("derivatives", formulas, Some(rows.y), &parameters, count.iter().sum())
        } else {
            Some(Vec::new())
        };
        let (Some(values), Some(wanted)) = (values, wanted) else {
            return (0..n).for_each(|i| out.set_infeasible(i, k, order));
        };
        for i in 0..n {
            if !values[0][i].is_finite() || wanted.iter().any(|values| !values[i].is_finite()) {
                out.set_infeasible(i, k, order);
                continue;
            }
            out.value[i] = values[0][i];
            let t: Vec<[f64; 4]> = (0..k).map(|m| links[m].mean_derivatives(rows.eta[m][i])).collect();
            let first = |a: usize| wanted[a][i];
            let second = |a: usize, b: usize| wanted[k + packed2(a, b)][i];
            let third = |a: usize, b: usize, c: usize| wanted[k + count[1] + packed3(a, b, c)][i];
            for c in 0..if order >= 1 { k } else { 0 } {
                out.first[c][i] = first(c) * t[c][1];
                for b in 0..if order >= 2 { c + 1 } else { 0 } {
                    let own = if b == c { first(c) * t[c][2] } else { 0.0 };
                    out.second[packed2(b, c)][i] = second(b, c) * t[b][1] * t[c][1] + own;
                    for a in 0..if order >= 3 { b + 1 } else { 0 } {
                        let mut value = third(a, b, c) * t[a][1] * t[b][1] * t[c][1];
                        // A parameter that occurs twice bends with its link.
                        for (twice, other, equal) in [(a, c, a == b), (b, a, b == c), (a, b, a == c)] {
                            if equal {
                                value += second(twice, other) * t[twice][2] * t[other][1];
                            }
                        }
                        if a == c {
                            value += first(a) * t[a][3];
                        }
                        out.third[packed3(a, b, c)][i] = value;
                    }
                }
            }
        }
    }
}

/// Mean and standard deviation of a response.
fn mean_and_sd(y: &[f64]) -> [f64; 2] {
    let n = y.len().max(1) as f64;
    let mean = y.iter().sum::<f64>() / n;
    [mean, (y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt()]
}

/// A function's answer as `n` numbers.
fn floats(answer: &Bound<'_, PyAny>, n: usize) -> Result<Vec<f64>, String> {
    let py = answer.py();
    let asarray = py.import("numpy").and_then(|numpy| numpy.getattr("asarray")).map_err(|e| e.to_string())?;
    let array = asarray.call1((answer, "float64")).map_err(|error| error.to_string())?;
    let shape: Vec<usize> = array.getattr("shape").and_then(|shape| shape.extract()).map_err(|e| e.to_string())?;
    if shape != [n] {
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        return Err(format!("it must return one number for each of its {n} rows; it returned the shape ({shape})"));
    }
    let array: PyReadonlyArray1<'_, f64> = array.extract().map_err(|_| "it must return numbers".to_owned())?;
    Ok(array.as_array().to_vec())
}

impl Family for CustomFamily {
    fn card(&self) -> &'static Card {
        self.functions.card
    }

    fn components(&self) -> &[Component] {
        &self.functions.components
    }

    fn links(&self) -> &[Link] {
        &self.functions.links
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().expect("nothing panics with the lock").take()
    }

    fn feasible(&self, eta: &[f64]) -> bool {
        self.functions.links.iter().zip(eta).all(|(link, eta)| !eta.is_nan() && link.mean(*eta).is_finite())
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        match &self.functions.derivatives {
            Some(formulas) => self.fill_by_formulas(formulas, rows, order, out),
            None => self.fill_by_differences(rows, order, out),
        }
    }

    fn fill_by_jets(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        self.fill_by_differences(rows, order, out);
    }

    fn log_density(&self, y: f64, _trials: f64, eta: &[f64]) -> f64 {
        let value = self.of_row("log_density", Some(&self.functions.log_density), Some(y), eta);
        if value.is_finite() { value } else { f64::NEG_INFINITY }
    }

    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str> {
        let whole = y.fract() == 0.0;
        let (inside, needs) = match self.functions.card.support {
            Support::Positive => (y > 0.0, "a number above 0"),
            Support::NonNegative => (y >= 0.0, "a number, 0 or more"),
            Support::Counts => (y >= 0.0 && whole, "a whole number, 0 or more"),
            Support::Trials => {
                (y >= 0.0 && y <= trials && whole, "a whole number of successes between 0 and the number of trials")
            }
            Support::Unit => (y > 0.0 && y < 1.0, "a number between 0 and 1, both excluded"),
            _ => (true, "a finite number"),
        };
        if inside && y.is_finite() { Ok(()) } else { Err(needs) }
    }

    fn start(&self, y: &[f64], trials: Option<&[f64]>, weights: Option<&[f64]>, offset: Option<&[f64]>) -> Vec<f64> {
        if let Some(start) = &self.functions.start {
            return start.iter().zip(&self.functions.links).map(|(value, link)| link.eta(*value)).collect();
        }
        let data = Responses { y, trials, weights, offset };
        let middle = |link: Link| link.eta(if link.valid_mean(1.0) { 1.0 } else { 0.5 });
        let mut start: Vec<f64> = self.functions.links.iter().map(|link| middle(*link)).collect();
        let support = self.functions.card.support;
        let mean = data.mean_predictor(self.functions.links[0], support);
        if mean.is_finite() {
            start[0] = mean;
        }
        // The second parameter of a response without a scale of its own is most often that scale.
        if let (Support::Real, Some(Link::Log)) = (support, self.functions.links.get(1)) {
            let [_, sd] = mean_and_sd(y);
            if sd > 0.0 {
                start[1] = sd.ln();
            }
        }
        start
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        let link = self.functions.links[0];
        let near = match self.functions.card.support {
            Support::Counts | Support::NonNegative => y + 0.1,
            Support::Trials => (y + 0.5) / (trials + 1.0),
            Support::Unit => y.clamp(0.01, 0.99),
            _ => y,
        };
        if link.valid_mean(near) { link.eta(near) } else { link.eta(if link.valid_mean(1.0) { 1.0 } else { 0.5 }) }
    }

    fn predict(&self, kind: Kind, eta: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        match kind {
            Kind::Response | Kind::Conditional => self.with_gradient(eta, gradient, |eta| self.mean(eta)),
            Kind::Dispersion => self.with_gradient(eta, gradient, |eta| self.sigma(eta)),
            Kind::Variance => self.with_gradient(eta, gradient, |eta| self.variance(eta, 1.0)),
            Kind::Link => {
                gradient[0] = 1.0;
                eta[0]
            }
            Kind::ZeroProbability => 0.0,
            Kind::ZeroLink => f64::NEG_INFINITY,
            Kind::Category(_) => f64::NAN,
        }
    }

    fn sigma(&self, eta: &[f64]) -> f64 {
        self.functions.links.get(1).map_or(1.0, |link| link.mean(eta[1]))
    }

    fn variance(&self, eta: &[f64], _trials: f64) -> f64 {
        self.of_row("variance", self.functions.variance.as_ref(), None, eta)
    }

    fn unit_deviance(&self, _y: f64, _trials: f64, _eta: &[f64]) -> Option<f64> {
        None
    }

    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2] {
        let upto = self.of_row("cdf", self.functions.cdf.as_ref(), Some(y), eta);
        if upto.is_nan() {
            return [f64::NAN; 2];
        }
        let here = if self.functions.card.support.discrete() { self.log_density(y, trials, eta).exp() } else { 0.0 };
        [(upto - here).max(0.0), 1.0 - upto]
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let Some(simulate) = &self.functions.simulate else { return f64::NAN };
        let seed = rng.next_u64();
        let parameters = self.natural(eta);
        if self.failed() {
            return f64::NAN;
        }
        let drawn = Python::attach(|py| -> PyResult<f64> {
            let generator = py.import("numpy.random")?.getattr("default_rng")?.call1((seed,))?;
            let mut arguments = vec![generator];
            for value in parameters {
                arguments.push(PyArray1::from_slice(py, &[value]).into_any());
            }
            let answer = simulate.bind(py).call1(PyTuple::new(py, arguments)?)?;
            let answer = floats(&answer, 1).map_err(|message| refuse("family", message))?;
            Ok(answer[0])
        });
        drawn.unwrap_or_else(|error| {
            let message = Python::attach(|py| error.value(py).to_string());
            self.fail(format!("simulate of family {}: {message}", self.functions.card.name));
            f64::NAN
        })
    }

    fn closed_form(&self) -> bool {
        false
    }
}
