//! temporary
#![allow(missing_docs)]
use crate::covariance::Template;
use crate::design::Grouping;
pub struct Profiled;
pub struct Solution { pub vcov_beta_unscaled: Vec<f64>, pub beta: Vec<f64>, pub b: Vec<Vec<f64>>, pub sigma: f64 }
impl Profiled {
    pub fn new(_y:&[f64], _x:&[f64], _p: usize, _g:&[Grouping], _t: Template, _w: Option<&[f64]>, _o: Option<&[f64]>, _r: bool) -> Result<Self, String> { todo!() }
    pub fn n_theta(&self) -> usize { todo!() }
    pub fn start(&self) -> Vec<f64> { todo!() }
    pub fn value_gradient(&mut self, _t: &[f64], _g: &mut [f64]) -> f64 { todo!() }
    pub fn metric(&mut self, _t: &[f64]) -> Vec<f64> { todo!() }
    pub fn hessian_sigma(&mut self, _t: &[f64], _s: f64) -> Vec<f64> { todo!() }
    pub fn solution(&mut self, _t: &[f64]) -> Solution { todo!() }
}
