// Settings of the edge under which hours pass in seconds, and the ones under which nothing is repaired.

/** Everything is looked over every two seconds, who went is given five, and each node is read from so often a day. */
export const repairSettings = (auditsPerDay: number): Record<string, string> => ({
  ...{ REPAIR_GRACE_SECONDS: "5", SWEEP_SECONDS: "2" },
  AUDITS_PER_DAY: String(auditsPerDay),
});

/** Without any care of what is kept: the control. */
export const CONTROL_SETTINGS = { REPAIR_GRACE_SECONDS: "5", SWEEP_SECONDS: "0", AUDITS_PER_DAY: "0" };

/** Two a second from each node: in a small network whatever was dropped is found within a minute. */
export const AUDITS_OFTEN = 172_800;
/** One in five seconds from each: of chunks of 200 KiB, two thirds of what the slowest line carries. */
export const AUDITS_SELDOM = 17_280;
