//! Explanation of a decision: every rule that was evaluated, in order, with its evidence.

use serde::Serialize;
use utoipa::ToSchema;

use super::decision_input::DecisionInput;
use super::rules::{RULES, RuleOutcome};
use crate::domain::Reason;

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleResult {
    /// Number of the rule in the documentation.
    pub rule: u8,
    pub reason: Reason,
    pub title: &'static str,
    pub matched: bool,
    pub evidence: Option<String>,
}

/// Evaluates the rules again and records the result of each, up to the one that decided.
#[must_use]
pub fn explain(input: &DecisionInput) -> Vec<RuleResult> {
    let mut results = Vec::with_capacity(RULES.len());
    for rule in &RULES {
        let (matched, evidence) = match (rule.examine)(input) {
            RuleOutcome::Matched { evidence, .. } => (true, evidence),
            RuleOutcome::Passed(evidence) => (false, evidence()),
        };
        results.push(RuleResult {
            rule: rule.number,
            reason: rule.reason,
            title: rule.title,
            matched,
            evidence,
        });
        if matched {
            break;
        }
    }
    results
}
