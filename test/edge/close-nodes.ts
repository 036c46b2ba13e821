// After each file: workerd waits without end for an object that sleeps beside an open socket of a test that is over, where an
// alarm of the object has run.

import { afterAll } from "vitest";
import { closeNodes } from "./test-node.ts";

afterAll(closeNodes);
