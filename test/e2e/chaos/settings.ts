// Settings of the edge under which hours pass in seconds, and the ones under which nothing is repaired.

/** Everything is looked over every two seconds, who went is given five, and each node is read from twice a second. */
export const REPAIR_SETTINGS = { REPAIR_GRACE_SECONDS: "5", SWEEP_SECONDS: "2", AUDITS_PER_DAY: "172800" };
/** Without any care of what is kept: the control. */
export const CONTROL_SETTINGS = { REPAIR_GRACE_SECONDS: "5", SWEEP_SECONDS: "0", AUDITS_PER_DAY: "0" };
