//! What is assumed of parameters, read from plain values.
use crate::errors::refuse;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use ranef_engine::design::{Assumptions, Constraint, Density, Design, Penalty, Quantity, Scale};

/// A quantity as (kind, predictor or term, column of X or of the term).
type Words = (String, usize, usize);

/// `None` for a coefficient whose column is a combination of the others.
fn quantity(design: &Design, (kind, first, second): &Words) -> PyResult<Option<Quantity>> {
    let in_terms = *first < design.places.len();
    Ok(match kind.as_str() {
        "fixed" if *first < design.fixed.len() => {
            let column = design.fixed[*first].kept().iter().position(|kept| kept == second);
            column.map(|column| Quantity::Coefficient { predictor: *first, column })
        }
        "sd" if in_terms && *second < design.places[*first].width => {
            Some(Quantity::Sd { term: *first, column: *second })
        }
        "cor" if in_terms => Some(Quantity::Correlations { term: *first }),
        _ => return Err(refuse("spec", format!("there is no quantity {kind:?} ({first}, {second})"))),
    })
}

fn kept(design: &Design, words: &Words) -> PyResult<Quantity> {
    // The caller knows the column by a name.
    quantity(design, words)?.ok_or_else(|| refuse("aliased", format!("{} {}", words.1, words.2)))
}

/// Quantities with values.
pub fn values(design: &Design, list: Vec<(Words, f64)>) -> PyResult<Vec<(Quantity, f64)>> {
    list.into_iter().map(|(words, value)| Ok((kept(design, &words)?, value))).collect()
}

/// The assumptions of a spec: `penalties` as (quantity, scale, density, numbers), `held` as (quantity, value), `tied` as
/// pairs of quantities.
pub fn read(spec: &Bound<'_, PyDict>, design: &Design) -> PyResult<Assumptions> {
    let mut out = Assumptions::default();
    if let Some(list) = spec.get_item("penalties")? {
        let list: Vec<(Words, String, String, Vec<f64>)> = list.extract()?;
        for (words, scale, name, numbers) in list {
            let Some(quantity) = quantity(design, &words)? else { continue };
            let scale = match scale.as_str() {
                "identity" => Scale::Identity,
                "log" => Scale::Log,
                "exp" => Scale::Exp,
                other => return Err(refuse("spec", format!("there is no scale {other:?}"))),
            };
            let density = density(&name, &numbers)?;
            if matches!(density, Density::Lkj { .. }) != matches!(quantity, Quantity::Correlations { .. }) {
                return Err(refuse("spec", "lkj is the prior of correlation matrices, and they have no other"));
            }
            out.penalties.push(Penalty { quantity, scale, density });
        }
    }
    if let Some(list) = spec.get_item("held")? {
        let held = values(design, list.extract()?)?;
        out.constraints.extend(held.into_iter().map(|(quantity, value)| Constraint::Held(quantity, value)));
    }
    if let Some(list) = spec.get_item("tied")? {
        for (first, second) in list.extract::<Vec<(Words, Words)>>()? {
            out.constraints.push(Constraint::Tied(kept(design, &first)?, kept(design, &second)?));
        }
    }
    Ok(out)
}

fn density(name: &str, numbers: &[f64]) -> PyResult<Density> {
    Ok(match (name, numbers) {
        ("normal", [mean, sd]) => Density::Normal { mean: *mean, sd: *sd },
        ("student_t", [df, location, scale]) => Density::StudentT { df: *df, location: *location, scale: *scale },
        ("half_normal", [scale]) => Density::HalfNormal { scale: *scale },
        ("half_student_t", [df, scale]) => Density::HalfStudentT { df: *df, scale: *scale },
        ("gamma", [mean, shape]) => Density::Gamma { mean: *mean, shape: *shape },
        ("lkj", [shape]) => Density::Lkj { shape: *shape },
        _ => return Err(refuse("spec", format!("there is no density {name:?} of {} numbers", numbers.len()))),
    })
}
