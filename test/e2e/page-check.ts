// Looks at an edge's page with a real browser, as a reader would: a wide window, a phone, and an edge whose names,
// authors and URLs are hostile. Reports what it saw; page.test.ts says what is right.

import { decodeBase64 } from "../../lib/base64.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { type NameAnswer, parseNameAnswer } from "../../lib/wire/names.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { type Browser, startBrowser, type Tab } from "./page-browser.ts";

const DOMAIN = parseDomain("example.test");
const SAMPLE = parseName("hello.txt");
/** A name that is markup, and that a shell would take apart. */
export const HOSTILE_NAME = parseName(
  "<img src=x onerror=boom()>it's $(touch pwned) `touch pwned`;touch pwned #%41",
);
export const HOSTILE_AUTHOR = "a'`touch$IFS$9pwned`\u202e@example.test";
const WIDE = [1200, 900] as const;
const PHONE = [360, 800] as const;
export const LOOKED_UP = `document.querySelectorAll(".command pre").length > 0 && !document.body.innerText.includes("asking the edge") &&
  ![...document.querySelectorAll("td")].some(({ innerText }) => innerText === "…")`;
const REFRESHED = `document.querySelector("#freshness").innerText.startsWith("Asked at")`;
const MEASURE_SHIFTS = `globalThis.shift = 0;
new PerformanceObserver((list) => { for (const { value } of list.getEntries()) shift += value; }).observe({ type: "layout-shift" });
globalThis.before = document.querySelector("#freshness").innerText;`;

export interface PageFindings {
  numbers: string;
  recent: string;
  members: string;
  /** What the look-up of example.test/hello.txt says, and its commands. */
  lookUp: string;
  commands: string[];
  /** What the look-up of a name says that does not exist. */
  problem: string;
  /** The heading and the nodes after Right, Down and Enter on the map's first cell. */
  partition: string;
  closestNodes: number;
  /** Of the page and the successful look-up. */
  consoleErrors: string[];
  cspViolations: string[];
  /** CSS pixels by which the page is wider than a window of 360, with the look-up's result in it. */
  overflowPx: number;
  /** Cumulative layout shift while the numbers are asked for again. */
  refreshShift: number;
  hostile: { text: string; elements: number; hrefs: string[]; commands: string[]; consoleErrors: string[] };
}

export async function checkPage(edgeUrl: string): Promise<PageFindings> {
  const browser = await startBrowser();
  try {
    return {
      ...(await checkWide(browser, edgeUrl)),
      ...(await checkPhone(browser, edgeUrl)),
      problem: await checkProblem(browser, edgeUrl),
      hostile: await checkHostile(browser, edgeUrl),
    };
  } finally {
    await browser.stop();
  }
}

async function checkWide(browser: Browser, edgeUrl: string) {
  const tab = await browser.open(...WIDE);
  await tab.goto(edgeUrl);
  await tab.until(REFRESHED);
  const [numbers, recent, members] = [
    await tab.text("#numbers"),
    await tab.text("#recent"),
    await tab.text("#members"),
  ];
  const refreshShift = await shiftOfRefresh(tab);
  await tab.evaluate(`document.querySelector("#recent a").click()`);
  await tab.until(LOOKED_UP);
  const { lookUp, commands } = await lookUpOf(tab);
  const { partition, closestNodes } = await choosePartition(tab);
  const { consoleErrors } = tab;
  const cspViolations = await tab.cspViolations();
  return {
    numbers,
    recent,
    members,
    refreshShift,
    lookUp,
    commands,
    partition,
    closestNodes,
    consoleErrors,
    cspViolations,
  };
}

async function shiftOfRefresh(tab: Tab): Promise<number> {
  await tab.evaluate(MEASURE_SHIFTS);
  await tab.until(`document.querySelector("#freshness").innerText !== before`);
  return Number(
    await tab.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(shift))))"),
  );
}

async function choosePartition(tab: Tab): Promise<{ partition: string; closestNodes: number }> {
  await tab.evaluate(`document.querySelector("[role=gridcell][tabindex='0']").focus()`);
  for (const key of ["ArrowRight", "ArrowDown", "Enter"]) await tab.press(key);
  await tab.until(`document.querySelectorAll("#detail-nodes li").length > 0`);
  const closestNodes = Number(await tab.evaluate(`document.querySelectorAll("#detail-nodes li").length`));
  return { partition: await tab.text("#detail-title"), closestNodes };
}

