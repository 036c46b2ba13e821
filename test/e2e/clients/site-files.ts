// A small web site of relative links, as a generator of static sites makes one, with some of everything that a page has:
// an imported style, a font, images asked for with and without CORS, scripts, a form, links of all kinds.

/** The title of the front page as long as no script has changed it. */
export const SITE_TITLE = "Dateien";
/** The smallest WebAssembly module: a magic number and a version. */
const WASM = Buffer.from("0061736d01000000", "hex");
export const TOOL = Buffer.from("not really a tool");

/** Content by path. `elsewhere` is the URL of another site, to which links and the form lead. */
export function siteFiles(elsewhere: string): Record<string, string | Uint8Array> {
  return {
    "index.html": frontPage(elsewhere),
    "about/index.html": ABOUT_PAGE,
    "moved.html": `<meta http-equiv="refresh" content="0; url=about/"><p id="moved">It is there now.</p>`,
    "assets/style.css": STYLE,
    "assets/base.css": "body { background: rgb(255, 250, 230); font-family: sans-serif; }",
    "assets/script.js": `document.title = "a script ran";`,
    "assets/logo.svg": LOGO,
    "assets/box.woff": Buffer.from(BOX_FONT, "base64"),
    "files/tool.tar.gz": TOOL,
    "files/greeting.mjs": `export default "hello";`,
    "files/empty.wasm": WASM,
  };
}

function frontPage(elsewhere: string): string {
  const script = `javascript:fetch('${elsewhere}/script')`;
  return `<!doctype html>
<html lang="de">
  <head>
    <meta charset="utf-8">
    <title>${SITE_TITLE}</title>
    <link rel="stylesheet" href="assets/style.css">
    <script src="assets/script.js"></script>
  </head>
  <body onload="document.title = 'a handler ran'">
    <h1>Grüße aus lauter Dateien</h1>
    <p><span id="box">AA</span></p>
    <p>
      <img id="logo" src="assets/logo.svg" alt="logo">
      <img id="shared" src="assets/logo.svg" alt="logo, asked for with CORS" crossorigin>
      <span id="mask"></span>
    </p>
    <p id="said"></p>
    <script>document.getElementById("said").textContent = "an inline script ran";</script>
    <noscript><p id="noscript">Without scripts.</p></noscript>
    <nav>
      <a id="about" href="about/">About</a>
      <a id="download" href="files/tool.tar.gz">Download</a>
      <a id="window" href="${elsewhere}/window" target="_blank">New window</a>
      <a id="script" href="${script}">Script</a>
      <a id="script-window" href="${script}" target="_blank" rel="opener">Script in a window</a>
    </nav>
    <form action="${elsewhere}/form"><button id="send">Send</button></form>
    <iframe src="about/" title="about" width="300" height="100"></iframe>
  </body>
</html>
`;
}

const ABOUT_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>About</title>
    <link rel="stylesheet" href="../assets/style.css">
  </head>
  <body>
    <h1>About</h1>
    <p><a id="home" href="../">Home</a></p>
  </body>
</html>
`;

/** Masks and fonts are asked for with CORS. The font's A is a box of four ems. */
const STYLE = `@import "base.css";
@font-face { font-family: Box; src: url("box.woff"); }
h1 { color: rgb(0, 90, 156); }
#box { font: 20px Box; }
#mask { display: inline-block; width: 80px; height: 40px; background: crimson; mask: url("logo.svg"); }
`;

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 40" width="80" height="40">
  <circle cx="20" cy="20" r="18" fill="teal"/>
  <rect x="42" y="4" width="34" height="32" fill="orange"/>
</svg>
`;

const BOX_FONT =
  "d09GRgABAAAAAAI4AAoAAAAAAlgAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAABPUy8yAAABYAAAACkAAABgRSBMN2NtYXAAAAGUAAAA" +
  "KQAAADQADACUZ2x5ZgAAAcgAAAAYAAAAGCjjTGxoZWFkAAAA9AAAADYAAAA2PQ/EbmhoZWEAAAEsAAAAGQAAACQTiQ+jaG10eAAA" +
  "AYwAAAAIAAAACBGUAABsb2NhAAABwAAAAAYAAAAGAAwAAG1heHAAAAFIAAAAFgAAACAABAAGbmFtZQAAAeAAAABKAAAAVPAPE4pw" +
  "b3N0AAACLAAAAAwAAAAgAAMAAAABAAAAAQAAJNubT18PPPUAAwPoAAAAAOcsv9MAAAAA5yy/0wAAAAAPoAPoAAAAAwACAAAAAAAA" +
  "eJxjYGRgYH7BAAT8C6AkIwMqYAIAOwQCTgAAAHicY2BkYGBgYmBhANEgFhoAAAESAAsAAHicY2DmOMU4gYGVgYWBMGBE5tgDAZBy" +
  "ZHBkfgHiQ0gUoMDAAADkRwTlAAAAAfQAAA+gAAB4nGNgYGBiYGBgBmIRIMkIplkYFIA0CxCC+I7//0PI/wfAfAYAUpcGnQAAAAAA" +
  "AAAADAAAAAEAAAAAD6AD6AADAAAxESERD6AD6PwYeJwtiMEJwCAUxfJVFD2UTtMBHMENPIgXQRAEx6+W5vDIC2B4EA6C/vagcPtp" +
  "xPhdLOF3xcUd+0qlzpYHkc4iUahMGpnxAq5sCJYAAHicY2BmwAsAAH0ABA==";
