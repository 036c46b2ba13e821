#!/usr/bin/env node
// The command's entry where it is installed: JavaScript that any Node can read, so that one which cannot run the
// TypeScript sources as they are says so, in place of a stack trace.

if (process.features.typescript) {
  await import("./main.ts");
} else {
  process.stderr.write(
    `holdfast: Node.js ${process.versions.node} cannot run TypeScript sources; install Node.js 22.18, 24 or later\n`,
  );
  process.exitCode = 1;
}
