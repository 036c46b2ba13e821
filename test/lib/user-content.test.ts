import { describe, expect, test } from "vitest";
import { isAttachment, OBJECT_POLICY, refuseServiceWorker } from "../../lib/user-content.ts";

describe("what a browser is shown of an object", () => {
  test.each([
    ...["text/html", "TEXT/HTML", "text/html; charset=utf-7", "text/html ;x", "text/plain; charset=utf-8"],
    ...[
      "text/css",
      "text/javascript",
      "text/markdown",
      "application/xhtml+xml",
      "image/svg+xml",
      "image/png",
    ],
    ...["application/pdf", "application/json", "application/wasm", "application/javascript", "font/woff2"],
    ...["audio/ogg", "video/webm"],
  ])("is %s", (type) => {
    expect(isAttachment(type)).toBe(false);
  });

  test.each([
    ...["text/xml", "text/xsl", "TEXT/XML; charset=utf-8", "application/xml", "application/rss+xml"],
    ...["application/xslt+xml", "application/mathml+xml", "multipart/x-mixed-replace; boundary=b"],
    ...["multipart/related", "message/rfc822", "application/x-shockwave-flash", "application/hta"],
    ...["application/signed-exchange;v=b3", "application/octet-stream", "application/zip", "unknown/unknown"],
    ...["text/plain, text/html", "text/plain; x=, text/html", "application/json-seq", "htmltext/html", ""],
  ])("is not %s", (type) => {
    expect(isAttachment(type)).toBe(true);
  });

  test("has no scripts, twice over, and no origin", () => {
    expect(OBJECT_POLICY).toMatch(
      /^sandbox (?!.*allow-(scripts|same-origin|forms|top-navigation)).*; script-src 'none'$/,
    );
  });
});

test("a request for a service worker's script is refused, whatever the header says, and no other", () => {
  for (const value of ["script", "", "anything"]) {
    expect(() => refuseServiceWorker(new Headers({ "service-worker": value }))).toThrow("service worker");
  }
  expect(() => refuseServiceWorker(new Headers({ accept: "*/*" }))).not.toThrow();
});
