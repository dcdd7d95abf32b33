//! Templates over the application's variables, as in `"{{ name }}"`.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// The value of a component's variable: text with references to the application's variables.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// A template in which a `{{` is not closed.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("in the template {0:?} a `{{{{` is not closed")]
pub struct UnclosedReference(String);

/// A variable that has neither a value nor a default.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the variable {0:?} has no value")]
pub struct MissingValue(pub(super) String);

impl TryFrom<String> for Template {
    type Error = UnclosedReference;

    fn try_from(text: String) -> Result<Self, UnclosedReference> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((literal, opened)) = rest.split_once("{{") {
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let Some((name, after)) = opened.split_once("}}") else {
                return Err(UnclosedReference(text));
            };
            parts.push(Part::Variable(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl Template {
    /// Returns the names of the variables that the template refers to.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Replaces every reference by the variable's value.
    ///
    /// # Errors
    /// If `values` lacks a variable that the template refers to.
    pub fn render(&self, values: &BTreeMap<&str, &str>) -> Result<String, MissingValue> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(text) => Ok(text.as_str()),
                Part::Variable(name) => values
                    .get(name.as_str())
                    .copied()
                    .ok_or_else(|| MissingValue(name.clone())),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, UnclosedReference> {
        Template::try_from(text.to_owned())
    }

    #[test]
    fn references_are_replaced_and_all_other_text_is_kept() {
        let template = parse("<{{ token }}|{{greeting}}> }}").unwrap();
        assert_eq!(
            template.variables().collect::<Vec<_>>(),
            ["token", "greeting"]
        );
        let values = BTreeMap::from([("token", "t0p"), ("greeting", "{{hi")]);
        assert_eq!(template.render(&values).unwrap(), "<t0p|{{hi> }}");
    }

    #[test]
    fn a_reference_that_is_not_closed_is_rejected() {
        let error = parse("a {{ token").unwrap_err().to_string();
        assert_eq!(error, "in the template \"a {{ token\" a `{{` is not closed");
    }

    #[test]
    fn a_variable_without_a_value_is_named() {
        let error = parse("{{ token }}").unwrap().render(&BTreeMap::new());
        assert_eq!(error, Err(MissingValue("token".to_owned())));
    }
}
