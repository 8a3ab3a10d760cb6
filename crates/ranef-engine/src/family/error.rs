//! Why a family cannot be built.

use thiserror::Error;

/// A family, link or option that does not exist.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FamilyError {
    /// The name is not in the catalogue.
    #[error("there is no family '{name}'{} Families: {}", punctuation(name, valid), valid.join(", "))]
    UnknownFamily {
        /// What was asked for.
        name: String,
        /// The names there are.
        valid: Vec<&'static str>,
    },
    /// The link is unknown, or does not suit the family.
    #[error("family {family} has no link '{name}'{} Links: {}", punctuation(name, valid), valid.join(", "))]
    UnknownLink {
        /// The family.
        family: &'static str,
        /// What was asked for.
        name: String,
        /// The links the family takes, the default first.
        valid: Vec<&'static str>,
    },
    /// Zero inflation where the response is never zero, or zero is an ordinary value.
    #[error(
        "family {family} takes no zero-inflation formula: its response ({support}) has no extra \
         zeros to model. Drop the zi formula. Families with one: {}", valid.join(", ")
    )]
    NoZeroInflation {
        /// The family.
        family: &'static str,
        /// Its support, in words.
        support: &'static str,
        /// The families that take one.
        valid: Vec<&'static str>,
    },
    /// An ordinal response with nothing to compare.
    #[error("an ordinal response needs at least 2 categories, not {categories}")]
    TooFewCategories {
        /// How many there are.
        categories: usize,
    },
}

/// Ends the sentence: `; did you mean 'poisson'?` when a valid name is close enough to be a slip.
fn punctuation(name: &str, valid: &[&'static str]) -> String {
    let lower = name.to_lowercase();
    let nearest = valid.iter().map(|candidate| (distance(&lower, candidate), candidate)).min();
    match nearest {
        Some((d, candidate)) if d <= 1 + candidate.len() / 3 => {
            format!("; did you mean '{candidate}'?")
        }
        _ => ".".to_owned(),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("poison", "poisson"), 1);
        assert_eq!(distance("", "log"), 3);
        assert_eq!(distance("probit", "logit"), 3);
    }

    #[test]
    fn only_slips_are_suggested() {
        assert_eq!(punctuation("Poison", &["gaussian", "poisson"]), "; did you mean 'poisson'?");
        assert_eq!(punctuation("weibull", &["gaussian", "poisson"]), ".");
    }
}