async function checkPhone(browser: Browser, edgeUrl: string): Promise<{ overflowPx: number }> {
  const tab = await browser.open(...PHONE);
  await tab.goto(`${edgeUrl}/#${DOMAIN}/${SAMPLE}`);
  await tab.until(`${REFRESHED} && ${LOOKED_UP}`);
  return { overflowPx: Number(await tab.evaluate(`document.documentElement.scrollWidth - ${PHONE[0]}`)) };
}

async function checkProblem(browser: Browser, edgeUrl: string): Promise<string> {
  const tab = await browser.open(...WIDE);
  await tab.goto(`${edgeUrl}/#${DOMAIN}/never-published`);
  await tab.until(`document.querySelector("#lookup-state").classList.contains("trouble")`);
  return tab.text("#lookup-state");
}

async function checkHostile(browser: Browser, edgeUrl: string): Promise<PageFindings["hostile"]> {
  const tab = await browser.open(...WIDE);
  const nameHash = nameHashOf(DOMAIN, HOSTILE_NAME);
  const sample = await fetch(`${edgeUrl}/obj/${DOMAIN}/${SAMPLE}`, { headers: { Accept: REFERRAL_TYPE } });
  await tab.answerWith({
    "/status": await hostileStatus(edgeUrl),
    [`/name/${nameHash}`]: await hostileName(edgeUrl),
    [`/obj/${DOMAIN}/${encodeURIComponent(HOSTILE_NAME).replaceAll("'", "%27")}`]: await sample.json(),
  });
  await tab.goto(edgeUrl);
  await tab.until(REFRESHED);
  await tab.evaluate(`document.querySelector("#recent a").click()`);
  await tab.until(LOOKED_UP);
  return {
    text: await tab.text("main"),
    elements: Number(await tab.evaluate(`document.querySelectorAll("main :is(img, script, iframe)").length`)),
    hrefs: listOf(await tab.evaluate(`[...document.querySelectorAll("main a")].map(({ href }) => href)`)),
    commands: (await lookUpOf(tab)).commands,
    consoleErrors: tab.consoleErrors,
  };
}

async function lookUpOf(tab: Tab): Promise<{ lookUp: string; commands: string[] }> {
  const lookUp = `${await tab.text("#lookup-state")}\n${await tab.text("#lookup-result")}`;
  return {
    lookUp,
    commands: listOf(
      await tab.evaluate(`[...document.querySelectorAll(".command pre")].map((pre) => pre.textContent)`),
    ),
  };
}

async function hostileStatus(edgeUrl: string): Promise<EdgeStatus> {
  const status = parseEdgeStatus(await (await fetch(`${edgeUrl}/status`)).json());
  return {
    ...status,
    recent: status.recent.map((object) => ({
      ...object,
      domain: DOMAIN,
      name: HOSTILE_NAME,
      author: HOSTILE_AUTHOR,
    })),
    members: status.members.map((member) => ({
      ...member,
      url: "javascript:boom()",
      name: `${HOSTILE_NAME}\u202e`,
    })),
  };
}

/** The sample's Versions under the hostile name: their signatures no longer fit, which the page cannot know. */
async function hostileName(edgeUrl: string): Promise<NameAnswer> {
  const url = `${edgeUrl}/name/${nameHashOf(DOMAIN, SAMPLE)}?domain=${DOMAIN}`;
  const answer = parseNameAnswer(await (await fetch(url)).json());
  const nameHash = nameHashOf(DOMAIN, HOSTILE_NAME);
  const replaced = { name: HOSTILE_NAME, nameHash, author: HOSTILE_AUTHOR };
  const versions = answer.versions.map((version) => {
    const body = JSON.parse(new TextDecoder().decode(decodeBase64(version.statement)));
    return {
      ...version,
      statement: Buffer.from(JSON.stringify({ ...body, ...replaced })).toString("base64"),
    };
  });
  return { ...answer, nameHash, versions };
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
