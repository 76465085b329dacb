//! The decision about one message for one portal.

use super::decision_input::{Decision, DecisionInput};
use super::rules::{RULES, RuleOutcome};

/// Returns the decision of the first rule that matches. The last rule of the table matches everything.
#[must_use]
pub fn decide(input: &DecisionInput) -> Decision {
    for rule in &RULES {
        if let RuleOutcome::Matched {
            verdict,
            consequence,
            evidence,
        } = (rule.examine)(input)
        {
            return Decision {
                verdict,
                reason: rule.reason,
                rule: rule.number,
                consequence,
                evidence,
            };
        }
    }
    unreachable!("the last rule matches everything")
}
