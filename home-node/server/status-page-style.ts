// The style sheet of the volunteer's page. In its own file because it is CSS, and in TypeScript because that is all that
// is shipped. Dark mode changes colours only.

export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b2124; --quiet: #586469; --line: #d5dcde; --field: #eef2f2;
  --used: #0b6672; --free: #a9d3d3; --rest: #e1e6e7; --in: #c07f1e; --warn: #8a5a0f; --trouble: #a3261b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121719; --ink: #dfe5e6; --quiet: #94a2a6; --line: #30393c; --field: #1b2224;
    --used: #74c7d0; --free: #24585f; --rest: #252e31; --in: #e3a548; --warn: #e3a548; --trouble: #ff9c8f;
  }
}
* { box-sizing: border-box; }
body {
  max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 3rem;
  background: var(--paper); color: var(--ink);
  font: 1rem / 1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1, h2, h3 { margin: 0 0 0.5rem; line-height: 1.25; }
h1 { font-size: 1.75rem; }
h2 { font-size: 1.25rem; }
h3 { font-size: 1rem; }
p { margin: 0 0 0.5rem; }
section { margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
footer { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.quiet, footer { color: var(--quiet); font-size: 0.875rem; }
.hash, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.85em; }
code { padding: 0.1em 0.35em; border-radius: 3px; background: var(--field); }
.facts { display: grid; grid-template-columns: minmax(0, 1fr); margin: 0; }
.facts dt { color: var(--quiet); font-size: 0.875rem; }
.facts dd { margin: 0 0 0.4rem; }
.bar { display: block; width: 100%; height: 1.25rem; margin-bottom: 0.75rem; border-radius: 4px; }
.rest { fill: var(--rest); }
.free { fill: var(--free); }
.used, .out { fill: var(--used); }
.in { fill: var(--in); }
.none { fill: transparent; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.75rem 2rem; margin: 1rem 0 0; }
.numbers div { display: flex; flex-direction: column-reverse; }
.numbers dt { color: var(--quiet); font-size: 0.875rem; }
.numbers dd { margin: 0; font-size: 1.4rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
article { margin: 0.75rem 0 0; padding: 0.75rem; border: 1px solid var(--line); border-radius: 6px; }
.badge { display: inline-block; padding: 0 0.5em; border: 1px solid; border-radius: 1em; font-size: 0.8rem; font-weight: 600; }
.direct { color: var(--used); }
.relayed { color: var(--warn); }
.connecting, .waiting, .stopped { color: var(--trouble); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0 0.25rem 0.6rem; text-align: right; font-weight: 400; }
th[scope="row"], th[scope="rowgroup"] { padding-left: 0; text-align: left; }
th[scope="rowgroup"] { padding-top: 0.6rem; font-weight: 600; }
td { white-space: nowrap; }
thead th { color: var(--quiet); font-size: 0.875rem; }
tbody tr + tr { border-top: 1px solid var(--line); }
figure { margin: 1.25rem 0 0; }
.chart { display: block; width: 100%; height: 4.5rem; border-bottom: 1px solid var(--line); }
.key::before { content: ""; display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.3em; border-radius: 2px; background: var(--used); }
.key.free::before { background: var(--free); }
.key.in::before { background: var(--in); }
@media (min-width: 40rem) {
  .facts { grid-template-columns: 9rem minmax(0, 1fr); align-items: baseline; }
}
@media (max-width: 30rem) {
  table { font-size: 0.875rem; }
  thead th { font-size: 0.75rem; }
}
`;
